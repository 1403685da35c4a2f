"""Appetite: how many messages to have here, and how many to claim, from how long handlers take."""

from __future__ import annotations

from halocline.consume.limits import Limits

_LEARN = 0.2  # how much the newest handler counts in the mean duration
_SHORTEST_S = 1e-3
_CLAIMED_S = 0.25  # messages that handlers begin within so long are claimed ahead,
_FETCHED_S = 1.0  # and fetched ahead within so long


class Appetite:
    """Little until the first handler came to an end; then by the mean of the last ones."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._mean_s: float | None = None

    def took(self, seconds: float) -> None:
        """A handler took so long."""
        self._mean_s = seconds if self._mean_s is None else self._mean_s + _LEARN * (seconds - self._mean_s)

    def ahead(self) -> int:
        """How many messages to claim beyond what handlers can begin at once.

        A claim that is never begun looks like a death where this process ends: few for slow handlers.
        """
        return min(2 * self._limits.batch, self._within(_CLAIMED_S))

    def most(self) -> int:
        """How many messages to have here: no more than handlers begin soon, so that other workers get theirs.

        Where messages of a group wait for each other, it cannot be told how many can begin soon.
        """
        limits = self._limits
        if limits.fifo:
            return limits.in_flight
        return min(limits.in_flight, limits.workers + 2 * limits.batch + self._within(_FETCHED_S))

    def _within(self, seconds: float) -> int:
        if self._mean_s is None:
            return 0
        return int(seconds * self._limits.workers / max(self._mean_s, _SHORTEST_S))
