"""Snapshot: one instant of a PostgreSQL, seen by as many connections as read it at once.

The first transaction lends its view to the others (`pg_export_snapshot`), and stays open as long as they may come.
Source: "Snapshot Synchronization Functions",
https://www.postgresql.org/docs/18/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION, read November 2026.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import RawCursor
from psycopg.rows import tuple_row

from halocline.connectors.postgres.client import Cursor, conninfo, one, refuse_unusable, user_connection
from halocline.connectors.postgres.errors import gate
from halocline.snapshot_source import Instant

_BEGUN = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class Snapshot(Instant):
    """The database behind a URI, or behind a psycopg connection, as it is when it is first looked at. Threads may share it.

    What several sources read of one snapshot fits together. A caller's connection serves one reader at a time, and must have no
    transaction open.
    """

    def __init__(self, session: object) -> None:
        self._given = None if isinstance(session, str) else user_connection(session)
        self._conninfo = conninfo(session) if isinstance(session, str) else ""
        self._lock = threading.Lock()
        self._alone = threading.RLock()
        self._name: str | None = None
        self._first: psycopg.Connection[Any] | None = None
        self._idle: list[psycopg.Connection[Any]] = []

    @property
    def is_shared(self) -> bool:
        """Whether several threads may read at once."""
        return self._given is None

    @contextmanager
    def cursor(self) -> Iterator[Cursor]:
        """A cursor that sees the snapshot; its connection is closed when the block fails.

        Raises: LoginRefused, NetworkFailed; FixConfig for a connection with a transaction open.
        """
        if self._given is not None:
            with self._alone, RawCursor(self._lent(self._given), row_factory=tuple_row) as cursor:
                yield cursor
            return
        connection = self._taken()
        try:
            with RawCursor(connection, row_factory=tuple_row) as cursor:
                yield cursor
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)

    def close(self) -> None:
        """Let go of the snapshot; a caller's connection is as it was. Idempotent."""
        with self._lock:
            mine, self._idle = [*self._idle, *([] if self._first is None else [self._first])], []
            self._first, self._name = None, None
        for connection in mine:
            with suppress(psycopg.Error):
                if connection is self._given:
                    connection.execute("ROLLBACK")
                else:
                    connection.close()

    def _lent(self, connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
        if self._first is None:
            with gate("Opening a snapshot of PostgreSQL"):
                refuse_unusable(connection)
                # psycopg begins a transaction by itself where the connection is not in autocommit.
                connection.execute(_BEGIN if connection.autocommit else _BEGUN)
                self._first = connection
        return connection

    def _taken(self) -> psycopg.Connection[Any]:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            if self._first is None:
                self._first = self._opened()
                with gate("Opening a snapshot of PostgreSQL"), RawCursor(self._first, row_factory=tuple_row) as cursor:
                    self._name = str(one(cursor, "SELECT pg_export_snapshot()"))
        return self._opened()

    def _opened(self) -> psycopg.Connection[Any]:
        with gate("Opening PostgreSQL"):
            connection = psycopg.connect(self._conninfo, autocommit=True)
            try:
                connection.execute(_BEGIN)
                if self._name is not None:
                    connection.execute(f"SET TRANSACTION SNAPSHOT '{self._name}'")  # the server's own word
            except BaseException:
                connection.close()
                raise
        return connection
