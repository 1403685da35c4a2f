"""Once: an effect and the note that it was applied, in one transaction of a SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from halocline import applied
from halocline.connectors.sqlite.open_transaction import OpenTransaction
from halocline.errors import FixConfig, RetryLater, StorageFailed

_URI = "sqlite:///"
_MARK = "_halocline_once"
_BUSY_S = 30.0  # seconds to wait for another's transaction
_TABLE = (
    f"CREATE TABLE IF NOT EXISTS main.{applied.TABLE}"
    " (key TEXT PRIMARY KEY, fence INTEGER NOT NULL, applied TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)"
)
_NOTE = f"INSERT INTO main.{applied.TABLE} (key, fence) VALUES (?, ?) ON CONFLICT DO NOTHING"
_NOTED = f"SELECT fence FROM main.{applied.TABLE} WHERE key = ?"
_SWEEP = f"DELETE FROM main.{applied.TABLE} WHERE applied < datetime('now', '-{applied.KEPT_DAYS} days')"


@contextmanager
def open_once(session: object, key: str, *, fence: int) -> Iterator[OpenTransaction]:
    """A connection inside a transaction that also holds the note of `key`: both are kept when the block ends well, else neither.

    `session` is a connection that no other thread uses meanwhile, or a URI, whose file is opened and closed each time.
    Raises: AlreadyApplied where the note is there; FixConfig for a connection with a transaction open, and for a block that would
    have ended ours; BrokenTransaction where it has; RetryLater, StorageFailed. What the block's own statements raise passes as it
    is.
    """
    key = applied.checked(key)
    doing = applied.doing(key)
    with ExitStack() as stack:
        connection = session if isinstance(session, sqlite3.Connection) else _own(stack, str(session), doing)
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
    path = uri[len(_URI) :]
    if not path or not uri.lower().startswith(_URI):
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
def _unended(connection: sqlite3.Connection, key: str) -> Iterator[OpenTransaction]:
    """The block, which raises at its end where it tried to end the transaction, or has: what it took for kept is not."""
    connection.execute(f"SAVEPOINT {_MARK}")
    opened = OpenTransaction(connection)
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
