"""Standing table: what a table of a database is held against whatever its types are called: the columns of a plan."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from halocline.connector import Plan
from halocline.errors import FixConfig, NotFound, SchemaConflict
from halocline.schema import Column, Schema
from halocline.standard_sql import quoted
from halocline.versions import BY_HAND


class StandingTable(Protocol):
    """A table as it stands in its database."""

    @property
    def exists(self) -> bool:
        """Whether it is there."""

    def type_of(self, name: str) -> str | None:
        """The type of a column of that name in any case, or None."""

    def missing(self, schema: Schema) -> tuple[Column, ...]:
        """The columns that `schema` has and the table has not."""


class OneCaseTable(ABC):
    """What tables tell alike in a database that has all names in one case."""

    __slots__ = ()
    schema: str
    name: str
    columns: Mapping[str, str] | None

    @staticmethod
    @abstractmethod
    def cased(name: str) -> str:
        """The name in that case."""

    @property
    def label(self) -> str:
        """The name under which positions are kept: no other table's of the database."""
        return ".".join(quoted(part) if "." in part else part for part in (self.schema, self.name))

    @property
    def exists(self) -> bool:
        """Whether the table is there."""
        return self.columns is not None

    def type_of(self, name: str) -> str | None:
        """The type of a column of that name in any case, or None."""
        return (self.columns or {}).get(self.cased(name))

    def only_here(self, schema: Schema) -> tuple[str, ...]:
        """The columns that the table has and `schema` has not: removed at the source, or made by the user."""
        known = {self.cased(name) for name in schema.names}
        return tuple(name for name in self.columns or {} if name not in known)

    def missing(self, schema: Schema) -> tuple[Column, ...]:
        """The columns that `schema` has and the table has not."""
        return tuple(column for column in schema if self.type_of(column.name) is None)


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


def check_kept(table: StandingTable, plan: Plan, *, doing: str, extra: Sequence[str] = ()) -> None:
    """Hold a table that is to be replaced to having the key by which the values of columns of its own, `extra`, find their rows.

    Raises: FixConfig where the plan names no key, NotFound where the table lacks it.
    """
    if extra and not plan.key:
        cause = f"the table has columns of its own ({', '.join(extra)}), and no key says to which row their values belong"
        raise FixConfig(doing, cause, hint="Name a key, or drop those columns.")
    for name in plan.key:
        if table.type_of(name) is None:
            hint = "Rename or drop the table, and run again."
            raise NotFound(doing, f"the table has no key column {name!r} to keep its columns by", hint=hint)
