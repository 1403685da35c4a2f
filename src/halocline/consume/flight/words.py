"""Words: what is to be said to the idempotency store, gathered by kind.

A word is said at once where none is under way, nor was a moment ago, and what comes meanwhile goes in the next call: who is
killed leaves few words unsaid, and the more there is to say, the more goes in a call.
"""

from __future__ import annotations

from halocline.consume.flight.orders import Order, Say, Saying, Word
from halocline.consume.flight.outbox import Outbox
from halocline.consume.limits import Limits

_REST_S = 0.003  # between calls that are not full: a call costs as much as some messages do


class Words:
    """An outbox for each kind of word."""

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
