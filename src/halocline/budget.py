"""Budget: how many calls a day may be made to one org, counted over all runs and processes that share a ledger.

A day is a day of UTC. With a budget each call is booked before it is made, so that the one that would be too many is never made;
without one, calls are only counted, some at a time.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Protocol, Self

AT_A_TIME = 25  # calls that are counted together where no budget asks for each: a process that is killed forgets fewer

Spend = Callable[[str, str], None]
"""Books one call to an org (its id, or its host) before it is made, for what is being done; raises QuotaExhausted instead."""


class Tally(Protocol):
    """Where calls are counted: a ledger."""

    def spend(self, org: str, calls: int, *, most: int | None = None, doing: str = "") -> int:
        """See `ledger.Usages.spend`."""


class Budget:
    """`most` calls a day to each org, booked in `tally`; None: they are only counted. Safe to share between threads."""

    def __init__(self, tally: Tally, most: int | None = None) -> None:
        self._tally = tally
        self._most = most
        self._lock = threading.Lock()
        self._uncounted: Counter[str] = Counter()

    def spend(self, org: str, doing: str) -> None:
        """Book one call to `org`, before it is made.

        Raises: QuotaExhausted when the budget of the day is used; then nothing is booked.
        """
        if self._most is not None:
            self._tally.spend(org, 1, most=self._most, doing=doing)
            return
        with self._lock:
            self._uncounted[org] += 1
            due = self._uncounted.pop(org) if self._uncounted[org] >= AT_A_TIME else 0
        if due:
            self._tally.spend(org, due)

    def close(self) -> None:
        """Count what is not counted yet. Idempotent."""
        with self._lock:
            due, self._uncounted = self._uncounted, Counter()
        for org, calls in due.items():
            self._tally.spend(org, calls)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
