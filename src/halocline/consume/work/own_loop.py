"""Own loop: an event loop for async handlers where none is running, kept from one message to the next.

What handlers keep that is bound to its loop - pools of connections, sessions of HTTP - stays usable.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Self

from halocline.errors import FixConfig


class OwnLoop:
    """A loop that is made when it is first needed, and closed with `close`, or when nobody has this any more. For one thread."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None
        self._end: weakref.finalize[[], OwnLoop] | None = None

    def run(self, answer: Awaitable[Any]) -> Any:
        """What is awaited.

        Raises: FixConfig where a loop is running in this thread already; what it raises itself.
        """
        if _is_running():
            end = getattr(answer, "close", None)
            if callable(end):
                end()  # it is not to be told as never awaited, beside the reason
            hint = "Await it: handlers.run_async(...), client.handle_message(...) or worker.run_async()."
            raise FixConfig("Running an async handler", "an event loop is running here already", hint=hint)
        if self._runner is None:
            self._runner = asyncio.Runner()
            self._end = weakref.finalize(self, self._runner.close)
        return self._runner.run(_awaited(answer))

    def close(self) -> None:
        """End what still runs on it. Idempotent; a later `run` makes another."""
        if self._end is not None:
            self._end()
        self._runner = self._end = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer
