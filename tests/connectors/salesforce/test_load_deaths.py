"""A load that dies anywhere is taken up: nothing is sent twice that must not be, nothing is forgotten.

Every kind of place is tried: writes to the journal, files, requests, before and after they had their effect. Of each kind a load
dies at the first and at every twelfth place from there, others in each test, so that together they pass many of them. What died
before is taken up at once, what died after is settled first. With `--long` each test dies at each of its places, and both are
taken up in both ways.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.salesforce.loads import (
    DELETE,
    INSERT,
    PATHS,
    UPSERT,
    Begun,
    Desk,
    Died,
    DyingJournal,
    accounts,
    by_row,
    fates,
)
from tests.connectors.salesforce.writable import Org

from halocline.connectors.salesforce import sheets
from halocline.connectors.salesforce.ingest_jobs import IngestJobs, JobInfo
from halocline.connectors.salesforce.writing import answers, cargo
from halocline.errors import RetryLater, StillRunning
from halocline.ledger.sqlite import SqliteLedger
from halocline.outcome import Fate
from halocline.push.order import Api, SyncMode, WriteOrder

ROWS = 90
STEP = 12  # a twelfth of the places, where not all are tried
MOST_PLACES = 200


@pytest.fixture
def desk(org: Org, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(sheets, "MAX_ROWS", 45)
    return Desk(*org, tmp_path)


@dataclass
class Place:
    """Counts the times that a place is passed, and dies at the `at`-th."""

    at: int
    after: bool
    passed: int = 0

    def around(self, work: Callable[[], Any]) -> Any:
        self.passed += 1
        mine = self.passed == self.at
        if mine and not self.after:
            raise Died
        done = work()
        if mine:
            raise Died
        return done


@contextmanager
def dying_in_files(begun: Begun, place: Place) -> Iterator[Any]:
    """Dies where a file of the folder becomes durable."""
    with pytest.MonkeyPatch.context() as patch:
        keep = answers.keep_json
        for module in (answers, cargo):
            patch.setattr(module, "keep_json", lambda path, data: place.around(lambda: keep(path, data)))
        yield begun.journal


@contextmanager
def dying_in_requests(begun: Begun, place: Place) -> Iterator[Any]:
    """Dies where a request goes out, or where its answer is there and nobody has looked at it."""
    transport = begun.desk.client.transport
    with pytest.MonkeyPatch.context() as patch:
        exchange = transport._open
        patch.setattr(transport, "_open", lambda call: place.around(lambda: exchange(call)))
        yield begun.journal


@contextmanager
def dying_in_journal(begun: Begun, place: Place) -> Iterator[Any]:
    """Dies where the journal is written."""
    journal = DyingJournal(begun.journal, place.at, place.after)
    yield journal
    place.passed = journal.calls


WAYS = pytest.mark.parametrize(
    ("after", "settled_first"),
    [
        pytest.param(False, False, id="before-at-once"),
        pytest.param(True, True, id="after-settled-first"),
        pytest.param(True, False, id="after-at-once", marks=pytest.mark.long),
        pytest.param(False, True, id="before-settled-first", marks=pytest.mark.long),
    ],
)
PLACES = {"journal": dying_in_journal, "files": dying_in_files, "requests": dying_in_requests}


@dataclass(frozen=True, slots=True)
class Sweep:
    """Which places are tried: the first and every `step`-th of those from the `offset`-th on."""

    step: int = 1
    offset: int = 0

    def tries(self, at: int) -> bool:
        return at == 1 or at % self.step == self.offset


@pytest.fixture
def sweep(request: pytest.FixtureRequest) -> Sweep:
    """All places with `--long`, else every twelfth, by the test's name others."""
    if request.config.getoption("--long"):
        return Sweep()
    return Sweep(STEP, zlib.crc32(request.node.name.encode()) % STEP)


def deaths(desk: Desk, order: WriteOrder, where: str, sweep: Sweep, *, after: bool) -> Iterator[tuple[Begun, str]]:
    """A load for each place that is tried, dead there, and what its rows' names begin with. There are three places or more."""
    for at in filter(sweep.tries, range(1, MOST_PLACES)):
        mark = f"{where}{int(after)}-{at:03}-"
        rows = [{"Name": f"{mark}{row:03}", "Ext__c": f"{mark}{row:03}"} for row in range(ROWS)]
        begun = desk.begun(order, rows)
        desk.emulator.faults.add("lock", object="Account", rows=3)
        place = Place(at, after)
        died = False
        with PLACES[where](begun, place) as journal:
            try:
                for _ in begun.opened(journal).outcomes():
                    pass
            except Died:
                died = True
        desk.emulator.faults.clear()
        if not died:
            assert 3 <= place.passed < at
            return
        yield begun, mark
    raise AssertionError("there is no end of places to die")


def in_org(desk: Desk, mark: str) -> list[str]:
    return [str(row["Name"]) for row in desk.emulator.query(f"SELECT Name FROM Account WHERE Name LIKE '{mark}%' ORDER BY Name")]


@WAYS
@pytest.mark.parametrize("where", list(PLACES))
@pytest.mark.parametrize(
    "order",
    [replace(UPSERT, api=Api.COLLECTIONS, batch_size=40), replace(UPSERT, api=Api.BULK), replace(INSERT, api=Api.BULK)],
    ids=["upsert-collections", "upsert-bulk", "insert-bulk"],
)
def test_each_row_is_there_once(
    desk: Desk, order: WriteOrder, where: str, sweep: Sweep, after: bool, settled_first: bool
) -> None:
    """An upsert on either path, and an insert by Bulk, end with every row written once and told once, wherever they died."""
    count = 0
    for begun, mark in deaths(desk, order, where, sweep, after=after):
        count += 1
        if settled_first:
            settle_quietly(begun)
        assert fates(begun.results()) == {"written": ROWS}, (begun.folder, mark)
        assert in_org(desk, mark) == [f"{mark}{row:03}" for row in range(ROWS)]
    assert count >= 1
    print(f"{order.mode} by {order.api}, dying {'after' if after else 'before'} {where}: {count} places, none in doubt")


@WAYS
@pytest.mark.parametrize("where", list(PLACES))
def test_an_insert_by_collections_is_there_at_most_once(
    desk: Desk, where: str, sweep: Sweep, after: bool, settled_first: bool
) -> None:
    """Rows whose call may have been carried out are in doubt, all of them; no other row is, and all others are there."""
    order = replace(INSERT, api=Api.COLLECTIONS, batch_size=40)
    count = doubts = 0
    for begun, mark in deaths(desk, order, where, sweep, after=after):
        count += 1
        if settled_first:
            settle_quietly(begun)
        found = begun.results()
        assert {one.fate for one in found.values()} <= {Fate.WRITTEN, Fate.IN_DOUBT}
        there = in_org(desk, mark)
        assert len(set(there)) == len(there)
        unresolved = [row for row, one in found.items() if one.fate is Fate.IN_DOUBT]
        missing = {row for row in range(ROWS) if f"{mark}{row:03}" not in there}
        assert missing <= set(unresolved)
        doubts += len(unresolved)
    assert count >= 1
    print(f"insert by collections, dying {'after' if after else 'before'} {where}: {count} places, {doubts} rows in doubt")


def forget_jobs(desk: Desk) -> None:
    """Let all jobs end, and the org know nothing of them any more, as after seven days."""
    for job in list(desk.emulator.org.jobs.all("V2Ingest")):
        desk.client.bulk.results(job.id).close()
        desk.client.transport.send("DELETE", f"jobs/ingest/{job.id}", accept=(204,))


def settle_quietly(begun: Begun) -> None:
    """Let a load tell what is known without sending, and see that it sent nothing."""
    calls = begun.desk.emulator.calls
    before = calls.count("ingest.create") + calls.count("collections.*")
    by_row(list(begun.opened().settle()))
    assert calls.count("ingest.create") + calls.count("collections.*") == before
    assert begun.journal.open() == []


@pytest.mark.parametrize("after", [pytest.param(False, id="before", marks=pytest.mark.long), pytest.param(True, id="after")])
def test_a_ledger_in_a_file_does_as_well(desk: Desk, tmp_path: Path, sweep: Sweep, after: bool) -> None:
    """A journal in SQLite remembers all that is needed, also of chunks that are intended a second time."""
    with SqliteLedger(tmp_path / "ledger.sqlite") as ledger:
        desk.ledger = lambda: ledger
        for begun, mark in deaths(desk, replace(INSERT, api=Api.BULK), "journal", sweep, after=after):
            assert fates(begun.results()) == {"written": ROWS}
            assert in_org(desk, mark) == [f"{mark}{row:03}" for row in range(ROWS)]


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("mode", [SyncMode.INSERT, SyncMode.UPSERT])
def test_leaving_between_pieces_loses_nothing(desk: Desk, api: Api, mode: SyncMode) -> None:
    """A caller that stops asking after any number of results has all of them told when the load is opened again."""
    order = replace(INSERT if mode is SyncMode.INSERT else UPSERT, api=api, batch_size=30)
    for taken in range(4):
        rows = [{"Name": f"t{taken}-{row:03}", "Ext__c": f"t{taken}-{row:03}"} for row in range(ROWS)]
        begun = desk.begun(order, rows)
        tolds = begun.opened().outcomes()
        told = [one for one, _ in zip(tolds, range(taken), strict=False)]
        tolds.close()  # type: ignore[attr-defined]  # it is a generator
        known = {one.chunk for one in told}
        again = list(begun.opened().outcomes())
        assert {one.chunk for one in again if one.again} >= known
        assert fates(by_row(again)) == {"written": ROWS}
        assert in_org(desk, f"t{taken}-") == [row["Name"] for row in rows]


def test_what_was_known_is_told_again_in_the_same_pieces(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunk, piece and rows are the same as the first time, and marked."""
    rows = accounts(ROWS)
    rows[5]["Name"] = rows[50]["Name"] = None
    for api in PATHS:
        begun = desk.begun(replace(UPSERT, api=api), rows)
        first, second = list(begun.opened().outcomes()), list(begun.opened().outcomes())
        assert [replace(one, again=True) for one in first] == second
        assert {one.again for one in second} == {True}
        assert not any(one.again for one in first)


# ---- jobs that are found again


def test_a_job_that_still_runs_is_waited_for(desk: Desk) -> None:
    """The time limit ends without harm; opened again, the load takes the results of the same jobs."""
    desk.emulator.org.jobs.hold()
    begun = desk.begun(replace(INSERT, api=Api.BULK), accounts(ROWS))
    desk.deadline_s = 0.05
    with pytest.raises(StillRunning) as told:
        list(begun.opened().outcomes())
    desk.deadline_s = 60.0
    jobs = told.value.facts["job_ids"]
    assert isinstance(jobs, list)
    assert len(jobs) == 2
    desk.emulator.org.jobs.release()
    tolds = list(begun.opened().outcomes())
    assert {one.job_id for one in tolds} == set(jobs)
    assert fates(by_row(tolds)) == {"written": ROWS}
    assert desk.emulator.calls.count("ingest.create") == 2


@pytest.mark.parametrize("mode", [SyncMode.INSERT, SyncMode.UPSERT])
def test_a_job_that_nobody_knows_any_more(desk: Desk, mode: SyncMode) -> None:
    """Its rows may be written: those of an insert are in doubt and not sent again; an upsert's are sent once more."""
    order = replace(INSERT if mode is SyncMode.INSERT else UPSERT, api=Api.BULK)
    begun = desk.begun(order, accounts(ROWS))
    desk.emulator.faults.add("cut", kind="ingest.status", times=99)
    with pytest.raises(RetryLater):
        list(begun.opened().outcomes())
    desk.emulator.faults.clear()
    forget_jobs(desk)
    found = begun.results()
    if mode is SyncMode.INSERT:
        assert fates(found) == {"in_doubt": 45, "written": 45}
        assert "does not know it any more" in found[0].message
        assert begun.results() == found
    else:
        assert fates(found) == {"written": ROWS}
        assert {one.created for row, one in found.items() if row < 45} == {None}
        assert {one.created for row, one in found.items() if row >= 45} == {True}
    assert len(desk.names()) == ROWS


def test_a_close_that_nobody_answers_is_asked_about_later(desk: Desk) -> None:
    """The chunk stays open; the job that was closed after all is read, and no row is written twice."""
    begun = desk.begun(replace(INSERT, api=Api.BULK), accounts(40))
    desk.emulator.faults.add("cut", kind="ingest.end", where="after", times=50)
    desk.emulator.faults.add("cut", kind="ingest.status", times=50)
    with pytest.raises(RetryLater) as told:
        list(begun.opened().outcomes())
    assert told.value.facts["job_ids"]
    desk.emulator.faults.clear()
    assert fates(begun.results()) == {"written": 40}
    assert len(desk.names()) == 40


@pytest.mark.parametrize("then", ["answers", "goes-silent", "dies"])
def test_an_order_to_close_that_arrives_late_sends_no_row_twice(desk: Desk, monkeypatch: pytest.MonkeyPatch, then: str) -> None:
    """It lands after a look that found the job open, and before the order to abort: the job's results are read, in the end."""
    begun = desk.begun(replace(INSERT, api=Api.BULK), accounts(40))
    desk.emulator.faults.add("cut", kind="ingest.end", where="before", times=50)
    with pytest.raises(RetryLater):
        list(begun.opened().outcomes())
    desk.emulator.faults.clear()
    abort = IngestJobs.abort

    def late(jobs: IngestJobs, job_id: str) -> JobInfo:
        jobs.close(job_id)
        jobs.wait(job_id, until_s=time.monotonic() + 60, seen=lambda _: None)
        if then == "dies":
            raise Died
        if then == "goes-silent":
            desk.emulator.faults.add("cut", kind="ingest.status", times=50)
        return abort(jobs, job_id)

    with monkeypatch.context() as patch:
        patch.setattr(IngestJobs, "abort", late)
        with suppress(Died, RetryLater):
            list(begun.opened().outcomes())
    desk.emulator.faults.clear()
    assert fates(begun.results()) == {"written": 40}
    assert len(desk.names()) == 40
    assert desk.emulator.calls.count("ingest.create") == 1


def test_a_job_that_somebody_aborts_ends_the_push(desk: Desk) -> None:
    """Opened again, the load does not take it for one that it aborted itself: the rows stay unsent, as that person wanted."""
    desk.emulator.org.jobs.hold()
    begun = desk.begun(replace(INSERT, api=Api.BULK), accounts(40))
    desk.deadline_s = 0.05
    with pytest.raises(StillRunning) as told:
        list(begun.opened().outcomes())
    desk.deadline_s = 60.0
    (job_id,) = told.value.facts["job_ids"]  # type: ignore[misc]  # a list of ours
    desk.client.bulk.abort(job_id)
    desk.emulator.org.jobs.release()
    tolds = []
    with suppress(Exception):
        tolds.extend(begun.opened().settle())
    assert fates(by_row(tolds)) == {"not_sent": 40}
    assert desk.names() == []


def test_settling_sends_nothing_and_a_later_load_sends_the_rest(desk: Desk) -> None:
    """What was never tried stays untold, and is sent by whoever goes on."""
    begun = desk.begun(replace(UPSERT, api=Api.COLLECTIONS, batch_size=30), accounts(ROWS))
    tolds = begun.opened().outcomes()
    next(tolds)
    tolds.close()  # type: ignore[attr-defined]  # it is a generator
    fresh = desk.begun(replace(UPSERT, api=Api.BULK), accounts(ROWS))
    assert list(fresh.opened().settle()) == []
    assert {one.again for one in begun.opened().settle()} == {True}
    assert fates(fresh.results()) == {"written": ROWS}
    assert fates(begun.results()) == {"written": ROWS}


def test_rows_that_were_locked_are_told_as_refused_when_nothing_is_sent(desk: Desk) -> None:
    """Settling tells them with their code; sent again later, they are told under the same chunk."""
    begun = desk.begun(replace(UPSERT, api=Api.BULK), accounts(40))
    desk.emulator.faults.add("lock", object="Account", rows=3)
    first = begun.opened().outcomes()
    next(first)
    first.close()  # type: ignore[attr-defined]  # it is a generator
    settled = list(begun.opened().settle())
    assert fates(by_row(settled)) == {"written": 37, "refused": 3}
    assert {one.code for told in settled for one in told.others} == {"UNABLE_TO_LOCK_ROW"}
    later = list(begun.opened().outcomes())
    assert fates(by_row(later)) == {"written": 40}
    assert {one.chunk for one in later} == {one.chunk for one in settled}


def test_a_load_may_end_by_stopping_after_it_died(desk: Desk) -> None:
    """The row at which it stopped is known, so it stops there again, and nothing more is sent."""
    rows = accounts(ROWS)
    rows[5]["Name"] = None
    begun = desk.begun(replace(INSERT, stop_on_error=True, batch_size=30), rows)
    tolds = begun.opened().outcomes()
    next(tolds)
    tolds.close()  # type: ignore[attr-defined]  # it is a generator
    assert fates(begun.results()) == {"written": 29, "refused": 1, "not_sent": 60}
    assert desk.emulator.calls.count("collections.create") == 1


def test_a_job_sent_in_place_of_one_that_is_gone_is_found_again_too(desk: Desk) -> None:
    """A doubt that was told once is resolved by a later load, and if that one dies as well, its own job is asked."""
    begun = desk.begun(replace(UPSERT, api=Api.BULK), accounts(40))
    desk.emulator.org.jobs.hold()
    desk.deadline_s = 0.05
    for _ in range(2):
        with pytest.raises(StillRunning):
            list(begun.opened().outcomes())
        if desk.emulator.calls.count("ingest.create") == 1:
            (job,) = desk.emulator.org.jobs.all("V2Ingest")
            desk.client.bulk.abort(job.id)
            forget_jobs(desk)
            assert fates(by_row(list(begun.opened().settle()))) == {"in_doubt": 40}
    desk.emulator.org.jobs.release()
    desk.deadline_s = 60.0
    assert fates(begun.results()) == {"written": 40}
    assert desk.emulator.calls.count("ingest.create") == 2


@pytest.mark.parametrize("api", PATHS)
def test_a_delete_that_was_carried_out_counts_as_done(desk: Desk, api: Api) -> None:
    """Whether by the call whose answer died with its process, or by a job that is gone."""
    made = desk.sent(INSERT, accounts(40))
    begun = desk.begun(replace(DELETE, api=api), [str(one.id) for one in made.values()])
    if api is Api.BULK:
        desk.emulator.faults.add("cut", kind="ingest.status", times=99)
        with pytest.raises(RetryLater):
            list(begun.opened().outcomes())
        desk.emulator.faults.clear()
        forget_jobs(desk)
    else:
        with dying_in_requests(begun, Place(1, after=True)), pytest.raises(Died):
            list(begun.opened().outcomes())
    assert desk.names() == []
    assert fates(begun.results()) == {"written": 40}
