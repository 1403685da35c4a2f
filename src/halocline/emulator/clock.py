"""The emulator's clock: server time that tests can move."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

FIRST_YEAR, LAST_YEAR = 1700, 4000  # Source: SOAP API Developer Guide, "Primitive Data Types", `dateTime`


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
        """Move server time by `seconds` (negative moves it back), also while it is frozen.
        Raises: ValueError for a time that Salesforce's calendar does not have; OverflowError for more than a calendar can hold.
        """
        with self._lock:
            offset = self._offset + timedelta(seconds=seconds)
            _check((self._frozen or datetime.now(UTC)) + offset)
            self._offset = offset

    def freeze(self, at: datetime | None) -> None:
        """Stand still at `at` (aware), until thawed by None; thawed time runs on with the machine's clock.

        Raises: ValueError for a datetime without a time zone, and for one that Salesforce's calendar does not have.
        """
        if at is not None and at.tzinfo is None:
            raise ValueError("a clock is frozen at an aware datetime, this one has no time zone")
        if at is not None:
            _check(at)
        with self._lock:
            self._offset = timedelta(0)
            self._frozen = None if at is None else at.astimezone(UTC)


def _check(moment: datetime) -> None:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"Salesforce's calendar goes from {FIRST_YEAR} to {LAST_YEAR}, not to {moment.year}")


def stamp(moment: datetime) -> str:
    """`moment` as Salesforce keeps an audit field: `2026-11-20T08:30:00.000Z`, cut to whole seconds.

    Source: CreatedDate and SystemModstamp in recorded answers of real orgs always end in `.000`.
    """
    return moment.astimezone(UTC).isoformat(timespec="seconds")[: len("2026-11-20T08:30:00")] + ".000Z"
