"""The account's clock: seconds since 1970, which tests can move or stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Clock:
    """Runs with the machine's clock until a test moves or freezes it; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset = 0.0
        self._frozen: float | None = None
        self._watchers: list[Callable[[], None]] = []

    @property
    def is_frozen(self) -> bool:
        return self._frozen is not None

    def now(self) -> float:
        """Seconds since 1970."""
        return (time.time() if self._frozen is None else self._frozen) + self._offset

    def advance(self, seconds: float) -> None:
        """Let time pass: visibility time-outs and delays end, waiting polls look again.
        Raises: ValueError for time that would pass backwards.
        """
        if seconds < 0:
            raise ValueError(f"the clock goes forward, not by {seconds} seconds")
        with self._lock:
            self._offset += seconds
        self._told()

    def freeze(self) -> None:
        """Stand still: time passes by `advance` alone, and a long poll ends by a message or by it."""
        with self._lock:
            self._frozen = self.now()
            self._offset = 0.0
        self._told()

    def thaw(self) -> None:
        """Run with the machine's clock again, as if it had never been moved."""
        with self._lock:
            self._frozen = None
            self._offset = 0.0
        self._told()

    def watch(self, told: Callable[[], None]) -> None:
        """Have `told` called after each move, in the thread that moved it."""
        self._watchers.append(told)

    def _told(self) -> None:
        for told in self._watchers:
            told()
