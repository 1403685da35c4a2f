"""Queries: what a DuckDB answers, as a stream of Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

import duckdb
import pyarrow as pa

from halocline.connectors.duckdb.client import Cursor, open_database, path_of
from halocline.connectors.duckdb.errors import gate
from halocline.errors import BadQuery, FixConfig, NotFound
from halocline.foreign_table import sendable
from halocline.mapping.near import near
from halocline.snapshot_source import refuse_twins

_BATCH_ROWS = 5_000  # rows may be wide: of 5,000 characters each, this many are 25 MB
_NOWHERE = ":memory:"


def open_query(
    session: object,
    sql: str,
    *,
    parameters: Sequence[object] | Mapping[str, object] = (),
    memory_limit: str | None = None,
) -> pa.RecordBatchReader:
    """The rows that a query answers, as they come. A file is opened for reading only, and closed at the end of the stream.

    A live connection is used itself, for its temporary tables and its transaction, and must be left alone until the end; the
    `memory_limit` is that of a file.
    HUGEINT, which sums of integers are, is a decimal; a TIMESTAMP without time zone stays one.
    Raises: BadQuery with DuckDB's own words, also while rows come; NotFound for a file that is not there; FixConfig.
    """
    if isinstance(session, str):
        connection, doing = opened(session, memory_limit=memory_limit), f"Querying {Path(path_of(session)).name}"
    elif isinstance(session, Cursor):
        connection, doing = session, "Querying the DuckDB connection"
    else:
        raise FixConfig("Querying DuckDB", f"got a {type(session).__name__}", hint="Pass a DuckDB connection or a duckdb: URI.")
    owned = isinstance(session, str)
    try:
        with asking(doing):
            reader = _asked(connection, sql, parameters=parameters, doing=doing).to_arrow_reader(_BATCH_ROWS)
    except BaseException:
        if owned:
            connection.close()
        raise
    return pa.RecordBatchReader.from_batches(reader.schema, _batches(reader, connection if owned else None, doing=doing))


def opened(uri: str, *, memory_limit: str | None) -> Cursor:
    """A connection to the file of a URI, for reading only.

    Raises: NotFound for a file that is not there; FixConfig; RetryLater for a locked file, StorageFailed for a damaged one.
    """
    path = path_of(uri)
    doing = f"Opening the DuckDB database {path}"
    if path.endswith(_NOWHERE):
        raise FixConfig(
            doing, "a new database in memory holds no rows", hint="Name a file, or pass a DuckDB connection of yours."
        )
    file = Path(path)
    if file.is_dir():
        raise FixConfig(doing, "it is a folder", hint="Name the database file in it.")
    if not file.exists():
        beside = [one.name for one in file.parent.iterdir()] if file.parent.is_dir() else []
        hint = "An absolute path takes four slashes: duckdb:////data/lake.duckdb."
        raise NotFound(doing, "there is no such file", suggestions=near(file.name, beside), hint=hint)
    folder = Path(gettempdir())
    database = open_database(uri, memory_limit=memory_limit, threads=None, folder=folder, read_only=True)
    try:
        with gate(doing):
            # Rows are numbered as they come, so the same question is to answer them in the same order.
            database.connection.execute("SET preserve_insertion_order = true")
            # A name in the query means a table, no variable of ours.
            database.connection.execute("SET python_enable_replacements = false")
    except BaseException:
        database.close()
        raise
    return database.connection


def _asked(
    connection: Cursor, sql: str, *, parameters: Sequence[object] | Mapping[str, object], doing: str
) -> duckdb.DuckDBPyRelation:
    """What the query answers, with columns that can be sent."""
    values: object = dict(parameters) if isinstance(parameters, Mapping) else list(parameters)
    asked = connection.sql(sql, params=values) if parameters else connection.sql(sql)
    if asked is None:
        raise BadQuery(doing, "the statement answers no rows", hint="Pass SQL that answers rows: SELECT ...")
    refuse_twins(asked.columns, doing=doing)
    readable: duckdb.DuckDBPyRelation = sendable(asked)
    return readable


def _batches(reader: pa.RecordBatchReader, owned: Cursor | None, *, doing: str) -> Iterator[pa.RecordBatch]:
    try:
        with asking(doing):
            yield from reader
    finally:
        if owned is not None:
            reader.close()
            owned.close()


@contextmanager
def asking(doing: str) -> Iterator[None]:
    """Turn DuckDB's errors into ours: what is wrong with the query into BadQuery, the rest as everywhere."""
    try:
        with gate(doing):
            try:
                yield
            except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
                raise BadQuery(doing, _words(error), hint="Nothing was written; correct the query and run it again.") from error
    except (pa.ArrowException, OSError) as error:
        raise BadQuery(doing, _words(error), hint="Nothing was written; correct the query and run it again.") from error


def _words(error: Exception) -> str:
    return " ".join(str(error).split("\n\n", maxsplit=1)[0].split())
