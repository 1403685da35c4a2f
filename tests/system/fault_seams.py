"""Where the operations of a sync pass: the seams of HTTP, DuckDB and PostgreSQL, for `halocline.testing.faults`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import duckdb
import httpx2
import psycopg
from botocore.exceptions import ConnectionClosedError

from halocline.connectors.aws.lines import Lines
from halocline.connectors.duckdb.client import Database
from halocline.testing.faults import Operations, Seam, When, replaced, watching_files, watching_ledger


def _close_answer(_transport: object, _request: object, answer: httpx2.Response | None) -> None:
    if answer is not None:
        answer.close()


REQUEST = Seam(
    "request",
    lambda when: httpx2.ConnectError("refused") if when is When.BEFORE else httpx2.ReadError("connection reset by peer"),
    name=lambda _, one: f"{one.method} {one.url.path}",
    spoil=_close_answer,
)
RESPONSE = Seam("response", lambda _: httpx2.ReadError("connection reset by peer"))
AWS = Seam(
    "request",
    lambda _: ConnectionClosedError(endpoint_url="http://127.0.0.1"),
    name=lambda _, one: str(one.headers.get("X-Amz-Target", one.method)).rpartition(".")[2],
)
NETWORK = ("request", "response")
POSTGRES = Seam(
    "sql",
    lambda _: psycopg.OperationalError("server closed the connection unexpectedly"),
    name=lambda _, steps, **__: f"exchange {getattr(steps, '__name__', '')}",
    spoil=lambda connection, *_: connection.pgconn.finish(),
)
DUCKDB = Seam(
    "sql",
    lambda when: duckdb.IOException(f"IO Error: {'No space left on device' if when is When.BEFORE else 'Could not sync'}"),
)


@contextmanager
def watching_requests(operations: Operations) -> Iterator[None]:
    """Count every HTTP request (kind `request`) and every piece of an answer's body (kind `response`)."""
    transport: Any = httpx2.HTTPTransport
    counted = operations.around(transport.handle_request, seam=REQUEST)

    def handled(self: Any, request: httpx2.Request) -> httpx2.Response:
        answer: httpx2.Response = counted(self, request)
        answer.stream = _Body(answer.stream, f"body of {request.url.path}", operations)
        return answer

    with replaced(transport, "handle_request", by=handled):
        yield


class _Body(httpx2.SyncByteStream):
    """A body whose pieces are counted."""

    def __init__(self, inner: Any, name: str, operations: Operations) -> None:
        self._inner, self._name, self._operations = inner, name, operations

    def __iter__(self) -> Iterator[bytes]:
        pieces = iter(self._inner)
        while True:
            self._operations.moment(When.BEFORE, self._name, seam=RESPONSE)
            piece = next(pieces, None)
            if piece is None:
                return
            self._operations.moment(When.AFTER, self._name, seam=RESPONSE)
            yield piece

    def close(self) -> None:
        self._inner.close()


@contextmanager
def watching_aws(operations: Operations) -> Iterator[None]:
    """Count each call to AWS (kind `request`)."""
    with operations.watching(Lines, "send", seam=AWS):
        yield


@contextmanager
def watching_postgres(operations: Operations) -> Iterator[None]:
    """Count each exchange with a PostgreSQL: statements, their transactions' ends, pieces of a COPY (kind `sql`)."""
    with operations.watching(psycopg.Connection, "wait", seam=POSTGRES):
        yield


@contextmanager
def watching_duckdb(operations: Operations) -> Iterator[None]:
    """Count each statement given to a DuckDB (kind `sql`)."""
    cursor = Database.cursor

    @contextmanager
    def watched(self: Database) -> Iterator[Any]:
        with cursor(self) as found:
            yield _Cursor(found, operations)

    with replaced(Database, "cursor", by=watched):
        yield


class _Cursor:
    """A cursor whose statements are counted."""

    def __init__(self, inner: Any, operations: Operations) -> None:
        self._inner, self._operations = inner, operations

    def execute(self, sql: str, *values: Any) -> Any:
        self._operations.moment(When.BEFORE, sql, seam=DUCKDB)
        answer = self._inner.execute(sql, *values)
        self._operations.moment(When.AFTER, sql, seam=DUCKDB)
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@contextmanager
def watching_all(operations: Operations) -> Iterator[None]:
    """Count all that a sync does, in the block and only there."""
    with ExitStack() as stack:
        for watch in (watching_requests, watching_aws, watching_files, watching_ledger, watching_postgres, watching_duckdb):
            stack.enter_context(watch(operations))
        stack.enter_context(operations)
        yield
