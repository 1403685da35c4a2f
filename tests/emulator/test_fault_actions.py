"""What each fault does to a client that knows nothing of it. The older ones are in test_faults.py."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import pytest
from tests.emulator.bulk1_client import Classic, until
from tests.emulator.bulk2_load import close, create, ended, load, put
from tests.emulator.conftest import connect, error, stored
from tests.emulator.test_bulk2 import complete

from halocline.emulator.server import Emulator

TEN = "Name\n" + "".join(f"a{number}\n" for number in range(10))


def names(client: httpx2.Client) -> list[str]:
    found = client.get("/query", params={"q": "SELECT Name FROM Account ORDER BY Name"}).json()["records"]
    return [record["Name"] for record in found]


def pages(
    client: httpx2.Client, url: str = "/query?q=SELECT+Name+FROM+Account+ORDER+BY+Name", most: int = 5
) -> list[dict[str, Any]]:
    """The pages of a query as a client follows them, at most so many."""
    found: list[dict[str, Any]] = []
    while url and len(found) < most:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        url = str(found[-1].get("nextRecordsUrl", "")).removeprefix("/services/data/v66.0")
    return found


@pytest.fixture
def five(add: Callable[..., str]) -> list[str]:
    """Accounts 0 to 4."""
    return [add("Account", Name=str(number)) for number in range(5)]


@pytest.fixture
def small(run_emulator: Callable[..., Emulator]) -> Emulator:
    """An emulator whose pages have two records, with five Accounts."""
    emulator = run_emulator(page_size=2, page_rows=2)
    for number in range(5):
        emulator.create("Account", {"Name": str(number)})
    return emulator


@pytest.mark.parametrize(
    ("action", "status", "code"),
    [
        ("server_error", 500, "UNKNOWN_EXCEPTION"),
        ("unavailable", 503, "SERVER_UNAVAILABLE"),
        ("request_limit", 403, "REQUEST_LIMIT_EXCEEDED"),
        ("concurrent_limit", 403, "REQUEST_LIMIT_EXCEEDED"),
    ],
)
def test_refusals_have_salesforce_s_status_code_and_shape(
    emulator: Emulator, client: httpx2.Client, action: str, status: int, code: str
) -> None:
    """At each of the three APIs in its own; the work is not done."""
    classic = Classic(emulator)
    emulator.faults.add(action, times=0)
    assert error(client.post("/sobjects/Account", json={"Name": "x"})) == (status, code)
    old = classic.http.get("/job/750000000000001AAA", headers={"Content-Type": "application/json"})
    assert old.status_code == (status if status >= 500 else 400)
    assert old.json()["exceptionCode"] in ("Unknown", "SERVER_UNAVAILABLE", "ExceededQuota")
    envelope = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><query xmlns="urn:x"/></e:Body></e:Envelope>'
    )
    soap = httpx2.post(f"{emulator.url}/services/Soap/u/66.0", content=envelope, headers={"SOAPAction": '""'})
    assert (soap.status_code, f"<sf:exceptionCode>{code}<" in soap.text) == (500, True)
    emulator.faults.clear()
    classic.http.close()
    assert names(client) == []


def test_logging_in_is_not_counted_and_so_not_limited(emulator: Emulator) -> None:
    """The limit meets the first call with the session."""
    emulator.faults.add("request_limit", times=0)
    with connect(emulator) as client:
        assert client.get("/limits").status_code == 403


def test_a_refusal_can_hide_work_that_is_done(emulator: Emulator, client: httpx2.Client) -> None:
    """`where` after: the record is there, the client is told of a failure."""
    emulator.faults.add("server_error", kind="record.create", where="after")
    assert error(client.post("/sobjects/Account", json={"Name": "x"})) == (500, "UNKNOWN_EXCEPTION")
    assert names(client) == ["x"]


@pytest.mark.parametrize(("where", "done"), [("before", []), ("during", ["x"]), ("after", ["x"])])
def test_a_cut_comes_before_the_work_in_the_answer_or_after_it(
    emulator: Emulator, client: httpx2.Client, where: str, done: list[str]
) -> None:
    """The client sees a broken connection each time, and the work is done but for the first."""
    emulator.faults.add("cut", kind="record.create", where=where)
    with pytest.raises(httpx2.RemoteProtocolError):
        client.post("/sobjects/Account", json={"Name": "x"})
    assert names(client) == done
    (call,) = emulator.calls.of("record.create")
    assert (call.status, call.bytes > 0) == ((201, True) if where == "during" else (0, False))


def test_an_answer_without_a_body_has_no_middle(emulator: Emulator, client: httpx2.Client, five: list[str]) -> None:
    """It is lost as a whole."""
    emulator.faults.add("cut", kind="record.delete", where="during")
    with pytest.raises(httpx2.RemoteProtocolError):
        client.delete(f"/sobjects/Account/{five[0]}")
    assert names(client) == ["1", "2", "3", "4"]


def test_a_delay_after_the_work_outlasts_a_client_s_patience(emulator: Emulator, client: httpx2.Client) -> None:
    """It gives up, and the record is there."""
    emulator.faults.add("delay", kind="record.create", where="after", seconds=0.5)
    with pytest.raises(httpx2.ReadTimeout):
        client.post("/sobjects/Account", json={"Name": "x"}, timeout=0.2)
    until(lambda: names(client), lambda found: found == ["x"])  # where all is slow the patience ends before the work


def test_a_slow_body_comes_whole_and_late(emulator: Emulator, client: httpx2.Client) -> None:
    """So many bytes a second."""
    whole = client.get("/limits", headers={"Accept-Encoding": "identity"}).content
    emulator.faults.add("slow_body", path="/limits", bytes_per_s=len(whole) * 4)
    began = time.monotonic()
    assert client.get("/limits", headers={"Accept-Encoding": "identity"}).json().keys() >= {"DailyApiRequests"}
    assert time.monotonic() - began > 0.2


def test_a_header_can_be_missing(emulator: Emulator, client: httpx2.Client, five: list[str]) -> None:
    """That one only."""
    assert five
    job_id = complete(client, "SELECT Id FROM Account")
    emulator.faults.add("drop_header", header="sforce-numberofrecords", kind="bulk.results")
    headers = client.get(f"/jobs/query/{job_id}/results").headers
    assert ("sforce-numberofrecords" in headers, "sforce-locator" in headers) == (False, True)


@pytest.mark.parametrize(("rows", "kept"), [(None, 2), (1, 1), (0, 0)])
def test_a_truncated_page_claims_to_be_whole(
    emulator: Emulator, client: httpx2.Client, five: list[str], rows: int | None, kept: int
) -> None:
    """REST's and Bulk's alike: half of it, or so many rows."""
    job_id = complete(client, "SELECT Id FROM Account")
    more: Mapping[str, object] = {} if rows is None else {"rows": rows}
    emulator.faults.add("truncate_page", times=2, **more)
    (page,) = pages(client)
    assert (page["totalSize"], page["done"], len(page["records"])) == (len(five), True, kept)
    answer = client.get(f"/jobs/query/{job_id}/results")
    assert (answer.headers["sforce-numberofrecords"], len(answer.text.splitlines())) == ("5", kept + 1)


def test_a_page_is_delivered_twice(small: Emulator) -> None:
    """Its way on leads to itself, once; after it all is as it should be."""
    with connect(small) as client:
        small.faults.add("duplicate_page", kind="query")
        assert [[one["Name"] for one in page["records"]] for page in pages(client)] == [["0", "1"], ["0", "1"], ["2", "3"], ["4"]]
        small.faults.add("duplicate_page", kind="query.more")
        assert [len(page["records"]) for page in pages(client)] == [2, 2, 2, 1]
        job_id = complete(client, "SELECT Name FROM Account ORDER BY Name")
        small.faults.add("duplicate_page", kind="bulk.results", nth=2)
        assert bulk_pages(client, job_id) == [["0", "1"], ["2", "3"], ["2", "3"], ["4"]]
        small.faults.add("duplicate_page", kind="bulk.pages")
        listed = [page["resultUrl"] for page in client.get(f"/jobs/query/{job_id}/resultPages").json()["resultPages"]]
        assert (len(listed), len(set(listed))) == (3, 2)


def bulk_pages(client: httpx2.Client, job_id: str) -> list[list[str]]:
    """The one column of each page as a client follows the locators."""
    found: list[list[str]] = []
    locator = ""
    while locator != "null" and len(found) < 6:
        answer = client.get(f"/jobs/query/{job_id}/results", params={"locator": locator} if locator else {})
        assert answer.status_code == 200, answer.text
        found.append([line.strip('"') for line in answer.text.splitlines()[1:]])
        locator = answer.headers["sforce-locator"]
    return found


def test_a_wrong_locator_leads_nowhere_or_too_far(small: Emulator) -> None:
    """Nowhere is refused when it is followed; too far loses records without a word."""
    with connect(small) as client:
        job_id = complete(client, "SELECT Name FROM Account ORDER BY Name")
        small.faults.add("wrong_locator", kind="query")
        (first,) = pages(client, most=1)
        lost = first["nextRecordsUrl"].removeprefix("/services/data/v66.0")
        assert error(client.get(lost)) == (400, "INVALID_QUERY_LOCATOR")
        small.faults.add("wrong_locator", kind="query", rows=1)
        assert [len(page["records"]) for page in pages(client)] == [2, 2]
        small.faults.add("wrong_locator", kind="bulk.results", rows=2)
        assert bulk_pages(client, job_id) == [["0", "1"], ["4"]]
        small.faults.add("wrong_locator", kind="bulk.results")
        locator = client.get(f"/jobs/query/{job_id}/results").headers["sforce-locator"]
        answer = client.get(f"/jobs/query/{job_id}/results", params={"locator": locator})
        assert error(answer) == (400, "INVALID_QUERY_LOCATOR")
        small.faults.add("wrong_locator", kind="bulk.pages", times=2)
        last = client.get(f"/jobs/query/{job_id}/resultPages").json()["resultPages"][-1]["resultUrl"]
        assert error(client.get(last.removeprefix("/services/data/v66.0"))) == (400, "INVALID_QUERY_LOCATOR")


@pytest.mark.parametrize("way", ["create", "change", "delete", "upsert"])
def test_a_single_record_is_locked(emulator: Emulator, client: httpx2.Client, five: list[str], way: str) -> None:
    """400 with Salesforce's code; nothing is written, and the next try is good."""
    methods = {"create": "POST", "change": "PATCH", "upsert": "PATCH", "delete": "DELETE"}
    paths = {"create": "/sobjects/Account", "upsert": "/sobjects/Invoice__c/Number__c/7"}
    path = paths.get(way, f"/sobjects/Account/{five[0]}")
    body = {"content": b"{}"} if way == "delete" else {"json": {} if way == "upsert" else {"Name": "new"}}
    emulator.faults.add("lock")
    before = names(client)
    assert error(client.request(methods[way], path, **body)) == (400, "UNABLE_TO_LOCK_ROW")
    assert names(client) == before
    assert client.request(methods[way], path, **body).is_success


@pytest.mark.parametrize(("rows", "kept"), [(1, 9), (3, 7), (0, 0)])
def test_some_rows_of_a_write_are_locked(emulator: Emulator, client: httpx2.Client, rows: int, kept: int) -> None:
    """Of a collection, of a Bulk 2.0 job, of a Bulk 1.0 batch: those fail, the others are written."""
    record = {"attributes": {"type": "Account"}}
    body = {"records": [{**record, "Name": f"a{number}"} for number in range(10)]}
    emulator.faults.add("lock", rows=rows)
    told = client.post("/composite/sobjects", json=body).json()
    assert [one["success"] for one in told].count(True) == kept
    assert {one["errors"][0]["statusCode"] for one in told if not one["success"]} == {"UNABLE_TO_LOCK_ROW"}
    emulator.faults.add("lock", rows=rows)
    job = load(client, TEN)
    assert job.counts == ("JobComplete", 10, 10 - kept)
    assert all(told.startswith("UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record") for told in job.errors)
    emulator.faults.add("lock", rows=rows)
    classic = Classic(emulator)
    lines = classic.changed("insert", "Account", TEN).text.splitlines()[1:]
    classic.http.close()
    assert [",".join(line.split(",")[1:2]) for line in lines].count('"true"') == kept
    assert len(names(client)) == 3 * kept


def test_a_late_commit_has_an_early_stamp(emulator: Emulator, client: httpx2.Client) -> None:
    """It is stamped when it was made and seen when the org's clock has moved on."""
    emulator.faults.add("late_commit", kind="record.create", seconds=60)
    record = client.post("/sobjects/Account", json={"Name": "late"}).json()["id"]
    sent = emulator.clock.now()
    client.post("/sobjects/Account", json={"Name": "soon"})
    assert names(client) == ["soon"]
    assert client.get(f"/sobjects/Account/{record}").status_code == 404
    emulator.clock.advance(61)
    assert names(client) == ["late", "soon"]
    made = str(stored(emulator, "Account", record)["SystemModstamp"])
    assert made <= sent.isoformat()[:19] + "~"


@pytest.mark.parametrize("how", ["release", "lift", "commit"])
def test_a_late_commit_can_wait_for_a_word(emulator: Emulator, client: httpx2.Client, how: str) -> None:
    """Its rule is released or lifted, or its transaction is ended."""
    before = emulator.store.begin()  # the next one's number is one higher
    emulator.store.rollback(before)
    rule = emulator.faults.add("late_commit")
    client.post("/composite/sobjects", json={"records": [{"attributes": {"type": "Account"}, "Name": "x"}]})
    emulator.clock.advance(1e6)
    assert names(client) == []
    door = f"{emulator.url}/__emulator__"
    word = {"release": ("POST", f"faults/{rule}/release"), "lift": ("DELETE", f"faults/{rule}")}
    method, path = word.get(how, ("POST", f"transactions/transaction-{int(before.partition('-')[2]) + 1}/commit"))
    assert httpx2.request(method, f"{door}/{path}").status_code == 204
    assert names(client) == ["x"]
    emulator.faults.clear()
    assert names(client) == ["x"]


def test_what_was_never_seen_is_gone_after_a_reset(emulator: Emulator, client: httpx2.Client) -> None:
    """With the rule that held it back; later changes are complete up to now again."""
    emulator.faults.add("late_commit")
    client.post("/sobjects/Account", json={"Name": "x"})
    emulator.reset()
    with connect(emulator) as fresh:
        assert (names(fresh), list(emulator.faults)) == ([], [])
    assert emulator.store.latest_date_covered()[:16] >= emulator.clock.now().isoformat()[:16]


def query_job(client: httpx2.Client) -> str:
    return str(client.post("/jobs/query", json={"operation": "query", "query": "SELECT Id FROM Account"}).json()["id"])


def query_state(client: httpx2.Client, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/jobs/query/{job_id}").json()
    return found


@pytest.mark.parametrize("how", ["release", "lift", "all"])
def test_a_stuck_job_stays_in_progress_until_it_is_released(emulator: Emulator, client: httpx2.Client, how: str) -> None:
    """Jobs that were not struck go on meanwhile."""
    rule = emulator.faults.add("job_stuck")
    stuck, other = query_job(client), query_job(client)
    assert until(lambda: query_state(client, other)["state"], lambda state: state == "JobComplete")
    assert until(lambda: query_state(client, stuck)["state"], lambda state: state == "InProgress")
    {"release": lambda: emulator.faults.release(rule), "lift": emulator.faults.clear, "all": emulator.org.jobs.release}[how]()
    assert until(lambda: query_state(client, stuck)["state"], lambda state: state == "JobComplete")


def test_a_stuck_ingest_job_and_batch_are_released(emulator: Emulator, client: httpx2.Client) -> None:
    """Nothing of them is written before."""
    rule = emulator.faults.add("job_stuck", times=2)
    job_id = create(client)["id"]
    put(client, job_id, TEN)
    close(client, job_id)
    classic = Classic(emulator)
    old = classic.create("insert", "Account")
    batch = classic.add(old, TEN)
    assert until(lambda: classic.batch(old, batch)["state"], lambda state: state == "InProgress")
    assert until(lambda: client.get(f"/jobs/ingest/{job_id}").json()["state"], lambda state: state == "InProgress")
    assert names(client) == []
    emulator.faults.remove(rule)
    assert classic.ended(old, batch)["state"] == "Completed"
    assert ended(client, job_id)["state"] == "JobComplete"
    classic.http.close()
    assert len(names(client)) == 20


def test_an_emulator_with_a_stuck_job_stops(run_emulator: Callable[..., Emulator]) -> None:
    """It does not wait for the job, which has no end."""
    emulator = run_emulator()
    emulator.faults.add("job_stuck", times=0)
    with connect(emulator) as client:
        query_job(client)
    classic = Classic(emulator)
    classic.add(classic.create("insert", "Account"), TEN)
    classic.http.close()
    stopping = threading.Thread(target=emulator.stop, daemon=True)
    stopping.start()
    stopping.join(60)
    assert not stopping.is_alive()


@pytest.mark.parametrize(("action", "state"), [("job_failed", "Failed"), ("job_aborted", "Aborted")])
def test_a_job_ends_as_it_should_not(emulator: Emulator, client: httpx2.Client, action: str, state: str) -> None:
    """A query's, an ingest's; the next one is good."""
    emulator.faults.add(action, message="InternalServerError : no luck", times=2)
    query = query_job(client)
    found = until(lambda: query_state(client, query), lambda job: job["state"] in ("Failed", "Aborted"))
    assert (found["state"], found["errorMessage"]) == (state, "InternalServerError : no luck")
    job = load(client, TEN)
    assert (job.counts, names(client), len(job.unprocessed.splitlines())) == ((state, 0, 0), [], 11)
    assert load(client, TEN).counts == ("JobComplete", 10, 0)


def test_a_job_can_fail_in_the_middle_of_its_work(emulator: Emulator, client: httpx2.Client) -> None:
    """What is done stays done; the rest is listed as unprocessed."""
    emulator.faults.add("job_failed", object="Account", after_batches=1)
    job = load(client, "Name\n" + "a\n" * 10_001)
    assert (job.counts, len(job.unprocessed.splitlines())) == (("Failed", 10_000, 0), 2)
    assert job.info["errorMessage"] == "InternalServerError : Retried more than fifteen times"


def test_an_old_batch_fails_or_its_job_is_aborted(emulator: Emulator) -> None:
    """The batch that was struck, not another one's."""
    emulator.faults.add("job_failed", kind="bulk1.add", message="InternalServerError : no luck")
    classic = Classic(emulator)
    assert classic.failed("insert", "Account", TEN) == "InternalServerError : no luck"
    emulator.faults.add("job_aborted", kind="bulk1.add")
    job_id = classic.create("insert", "Account")
    assert classic.ended(job_id, classic.add(job_id, TEN))["state"] == "NotProcessed"
    assert classic.job(job_id)["state"] == "Aborted"
    classic.http.close()
