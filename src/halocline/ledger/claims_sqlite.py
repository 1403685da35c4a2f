"""SqliteStore: claims in a ledger's SQLite file, for any number of threads and processes of one host."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from halocline.claim_store import Change, DecidingStore
from halocline.claims import KEPT_S, Clock, Record, micros
from halocline.errors import RetryLater, StorageFailed
from halocline.idempotency import Entry
from halocline.ledger import database
from halocline.ledger.database import STORE, opened, queries, transaction
from halocline.ledger.ledger import stamp

SWEPT_EVERY = 200  # changes, until records that are over are deleted; a change adds some ten records at most
SWEPT = 4_000  # records at most then


class SqliteStore(DecidingStore):
    """An `IdempotencyStore` in the file `path`, made with its folder when it is not there, readable by its owner only.

    Raises: StorageFailed when the file cannot be opened or is damaged, RetryLater when another process writes to it for long,
    FixConfig when it is another program's or was written by a newer Halocline.
    """

    def __init__(self, path: Path | str, *, clock: Clock = time.time) -> None:
        self._path = Path(path).expanduser().resolve()
        self._clock = clock
        self._lock = threading.Lock()  # one connection for all threads: every write ends in an fsync anyway
        self._changes = 0
        with _gate(f"Opening the store {self._path}"):
            self._db = opened(self._path, now=stamp(datetime.fromtimestamp(clock(), UTC)), named=STORE)

    def close(self) -> None:
        """See `IdempotencyStore.close`."""
        with self._lock:
            self._db.close()

    def _change(self, changes: Sequence[tuple[str, Change]], *, doing: str) -> list[Any]:
        with self._lock, _gate(f"{doing} in {self._path}"), transaction(self._db):
            now = micros(self._clock())
            records = self._records([key for key, _ in changes])
            written: dict[str, Record] = {}
            answers = []
            for key, change in changes:
                answer, after = change(records.get(key), now)
                answers.append(answer)
                if after is not None:
                    records[key] = written[key] = after
            self._db.executemany(queries()["put_claim"], [(key, *astuple(record)) for key, record in written.items()])
            self._sweep(now)
        return answers

    def _read(self, keys: Sequence[str], *, doing: str) -> tuple[Mapping[str, Record], int]:
        with self._lock, _gate(f"{doing} in {self._path}"):
            return self._records(keys), micros(self._clock())

    def _aside(self, limit: int, *, doing: str) -> list[Entry]:
        with self._lock, _gate(f"{doing} in {self._path}"):
            rows = self._db.execute(queries()["claims_set_aside"], {"limit": limit, "now": micros(self._clock())}).fetchall()
        return [Record(*row[1:]).entry(row[0]) for row in rows]

    def _records(self, keys: Sequence[str]) -> dict[str, Record]:
        rows = self._db.execute(queries()["claims_of"], {"keys": json.dumps(list(keys))})
        return {row[0]: Record(*row[1:]) for row in rows}

    def _sweep(self, now: int) -> None:
        self._changes += 1
        if self._changes % SWEPT_EVERY == 1:
            self._db.execute(queries()["sweep_claims"], {"now": now, "dead": now - micros(KEPT_S), "limit": SWEPT})


@contextmanager
def _gate(doing: str) -> Iterator[None]:
    """The ledger's gate, for calls that are made again: what is only locked is free later."""
    try:
        with database.gate(doing, named=STORE):
            yield
    except StorageFailed as error:
        if (error.code or "").startswith("SQLITE_BUSY"):
            raise RetryLater(doing, error.cause, hint=error.hint, code=error.code) from error
        raise
