"""Polling: how many polls are under way, for how many messages, and when one has been silent for too long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from halocline.consume.flight.orders import Poll
from halocline.consume.flight.outage import wait_s
from halocline.consume.limits import Limits

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class _Pending:
    """A poll under way: for how many, and since when."""

    limit: int
    since: float


class Polling:
    """One poll where little comes in, more of them as long as they come back full, none for a while after one failed."""

    def __init__(self, limits: Limits, chance: Callable[[], float]) -> None:
        self._limits = limits
        self._chance = chance
        self._pending: dict[int, _Pending] = {}
        self._serial = 0
        self._wanted = 1
        self._failures = 0
        self._not_before = 0.0

    @property
    def pending(self) -> int:
        """Polls under way."""
        return len(self._pending)

    def answered(self, number: int, found: int) -> None:
        """A poll brought so many messages. A number that was given up is no news of the others."""
        poll = self._pending.pop(number, None)
        self._failures = 0
        if poll is None:
            return
        if found >= poll.limit:
            self._wanted = min(self._wanted + 1, self._limits.polls)
        elif found == 0:
            self._wanted = max(1, self._wanted - 1)

    def failed(self, number: int, now: float) -> None:
        """A poll failed: the next one waits, the longer the more failed in a row."""
        if self._pending.pop(number, None) is None:
            return
        self._wanted = 1
        self._failures += 1
        pause_s = wait_s(self._failures, chance=self._chance(), first_s=_FIRST_WAIT_S, longest_s=_LONGEST_WAIT_S)
        self._not_before = max(self._not_before, now + pause_s)

    def polls(self, now: float, room: int, *, messages: int) -> list[Poll]:
        """The polls to begin, for `room` messages with those that polls under way may bring, beside so many `messages` here.

        A poll for less than a batch is worth it only where handlers have nothing to do.
        """
        if now < self._not_before:
            return []
        found: list[Poll] = []
        coming = sum(poll.limit for poll in self._pending.values())
        room -= coming
        idle = self._limits.workers - messages - coming
        while len(self._pending) < self._wanted and self._is_worth_it(room, idle):
            limit = min(self._limits.batch, room)
            self._serial += 1
            self._pending[self._serial] = _Pending(limit, now)
            found.append(Poll(self._serial, limit))
            room -= limit
            idle -= limit
        return found

    def _is_worth_it(self, room: int, idle: int) -> bool:
        return room >= self._limits.batch or (room > 0 and idle > 0)

    def is_silent(self, now: float) -> bool:
        """Whether a poll has not been answered for too long. True once: all polls under way count as failed then."""
        if not any(now >= poll.since + self._limits.silent_s for poll in self._pending.values()):
            return False
        for number in list(self._pending):
            self.failed(number, now)
        return True

    def give_up(self) -> None:
        """No poll that is under way is waited for."""
        self._pending.clear()

    def due(self, room: int, messages: int) -> float | None:
        """When to ask again if nothing is reported before."""
        times = [poll.since + self._limits.silent_s for poll in self._pending.values()]
        if not times and self._is_worth_it(room, self._limits.workers - messages):
            times.append(self._not_before)
        return min(times, default=None)
