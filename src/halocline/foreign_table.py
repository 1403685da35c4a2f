"""Foreign tables: those of polars and DuckDB with columns that their Arrow streams hand out wrong; neither need be installed."""

from __future__ import annotations

from typing import Any

from halocline.standard_sql import quoted

_OBJECT = "Object"  # what polars calls a column of values that it has no type for: UUIDs, several kinds in one column
_AS = {
    "UHUGEINT": "CAST({} AS DECIMAL(38, 0))",  # DuckDB (2.0.0) hands out the upper half of its values as negative numbers
    "BIGNUM": "CAST(CAST({} AS VARCHAR) AS DECIMAL(38, 0))",  # in Arrow bytes of DuckDB's own
    "BIT": "CAST({} AS VARCHAR)",  # in Arrow bytes of DuckDB's own
    "TIME WITH TIME ZONE": "CAST({} AS VARCHAR)",  # in Arrow without its offset
}
"""How columns of DuckDB are read that Arrow would get wrong, or not as a value; a number of more than 38 digits is an error."""


def is_frame(source: object, package: str) -> bool:
    """Whether something is a DataFrame of this package, which need not be imported."""
    return any(kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == package for kind in type(source).__mro__)


def by_value(source: Any) -> Any:
    """`source`; or what has its values right, of a table of polars or a relation of DuckDB whose Arrow stream has not.

    Source: polars 2.1 exports the type Object as `fixed_size_binary[8]`, without a word of what it is.
    """
    if is_frame(source, "polars") and any(str(kind) == _OBJECT for kind in source.dtypes):
        return source.to_dicts()
    return sendable(source) if type(source).__name__ == "DuckDBPyRelation" else source


def sendable(relation: Any) -> Any:
    """A relation of DuckDB, in the place of whose columns that Arrow would get wrong stand others that it does not."""
    kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
    if not _AS.keys() & set(kinds.values()) or len(kinds) < len(relation.columns):  # one of two names alike would be lost
        return relation
    told = (f"{_AS.get(kind, '{}').format(quoted(name))} AS {quoted(name)}" for name, kind in kinds.items())
    return relation.project(", ".join(told))
