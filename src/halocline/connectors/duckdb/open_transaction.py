"""OpenTransaction: a DuckDB connection inside of a transaction that is somebody else's to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb

from halocline.connectors.duckdb.client import Cursor
from halocline.errors import FixConfig

_ENDS = frozenset({"begin", "commit", "rollback", "close"})
_BESIDE = frozenset({"cursor", "duplicate"})
_READS_SQL = frozenset({"execute", "executemany", "sql", "query", "from_query"})
_HINT = "It is committed when the block ends, and undone when the block raises."


class OpenTransaction:
    """The connection as it is, save that it refuses what would end the transaction, and connections that write beside it.

    `refused` is the last that was refused ("": nothing), for the one who ends it.
    """

    __slots__ = ("_connection", "refused")

    def __init__(self, connection: Cursor) -> None:
        self._connection = connection
        self.refused = ""

    def __getattr__(self, name: str) -> Any:
        if name in _ENDS | _BESIDE:
            return lambda *_, **__: self._refuse(f"{name}()")
        found = getattr(self._connection, name)
        return self._watched(found, reads_sql=name in _READS_SQL) if callable(found) else found

    def _watched(self, method: Callable[..., Any], *, reads_sql: bool) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if reads_sql:
                self._check(args[0] if args else options.get("query"))
            answer = method(*args, **options)
            return self if answer is self._connection else answer  # execute() gives the connection, which may do anything

        return call

    def _check(self, asked: object) -> None:
        statements = self._connection.extract_statements(asked) if isinstance(asked, str) else [asked]
        for statement in statements:
            if getattr(statement, "type", None) == duckdb.StatementType.TRANSACTION:
                self._refuse(str(getattr(statement, "query", asked)).strip())

    def _refuse(self, what: str) -> None:
        self.refused = what
        raise FixConfig("Working in a transaction of DuckDB", f"{what} is refused in it", hint=_HINT)
