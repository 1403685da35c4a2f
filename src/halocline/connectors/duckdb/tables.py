"""Table: a table as it stands in the database, what a plan wants of it, and where both differ."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import duckdb

from halocline import standing_table
from halocline.connector import Plan, Target
from halocline.connectors.duckdb.client import Cursor, Database, rows
from halocline.connectors.duckdb.types import sql_type
from halocline.errors import FixConfig, Stop
from halocline.quantity import quantity
from halocline.schema import Column, Schema
from halocline.standard_sql import quoted
from halocline.versions import COLUMNS, refuse_other_kind

_SCHEMA_TRIES, _SCHEMA_WAIT_S = 50, 0.01  # another flow's statement takes milliseconds; one in a user's open transaction lasts
FULL_SYNC = "Run a full sync (--full, force_full_sync=True; for a flow's table `mode: replace`), which builds the table anew."
_INSTANT = sql_type(COLUMNS[0])
_PLACE = "WHERE database_name = ? AND lower(schema_name) = lower(?) AND lower({}) = lower(?)"


@dataclass(frozen=True, slots=True)
class Table:
    """A table in the database: `columns` maps its names, as they are spelled there, to types; None where it does not exist.

    Names are matched in any case, as DuckDB does.
    """

    catalog: str
    schema: str
    name: str
    columns: Mapping[str, str] | None = None
    _kinds: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kinds", {name.lower(): kind for name, kind in (self.columns or {}).items()})

    @property
    def sql(self) -> str:
        """The full name, quoted."""
        return quoted(self.catalog, self.schema, self.name)

    @property
    def label(self) -> str:
        """The name under which positions are kept: the same however the caller spells it, and no other table's."""
        return ".".join(quoted(part) if "." in part else part for part in (self.schema, self.name)).lower()

    @property
    def exists(self) -> bool:
        """Whether the table is there."""
        return self.columns is not None

    def beside(self, suffix: str) -> Table:
        """A table that does not exist yet, in the same schema."""
        return Table(self.catalog, self.schema, f"_halocline_{suffix}_{self.name}")

    def type_of(self, name: str) -> str | None:
        """The type of a column of that name in any case, or None."""
        return self._kinds.get(name.lower())

    def only_here(self, schema: Schema) -> tuple[str, ...]:
        """The columns that the table has and `schema` has not: removed at the source, or made by the user."""
        return tuple(name for name in self.columns or {} if schema.column(name) is None)

    def missing(self, schema: Schema) -> tuple[Column, ...]:
        """The columns that `schema` has and the table has not."""
        return tuple(column for column in schema if self.type_of(column.name) is None)


def find(cursor: Cursor, database: Database, *, target: Target) -> Table:
    """The table that `target` names, as it stands now.

    Raises: FixConfig when the name belongs to a view.
    """
    name = Table(database.catalog, target.schema or database.schema, target.table)
    values = (name.catalog, name.schema, name.name)
    found = rows(cursor, f"SELECT schema_name, table_name FROM duckdb_tables() {_PLACE.format('table_name')}", values=values)
    if not found:  # then a view may have the name
        if rows(cursor, f"SELECT 1 FROM duckdb_views() {_PLACE.format('view_name')}", values=values):
            raise FixConfig(f"Looking at the table {target}", "that is a view", hint="Name another table, or drop the view.")
        return name
    schema, table = found[0]
    known = Table(name.catalog, str(schema), str(table))
    # `duckdb_columns()` goes through the columns of all tables, those of the system too.
    columns = rows(cursor, "SELECT name, type FROM pragma_table_info(?) ORDER BY cid", values=[known.sql])
    return replace(known, columns={str(column): str(kind) for column, kind in columns})


def indexes(cursor: Cursor, table: Table) -> list[str]:
    """The statements that make the table's indexes."""
    sql = f"SELECT sql FROM duckdb_indexes() {_PLACE.format('table_name')} AND sql IS NOT NULL"
    return [str(made) for (made,) in rows(cursor, sql, values=(table.catalog, table.schema, table.name))]


def check_types(table: Table, plan: Plan) -> None:
    """See `standing_table.check_types`."""
    standing_table.check_types(table, plan, doing=f"Merging into {table.label}", holds=_is, sql_type=sql_type, hint=FULL_SYNC)


def check_kind(table: Table, plan: Plan) -> None:
    """Hold a table that keeps history, or none, against the plan.

    Raises: Refused when they do not go together.
    """
    if table.columns is not None:
        instants = {name.lower(): kind == _INSTANT for name, kind in table.columns.items()}
        refuse_other_kind(table.label, plan, names=instants)


def create(cursor: Cursor, table: Table, *, schema: Schema) -> None:
    """Make the table. Every column takes nulls: what a source calls required, it may still hide or lack."""
    cursor.execute(f"CREATE TABLE {table.sql} ({', '.join(_defined(column) for column in schema)})")


def make_schema(cursor: Cursor, table: Table) -> None:
    """Make the table's schema if need be; one that others make at the same instant is waited for.

    Raises: duckdb.TransactionException when it is still being made after many tries.
    """
    for tries_left in reversed(range(_SCHEMA_TRIES)):
        try:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(table.catalog, table.schema)}")
            return
        except duckdb.TransactionException:
            if not tries_left:
                raise
            time.sleep(_SCHEMA_WAIT_S)


def widen(cursor: Cursor, table: Table, *, schema: Schema) -> None:
    """Add the columns that the table lacks; old rows have nulls there."""
    for column in table.missing(schema):
        cursor.execute(f"ALTER TABLE {table.sql} ADD COLUMN {_defined(column)}")


def is_empty(cursor: Cursor, table: Table) -> bool:
    """Whether the table holds no row."""
    return not rows(cursor, f"SELECT 1 FROM {table.sql} LIMIT 1")


def expect(table: Table, touched: int, *, wanted: int) -> None:
    """The books must balance: DuckDB touched as many rows as the verdicts say.

    Raises: Stop when not.
    """
    if touched != wanted:
        cause = f"{quantity(wanted, 'row was')} to change, {touched:,} did"
        raise Stop(f"Merging into {table.label}", cause, hint="Report this defect.")


def _is(there: str, column: Column) -> bool:
    return there == sql_type(column)


def _defined(column: Column) -> str:
    return f"{quoted(column.name)} {sql_type(column)}"
