"""Chunks on their way by either path, against an org that answers by a script: what is known, what goes again."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
from tests.connectors.salesforce.writable import HastyPace

from halocline.connector import Journal
from halocline.connectors.salesforce.collections import Collections, Operation, Order
from halocline.connectors.salesforce.ingest_jobs import IngestJobs, JobInfo
from halocline.connectors.salesforce.sheets import Sheet
from halocline.connectors.salesforce.writing import telling
from halocline.connectors.salesforce.writing.answers import Answer, Answers
from halocline.connectors.salesforce.writing.by_bulk import ByBulk
from halocline.connectors.salesforce.writing.by_collections import ByCollections
from halocline.connectors.salesforce.writing.cargo import Cargo, Chunk
from halocline.connectors.salesforce.writing.intents import Intents
from halocline.connectors.salesforce.writing.passengers import Passengers
from halocline.connectors.salesforce.writing.telling import Telling
from halocline.errors import HaloclineError, NetworkFailed, RetryLater, StorageFailed
from halocline.ledger.memory import MemoryLedger
from halocline.outcome import Fate, RowResult
from halocline.push.order import Api

ORDERS = {one: Order(one, "Account", "Ext__c" if one is Operation.UPSERT else None) for one in Operation}
ROWS = (1, 2, 3)
Script = Callable[[Sequence[int]], list[RowResult]]
Told = list[tuple[str, dict[int | None, Fate]]]


def chunk(name: str, api: Api = Api.COLLECTIONS) -> Chunk:
    return Chunk(name, api, len(ROWS))


def result(row: int, fate: Fate, **more: Any) -> RowResult:
    return RowResult(row, fate, code="" if fate is Fate.WRITTEN else fate.name, message=fate.value, **more)


def all_are(fate: Fate) -> Script:
    return lambda rows: [result(row, fate) for row in rows]


def are(*fates: Fate) -> Script:
    return lambda rows: [result(row, fate) for row, fate in zip(rows, fates, strict=True)]


def fails(error: Exception, *fates: Fate) -> Script:
    """What a call tells that ends early: the error has the results of its rows."""

    def failing(rows: Sequence[int]) -> list[RowResult]:
        if isinstance(error, HaloclineError):
            error.facts["results"] = are(*fates)(rows)
        raise error

    return failing


@dataclass
class Rows:
    """A cargo whose chunks have the rows 1, 2 and 3 each; those in `gone` cannot be read."""

    gone: Sequence[str] = ()
    sheets: Counter[str] = field(default_factory=Counter)

    def numbers(self, _: Chunk) -> pa.Array:
        return pa.array(ROWS, pa.int64())

    def bodies(self, of: Chunk) -> list[tuple[int, Any]]:
        if of.id in self.gone:
            raise StorageFailed(f"Reading {of.id}", "it is gone")
        return [(row, {}) for row in ROWS]

    def sheet(self, of: Chunk) -> Sheet:
        self.sheets[of.id] += 1
        return Sheet(Path(of.id), ("Name",), of.rows, numbers=self.numbers(of))


@dataclass
class Desk:
    """A folder and a journal, for loads that are opened again and again."""

    folder: Path
    journal: Journal
    sent: list[list[int]] = field(default_factory=list)

    def load(self, operation: Operation, *scripts: Script, cargo: Rows | None = None, width: int = 1) -> ByCollections:
        script = iter(scripts)
        desk = self

        class Calls:
            def send(self, _: Order, bodies: Sequence[tuple[int, Any]]) -> list[RowResult]:
                rows = [row for row, _ in bodies]
                desk.sent.append(rows)
                return next(script)(rows)

        return ByCollections(
            cast("Collections", Calls()),
            ORDERS[operation],
            cargo=cast("Cargo", cargo or Rows()),
            answers=Answers(self.folder),
            intents=Intents(self.journal),
            width=width,
        )


@pytest.fixture
def journal() -> Journal:
    ledger = MemoryLedger()
    ledger.start("flow", run="run", pid=os.getpid(), host="here")
    return ledger.journal("run")


@pytest.fixture
def desk(tmp_path: Path, journal: Journal) -> Desk:
    return Desk(tmp_path, journal)


def heard(load: ByCollections, names: str, told: Told | None = None) -> Told:
    """The fates that are told, chunk by chunk, also in `told`, as far as it came."""
    told = [] if told is None else told
    for one, answer in load.send([chunk(name) for name in names], lambda _: None, goes_on=lambda: True):
        told.append((one.id, {each.row: each.fate for each in answer.results}))
    return told


# ---- by collections


@pytest.mark.parametrize("operation", [Operation.UPDATE, Operation.UPSERT, Operation.DELETE])
@pytest.mark.parametrize("ends", ["early", "whole"])
def test_a_row_in_doubt_that_may_be_sent_again_is(desk: Desk, operation: Operation, ends: str) -> None:
    """What was heard of the other rows is kept and not asked again, whether the call ended early or told of all."""
    written, last = result(1, Fate.WRITTEN), Fate.NOT_SENT if ends == "early" else Fate.REFUSED
    fates = (Fate.WRITTEN, Fate.IN_DOUBT, last)
    first = fails(RetryLater("Sending", "quota"), *fates) if ends == "early" else are(*fates)
    with pytest.raises(HaloclineError):
        heard(desk.load(operation, first), "a")
    ((_, told),) = heard(desk.load(operation, all_are(Fate.WRITTEN)), "a")
    assert desk.sent == [[1, 2, 3], [2, 3] if ends == "early" else [2]]
    assert told == {1: written.fate, 2: Fate.WRITTEN, 3: Fate.WRITTEN if ends == "early" else Fate.REFUSED}


@pytest.mark.parametrize("ends", ["early", "whole"])
def test_a_row_in_doubt_is_told_as_that_when_nothing_more_is_sent(desk: Desk, ends: str) -> None:
    """Asked without sending, the chunk counts as tried: known rows are told, and no row that was sent as one that was not."""
    fates = (Fate.WRITTEN, Fate.IN_DOUBT, Fate.REFUSED)
    first = fails(RetryLater("Sending", "quota"), *fates) if ends == "early" else are(*fates)
    with pytest.raises(HaloclineError):
        heard(desk.load(Operation.UPDATE, first), "a")
    ((_, answer),) = desk.load(Operation.UPDATE).ask([chunk("a")])
    assert [one.fate for one in answer.results] == list(fates)
    assert "nobody heard the answer" in answer.results[1].message


def test_a_second_try_of_an_upsert_does_not_say_who_created(desk: Desk) -> None:
    """The first try of a row in doubt may have created what the second found."""
    with pytest.raises(HaloclineError):
        heard(desk.load(Operation.UPSERT, are(Fate.REFUSED, Fate.IN_DOUBT, Fate.REFUSED)), "a")
    load = desk.load(Operation.UPSERT, lambda rows: [result(row, Fate.WRITTEN, created=False) for row in rows])
    ((_, answer),) = load.send([chunk("a")], lambda _: None, goes_on=lambda: True)
    assert {one.row: one.created for one in answer.results} == {1: None, 2: None, 3: None}
    assert desk.sent[1] == [2]


def test_an_insert_in_doubt_stays_so(desk: Desk) -> None:
    """A call that ends early leaves it known as in doubt; only the rows that were not sent go again."""
    with pytest.raises(RetryLater):
        heard(desk.load(Operation.INSERT, fails(RetryLater("Sending", "quota"), Fate.WRITTEN, Fate.IN_DOUBT, Fate.NOT_SENT)), "a")
    ((_, told),) = heard(desk.load(Operation.INSERT, all_are(Fate.WRITTEN)), "a")
    assert told == {1: Fate.WRITTEN, 2: Fate.IN_DOUBT, 3: Fate.WRITTEN}
    assert desk.sent[1:] == [[3]]


def test_answers_of_calls_in_flight_are_told_before_the_failure_of_the_next(desk: Desk) -> None:
    """A chunk that cannot be read ends the walk; what was sent before it is handed out first, and nothing is sent after it."""
    told: Told = []
    load = desk.load(Operation.UPDATE, *[all_are(Fate.WRITTEN)] * 4, cargo=Rows(gone=["c"]), width=4)
    with pytest.raises(StorageFailed, match="Reading c"):
        heard(load, "abcd", told)
    assert [name for name, _ in told] == ["a", "b"]
    assert len(desk.sent) == 2


def test_the_first_of_several_bugs_is_raised(desk: Desk) -> None:
    """All calls in flight are waited for, whatever they raise; their chunks stay open."""
    names = iter(["first", "second", "third"])

    def broken(_: Sequence[int]) -> list[RowResult]:
        raise ZeroDivisionError(next(names))

    with pytest.raises(ZeroDivisionError) as told:
        heard(desk.load(Operation.UPDATE, *[broken] * 3, width=3), "abc")
    assert told.value.__context__ is None
    assert next(names, None) is None
    assert [name for name, _, _ in desk.journal.open()] == ["a", "b", "c"]


def test_lost_answers_in_a_row_are_counted_by_calls_of_this_process(desk: Desk) -> None:
    """One row in doubt is enough; a chunk that an earlier process lost says nothing, neither for nor against."""
    desk.journal.intend("b", {"attempt": 1})
    some = are(Fate.WRITTEN, Fate.IN_DOUBT, Fate.WRITTEN)
    told: Told = []
    with pytest.raises(NetworkFailed, match="the rows of 3 calls in a row"):
        heard(desk.load(Operation.INSERT, some, some, some, some), "abcde", told)
    assert [name for name, _ in told] == ["a", "b", "c", "d"]
    assert set(told[1][1].values()) == {Fate.IN_DOUBT}


# ---- by Bulk


@dataclass
class Jobs:
    """A job that is seen as the script says; `aborted` counts the orders to abort it."""

    looks: list[tuple[str, int]]
    aborted: int = 0

    def info(self, job_id: str) -> JobInfo:
        state, processed = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return JobInfo(job_id, state, processed=processed)

    def abort(self, job_id: str) -> JobInfo:
        self.aborted += 1
        return JobInfo(job_id, "Aborted")


class NoFiles:
    """A telling whose jobs have no result files."""

    def results(self, _: Chunk, __: JobInfo) -> NoFiles:
        return self

    def fetch(self) -> list[Path]:
        return []

    def foresee(self, _: Chunk) -> None:
        return


@pytest.mark.parametrize(
    ("looks", "ours", "processed"),
    [
        ([("Open", 0), ("Aborted", 0)], False, None),
        ([("Open", 0), ("Aborted", 5)], False, 5),
        ([("Open", 0), ("Aborted", 0), ("Aborted", 5), ("Aborted", 7)], False, 7),
        ([("Open", 0), ("InProgress", 0), ("JobComplete", 3)], False, 3),
        ([("UploadComplete", 0), ("JobComplete", 3)], False, 3),
        ([("Aborted", 0)], False, 0),
        ([("Aborted", 0)], True, None),
        ([("Aborted", 0), ("Aborted", 4)], True, 4),
        ([("JobComplete", 3)], True, 3),
    ],
    ids=[
        "open",
        "ran-meanwhile",
        "counted-late",
        "closed-meanwhile",
        "closed",
        "stopped-by-somebody",
        "stopped-by-us",
        "stopped-late",
        "too-late",
    ],
)
def test_a_chunk_counts_as_unsent_only_if_its_job_did_nothing(
    desk: Desk, looks: list[tuple[str, int]], ours: bool, processed: int | None
) -> None:
    """A job of a dead process that was about to be closed is asked until it is known; one that processed a row is read."""
    desk.journal.intend("b", {"attempt": 1, "closing": "750", "stopping": "750" if ours else None})
    desk.journal.remote("b", "750")
    jobs, first = Jobs(list(looks)), looks[0][0]
    by_bulk = ByBulk(
        cast("IngestJobs", jobs),
        ORDERS[Operation.INSERT],
        cargo=cast("Cargo", Rows()),
        answers=Answers(desk.folder),
        intents=Intents(desk.journal),
        telling=cast("Telling", NoFiles()),
        pace=HastyPace().pace,
        deadline_s=1.0,
    )
    found = [answer.job and answer.job.processed for _, answer in by_bulk.ask([chunk("b", Api.BULK)])]
    assert found == ([] if processed is None else [processed])
    assert jobs.aborted == (first == "Open")


def test_a_sheet_that_was_read_ahead_makes_room_whatever_the_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sheet at a time is read while its job runs: when its chunk is told, by a job or not, the next may be read."""
    monkeypatch.setattr(telling, "Matching", lambda _sheet, _key: object())
    cargo = Rows()
    told = Telling(
        ORDERS[Operation.INSERT],
        cast("Cargo", cargo),
        jobs=cast("IngestJobs", Jobs([("Open", 0)])),
        passengers=Passengers([]),
        folder=desk.folder,
    )
    for name in "ab":
        told.foresee(chunk(name, Api.BULK))
    assert [len(one.others) for one in told.of(chunk("a", Api.BULK), Answer(lost="gone"), again=False, held=None)] == [3]
    told.foresee(chunk("b", Api.BULK))
    assert cargo.sheets == {"a": 1, "b": 1}
