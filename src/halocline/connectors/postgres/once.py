"""Once: an effect and the note that it was applied, in one transaction of a PostgreSQL."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.errors import DuplicateTable, InsufficientPrivilege, InvalidSchemaName, UndefinedTable, UniqueViolation
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from halocline import applied
from halocline.connectors.postgres.client import LOCK_TIMEOUT_S, conninfo
from halocline.connectors.postgres.errors import gate, words
from halocline.errors import AccessDenied, FixConfig

Connection = psycopg.Connection[Any]
_NOTES = f"public.{applied.TABLE}"  # named in full: what a session's search_path is must not decide what was applied
_TABLE = f"CREATE TABLE {_NOTES} (key text PRIMARY KEY, fence bigint NOT NULL, applied timestamptz NOT NULL DEFAULT now())"
_INDEX = f"CREATE INDEX ON {_NOTES} (applied)"
_MAKE = f"Have somebody make it who may: {_TABLE}; {_INDEX}; GRANT SELECT, INSERT, UPDATE, DELETE ON {_NOTES} TO the_user."
# Another run of the same message may have its transaction open: its end is waited for, but not for ever.
_PATIENCE = f"SELECT set_config('lock_timeout', '{LOCK_TIMEOUT_S}s', true) WHERE current_setting('lock_timeout') = '0'"
_NOTE = (
    f"WITH patience AS MATERIALIZED ({_PATIENCE}) INSERT INTO {_NOTES} (key, fence)"
    " SELECT %s, %s FROM (SELECT count(*) FROM patience) AS waited ON CONFLICT (key) DO NOTHING RETURNING key"
)
_NOTED = f"SELECT fence FROM {_NOTES} WHERE key = %s"
_SWEEP = (
    f"DELETE FROM {_NOTES} WHERE key IN (SELECT key FROM {_NOTES}"
    f" WHERE applied < now() - interval '{applied.KEPT_DAYS} days' LIMIT {applied.SWEPT} FOR UPDATE SKIP LOCKED)"
)
# All of DISCARD ALL but DEALLOCATE: the driver knows what it has prepared. RESET ALL leaves out the role.
# Source: https://www.postgresql.org/docs/18/sql-discard.html, https://www.postgresql.org/docs/18/sql-set-role.html.
_ANEW = (
    "SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all();"
    " DISCARD SEQUENCES; DISCARD TEMP"
)
_KEPT = ("row_factory", "cursor_factory", "server_cursor_factory", "prepare_threshold")  # what a handler may set on a connection


@contextmanager
def open_once(session: object, key: str, *, fence: int) -> Iterator[Connection]:
    """A connection inside a transaction that also holds the note of `key`: both are kept when the block ends well, else neither.

    `session` is a psycopg connection without a transaction open, or a URI, whose connections are kept for the next. Two runs of
    the same key at a time wait for each other, for as long as the server's or the session's lock_timeout says, else 30 s.
    Raises: AlreadyApplied where the note is there; FixConfig for a connection that cannot be used; BrokenTransaction for a block
    that ended the transaction; as the gate. What the block's own statements raise passes as it is.
    """
    key = applied.checked(key)
    with ExitStack() as stack:
        connection = _given(session) if not isinstance(session, str) else _own(stack, session)
        with gate(applied.doing(key)):
            stack.push(_begun(connection, key, fence))
        with _unended(connection, key):
            yield connection


def _given(session: object) -> Connection:
    if not isinstance(session, psycopg.Connection):
        hint = "Pass a psycopg connection (not an asynchronous one) or a postgresql:// URI."
        raise FixConfig("Applying an effect once", f"got a {type(session).__name__}", hint=hint)
    if session.info.transaction_status not in {TransactionStatus.IDLE, TransactionStatus.UNKNOWN}:
        raise applied.open_already("PostgreSQL")
    return session


def _begun(connection: Connection, key: str, fence: int) -> Any:
    """The transaction, with the note in it; the table is made if it is not there."""
    try:
        return _noted(connection, key, fence)
    except UndefinedTable:
        _make(connection)
        return _noted(connection, key, fence)


def _make(connection: Connection) -> None:
    try:
        with connection.transaction():
            connection.execute(_TABLE)
            connection.execute(_INDEX)
    except (DuplicateTable, UniqueViolation):  # another run made it at the same instant
        return
    except (InsufficientPrivilege, InvalidSchemaName) as error:
        raise AccessDenied("Making the table of what was applied", words(error), hint=_MAKE, code=error.sqlstate) from error


@contextmanager
def _unended(connection: Connection, key: str) -> Iterator[None]:
    """The block, which raises at its end where a statement of its own ended the transaction (the driver refuses `commit()`)."""
    try:
        yield
    except Exception as error:
        if _is_idle(connection):
            raise applied.ended(key, "PostgreSQL") from error
        raise
    if _is_idle(connection):
        raise applied.ended(key, "PostgreSQL")


def _is_idle(connection: Connection) -> bool:
    return connection.info.transaction_status is TransactionStatus.IDLE


def _noted(connection: Connection, key: str, fence: int) -> Any:
    with ExitStack() as stack:
        transaction = connection.transaction()
        stack.enter_context(transaction)
        cursor = psycopg.Cursor(connection, row_factory=tuple_row)  # whatever the connection's own make of a row
        if not cursor.execute(_NOTE, (key, fence)).fetchall():
            rows = cursor.execute(_NOTED, (key,)).fetchall()
            raise applied.already(key, fence=fence, noted=rows[0][0] if rows else None)
        if applied.is_sweeper(key):
            connection.execute(_SWEEP)
        return stack.pop_all()


def _own(stack: ExitStack, uri: str) -> Connection:
    """A connection of ours, put back when the stack ends if it can be used again."""
    idle = _idle(conninfo(uri), os.getpid())
    with gate("Opening PostgreSQL"):
        connection = idle.taken()
    stack.callback(idle.put_back, connection)
    return connection


class _Idle:
    """Connections to one database that nobody uses just now."""

    def __init__(self, known: str) -> None:
        self._known = known
        self._connections: list[Connection] = []
        self._fresh: dict[str, Any] = {}

    def taken(self) -> Connection:
        """One that the server still knows, or a new one."""
        while True:
            try:
                connection = self._connections.pop()
            except IndexError:
                connection = psycopg.connect(self._known, autocommit=True)
                self._fresh = {name: getattr(connection, name) for name in _KEPT}
                return connection
            try:
                connection.execute("")  # asks nothing, but notices a connection that was lost
            except psycopg.OperationalError:
                connection.close()
                continue
            return connection

    def put_back(self, connection: Connection) -> None:
        """Keep it for the next message, as new: what a handler set for its session ends with it."""
        with suppress(psycopg.Error):  # it was lost since the commit, which stands
            if _is_idle(connection):
                for name, value in self._fresh.items():
                    setattr(connection, name, value)
                connection.execute(_ANEW, prepare=False)
                self._connections.append(connection)
                return
        connection.close()

    def close(self) -> None:
        while self._connections:
            self._connections.pop().close()


@lru_cache(maxsize=32)
def _idle(known: str, _process: int) -> _Idle:
    """The idle connections of this process."""
    made = _Idle(known)
    atexit.register(made.close)
    return made
