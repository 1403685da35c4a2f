"""Claiming: messages whose keys are to be claimed next, and for how many of them it is time."""

from __future__ import annotations

from collections import deque

from halocline.consume.flight.orders import Take
from halocline.consume.flight.roster import Phase, Roster, Stay
from halocline.consume.limits import Limits


class Claiming:
    """In the order in which they came. Claimed late: a claim that is never begun looks like a death where this process ends."""

    def __init__(self, limits: Limits, roster: Roster) -> None:
        self._limits = limits
        self._roster = roster
        self._line: deque[Stay] = deque()  # may hold messages that have moved on

    def want(self, stay: Stay) -> None:
        """A message that nobody is in front of."""
        self._roster.turn(stay, Phase.UNCLAIMED)
        self._line.append(stay)

    def want_again(self, stay: Stay) -> None:
        """A message whose claim was perhaps not heard: in front of the others."""
        self._roster.turn(stay, Phase.UNCLAIMED)
        self._line.appendleft(stay)

    def waiting(self) -> list[Stay]:
        """Who waits, in order."""
        return [stay for stay in self._line if stay.phase is Phase.UNCLAIMED]

    def room(self, *, ahead: int, idle: int) -> int:
        """How many to claim now: as many as handlers are free, or a full batch of the `ahead` that may wait for one.

        `idle` is how many handlers count as running but are waited for no longer.
        """
        numbers, limits = self._roster.numbers, self._limits
        if not numbers[Phase.UNCLAIMED]:
            return 0
        claimed = numbers[Phase.TAKING] + numbers[Phase.READY] + numbers[Phase.RUNNING] - idle
        room = limits.workers + ahead - claimed
        if room <= 0 or (claimed >= limits.workers and room < limits.batch):
            return 0
        return min(room, limits.batch)

    def take_only(self, stay: Stay, now: float) -> Take:
        """Claim this one by itself."""
        self._roster.turn(stay, Phase.TAKING)
        stay.taken_at = now
        return Take((stay.ticket,), self._lease_s([stay], now))

    def take(self, most: int, now: float) -> Take:
        """Claim the first ones."""
        found: list[Stay] = []
        while self._line and len(found) < most:
            stay = self._line.popleft()
            if stay.phase is Phase.UNCLAIMED:
                self._roster.turn(stay, Phase.TAKING)
                stay.taken_at = now
                found.append(stay)
        return Take(tuple([stay.ticket for stay in found]), self._lease_s(found, now))

    def _lease_s(self, stays: list[Stay], now: float) -> float:
        """No longer than all of them stay hidden: whoever is handed one after this worker died need not wait for the claim."""
        limits = self._limits
        if limits.lease_s is not None:
            return limits.lease_s
        hidden_s = min([stay.hidden_until for stay in stays], default=now) - now
        return max(limits.lease / 4, min(limits.lease, hidden_s - (limits.visibility_s - limits.lease)))
