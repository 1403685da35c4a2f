"""Unfilled: what a flow's position in a table says of columns that were made there since, and that its commits did not fill.

Several flows may merge into one table. Where one of them makes a column that the table had lost, the rows of the others hold
nothing in it, and nobody sees any more that it was lost. So it is noted beside their positions. The next commit of such a flow
writes its position anew, and so drops the note.
"""

from __future__ import annotations

from collections.abc import Sequence

from halocline.batch import Position
from halocline.connector import Plan
from halocline.standing_table import StandingTable

_NOTE = "_halocline_unfilled"


def noted(position: Position, columns: Sequence[str]) -> Position:
    """The position with a note of these columns, beside those that it has one of already."""
    return {**position, _NOTE: list(dict.fromkeys([*_columns(position), *columns]))}


def made_columns(table: StandingTable, plan: Plan) -> tuple[str, ...]:
    """The columns, in lower case, that a plan's load makes in a table, as it stood before; none where it makes the table."""
    return tuple(column.name.lower() for column in table.missing(plan.schema)) if table.exists else ()


def taken(position: Position | None) -> tuple[Position | None, tuple[str, ...]]:
    """The position as its flow stored it, and the columns that it has a note of."""
    if position is None or _NOTE not in position:
        return position, ()
    return {name: value for name, value in position.items() if name != _NOTE}, _columns(position)


def _columns(position: Position) -> tuple[str, ...]:
    found = position.get(_NOTE)
    return tuple(str(name) for name in found) if isinstance(found, list) else ()
