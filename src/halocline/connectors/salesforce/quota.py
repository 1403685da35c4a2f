"""Quota: what is used of an org's daily calls, by anyone, and whether one more may go out; one for all threads of a connection.

    begin -> the call's number, or QuotaExhausted        end -> what the answer said of the org's count

The count is known as of the last answer. Calls that are on their way may or may not be in it, so they are added to it: with any
number of threads none goes out that could be one too many. While nothing is known, one call looks and the others wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from halocline.connectors.salesforce.errors import DAILY_WAIT_S
from halocline.errors import QuotaExhausted

QUOTA_SHARE = 0.95  # of the org's daily calls; the rest is left for people and other programs
QUOTA_FRESH_S = 300.0  # how long the last count is believed; then one call may look whether the window has moved on
_LOOK_S = 1.0  # seconds between two looks at whether the one that looks has come back; it wakes the others itself


@dataclass(frozen=True, slots=True)
class Usage:
    """`calls` made by this transport, repeats included; `used` of `allowed` is the org's own count of the day, as last told.

    `used` goes down as the 24-hour window moves on. Source: REST API Developer Guide, "Limit Info Header".
    """

    calls: int = 0
    used: int | None = None
    allowed: int | None = None


class Meter:
    """Counts calls, for itself and for the meter that it is a part of. Safe to share between threads."""

    def __init__(self, whole: Meter | None = None) -> None:
        self._whole = whole
        self._lock = threading.Lock()
        self.calls = 0

    def count(self) -> None:
        """One more call."""
        with self._lock:
            self.calls += 1
        if self._whole is not None:
            self._whole.count()


class Quota:
    """The org's count of the day, held against the `share` of it that may be used up; 1.0 never refuses."""

    def __init__(self, *, share: float, clock: Callable[[], float]) -> None:
        self._share = share
        self._clock = clock
        self._changed = threading.Condition()
        self._used: int | None = None
        self._allowed: int | None = None
        self._told_at = 0.0
        self._told_after = 0  # calls that had begun when the count was told
        self._begun = 0
        self._on_their_way: set[int] = set()
        self._untold: set[int] = set()  # ended since the last count without one, and perhaps counted
        self._looking: int | None = None
        self._mute = False  # the last answer told nothing, so there is nothing to wait for

    @property
    def told(self) -> tuple[int | None, int | None]:
        """Used and allowed calls, as last told."""
        return self._used, self._allowed

    def begin(self, doing: str, *, always: bool) -> int:
        """The number of a call that may go out now; `always`: it may in any case, and is counted all the same.

        Raises: QuotaExhausted when the share is used, or would be if all calls on their way counted.
        """
        with self._changed:
            self._begun += 1
            number = self._begun
            if not always and self._share < 1.0:
                self._wait_for_a_count(number)
                self._refuse(doing, number)
            self._on_their_way.add(number)
            return number

    def end(self, number: int, told: tuple[int, int] | None, *, answered: bool = True) -> None:
        """The call's answer has come (or never will: `answered` False), and said so much of used and allowed calls."""
        with self._changed:
            self._on_their_way.discard(number)
            self._looking = None if self._looking == number else self._looking
            if told is None:
                self._untold.add(number)
                self._mute = self._mute or answered
            else:
                self._believe(number, told)
            self._changed.notify_all()

    def _believe(self, number: int, told: tuple[int, int]) -> None:
        """Answers overtake each other: a lower count is only news from a call that began after the higher one was told."""
        if self._used is not None and told[0] < self._used and number <= self._told_after:
            return
        self._used, self._allowed = told
        self._told_at, self._told_after, self._mute = self._clock(), self._begun, False
        self._untold = {other for other in self._untold if other > number}

    def _wait_for_a_count(self, number: int) -> None:
        while not self._known() and self._looking is not None:
            self._changed.wait(_LOOK_S)
        if not self._known():
            self._looking = number

    def _known(self) -> bool:
        return self._mute or (self._used is not None and self._clock() - self._told_at < QUOTA_FRESH_S)

    def _refuse(self, doing: str, number: int) -> None:
        used, allowed = self._used, self._allowed
        if self._looking == number or used is None or not allowed or self._clock() - self._told_at >= QUOTA_FRESH_S:
            return
        perhaps = len(self._on_their_way) + len(self._untold)
        if used + perhaps < self._share * allowed:
            return
        more = f", and {perhaps:,} are on their way" if perhaps else ""
        cause = f"{used:,} of the org's {allowed:,} daily API calls are used{more}; the share of {self._share:.0%} is reached"
        hint = "Try again later, or let more be used: --quota-share 1, in Python SalesforceClient(..., quota_share=1.0)."
        raise QuotaExhausted(doing, cause, hint=hint, after_s=DAILY_WAIT_S, used=used, allowed=allowed)
