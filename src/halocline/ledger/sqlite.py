"""SqliteLedger: the ledger in one file, for any number of threads and processes of one host."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from halocline.ledger.database import gate, opened, queries, shrunk
from halocline.ledger.ledger import Clock, stamp, utc_now
from halocline.ledger.pruning import Put
from halocline.ledger.sql import SqlLedger
from halocline.ledger.turn import Turn
from halocline.sql_transaction import begun


class SqliteLedger(SqlLedger):
    """A `Ledger` in the SQLite file `path`, made with its folder when it is not there, readable by its owner only.

    Raises: StorageFailed when the file cannot be opened or is damaged, FixConfig when it is another program's or was
    written by a newer Halocline.
    """

    def __init__(self, path: Path | str, *, clock: Clock = utc_now) -> None:
        self.path = Path(path).expanduser().resolve()
        self._clock = clock
        self._lock = threading.RLock()  # one connection for all threads: every write ends in an fsync anyway
        self._doing = f"Using the ledger {self.path}"
        self._db = opened(self.path, now=stamp(clock()))
        self._turn = Turn(self._db, self.path)

    def close(self) -> None:
        """Close the file. Idempotent."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _reading(self) -> Iterator[Put]:
        with self._lock, gate(self._doing):
            yield _Statements(self._db, self._clock)

    @contextmanager
    def _writing(self, about: str = "") -> Iterator[Put]:  # noqa: ARG002 - a file has one writer at a time anyway
        with self._lock, gate(self._doing):
            self._turn.take()
            with begun(self._db, failure=sqlite3.Error):
                yield _Statements(self._db, self._clock)

    def _shrunk(self, *, thorough: bool) -> tuple[int, int] | None:
        with self._lock:
            return shrunk(self._db, thorough=thorough)


class _Statements:
    """See `Put`."""

    def __init__(self, db: sqlite3.Connection, clock: Clock) -> None:
        self._db = db
        self.now = clock

    def __call__(self, name: str, **values: object) -> sqlite3.Cursor:
        return self._db.execute(queries()[name], values)
