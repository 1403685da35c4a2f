"""Loads for tests: rows are staged, planned and sent into an emulator, with a journal that can be made to die."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from halocline.batch import JSON
from halocline.connector import Journal
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.connectors.salesforce.destination import SalesforceDestination
from halocline.connectors.salesforce.writing.load import SalesforceLoad
from halocline.emulator.server import Emulator
from halocline.ledger import Ledger
from halocline.ledger.memory import MemoryLedger
from halocline.outcome import Fate, Outcome, RowResult
from halocline.push.destination import RowBatch, Told
from halocline.push.order import Api, SyncMode, WriteOrder

INSERT = WriteOrder("Account", SyncMode.INSERT)
UPSERT = WriteOrder("Account", SyncMode.UPSERT, "Ext__c")
UPDATE = WriteOrder("Account", SyncMode.UPDATE)
DELETE = WriteOrder("Account", SyncMode.DELETE)
HARD_DELETE = WriteOrder("Account", SyncMode.HARD_DELETE)
PATHS = [Api.COLLECTIONS, Api.BULK]
Rows = Sequence[Any]


class Died(Exception):
    """What a process does at this place, as far as others can see."""


@dataclass
class DyingJournal:
    """A journal that dies at its `at`-th write (counted from 1), before or after the write is durable."""

    journal: Journal
    at: int = 0
    after: bool = False
    calls: int = 0
    names: list[str] = field(default_factory=list)

    def intend(self, chunk: str, detail: JSON = None) -> None:
        self._do("intend", lambda: self.journal.intend(chunk, detail))

    def remote(self, chunk: str, job_id: str) -> None:
        self._do("remote", lambda: self.journal.remote(chunk, job_id))

    def settle(self, chunk: str, outcome: Outcome) -> None:
        self._do("settle", lambda: self.journal.settle(chunk, outcome))

    def open(self) -> Sequence[tuple[str, JSON, str | None]]:
        return self.journal.open()

    def _do(self, name: str, write: Callable[[], None]) -> None:
        self.calls += 1
        self.names.append(name)
        if self.calls == self.at and not self.after:
            raise Died
        write()
        if self.calls == self.at:
            raise Died


@dataclass
class Desk:
    """An org, and a folder for each load."""

    emulator: Emulator
    client: SalesforceClient
    home: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)
    deadline_s: float = 60.0
    ledger: Callable[[], Ledger] = MemoryLedger

    def begun(self, order: WriteOrder, rows: Rows) -> Begun:
        """A load whose rows are planned."""
        number = next(self.numbers)
        ledger = self.ledger()
        ledger.start("flow", run=f"run-{number}", pid=os.getpid(), host="here")
        begun = Begun(self, order, self.home / f"load-{number}", ledger.journal(f"run-{number}"), len(rows))
        load = begun.opened()
        begun.refused = [one for first in range(0, len(rows), 1000) for one in load.stage(_batch(rows, first))]
        load.plan()
        load.close()
        return begun

    def names(self) -> list[str]:
        """The names of all accounts, sorted."""
        return [str(row["Name"]) for row in self.emulator.query("SELECT Name FROM Account ORDER BY Name")]

    def sent(self, order: WriteOrder, rows: Rows) -> dict[int, RowResult]:
        """What became of every row."""
        return self.begun(order, rows).results()


@dataclass
class Begun:
    """A load in its folder, which may be opened again and again."""

    desk: Desk
    order: WriteOrder
    folder: Path
    journal: Journal
    total: int
    refused: list[RowResult] = field(default_factory=list)

    def opened(self, journal: Journal | None = None) -> SalesforceLoad:
        destination = SalesforceDestination(self.desk.client, deadline_s=self.desk.deadline_s)
        return destination.open(self.order, self.folder, journal=journal or self.journal)

    def results(self) -> dict[int, RowResult]:
        """What became of every row, in the end: each is told once, and the journal has nothing open."""
        found = by_row([*self.opened().outcomes()], self.refused)
        assert sorted(found) == list(range(self.total))
        assert self.journal.open() == []
        return found


def _batch(rows: Rows, first: int) -> RowBatch:
    some = rows[first : first + 1000]
    return RowBatch(range(first, first + len(some)), some)


def by_row(tolds: Sequence[Told], more: Sequence[RowResult] = ()) -> dict[int, RowResult]:
    """The results by row number; no row comes twice, and pieces of a chunk are numbered from 0."""
    found: dict[int, RowResult] = {}
    pieces: dict[str, int] = {}
    for told in tolds:
        assert told.piece == pieces.get(told.chunk, 0)
        assert told.rows <= 20_000
        pieces[told.chunk] = told.piece + 1
        written = [] if told.written is None else told.written.to_pylist()
        for one in [*(RowResult(w["row"], Fate.WRITTEN, w["id"], w["created"]) for w in written), *told.others]:
            assert one.row is not None
            assert one.row not in found
            found[one.row] = one
    for one in more:
        assert one.row is not None
        assert one.row not in found
        found[one.row] = one
    return found


def fates(found: dict[int, RowResult]) -> dict[str, int]:
    """How many rows there are of each fate."""
    counts: dict[str, int] = {}
    for one in found.values():
        counts[one.fate.value] = counts.get(one.fate.value, 0) + 1
    return counts


def accounts(count: int, **more: object) -> list[dict[str, Any]]:
    """Accounts that do not exist yet."""
    return [{"Name": f"n{number:05}", "Ext__c": f"e{number:05}", **more} for number in range(count)]
