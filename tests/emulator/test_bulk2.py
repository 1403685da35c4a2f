"""Bulk API 2.0 query jobs: their life, their pages, and every value in them."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulator.bulk1_client import until
from tests.emulator.conftest import VERSION, connect, error
from tests.examples import examples

from halocline.emulator.bulk2.results import Results
from halocline.emulator.server import Emulator

ACCOUNTS = "SELECT Id, Name FROM Account ORDER BY Name"


def create(client: httpx2.Client, soql: str = ACCOUNTS, **more: str) -> dict[str, Any]:
    answer = client.post("/jobs/query", json={"operation": "query", "query": soql, **more})
    assert answer.status_code == 200, answer.text
    job: dict[str, Any] = answer.json()
    return job


def finished(client: httpx2.Client, job_id: str) -> dict[str, Any]:
    """Asks until the job is final, as clients do."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        job: dict[str, Any] = client.get(f"/jobs/query/{job_id}").json()
        if job["state"] in ("JobComplete", "Failed", "Aborted"):
            return job
    raise AssertionError("the job did not end")


def complete(client: httpx2.Client, soql: str = ACCOUNTS, **more: str) -> str:
    job_id = str(create(client, soql, **more)["id"])
    assert finished(client, job_id)["state"] == "JobComplete"
    return job_id


def rows(text: str, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def test_a_job_is_created_in_the_vendors_shape(emulator: Emulator, client: httpx2.Client) -> None:
    """The answer to the creation shows less than later ones."""
    job = create(client, "select id from account")
    assert job["id"].startswith("750")
    assert len(job["id"]) == 18
    fixed = {key: job[key] for key in ("operation", "object", "state", "concurrencyMode", "contentType", "apiVersion")}
    assert fixed == {
        "operation": "query",
        "object": "Account",
        "state": "UploadComplete",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 66.0,
    }
    assert (job["lineEnding"], job["columnDelimiter"], job["createdById"]) == ("LF", "COMMA", emulator.org.api_user_id)
    assert "jobType" not in job
    later = finished(client, job["id"])
    assert (later["jobType"], later["numberRecordsProcessed"], later["retries"]) == ("V2Query", 0, 0)


def test_results_hold_every_value_quoted_under_a_header(client: httpx2.Client, add: Callable[..., str]) -> None:
    """Null is the empty text in quotes; lines end in LF; columns stand in SELECT order, parents with dots."""
    parent = add("Account", Name="Parent")
    child = add("Account", Name='Say "hi",\r\nok', ParentId=parent)
    job_id = complete(client, "SELECT Name, Parent.Name, Id, Phone FROM Account ORDER BY Name")
    answer = client.get(f"/jobs/query/{job_id}/results")
    expected = '"Name","Parent.Name","Id","Phone"\n'
    expected += f'"Parent","","{parent}",""\n"Say ""hi"",\r\nok","Parent","{child}",""\n'
    assert answer.content.decode() == expected
    assert answer.headers["content-type"] == "text/csv"
    assert (answer.headers["sforce-numberofrecords"], answer.headers["sforce-locator"]) == ("2", "null")


def test_values_are_spelled_as_in_the_vendors_csv(client: httpx2.Client, add: Callable[..., str]) -> None:
    """Doubles with a point, ints without, booleans in small letters, stamps with Z."""
    fields = {"Amount__c": 1000.0, "Count__c": 5, "Paid__c": True, "Due__c": "2022-03-17", "Sent__c": "2022-03-17T16:21:26.000Z"}
    add("Invoice__c", **fields)
    job_id = complete(client, f"SELECT {', '.join(fields)} FROM Invoice__c")
    assert rows(client.get(f"/jobs/query/{job_id}/results").text)[1] == [
        "1000.0",
        "5",
        "true",
        "2022-03-17",
        "2022-03-17T16:21:26.000Z",
    ]


def test_an_empty_result_has_a_header_only(client: httpx2.Client) -> None:
    """No rows are a result too."""
    job_id = complete(client)
    answer = client.get(f"/jobs/query/{job_id}/results")
    assert (answer.text, answer.headers["sforce-numberofrecords"], answer.headers["sforce-locator"]) == (
        '"Id","Name"\n',
        "0",
        "null",
    )
    assert len(client.get(f"/jobs/query/{job_id}/resultPages").json()["resultPages"]) == 1


def seeded(run_emulator: Callable[..., Emulator], count: int, **config: object) -> Emulator:
    emulator = run_emulator(**config)
    account = emulator.store.catalog.get("Account")
    assert account is not None
    for number in range(count):
        emulator.store.insert(account, {"Name": f"Account {number:04d}"}, user_id=emulator.org.api_user_id)
    return emulator


def test_pages_follow_the_locator_to_the_word_null(run_emulator: Callable[..., Emulator]) -> None:
    """Every page repeats the header and says how many rows it has; a page can be read again."""
    emulator = seeded(run_emulator, 25, page_rows=10)
    with connect(emulator) as client:
        url = f"/jobs/query/{complete(client)}/results"
        found, locator = [], ""
        while locator != "null":
            answer = client.get(url, params={"locator": locator} if locator else {})
            assert answer.content == client.get(url, params={"locator": locator} if locator else {}).content
            header, *body = rows(answer.text)
            assert (header, len(body)) == (["Id", "Name"], int(answer.headers["sforce-numberofrecords"]))
            found += body
            locator = answer.headers["sforce-locator"]
        assert [row[1] for row in found] == [f"Account {number:04d}" for number in range(25)]


def test_the_client_may_choose_the_page_size(run_emulator: Callable[..., Emulator]) -> None:
    """`maxRecords`, from any locator; nonsense is refused."""
    with connect(seeded(run_emulator, 25)) as client:
        url = f"/jobs/query/{complete(client)}/results"
        first = client.get(url, params={"maxRecords": "7"})
        assert (first.headers["sforce-numberofrecords"], first.headers["sforce-locator"]) == ("7", "Nw")
        rest = client.get(url, params={"locator": "Nw", "maxRecords": "100"})
        assert rows(first.text)[1:] + rows(rest.text)[1:] == rows(client.get(url).text)[1:]
        assert client.get(url, params={"maxRecords": "0"}).status_code == 400
        assert client.get(url, params={"locator": "%%"}).status_code == 400
        assert client.get(url, params={"locator": "OTk5"}).status_code == 400


def test_result_pages_list_five_at_a_time_and_cover_everything(run_emulator: Callable[..., Emulator]) -> None:
    """The pages together are the result, in any order of reading."""
    emulator = seeded(run_emulator, 123, page_rows=10)
    with connect(emulator) as client:
        job_id = complete(client)
        lists, url = [], f"{VERSION}/jobs/query/{job_id}/resultPages"
        while url:
            lists.append(client.get(emulator.url + url).json())
            url = lists[-1].get("nextRecordsUrl")
        assert [len(one["resultPages"]) for one in lists] == [5, 5, 3]
        assert [one["done"] for one in lists] == [False, False, True]
        assert lists[0]["nextRecordsUrl"].startswith(f"{VERSION}/jobs/query/{job_id}/resultpages?locator=")
        urls = [emulator.url + page["resultUrl"] for one in lists for page in one["resultPages"]]
        with ThreadPoolExecutor(4) as pool:
            texts = list(pool.map(lambda page: client.get(page).text, reversed(urls)))
        found = [row for text in reversed(texts) for row in rows(text)[1:]]
        assert found == rows(client.get(f"/jobs/query/{job_id}/results", params={"maxRecords": 999}).text)[1:]


def test_result_pages_exist_since_v58(emulator: Emulator, client: httpx2.Client) -> None:
    """Before it the resource is unknown."""
    root = f"{emulator.url}/services/data/v57.0"
    job_id = client.post(f"{root}/jobs/query", json={"operation": "query", "query": ACCOUNTS}).json()["id"]
    assert error(client.get(f"{root}/jobs/query/{job_id}/resultPages")) == (404, "NOT_FOUND")


def test_results_are_asked_with_the_version_of_the_creation(emulator: Emulator, client: httpx2.Client) -> None:
    """Another version is a conflict."""
    job_id = complete(client)
    assert client.get(f"{emulator.url}/services/data/v65.0/jobs/query/{job_id}/results").status_code == 409


def test_results_do_not_change_with_the_org(emulator: Emulator, client: httpx2.Client, add: Callable[..., str]) -> None:
    """They are those of the moment when the job ran."""
    record_id = add("Account", Name="before")
    job_id = complete(client)
    client.patch(f"/sobjects/Account/{record_id}", json={"Name": "after"})
    assert rows(client.get(f"/jobs/query/{job_id}/results").text)[1:] == [[record_id, "before"]]


def test_query_all_jobs_see_the_recycle_bin(client: httpx2.Client, add: Callable[..., str]) -> None:
    """IsDeleted tells which rows lie in it."""
    client.delete(f"/sobjects/Account/{add('Account', Name='x')}")
    job_id = client.post("/jobs/query", json={"operation": "queryAll", "query": "SELECT Name, IsDeleted FROM Account"}).json()[
        "id"
    ]
    finished(client, job_id)
    assert rows(client.get(f"/jobs/query/{job_id}/results").text)[1:] == [["x", "true"]]


def test_states_go_one_way(run_emulator: Callable[..., Emulator]) -> None:
    """A slow job has no results and cannot be deleted; once aborted it stays so, and can be deleted once."""
    with connect(run_emulator(job_ms=60_000)) as client:
        path = f"/jobs/query/{create(client)['id']}"
        assert error(client.get(f"{path}/results"))[0] == 400
        assert error(client.get(f"{path}/resultPages"))[0] == 400
        assert error(client.delete(path)) == (400, "INVALIDJOBSTATE")
        assert client.patch(path, json={"state": "Aborted"}).json()["state"] == "Aborted"
        assert error(client.patch(path, json={"state": "Aborted"})) == (400, "INVALIDJOBSTATE")
        assert error(client.get(f"{path}/results"))[0] == 400
        assert (client.delete(path).status_code, client.get(path).status_code) == (204, 404)


def test_a_slow_job_is_in_progress_until_its_time(run_emulator: Callable[..., Emulator]) -> None:
    """`job_ms` is the least that a job takes."""
    with connect(run_emulator(job_ms=60_000)) as client:
        path = f"/jobs/query/{create(client)['id']}"
        until(lambda: client.get(path).json()["state"], lambda state: state == "InProgress")
    with connect(run_emulator(job_ms=300)) as client:
        began = time.monotonic()
        job = create(client)
        states = [job["state"]]
        while states[-1] != "JobComplete":
            states.append(client.get(f"/jobs/query/{job['id']}").json()["state"])
        assert time.monotonic() - began >= 0.3
        found = [state for state, _ in itertools.groupby(states)]
        # Where all is slow, no look falls into the time in which it is in progress.
        assert found in (["UploadComplete", "InProgress", "JobComplete"], ["UploadComplete", "JobComplete"])


def test_a_query_job_may_be_held_and_doomed(emulator: Emulator, client: httpx2.Client) -> None:
    """Held it stays in progress; doomed meanwhile it ends as ordered, with the message; the next one is well."""
    emulator.org.jobs.hold()
    path = f"/jobs/query/{create(client)['id']}"
    while client.get(path).json()["state"] == "UploadComplete":
        pass
    assert client.get(path).json()["state"] == "InProgress"
    emulator.org.jobs.doom("Failed", "Timeout : told to", job_id=path[-18:])
    job = finished(client, path[-18:])
    assert (job["state"], job["errorMessage"]) == ("Failed", "Timeout : told to")
    emulator.org.jobs.release()
    complete(client)


def test_a_deleted_job_takes_its_results_along(emulator: Emulator, client: httpx2.Client) -> None:
    """204 without a body, then 404; the spooled rows are gone."""
    job_id = complete(client)
    assert [path.suffix for path in emulator.org.folder.iterdir() if path.is_file()] == [".csv"]
    answer = client.delete(f"/jobs/query/{job_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert error(client.get(f"/jobs/query/{job_id}/results")) == (404, "NOT_FOUND")
    assert [path for path in emulator.org.folder.iterdir() if path.is_file()] == []


def test_jobs_are_listed(client: httpx2.Client) -> None:
    """All of them, with their states; no other kind of job exists here."""
    ids = [complete(client) for _ in range(2)]
    answer = client.get("/jobs/query").json()
    assert ([job["id"] for job in answer["records"]], answer["done"], answer["nextRecordsUrl"]) == (ids, True, None)
    assert client.get("/jobs/query", params={"jobType": "V2Ingest"}).json()["records"] == []


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Foo__c FROM Account", "INVALID_FIELD"),
        ("SELECT Id FORM Account", "MALFORMED_QUERY"),
        ("SELECT Id FROM Silent__c", "INVALIDENTITY"),
        ("SELECT BillingAddress FROM Account", "API_ERROR"),
        ("SELECT COUNT() FROM Account", "API_ERROR"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "API_ERROR"),
    ],
)
def test_what_bulk_does_not_query_is_refused_at_creation(client: httpx2.Client, soql: str, code: str) -> None:
    """400 with the vendor's code, and no job remains."""
    answer = client.post("/jobs/query", json={"operation": "query", "query": soql})
    assert error(answer) == (400, code)
    assert client.get("/jobs/query").json()["records"] == []


@pytest.mark.parametrize(
    "wrong",
    [{"operation": "insert"}, {"columnDelimiter": "COLON"}, {"lineEnding": "CR"}, {"contentType": "JSON"}, {"operation": None}],
)
def test_wrong_settings_are_refused(client: httpx2.Client, wrong: dict[str, object]) -> None:
    """400 before anything runs."""
    assert error(client.post("/jobs/query", json={"operation": "query", "query": ACCOUNTS} | wrong))[0] == 400


def test_bulk_query_exists_since_v47(emulator: Emulator, client: httpx2.Client) -> None:
    """Before it the resource is unknown."""
    answer = client.post(f"{emulator.url}/services/data/v46.0/jobs/query", json={"operation": "query", "query": ACCOUNTS})
    assert error(answer) == (404, "NOT_FOUND")


@pytest.mark.parametrize(("name", "mark"), [("BACKQUOTE", "`"), ("CARET", "^"), ("PIPE", "|"), ("SEMICOLON", ";"), ("TAB", "\t")])
def test_delimiters_and_line_endings_are_as_ordered(client: httpx2.Client, add: Callable[..., str], name: str, mark: str) -> None:
    """For the header too."""
    record_id = add("Account", Name=f"a{mark}b")
    job_id = complete(client, columnDelimiter=name, lineEnding="CRLF")
    text = client.get(f"/jobs/query/{job_id}/results").content.decode()
    assert text == f'"Id"{mark}"Name"\r\n"{record_id}"{mark}"a{mark}b"\r\n'


def test_results_come_compressed_when_asked(client: httpx2.Client, add: Callable[..., str]) -> None:
    """The decoded page is the plain page."""
    add("Account", Name="Acme")
    url = f"/jobs/query/{complete(client)}/results"
    plain = client.get(url, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with client.stream("GET", url, headers={"Accept-Encoding": "gzip"}) as packed:
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join(packed.iter_raw())) == plain.content


def test_a_charset_is_told_only_on_order(run_emulator: Callable[..., Emulator]) -> None:
    """The real service sends none; the guide's sample shows one."""
    with connect(run_emulator(bulk_charset="UTF-8")) as client:
        assert client.get(f"/jobs/query/{complete(client)}/results").headers["content-type"] == "text/csv;charset=UTF-8"


cells = st.one_of(
    st.none(), st.text(alphabet=st.sampled_from('"\r\n,; aä漢🐟'), max_size=6), st.sampled_from(["NA", "null", "nan", "#N/A"])
)


@settings(max_examples=examples(60), deadline=None)
@given(
    table=st.lists(st.tuples(cells, cells), max_size=12),
    cut=st.integers(0, 12),
    size=st.integers(1, 5),
    marks=st.sampled_from([(",", "\n"), (";", "\r\n")]),
)
def test_any_cut_of_any_values_is_exact(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str]], cut: int, size: int, marks: tuple[str, str]
) -> None:
    """Whatever stands in the cells and wherever pages and batches end, a CSV reader gets it back; null reads as empty."""
    path = Path(tmp_path_factory.mktemp("results")) / "rows.csv"
    results = Results(path, ("A", "B.C"), delimiter=marks[0], line_ending=marks[1])
    schema = pa.schema([("A", pa.string()), ("B.C", pa.string())])
    pieces = [table[start : start + size] for start in range(0, len(table), size)]
    batches = [pa.RecordBatch.from_pylist([{"A": a, "B.C": b} for a, b in piece], schema=schema) for piece in pieces]
    results.fill(iter(batches), keep_on=lambda: True)
    cut = min(cut, len(table))
    pages = [b"".join(results.page(*span)) for span in ((0, cut), (cut, len(table)))]
    read = [list(csv.reader(io.StringIO(page.decode(), newline=""), delimiter=marks[0])) for page in pages]
    assert [one[0] for one in read] == [["A", "B.C"]] * 2
    assert read[0][1:] + read[1][1:] == [[a or "", b or ""] for a, b in table]
    assert results.rows == len(table)
