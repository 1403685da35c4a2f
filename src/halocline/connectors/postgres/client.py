"""Database: a PostgreSQL and the sessions with it, our own or the caller's one; and how names are written into SQL."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import psycopg
from psycopg import RawCursor
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo, TransactionStatus
from psycopg.rows import tuple_row

from halocline.config import secret
from halocline.connectors.postgres.errors import gate
from halocline.errors import FixConfig
from halocline.postgres_doors import refuse_unknown_option

Cursor: TypeAlias = RawCursor[tuple[Any, ...]]
"""A cursor whose statements hold `$1` for values, so that a percent sign in a name is nothing special."""

LOCK_TIMEOUT_S = 30  # seconds that a statement waits for others' locks, where neither server nor session sets a limit
NAME_BYTES = 63  # longest name; the server cuts longer ones, which may make two of them one
_DEFAULTS = {
    "connect_timeout": "15",
    "fallback_application_name": "halocline",
    "client_encoding": "UTF8",  # whatever the database's own is: its default is the database's
    "keepalives_idle": "30",  # a server that is gone is noticed after a minute, not after the system's two hours
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
_LOCAL = (
    # After a wait for a lock, each statement is to see what the others left, whatever level is set for the session.
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;"
    f" SELECT set_config('lock_timeout', '{LOCK_TIMEOUT_S}s', true) WHERE current_setting('lock_timeout') = '0'"
)
_URI = re.compile(r"postgres(ql)?://([^@/?#\s]*@)?[^@?#\s]*(\?[^#\s]*)?", re.IGNORECASE)
_WRITE = (
    "Write postgresql://user:password@host:5432/database, the special characters of the password as percent codes (@ as %40)."
)


def lowered(name: str, *, doing: str) -> str:
    """The name as it is spelled in the database.

    Raises: FixConfig for one that the server would cut.
    """
    if not name or len(name.lower().encode()) > NAME_BYTES or "\0" in name:
        raise FixConfig(doing, f"PostgreSQL takes no name like {name!r}", hint=f"A name has 1 to {NAME_BYTES} bytes.")
    return name.lower()


class Database:
    """The database behind a URI, with as many connections of our own as are in use at once, or behind the caller's connection.

    The caller's one connection serves one thread at a time. `schema` is where a bare table name lies.
    Raises: FixConfig for a URI that cannot be read (without repeating it), or a connection with a transaction open; LoginRefused;
    NetworkFailed.
    """

    def __init__(self, session: object) -> None:
        self._given = None if isinstance(session, str) else user_connection(session)
        self._conninfo = conninfo(session) if isinstance(session, str) else ""
        self._lock = threading.RLock()
        self._idle: list[psycopg.Connection[Any]] = []
        with gate("Opening PostgreSQL"), self.transaction() as cursor:
            self.schema = str(one(cursor, "SELECT coalesce(current_schema(), '')"))

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """A cursor inside a transaction: committed when the block ends well, else rolled back."""
        with self._connection() as connection, connection.transaction(), RawCursor(connection, row_factory=tuple_row) as cursor:
            cursor.execute(_LOCAL)
            yield cursor

    def is_behind(self, session: object) -> bool:
        """Whether `session` is the caller's connection that is used here."""
        return self._given is not None and session is self._given

    def close(self) -> None:
        """Close the connections that are ours. Idempotent."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        if self._given is not None:
            with self._lock:
                refuse_unusable(self._given)
                yield self._given
            return
        connection = self._taken()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def _taken(self) -> psycopg.Connection[Any]:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return psycopg.connect(self._conninfo, autocommit=True)
            if not connection.closed:
                return connection


def conninfo(uri: str) -> str:
    """What libpq is to be told for a URI.

    Raises: FixConfig for one that cannot be read. Of the URI no more is repeated than the name of an unknown option, nor are the
    driver's words about it: a password may be in any piece of it.
    """
    if _URI.fullmatch(uri):
        with suppress(psycopg.Error, ValueError):
            said = conninfo_to_dict(uri)
            if not all(one.isdecimal() or not one for one in str(said.get("port") or "").split(",")):
                raise ValueError  # libpq would repeat it
            known = {"password": secret(str(said["password"]))} if "password" in said else {}
            return make_conninfo("", **{**_DEFAULTS, **said, **known})
        refuse_unknown_option(uri, [one.keyword.decode() for one in Conninfo.get_defaults()], doing="Opening PostgreSQL")
    raise FixConfig("Opening PostgreSQL", "the URI cannot be read", hint=_WRITE)


def rows(cursor: Cursor, sql: str, *, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """The rows that a statement answers, all of them."""
    return cursor.execute(sql, list(values) or None).fetchall()


def one(cursor: Cursor, sql: str, *, values: Sequence[object] = ()) -> object:
    """The one value that a statement answers."""
    return rows(cursor, sql, values=values)[0][0]


def number(cursor: Cursor, sql: str, *, values: Sequence[object] = ()) -> int:
    """The one number that a statement answers."""
    return int(str(one(cursor, sql, values=values)))


def touched(cursor: Cursor, sql: str, *, values: Sequence[object] = ()) -> int:
    """How many rows a statement inserted, updated or deleted."""
    return cursor.execute(sql, list(values) or None).rowcount


def copy_in(cursor: Cursor, sql: str, *, blocks: Iterable[bytes]) -> int:
    """Send blocks of bytes through a COPY, and return how many rows they were."""
    with cursor.copy(sql) as copy:
        for block in blocks:
            copy.write(block)
    return cursor.rowcount


def user_connection(session: object) -> psycopg.Connection[Any]:
    """A connection of the caller's.

    Raises: FixConfig for anything else.
    """
    if not isinstance(session, psycopg.Connection):
        hint = "Pass a psycopg connection (not an asynchronous one) or a postgresql:// URI."
        raise FixConfig("Opening PostgreSQL", f"got a {type(session).__name__}", hint=hint)
    return session


def refuse_unusable(connection: psycopg.Connection[Any]) -> None:
    """Hold a caller's connection to being open, and without a transaction.

    Raises: FixConfig.
    """
    if connection.closed and not connection.broken:
        hint = "Pass a connection that stays open for as long as the sync runs."
        raise FixConfig("Using the PostgreSQL connection", "the connection was closed by its owner", hint=hint)
    status = connection.info.transaction_status
    if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR, TransactionStatus.ACTIVE):
        cause = "a transaction is open on the connection, and what we do would be part of it"
        raise FixConfig("Using the PostgreSQL connection", cause, hint="Commit or roll back first, or pass a URI.")
