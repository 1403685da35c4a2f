"""The durable memory of runs, intents, positions, rejections and leases: events are for watching, the ledger is for truth."""

from __future__ import annotations

from pathlib import Path

from halocline.ledger.ledger import Clock, Ending, Ledger, utc_now
from halocline.ledger.memory import MemoryLedger
from halocline.ledger.sqlite import SqliteLedger

__all__ = ["Clock", "Ending", "Ledger", "MemoryLedger", "SqliteLedger", "open_ledger", "utc_now"]


def open_ledger(place: Path | str, *, clock: Clock = utc_now) -> Ledger:
    """The ledger in the SQLite file `place`, made when it is not there; close it, or use it as a context manager.

    Raises: StorageFailed when the file cannot be opened or is damaged, FixConfig when it is another program's or was
    written by a newer Halocline.
    """
    return SqliteLedger(place, clock=clock)
