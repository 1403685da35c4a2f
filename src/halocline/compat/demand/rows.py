"""Rows that a function builds of items, and the items of which it could not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from halocline.builders import draw
from halocline.connector import MAX_REJECTED
from halocline.declared import declared
from halocline.errors import Refused
from halocline.fitting import arrays, fitted_row
from halocline.outcome import Rejection
from halocline.quantity import quantity_of
from halocline.schema import Column

_Item = TypeVar("_Item", bound=Mapping[str, Any])


class Rows(list[dict[str, Any]]):
    """The rows, as a list; `rejections` are the items that became none, each with its number (`row`) and the reason."""

    def __init__(self, rows: Iterable[dict[str, Any]] = (), *, rejections: Iterable[Rejection] = ()) -> None:
        super().__init__(rows)
        self.rejections = tuple(rejections)


def rows_of(
    items: Iterable[_Item],
    build: Callable[[_Item], object],
    *,
    columns: Mapping[str, str] | None = None,
    max_rejected: float = MAX_REJECTED,
) -> Rows:
    """What `build` makes of each item, in order: a row, rows, or None for an item that is to become none. What it raises rejects
    the item, and so does a row that does not fit `columns` (column -> type, as `declared` reads them): no half of a row is kept,
    and none is lost without a word.

    `max_rejected` is how many items may be rejected, a whole number or a share: more are one mistake, and no odd items.
    Raises: Refused for more of them; as `builders.draw`.
    """
    held = list(items)
    schema = declared(columns or {})
    names = None if columns is None else {column.name.lower(): column for column in schema}
    drawn = draw(held, build, take=partial(_taken, names=names), told=lambda error: f"{type(error).__name__}: {error}")
    drawn.refuse(arrays([fitting for _, (_, fitting) in drawn.rows], schema)[1])
    rejections = drawn.rejections(held)
    if len(rejections) > (max_rejected if isinstance(max_rejected, int) else max_rejected * len(held)):
        first = rejections[0]
        cause = (
            f"{quantity_of(len(rejections), len(held), what='item was')} rejected, such as item {first.row:,}: {first.message}"
        )
        hint = "Mend the builder, or let more be rejected: max_rejected."
        raise Refused(f"Building rows with {getattr(build, '__name__', 'a function')}", cause, hint=hint)
    return Rows((row for number, (row, _) in drawn.rows if number not in drawn.misfits), rejections=rejections)


def _taken(row: Mapping[object, object], *, names: Mapping[str, Column] | None) -> tuple[dict[Any, Any], Mapping[str, object]]:
    """The row as it was given, and as it is held to the columns."""
    return dict(row.items()), {} if names is None else fitted_row(row, names)
