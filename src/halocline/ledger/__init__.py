"""The durable memory of runs, intents, rejections and leases: events are for watching, the ledger is for truth."""

from __future__ import annotations

from pathlib import Path

from halocline.errors import FixConfig
from halocline.ledger.ledger import Clock, Ending, Ledger, utc_now
from halocline.ledger.memory import MemoryLedger
from halocline.ledger.retention import DAILY_S, Pruned
from halocline.ledger.sqlite import SqliteLedger
from halocline.registry import missing_extra, shown

__all__ = ["Clock", "Ending", "Ledger", "MemoryLedger", "Pruned", "SqliteLedger", "open_ledger", "utc_now"]


def open_ledger(place: Path | str, *, keep_s: float | None = None, clock: Clock | None = None) -> Ledger:
    """The ledger in the SQLite file `place`, or behind a `postgresql://` URI; made when it is not there.

    Close it, or use it as a context manager. What ended longer ago than `keep_s` is pruned, once a day. `clock` is for tests: a
    file's instants are this host's, a server's its own.
    Raises: StorageFailed when the file cannot be opened or is damaged; FixConfig when it is another program's or was written by
    a newer Halocline, and for any other URI; MissingExtra without the driver; for a server as `PostgresLedger`.
    """
    ledger = _opened(place, clock)
    if keep_s is not None:
        try:
            ledger.prune(older_than_s=keep_s, every_s=DAILY_S)
        except BaseException:
            ledger.close()
            raise
    return ledger


def _opened(place: Path | str, clock: Clock | None) -> Ledger:
    scheme, separator, _ = str(place).partition("://")
    if isinstance(place, Path) or not separator:
        return SqliteLedger(place, clock=clock or utc_now)
    if scheme.lower() not in {"postgres", "postgresql"}:
        hint = "Give HALOCLINE_LEDGER a file's path or postgresql://user:password@host/database."
        raise FixConfig("Opening the ledger", f"there is none for {shown(str(place))}", hint=hint)
    try:
        from halocline.ledger.postgres import PostgresLedger
    except ModuleNotFoundError as error:
        raise missing_extra("the ledger on PostgreSQL", error) from error
    return PostgresLedger(str(place), clock=clock)
