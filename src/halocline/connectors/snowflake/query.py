"""Queries: what a Snowflake answers, as a stream of Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pyarrow as pa
from snowflake.connector.errors import Error, ProgrammingError

from halocline.connectors.snowflake.client import connected
from halocline.connectors.snowflake.errors import NO_WAREHOUSE, gate, translated, words
from halocline.errors import BadQuery, FixConfig, NotFound, SchemaConflict
from halocline.snapshot_source import refuse_twins

_DOING = "Querying Snowflake"
_HINT = "Nothing was written; correct the query and run it again."
_MISTAKES = (FixConfig, NotFound, SchemaConflict)  # these, and no kinds of them
_FIXED, _TEXT = 0, pa.string()
_WHOLE_DIGITS = 18  # of a number that 64 bits hold for sure
_ARROW: Mapping[int, pa.DataType] = {
    1: pa.float64(),
    3: pa.date32(),
    4: pa.timestamp("us"),
    6: pa.timestamp("us", "UTC"),
    7: pa.timestamp("us", "UTC"),
    8: pa.timestamp("us"),
    11: pa.binary(),
    12: pa.time64("us"),
    13: pa.bool_(),
}
"""Arrow types by the connector's type codes. All else is text: VARIANT, OBJECT and ARRAY as JSON.

Source: "Type codes", https://docs.snowflake.com/en/developer-guide/python-connector/python-connector-api (unverified).
"""


def open_query(
    session: object,
    sql: str,
    *,
    parameters: Sequence[object] | Mapping[str, object] = (),
    memory_limit: str | None = None,  # noqa: ARG001 - of an embedded database; this one has a server
) -> pa.RecordBatchReader:
    """The rows that a query answers, as they come. Placeholders are those of the connection: `%s`, `%(name)s` for a URI.

    A URI's connection is closed at the end of the stream. What was handed in is used itself, for its temporary tables and its
    transaction, and must be left alone until the end. Numbers are decimals or whole, never floats; instants are in UTC.
    Raises: BadQuery with Snowflake's own words, also while rows come; LoginRefused; NetworkFailed; FixConfig.
    """
    stack = ExitStack()
    try:
        with _asking():
            cursor = _asked(session, stack, sql=sql, parameters=parameters)
            schema = _schema(cursor.description or ())
    except BaseException:
        stack.close()
        raise
    return pa.RecordBatchReader.from_batches(schema, _batches(cursor, schema, stack=stack))


def _asked(session: object, stack: ExitStack, *, sql: str, parameters: Sequence[object] | Mapping[str, object]) -> Any:
    connection = connected(session)
    if isinstance(session, str):
        stack.callback(connection.close)
    else:
        stack.enter_context(_exact(connection))
    cursor = connection.cursor()
    stack.callback(_closed, cursor)
    cursor.execute(sql, parameters or None)
    return cursor


@contextmanager
def _exact(connection: Any) -> Iterator[None]:
    """Have numbers as decimals from a connection that was handed in, and leave it as it was."""
    setting = getattr(type(connection), "arrow_number_to_decimal", None)
    readable_only = isinstance(setting, property) and setting.fset is None  # in 4.x it is written under another name
    name = "arrow_number_to_decimal_setter" if readable_only else "arrow_number_to_decimal"
    before = connection.arrow_number_to_decimal
    setattr(connection, name, True)
    try:
        yield
    finally:
        setattr(connection, name, before)


def _closed(cursor: Any) -> None:
    with suppress(Error):
        cursor.close()


def _schema(columns: Sequence[Any]) -> pa.Schema:
    refuse_twins([str(column[0]) for column in columns], doing=_DOING)
    return pa.schema([pa.field(str(column[0]), _arrow(column)) for column in columns])


def _arrow(column: Sequence[Any]) -> pa.DataType:
    kind, digits, scale = column[1], int(column[4] or 38), int(column[5] or 0)
    if kind != _FIXED:
        return _ARROW.get(kind, _TEXT)
    return pa.int64() if scale == 0 and digits <= _WHOLE_DIGITS else pa.decimal128(digits, scale)


def _batches(cursor: Any, schema: pa.Schema, *, stack: ExitStack) -> Iterator[pa.RecordBatch]:
    with stack, _asking():
        for table in cursor.fetch_arrow_batches():
            pairs = zip(table.columns, schema.types, strict=True)
            columns = [column.cast(kind, safe=not _time(kind)) for column, kind in pairs]
            yield from pa.table(columns, schema=schema).to_batches()


def _time(kind: pa.DataType) -> bool:
    """Whether digits of a second beyond the sixth may go."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_time(kind))


@contextmanager
def _asking() -> Iterator[None]:
    """Turn Snowflake's errors into ours: what is wrong with the query into BadQuery, the rest as everywhere."""
    try:
        with gate(_DOING):
            try:
                yield
            except ProgrammingError as error:
                known = translated(_DOING, error)
                if type(known) in _MISTAKES and error.errno != NO_WAREHOUSE:
                    raise BadQuery(_DOING, words(error), hint=_HINT, code=known.code) from error
                raise
    except pa.ArrowException as error:
        raise BadQuery(_DOING, str(error), hint=_HINT) from error
