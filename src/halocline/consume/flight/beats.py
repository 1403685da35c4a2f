"""Beats: messages are hidden again, and claims held on to, at half of their time, as long as they are here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from halocline.consume.flight.orders import Extend, Order, Renew, TellLost
from halocline.consume.flight.roster import Phase, Stay
from halocline.consume.limits import Limits

_CLAIMS = 100  # claims a round trip to the store
_SPARE = 500  # beats of messages that are gone, before they are let go of
_ENDING = frozenset({Phase.LEAVING, Phase.GONE})
_CLAIMED = frozenset({Phase.READY, Phase.RUNNING, Phase.BURYING, Phase.SAYING})


@dataclass(slots=True)
class Due:
    """What the beats of one moment come to. `overlong` are messages that are not started and must not be kept any longer."""

    orders: list[Order] = field(default_factory=list)
    overlong: list[Stay] = field(default_factory=list)
    lost: int = 0


class Beats:
    """When each message is to be hidden again, and its claim held on to."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._heap: list[tuple[float, int, Stay]] = []
        self._most = _SPARE

    def at(self, stay: Stay, at: float) -> None:
        """The next beat of a message; another that was to come is forgotten."""
        stay.beat_at = at
        heappush(self._heap, (at, stay.number, stay))
        if len(self._heap) > self._most:
            self._forget()

    def soon(self, stay: Stay, now: float) -> None:
        """What could not be held for longer is tried again in a while, and in time to tell that it is lost."""
        ends = self._ends(stay)
        again = now + self._limits.beat_s / 4
        self.at(stay, min(again, ends) if ends > now else again)

    def _ends(self, stay: Stay) -> float:
        return stay.lease_until if self._limits.records else stay.hidden_until

    def _forget(self) -> None:
        """Let go of messages that are gone: many come and go within a beat, each with its body."""
        self._heap = [one for one in self._heap if one[2].beat_at == one[0] and one[2].phase not in _ENDING]
        heapify(self._heap)
        self._most = max(_SPARE, 2 * len(self._heap))

    def due_at(self) -> float | None:
        """When the next one is."""
        heap = self._heap
        while heap and (heap[0][2].beat_at != heap[0][0] or heap[0][2].phase in _ENDING):
            heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now: float) -> Due:
        """What is to be done now. What would be due within a quarter of a beat goes along, so that calls are full."""
        found = Due()
        first = self.due_at()
        if first is None or first > now:
            return found
        extends: dict[int, list[Stay]] = {}
        renews: list[Stay] = []
        for stay in self._pop(now + self._limits.beat_s / 4):
            self._beat(stay, now, found=found, extends=extends, renews=renews)
        for seconds, stays in extends.items():
            found.orders += extensions(stays, seconds, most=self._limits.batch)
        for start in range(0, len(renews), _CLAIMS):
            found.orders.append(Renew(tuple((stay.ticket, stay.fence) for stay in renews[start : start + _CLAIMS])))
        return found

    def _pop(self, until: float) -> list[Stay]:
        heap = self._heap
        found = []
        while heap and heap[0][0] <= until:
            at, _, stay = heappop(heap)
            if stay.beat_at == at and stay.phase not in _ENDING and not stay.abandoned:
                stay.beat_at = 0.0
                found.append(stay)
        return found

    def _beat(self, stay: Stay, now: float, *, found: Due, extends: dict[int, list[Stay]], renews: list[Stay]) -> None:
        limits = self._limits
        left_s = stay.received_at + limits.longest_s - now
        if left_s < 1.0:
            self._too_long(stay, found)
            return
        ends = self._ends(stay)
        if ends <= now:
            self._tell(stay, found, why="its time ended before it could be held for longer")
        extends.setdefault(min(limits.visibility_s, int(left_s)), []).append(stay)
        stay.extended_at = now
        stay.extending += 1
        if stay.fence and stay.phase in _CLAIMED:
            stay.renewed_at = now
            renews.append(stay)
        following = now + limits.beat_s
        self.at(stay, min(following, ends) if ends > now else following)

    def _too_long(self, stay: Stay, found: Due) -> None:
        if stay.phase is Phase.RUNNING:
            self._tell(stay, found, why=f"it has been worked on for {self._limits.longest_s:.0f} s, the longest that is allowed")
        else:
            found.overlong.append(stay)

    def _tell(self, stay: Stay, found: Due, *, why: str) -> None:
        if stay.phase is Phase.RUNNING and not stay.is_lost:
            stay.is_lost = True
            found.lost += 1
            found.orders.append(TellLost(stay.ticket, why))


def extensions(stays: Sequence[Stay], seconds: int, *, most: int) -> list[Order]:
    """Orders to hide messages for so long, at most so many an order."""
    found: list[Order] = []
    for start in range(0, len(stays), most):
        part = stays[start : start + most]
        found.append(Extend(tuple(stay.ticket for stay in part), tuple(stay.handle for stay in part), seconds))
    return found
