"""Ending: how a worker comes to its end: first what runs may finish, then everything is handed back."""

from __future__ import annotations

from halocline.consume.flight.polling import Polling
from halocline.consume.flight.roster import Stay

_LAST_POLLS_S = 2.0
"""A poll that is under way may bring messages still, which are handed back then; it is not waited for longer than this once
everything else is. A driver reports the polls that it breaks off."""


class Ending:
    """`is_on`: nothing new is begun. `is_now`: nothing is waited for but last answers."""

    def __init__(self) -> None:
        self.is_on = False
        self.is_now = False
        self._next_at = 0.0
        self._hold_until = 0.0
        self._parting: set[int] = set()
        self.abandoned = 0
        """Handlers that run on, though their messages are handed back."""

    def begin(self, now: float, *, grace_s: float, visible_s: float) -> None:
        """Nothing new; `grace_s` from now everything is handed back. What is held stays hidden for `visible_s` at least."""
        self.is_on = True
        self._next_at = now + grace_s
        self._hold_until = now + min(_LAST_POLLS_S, visible_s)

    def now(self, now: float) -> None:
        """Everything is handed back."""
        self.is_now = True
        self._next_at = now + _LAST_POLLS_S

    def held_back(self, at: float | None, polling: Polling) -> float | None:
        """When messages may leave that were to leave at `at`: not before the polls under way are over, or they would take them
        again, and nobody would hear of it. For a short while only.
        """
        if at is None or not self.is_on or not polling.pending:
            return at
        return max(at, self._hold_until)

    def abandon(self, stay: Stay) -> None:
        """A message is handed back although its handler runs."""
        stay.abandoned = True
        self._parting.add(stay.number)
        self.abandoned += 1

    def returned(self, stay: Stay) -> None:
        """Its handler came to an end all the same."""
        if stay.abandoned:
            stay.abandoned = False
            self.abandoned -= 1
            self._parting.discard(stay.number)

    def answered(self, number: int) -> None:
        """A message was handed back, or could not be."""
        self._parting.discard(number)

    def is_over(self, messages: int, polling: Polling) -> bool:
        """Whether nothing is left to wait for, with so many messages here."""
        return self.is_on and not self._parting and messages == self.abandoned and not polling.pending

    def is_due(self, now: float) -> bool:
        """Whether the next thing has to happen: everything is handed back, or the last polls are given up."""
        return self.is_on and now >= self._next_at

    def due(self, polling: Polling) -> float | None:
        """When that is."""
        return self._next_at if self.is_on and (polling.pending or not self.is_now) else None
