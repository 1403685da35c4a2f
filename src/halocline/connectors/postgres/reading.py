"""Reading: the rows of a table as they stand, in a plan's columns, to be compared with the source's.

They come by COPY, as CSV in which null is bare and everything else quoted, and become Arrow without a Python object for a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from halocline.batch import JSON
from halocline.connector import Plan
from halocline.connectors.postgres.client import Cursor
from halocline.connectors.postgres.described import NAIVE
from halocline.connectors.postgres.tables import FULL_SYNC, Table, check_kind
from halocline.connectors.postgres.types import holds, is_array, sql_type
from halocline.errors import NotFound, SchemaConflict, Truncated
from halocline.quantity import quantity
from halocline.rows.texts import TextCsv
from halocline.schema import Column, Kind, Schema
from halocline.standard_sql import quoted
from halocline.versions import VALID_TO

_BLOCK_BYTES = 4 << 20  # of CSV that becomes one batch
_READABLE = {"TimeZone": "UTC", "DateStyle": "ISO, YMD", "extra_float_digits": "1"}
_SETTINGS = "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _READABLE.items())
_SPELLED = {
    Kind.BOOLEAN: "{}::int",
    Kind.TIME: "(extract(epoch FROM {}) * 1000000)::bigint",
    Kind.BINARY: "encode({}, 'hex')",
}
"""How values are asked for that Arrow would not read as the server spells them."""


def read_rows(cursor: Cursor, table: Table, *, plan: Plan, keys: Sequence[JSON] | None = None) -> Iterator[pa.RecordBatch]:
    """See `Destination.rows`; all rows are of one instant.

    Source: "COPY", https://www.postgresql.org/docs/18/sql-copy.html, read November 2026.
    Raises: SchemaConflict for a column of another type, NotFound for a table without its key column, Refused for a history where
    the plan says plain rows, and the other way round.
    """
    for name in plan.key:
        if table.type_of(name) is None:
            raise NotFound(f"Reading {table.label}", f"the table has no key column {name!r}", hint=FULL_SYNC)
    check_kind(table, plan)
    columns = ", ".join(_value(table, column) for column in plan.schema)
    conditions = [f"{quoted(VALID_TO)} IS NULL"] if plan.history else []
    if keys is not None:
        conditions += [f"{quoted(name.lower())} IN ({literals(cursor, keys)})" for name in plan.key if keys]
        conditions += [] if keys else ["false"]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    yield from copied(cursor, f"SELECT {columns} FROM {table.sql}{where}", schema=plan.schema, what=plan.object)


def copied(cursor: Cursor, query: str, *, schema: Schema, what: str, hint: str = FULL_SYNC) -> Iterator[pa.RecordBatch]:
    """What a query answers in these columns, whose values it has to spell as `spelled` does; all of it.

    `hint` is what to try where a value is not of its type.

    Source: "COPY", https://www.postgresql.org/docs/18/sql-copy.html, read November 2026.
    Raises: SchemaConflict for a value that is not of its type; Truncated where fewer rows came than were sent.
    """
    cursor.execute(_SETTINGS)
    came = 0
    with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv, FORCE_QUOTE *, ENCODING 'UTF8')") as copy:
        held: list[bytes] = []
        size = 0
        for line in copy:  # the server sends one row at a time
            held.append(bytes(line))
            size += len(line)
            if size >= _BLOCK_BYTES:
                came += len(held)
                yield _parsed(held, schema, what=what, hint=hint)
                held, size = [], 0
        came += len(held)
        if held:
            yield _parsed(held, schema, what=what, hint=hint)
    if cursor.rowcount != came:
        cause = f"{quantity(cursor.rowcount, 'row was')} sent, and {came:,} came"
        raise Truncated(f"Reading {what}", cause, hint="Run it again; nothing was published.", rows=came)


def spelled(column: Column, there: str, *, name: str) -> str:
    """The SQL expression for the values of a column of the type `there`, such that Arrow reads them as the column's."""
    if column.kind is Kind.JSON and is_array(there):
        return f"array_to_json({name})"
    if there == NAIVE and column.kind is Kind.DATETIME:
        return f"{name} AT TIME ZONE 'UTC'"
    return _SPELLED.get(column.kind, "{}").format(name)


def literals(cursor: Cursor, keys: Sequence[JSON]) -> str:
    """The keys as SQL: a COPY takes no parameters."""
    return ", ".join(sql.Literal(key).as_string(cursor) for key in keys)


def _value(table: Table, column: Column) -> str:
    """The SQL expression for a column's values, spelled as Arrow reads them.

    Raises: SchemaConflict for a type that cannot hold what a load would bring.
    """
    there, name = table.type_of(column.name), quoted(column.name.lower())
    if there is None:
        return "NULL::text"
    if not holds(there, column):
        cause = f"the column {column.name} is {there} there, and would have to be {sql_type(column)} now"
        raise SchemaConflict(f"Reading {table.label}", cause, hint=FULL_SYNC, column=column.name)
    return spelled(column, there, name=name)


def _parsed(lines: Sequence[bytes], schema: Schema, *, what: str, hint: str) -> pa.RecordBatch:
    """Lines of CSV in the types of these columns.

    Raises: SchemaConflict for a value that is not of its type there: an instant of no calendar, more digits than declared.
    """
    texts = TextCsv(schema.names, quoted_is_null=False).table(b"".join(lines))
    columns = [_typed(texts.column(column.name).combine_chunks(), column, what=what, hint=hint) for column in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema.arrow)


def _typed(texts: pa.Array, column: Column, *, what: str, hint: str) -> pa.Array:
    try:
        if column.kind is Kind.TIME:
            return texts.cast(pa.int64()).cast(column.arrow)
        if column.kind is Kind.BINARY:
            return pa.array([None if text is None else bytes.fromhex(text) for text in texts.to_pylist()], pa.binary())
        if column.kind is Kind.INTEGER:
            return pc.cast(texts, pa.decimal128(38, 18)).cast(column.arrow) if _pointed(texts) else texts.cast(column.arrow)
        return texts.cast(column.arrow)
    except pa.ArrowInvalid as error:
        cause = f"a value of {column.name}, which is {column.source_type or column.kind}, is no {column.kind} here"
        raise SchemaConflict(f"Reading {what} from its table", cause, hint=hint, column=column.name) from error


def _pointed(texts: pa.Array) -> bool:
    """Whether there are whole numbers written with a point, as a numeric column with decimals shows them."""
    return bool(pc.any(pc.match_substring(texts, ".")).as_py())
