"""Standing table: what a table of a database is held against whatever its types are called: the columns of a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from halocline.connector import Plan
from halocline.errors import NotFound, SchemaConflict
from halocline.schema import Column
from halocline.versions import BY_HAND


class StandingTable(Protocol):
    """A table as it stands in its database."""

    @property
    def exists(self) -> bool:
        """Whether it is there."""

    def type_of(self, name: str) -> str | None:
        """The type of a column of that name in any case, or None."""


def check_types(
    table: StandingTable,
    plan: Plan,
    *,
    doing: str,
    holds: Callable[[str, Column], bool],
    sql_type: Callable[[Column], str],
    hint: str,
) -> None:
    """Hold a table's types against the plan's, before rows are merged into it or read from it.

    `holds` tells whether a column of the type there takes all values of ours, `sql_type` what it would be made as;
    `hint` says what gives a column another type.
    Raises: SchemaConflict for a column of another type, NotFound for a table without its key column.
    """
    for column in plan.schema:
        there = table.type_of(column.name)
        if there is not None and not holds(there, column):
            cause = f"the column {column.name} is {there} there, and would have to be {sql_type(column)} now"
            by_hand = BY_HAND if plan.history else hint
            raise SchemaConflict(doing, cause, hint=by_hand, column=column.name)
    for name in plan.key if table.exists else ():
        if table.type_of(name) is None:
            raise NotFound(doing, f"the table has no key column {name!r}", hint=hint)
