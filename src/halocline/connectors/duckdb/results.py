"""DuckDBResults: the tables of what became of pushed rows, in a DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

import duckdb
import pyarrow as pa

from halocline.connectors.duckdb.client import Cursor, open_database, rows
from halocline.connectors.duckdb.errors import gate
from halocline.errors import FixConfig, StorageFailed
from halocline.push.tables import FAILURE, JOB_INFO, SUCCESS, TABLES, Part
from halocline.standard_sql import quoted

_DOING = "Writing the result tables"
_OPEN_ELSEWHERE = "Can't open a connection to same database file with a different configuration"
_ONE_CONNECTION = "Pass that connection for both, the query and the results; it must not be read-only."
_WRITABLE = "Open the database for writing and pass that connection, or leave the tables out; nothing was sent."
_TYPES = {pa.string(): "VARCHAR", pa.int64(): "BIGINT", pa.bool_(): "BOOLEAN", pa.timestamp("us", "UTC"): "TIMESTAMPTZ"}


class DuckDBResults:
    """The tables in `schema` (`LOGS`, or `catalog.LOGS`) of the DuckDB behind a connection or a `duckdb:` URI.

    Schema and tables are made here, so that what cannot be written is told before anything is sent; a table that LHT made gets
    our columns. Work is done on a cursor: a transaction that the connection's owner has open is not touched.
    `memory_limit` is DuckDB's own; see `open_database`.
    Raises: FixConfig where the file is open already in this process, StorageFailed where it cannot be written.
    """

    def __init__(self, session: object, schema: str, *, memory_limit: str | None = None) -> None:
        self._place = _parts(schema)
        with _one_connection(session):
            self._database = open_database(session, memory_limit=memory_limit, threads=None, folder=Path(gettempdir()))
        try:
            with gate(_DOING), self._database.transaction() as cursor:
                self._refuse_reading_only(cursor)
                cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(*self._place)}")
                for name, columns in TABLES.items():
                    self._make(cursor, name, columns)
        except BaseException:
            self._database.close()
            raise

    def put(self, part: Part) -> None:
        """See `ResultTables.put`."""
        with gate(_DOING), self._database.transaction() as cursor:
            jobs = f"DELETE FROM {self._table(JOB_INFO)} WHERE CHUNK = ? AND list_contains(?, RUN)"
            cursor.execute(jobs, [part.chunk, list(part.runs)])
            self._drop_told(cursor, part)
            for name, lines in part.tables.items():
                if lines.num_rows:
                    cursor.register("halocline_lines", lines)
                    cursor.execute(f"INSERT INTO {self._table(name)} BY NAME SELECT * FROM halocline_lines")
                    cursor.unregister("halocline_lines")

    def close(self) -> None:
        """See `ResultTables.close`."""
        self._database.close()

    def _drop_told(self, cursor: Cursor, part: Part) -> None:
        """Take out what was told of the same rows before."""
        numbers = part.told_again
        if not numbers:
            return
        cursor.register("halocline_rows", pa.table({"number": pa.array(numbers, pa.int64())}))
        for name in (SUCCESS, FAILURE):
            told = "list_contains(?, RUN) AND ROW IN (SELECT number FROM halocline_rows)"
            cursor.execute(f"DELETE FROM {self._table(name)} WHERE {told}", [list(part.instead_of)])
        cursor.unregister("halocline_rows")

    def _make(self, cursor: Cursor, name: str, columns: pa.Schema) -> None:
        typed = [f"{quoted(column.name)} {_TYPES[column.type]}" for column in columns]
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {self._table(name)} ({', '.join(typed)})")
        for column in typed:
            cursor.execute(f"ALTER TABLE {self._table(name)} ADD COLUMN IF NOT EXISTS {column}")

    def _table(self, name: str) -> str:
        return quoted(*self._place, name)

    def _refuse_reading_only(self, cursor: Cursor) -> None:
        catalog = self._place[0] if len(self._place) > 1 else self._database.catalog
        sql = "SELECT readonly FROM duckdb_databases() WHERE database_name = ?"
        if any(readonly for (readonly,) in rows(cursor, sql, values=[catalog])):
            cause = f"the connection to {catalog} is read-only"
            raise StorageFailed(_DOING, cause, hint=_WRITABLE)


def _parts(schema: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in schema.split("."))
    if not all(parts) or len(parts) > 2:
        raise FixConfig(_DOING, f"{schema!r} names no schema", hint="Write LOGS, or catalog.LOGS.")
    return parts


@contextmanager
def _one_connection(session: object) -> Iterator[None]:
    """Say what to do where this process has the file open in another way: DuckDB lets it be open in one way only."""
    try:
        yield
    except Exception as error:
        cause = error.__cause__
        if not isinstance(cause, duckdb.Error) or _OPEN_ELSEWHERE not in str(cause):
            raise
        shown = session if isinstance(session, str) else "the database"
        told = f"{shown} is open in this process already, in another way (perhaps read-only)"
        raise FixConfig(_DOING, told, hint=_ONE_CONNECTION) from error
