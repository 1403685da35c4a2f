"""Outage: how long the idempotency store has not answered, and when it is asked again."""

from __future__ import annotations

from collections.abc import Callable

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0


def wait_s(failures: int, *, chance: float, first_s: float = _FIRST_WAIT_S, longest_s: float = _LONGEST_WAIT_S) -> float:
    """How long to wait after the `failures`-th failure in a row: twice as long each time, and half of it left to `chance`, which
    is drawn evenly from [0, 1).
    """
    return min(longest_s, first_s * 2.0 ** min(failures - 1, 20)) * (0.5 + 0.5 * chance)


class Outage:
    """Begins with a call that is not answered, and ends with one that is."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._failures = 0
        self._since = 0.0
        self.over_at = 0.0
        """When to ask again."""

    @property
    def is_on(self) -> bool:
        """Whether the last call was not answered."""
        return self._failures > 0

    def answered(self) -> None:
        """A call was answered."""
        self._failures = 0
        self.over_at = 0.0

    def failed(self, now: float) -> None:
        """A call was not."""
        if not self._failures:
            self._since = now
        self._failures += 1
        self.over_at = now + wait_s(self._failures, chance=self._chance())

    def has_lasted(self, now: float, patience_s: float) -> bool:
        """Whether no call has been answered for so long."""
        return self._failures > 0 and now >= self._since + patience_s
