"""Idempotency stores by URI: which one a place names, opened."""

from __future__ import annotations

from pathlib import Path

from halocline.config import Settings, secret
from halocline.errors import FixConfig
from halocline.idempotency import IdempotencyStore
from halocline.registry import missing_extra, open_claims, shown

NONE = "none"
LEDGER = "ledger"
_SQLITE = "sqlite:///"
_SERVERS = ("postgresql://", "postgres://")
_PLACES = (
    "Write redis://host:6379/0 (several masters parted by commas), valkey://host, sqlite:///claims.sqlite (three slashes: a path"
    " beside you), postgresql://user@host/database, dynamodb://table, ledger, or none."
)


def open_store(place: str | None = None, *, settings: Settings | None = None) -> IdempotencyStore | None:
    """The store that `place` names, or HALOCLINE_IDEMPOTENCY where it is None; without either the database of the ledger.

    `none` is no store: None. `env:NAME`, `file:PATH` and `aws-sm:NAME#KEY` stand for a place that is a secret. Of a Redis and a
    table of DynamoDB nothing is asked yet; a database is opened, and its tables are made.
    Raises: FixConfig for a place that is none of these; MissingExtra without its driver; as the store's own.
    """
    known = settings or Settings.from_env()
    meant = secret(known.idempotency_at or LEDGER if place is None else place).strip()
    if meant.lower() == NONE:
        return None
    if meant.lower() == LEDGER:
        return _of_ledger(known.ledger)
    if meant.lower().startswith(_SERVERS):
        return _of_ledger(meant)
    if meant.lower().startswith(_SQLITE) and len(meant) > len(_SQLITE):
        return _of_ledger(Path(meant[len(_SQLITE) :]))
    found = open_claims(meant)
    if found is None:
        what = shown(meant) if "://" in meant else "a text that is no URI"
        raise FixConfig("Opening the idempotency store", f"nothing here knows {what}", hint=_PLACES)
    return found


def _of_ledger(place: Path | str) -> IdempotencyStore:
    if isinstance(place, Path):
        from halocline.ledger.claims_sqlite import SqliteStore

        return SqliteStore(place)
    try:
        from halocline.ledger.claims_postgres import PostgresStore
    except ModuleNotFoundError as error:
        raise missing_extra("the idempotency store on PostgreSQL", error) from error
    return PostgresStore(place)
