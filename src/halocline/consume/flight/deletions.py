"""Deletions: messages that are done with, until the queue has deleted them, or will not."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from halocline.consume.flight.orders import Delete
from halocline.consume.flight.outage import wait_s
from halocline.consume.flight.outbox import Outbox
from halocline.consume.flight.refusal import is_denied, is_for_good, is_gone
from halocline.consume.flight.roster import Stay
from halocline.consume.limits import Limits
from halocline.consume.watching.counts import Counts
from halocline.queues import Reply

_MOST_TRIES = 12  # half a minute with the waits between them


class Fate(Enum):
    """What an answer makes of a message: it is tried again, it is over and done with, or others are handed it."""

    AGAIN = auto()
    OVER = auto()
    STALE = auto()


class Deletions:
    """Gathered into calls, tried again, and given up where it is of no use: a message that stays takes up room in the worker."""

    def __init__(self, limits: Limits, counts: Counts, chance: Callable[[], float]) -> None:
        self._counts = counts
        self._chance = chance
        self._box: Outbox[Stay] = Outbox(limits.batch, limits.flush_s)

    def add(self, stay: Stay, now: float, *, urgent: bool = False) -> None:
        """A message to delete; at once where somebody waits for it."""
        stay.tries = 0
        self._box.add(stay, now, urgent=urgent)

    def orders(self, now: float, *, urgent: bool) -> list[Delete]:
        """What is to be deleted now."""
        if not self._box:
            return []
        batches = self._box.batches(now, urgent=urgent)
        return [Delete(tuple([stay.ticket for stay in each]), tuple([stay.handle for stay in each])) for each in batches]

    def due(self) -> float | None:
        """When the next is to be deleted."""
        return self._box.due()

    def answered(self, stay: Stay, handle: str, *, reply: Reply, now: float, is_last: bool) -> Fate:
        """The queue answered for `handle`; `is_last`: nothing is tried again."""
        is_stale = is_for_good(reply)
        if stay.handle != handle and (is_stale or is_gone(reply)):
            self._box.add(stay, now, urgent=True)  # it was handed out again meanwhile: by that handle it can be deleted
            return Fate.AGAIN
        if is_gone(reply):
            self._counts.deleted += 1
            self._counts.objects_left += not reply
            return Fate.OVER
        if is_stale:
            self._counts.delete_stale += 1
            return Fate.STALE
        stay.tries += 1
        if is_last or is_denied(reply) or stay.tries >= _MOST_TRIES:
            self._counts.undeleted += 1
            return Fate.OVER
        self._counts.delete_retries += 1
        self._box.add_later(stay, now + wait_s(stay.tries, chance=self._chance()))
        return Fate.AGAIN
