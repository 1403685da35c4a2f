"""A stand-in for a connection to a real Snowflake: it keeps what it is sent, and answers the few that are asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Answer = tuple[tuple[str, ...], list[tuple[Any, ...]]]
_NOTHING: Answer = (("status",), [("Statement executed successfully.",)])


class SnowflakeConnection:
    """Answers by pattern: the first that is found in a statement decides; an exception in the place of rows is raised."""

    arrow_number_to_decimal = False

    def __init__(self, **answers: Any) -> None:
        self.statements: list[str] = []
        self.answers: list[tuple[str, Callable[[str], Answer]]] = [
            (r"^SELECT CURRENT_DATABASE", lambda _: (("D", "S", "T"), [("DB", "PUBLIC", None)])),
            (r"^SELECT CURRENT_TRANSACTION", lambda _: (("T",), [(None,)])),
            (r"^DESCRIBE TABLE", lambda _: (("name", "type"), [])),
            (r"^SHOW SCHEMAS", lambda _: (("name",), [("RAW",)])),
            (r"^SHOW OBJECTS", lambda _: (("name", "kind"), [])),
            (r"^PUT ", lambda _: (("source", "status"), [("x", "UPLOADED")])),
        ]
        self.closed = False

    def answer(self, pattern: str, columns: tuple[str, ...], *rows: tuple[Any, ...]) -> None:
        """What statements in which a pattern is found are answered from now on."""
        self.answers.insert(0, (pattern, lambda _: (columns, list(rows))))

    def fail(self, pattern: str, error: Exception) -> None:
        """Which error such statements end with from now on."""

        def raising(_: str) -> Answer:
            raise error

        self.answers.insert(0, (pattern, raising))

    def cursor(self) -> _Cursor:
        return _Cursor(self)

    def is_closed(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def answered(self, sql: str) -> Answer:
        self.statements.append(sql)
        found = next((made for pattern, made in self.answers if re.search(pattern, sql)), lambda _: _NOTHING)
        return found(sql)


SnowflakeConnection.__module__ = "snowflake.connector.connection"


class _Cursor:
    def __init__(self, connection: SnowflakeConnection) -> None:
        self._connection = connection
        self._rows: list[tuple[Any, ...]] = []
        self.description: list[tuple[str]] = []

    def execute(self, sql: str, parameters: object = None) -> _Cursor:
        assert parameters is None, "what is bound depends on a setting of the connection"
        columns, self._rows = self._connection.answered(sql)
        self.description = [(name,) for name in columns]
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows

    def close(self) -> None:
        self._rows = []
