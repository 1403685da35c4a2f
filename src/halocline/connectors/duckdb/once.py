"""Once: an effect and the note that it was applied, in one transaction of a DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import duckdb

from halocline import applied
from halocline.connectors.duckdb.client import Cursor, path_of
from halocline.connectors.duckdb.errors import gate
from halocline.connectors.duckdb.open_transaction import OpenTransaction
from halocline.errors import FixConfig
from halocline.standard_sql import quoted

_SCHEMA = "main"  # of whichever database is in use: DuckDB writes to one in a transaction
_COLUMNS = "key VARCHAR PRIMARY KEY, fence BIGINT NOT NULL, applied TIMESTAMPTZ NOT NULL DEFAULT now()"
_TABLE = f"CREATE TABLE IF NOT EXISTS {{notes}} ({_COLUMNS})"
_NOTE = "INSERT INTO {notes} (key, fence) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING key"
_NOTED = "SELECT fence FROM {notes} WHERE key = ?"
_SWEEP = f"DELETE FROM {{notes}} WHERE applied < now() - INTERVAL {applied.KEPT_DAYS} DAY"


@contextmanager
def open_once(session: object, key: str, *, fence: int) -> Iterator[OpenTransaction]:
    """A connection inside a transaction that also holds the note of `key`: both are kept when the block ends well, else neither.

    `session` is a DuckDB connection that no other thread uses (`connection.cursor()` is one), or a URI, which is opened and
    closed each time. Of two runs of the same key at a time one fails when it commits.
    Raises: AlreadyApplied where the note is there; FixConfig for a connection with a transaction open, and for a block that would
    have ended ours; BrokenTransaction where it has; as the gate. What the block's own statements raise passes as it is.
    """
    key = applied.checked(key)
    doing = applied.doing(key)
    with ExitStack() as stack:
        connection = _given(session) if not isinstance(session, str) else _own(stack, session)
        with gate(doing):
            _begin(connection, key, fence)
        try:
            with _unended(connection, key) as opened:
                yield opened
            with gate(doing):
                connection.execute("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise


@contextmanager
def _unended(connection: Cursor, key: str) -> Iterator[OpenTransaction]:
    """The block, which raises at its end where it tried to end the transaction, or has, on the caller's own connection."""
    number, opened = _number(connection), OpenTransaction(connection)
    try:
        yield opened
    except Exception as error:
        if _number(connection) not in {None, number}:
            raise applied.ended(key, "DuckDB") from error
        if opened.refused:
            raise applied.refused(key, opened.refused) from error
        raise
    if _number(connection) not in {None, number}:
        raise applied.ended(key, "DuckDB")
    if opened.refused:
        raise applied.refused(key, opened.refused)


def _given(session: object) -> Cursor:
    if not isinstance(session, Cursor):
        raise FixConfig("Applying an effect once", f"got a {type(session).__name__}", hint="Pass a DuckDB connection or a URI.")
    return session


def _own(stack: ExitStack, uri: str) -> Cursor:
    path = path_of(uri)
    with gate(f"Opening the DuckDB database {path}"):
        connection = duckdb.connect(path)
    stack.callback(connection.close)
    return connection


def _begin(connection: Cursor, key: str, fence: int) -> None:
    if _is_open(connection):
        raise applied.open_already("DuckDB")
    ((database,),) = connection.execute("SELECT current_database()").fetchall()
    notes = quoted(database, _SCHEMA, applied.TABLE)
    connection.execute("BEGIN TRANSACTION")
    try:
        _note(connection, notes, key=key, fence=fence)
    except duckdb.CatalogException:  # the table is not there yet
        _roll_back(connection)
        with suppress(duckdb.TransactionException):  # another run makes it at the same instant
            connection.execute(_TABLE.format(notes=notes))
        connection.execute("BEGIN TRANSACTION")
        _note(connection, notes, key=key, fence=fence)


def _is_open(connection: Cursor) -> bool:
    """Whether a transaction is open: two statements then have one number. A BEGIN that is refused would abort it (DuckDB 2.0)."""
    first = _number(connection)
    return first is None or first == _number(connection)


def _number(connection: Cursor) -> int | None:
    """The number of the transaction; None for one that was aborted, and so can only be undone."""
    try:
        ((number,),) = connection.execute("SELECT txid_current()").fetchall()
    except duckdb.TransactionException:
        return None
    return int(number)


def _note(connection: Cursor, notes: str, *, key: str, fence: int) -> None:
    try:
        is_new = connection.execute(_NOTE.format(notes=notes), [key, fence]).fetchall()
        noted = [] if is_new else connection.execute(_NOTED.format(notes=notes), [key]).fetchall()
        if is_new and applied.is_sweeper(key):
            connection.execute(_SWEEP.format(notes=notes))
    except BaseException:
        _roll_back(connection)
        raise
    if not is_new:
        _roll_back(connection)
        raise applied.already(key, fence=fence, noted=noted[0][0] if noted else None)


def _roll_back(connection: Cursor) -> None:
    with suppress(duckdb.Error):  # DuckDB has already rolled back what it could not go on with
        connection.execute("ROLLBACK")
