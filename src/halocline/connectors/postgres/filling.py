"""Filling: all rows of a table deleted and others put there, inside a transaction of the caller's, who alone commits it.

The table stays the same one, so that views on it go on working. Who reads sees the old rows until the commit, then the new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

import psycopg
import pyarrow as pa
from psycopg import RawCursor
from psycopg.rows import tuple_row

from halocline.connectors.postgres.client import Cursor, copy_in, number, user_connection
from halocline.connectors.postgres.described import schema_of
from halocline.connectors.postgres.errors import gate
from halocline.connectors.postgres.pages import csv_of
from halocline.connectors.postgres.tables import Table, look
from halocline.connectors.postgres.types import is_array
from halocline.errors import FixConfig, NotFound, SchemaConflict
from halocline.fitting import Misfit, arrays, fitted_row
from halocline.mapping.near import near
from halocline.quantity import quantity
from halocline.schema import Column, Schema
from halocline.standard_sql import quoted

_ROWS = 10_000  # of one batch
_SHOWN = 3  # rows that do not fit, in a message


def new_session(**place: object) -> psycopg.Connection[tuple[object, ...]]:
    """A connection whose transactions the caller ends; `place` are the words of libpq: host, port, dbname, user, password.

    Raises: LoginRefused, NetworkFailed, NotFound for a database that is not there.
    """
    known = {name: value for name, value in place.items() if value is not None}
    told = {"connect_timeout": 15, "fallback_application_name": "halocline", "client_encoding": "UTF8"}
    with gate(f"Opening PostgreSQL at {place.get('host')}"):
        return psycopg.connect(**{**told, **known})  # type: ignore[arg-type]  # words of libpq


def fill_table(
    session: object,
    name: str,
    *,
    headers: Sequence[str],
    rows: Iterable[Mapping[str, object] | Sequence[object]],
    also: Callable[[Sequence[pa.RecordBatch]], object] = len,
) -> int:
    """Delete all rows of a table, and copy these into its columns `headers`; how many they are.

    `also` is given the rows in the types of the table, when they are there; where it raises, the table is as it was, too.

    No row at all empties it. Nothing is committed. When this raises, the table is as it was, and the transaction can go on.
    Values are held to the table's types before anything is deleted: none is cut, rounded or left out. Writers wait for the end
    of the transaction, for what two of them put there at a time would be there twice; readers do not.
    Raises: SchemaConflict for a row that does not fit; NotFound for a table or a column; FixConfig for a connection that commits
    by itself; AccessDenied, RetryLater.
    """
    doing = f"Filling {name}"
    connection = user_connection(session)
    if connection.autocommit:
        cause = "the connection commits each statement by itself, so readers would see an empty table"
        raise FixConfig(doing, cause, hint="Open it with autocommit=False, and commit when all tables are filled.")
    with gate(doing), RawCursor(connection, row_factory=tuple_row) as cursor:
        cursor.execute("SELECT 1")  # begins the transaction where there is none: what follows is a savepoint of it
        with connection.transaction():
            table, _ = look(cursor, name, doing=doing)
            schema = _chosen(schema_of(cursor, table), headers, doing=doing)
            batches = _fitted(rows, schema, doing=doing)
            cursor.execute(f"LOCK TABLE {table.sql} IN SHARE ROW EXCLUSIVE MODE")
            cursor.execute(f"DELETE FROM {table.sql}")
            _copy(cursor, table, schema=schema, batches=batches, doing=doing)
            also(batches)
    return sum(batch.num_rows for batch in batches)


def count_of(session: object, name: str) -> int:
    """How many rows a table has, as the caller's transaction sees it.

    Raises: NotFound, AccessDenied.
    """
    doing = f"Counting the rows of {name}"
    with gate(doing), RawCursor(user_connection(session), row_factory=tuple_row) as cursor:
        table, _ = look(cursor, name, doing=doing)
        return number(cursor, f"SELECT count(*) FROM {table.sql}")


def _chosen(whole: Schema, headers: Sequence[str], *, doing: str) -> Schema:
    """The columns that the headers name, spelled as there, or in another case."""
    columns: list[Column] = []
    for header in headers:
        exact = next((column for column in whole if column.name == header), None)
        found = exact or whole.column(header)
        if found is None:
            raise NotFound(doing, f"the table has no column {header!r}", suggestions=near(header, whole.names))
        if found.name.lower() in {column.name.lower() for column in columns}:
            raise FixConfig(doing, f"the column {found.name} is named twice")
        columns.append(found)
    if not columns:
        raise FixConfig(doing, "no column is named", hint="Give the names of the columns as headers.")
    return Schema(tuple(columns))


def _fitted(rows: Iterable[Mapping[str, object] | Sequence[object]], schema: Schema, *, doing: str) -> list[pa.RecordBatch]:
    """The rows as batches.

    Raises: SchemaConflict where one does not fit.
    """
    spelled, names = schema.names, {column.name.lower(): column for column in schema}
    odd: list[tuple[int, Misfit]] = []
    made: list[pa.RecordBatch] = []
    drawn = enumerate(rows)
    while piece := list(islice(drawn, _ROWS)):
        good: list[dict[str, object]] = []
        for at, row in piece:
            try:
                good.append(fitted_row(_named(row, spelled), names))
            except Misfit as misfit:
                odd.append((at, misfit))
        if odd:
            break
        columns, unfit = arrays(good, schema)
        odd += [(piece[at][0], unfit[at]) for at in sorted(unfit)]
        made.append(pa.RecordBatch.from_arrays(columns, schema=schema.arrow))
    if odd:
        told = "; ".join(f"row {at:,}: {misfit}" for at, misfit in odd[:_SHOWN])
        hint = "Nothing was deleted. Rows are counted from 0."
        raise SchemaConflict(doing, told, hint=hint, code=odd[0][1].code, rows=tuple(at for at, _ in odd))
    return made


def _named(row: Mapping[str, object] | Sequence[object], names: Sequence[str]) -> Mapping[object, object]:
    if isinstance(row, dict):
        return row
    if isinstance(row, Mapping):
        return dict(row.items())
    if isinstance(row, (str, bytes)) or not isinstance(row, Sequence):
        raise Misfit(f"it is {type(row).__name__}, neither a dict nor the values in the order of the headers", code="NO_ROW")
    if len(row) != len(names):
        raise Misfit(f"it has {quantity(len(row), 'value')} for {quantity(len(names), 'column')}", code="COLUMN_LEFT_OUT")
    return dict(zip(names, row, strict=True))


def _copy(cursor: Cursor, table: Table, *, schema: Schema, batches: Sequence[pa.RecordBatch], doing: str) -> None:
    held = {column.name: column.source_type for column in schema if is_array(column.source_type)}
    columns = ", ".join(quoted(column.name) for column in schema)
    sql = f"COPY {table.sql} ({columns}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')"
    copy_in(cursor, sql, blocks=csv_of(batches, schema, doing=doing, arrays=held))
