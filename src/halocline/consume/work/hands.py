"""Hands: threads that do what lies on a pile, so that what blocks in one of them holds up nobody else.

    pile -> a hand takes a piece -> are there more? wakes or makes another hand -> does its piece -> takes the next

Each hand wakes the next one only when it begins a piece with more behind it: pieces that take no time are done by one hand in a
row, and a piece that blocks is passed by. To wake a thread costs as much as such a piece.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Hands(Generic[T]):
    """At most `most` threads that call `work` with what they are given, `together` pieces at most; it must not raise.

    Where the system gives no more threads there are fewer; RuntimeError where there is none. They are made when they are needed
    and kept. The process does not wait for them: one that hangs in its piece ends with it.
    """

    def __init__(self, name: str, work: Callable[[list[T]], None], *, most: int, together: int = 1) -> None:
        self._name = name
        self._work = work
        self._most = most
        self._together = together
        self._pile: deque[T] = deque()
        self._bells: SimpleQueue[None] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads: list[threading.Thread] = []
        self._is_over = False

    def give(self, pieces: Iterable[T]) -> None:
        """Lay pieces down; they are begun as soon as there is a hand."""
        self._pile.extend(pieces)
        self._wake()

    def end(self) -> None:
        """Begin no more: what lies on the pile is left there, each hand goes when it is through with its piece. Idempotent."""
        self._is_over = True
        self._pile.clear()
        for _ in self._threads:
            self._bells.put(None)

    def join(self, seconds: float) -> list[str]:
        """Wait for the hands to go, at most so long; the names of those that did not."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))
        return [thread.name for thread in self._threads if thread.is_alive()]

    def _wake(self) -> None:
        """See to it that somebody looks at the pile who is not busy, as long as there may be such a one."""
        with self._lock:
            if self._idle == 0 and len(self._threads) < self._most and not self._is_over:
                # A daemon: a piece that never ends must not keep the process alive.
                thread = threading.Thread(target=self._live, name=f"{self._name}-{len(self._threads) + 1}", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the system gives no more threads: those that are there come to it, if there are any
                    if not self._threads:
                        raise
                else:
                    self._threads.append(thread)
                return
        if not self._bells.qsize():  # else somebody is on the way, and wakes the next one
            self._bells.put(None)

    def _live(self) -> None:
        while not self._is_over:
            self._clear()
            with self._lock:
                self._idle += 1
            try:
                self._bells.get()
            finally:
                with self._lock:
                    self._idle -= 1

    def _clear(self) -> None:
        while pieces := self._taken():
            if self._pile:
                self._wake()
            self._work(pieces)

    def _taken(self) -> list[T]:
        pieces: list[T] = []
        with suppress(IndexError):
            while len(pieces) < self._together:
                pieces.append(self._pile.popleft())
        return pieces
