"""Table: a table as it stands in the database, what a plan wants of it, and where both differ."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from snowflake.connector.errors import Error, ProgrammingError

from halocline import standing_table
from halocline.connector import Plan, Target
from halocline.connectors.snowflake.client import Cursor, Database, literal, number, rows, told, uppered
from halocline.connectors.snowflake.errors import DENIED, is_missing
from halocline.connectors.snowflake.types import column_of, holds, sql_type
from halocline.errors import FixConfig
from halocline.schema import Column, Schema
from halocline.standard_sql import quoted

_WAITS_S = (0.05, 0.2, 1.0)  # between two tries to make what another may be making; it takes some milliseconds
FULL_SYNC = (
    "Run a full sync (--full, force_full_sync=True; for a flow's table `mode: replace`), which gives the column its new type."
)


@dataclass(frozen=True, slots=True)
class Table(standing_table.OneCaseTable):
    """A table in the database: `columns` maps its names to types as DESCRIBE spells them; None where it does not exist."""

    database: str
    schema: str
    name: str
    columns: Mapping[str, str] | None = None

    @staticmethod
    def cased(name: str) -> str:
        """See `OneCaseTable.cased`."""
        return name.upper()

    @property
    def sql(self) -> str:
        """The full name, quoted: it means the same whatever database and schema the session is in."""
        return quoted(self.database, self.schema, self.name)


def find(cursor: Cursor, database: Database, *, target: Target) -> Table:
    """The table that `target` names, as it stands now. Names are looked for in upper case. No warehouse is needed for it.

    Raises: FixConfig when the name belongs to a view.
    """
    table = described(cursor, named(database, target=target))
    if table.exists:
        is_there(cursor, database, target=target)
    return table


def named(database: Database, *, target: Target) -> Table:
    """The table that `target` names, without a look at it.

    Raises: FixConfig for a name that Snowflake does not take.
    """
    doing = f"Looking at the table {target}"
    schema = uppered(target.schema or database.schema, doing=doing)
    return Table(database.name, schema, uppered(target.table, doing=doing))


def is_there(cursor: Cursor, database: Database, *, target: Target) -> bool:
    """Whether such a table was seen in this session, or is there now. No warehouse is needed for it.

    Raises: FixConfig when the name belongs to a view.
    """
    table = named(database, target=target)
    if table.sql in database.tables:
        return True
    found = answered(cursor, f"SHOW OBJECTS LIKE {literal(table.name)} IN SCHEMA {quoted(table.database, table.schema)}")
    kinds = [str(line.get("kind")).upper() for line in found or () if line.get("name") == table.name]
    if any("VIEW" in kind for kind in kinds):
        raise FixConfig(f"Looking at the table {target}", "that is a view", hint="Name another table, or drop the view.")
    database.tables.update([table.sql] if kinds else [])
    return bool(kinds)


def schema_of(cursor: Cursor, table: Table) -> Schema | None:
    """The columns of a table in the neutral types, or None where there is no such table; what no neutral type holds is text."""
    found = answered(cursor, f"DESCRIBE TABLE {table.sql}")
    if found is None:
        return None
    return Schema(tuple(column_of(str(c["name"]), str(c["type"]), nullable=c.get("null?") != "N") for c in found))


def described(cursor: Cursor, table: Table) -> Table:
    """The table as it stands now."""
    found = answered(cursor, f"DESCRIBE TABLE {table.sql}")
    columns = None if found is None else {str(line["name"]): str(line["type"]).upper() for line in found}
    return replace(table, columns=columns)


def answered(cursor: Cursor, sql: str) -> list[dict[str, Any]] | None:
    """The rows that a statement answers, by the names of their columns in lower case; None where what it names is not there."""
    try:
        cursor.execute(sql)
    except ProgrammingError as error:
        if is_missing(error):
            return None
        raise
    return told(cursor)


def check_types(table: Table, plan: Plan, *, doing: str) -> None:
    """See `standing_table.check_types`."""
    standing_table.check_types(table, plan, doing=doing, holds=holds, sql_type=sql_type, hint=FULL_SYNC)


def clashes(table: Table, schema: Schema) -> tuple[Column, ...]:
    """The columns that the table has with a type which cannot hold their values."""
    there = [(column, table.type_of(column.name)) for column in schema]
    return tuple(column for column, kind in there if kind is not None and not holds(kind, column))


def make(cursor: Cursor, table: Table, *, schema: Schema) -> None:
    """Make the table. Every column takes nulls, and no key is declared: Snowflake would not enforce it."""
    cursor.execute(f"CREATE TABLE IF NOT EXISTS {table.sql} ({', '.join(defined(column) for column in schema)})")


def create(cursor: Cursor, sql: str) -> None:
    """Run a `CREATE ... IF NOT EXISTS` of what several flows share, and may want to make at one instant for the first time.

    Whoever is refused because another is at it asks again a moment later, and finds it there. (fakesnow refuses so; whether
    Snowflake does is unverified.)
    """
    for wait_s in _WAITS_S:
        try:
            cursor.execute(sql)
            return
        except Error as error:
            if abs(int(error.errno or 0)) == DENIED:
                raise
            time.sleep(wait_s)
    cursor.execute(sql)


def make_schema(cursor: Cursor, database: Database, *, schema: str) -> None:
    """Make a schema if need be, and go back to the current one: making a schema also enters it.

    It is looked for first, because `IF NOT EXISTS` asks for the right to make schemas also where nothing has to be made.
    Source: "CREATE SCHEMA" (usage notes), https://docs.snowflake.com/en/sql-reference/sql/create-schema (unverified).
    """
    cursor.execute(f"SHOW SCHEMAS LIKE {literal(schema)} IN DATABASE {quoted(database.name)}")
    if any(line.get("name") == schema for line in told(cursor)):
        return
    create(cursor, f"CREATE SCHEMA IF NOT EXISTS {quoted(database.name, schema)}")
    if database.current_schema:
        cursor.execute(f"USE SCHEMA {quoted(database.name, database.current_schema)}")


def count(cursor: Cursor, table: Table) -> int:
    """How many rows the table holds, which Snowflake knows without reading it."""
    return number(cursor, f"SELECT count(*) FROM {table.sql}")


def is_empty(cursor: Cursor, table: Table) -> bool:
    """Whether the table holds no row."""
    return not rows(cursor, f"SELECT 1 FROM {table.sql} LIMIT 1")


def defined(column: Column) -> str:
    """The column as a table's definition has it."""
    return f"{quoted(column.name.upper())} {sql_type(column)}"


def listed(names: Sequence[str], side: str = "") -> str:
    """Columns by comma, as they are spelled in the database; `side` is the alias of their table."""
    return ", ".join(f"{side}.{quoted(name.upper())}" if side else quoted(name.upper()) for name in names)
