"""Laws of messages that somebody gives up while they are handled: a thread cannot be cancelled, and so it keeps its claim."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from halocline import Handlers, SQSClient
from halocline.consume.handling.context import Context
from halocline.errors import LeaseHeld, RetryLater
from halocline.idempotency import Claim, Wanted
from halocline.queues import Delivery
from halocline.testing.idempotency import MemoryStore

MESSAGE = Delivery("h", "{}", "1")
LONG_S = 20


class Gate(MemoryStore):
    """A store whose claims wait where they are told to: on their way to it, or back."""

    waits: str = ""

    def __init__(self) -> None:
        super().__init__(clock=time.time)
        self.asked, self.open = threading.Event(), threading.Event()

    def claim(self, wanted: Sequence[Wanted], *, owner: str, lease_s: float) -> list[Claim]:
        waits, self.waits = self.waits, ""
        if waits == "to":
            self._wait()
        found = super().claim(wanted, owner=owner, lease_s=lease_s)
        if waits == "back":
            self._wait()
        return found

    def _wait(self) -> None:
        self.asked.set()
        assert self.open.wait(LONG_S)


def client_of(handlers: Handlers, store: MemoryStore) -> SQSClient:
    return SQSClient(queue_name="users", handlers=handlers, store=store)


async def given_up(client: SQSClient, begun: threading.Event) -> None:
    """A message whose caller is cancelled once something has begun."""
    task = asyncio.create_task(client.handle_message(MESSAGE))
    assert await asyncio.to_thread(begun.wait, LONG_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def threads() -> ThreadPoolExecutor:
    """What the running loop has threads from, from now on; to shut it down is to wait for them."""
    pool = ThreadPoolExecutor(4)
    asyncio.get_running_loop().set_default_executor(pool)
    return pool


@pytest.mark.parametrize("ends", ["done", "failed"])
def test_a_handler_in_a_thread_keeps_its_claim_when_its_caller_is_cancelled(ends: str) -> None:
    """Nobody runs beside it, and what came of it counts: the next one finds it done, or failed."""
    handlers, store, runs = Handlers(), MemoryStore(clock=time.time), list[tuple[int, bool]]()
    begun, go = threading.Event(), threading.Event()

    @handlers.handler
    def slow(message: Any, context: Context) -> str:
        runs.append((context.attempts, context.in_doubt))
        if len(runs) == 1:
            begun.set()
            assert go.wait(LONG_S)
            context.check()
            if ends == "failed":
                raise ValueError("no")
        return "did it"

    async def application() -> Any:
        async with client_of(handlers, store) as client:
            pool = threads()
            await given_up(client, begun)
            with pytest.raises(LeaseHeld):
                await client.handle_message(MESSAGE)
            go.set()
            pool.shutdown()
            threads()
            return (await client.handle_message(MESSAGE))[1]

    answer = asyncio.run(application())
    assert (answer, runs) == ((None, [(0, False)]) if ends == "done" else ("did it", [(0, False), (1, False)]))


@pytest.mark.parametrize("waits", ["to", "back"])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_who_is_cancelled_while_it_claims_leaves_no_claim_and_no_death(waits: str, kind: str) -> None:
    """As often as it happens: a message that was never begun is not in doubt."""
    handlers, runs = Handlers(), list[tuple[int, int]]()

    def run(message: Any, context: Context) -> None:
        runs.append((context.attempts, context.deaths))

    async def run_async(message: Any, context: Context) -> None:
        run(message, context)

    handlers.add_handler(run if kind == "sync" else run_async)
    store = Gate()

    async def application() -> None:
        async with client_of(handlers, store) as client:
            for _ in range(3):
                pool, store.waits = threads(), waits
                await given_up(client, store.asked)
                store.open.set()
                pool.shutdown()
                store.asked.clear()
                store.open.clear()
            threads()
            await client.handle_message(MESSAGE)

    asyncio.run(application())
    assert runs == [(0, 0)]


def test_a_store_stays_open_for_a_handler_whose_caller_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also behind the end of the client: its word is heard."""
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    handlers, begun, go = Handlers(), threading.Event(), threading.Event()
    place = f"sqlite:///{tmp_path / 'claims.sqlite'}"

    @handlers.handler
    def slow(message: Any) -> None:
        begun.set()
        assert go.wait(LONG_S)

    async def application() -> None:
        async with SQSClient(queue_name="users", handlers=handlers, store=place) as client:
            await given_up(client, begun)
        go.set()

    asyncio.run(application())  # its end waits for threads

    async def again() -> Any:
        async with SQSClient(queue_name="users", handlers=handlers, store=place) as client:
            return await client.handle_message(MESSAGE)

    go.clear()
    begun.clear()
    asyncio.run(again())
    assert not begun.is_set()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_handler_that_exits_ends_its_message_alone(kind: str) -> None:
    """SystemExit is an error like another: it is counted, its claim is given back, and no event loop ends."""
    handlers, store, runs = Handlers(), MemoryStore(clock=time.time), list[int]()

    def leave(message: Any, context: Context) -> None:
        runs.append(context.attempts)
        raise SystemExit("a setting is missing")

    async def leave_async(message: Any, context: Context) -> None:
        leave(message, context)

    handlers.add_handler(leave if kind == "sync" else leave_async)

    async def application() -> None:
        async with client_of(handlers, store) as client:
            for _ in range(2):
                with pytest.raises(RetryLater, match="its handler raised SystemExit"):
                    await client.handle_message(MESSAGE)

    asyncio.run(application())
    assert runs == [0, 1]


def test_a_handler_in_a_thread_that_is_cancelled_is_told_by_its_lease() -> None:
    """Where nothing is remembered of it, that is all that can be done."""
    handlers, told = Handlers(), threading.Event()
    begun = threading.Event()

    @handlers.handler
    def slow(message: Any, context: Context) -> None:
        begun.set()
        if context.lease.lost.wait(LONG_S):
            told.set()

    async def application() -> None:
        task = asyncio.create_task(handlers.run_async(MESSAGE, Context()))
        assert await asyncio.to_thread(begun.wait, LONG_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(application())
    assert told.is_set()
