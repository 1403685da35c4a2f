"""Outbox: what waits to share a call with others, for a short while only, and what is tried again later; and all words' outboxes.

A word to the idempotency store is said at once where none is under way, nor was a moment ago, and what comes meanwhile goes in
the next call: who is killed leaves few words unsaid, and the more there is to say, the more goes in a call.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import Generic, TypeVar

from halocline.consume.flight.orders import Order, Say, Saying, Word
from halocline.consume.limits import Limits

Item = TypeVar("Item")

_REST_S = 0.003  # between calls that are not full: a call costs as much as some messages do


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


class Words:
    """What is to be said to the idempotency store: an outbox for each kind of word."""

    def __init__(self, limits: Limits) -> None:
        self._boxes: dict[Word, Outbox[Saying]] = {word: Outbox(limits.batch, 0.0) for word in Word}
        self._under_way = 0
        self._rest_until = 0.0

    def add(self, saying: Saying, now: float) -> None:
        """Something to say."""
        self._boxes[saying.word].add(saying, now)

    def again(self, saying: Saying, at: float) -> None:
        """Something that was perhaps not heard is said again at `at`."""
        self._boxes[saying.word].add_later(saying, at)

    def answered(self, now: float) -> None:
        """One of the orders was heard, or was not."""
        self._under_way -= 1
        self._rest_until = now + _REST_S

    def orders(self, now: float) -> list[Order]:
        """What is to be said now."""
        if self._under_way or (now < self._rest_until and not any(box.is_full for box in self._boxes.values())):
            return []
        found: list[Order] = [Say(tuple(batch)) for box in self._boxes.values() if box for batch in box.batches(now)]
        self._under_way = len(found)
        return found

    def due(self) -> float | None:
        """When the next is to be said; None: only an answer changes anything."""
        if self._under_way:
            return None
        due = min((due for box in self._boxes.values() if box and (due := box.due()) is not None), default=None)
        return None if due is None else max(due, self._rest_until)
