"""Writes that are stamped already and not seen yet."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from halocline.emulator.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Pending:
    transaction: str
    rule: str
    due: datetime | None  # None: when its rule is released


class LateCommits:
    """The transactions that rules hold back. One that is due by the org's clock is committed before the next request's work."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: list[_Pending] = []
        self._lock = Lock()

    def keep(self, transaction: str, *, rule: str, after_s: float) -> None:
        """Commit an open transaction after so many seconds of the org's clock, with 0 when its rule is released."""
        due = self._store.clock.now() + timedelta(seconds=after_s) if after_s else None
        with self._lock:
            self._pending.append(_Pending(transaction, rule, due))

    def settle(self) -> None:
        """Commit what is due."""
        if self._pending:
            now = self._store.clock.now()
            self._commit([one for one in self._pending if one.due is not None and one.due <= now])

    def let_go(self, rule: str) -> None:
        """Commit what a rule holds back."""
        self._commit([one for one in self._pending if one.rule == rule])

    def close(self) -> None:
        """Forget what is held back: it was never seen."""
        with self._lock:
            pending, self._pending = self._pending, []
        for one in pending:
            with suppress(KeyError):  # ended through the admin door already
                self._store.rollback(one.transaction)

    def _commit(self, ready: list[_Pending]) -> None:
        for one in ready:
            with self._lock:
                if one not in self._pending:  # another thread's by now
                    continue
                self._pending.remove(one)
            try:
                with suppress(KeyError):  # ended through the admin door already
                    self._store.commit(one.transaction)
            except Exception:  # whoever asks next has no part in it, and the others' writes are good
                logger.exception("%s, which a fault held back, cannot be committed: what it wrote is lost", one.transaction)
                self._store.rollback(one.transaction)
