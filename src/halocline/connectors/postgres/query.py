"""Queries: what a PostgreSQL answers, as a stream of Arrow, from a cursor on the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import ServerCursor
from psycopg.adapt import Loader
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from halocline.connectors.postgres.client import conninfo
from halocline.connectors.postgres.errors import gate, words
from halocline.errors import BadQuery, FixConfig
from halocline.snapshot_source import refuse_twins

_BATCH_ROWS = 5_000
_HINT = "Nothing was written; correct the query and run it again."
_NUMERIC = 1700
_ARROW: Mapping[int, pa.DataType] = {
    16: pa.bool_(),
    17: pa.binary(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    26: pa.int64(),
    700: pa.float32(),
    701: pa.float64(),
    1082: pa.date32(),
    1083: pa.time64("us"),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", "UTC"),
}
"""Arrow types by the server's type numbers. All else is text, as PostgreSQL writes it: json, uuid, arrays, intervals.

Source: pg_type.dat of PostgreSQL 18, whose numbers of built-in types never change.
"""


_MISTAKES = (
    psycopg.ProgrammingError,
    psycopg.DataError,
    psycopg.NotSupportedError,
    psycopg.errors.ReadOnlySqlTransaction,
)


class _Text(Loader):
    """A value as the server writes it, in the encoding of the connection; without one (SQL_ASCII) it has to be UTF-8.

    Raises: BadQuery for bytes that are no text in it.
    """

    def load(self, data: bytes | bytearray | memoryview) -> str:
        encoding = self.connection.info.encoding if self.connection else "utf-8"
        try:
            return bytes(data).decode("utf-8" if encoding == "ascii" else encoding)
        except UnicodeDecodeError as error:
            hint = "The database does not know its encoding; convert the text: convert_from(column::bytea, 'LATIN1')."
            raise BadQuery("Querying PostgreSQL", f"a text cannot be decoded ({error})", hint=hint) from error


def open_query(
    session: object,
    sql: str,
    *,
    parameters: Sequence[object] | Mapping[str, object] = (),
    memory_limit: str | None = None,  # noqa: ARG001 - of an embedded database; this one has a server
) -> pa.RecordBatchReader:
    """The rows that a query answers, as they come. Placeholders are psycopg's: `%s`, `%(name)s`.

    A URI is opened for reading only, and closed at the end of the stream. A live connection is used itself, for its temporary
    tables and its transaction, and must be left alone until the end. A numeric with digits declared is a decimal; one without,
    which sums and averages are, is text, so that no digit is lost. A timestamp without time zone stays one.
    Raises: BadQuery with PostgreSQL's own words, also while rows come; LoginRefused; NetworkFailed; FixConfig.
    """
    doing = "Querying PostgreSQL"
    stack = ExitStack()
    try:
        with asking(doing):
            cursor = _asked(_connection(session, stack), stack, sql=sql, parameters=parameters)
            first = cursor.fetchmany(_BATCH_ROWS)
        schema = _schema(cursor, doing=doing)
    except BaseException:
        stack.close()
        raise
    return pa.RecordBatchReader.from_batches(schema, _batches(cursor, first, schema, stack=stack, doing=doing))


def _connection(session: object, stack: ExitStack) -> psycopg.Connection[Any]:
    if isinstance(session, str):
        connection = psycopg.connect(conninfo(session))
        stack.callback(connection.close)
        connection.read_only = True
        connection.execute("SET TimeZone = 'UTC'")
        return connection
    if not isinstance(session, psycopg.Connection):
        hint = "Pass a psycopg connection or a postgresql:// URI."
        raise FixConfig("Querying PostgreSQL", f"got a {type(session).__name__}", hint=hint)
    if session.info.transaction_status is TransactionStatus.IDLE:
        stack.enter_context(session.transaction())  # a cursor on the server lives in a transaction
    return session


def _asked(
    connection: psycopg.Connection[Any], stack: ExitStack, *, sql: str, parameters: Sequence[object] | Mapping[str, object]
) -> ServerCursor[tuple[Any, ...]]:
    cursor = stack.enter_context(ServerCursor(connection, "halocline", row_factory=tuple_row))
    cursor.execute(sql, parameters or None)
    for column in cursor.description or []:
        if pa.types.is_string(_arrow(column)) and column.type_code != _NUMERIC:
            cursor.adapters.register_loader(column.type_code, _Text)
    return cursor


def _schema(cursor: ServerCursor[tuple[Any, ...]], *, doing: str) -> pa.Schema:
    columns = cursor.description or []
    refuse_twins([column.name for column in columns], doing=doing)
    return pa.schema([pa.field(column.name, _arrow(column)) for column in columns])


def _arrow(column: psycopg.Column) -> pa.DataType:
    digits, scale = column.precision or 0, column.scale or 0
    if column.type_code == _NUMERIC and 0 < digits <= 38 and 0 <= scale <= digits:
        return pa.decimal128(digits, scale)
    return _ARROW.get(column.type_code, pa.string())


def _batches(
    cursor: ServerCursor[tuple[Any, ...]], first: list[tuple[Any, ...]], schema: pa.Schema, *, stack: ExitStack, doing: str
) -> Iterator[pa.RecordBatch]:
    with stack, asking(doing):
        rows = first
        while rows:
            columns = zip(*rows, strict=True)
            arrays = [_array(values, kind) for values, kind in zip(columns, schema.types, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)
            rows = cursor.fetchmany(_BATCH_ROWS)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind) and any(isinstance(value, Decimal) for value in values):
        values = [None if value is None else format(value, "f") for value in values]
    return pa.array(values, kind)


@contextmanager
def asking(doing: str) -> Iterator[None]:
    """Turn PostgreSQL's errors into ours: what is wrong with the query into BadQuery, the rest as everywhere."""
    try:
        with gate(doing):
            try:
                yield
            except psycopg.errors.InsufficientPrivilege:
                raise
            except _MISTAKES as error:
                raise BadQuery(doing, words(error), hint=_HINT, code=error.sqlstate) from error
    except pa.ArrowException as error:
        raise BadQuery(doing, str(error), hint=_HINT) from error
