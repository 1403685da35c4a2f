"""Transactions: an effect and the note that it was applied, kept together in the handler's own database.

A store of claims elsewhere can only narrow the window between an effect and the word about it. Here there is none: the key of a
message is a row with a unique key, written in the transaction of the effect. Of two runs of a message, whichever they are, one
commits, and the other is told so.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from halocline import applied
from halocline.config import resolved
from halocline.consume.handling.open_sqlite import OpenSqlite
from halocline.errors import FixConfig, RetryLater, StorageFailed
from halocline.registry import open_once

_SQLITE = "sqlite:///"
_MARK = "_halocline_once"
_BUSY_S = 30.0  # seconds to wait for another's transaction
_TABLE = (
    f"CREATE TABLE IF NOT EXISTS main.{applied.TABLE}"
    " (key TEXT PRIMARY KEY, fence INTEGER NOT NULL, applied TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)"
)
_NOTE = f"INSERT INTO main.{applied.TABLE} (key, fence) VALUES (?, ?) ON CONFLICT DO NOTHING"
_NOTED = f"SELECT fence FROM main.{applied.TABLE} WHERE key = ?"
_SWEEP = f"DELETE FROM main.{applied.TABLE} WHERE applied < datetime('now', '-{applied.KEPT_DAYS} days')"


def once_in(place: object, key: str, *, fence: int = 0) -> AbstractContextManager[Any]:
    """A connection inside a transaction that also holds the note of `key`: both are kept when the block ends well, else neither.

    `place` is an open connection without a transaction (psycopg, `sqlite3`, DuckDB), which stays open, or a URI (`postgresql://`,
    `sqlite:///file`, `duckdb:///file`), also as `env:NAME` or `aws-sm:NAME#KEY`. The note is a row of the table
    `_halocline_applied` (in the schema `public` of PostgreSQL, `main` of the others), made when it is not there, and is kept for
    15 days. `fence` is the number of the run: of two transactions with one number and key the second is a mistake.
    Raises: AlreadyApplied at the beginning, where the note is there; FixConfig for a place that cannot be used, for no key, and
    for a block that would have ended the transaction; BrokenTransaction where it has; as the database's own, when it begins and
    commits. Threads that share a connection wait for each other's block. Of SQLite and DuckDB the block gets the connection
    behind a watch, which refuses what would end the transaction.
    """
    meant = resolved(place)
    if isinstance(meant, str):
        return _in_sqlite(meant, key, fence) if meant.lower().startswith(_SQLITE) else open_once(meant, key, fence=fence)
    return _in_turn(meant, key, fence)


@dataclass(slots=True)
class _Turn:
    """Whose turn it is on a connection, and how many threads have it or wait for it."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    threads: int = 0


_turns: dict[int, _Turn] = {}  # by the connection's id, as long as a thread has it
_turns_lock = threading.Lock()


@contextmanager
def _in_turn(connection: Any, key: str, fence: int) -> Iterator[Any]:
    """The transaction, once no other thread has one on this connection: handlers may share it."""
    with _turns_lock:
        turn = _turns.setdefault(id(connection), _Turn())
        turn.threads += 1
    try:
        with turn.lock:
            is_sqlite = isinstance(connection, sqlite3.Connection)
            block = _in_sqlite(connection, key, fence) if is_sqlite else open_once(connection, key, fence=fence)
            with block as opened:
                yield opened
    finally:
        with _turns_lock:
            turn.threads -= 1
            if not turn.threads:
                del _turns[id(connection)]


@contextmanager
def _in_sqlite(place: sqlite3.Connection | str, key: str, fence: int) -> Iterator[OpenSqlite]:
    key = applied.checked(key)
    doing = applied.doing(key)
    with ExitStack() as stack:
        connection = place if isinstance(place, sqlite3.Connection) else _own(stack, place, doing)
        if connection.in_transaction:
            raise applied.open_already("SQLite")
        with _gate(doing):
            connection.execute("BEGIN IMMEDIATE")
        stack.callback(_roll_back, connection)
        with _gate(doing):
            _note(connection, key, fence)
        with _unended(connection, key) as opened:
            yield opened
        with _gate(doing):
            connection.execute("COMMIT")


def _own(stack: ExitStack, uri: str, doing: str) -> sqlite3.Connection:
    path = uri[len(_SQLITE) :]
    if not path:
        raise FixConfig(doing, "the URI names no file", hint="Write sqlite:///file, with four slashes for an absolute path.")
    with _gate(doing):
        connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)
    stack.callback(connection.close)
    return connection


def _note(connection: sqlite3.Connection, key: str, fence: int) -> None:
    connection.execute(_TABLE)
    if not connection.execute(_NOTE, (key, fence)).rowcount:
        ((noted,),) = connection.execute(_NOTED, (key,)).fetchall()
        raise applied.already(key, fence=fence, noted=noted)
    if applied.is_sweeper(key):
        connection.execute(_SWEEP)


@contextmanager
def _unended(connection: sqlite3.Connection, key: str) -> Iterator[OpenSqlite]:
    """The block, which raises at its end where it tried to end the transaction, or has: what it took for kept is not."""
    connection.execute(f"SAVEPOINT {_MARK}")
    opened = OpenSqlite(connection)
    try:
        yield opened
    except Exception as error:
        if opened.refused:
            raise applied.refused(key, opened.refused) from error
        if not isinstance(error, sqlite3.Error) and not _is_ours(connection):  # a full disk, too, ends it: then nothing is kept
            raise applied.ended(key, "SQLite") from error
        raise
    if opened.refused:
        raise applied.refused(key, opened.refused)
    if not _is_ours(connection):
        raise applied.ended(key, "SQLite")


def _is_ours(connection: sqlite3.Connection) -> bool:
    """Whether the transaction is the one that was begun: its mark is there. A driver begins another without being asked."""
    try:
        connection.execute(f"RELEASE {_MARK}")
    except sqlite3.Error:
        return False
    return True


def _is_open(connection: sqlite3.Connection) -> bool:
    try:
        return connection.in_transaction
    except sqlite3.ProgrammingError:  # closed
        return False


def _roll_back(connection: sqlite3.Connection) -> None:
    if _is_open(connection):
        connection.execute("ROLLBACK")


@contextmanager
def _gate(doing: str) -> Iterator[None]:
    """Our error for SQLite's; those of the handler's own statements pass as they are."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise RetryLater(doing, str(error), hint="Another transaction is open for long; it is tried again.") from error
        raise StorageFailed(doing, str(error), hint="Look at the file and its disk.") from error
    except sqlite3.Error as error:
        raise StorageFailed(doing, str(error), hint="Look at the file and its disk.") from error
