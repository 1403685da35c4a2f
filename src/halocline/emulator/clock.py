"""The emulator's clock: server time that tests can move."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class Clock:
    """Server time in UTC. It runs with the machine's clock until a test moves or freezes it; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset = timedelta(0)
        self._frozen: datetime | None = None

    def now(self) -> datetime:
        """The moment it is on the server, as an aware UTC datetime."""
        with self._lock:
            return (self._frozen or datetime.now(UTC)) + self._offset

    def advance(self, seconds: float) -> None:
        """Move server time by `seconds` (negative moves it back), also while it is frozen."""
        with self._lock:
            self._offset += timedelta(seconds=seconds)

    def freeze(self, at: datetime | None) -> None:
        """Stand still at `at` (aware), until thawed by None; thawed time runs on with the machine's clock.

        Raises: ValueError for a datetime without a time zone.
        """
        if at is not None and at.tzinfo is None:
            raise ValueError("a clock is frozen at an aware datetime, this one has no time zone")
        with self._lock:
            self._offset = timedelta(0)
            self._frozen = None if at is None else at.astimezone(UTC)


def stamp(moment: datetime) -> str:
    """`moment` as Salesforce keeps an audit field: `2026-11-20T08:30:00.000Z`, cut to whole seconds.

    Source: CreatedDate and SystemModstamp in recorded answers of real orgs always end in `.000`.
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
