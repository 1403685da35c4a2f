"""Table: a table as it stands in the file, what a plan wants of it, and where both differ.

SQLite has no schemas: the table `Accounts` of the schema `raw` is called `raw.Accounts` there, one of `main` just by its name.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from halocline import standing_table
from halocline.connector import Plan, Target
from halocline.connectors.sqlite.types import described, holds, sql_type
from halocline.errors import FixConfig, Stop
from halocline.quantity import quantity
from halocline.schema import Column, Schema
from halocline.standard_sql import quoted

FULL_SYNC = "Run a full sync (--full, force_full_sync=True; for a flow's table `mode: replace`), which builds the table anew."
MAIN = "main"
_ROW_NUMBERS = ("_rowid_", "rowid", "oid")
"""What SQLite calls a row's number, unless a column has the name.

Source: "ROWIDs and the INTEGER PRIMARY KEY", https://sqlite.org/lang_createtable.html#rowid, read November 2026."""
_WITHOUT_ROWID = """
    SELECT count(*) FROM pragma_index_list(?) AS i
    WHERE i.origin = 'pk' AND NOT EXISTS (SELECT 1 FROM main.sqlite_schema s WHERE s.type = 'index' AND s.name = i.name)
"""
"""Source: "Determining If An Existing Table Is WITHOUT ROWID", https://sqlite.org/withoutrowid.html (unverified)."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the file: `schema` has its columns, each with SQLite's own words for its type; None where it does not exist.

    `made_by` are the statements that make its indexes and triggers again. Names are matched in any case.
    """

    name: str
    schema: Schema | None = None
    made_by: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """The name, quoted."""
        return f"main.{quoted(self.name)}"

    @property
    def label(self) -> str:
        """The name under which positions are kept: the same however the caller spells it."""
        return self.name.lower()

    @property
    def exists(self) -> bool:
        """Whether the table is there."""
        return self.schema is not None

    def type_of(self, name: str) -> str | None:
        """The type of a column of that name in any case, or None."""
        found = self.schema.column(name) if self.schema else None
        return None if found is None else found.source_type

    def only_here(self, schema: Schema) -> tuple[str, ...]:
        """The columns that the table has and `schema` has not: removed at the source, or made by the user."""
        return tuple(name for name in (self.schema.names if self.schema else ()) if schema.column(name) is None)

    def missing(self, schema: Schema) -> tuple[Column, ...]:
        """The columns that `schema` has and the table has not."""
        return tuple(column for column in schema if self.type_of(column.name) is None)

    def misfit(self, schema: Schema) -> Column | None:
        """The first column that does not keep the values that `schema` has for it."""
        told = ((column, self.type_of(column.name)) for column in schema)
        return next((column for column, there in told if there is not None and not holds(there, column)), None)


def name_of(target: Target) -> str:
    """What the table is called; a part with a dot in it is quoted, so that no two tables have one name."""
    parts = [] if target.schema is None or target.schema.lower() == MAIN else [target.schema]
    return ".".join(quoted(part) if "." in part and parts else part for part in (*parts, target.table))


def find(connection: sqlite3.Connection, target: Target) -> Table:
    """The table that `target` names, as it stands now.

    Raises: FixConfig when the name belongs to a view.
    """
    name = name_of(target)
    where = "FROM main.sqlite_schema WHERE lower(tbl_name) = lower(?)"
    found = connection.execute(f"SELECT type, name, sql {where} AND type IN ('table', 'view')", (name,)).fetchall()
    if not found:
        return Table(name)
    if found[0][0] == "view":
        raise FixConfig(f"Looking at the table {target}", "that is a view", hint="Name another table, or drop the view.")
    spelled = str(found[0][1])
    others = connection.execute(f"SELECT sql {where} AND type IN ('index', 'trigger') AND sql IS NOT NULL", (name,)).fetchall()
    return Table(spelled, columns_of(connection, spelled), tuple(str(sql) for (sql,) in others))


def columns_of(connection: sqlite3.Connection, name: str) -> Schema:
    """The columns and the primary key of a table or a view, less those that are computed; none where there is none."""
    told = 'SELECT name, type, "notnull" OR pk, pk FROM pragma_table_xinfo(?) WHERE hidden = 0'
    found = connection.execute(told, (name,)).fetchall()
    columns = tuple(described(str(column), str(kind), nullable=not required) for column, kind, required, _ in found)
    return Schema(columns, tuple(str(column) for column, _, _, place in sorted(found, key=lambda one: one[3]) if place))


def row_number(connection: sqlite3.Connection, table: Table) -> str | None:
    """The name by which a statement finds the number of a row; None where the table numbers none, or columns took all names."""
    ((unnumbered,),) = connection.execute(_WITHOUT_ROWID, (table.name,)).fetchall()
    names = connection.execute("SELECT lower(name) FROM pragma_table_xinfo(?)", (table.name,)).fetchall()  # computed ones, too
    free = (name for name in _ROW_NUMBERS if (name,) not in names)
    return None if unnumbered else next(free, None)


def check_types(table: Table, plan: Plan, *, doing: str) -> None:
    """See `standing_table.check_types`."""
    standing_table.check_types(table, plan, doing=doing, holds=holds, sql_type=sql_type, hint=FULL_SYNC)


def make(connection: sqlite3.Connection, table: Table, *, schema: Schema, extra: Mapping[str, str] | None = None) -> None:
    """Make the table, with the columns of `schema` and `extra` ones of these types. Every column takes nulls."""
    types = {column.name: sql_type(column) for column in schema} | dict(extra or {})
    defined = ", ".join(f"{quoted(name)} {kind}" for name, kind in types.items())
    connection.execute(f"CREATE TABLE {table.sql} ({defined})")


def index(connection: sqlite3.Connection, table: Table, *, key: Sequence[str]) -> None:
    """Make the index by which a merge finds rows; without one, SQLite would make it again for each."""
    if key:
        name = quoted(f"_halocline_key_{table.name}")
        columns = ", ".join(map(quoted, key))
        connection.execute(f"CREATE INDEX IF NOT EXISTS main.{name} ON {quoted(table.name)} ({columns})")


def widen(connection: sqlite3.Connection, table: Table, *, schema: Schema) -> None:
    """Add the columns that the table lacks; old rows have nulls there."""
    for column in table.missing(schema):
        connection.execute(f"ALTER TABLE {table.sql} ADD COLUMN {quoted(column.name)} {sql_type(column)}")


def is_empty(connection: sqlite3.Connection, table: Table) -> bool:
    """Whether the table holds no row."""
    return not connection.execute(f"SELECT 1 FROM {table.sql} LIMIT 1").fetchall()


def expect(table: Table, found: int, *, wanted: int) -> None:
    """The books must balance: SQLite touched as many rows as the verdicts say.

    Raises: Stop when not.
    """
    if found != wanted:
        cause = f"{quantity(wanted, 'row was')} to change, {found:,} did"
        raise Stop(f"Loading {table.name}", cause, hint="Report this defect.")
