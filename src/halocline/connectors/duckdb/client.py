"""Database: an open DuckDB and its cursors, whoever opened it; and how names and texts are written into SQL."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import duckdb

from halocline.connectors.duckdb.errors import gate
from halocline.errors import FixConfig
from halocline.place import can_be_made
from halocline.sql_transaction import in_transaction
from halocline.standard_sql import literal

Cursor: TypeAlias = duckdb.DuckDBPyConnection
"""A connection, or one of its cursors: DuckDB makes no difference."""

_SCHEME = "duckdb:"
_MEMORY = ":memory:"
# Measured with 80 columns of 32 characters (1.1 GB of CSV): 2 and 8 threads load it in 512 MB, 16 do not; the keys of 30
# million rows are told apart in it.
OWN_MEMORY, OWN_THREADS = "512MB", 4
# A connection refuses a call while another thread is in one, be it the making of a cursor; cursors do not disturb each other.
_AT_THE_CONNECTION = threading.Lock()


def path_of(uri: str) -> str:
    """The file that a `duckdb:` URI names: three slashes before a relative path, four before an absolute one.

    Raises: FixConfig when the URI has no path, or asks for options that we do not know.
    """
    rest = uri[len(_SCHEME) :] if uri.lower().startswith(_SCHEME) else uri
    path = rest[3:] if rest.startswith("///") else rest
    shown = uri.partition("?")[0]  # what follows may hold a token
    if not path or path.startswith("//"):
        hint = "Write duckdb:///lake.duckdb for a file beside you, duckdb:////data/lake.duckdb for an absolute path."
        raise FixConfig("Opening DuckDB", f"{shown!r} names no database file", hint=hint)
    if "?" in path:
        hint = f"Write {shown}; settings are HALOCLINE_DUCKDB_MEMORY, or those of a connection that you open and pass."
        raise FixConfig("Opening DuckDB", f"{shown!r} goes on with options after a '?', and takes none", hint=hint)
    return path


@dataclass(frozen=True, slots=True)
class Database:
    """An open database: new tables go to `catalog`, and to `schema` where a target names none.

    `owned` says whether we opened the connection, and so close it.
    """

    connection: Cursor
    catalog: str
    schema: str
    owned: bool

    @contextmanager
    def cursor(self) -> Iterator[Cursor]:
        """A connection of its own to the same database: the user's transaction, schema and settings stay as they are.

        Its time zone is UTC, because a stamp without an offset would be read in the session's zone.
        Source: "Python DB API", section on threads and cursors, https://duckdb.org/docs/stable/guides/python/multiple_threads
        """
        with gate("Using the DuckDB connection"), _AT_THE_CONNECTION:
            cursor = self.connection.cursor()
        try:
            cursor.execute("SET TimeZone = 'UTC'")
            yield cursor
        finally:
            cursor.close()

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """A cursor inside a transaction: committed when the block ends well, else rolled back."""
        with self.cursor() as cursor, in_transaction(cursor, begin="BEGIN TRANSACTION", failure=duckdb.Error):
            yield cursor

    def close(self) -> None:
        """Close the connection if it is ours; the write-ahead log then goes into the file."""
        if self.owned:
            with gate("Closing the DuckDB database"):
                self.connection.close()


def open_database(
    session: object, *, memory_limit: str | None, threads: int | None, folder: Path, read_only: bool = False
) -> Database:
    """The database behind a connection, a path or a `duckdb:` URI; `read_only` makes no file and takes no lock against readers.

    The limits hold for the whole database, so a user's own connection keeps its settings unless they are given. A database
    that we open and nobody sets limits for gets OWN_MEMORY and at most OWN_THREADS: its memory then stays flat.
    `folder` takes what does not fit into the memory of a database without a file.
    Raises: FixConfig for a missing folder or a bad setting, RetryLater for a locked file, StorageFailed for a damaged one.
    """
    owned = isinstance(session, str)
    connection = _connect(session, read_only=read_only) if isinstance(session, str) else _user_connection(session)
    try:
        with gate("Preparing the DuckDB connection"), _AT_THE_CONNECTION:
            if owned and memory_limit is None:
                memory_limit, threads = OWN_MEMORY, threads or min(OWN_THREADS, os.cpu_count() or 1)
            _limit(connection, memory_limit=memory_limit, threads=threads)
            if owned:
                _tune(connection, folder)
            catalog, schema = rows(connection, "SELECT current_database(), current_schema()")[0]
    except BaseException:
        if owned:
            connection.close()
        raise
    return Database(connection, str(catalog), str(schema), owned)


def unmade(session: object) -> Path | None:
    """The file that a URI names and that opening it would make; None where it is there, or is not surely to be made.

    Only of a plain path, which DuckDB takes as it is: not of one with links, `..` or `~`, which it knows by another name.
    """
    path = path_of(session) if isinstance(session, str) else _MEMORY
    if ":" in path or path.startswith("~") or str(Path(path).absolute()) != os.path.realpath(path):
        return None
    file = Path(path).absolute()
    return file if not file.exists() and can_be_made(file) else None


def rows(cursor: Cursor, sql: str, *, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
    """The rows that a statement answers, all of them."""
    return cursor.execute(sql, list(values)).fetchall()


def number(cursor: Cursor, sql: str, *, values: Sequence[object] = ()) -> int:
    """The one number that a statement answers: a count, or the rows that it touched."""
    return int(str(rows(cursor, sql, values=values)[0][0]))


def _connect(uri: str, *, read_only: bool) -> Cursor:
    path = path_of(uri)
    if read_only and (path == _MEMORY or not Path(path).exists()):
        return duckdb.connect(_MEMORY)  # what is not there yet is as empty as this
    with gate(f"Opening the DuckDB database {path}"):
        return duckdb.connect(path, read_only=read_only)


def _user_connection(session: object) -> Cursor:
    if not isinstance(session, Cursor):
        raise FixConfig("Opening DuckDB", f"got a {type(session).__name__}", hint="Pass a DuckDB connection or a duckdb: URI.")
    return session


def _limit(connection: Cursor, *, memory_limit: str | None, threads: int | None) -> None:
    if memory_limit is not None:
        connection.execute(f"SET memory_limit = {literal(memory_limit)}")
    if threads is not None:
        connection.execute(f"SET threads = {int(threads)}")


def _tune(connection: Cursor, folder: Path) -> None:
    # A table has no order, and keeping that of the files makes DuckDB insert on one thread:
    # measured 2.5 s against 3.3 s for a million rows of 20 columns on two cores.
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET enable_progress_bar = false")  # without a script it draws one into our standard output
    if not rows(connection, "SELECT path FROM duckdb_databases() WHERE database_name = current_database()")[0][0]:
        connection.execute(f"SET temp_directory = {literal(str(folder / 'duckdb-temp'))}")
