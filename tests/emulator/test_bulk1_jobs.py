"""Bulk API 1.0: jobs, the door in front of them, and what stops them."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from defusedxml.ElementTree import fromstring
from tests.emulator.bulk1_client import NS, Classic, fields, refused, until
from tests.emulator.conftest import connect

from halocline.emulator.server import Emulator

JOB_XML = """<?xml version="1.0" encoding="UTF-8"?>
<jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload">
  <operation>{operation}</operation>
  <object>Account</object>
  <concurrencyMode>Serial</concurrencyMode>
  <contentType>CSV</contentType>
</jobInfo>"""
JOB_FIELDS = [
    *("id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state", "concurrencyMode", "contentType"),
    *("numberBatchesQueued", "numberBatchesInProgress", "numberBatchesCompleted", "numberBatchesFailed", "numberBatchesTotal"),
    *("numberRecordsProcessed", "numberRetries", "apiVersion", "numberRecordsFailed", "totalProcessingTime"),
    *("apiActiveProcessingTime", "apexProcessingTime"),
]
ONE = "Name\nOne\n"


@pytest.fixture
def classic(emulator: Emulator) -> Iterator[Classic]:
    made = Classic(emulator)
    yield made
    made.http.close()


@pytest.fixture
def classic_of() -> Iterator[Callable[..., Classic]]:
    """Makes clients of other emulators or versions."""
    made: list[Classic] = []

    def make(emulator: Emulator, version: str = "66.0") -> Classic:
        made.append(Classic(emulator, version))
        return made[-1]

    yield make
    for one in made:
        one.http.close()


def test_a_job_in_xml_is_answered_in_xml(emulator: Emulator, classic: Classic) -> None:
    """Status 201, the fields in the vendor's order, dates with Z, a content type without charset."""
    headers = {"Content-Type": "application/xml; charset=UTF-8"}
    answer = classic.http.post("/job", content=JOB_XML.format(operation="insert"), headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/xml")
    root = fromstring(answer.content)
    assert root.tag == f"{NS}jobInfo"
    job = fields(root)
    assert list(job) == JOB_FIELDS
    assert job["createdDate"].endswith("Z")
    said = [job[name] for name in ("operation", "object", "state", "concurrencyMode", "contentType", "apiVersion", "createdById")]
    assert said == ["insert", "Account", "Open", "Serial", "CSV", "66.0", emulator.org.api_user_id]
    assert len(job["id"]) == 18
    assert job["id"].startswith("750")


def test_a_job_in_json_is_answered_in_json(classic: Classic) -> None:
    """Names in the order of the alphabet, numbers as numbers, dates with an offset; simple-salesforce sends modes as numbers."""
    body = {"operation": "upsert", "object": "invoice__c", "concurrencyMode": 1, "contentType": "JSON"}
    answer = classic.http.post("/job", json=body | {"externalIdFieldName": "number__c"})
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/json")
    job = answer.json()
    assert list(job) == sorted(job)
    assert (job["object"], job["externalIdFieldName"], job["concurrencyMode"]) == ("Invoice__c", "Number__c", "Serial")
    assert (job["apiVersion"], job["numberBatchesTotal"], job["assignmentRuleId"]) == (66.0, 0, None)
    assert job["createdDate"].endswith("+0000")


def test_a_job_is_shown_in_the_format_of_the_request(classic: Classic) -> None:
    """Without a content type it is XML for CSV jobs and JSON for JSON jobs; ids of 15 characters are good too."""
    job_id = classic.create("insert", "Account")
    assert fields(fromstring(classic.http.get(f"/job/{job_id}/").content))["id"] == job_id
    assert classic.job(job_id[:15])["id"] == job_id
    other = classic.create("insert", "Account", "JSON")
    assert classic.http.get(f"/job/{other}").json()["id"] == other
    asked = classic.http.get(f"/job/{other}", headers={"Content-Type": "application/xml"})
    assert fields(fromstring(asked.content))["id"] == other


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"operation": "Insert"}, ("InvalidJob", "Invalid operation: Insert")),
        ({"object": "Nothing__c"}, ("InvalidJob", "Unable to find object: Nothing__c")),
        ({"contentType": "ZIP_CSV"}, ("InvalidJob", "Unsupported content type: ZIP_CSV")),
        ({"contentType": "csv"}, ("InvalidJob", "Invalid contentType: csv")),
        ({"concurrencyMode": "Fast"}, ("InvalidJob", "Invalid concurrencyMode: Fast")),
        (
            {"operation": "query", "object": "Silent__c"},
            ("InvalidEntity", "Entity 'Silent__c' is not supported by the Bulk API."),
        ),
        (
            {"operation": "upsert"},
            ("InvalidJob", "External ID was blank for Account. An External ID must be specified for upsert."),
        ),
        (
            {"operation": "upsert", "externalIdFieldName": "Phone"},
            ("InvalidJob", "Field name provided, Phone does not match an External ID for Account"),
        ),
    ],
)
def test_a_job_that_cannot_be_is_refused(classic: Classic, settings: dict[str, str], expected: tuple[str, str]) -> None:
    """With status 400 and the vendor's code."""
    body = {"operation": "insert", "object": "Account", "contentType": "CSV", **settings}
    assert refused(classic.http.post("/job", json=body)) == expected


def test_a_job_that_cannot_be_read_is_refused(classic: Classic) -> None:
    """Broken XML, XML that declares entities, and another element are InvalidXML; broken JSON is no job."""
    bomb = '<!DOCTYPE a [<!ENTITY b "c">]><jobInfo><operation>&b;</operation></jobInfo>'
    for text in ("<jobInfo>", bomb, "<batchInfo/>", "", '<?xml version="1.0" encoding="nonsense"?><jobInfo/>'):
        answer = classic.http.post("/job", content=text, headers={"Content-Type": "application/xml"})
        assert refused(answer)[0] == "InvalidXML", text
    assert refused(classic.http.post("/job", content="{", headers={"Content-Type": "application/json"}))[0] == "InvalidJob"


def test_a_job_may_come_packed(classic: Classic) -> None:
    """As force-wsc sends it."""
    headers = {"Content-Type": "application/xml", "Content-Encoding": "gzip"}
    answer = classic.http.post("/job", content=gzip.compress(JOB_XML.format(operation="insert").encode()), headers=headers)
    assert fields(fromstring(answer.content))["operation"] == "insert"


def test_half_characters_break_nothing(classic: Classic) -> None:
    """JSON's escapes and some charsets can hold what UTF-8 cannot."""
    text = '{"operation": "\\ud800", "object": "Account", "contentType": "CSV"}'
    assert refused(classic.http.post("/job", content=text, headers={"Content-Type": "application/json"}))[0] == "InvalidJob"
    job_id = classic.create("insert", "Account")
    headers = {"Content-Type": "text/csv; charset=unicode_escape"}
    added = fields(fromstring(classic.http.post(f"/job/{job_id}/batch", content="\\ud800\n1\n", headers=headers).content))
    assert classic.ended(job_id, added["id"])["stateMessage"].endswith("a surrogate without its pair is no text")


def test_a_closed_job_takes_no_batch(classic: Classic) -> None:
    """It is closed once; so it is said in JSON and in XML."""
    job_id = classic.create("insert", "Account")
    assert classic.end(job_id).json()["state"] == "Closed"
    assert refused(classic.post(job_id, ONE))[0] == "InvalidJobState"
    assert refused(classic.end(job_id)) == ("InvalidJobState", "Closing already Closed Job not allowed")
    assert refused(classic.end(job_id, "Aborted"))[0] == "InvalidJobState"
    assert refused(classic.end(job_id, "Open"))[0] == "InvalidJobState"


def test_an_aborted_job_processes_no_batch_that_waits(emulator: Emulator, classic: Classic) -> None:
    """The batch at work is finished, the others are not processed, also after closing; the job counts them all."""
    emulator.org.bulk1.hold()
    job_id = classic.create("insert", "Account", concurrencyMode="Serial")
    batches = [classic.add(job_id, ONE) for _ in range(3)]
    until(lambda: classic.batch(job_id, batches[0])["state"], lambda state: state == "InProgress")
    assert classic.end(job_id).json()["state"] == "Closed"
    assert classic.end(job_id, "Aborted").json()["state"] == "Aborted"
    emulator.org.bulk1.release()
    assert [classic.ended(job_id, one)["state"] for one in batches] == ["Completed", "NotProcessed", "NotProcessed"]
    job = classic.job(job_id)
    assert (job["numberBatchesTotal"], job["numberBatchesCompleted"], job["numberBatchesQueued"]) == (3, 1, 0)
    assert refused(classic.end(job_id, "Aborted")) == ("InvalidJobState", "Aborting already Aborted Job not allowed")


def test_batches_of_a_serial_job_run_one_after_the_other(run_emulator: Callable[..., Emulator], classic_of: Any) -> None:
    """Never are two at work, and they end in their order."""
    emulator = run_emulator(job_ms=20)
    classic = classic_of(emulator)
    job_id = classic.create("insert", "Account", concurrencyMode="Serial")
    batches = [classic.add(job_id, f"Name\n{number}\n") for number in range(5)]
    seen = []
    while not seen or seen[-1]["numberBatchesCompleted"] < 5:
        seen.append(classic.job(job_id))
    assert all(job["numberBatchesInProgress"] <= 1 for job in seen)
    names = emulator.store.read("SELECT Name FROM Account ORDER BY rowid", ())
    assert [name for (name,) in names] == ["0", "1", "2", "3", "4"]
    assert [one["id"] for one in classic.batches(job_id)] == batches


def test_counters_agree_and_never_go_back(run_emulator: Callable[..., Emulator], classic_of: Any) -> None:
    """At every moment the job's counters add up, and states only advance."""
    classic = classic_of(run_emulator(job_ms=5))
    job_id = classic.create("insert", "Account")
    for number in range(8):
        classic.add(job_id, "Nothing\n1\n" if number % 4 == 3 else f"Name\n{number}\n\n")
    classic.end(job_id)
    ranks, done = {"Queued": 0, "InProgress": 1, "Completed": 2, "Failed": 2}, 0
    before: dict[str, int] = {}
    while done < 8:
        now = {one["id"]: ranks[one["state"]] for one in classic.batches(job_id)}
        assert all(now[one] >= rank for one, rank in before.items())
        before, job = now, classic.job(job_id)
        counts = [job[f"numberBatches{state}"] for state in ("Queued", "InProgress", "Completed", "Failed")]
        assert sum(counts) == job["numberBatchesTotal"] == 8
        assert counts[2] + counts[3] >= done
        done = counts[2] + counts[3]
    assert (job["numberBatchesCompleted"], job["numberBatchesFailed"]) == (6, 2)
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (6, 0)


def test_a_doomed_batch_fails_without_work(emulator: Emulator, classic: Classic) -> None:
    """With the message ordered; the next one works again, and an aborting doom aborts the job."""
    order = {"state": "Failed", "message": "TooManyLockFailure : Too many lock failures"}
    assert httpx2.post(f"{emulator.url}/__emulator__/batches/doom", json=order).status_code == 204
    assert classic.failed("insert", "Account", ONE) == "TooManyLockFailure : Too many lock failures"
    assert emulator.store.read("SELECT COUNT(*) FROM Account", ()) == [(0,)]
    assert classic.changed("insert", "Account", ONE).status_code == 200
    emulator.org.bulk1.doom("Aborted", "stopped")
    job_id = classic.create("insert", "Account")
    batch = classic.ended(job_id, classic.add(job_id, ONE))
    assert (batch["state"], batch["stateMessage"], classic.job(job_id)["state"]) == ("NotProcessed", "stopped", "Aborted")
    with pytest.raises(ValueError, match="Closed"):
        emulator.org.bulk1.doom("Closed", "")


def test_a_session_is_named_by_its_own_header(emulator: Emulator, classic: Classic) -> None:
    """A missing or bad one is status 400 with InvalidSessionId, in XML unless the request is JSON; a bearer token is none."""
    bare = httpx2.Client(base_url=classic.http.base_url)
    token = classic.http.headers["X-SFDC-Session"]
    with bare:
        assert refused(bare.get("/job/750")) == ("InvalidSessionId", "Unable to find session id")
        assert refused(bare.get("/job/750", headers={"X-SFDC-Session": "x"})) == ("InvalidSessionId", "Invalid session id")
        assert refused(bare.get("/job/750", headers={"Authorization": f"Bearer {token}"}))[0] == "InvalidSessionId"
        answer = bare.post("/job", json={})
    assert answer.text == '{"exceptionCode":"InvalidSessionId","exceptionMessage":"Unable to find session id"}'
    emulator.faults.add("expire_session", path="/services/async")
    assert refused(classic.http.get("/job/750"))[0] == "InvalidSessionId"


def test_versions_that_are_gone_or_never_were_are_refused(emulator: Emulator, classic_of: Any) -> None:
    """InvalidVersion for a retired one, InvalidUrl for one that is no version; JSON and queryAll came with later ones."""
    assert refused(classic_of(emulator, "29.0").http.post("/job"))[0] == "InvalidVersion"
    assert refused(classic_of(emulator, "v66.0").http.post("/job")) == ("InvalidUrl", "unknown version: v66.0")
    body = {"operation": "insert", "object": "Account", "contentType": "JSON"}
    assert refused(classic_of(emulator, "35.0").http.post("/job", json=body))[0] == "InvalidJob"
    assert refused(classic_of(emulator, "38.0").http.post("/job", json=body | {"operation": "queryAll"}))[0] == "InvalidJob"
    assert classic_of(emulator, "39.0").create("queryAll", "Account", "JSON").startswith("750")


def test_unknown_addresses_are_refused_in_this_apis_words(classic: Classic) -> None:
    """Unknown ids, paths and methods."""
    job_id = classic.create("insert", "Account")
    assert refused(classic.http.get("/job/750000000000000AAA"))[0] == "InvalidJob"
    assert refused(classic.http.get(f"/job/{job_id}/batch/751000000000000AAA"))[0] == "InvalidBatch"
    assert refused(classic.http.get("/jobs"))[0] == "InvalidUrl"
    assert refused(classic.http.delete(f"/job/{job_id}"), 405)[0] == "MethodNotAllowed"


def test_batches_and_requests_count_against_the_day(emulator: Emulator, classic: Classic) -> None:
    """Batches of this API are in `/limits`; when they are used up, ExceededQuota."""
    job_id = classic.create("insert", "Account")
    classic.add(job_id, ONE)
    with connect(emulator) as rest:
        limits = rest.get("/limits").json()
    assert limits["DailyBulkApiBatches"] == {"Max": 15_000, "Remaining": 14_999}
    assert limits["DailyApiRequests"]["Remaining"] == 100_000 - 3
    emulator.org.limits.set_max("DailyBulkApiBatches", 1)
    assert refused(classic.post(job_id, ONE)) == ("ExceededQuota", "ApiBatchItems Limit exceeded.")
    emulator.org.limits.set_max("DailyApiRequests", 3)
    assert refused(classic.http.get(f"/job/{job_id}")) == ("ExceededQuota", "TotalRequests Limit exceeded.")


def test_a_job_is_forgotten_after_seven_days(emulator: Emulator, classic: Classic) -> None:
    """Whatever its state."""
    job_id = classic.create("insert", "Account")
    assert [job.id for job in emulator.org.bulk1.all()] == [job_id]
    emulator.clock.advance(7 * 86_400 + 1)
    assert refused(classic.http.get(f"/job/{job_id}"))[0] == "InvalidJob"
    assert emulator.org.bulk1.all() == []


def test_calls_of_this_api_have_kinds_of_their_own(emulator: Emulator, classic: Classic) -> None:
    """So that a test can prove which API a client used."""
    classic.changed("insert", "Account", ONE)
    kinds = {call.kind for call in emulator.calls} - {"token"}
    assert kinds == {"bulk1.create", "bulk1.add", "bulk1.batch", "bulk1.result"}


def test_the_emulator_stops_with_batches_held(run_emulator: Callable[..., Emulator], classic_of: Any) -> None:
    """Held and waiting batches keep no thread alive."""
    emulator = run_emulator()
    classic = classic_of(emulator)
    emulator.org.bulk1.hold()
    job_id = classic.create("insert", "Account", concurrencyMode="Serial")
    for _ in range(6):
        classic.add(job_id, ONE)
    emulator.stop()
    assert all(batch.state in ("Queued", "InProgress") for batch in emulator.org.bulk1.batches(job_id))
