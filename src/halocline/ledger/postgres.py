"""PostgresLedger: the ledger in a schema of a PostgreSQL, for any number of processes on any number of hosts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg

from halocline.ledger.ledger import Clock
from halocline.ledger.pruning import Put
from halocline.ledger.server import opened, statement
from halocline.ledger.sql import SqlLedger


class PostgresLedger(SqlLedger):
    """A `Ledger` in the database of a `postgresql://` URI, in the schema `halocline` or that of `?schema=NAME`, made if need be.

    Every instant is by the server's own clock, so that hosts whose clocks differ agree; `clock` takes its place in tests. A
    connection that was lost is made anew.
    Raises: FixConfig for a URI that cannot be read, a schema of another program or of a newer Halocline; LoginRefused;
    AccessDenied; NetworkFailed when the server does not answer.
    """

    def __init__(self, uri: str, *, clock: Clock | None = None) -> None:
        self._clock = clock
        self._server = opened(uri)
        self._doing = f"Using the ledger in {self._server.place}"

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._server.close()

    @contextmanager
    def _reading(self) -> Iterator[Put]:
        with self._server.transaction(self._doing) as cursor:
            yield _Statements(cursor, self._clock)

    @contextmanager
    def _writing(self, about: str = "") -> Iterator[Put]:
        with self._server.transaction(self._doing, about=about) as cursor:
            yield _Statements(cursor, self._clock)


class _Statements:
    """See `Put`. A cursor holds one answer at a time, so each statement's is read to its end before the next."""

    def __init__(self, cursor: psycopg.Cursor[Any], clock: Clock | None) -> None:
        self._cursor = cursor
        self._clock = clock

    def __call__(self, name: str, **values: object) -> psycopg.Cursor[Any]:
        return self._cursor.execute(statement(name), values)

    def now(self) -> datetime:
        if self._clock is not None:
            return self._clock()
        ((moment,),) = self._cursor.execute("SELECT clock_timestamp()").fetchall()
        return moment.astimezone(UTC)  # type: ignore[no-any-return]  # a timestamptz
