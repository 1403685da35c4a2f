"""Tasks: handlers that are async functions, on one event loop: the caller's, or one of their own in a thread.

The worker itself is elsewhere: a handler that blocks the loop holds up other handlers there, and no heartbeat.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Work:
    """What to run, and whom to tell when it could not so much as begin, or its loop was closed before it came to its end."""

    run: Callable[[], Coroutine[Any, Any, None]]
    missed: Callable[[], None]


class Tasks:
    """Runs what it is given as tasks of `loop`; of a loop of its own, begun with the first, where that is None, or was closed."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._name = name
        self._loop = loop
        self._thread: threading.Thread | None = None
        self._tasks: dict[asyncio.Task[None], Work] = {}  # a loop holds its tasks weakly
        self._waiting: deque[Work] = deque()

    def give(self, works: Iterable[Work]) -> None:
        """Begin them. Called by one thread."""
        self._waiting.extend(works)
        try:
            self._open_loop().call_soon_threadsafe(self._begin)
        except RuntimeError:  # it was closed just now, by whoever ran it
            self._open_loop().call_soon_threadsafe(self._begin)

    def look(self) -> None:
        """See to what was left on a loop that somebody closed. Called by the thread that calls `give`."""
        if self._loop is not None and self._loop.is_closed():
            left, self._tasks = self._tasks, {}
            for work in left.values():
                work.missed()
            if self._waiting:
                self.give(())

    def end(self) -> None:
        """Cancel what runs. Idempotent."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it was closed, and all that ran on it has ended
                self._loop.call_soon_threadsafe(self._cancel)

    def join(self, seconds: float) -> list[str]:
        """Wait for the own loop's thread, at most so long; its name where a handler blocks it."""
        if self._thread is None:
            return []
        until = time.monotonic() + seconds
        self._thread.join(max(0.0, until - time.monotonic()))
        return [self._thread.name] if self._thread.is_alive() else []

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._live, args=(self._loop,), name=f"{self._name}-loop", daemon=True)
            self._thread.start()
        return self._loop

    def _live(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            while self._tasks:  # those that were cancelled, until they are through
                loop.run_until_complete(asyncio.wait(self._tasks))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def _begin(self) -> None:
        while self._waiting:  # also what a loop did not come to before it was closed
            work = self._waiting.popleft()
            task = asyncio.get_running_loop().create_task(work.run())
            self._tasks[task] = work
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        work = self._tasks.pop(task, None)
        if work is not None and task.cancelled():  # what has begun hears of it, and ends by itself
            work.missed()

    def _cancel(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        if self._thread is not None and self._loop is not None:
            self._loop.stop()
