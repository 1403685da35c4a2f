"""Records that somebody else is working on: writes on them, or on their details, are refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from halocline.emulator.clock import Clock
from halocline.emulator.errors import ApiError
from halocline.emulator.faults import orders
from halocline.emulator.ids import to_18

_POLL_S = 0.05  # how often a waiting write looks whether a lock's time is over by the org's clock


class Locks:
    """The locked records of one org. A write waits `wait_s` real seconds for a record, then it is refused.

    Salesforce waits ten seconds. Source: Salesforce Help, "Unable to Lock Row" ("Record currently unavailable").
    """

    def __init__(self, clock: Clock, *, wait_s: float = 0.0) -> None:
        self._clock = clock
        self._wait_s = wait_s
        self._until: dict[str, datetime | None] = {}
        self._changed = threading.Condition(threading.RLock())

    def __bool__(self) -> bool:
        """Whether any record was locked and not released (its time may be over), or a fault locks rows of the work at hand."""
        return bool(self._until) or orders.any_row_locked()

    def lock(self, record_id: str, *, seconds: float | None = None) -> None:
        """Lock a record for so many seconds of the org's clock, or until it is released.
        Raises: ValueError if that is no id.
        """
        with self._changed:
            self._until[to_18(record_id)] = None if seconds is None else self._clock.now() + timedelta(seconds=seconds)

    def release(self, record_id: str) -> None:
        """End a record's lock, if it has one.
        Raises: ValueError if that is no id.
        """
        with self._changed:
            self._until.pop(to_18(record_id), None)
            self._changed.notify_all()

    def release_all(self) -> None:
        """End every lock."""
        with self._changed:
            self._until.clear()
            self._changed.notify_all()

    def held(self) -> dict[str, datetime | None]:
        """The locked records and until when; None means until released."""
        with self._changed:
            now = self._clock.now()
            self._until = {key: until for key, until in self._until.items() if until is None or until > now}
            return dict(self._until)

    def await_free(self, record_ids: Iterable[str]) -> None:
        """Return as soon as none of these records is locked.
        Raises: ApiError(400, UNABLE_TO_LOCK_ROW) when that takes too long, and at once where a fault wants it so.
        """
        wanted = frozenset(record_ids)
        if orders.take_lock():
            raise _unable_to_lock(sorted(wanted))
        deadline = time.monotonic() + self._wait_s
        with self._changed:
            while locked := sorted(wanted & self.held().keys()):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise _unable_to_lock(locked)
                self._changed.wait(min(left, _POLL_S))


def _unable_to_lock(record_ids: list[str]) -> ApiError:
    others = f" or {len(record_ids)} records: {','.join(record_ids)}" if record_ids else ""
    message = f"unable to obtain exclusive access to this record{others}"
    return ApiError(400, "UNABLE_TO_LOCK_ROW", message, fields=())
