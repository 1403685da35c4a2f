"""Ready: messages whose handlers can be started, and whose turn it is."""

from __future__ import annotations

from collections import deque

from halocline.consume.flight.alone import Alone
from halocline.consume.flight.roster import Phase, Stay
from halocline.consume.limits import Limits


class Ready:
    """In the order in which they were claimed, save one that has to run alone."""

    def __init__(self, limits: Limits) -> None:
        self._workers = limits.workers
        self.alone = Alone(limits)
        self._line: deque[Stay] = deque()  # may hold messages that have moved on

    def add(self, stay: Stay) -> bool:
        """One more; false where its claim is to be given back, because it has to run alone."""
        if stay.claim is not None and self.alone.is_for(stay.claim):
            return self.alone.admit(stay)
        self._line.append(stay)
        return True

    def next(self, now: float, *, running: int) -> Stay | None:
        """The message to start, beside so many that are running."""
        if self.alone.keeps_out(now):
            return self.alone.to_begin()
        while self._line and running < self._workers:
            stay = self._line.popleft()
            if stay.phase is Phase.READY:
                return stay
        return None
