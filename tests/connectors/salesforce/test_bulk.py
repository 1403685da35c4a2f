"""Bulk query jobs: one is created, it is waited for with patience, and nobody's failure is covered up."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from tests.connectors.salesforce.orgs import Timeless, emulated, scripted

from halocline.connectors.salesforce.bulk import MAX_POLL_S, POLL_S, BulkQuery, BulkUnsupported
from halocline.emulator.seed import seed
from halocline.errors import AccessDenied, BadQuery, JobFailed, NetworkFailed, NotSupported, StillRunning, Truncated
from halocline.events import Event, JobProgress

JOB = "750000000000001AAA"
DATE = {"Date": "Sat, 21 Nov 2026 10:00:00 GMT"}


def job(state: str = "JobComplete", **more: Any) -> dict[str, Any]:
    return {"id": JOB, "object": "Account", "operation": "query", "state": state, "numberRecordsProcessed": 3, **more}


def reply(content: object, *, status: int = 200) -> httpx2.Response:
    told = {**DATE, "Content-Type": "application/json"}
    return httpx2.Response(status, headers=told, stream=httpx2.ByteStream(json.dumps(content).encode()))


def refused(code: str, message: str = "no", *, status: int = 400) -> httpx2.Response:
    return reply([{"errorCode": code, "message": message}], status=status)


def waiting(states: list[str], *, deadline_s: float = 60.0, sink: Callable[[Event], None] = print) -> tuple[BulkQuery, Timeless]:
    """A job that goes through `states`, the last one for ever."""
    time = Timeless()

    def org(request: httpx2.Request) -> httpx2.Response:
        assert request.method == "GET"  # above all it is never aborted
        return reply(job(states.pop(0) if len(states) > 1 else states[0], errorMessage="InternalServerError : it broke"))

    return BulkQuery(scripted(org), deadline_s=deadline_s, sink=sink, pace=time.pace), time


# ---- waiting


def test_a_job_is_watched_until_it_is_complete() -> None:
    """The wait ends with the rows that the job says it has; each look is told."""
    seen: list[Event] = []
    query, _ = waiting(["UploadComplete", "InProgress", "JobComplete"], sink=seen.append)
    assert query.wait(JOB).rows == 3
    assert [one.state for one in seen if isinstance(one, JobProgress)] == ["UploadComplete", "InProgress", "JobComplete"]


def test_waits_grow_from_short_to_long() -> None:
    """A small job is noticed at once, a large one is not asked for too often."""
    query, time = waiting(["InProgress"] * 60 + ["JobComplete"], deadline_s=3600.0)
    query.wait(JOB)
    assert time.slept[0] == POLL_S
    assert time.slept == sorted(time.slept)
    assert time.slept[-1] == MAX_POLL_S


def test_patience_ends_without_harm_to_the_job() -> None:
    """After the deadline the error holds the job's id, and the job was neither aborted nor deleted."""
    query, time = waiting(["InProgress"], deadline_s=60.0)
    with pytest.raises(StillRunning) as told:
        query.wait(JOB)
    assert told.value.facts["job_id"] == JOB
    assert sum(time.slept) == pytest.approx(60.0)


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
def test_a_failed_job_is_told_in_salesforces_words(state: str) -> None:
    """State and message are Salesforce's own; the id is kept."""
    query, _ = waiting(["InProgress", state])
    with pytest.raises(JobFailed, match=rf"state: {state} \(InternalServerError : it broke\)") as told:
        query.wait(JOB)
    assert told.value.facts["job_id"] == JOB


def test_a_job_that_is_gone_has_failed() -> None:
    """Somebody deleted it; waiting on would be of no use."""
    query = BulkQuery(scripted(lambda _: refused("NOT_FOUND", status=404)))
    with pytest.raises(JobFailed, match="gone"):
        query.wait(JOB)


# ---- pages


def links(*names: str, **more: Any) -> dict[str, Any]:
    root = f"/services/data/v67.0/jobs/query/{JOB}/results"
    return {"resultPages": [{"resultUrl": f"{root}?locator={name}"} for name in names], **more}


@pytest.mark.parametrize("spelling", ["nextRecordsUrl", "nextRecordUrl"])
def test_the_list_of_pages_is_followed_to_its_end(spelling: str) -> None:
    """Both spellings of the link in the guide lead on; the order is kept."""
    more = f"/services/data/v67.0/jobs/query/{JOB}/resultpages?locator=c"

    def org(request: httpx2.Request) -> httpx2.Response:
        last = "locator=c" in str(request.url)
        return reply(links("c", done=True) if last else links("a", "b", done=False, **{spelling: more}))

    found = BulkQuery(scripted(org)).pages(JOB)
    assert found is not None
    assert [url.rpartition("=")[2] for url in found] == ["a", "b", "c"]


@pytest.mark.parametrize("more", [{}, {"nextRecordsUrl": f"/services/data/v67.0/jobs/query/{JOB}/resultpages"}])
def test_a_list_of_pages_that_does_not_end_is_noticed(more: dict[str, str]) -> None:
    """A link that is missing or goes round in circles is an error, not a short read or an endless one."""
    found = BulkQuery(scripted(lambda _: reply(links("a", done=False, **more)))).pages(JOB)
    with pytest.raises(Truncated):
        list(found or ())


@pytest.mark.parametrize("status", [404, 405])
def test_an_org_without_a_list_of_pages_says_so(status: int) -> None:
    """None tells the caller to follow the locators instead; so does an API version from before the list."""
    org = scripted(lambda _: refused("NOT_FOUND", status=status))
    assert BulkQuery(org).pages(JOB) is None
    assert BulkQuery(scripted(lambda _: pytest.fail("asked"), version="57.0")).pages(JOB) is None
    assert BulkQuery(org).first_page(JOB) == f"jobs/query/{JOB}/results"
    assert BulkQuery(org).first_page(JOB, "MTAw").endswith("/results?locator=MTAw")


@pytest.mark.parametrize("status", [204, 200, 404])
def test_deleting_is_idempotent(status: int) -> None:
    """A job that is gone is deleted."""
    BulkQuery(scripted(lambda _: reply([], status=status))).delete(JOB)


# ---- creation


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("INVALIDENTITY", "Entity 'TaskStatus' is not supported by the Bulk API."),
        ("API_ERROR", "Selecting compound data not supported in Bulk Query"),
    ],
)
def test_what_bulk_does_not_query_can_be_planned_again(code: str, message: str) -> None:
    """The error names the ability to plan without, and keeps Salesforce's words."""
    query = BulkQuery(scripted(lambda _: refused(code, message)))
    with pytest.raises(BulkUnsupported, match=message) as told:
        query.run("SELECT Id FROM TaskStatus", sobject="TaskStatus")
    assert isinstance(told.value, NotSupported)
    assert told.value.ability == "bulk"


def test_a_wrong_query_is_no_reason_to_plan_again() -> None:
    """REST would refuse it as well."""
    query = BulkQuery(scripted(lambda _: refused("MALFORMED_QUERY", "unexpected token: 'FORM'")))
    with pytest.raises(BadQuery, match="FORM"):
        query.run("SELECT Id FORM Account", sobject="Account")


class Forgetful:
    """An org whose replies to the creation of a job get lost; `made` says which of them it carried out."""

    def __init__(self, *made: bool, user: bool = True, foreign: int = 0, rows: int = 3) -> None:
        self.made, self.user, self.rows = list(made), user, rows
        self.jobs: list[dict[str, Any]] = [self.new() for _ in range(foreign)]
        self.posts = 0

    def new(self) -> dict[str, Any]:
        serial = getattr(self, "posts", 0)
        made = {"createdById": "005A", "createdDate": "2026-11-21T10:00:05.000+0000"}
        return job(id=f"{JOB[:-2]}{serial}X", numberRecordsProcessed=self.rows, **made)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if request.method == "POST":
            return self.create()
        if path.endswith("/userinfo"):
            return reply({"user_id": "005A"}) if self.user else refused("x", status=403)
        if path.endswith("/jobs/query"):
            return reply({"done": True, "records": self.jobs})
        if path.endswith("/describe"):
            return reply({})
        return reply(next(one for one in self.jobs if path.endswith(one["id"])))

    def create(self) -> httpx2.Response:
        self.posts += 1
        lost = self.made.pop(0) if self.made else None
        if lost is not False:
            self.jobs.append(self.new())
        if lost is not None:
            raise httpx2.ReadError("connection reset")
        return reply(self.jobs[-1])


def created(org: Forgetful, *, count: int = 3) -> tuple[str, int]:
    transport = scripted(org)
    transport.send("GET", "sobjects/Account/describe")  # every run describes first, and so knows the server's clock
    done = BulkQuery(transport, pace=Timeless().pace).run("SELECT Id FROM Account", sobject="Account", count=lambda: count)
    return done.id, len(org.jobs)


def test_a_job_whose_reply_was_lost_is_adopted() -> None:
    """Salesforce made it although we did not hear so: it is found, and exactly one job exists."""
    org = Forgetful(True)
    assert created(org)[1] == 1
    assert org.posts == 1


def test_a_job_that_was_never_made_is_made_again() -> None:
    """Nothing of ours is in the list, so creating it is right: exactly one job exists."""
    org = Forgetful(False)
    assert created(org)[1] == 1
    assert org.posts == 2


@pytest.mark.parametrize(
    ("org", "count"),
    [(Forgetful(True, foreign=1), 3), (Forgetful(True, user=False), 3), (Forgetful(True, rows=3), 4)],
    ids=["two candidates", "nobody says who we are", "other rows than counted"],
)
def test_a_job_in_doubt_is_not_believed(org: Forgetful, count: int) -> None:
    """Where the job cannot be told for sure, another one is created: a job too many costs little, wrong rows cost all."""
    created(org, count=count)
    assert org.posts == 2


def test_replies_that_are_always_lost_are_a_network_failure() -> None:
    """After three tries it is told; nothing was believed that was not heard."""
    org = Forgetful(False, False, False, False)
    with pytest.raises(NetworkFailed):
        created(org)
    assert org.posts == 3


class Diary:
    """A book that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def intend(self) -> None:
        self.told.append("intend")

    def made(self, job_id: str) -> None:
        self.told.append("made")

    def refused(self) -> None:
        self.told.append("refused")


REFUSALS = {
    "at once": (Forgetful(), 1, ["intend", "refused"]),
    "after a lost reply": (Forgetful(True, foreign=1), 2, ["intend"]),
    "after a job that was not believed": (Forgetful(True, rows=4), 2, ["intend", "intend"]),
}


@pytest.mark.parametrize("which", list(REFUSALS))
def test_a_creation_is_booked_as_refused_only_if_no_try_is_in_doubt(which: str) -> None:
    """A later refusal says nothing of an earlier try whose reply was lost: its job may be there."""
    org, refuses, told = REFUSALS[which]
    real, diary = org.create, Diary()

    def create() -> httpx2.Response:
        if org.posts + 1 < refuses:
            return real()
        org.posts += 1
        return refused("MALFORMED_QUERY")

    org.create = create  # type: ignore[method-assign]
    transport = scripted(org)
    transport.send("GET", "sobjects/Account/describe")
    with pytest.raises(BadQuery):
        BulkQuery(transport, pace=Timeless().pace).run("SELECT Id FROM Account", sobject="Account", count=lambda: 3, book=diary)
    assert (diary.told, org.posts) == (told, refuses)


def test_a_creation_stays_in_doubt_when_the_list_of_jobs_is_refused() -> None:
    """Whether the lost reply told of a job cannot be known."""
    org, diary = Forgetful(True), Diary()

    def refusing(request: httpx2.Request) -> httpx2.Response:
        listing = request.method == "GET" and request.url.path.endswith("/jobs/query")
        return refused("INSUFFICIENT_ACCESS", status=403) if listing else org(request)

    transport = scripted(refusing)
    transport.send("GET", "sobjects/Account/describe")
    with pytest.raises(AccessDenied):
        BulkQuery(transport, pace=Timeless().pace).run("SELECT Id FROM Account", sobject="Account", count=lambda: 3, book=diary)
    assert diary.told == ["intend"]


# ---- against the emulator


def test_a_lost_reply_leaves_exactly_one_job_at_the_emulator() -> None:
    """The emulator does the work and loses the reply; the job is found in its list and no other is made."""
    with emulated() as (emulator, client):
        seed(emulator.store, {"Account": 30})
        emulator.faults.add("lose_reply", path="jobs/query$", method="POST")
        client.describe("Account")
        query = BulkQuery(client.transport)
        done = query.run("SELECT Id FROM Account", sobject="Account", count=lambda: client.count("Account"))
        assert done.rows == 30
        listed = client.transport.send("GET", "jobs/query").json()["records"]
        assert [one["id"] for one in listed] == [done.id]
        query.delete(done.id)
        query.delete(done.id)
        assert client.transport.send("GET", "jobs/query").json()["records"] == []


def test_the_session_may_expire_while_a_job_is_watched() -> None:
    """A token that ends in mid-run is renewed; the job goes on."""
    with emulated(job_ms=50) as (emulator, client):
        seed(emulator.store, {"Account": 3})
        emulator.faults.add("expire_session", path="jobs/query/[^/]+$")
        assert BulkQuery(client.transport).run("SELECT Id FROM Account", sobject="Account").rows == 3
