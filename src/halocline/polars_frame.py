"""A polars table whose columns Arrow cannot have: of a column of Python objects polars hands out where they lie in memory."""

from __future__ import annotations

from typing import Any

_OBJECT = "Object"  # what polars calls a column of values that it has no type for: UUIDs, several kinds in one column


def is_frame(source: object, package: str) -> bool:
    """Whether something is a DataFrame of this package, which need not be imported."""
    return any(kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == package for kind in type(source).__mro__)


def by_value(source: Any) -> Any:
    """`source`, or the rows as dicts of a polars table with such a column.

    Source: polars 2.1 exports the type Object as `fixed_size_binary[8]`, without a word of what it is.
    """
    if is_frame(source, "polars") and any(str(kind) == _OBJECT for kind in source.dtypes):
        return source.to_dicts()
    return source
