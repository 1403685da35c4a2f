"""Reading: what a question answers, as Arrow in flat memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

import pyarrow as pa

from halocline.batch import JSON
from halocline.connector import Plan
from halocline.connectors.sqlite.comparison import KEYS_AT_ONCE
from halocline.connectors.sqlite.tables import Table, check_types
from halocline.connectors.sqlite.types import array_of
from halocline.schema import Kind, Schema
from halocline.standard_sql import quoted

_BATCH_ROWS = 20_000
_SAME_IN_SQL = {Kind.STRING, Kind.INTEGER}  # kinds whose Python values are found as they are


def read_rows(
    connection: sqlite3.Connection, table: Table, *, plan: Plan, keys: Sequence[JSON] | None = None
) -> Iterator[pa.RecordBatch]:
    """See `Destination.rows`.

    Raises: SchemaConflict for a column of another type, NotFound for a table without its key column.
    """
    check_types(table, plan, doing=f"Reading {table.name}")
    columns = ", ".join("NULL" if table.type_of(name) is None else quoted(name) for name in plan.schema.names)
    sql = f"SELECT {columns} FROM {table.sql}"
    key = plan.schema.column(plan.key[0]) if len(plan.key) == 1 else None
    if keys is None or key is None or key.kind not in _SAME_IN_SQL:
        yield from answers(connection, sql, schema=plan.schema)
        return
    different = list(dict.fromkeys(keys))
    for start in range(0, len(different), KEYS_AT_ONCE):
        some = different[start : start + KEYS_AT_ONCE]
        where = f" WHERE {quoted(key.name)} IN ({', '.join('?' * len(some))})"
        yield from answers(connection, sql + where, schema=plan.schema, values=some)


def answers(
    connection: sqlite3.Connection, sql: str, *, schema: Schema, values: Sequence[object] = ()
) -> Iterator[pa.RecordBatch]:
    """What a question answers, in the columns of a schema, in their order.

    Raises: SchemaConflict for a value that is of another type than its column.
    """
    cursor = connection.execute(sql, values)
    while rows := cursor.fetchmany(_BATCH_ROWS):
        columns = (list(column) for column in zip(*rows, strict=True))
        arrays = [array_of(column, known) for column, known in zip(columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema.arrow)
