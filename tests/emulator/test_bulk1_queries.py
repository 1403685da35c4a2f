"""Bulk API 1.0: queries, their results in three formats, and PK chunking."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st
from tests.emulator.bulk1_client import NS, XSI, Classic, fields, refused, rows, until
from tests.emulator.small_org import small_catalog

from halocline.emulator.bulk1 import chunking
from halocline.emulator.ids import record_id, to_18
from halocline.emulator.objects import SObject
from halocline.emulator.server import Emulator

QUERY_FAILED = "InvalidBatch : Failed to process query"
CHUNKED = {"headers_Sforce_Enable_PKChunking": "chunkSize=3"}


@pytest.fixture
def classic(emulator: Emulator) -> Iterator[Classic]:
    made = Classic(emulator)
    yield made
    made.http.close()


@pytest.fixture
def accounts(add: Callable[..., str]) -> list[str]:
    """Seven accounts, A to G."""
    return [add("Account", Name=name) for name in "ABCDEFG"]


def all_rows(classic: Classic, job_id: str) -> list[list[list[str]]]:
    """The rows of each batch that was processed, once all have ended; none for one that found nothing."""
    ended = until(
        lambda: classic.batches(job_id), lambda batches: all(b["state"] in ("Completed", "NotProcessed") for b in batches)
    )
    found = []
    for batch in ended:
        if batch["state"] == "Completed":
            (result_id,) = (one.text for one in fromstring(classic.result(job_id, batch["id"]).content))
            table = rows(classic.http.get(f"/job/{job_id}/batch/{batch['id']}/result/{result_id}"))
            found.append(table[1:])
    return found


def test_a_query_lists_the_ids_of_its_results(classic: Classic, accounts: list[str]) -> None:
    """In XML for CSV and XML jobs, in JSON for JSON jobs; ids begin with 752."""
    job_id = classic.create("query", "Account")
    batch_id = classic.add(job_id, "SELECT Id FROM Account")
    assert classic.ended(job_id, batch_id)["numberRecordsProcessed"] == "7"
    answer = classic.result(job_id, batch_id)
    root = fromstring(answer.content)
    assert (answer.headers["content-type"], root.tag) == ("application/xml", f"{NS}result-list")
    (result_id,) = (one.text or "" for one in root)
    assert (len(result_id), result_id[:3]) == (18, "752")
    assert refused(classic.http.get(f"/job/{job_id}/batch/{batch_id}/result/752000000000000"))[0] == "InvalidBatch"
    other = classic.create("query", "Account", "JSON")
    other_batch = classic.add(other, "SELECT Id FROM Account", "JSON")
    classic.ended(other, other_batch)
    answer = classic.result(other, other_batch)
    assert answer.headers["content-type"] == "application/json"
    assert [one[:3] for one in answer.json()] == ["752"]


def test_csv_records_are_spelled_as_in_bulk_2(classic: Classic, add: Callable[..., str]) -> None:
    """Every value quoted, null empty, columns in SELECT order, other records with dots, datetimes with Z."""
    parent = add("Account", Name="Parent")
    add("Account", Name='Say "hi",\nok', ParentId=parent, AnnualRevenue=1000.0, NumberOfEmployees=5)
    soql = "select Name, Parent.Name, AnnualRevenue, NumberOfEmployees, IsDeleted from Account order by Name"
    answer = classic.queried(soql)
    expected = '"Name","Parent.Name","AnnualRevenue","NumberOfEmployees","IsDeleted"\n'
    expected += '"Parent","","","","false"\n"Say ""hi"",\nok","Parent","1000.0","5","false"\n'
    assert answer.content.decode() == expected
    assert answer.headers["content-type"] == "text/csv"


def test_json_records_have_dates_as_milliseconds(classic: Classic, add: Callable[..., str]) -> None:
    """Dates and datetimes since 1970, of other records too; text that looks like one stays text; attributes as over REST."""
    account = add("Account", Name="2026-01-02")
    add("Invoice__c", Number__c="1970-01-01", Account__c=account, Due__c="1970-01-02", Sent__c="2026-01-02T03:04:05.000Z")
    soql = "SELECT Number__c, Due__c, Sent__c, At__c, Account__r.Name, Account__r.CreatedDate FROM Invoice__c"
    answer = classic.queried(soql, "JSON", sobject="Invoice__c")
    assert answer.headers["content-type"] == "application/json"
    (record,) = answer.json()
    assert record["attributes"]["type"] == "Invoice__c"
    assert [record[name] for name in ("Number__c", "Due__c", "Sent__c", "At__c")] == [
        "1970-01-01",
        86_400_000,
        1767323045000,
        None,
    ]
    assert record["Account__r"]["Name"] == "2026-01-02"
    assert isinstance(record["Account__r"]["CreatedDate"], int)


def test_xml_records_have_a_type_and_an_id_of_their_own(classic: Classic, add: Callable[..., str]) -> None:
    """`type` and `Id` come first, a selected Id comes again, null is `xsi:nil`, other records stand inside."""
    parent = add("Account", Name="A & B \x0b")
    child = add("Account", Name="C", ParentId=parent)
    answer = classic.queried("SELECT Id, Name, Phone, Parent.Name, CreatedDate FROM Account ORDER BY Name DESC", "XML")
    assert answer.headers["content-type"] == "application/xml"
    root = fromstring(answer.content)
    assert root.tag == f"{NS}queryResult"
    first, second = root
    assert [one.tag.removeprefix(NS) for one in first] == ["type", "Id", "Id", "Name", "Phone", "Parent", "CreatedDate"]
    assert first.get(f"{XSI}type") == "sObject"
    assert fields(first)["Id"] == child
    (phone,) = first.findall(f"{NS}Phone")
    assert phone.get(f"{XSI}nil") == "true"
    inner = first.find(f"{NS}Parent")
    assert inner is not None
    assert fields(inner) == {"type": "Account", "Id": "", "Name": "A & B "}
    assert (first.findtext(f"{NS}CreatedDate") or "").endswith("Z")
    (missing,) = second.findall(f"{NS}Parent")
    assert missing.get(f"{XSI}nil") == "true"


def test_nothing_found_is_said_in_each_format(classic: Classic) -> None:
    """CSV has a sentence in place of a header, XML and JSON are empty."""
    soql = "SELECT Id FROM Account WHERE Name = 'Nobody'"
    assert classic.queried(soql).content == b"Records not found for this query"
    assert list(fromstring(classic.queried(soql, "XML").content)) == []
    assert classic.queried(soql, "JSON").json() == []


def test_many_records_fit_one_result(emulator: Emulator, classic: Classic) -> None:
    """More than one page of any reader, once each."""
    user = emulator.org.api_user_id
    sobject = emulator.org.sobject("Account")
    with emulator.store.database.together():
        for number in range(4_500):
            emulator.store.insert(sobject, {"Name": f"{number:05}"}, user_id=user)
    names = [f"{number:05}" for number in range(4_500)]
    soql = "SELECT Name FROM Account ORDER BY Name"
    assert [row[0] for row in rows(classic.queried(soql))[1:]] == names
    assert [record["Name"] for record in classic.queried(soql, "JSON").json()] == names
    assert [one.findtext(f"{NS}Name") for one in fromstring(classic.queried(soql, "XML").content)] == names


def test_query_all_sees_the_recycle_bin(emulator: Emulator, classic: Classic, accounts: list[str]) -> None:
    """Query does not."""
    emulator.store.delete(emulator.org.sobject("Account"), accounts[0], user_id=emulator.org.api_user_id)
    soql = "SELECT Id FROM Account WHERE Name = 'A'"
    assert len(rows(classic.queried(soql, operation="queryAll"))) == 2
    assert classic.queried(soql).text == "Records not found for this query"


@pytest.mark.parametrize(
    ("soql", "message"),
    [
        ("SELECT Nope FROM Account", f"{QUERY_FAILED}: INVALID_FIELD: "),
        ("SELECT FROM", f"{QUERY_FAILED}: MALFORMED_QUERY: "),
        ("", f"{QUERY_FAILED}: MALFORMED_QUERY: "),
        (
            "SELECT BillingAddress FROM Account",
            f"{QUERY_FAILED}: FUNCTIONALITY_NOT_ENABLED: Selecting compound data not supported in Bulk Query",
        ),
        ("SELECT Id FROM Silent__c", "InvalidEntity : Entity 'Silent__c' is not supported by the Bulk API."),
    ],
)
def test_a_bad_query_fails_its_batch(classic: Classic, soql: str, message: str) -> None:
    """It is accepted and then Failed, with the error of SOQL in its message."""
    assert classic.failed("query", "Account", soql).startswith(message)


def test_a_chunked_query_becomes_many_batches(classic: Classic, accounts: list[str]) -> None:
    """The original is NotProcessed; each range of ids is a batch whose request is its query; each counts for the day."""
    job_id = classic.create("query", "Account", **CHUNKED)
    original = classic.add(job_id, "SELECT Id FROM Account")
    found = all_rows(classic, job_id)
    batches = classic.batches(job_id)
    assert batches[0] | {"state": "NotProcessed"} == batches[0]
    assert batches[0]["id"] == original
    assert [[row[0] for row in table] for table in found] == [accounts[:3], accounts[3:6], accounts[6:]]
    first = classic.http.get(f"/job/{job_id}/batch/{batches[1]['id']}/request").text
    assert first == f"SELECT Id FROM Account WHERE Id >= '{accounts[0]}' AND Id < '{accounts[3]}'"
    job = classic.job(job_id)
    assert (job["numberBatchesTotal"], job["numberBatchesCompleted"], job["numberRecordsProcessed"]) == (4, 3, 7)
    assert refused(classic.result(job_id, original))[0] == "InvalidBatch"


def test_chunks_are_as_wide_and_not_as_full(emulator: Emulator, classic: Classic, accounts: list[str]) -> None:
    """Ids that are gone leave holes, conditions too; a start row leaves out what is before it; queryAll is chunked as well."""
    for gone in accounts[1:6]:
        emulator.store.purge(emulator.org.sobject("Account"), gone)
    job_id = classic.create("queryAll", "Account", headers_Sforce_Enable_PKChunking="chunkSize=2; parent=X")
    classic.add(job_id, "SELECT Name FROM Account WHERE Name != 'Z'")
    assert all_rows(classic, job_id) == [[["A"]], [], [], [["G"]]]
    later = classic.create("query", "Account", headers_Sforce_Enable_PKChunking=f"chunkSize=2; startRow={accounts[5][:15]}")
    classic.add(later, "SELECT Name FROM Account")
    assert all_rows(classic, later) == [[["G"]]]
    after = record_id("001", 10**6)
    beyond = classic.create("query", "Account", headers_Sforce_Enable_PKChunking=f"startRow={after}")
    classic.add(beyond, "SELECT Name FROM Account")
    assert all_rows(classic, beyond) == [[]]


@pytest.mark.parametrize("tail", ["ORDER BY Name", "LIMIT 7", "WHERE Id != null", "WHERE OwnerId != null"])
def test_some_queries_are_never_cut(classic: Classic, accounts: list[str], tail: str) -> None:
    """Order, limits and conditions on ids keep a query whole."""
    job_id = classic.create("query", "Account", **CHUNKED)
    classic.add(job_id, f"SELECT Id FROM Account {tail}")
    (found,) = all_rows(classic, job_id)
    assert sorted(row[0] for row in found) == accounts


def test_chunking_is_refused_where_it_cannot_be(classic: Classic) -> None:
    """For objects that do not support it, for chunks too large, for a start that is no id; `false` asks for none."""

    def asked(header: str, sobject: str = "Account") -> Any:
        body = {"operation": "query", "object": sobject, "contentType": "CSV"}
        return classic.http.post("/job", json=body, headers={"Sforce-Enable-PKChunking": header})

    assert refused(asked("true", "Group")) == ("InvalidJob", "Object Group is not supported to use PKChunking")
    for header in ("chunkSize=250001", "chunkSize=0", "chunkSize=x", "startRow=zz", "startRow=003000000000000"):
        assert refused(asked(header))[0] == "InvalidJob", header
    for header in ("false", "TRUE", "chunkSize=250000;", "true; chunkSize=50000"):
        assert asked(header).status_code == 201, header
    assert asked("false", "Group").status_code == 201


def test_an_empty_object_and_a_spent_day(emulator: Emulator, classic: Classic, add: Callable[..., str]) -> None:
    """Nothing to cut: the batch itself finds nothing. More chunks than batches left: it fails."""
    job_id = classic.create("query", "Account", **CHUNKED)
    classic.add(job_id, "SELECT Id FROM Account")
    assert all_rows(classic, job_id) == [[]]
    for number in range(9):
        add("Account", Name=str(number))
    emulator.org.limits.set_max("DailyBulkApiBatches", 3)
    message = classic.failed("query", "Account", "SELECT Id FROM Account", **CHUNKED)
    assert message == "ExceededQuota : ApiBatchItems Limit exceeded."


def test_an_aborted_job_processes_no_chunk(emulator: Emulator, classic: Classic, accounts: list[str]) -> None:
    """When it is aborted before its query is cut."""
    emulator.org.bulk1.hold()
    job_id = classic.create("query", "Account", **CHUNKED)
    batch_id = classic.add(job_id, "SELECT Id FROM Account")
    until(lambda: classic.batch(job_id, batch_id)["state"], lambda state: state == "InProgress")
    classic.end(job_id, "Aborted")
    emulator.org.bulk1.release()
    ended = until(lambda: classic.batches(job_id), lambda batches: len(batches) == 4)
    assert {one["state"] for one in ended} == {"NotProcessed"}


def account() -> SObject:
    found = small_catalog().get("Account")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("soql", "expected"),
    [
        ("SELECT Id FROM Account", ("SELECT Id FROM Account", "")),
        (
            "SELECT Id FROM Account  where Name = 'a where b' OR Name='x' ",
            ("SELECT Id FROM Account", "Name = 'a where b' OR Name='x'"),
        ),
        ("SELECT Id FROM Account a WHERE a.ParentId = null", None),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", None),
        ("SELECT Id FROM Account USING SCOPE Mine", None),
    ],
)
def test_a_query_is_cut_at_its_conditions(soql: str, expected: tuple[str, str] | None) -> None:
    """The conditions stay together in parentheses; words inside quotes are no clauses."""
    assert chunking.split_query(soql, account()) == expected
    if expected is not None:
        (made,) = chunking.chunked(expected, [("1", "2")])
        assert made.endswith("Id >= '1' AND Id < '2'")
        assert not expected[1] or f"WHERE ({expected[1]}) AND" in made


@given(st.integers(0, 10**6), st.integers(0, 2_000), st.integers(1, 700))
def test_ranges_follow_each_other_and_hold_every_id(first: int, span: int, size: int) -> None:
    """From the first id to after the last, each as wide as asked, in the order of base 62."""

    class Store:
        def read(self, _sql: str, _values: tuple[object, ...]) -> list[tuple[str, str]]:
            return [(record_id("001", first), record_id("001", first + span))]

    class Org:
        store = Store()

    found = chunking.ranges(Org(), account(), chunking=chunking.Chunking(size))  # type: ignore[arg-type]  # all that it looks at
    assert found[0][0] == record_id("001", first)
    assert [end for _, end in found[:-1]] == [start for start, _ in found[1:]]
    assert found[-1][0] <= record_id("001", first + span) < found[-1][1]
    assert len(found) == span // size + 1


def test_ranges_are_those_of_the_vendors_example() -> None:
    """250,000 ids after 001300000000000 come 00130000000132G and 00130000000264W."""

    class Store:
        def read(self, _sql: str, _values: tuple[object, ...]) -> list[tuple[str, str]]:
            return [(to_18("001300000000000"), to_18("00130000000264V"))]

    class Org:
        store = Store()

    found = chunking.ranges(Org(), account(), chunking=chunking.Chunking(250_000))  # type: ignore[arg-type]  # all that it looks at
    assert [(start[:15], end[:15]) for start, end in found] == [
        ("001300000000000", "00130000000132G"),
        ("00130000000132G", "00130000000264W"),
    ]


def test_json_of_a_result_is_one_list(classic: Classic, accounts: list[str]) -> None:
    """Whole JSON, compact as the service of this emulator writes it everywhere."""
    text = classic.queried("SELECT Name FROM Account ORDER BY Name", "JSON").text
    assert [record["Name"] for record in json.loads(text)] == list("ABCDEFG")
    assert text.count("[") == 1
