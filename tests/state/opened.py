"""Opened: the state of a version, unpacked, and what the present code sees in each piece of it."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from halocline import registry
from halocline.connector import Target
from halocline.consume.letters.quarantine import quarantine
from halocline.consume.stores import open_store
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.idempotency import IdempotencyStore
from halocline.ledger import open_ledger
from halocline.push.diff.store import Store
from halocline.spool import Spool

FOLDER = Path(__file__).resolve().parent
VERSIONS = sorted(path.name for path in FOLDER.iterdir() if (path / "told.json").is_file())
LAKES = ("duckdb", "sqlite", "files")
FLOW = {
    "duckdb": "salesforce:account->main.account",
    "sqlite": "salesforce:account->main.account",
    "files": "salesforce:account->account",
}
TARGET = {"duckdb": Target("main", "Account"), "sqlite": Target("main", "Account"), "files": Target(None, "Account")}


@dataclass(frozen=True)
class State:
    """What a version left, in a folder of the test's own."""

    version: str
    folder: Path

    @classmethod
    def unpacked(cls, version: str, folder: Path) -> State:
        """The whole of it."""
        with tarfile.open(FOLDER / version / "state.tar.gz") as packed:
            packed.extractall(folder, filter="data")
        return cls(version, folder)

    @cached_property
    def told(self) -> dict[str, Any]:
        """What was true when it was left."""
        found: dict[str, Any] = json.loads((FOLDER / self.version / "told.json").read_text())
        return found

    @property
    def ledger(self) -> Path:
        return self.folder / "home" / "ledger.sqlite"

    @property
    def sent(self) -> Path:
        (found,) = (self.folder / "home" / "sent").glob("*.sqlite")
        return found

    @property
    def letters(self) -> list[Path]:
        return sorted((self.folder / "home" / "quarantine" / "orders").iterdir())

    def lake(self, name: str) -> str:
        """The URI of a lake."""
        return f"file://{self.folder}/lake" if name == "files" else f"{name}:///{self.folder}/lake.{name}"

    @contextmanager
    def org(self) -> Iterator[Emulator]:
        """The org, at the instant at which it was left."""
        config = EmulatorConfig(schemas=(self.folder / "account.yaml",), path=self.folder / "org.sqlite")
        with Emulator(config) as emulator:
            emulator.clock.freeze(datetime.fromisoformat(self.told["at"]))
            yield emulator


# ---- what is seen in a piece; the same twice where nothing happened


def ledger_view(place: Path | str) -> dict[str, Any]:
    """All that a ledger says of its runs."""
    with open_ledger(place) as ledger:
        runs = ledger.runs()
        return {
            "runs": {one.run: [one.flow, one.state, one.rows_read] for one in runs},
            "refused": {one.run: rows for one in runs if (rows := [r.row for r in ledger.each_rejection(one.run)])},
            "doubts": {one.run: rows for one in runs if (rows := [row for _, row in ledger.in_doubt(one.run)])},
            "open": {one.run: sorted(str(intent) for intent in ledger.journal(one.run).open()) for one in runs},
        }


def claims_view(store: IdempotencyStore, keys: list[str]) -> list[Any]:
    """All that a store remembers of keys."""
    return [
        None if one is None else (one.key, one.state, one.fence, one.deaths, one.attempts, one.told) for one in store.look(keys)
    ]


def file_claims_view(state: State) -> list[Any]:
    store = open_store(f"sqlite:///{state.ledger}")
    assert store is not None
    try:
        return claims_view(store, state.told["keys"])
    finally:
        store.close()


def sent_view(state: State) -> list[Any]:
    store = Store(state.sent, flow="any", alone=False)
    try:
        return [line for lines in store.lines() for line in lines]
    finally:
        store.close()


def lake_view(state: State, name: str) -> Any:
    """The position of the flow in a lake, and the rows of the table."""
    spool = Spool("view", state.folder / "spool")
    destination = registry.open_destination(state.lake(name), spool=spool)
    try:
        columns = destination.columns(TARGET[name])
        return destination.position(FLOW[name], TARGET[name]), columns and columns.names
    finally:
        destination.close()
        spool.close()


def letters_view(state: State) -> list[Any]:
    found = quarantine(state.folder / "home", "orders").receive()
    return sorted((one.id, str(one.body), not one.failure) for one in found)


def org_view(state: State) -> list[Any]:
    with state.org() as org:
        return [list(one.values())[-3:] for one in org.query("SELECT Id, Name, Ext__c FROM Account ORDER BY Id")]


VIEWS: dict[str, tuple[str, Callable[[State], Any]]] = {
    "ledger": ("home/ledger.sqlite", lambda state: ledger_view(state.ledger)),
    "claims": ("home/ledger.sqlite", file_claims_view),
    "sent": ("home/sent/*.sqlite", sent_view),
    "lake.duckdb": ("lake.duckdb", lambda state: lake_view(state, "duckdb")),
    "lake.sqlite": ("lake.sqlite", lambda state: lake_view(state, "sqlite")),
    "commit log": ("lake/Account/_halocline/00000002.json", lambda state: lake_view(state, "files")),
    "letter": ("home/quarantine/orders/*", letters_view),
    "org": ("org.sqlite", org_view),
}
"""Pieces that are files: where one is, and what is seen in it."""
