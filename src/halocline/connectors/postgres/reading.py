"""Reading: the rows of a table as they stand, in a plan's columns, to be compared with the source's.

They come by COPY, as CSV in which null is bare and everything else quoted, and become Arrow without a Python object for a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from pyarrow import csv as pa_csv

from halocline.batch import JSON
from halocline.connector import Plan
from halocline.connectors.postgres.client import Cursor, quoted
from halocline.connectors.postgres.tables import FULL_SYNC, Table, check_kind
from halocline.connectors.postgres.types import holds, sql_type
from halocline.errors import NotFound, SchemaConflict
from halocline.schema import Column, Kind
from halocline.versions import VALID_TO

_BLOCK_BYTES = 4 << 20  # of CSV that becomes one batch
_READABLE = {"TimeZone": "UTC", "DateStyle": "ISO, YMD", "extra_float_digits": "1"}
_SETTINGS = "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _READABLE.items())
_PARSE = pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
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
        conditions += [f"{quoted(name.lower())} IN ({_literals(cursor, keys)})" for name in plan.key if keys]
        conditions += [] if keys else ["false"]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    cursor.execute(_SETTINGS)
    query = f"SELECT {columns} FROM {table.sql}{where}"
    with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv, FORCE_QUOTE *, ENCODING 'UTF8')") as copy:
        held: list[bytes] = []
        size = 0
        for line in copy:  # the server sends one row at a time
            held.append(bytes(line))
            size += len(line)
            if size >= _BLOCK_BYTES:
                yield _parsed(held, plan, size)
                held, size = [], 0
        if held:
            yield _parsed(held, plan, size)


def _literals(cursor: Cursor, keys: Sequence[JSON]) -> str:
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
    return _SPELLED.get(column.kind, "{}").format(name)


def _parsed(lines: Sequence[bytes], plan: Plan, size: int) -> pa.RecordBatch:
    """Lines of CSV in the plan's types.

    Raises: SchemaConflict for a value that is not of its type there: an instant of no calendar, more digits than declared.
    """
    names = list(plan.schema.names)
    options = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    read = pa_csv.ReadOptions(column_names=names, block_size=size + 1, use_threads=False)
    texts = pa_csv.read_csv(pa.BufferReader(b"".join(lines)), read_options=read, parse_options=_PARSE, convert_options=options)
    columns = [_typed(texts.column(column.name).combine_chunks(), column, plan) for column in plan.schema]
    return pa.RecordBatch.from_arrays(columns, schema=plan.schema.arrow)


def _typed(texts: pa.Array, column: Column, plan: Plan) -> pa.Array:
    try:
        if column.kind is Kind.TIME:
            return texts.cast(pa.int64()).cast(column.arrow)
        if column.kind is Kind.BINARY:
            return pa.array([None if text is None else bytes.fromhex(text) for text in texts.to_pylist()], pa.binary())
        if column.kind is Kind.INTEGER:
            return pc.cast(texts, pa.decimal128(38, 18)).cast(column.arrow) if _pointed(texts) else texts.cast(column.arrow)
        return texts.cast(column.arrow)
    except pa.ArrowInvalid as error:
        raise SchemaConflict(
            f"Reading {plan.object} from its table", f"a value of {column.name} is no {column.kind} ({error})", hint=FULL_SYNC
        ) from error


def _pointed(texts: pa.Array) -> bool:
    """Whether there are whole numbers written with a point, as a numeric column with decimals shows them."""
    return bool(pc.any(pc.match_substring(texts, ".")).as_py())
