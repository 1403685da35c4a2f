"""OpenTransaction: a SQLite connection inside of a transaction that is somebody else's to end.

SQLite's own way to refuse statements, an authorizer, is none for a connection that threads share: it is asked while SQLite's lock
is held, and waits for Python's; whoever has Python's and binds a value waits for SQLite's.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from typing import Any, NoReturn

from halocline.errors import FixConfig

_ENDS = frozenset({"commit", "rollback", "close", "executescript", "__enter__"})
_READS_SQL = frozenset({"execute", "executemany"})
_COMMENT = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)"
_TRANSACTION = re.compile(
    rf"{_COMMENT}*(?:BEGIN|COMMIT|END|ROLLBACK(?!{_COMMENT}+(?:TRANSACTION{_COMMENT}+)?TO\b))\b", re.IGNORECASE | re.DOTALL
)
_HINT = "It is committed when the block ends, and undone when the block raises."


class OpenTransaction:
    """The connection as it is, save that it refuses what would end the transaction.

    `refused` is the last that was refused ("": nothing), for the one who ends it.
    """

    __slots__ = ("_connection", "refused")

    def __init__(self, connection: sqlite3.Connection) -> None:
        object.__setattr__(self, "_connection", connection)
        object.__setattr__(self, "refused", "")

    def __getattr__(self, name: str) -> Any:
        if name in _ENDS:
            return lambda *_, **__: self._refuse(f"{name}()")
        found = getattr(self._connection, name)
        if name in _READS_SQL:
            return lambda sql, *args: OpenCursor(self, found(self._checked(sql), *args))
        return found

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._connection, name, value)  # row_factory and the like

    def cursor(self, *args: Any, **options: Any) -> OpenCursor:
        """A cursor of the connection, as watched as this."""
        return OpenCursor(self, self._connection.cursor(*args, **options))

    def __enter__(self) -> NoReturn:
        self._refuse("with connection, which commits")

    def __exit__(self, *_: object) -> None: ...

    def _checked(self, sql: str) -> str:
        if _TRANSACTION.match(sql):
            self._refuse(sql.strip())
        return sql

    def _refuse(self, what: str) -> NoReturn:
        object.__setattr__(self, "refused", what)
        raise FixConfig("Working in a transaction of SQLite", f"{what} is refused in it", hint=_HINT)


class OpenCursor:
    """A cursor whose statements are looked at before they run."""

    __slots__ = ("_cursor", "connection")

    def __init__(self, connection: OpenTransaction, cursor: sqlite3.Cursor) -> None:
        object.__setattr__(self, "connection", connection)
        object.__setattr__(self, "_cursor", cursor)

    def __getattr__(self, name: str) -> Any:
        if name == "executescript":
            return self.connection.executescript
        found = getattr(self._cursor, name)
        if name not in _READS_SQL:
            return found

        def call(sql: str, *args: Any) -> OpenCursor:
            found(self.connection._checked(sql), *args)
            return self

        return call

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._cursor, name, value)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)

    def __next__(self) -> Any:
        return next(self._cursor)
