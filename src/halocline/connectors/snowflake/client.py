"""Database: a Snowflake database and the session with it, our own or the caller's; and how names are written into SQL."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import snowflake.connector
from snowflake.connector.errors import Error

from halocline.config import key_place
from halocline.connectors.snowflake.errors import gate, login_gate
from halocline.connectors.snowflake.login import SECRETS, Login, login_of
from halocline.connectors.snowflake.sessions import is_connection, is_session
from halocline.errors import FixConfig, StorageFailed
from halocline.private import secret_bytes
from halocline.sql_transaction import in_transaction
from halocline.standard_sql import quoted

Cursor = Any  # a cursor of the connector: 4.x and 5.x have no type in common

NAME_CHARACTERS = 255  # longest name; https://docs.snowflake.com/en/sql-reference/identifiers-syntax (unverified)
_REGULAR = re.compile(r"[A-Z_][A-Z0-9_$]*")
_locks: WeakKeyDictionary[object, threading.RLock] = WeakKeyDictionary()
_locks_lock = threading.Lock()


def plain(*names: str) -> str:
    """As `quoted`, without quotes where a name needs none: names of stages are taken so by every client."""
    return ".".join(name if _REGULAR.fullmatch(name) else quoted(name) for name in names)


def literal(text: str | None) -> str:
    """A text as SQL.

    Texts of ours are written into statements, because how a value is bound is a setting of the connection, which is not ours.
    Source: "String & binary data types", https://docs.snowflake.com/en/sql-reference/data-types-text (unverified).
    """
    if text is None:
        return "NULL"
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def uppered(name: str, *, doing: str) -> str:
    """The name as it is spelled in the database.

    Raises: FixConfig for one that Snowflake does not take.
    """
    if not name or len(name) > NAME_CHARACTERS or "\0" in name:
        raise FixConfig(doing, f"Snowflake takes no name like {name!r}", hint=f"A name has 1 to {NAME_CHARACTERS} characters.")
    return name.upper()


class Database:
    """The database behind a URI, through a connection of our own, or behind the caller's connection or Snowpark session.

    A session of Snowflake has one transaction: whoever shares a connection waits for the others. `name` is the current database,
    `schema` the current schema, or PUBLIC.
    Raises: FixConfig for a URI that cannot be read (without repeating it), or a connection without a database or with a
    transaction open; LoginRefused; NetworkFailed.
    """

    def __init__(self, session: object) -> None:
        self.given = not isinstance(session, str)
        self._session = session if is_session(session) else None
        with gate("Opening Snowflake"):
            self.connection = _connection_of(session)
            try:
                with self._alone() as cursor:
                    asked = "SELECT CURRENT_DATABASE(), CURRENT_SCHEMA(), CURRENT_TRANSACTION()"
                    name, schema, open_transaction = rows(cursor, asked)[0]
                _refuse_transaction(open_transaction)
            except BaseException:
                self.close()
                raise
        self.name, self.current_schema = str(name or ""), str(schema or "")
        self.schema = self.current_schema or "PUBLIC"
        self.tables: set[str] = set()  # names that were seen to be tables and no views: asked for once in a session
        if not self.name:
            self.close()
            hint = "Name it in the URI (snowflake://user@account/DATABASE), or run USE DATABASE first."
            raise FixConfig("Opening Snowflake", "no database is chosen", hint=hint)

    @contextmanager
    def cursor(self) -> Iterator[Cursor]:
        """A cursor outside of a transaction; nobody else uses the session until the block ends.

        A connection that was handed in is asked first whether its owner has a transaction open: one block is one statement more.
        """
        with self._alone() as cursor:
            if self.given:
                _refuse_transaction(rows(cursor, "SELECT CURRENT_TRANSACTION()")[0][0])
            yield cursor

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """A cursor inside a transaction, as `transaction` says."""
        with self.cursor() as cursor, transaction(cursor):
            yield cursor

    def upload(self, file: Path, place: str) -> None:
        """Put a file into a folder of a stage (`DB.S.STAGE/folder/`), as it is. Several may be on their way at once.

        Where Python runs inside Snowflake, PUT is not to be had, and the session's own way is taken (unverified there).
        Source: "Python stored procedure limitations",
        https://docs.snowflake.com/en/developer-guide/stored-procedure/python/procedure-python-limitations, read November 2026.
        Raises: StorageFailed when the file did not arrive whole.
        """
        if self._session is not None and find_spec("_snowflake") is not None:
            self._session.file.put(str(file), f"@{place}", auto_compress=False, overwrite=True)  # type: ignore[attr-defined]  # a session has it
            return
        target = f"@{place}" if re.fullmatch(r"[\w./$-]+", place) else literal(f"@{place}")
        cursor = self.connection.cursor()
        try:
            sql = f"PUT {literal('file://' + file.as_posix())} {target} AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = GZIP"
            cursor.execute(f"{sql} OVERWRITE = TRUE")
            answer = told(cursor)
        finally:
            with suppress(Error):
                cursor.close()
        if [line.get("status") for line in answer] != ["UPLOADED"]:
            cause = f"Snowflake answered {answer[0].get('status') if answer else 'nothing'}"
            raise StorageFailed(f"Putting {file.name} into the stage", cause, hint="Nothing was published; run it again.")

    def close(self) -> None:
        """Close the connection if it is ours. Idempotent."""
        if not self.given:
            with suppress(Error):
                self.connection.close()

    @contextmanager
    def _alone(self) -> Iterator[Cursor]:
        """A cursor of a session that nobody else uses until the block ends."""
        with _lock_of(self.connection):
            if self.given and self.connection.is_closed():
                hint = "Pass a connection that stays open for as long as the sync runs."
                raise FixConfig("Using the Snowflake connection", "the connection was closed by its owner", hint=hint)
            cursor = self.connection.cursor()
            try:
                yield cursor
            finally:
                with suppress(Error):
                    cursor.close()


@contextmanager
def transaction(cursor: Cursor) -> Iterator[None]:
    """A transaction of a cursor's session: committed when the block ends well, else rolled back. Autocommit stays as it is."""
    with in_transaction(cursor, begin="BEGIN TRANSACTION", failure=Error):
        yield


def connected(session: object) -> Any:
    """The connection behind a URI, which the caller is to close, or the one that was handed in."""
    return _connection_of(session)


def rows(cursor: Cursor, sql: str) -> list[tuple[Any, ...]]:
    """The rows that a statement answers, all of them."""
    cursor.execute(sql)
    return [tuple(row) for row in cursor.fetchall()]


def told(cursor: Cursor) -> list[dict[str, Any]]:
    """The rows of the statement before, by the names of their columns in lower case."""
    names = [str(column[0]).lower() for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def number(cursor: Cursor, sql: str) -> int:
    """The one number that a statement answers."""
    return int(rows(cursor, sql)[0][0] or 0)


def touched(cursor: Cursor, sql: str) -> dict[str, int]:
    """How many rows a statement `inserted`, `updated` and `deleted`, by its own answer.

    Source: the names of the columns as fakesnow 0.12.1 answers them, which follows Snowflake; unverified on an account.
    """
    cursor.execute(sql)
    (answer,) = told(cursor)
    return {what: int(answer.get(f"number of rows {what}") or 0) for what in ("inserted", "updated", "deleted")}


def _connection_of(session: object) -> Any:
    if isinstance(session, str):
        return _logged_in(login_of(session))
    if is_session(session):
        return session.connection  # type: ignore[attr-defined]  # a session has it
    if is_connection(session):
        return session
    hint = "Pass a connection of snowflake.connector (not an asynchronous one), a Snowpark session or a snowflake:// URI."
    raise FixConfig("Opening Snowflake", f"got a {type(session).__name__}", hint=hint)


def _logged_in(login: Login) -> Any:
    told = login.arguments(int(snowflake.connector.__version__.partition(".")[0]))
    file, said = told.get("private_key_file"), key_place(login.options.get("private_key_path", ""))
    secrets = [str(told[name]) for name in SECRETS if name in told]
    if file != said:  # a secret that is no path, or one behind a reference
        secrets += [str(file), str(Path(str(file)))]  # an error of the system has it without doubled slashes
    with login_gate(secrets, key=said if file is not None else None):
        if file is not None:
            secret_bytes(Path(str(file)), "Opening Snowflake")
        return snowflake.connector.connect(**told)


def _refuse_transaction(number: object) -> None:
    if number is not None:
        cause = "a transaction is open on the connection, and what we do would be part of it"
        raise FixConfig("Using the Snowflake connection", cause, hint="Commit or roll back first, or pass a URI.")


def _lock_of(connection: object) -> threading.RLock:
    """One lock for each connection, however many destinations share it: DDL of one would commit the transaction of another."""
    with _locks_lock:
        return _locks.setdefault(connection, threading.RLock())
