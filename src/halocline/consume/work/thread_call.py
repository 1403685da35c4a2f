"""Thread call: work in a thread that is done to its end, whatever becomes of who awaits it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Generic, TypeVar

Result = TypeVar("Result")


class ThreadCall(Generic[Result]):
    """One call. Where who awaits it is cancelled, `work` goes on, and what it returns is given to `late` instead, from a thread.

    `work` is told the call, and may look whether anybody waits still (`is_left`). What it raises then, nobody hears.
    """

    def __init__(self, work: Callable[[ThreadCall[Result]], Result], late: Callable[[Result], object]) -> None:
        self._work = work
        self._late = late
        self._lock = threading.Lock()
        self._found: list[Result] = []
        self.is_left = False
        """Whether nobody waits any more."""

    async def done(self) -> Result:
        """What `work` returns.

        Raises: what it raises.
        """
        future = asyncio.get_running_loop().run_in_executor(None, copy_context().run, self._run)
        try:
            return await asyncio.shield(future)
        except (asyncio.CancelledError, GeneratorExit):
            self._leave()
            raise

    def _run(self) -> Result:
        found = self._work(self)
        with self._lock:
            self._found.append(found)
            is_left = self.is_left
        if is_left:
            self._late(found)
        return found

    def _leave(self) -> None:
        with self._lock:
            self.is_left = True
            found = tuple(self._found)
        if found:  # it was over by then, and the answer on its way; the loop may be closed in a moment
            threading.Thread(target=self._late, args=found).start()
