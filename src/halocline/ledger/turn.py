"""Turn: the wait of a connection for its turn to write to a ledger's file, which takes one writer at a time."""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path

from halocline.hiding import one_line
from halocline.ledger import database

TOLD_AFTER_S = 5.0  # seconds after which a wait is told: a person, or a scheduler's log, then knows what a command waits for
_GIVEN_UP_S = 10.0  # seconds after a wait in vain in which nobody waits again: what is told, and tidied up, would wait once more
_BRIEFLY_S = 0.05
_LOGGER = logging.getLogger("halocline.ledger")


class Turn:
    """The turn of one connection, which one thread takes at a time."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path
        self._given_up_until = 0.0

    def take(self) -> None:
        """Begin a write transaction when the others have ended theirs, within BUSY_S; what is waited for is logged meanwhile.

        Raises: sqlite3.OperationalError when they have not.
        """
        patience_s = _BRIEFLY_S if time.monotonic() < self._given_up_until else database.BUSY_S
        quiet_s = min(TOLD_AFTER_S, patience_s)
        try:
            try:
                self._begin(quiet_s)
            except sqlite3.OperationalError as error:
                if not database.is_busy(error) or quiet_s == patience_s:
                    raise
                _LOGGER.warning("Waiting for the ledger %s: another process is writing to it.", one_line(str(self._path)))
                self._begin(patience_s - quiet_s)
        except sqlite3.OperationalError as error:
            if database.is_busy(error):
                self._given_up_until = time.monotonic() + _GIVEN_UP_S
            raise
        self._given_up_until = 0.0

    def _begin(self, wait_s: float) -> None:
        self._db.execute(f"PRAGMA busy_timeout = {wait_s * 1_000:.0f}")
        self._db.execute("BEGIN IMMEDIATE")
