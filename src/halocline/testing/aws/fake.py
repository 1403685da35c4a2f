"""The server: an account of AWS on a port of this machine, from `start` to `stop`."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar

from halocline.testing.aws.account import Account
from halocline.testing.aws.calls import Calls
from halocline.testing.aws.clock import Clock
from halocline.testing.aws.connection import Connection
from halocline.testing.aws.door import Door
from halocline.testing.aws.dynamodb_table import Table
from halocline.testing.aws.faults import Faults
from halocline.testing.aws.message import Message
from halocline.testing.aws.queue import Counts
from halocline.testing.aws.request import REGION

_T = TypeVar("_T")
_LOGGER = logging.getLogger("halocline.testing.aws")
_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_SECONDS = 30.0  # for what the server's thread is asked
_FILLED = 2_000  # items that are put into a table at a time: between them the server answers


class _Crowded:
    """What a loop does with errors of its own: that there is no room for another connection it says a hundred times a second."""

    def __init__(self) -> None:
        self.is_closed = False
        self._is_told = False

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self.is_closed and self._is_told and isinstance(error, ValueError):
            return  # asyncio would look for room again, at a port that was closed in the meantime
        if not isinstance(error, OSError) or error.errno not in _NO_ROOM:
            loop.default_exception_handler(context)
        elif not self._is_told:
            self._is_told = True
            _LOGGER.warning(
                "No more connections are taken until some are closed: %s. `ulimit -n` raises the limit.", error.strerror
            )


class FakeAWS:
    """SQS, SNS, S3, DynamoDB, STS and Secrets Manager on 127.0.0.1, for who reads AWS_ENDPOINT_URL; also a context manager.

    `port` 0 is any free one. Large bodies are kept in files below `folder`, by default in the system's folder for such.
    """

    def __init__(self, *, port: int = 0, folder: Path | None = None) -> None:
        self.clock = Clock()
        self.faults = Faults(lambda: self._door.account.operations)
        self.calls = Calls(lambda: self._door.account.operations)
        self._port = port
        self._parent = folder
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._crowded = _Crowded()
        self._open_ones: set[Connection] = set()
        self._door = Door(self._new_account())
        self.clock.watch(self._look)

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end.
        Raises: RuntimeError before `start` and after `stop`.
        """
        if self._server is None:
            raise RuntimeError("the server is not running")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def environment(self) -> dict[str, str]:
        """The variables that lead a client here: each SDK, and AWS CLI but for one of its calls.

        Source: awscli 1.46.3, customizations/overridesslcommonname.py: `aws sqs` of AWS CLI 1 sets an endpoint of its own in
        most regions, before it looks at variables; it needs `--endpoint-url`.
        """
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "example",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> FakeAWS:
        """Open the port. Returns when the first request can be sent.
        Raises: OSError if the port is taken.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="halocline-aws-", dir=self._parent)
        folder = Path(self._folder.name)
        self._loop = loop = asyncio.new_event_loop()
        self._crowded = _Crowded()
        loop.set_exception_handler(self._crowded)
        self._thread = threading.Thread(target=loop.run_forever, name="halocline-aws", daemon=True)
        self._thread.start()

        def connection() -> Connection:
            return Connection(self._door, folder=folder, open_ones=self._open_ones)

        try:
            opened = asyncio.run_coroutine_threadsafe(loop.create_server(connection, "127.0.0.1", self._port), loop)
            self._server = opened.result(_SECONDS)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close the port and every connection, and forget everything. Harmless when repeated."""
        if self._loop is not None and self._thread is not None:
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_SECONDS)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_SECONDS)
            self._loop.close()
        self._loop = self._thread = self._server = None
        self._door.account = self._new_account()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def reset(self) -> None:
        """Be as new: no queue, topic, bucket, table, secret, fault or call is left, the clock not moved. The address stays."""

        def renew() -> None:
            self._door.account.end()
            self.faults.clear()
            self.calls.clear()
            self._door.account = self._new_account()

        self.clock.thaw()
        self._ask(renew)

    def messages(self, queue: str) -> list[Message]:
        """Copies of all messages of a queue, in the order in which they came; looking changes nothing.
        Raises: AWSError if there is no such queue.
        """
        return self._ask(lambda: self._door.account.queues.get(queue).messages())

    def counts(self, queue: str) -> Counts:
        """How many messages of a queue are visible, in flight and delayed.
        Raises: AWSError if there is no such queue.
        """
        return self._ask(lambda: self._door.account.queues.get(queue).counts())

    def fill_table(self, table: str, items: Iterable[Mapping[str, Any]]) -> int:
        """Put items, written as on the wire (`{"id": {"S": "1"}}`), into a table as if they had long been there; how many.

        It costs no call for each; the table's stream and its point-in-time history do not have them.
        Raises: AWSError if there is no such table, or for an item that it cannot hold; those before it are there.
        """
        rest, count = iter(items), 0
        while some := list(islice(rest, _FILLED)):
            count += self._ask(partial(self._table(table).fill, some))
        return count

    def items(self, table: str) -> list[dict[str, Any]]:
        """Copies of all items of a table, in the order of a scan, written as on the wire; looking changes nothing.
        Raises: AWSError if there is no such table.
        """
        return [json.loads(item) for item in self._ask(lambda: [item for _, item in self._table(table).shelf])]

    def expire_items(self, table: str) -> int:
        """Remove the items of a table whose time to live is over by the clock, without the days that DynamoDB takes; how many.
        Raises: AWSError if there is no such table.
        """
        return self._ask(lambda: self._door.account.dynamodb.tables.expire(table))

    def split_shards(self, table: str) -> None:
        """End each open shard of a table's stream, and open two in its place, as DynamoDB does with a partition that grows.
        Raises: AWSError if there is no such table, or if it has no stream.
        """
        self._ask(lambda: self._door.account.dynamodb.streams.split(table))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self.stop()

    def _table(self, name: str) -> Table:
        return self._door.account.dynamodb.tables.anywhere(name)

    def _new_account(self) -> Account:
        return Account(self.clock, self.faults, calls=self.calls)

    def _ask(self, work: Callable[[], _T]) -> _T:
        """Have the server's thread do something, and wait for what comes of it."""
        if self._loop is None:
            return work()
        answer: Future[_T] = Future()

        def do() -> None:
            try:
                answer.set_result(work())
            except BaseException as error:  # noqa: BLE001  # goes to who asked
                answer.set_exception(error)

        self._loop.call_soon_threadsafe(do)
        return answer.result(_SECONDS)

    def _look(self) -> None:
        self._ask(self._door.account.queues.look)
        self._ask(self._door.account.dynamodb.tables.sweep)

    async def _close(self) -> None:
        self._crowded.is_closed = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._open_ones):
            connection.abort()
        pending = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in pending:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*pending, return_exceptions=True)
        await asyncio.sleep(0)
