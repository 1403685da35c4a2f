"""Reading: the rows of a table as they stand, in a plan's columns, to be compared with the source's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from halocline.batch import JSON
from halocline.connector import Plan
from halocline.connectors.snowflake.client import Database, literal
from halocline.connectors.snowflake.query import open_query
from halocline.connectors.snowflake.tables import Table, check_types
from halocline.connectors.snowflake.types import staged_type
from halocline.schema import Column, Kind
from halocline.standard_sql import quoted


def read_rows(database: Database, table: Table, *, plan: Plan, keys: Sequence[JSON] | None = None) -> Iterator[pa.RecordBatch]:
    """See `Destination.rows`.

    Raises: SchemaConflict for a column of another type, NotFound for a table without its key column.
    """
    check_types(table, plan, doing=f"Reading {table.label}")
    columns = ", ".join(_value(table, column) for column in plan.schema)
    where = "" if keys is None else f" WHERE {' AND '.join(_among(name, keys) for name in plan.key)}"
    wanted = plan.schema.arrow
    for rows in open_query(database.connection, f"SELECT {columns} FROM {table.sql}{where}"):
        arrays = [column.cast(kind) for column, kind in zip(rows.columns, wanted.types, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=wanted)


def _among(name: str, keys: Sequence[JSON]) -> str:
    """The condition that a key's column is one of the keys."""
    listed = ", ".join(literal(key) if isinstance(key, str) else str(key) for key in keys)
    return f"{quoted(name.upper())} IN ({listed})" if listed else "FALSE"


def _value(table: Table, column: Column) -> str:
    """The SQL expression for a column's values; JSON as text."""
    name, alias = quoted(column.name.upper()), quoted(column.name)
    if table.type_of(column.name) is None:
        return f"CAST(NULL AS {staged_type(column)}) AS {alias}"
    return f"TO_JSON({name}) AS {alias}" if column.kind is Kind.JSON else f"{name} AS {alias}"
