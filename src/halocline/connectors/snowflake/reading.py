"""Reading: the rows of a table as they stand, in a plan's columns, to be compared with the source's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from halocline.batch import JSON
from halocline.connector import Plan
from halocline.connectors.snowflake.client import Database, literal
from halocline.connectors.snowflake.query import open_query
from halocline.connectors.snowflake.tables import FULL_SYNC, Table, check_types
from halocline.connectors.snowflake.types import sql_type, staged_type
from halocline.errors import SchemaConflict
from halocline.schema import Column, Kind
from halocline.standard_sql import quoted

_WHOLE = pa.decimal128(38, 0)  # on the way from 64 bits, which Arrow makes no narrower decimal than of 19 digits


def read_rows(database: Database, table: Table, *, plan: Plan, keys: Sequence[JSON] | None = None) -> Iterator[pa.RecordBatch]:
    """See `Destination.rows`.

    Raises: SchemaConflict for a column of another type and for a value that does not fit the plan's, NotFound for a table without
    its key column.
    """
    check_types(table, plan, doing=f"Reading {table.label}")
    columns = ", ".join(_value(table, column) for column in plan.schema)
    where = "" if keys is None else f" WHERE {' AND '.join(_among(name, keys) for name in plan.key)}"
    for rows in open_query(database.connection, f"SELECT {columns} FROM {table.sql}{where}"):
        arrays = [_typed(values, column, label=table.label) for values, column in zip(rows.columns, plan.schema, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=plan.schema.arrow)


def _typed(values: pa.Array, column: Column, *, label: str) -> pa.Array:
    """The values in a column's type.

    Raises: SchemaConflict for one that does not fit: the table's column is another one's, and has more digits.
    """
    try:
        if column.kind is Kind.DECIMAL and pa.types.is_integer(values.type):
            values = values.cast(_WHOLE)
        return values.cast(column.arrow)
    except pa.ArrowInvalid as error:
        cause = f"a value of {column.name} does not fit the type that it would have now, {sql_type(column)}"
        raise SchemaConflict(f"Reading {label}", cause, hint=FULL_SYNC, column=column.name) from error


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
