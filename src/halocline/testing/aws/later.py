"""Later: what is made of something that is still to come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Later(asyncio.Future[B], Generic[A, B]):
    """What `make` makes of `source` when that is there. To give this up is to give up the source in the same moment."""

    def __init__(self, source: asyncio.Future[A], make: Callable[[asyncio.Future[A]], B]) -> None:
        super().__init__(loop=source.get_loop())
        self._source = source
        self._make = make
        source.add_done_callback(self._arrived)

    def cancel(self, msg: object = None) -> bool:
        """Give it up; False where the source is there already: what is made of it comes."""
        return self._source.cancel(msg) and super().cancel(msg)

    def _arrived(self, source: asyncio.Future[A]) -> None:
        if self.done():
            return
        if source.cancelled():
            super().cancel()
            return
        try:
            self.set_result(self._make(source))
        except Exception as error:  # noqa: BLE001  # goes to who waits for it
            self.set_exception(error)
