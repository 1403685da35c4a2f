"""Outbox: what waits to share a call with others, for a short while only, and what is tried again later."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Outbox(Generic[Item]):
    """Batches of at most `most`: a full one goes at once, the rest when the oldest has waited for `linger_s`."""

    def __init__(self, most: int, linger_s: float) -> None:
        self._most = most
        self._linger_s = linger_s
        self._items: deque[Item] = deque()
        self._since = 0.0
        self._later: list[tuple[float, int, Item]] = []
        self._serial = 0
        self._urgent = False

    def __bool__(self) -> bool:
        return bool(self._items or self._later)

    @property
    def is_full(self) -> bool:
        """Whether there is a full batch."""
        return len(self._items) >= self._most

    def add(self, item: Item, now: float, *, urgent: bool = False) -> None:
        """Something to send; at once with all that waits where it is urgent."""
        if not self._items:
            self._since = now
        self._items.append(item)
        self._urgent |= urgent

    def add_later(self, item: Item, at: float) -> None:
        """Something that failed, and is to be tried again at `at`."""
        self._serial += 1
        heappush(self._later, (at, self._serial, item))

    def batches(self, now: float, *, urgent: bool = False) -> list[list[Item]]:
        """What is to be sent now, in the order in which it came."""
        later = self._later
        while later and later[0][0] <= now:
            self.add(heappop(later)[2], now, urgent=True)
        items = self._items
        if not items:
            return []
        everything = urgent or self._urgent or now >= self._since + self._linger_s
        found: list[list[Item]] = []
        while items and (everything or len(items) >= self._most):
            found.append([items.popleft() for _ in range(min(self._most, len(items)))])
        if found:
            self._since = now
            self._urgent = False
        return found

    def due(self) -> float | None:
        """When there is something to send without anything being added."""
        first = self._later[0][0] if self._later else None
        if not self._items:
            return first
        lingering = self._since + self._linger_s
        return lingering if first is None else min(first, lingering)
