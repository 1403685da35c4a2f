"""Departures: messages that leave the worker undone, hidden for a while or handed back at once."""

from __future__ import annotations

from halocline.consume.flight.beats import extensions
from halocline.consume.flight.orders import Order
from halocline.consume.flight.outbox import Outbox
from halocline.consume.flight.roster import Phase, Stay
from halocline.consume.limits import Limits


class Departures:
    """An outbox for each number of seconds: a call hides all its messages for the same time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._boxes: dict[int, Outbox[Stay]] = {}

    def add(self, stay: Stay, now: float) -> None:
        """A message that leaves, hidden for `hide_s`: once no other order to hide it is under way,
        which might come after this one.
        """
        if not stay.extending:
            self._box(stay.hide_s or 0).add(stay, now)

    def again(self, stay: Stay, at: float) -> None:
        """One that could not be hidden is tried again at `at`."""
        self._box(stay.hide_s or 0).add_later(stay, at)

    def orders(self, now: float, *, urgent: bool) -> list[Order]:
        """What is to be hidden now."""
        found: list[Order] = []
        for seconds, box in list(self._boxes.items()):
            for batch in box.batches(now, urgent=urgent):
                leaving = [stay for stay in batch if stay.phase is Phase.LEAVING or stay.abandoned]
                found += extensions(leaving, seconds, most=self._limits.batch)
            if not box:
                del self._boxes[seconds]
        return found

    def due(self) -> float | None:
        """When the next is to be hidden."""
        return min((due for box in self._boxes.values() if (due := box.due()) is not None), default=None)

    def _box(self, seconds: int) -> Outbox[Stay]:
        box = self._boxes.get(seconds)
        if box is None:
            box = self._boxes[seconds] = Outbox(self._limits.batch, self._limits.flush_s)
        return box
