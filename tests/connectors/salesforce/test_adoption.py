"""Jobs that earlier runs left: which of them answer what is asked now, and what becomes of the others."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.salesforce.orgs import emulated

from halocline.connector import Deletes, Mode, Plan, Unfinished
from halocline.connectors.salesforce import adoption
from halocline.connectors.salesforce.adoption import CHUNK, Intent, Orphans, Question, refusal
from halocline.connectors.salesforce.bulk import BulkQuery
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.connectors.salesforce.pages import Page, Shelf
from halocline.connectors.salesforce.rest import RestQuery
from halocline.connectors.salesforce.source import SalesforceSource
from halocline.emulator.seed import seed
from halocline.emulator.server import Emulator
from halocline.errors import BadQuery, StorageFailed
from halocline.events import Event, Noticed
from halocline.ledger import MemoryLedger
from halocline.schema import Column, Kind, Schema
from halocline.spool import SWEEP_AFTER_S, Spool, sweep
from halocline.unfinished import SourceJournal, left_by

SCHEMA = Schema((Column("Id", Kind.STRING), Column("Name", Kind.STRING)), ("Id",))
NOW = datetime(2026, 11, 21, 10, 20, 30, tzinfo=UTC)
SINCE = {"stamp": "2026-11-20T00:00:00Z"}
PLAN = Plan(
    flow="flow",
    object="Account",
    method="bulk_api_incremental",
    reasons=("About 5 rows.",),
    query="SELECT Id, Name FROM Account",
    window=("2026-11-19T23:50:00Z", "2026-11-21T10:20:31Z"),
    next_position={"org": "00D1", "where": None, "stamp": "2026-11-21T10:20:30Z"},
    mode=Mode.MERGE,
    key=("Id",),
    schema=SCHEMA,
    cursor="SystemModstamp",
    deletes=Deletes.SOFT,
    delete_flag="IsDeleted",
    expected_rows=5,
)
INTENT = Intent("SELECT Id, Name FROM Account", "queryAll", "67.0", SINCE, "2026-11-21T10:20:30Z")


def asked(plan: Plan = PLAN, *, rows: int = 5) -> Question:
    query = RestQuery("Account", SCHEMA, None, None, None, include_deleted=True)
    return Question(plan, SINCE, lambda _: query, lambda _: rows)


LATER = replace(
    PLAN,
    window=(PLAN.window[0], "2026-11-21T12:00:01Z"),
    next_position={**PLAN.next_position, "stamp": "2026-11-21T12:00:00Z", "formulas": "2026-11-21T12:00:00Z"},
    reasons=("About 7 rows.",),
    expected_rows=7,
    max_delete_share=0.1,
)

UNLIKE = {
    "org": ({"next_position": {**LATER.next_position, "org": "00D2"}}, "job of the org 00D1"),
    "where": ({"next_position": {**LATER.next_position, "where": "(A = 1)"}}, "condition"),
    "columns": ({"schema": SCHEMA.select(["Id"])}, "columns"),
    "key": ({"key": ("Name",)}, "settings"),
    "deletes": ({"deletes": Deletes.HARD}, "settings"),
    "history": ({"history": True}, "settings"),
    "mode": ({"mode": Mode.REPLACE}, "settings"),
    "method": ({"method": "bulk_api_stage_incremental"}, "the method was bulk_api_incremental"),
    "low": ({"window": ("2026-11-19T00:00:00Z", LATER.window[1])}, "begin elsewhere"),
    "forced": ({"allow_replace": True}, "a full sync is forced"),
}


def test_the_same_question_later_may_have_the_old_answer() -> None:
    """A later window, other counts and other guards do not matter; the plan goes on to where the dead run would have."""
    assert refusal(INTENT, PLAN, asked=asked(LATER), version="67.0") == ""


@pytest.mark.parametrize("what", list(UNLIKE))
def test_another_question_needs_another_job(what: str) -> None:
    """Whatever would make its rows other rows speaks against a job."""
    changes, told = UNLIKE[what]
    assert told in refusal(INTENT, PLAN, asked=asked(replace(LATER, **changes)), version="67.0")  # type: ignore[arg-type]  # fields of Plan


def test_the_position_and_the_version_must_be_the_same() -> None:
    """Rows from before a commit are not merged after it; only the version that made a job may read it."""
    before = replace(INTENT, since={"stamp": "2026-11-19T00:00:00Z"})
    assert "moved on" in refusal(before, PLAN, asked=asked(LATER), version="67.0")
    assert "it reads everything" in refusal(replace(INTENT, since=None), PLAN, asked=asked(LATER), version="67.0")
    assert "66.0" in refusal(INTENT, PLAN, asked=asked(LATER), version="66.0")


def test_a_forced_runs_job_serves_a_plain_run() -> None:
    """Who asked for everything anew, and lost the run, has no objection; the other way round there is one."""
    assert refusal(INTENT, replace(PLAN, allow_replace=True), asked=asked(LATER), version="67.0") == ""


@pytest.mark.parametrize("detail", [None, 5, "x", {"query": "SELECT"}, {**INTENT.to_json(), "more": 1}])
def test_an_intent_that_cannot_be_read_is_none(detail: Any) -> None:
    """Of another version, or of nobody: it is not believed."""
    assert Intent.read(detail) is None
    assert Intent.read(json.loads(json.dumps(INTENT.to_json()))) == INTENT


# ---- against the emulator


@pytest.fixture(scope="module")
def org() -> Iterator[tuple[Emulator, SalesforceClient]]:
    with emulated(page_rows=40) as (emulator, client):
        emulator.clock.freeze(NOW)
        seed(emulator.store, {"Account": 5})
        yield emulator, client


class Desk:
    """Orphans of an org, with what they say, and the work that is left."""

    def __init__(self, client: SalesforceClient, folder: Path) -> None:
        self.said: list[Event] = []
        self.jobs = BulkQuery(client.transport)
        self.shelf = Shelf("flow", Spool("run", folder))
        self.client = client
        self.orphans = Orphans(
            self.jobs, version="67.0", now=lambda: client.transport.server_time, shelf=self.shelf, sink=self.said.append
        )

    def job(self) -> str:
        self.client.describe("Account")
        return self.jobs.run(INTENT.query, sobject="Account", include_deleted=True).id

    def told(self) -> list[str]:
        return [event.message for event in self.said if isinstance(event, Noticed)]


@pytest.fixture
def desk(org: tuple[Emulator, SalesforceClient], tmp_path: Path) -> Iterator[Desk]:
    emulator, client = org
    emulator.clock.freeze(NOW)
    yield Desk(client, tmp_path)
    emulator.org.jobs.clear()


def test_a_job_is_taken_up_with_its_window_and_position(desk: Desk) -> None:
    """Window, position and query are the dead run's; guards are this run's; the reasons say whose job it is."""
    job = desk.job()
    found = desk.orphans.adopt([Unfinished("r1", CHUNK, INTENT.to_json(), job, PLAN)], asked(LATER))
    assert found is not None
    assert found.plan is not None
    assert (found.job, found.plan.continues, found.plan.max_delete_share) == (job, "r1", 0.1)
    assert (found.plan.window, found.plan.next_position, found.plan.expected_rows) == (PLAN.window, PLAN.next_position, 5)
    assert found.plan.reasons[0].startswith(f"Job {job} of run r1 is taken up: it is complete, with 5 rows")
    assert found.plan.reasons[1:] == PLAN.reasons
    again = desk.orphans.adopt([Unfinished("r2", CHUNK, INTENT.to_json(), job, found.plan)], asked(LATER))
    assert again is not None
    assert again.plan is not None
    assert len(again.plan.reasons) == 2, "not one reason more for each death"


def test_of_several_jobs_one_is_read_and_the_others_go(desk: Desk) -> None:
    """The newest that fits is read; one that two runs had is not deleted under the one that reads it."""
    first, second = desk.job(), desk.job()
    left = [Unfinished(run, CHUNK, INTENT.to_json(), job, PLAN) for run, job in (("c", second), ("b", second), ("a", first))]
    found = desk.orphans.adopt(left, asked(LATER))
    assert found is not None
    assert found.job == second
    assert desk.jobs.look(second) is not None
    assert desk.jobs.look(first) is None
    assert [told for told in desk.told() if "run a is not taken up" in told and "It was deleted." in told]


AGES = [
    (timedelta(days=6, hours=13), "Salesforce is about to drop its results"),
    (timedelta(hours=-1), "another job has its id"),
    (timedelta(hours=1), ""),
]


@pytest.mark.parametrize(("age", "told"), AGES)
def test_a_job_that_is_too_old_or_another_is_not_read(
    age: timedelta, told: str, desk: Desk, org: tuple[Emulator, SalesforceClient]
) -> None:
    """Results are kept for seven days; a job that was not made when ours was is not ours, whatever its id, and is not deleted."""
    job = desk.job()
    org[0].clock.freeze(NOW + max(age, timedelta()))
    org[1].describe("Account")
    at = NOW + min(age, timedelta())
    intent = replace(INTENT, at=at.isoformat())
    found = desk.orphans.adopt([Unfinished("r1", CHUNK, intent.to_json(), job, PLAN)], asked(LATER))
    assert (found is None) == bool(told)
    assert any(told in one for one in desk.told()) == bool(told)
    assert (desk.jobs.look(job) is None) == (age > timedelta(days=1))


def test_a_job_of_another_user_is_not_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are those that the other one may see."""
    monkeypatch.setattr(BulkQuery, "user", lambda _: "005000000000009AAA")
    assert desk.orphans.adopt([Unfinished("r1", CHUNK, INTENT.to_json(), desk.job(), PLAN)], asked(LATER)) is None
    assert "this login is user 005000000000009AAA" in desk.told()[0]


@pytest.mark.parametrize(
    ("user", "maker", "told"), [("", True, "does not say whose login this is"), ("005A", False, "does not say who made it")]
)
def test_a_job_whose_user_or_maker_is_unknown_is_not_read(
    user: str, maker: bool, told: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be another's, with the rows that the other one may see."""
    look = BulkQuery.look
    unknown = {} if maker else {"createdById": None}
    monkeypatch.setattr(BulkQuery, "look", lambda *about: {**(look(*about) or {}), **unknown})
    monkeypatch.setattr(BulkQuery, "user", lambda _: user)
    assert desk.orphans.adopt([Unfinished("r1", CHUNK, INTENT.to_json(), desk.job(), PLAN)], asked(LATER)) is None
    assert told in desk.told()[0]


@pytest.mark.parametrize(
    ("made", "rows", "told"), [(1, 5, ""), (0, 5, "never made"), (2, 5, "cannot be told"), (1, 4, "cannot be told")]
)
def test_a_job_nobody_heard_of_is_found_or_left_alone(made: int, rows: int, told: str, desk: Desk) -> None:
    """Exactly one that looks like it, with the rows of the query; else it is not believed, and not deleted."""
    jobs = [desk.job() for _ in range(made)]
    found = desk.orphans.adopt([Unfinished("r1", CHUNK, INTENT.to_json(), None, PLAN)], asked(LATER, rows=rows))
    assert (found.job if found else None) == (None if told else jobs[0])
    assert told in "".join(desk.told())
    assert all(desk.jobs.look(job) is not None for job in jobs)


def test_a_job_for_another_plan_is_deleted(desk: Desk) -> None:
    """A plan that cannot be read any more is no reason to leave a job lying there; a detail that says nothing is."""
    job = desk.job()
    assert desk.orphans.adopt([Unfinished("r1", CHUNK, INTENT.to_json(), job, None)], asked(LATER)) is None
    assert desk.jobs.look(job) is None
    other = desk.job()
    assert desk.orphans.adopt([Unfinished("r1", CHUNK, {"v": 2}, other, PLAN)], asked(LATER)) is None
    assert desk.jobs.look(other) is not None


def test_a_creation_that_was_refused_leaves_no_intent(org: tuple[Emulator, SalesforceClient], tmp_path: Path) -> None:
    """Only what may have been made stays open; what was made is open under its id."""
    emulator, client = org
    ledger, spool = MemoryLedger(), Spool("r1", tmp_path)
    ledger.start("flow", run="r1", pid=1, host="h")
    source = SalesforceSource(client, "Account", fields=["Name"], spool=spool, flow="flow")
    survey = source.survey(None)
    plan = replace(PLAN, schema=survey.schema, window=survey.window, method="bulk_api_full", next_position=survey.next_position)
    journal = SourceJournal(ledger.journal("r1"))
    plan = source.take_up(plan, journal=journal, left=())
    body = '[{"errorCode": "MALFORMED_QUERY", "message": "no"}]'
    emulator.faults.add("answer", kind="bulk.create", status=400, body=body)
    with pytest.raises(BadQuery):
        list(source.parts(plan))
    assert journal.open() == []
    parts = list(source.parts(plan))
    ((chunk, detail, remote),) = journal.open()
    assert (chunk, remote) == (CHUNK, parts[0].spec["job"])
    assert Intent.read(detail) == Intent(survey.query, "queryAll", "67.0", None, "2026-11-21T10:20:30Z")
    assert ledger.journal("r1").open()[0][0] == f"source:{CHUNK}", "apart from the destination's"
    ledger.note("r1", plan=plan.to_json())
    assert [(work.run, work.remote, work.plan) for work in left_by(["r1"], ledger)] == [("r1", remote, plan)]
    spool.close()


def test_a_job_that_cannot_be_written_down_is_given_back(org: tuple[Emulator, SalesforceClient]) -> None:
    """Nobody would know it: where the ledger's disk fails, the run fails with that error, and a job that is over is deleted."""
    emulator, client = org
    before = {job.id for job in emulator.org.jobs.all()}

    class Torn:
        def intend(self) -> None: ...

        def made(self, job_id: str) -> None:
            while client.transport.send("GET", f"jobs/query/{job_id}").json()["state"] != "JobComplete":
                continue
            raise StorageFailed("Writing", "disk I/O error")

        def refused(self) -> None: ...

    with pytest.raises(StorageFailed, match="disk I/O error"):
        BulkQuery(client.transport).run("SELECT Id FROM Account", sobject="Account", book=Torn())
    assert {job.id for job in emulator.org.jobs.all()} == before


# ---- kept pages


def page(path: Path, text: bytes) -> Page:
    path.write_bytes(text)
    return Page(path, 1, SCHEMA.names, SCHEMA, "Account", len(text), None, zlib.crc32(text))


def test_a_page_is_believed_only_as_it_was_noted(tmp_path: Path) -> None:
    """Address, size and checksum must hold, and the note itself be whole; else it is fetched again."""
    shelf = Shelf("flow", Spool("run", tmp_path))
    path = shelf.file("750A", "page.csv")
    kept = page(path, b'"Id","Name"\n"1","a"\n')
    shelf.keep(kept, url="/results?locator=a")
    about: dict[str, Any] = {"schema": SCHEMA, "sobject": "Account"}

    def found(url: str = "/results?locator=a", job: str = "750A") -> Page | None:
        return shelf.find(job, "page.csv", url=url, **about)

    assert found() == kept
    assert found("/results?locator=b") is None
    assert found(job="750B") is None
    assert Shelf("other", Spool("run", tmp_path)).find("750A", "page.csv", url="/results?locator=a", **about) is None
    path.write_bytes(b'"Id","Name"\n"1","b"\n')
    assert found() is None
    path.write_bytes(b'"Id","Name"\n')
    assert found() is None
    path.unlink()
    assert found() is None
    page(path, b'"Id","Name"\n"1","a"\n')
    path.with_name("page.csv.json").write_text("{")
    assert found() is None
    assert path.parent.stat().st_mode & 0o077 == 0
    shelf.clear("750A")
    shelf.clear("750A")
    assert not path.parent.exists()


def test_pages_that_are_read_again_are_not_swept(tmp_path: Path) -> None:
    """Two days count from the last use: another run that begins meanwhile leaves them to the one that reads them."""
    shelf = Shelf("flow", Spool("run", tmp_path))
    shelf.keep(page(shelf.file("750A", "page.csv"), b"x"), url="u")
    folder = shelf.file("750A", "page.csv").parent
    soon_s = time.time() + 2 * 3_600.0
    os.utime(folder, (soon_s - SWEEP_AFTER_S, soon_s - SWEEP_AFTER_S - 1.0))
    assert shelf.find("750A", "page.csv", url="u", schema=SCHEMA, sobject="Account") is not None
    assert sweep(tmp_path, now_s=soon_s) == []
    assert shelf.find("750A", "page.csv", url="u", schema=SCHEMA, sobject="Account") is not None


def test_a_new_job_finds_no_pages_of_an_old_one(tmp_path: Path) -> None:
    """Ids come again where an emulator begins anew: what is kept under the id of a job that is made goes."""
    shelf, ledger = Shelf("flow", Spool("run", tmp_path)), MemoryLedger()
    ledger.start("flow", run="r1", pid=1, host="h")
    shelf.keep(page(shelf.file("750A", "page.csv"), b"x"), url="u")
    book = adoption.JobBook(ledger.journal("r1"), lambda: INTENT, shelf)
    book.intend()
    book.made("750A")
    assert shelf.find("750A", "page.csv", url="u", schema=SCHEMA, sobject="Account") is None
