"""jsforce 3.10.26 on Node.js: `conn.bulk` (Bulk API 1.0, jobs in XML, data in CSV) and `conn.bulk2` (Bulk API 2.0)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from halocline.emulator.server import Emulator
from tests.system.clients.conftest import BULK_PAGE, REFRESH_TOKEN, Play
from tests.system.clients.stage import ClientFailed

CLIENT = "jsforce"
Add = Callable[..., str]
Stored = Callable[[str, str], Mapping[str, object] | None]
Load = Callable[..., Any]


@pytest.fixture
def connection(org: Emulator, session_id: str) -> dict[str, str]:
    return {"accessToken": session_id, "instanceUrl": org.https_url}


@pytest.fixture
def bulk(play: Play, connection: dict[str, str]) -> Load:
    def run(operation: str, records: object, **options: object) -> Any:
        return play("bulk", connection=connection, sobject="Account", operation=operation, records=records, options=options)

    return run


@pytest.fixture
def bulk2(play: Play, connection: dict[str, str]) -> Load:
    def run(operation: str, records: object, **options: object) -> Any:
        return play("bulk2", connection=connection, sobject="Account", operation=operation, records=records, options=options)

    return run


def test_bulk_insert_keeps_the_order(org: Emulator, bulk: Load) -> None:
    """Records go up in a chunked body; results come in the order of the rows, errors at their place."""
    records = [{"Name": 'Quote " comma , end', "Site": None}, {"Phone": "1"}, {"Name": "line\nbreak", "Site": "Müller"}]
    first, second, third = bulk("insert", records)
    assert [(row["success"], row["created"]) for row in (first, third)] == [(True, True)] * 2
    assert (second["success"], second["id"]) == (False, None)
    assert second["errors"] == ["REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"]
    made = org.store.read('SELECT "Id", "Name", "Site" FROM "Account" ORDER BY "Id"')
    assert made == [(first["id"], records[0]["Name"], None), (third["id"], "line\nbreak", "Müller")]


def test_bulk_update_upsert_and_deletes(bulk: Load, add: Add, stored: Stored) -> None:
    """Null clears (it writes #N/A); upsert tells new from known; hardDelete leaves nothing."""
    record_id = add("Account", Name="Old", Phone="1", Code__c="K")
    assert [row["success"] for row in bulk("update", [{"Id": record_id, "Name": "New", "Phone": None}])] == [True]
    row = stored("Account", record_id)
    assert row is not None
    assert (row["Name"], row["Phone"]) == ("New", None)
    known, new = bulk("upsert", [{"Code__c": "K", "Name": "Changed"}, {"Code__c": "N", "Name": "New"}], extIdField="Code__c")
    assert (known["id"], known["created"], new["created"]) == (record_id, False, True)
    assert [row["success"] for row in bulk("delete", [{"Id": record_id}])] == [True]
    row = stored("Account", record_id)
    assert row is not None
    assert row["IsDeleted"]
    assert [row["success"] for row in bulk("hardDelete", [{"Id": new["id"]}])] == [True]
    assert stored("Account", new["id"]) is None


def test_bulk_query_gives_records(org: Emulator, play: Play, connection: dict[str, str]) -> None:
    """A CSV of Bulk API 1.0 as records."""
    org.seed({"Account": 120})
    seen = play("bulk_query", connection=connection, soql="SELECT Id, Name FROM Account")
    assert {(row["Id"], row["Name"]) for row in seen} == set(org.store.read('SELECT "Id", "Name" FROM "Account"'))
    assert len(seen) == 120


def test_bulk_knows_an_ended_session_by_its_status(org: Emulator, play: Play) -> None:
    """Bulk API 1.0 says 400 InvalidSessionId; without a way to log in again, that is what the user gets."""
    connection = {"accessToken": "00D!no", "instanceUrl": org.https_url}
    with pytest.raises(ClientFailed) as caught:
        play("bulk", connection=connection, sobject="Account", operation="insert", records=[{"Name": "A"}])
    assert caught.value.kind == "InvalidSessionId"


def test_bulk_renews_an_ended_session(org: Emulator, play: Play, app: dict[str, str]) -> None:
    """With a refresh token it asks for a new session and repeats the call."""
    connection = {
        "accessToken": "00D!old",
        "instanceUrl": org.https_url,
        "refreshToken": REFRESH_TOKEN,
        "oauth2": {"clientId": app["client_id"], "clientSecret": app["client_secret"]},
    }
    (seen,) = play("bulk", connection=connection, sobject="Account", operation="insert", records=[{"Name": "A"}])
    assert seen["success"] is True
    assert org.calls.count("token") == 1


def test_bulk2_loads_records(org: Emulator, bulk2: Load) -> None:
    """create, PUT, close, poll, and the three result files as records."""
    seen = bulk2("insert", [{"Name": "Müller", "Site": None, "Phone": "1"}, {"Name": None, "Site": "x", "Phone": None}])
    (good,), (bad,) = seen["successfulResults"], seen["failedResults"]
    assert (good["Name"], good["sf__Created"]) == ("Müller", "true")
    assert bad["sf__Error"] == "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"
    assert seen["unprocessedRecords"] == []
    assert org.store.read('SELECT "Id", "Name", "Phone" FROM "Account"') == [(good["sf__Id"], "Müller", "1")]


def test_bulk2_update_upsert_and_deletes(bulk2: Load, add: Add, stored: Stored) -> None:
    """The other operations, as Bulk API 1.0 does them."""
    record_id = add("Account", Name="Old", Phone="1", Code__c="K")
    assert len(bulk2("update", [{"Id": record_id, "Name": "New", "Phone": None}])["successfulResults"]) == 1
    row = stored("Account", record_id)
    assert row is not None
    assert (row["Name"], row["Phone"]) == ("New", None)
    records = [{"Code__c": "K", "Name": "Changed"}, {"Code__c": "N", "Name": "New"}]
    done = bulk2("upsert", records, externalIdFieldName="Code__c")["successfulResults"]
    made = {row["Code__c"]: row for row in done}
    assert (made["K"]["sf__Id"], made["K"]["sf__Created"], made["N"]["sf__Created"]) == (record_id, "false", "true")
    assert len(bulk2("delete", [{"Id": record_id}])["successfulResults"]) == 1
    row = stored("Account", record_id)
    assert row is not None
    assert row["IsDeleted"]
    assert len(bulk2("hardDelete", [{"Id": made["N"]["sf__Id"]}])["successfulResults"]) == 1
    assert stored("Account", made["N"]["sf__Id"]) is None


def test_bulk2_goes_step_by_step(org: Emulator, play: Play, connection: dict[str, str]) -> None:
    """open, uploadData of a text, close, poll, check, raw results, delete (204)."""
    seen = play("bulk2_steps", connection=connection, sobject="Account", text="Name,Site\nA,x\nB,y\n")
    assert (seen["opened"]["state"], seen["opened"]["contentType"]) == ("Open", "CSV")
    info = seen["info"]
    assert (info["state"], info["jobType"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (
        *("JobComplete", "V2Ingest"),
        *(2, 0),
    )
    assert seen["raw"].splitlines()[0] == '"sf__Id","sf__Created",Name,Site'
    statuses = [(call.method, call.status) for call in org.calls]
    assert statuses[:3] == [("POST", 200), ("PUT", 201), ("PATCH", 200)]
    assert statuses[-1] == ("DELETE", 204)


def test_bulk2_aborts(play: Play, connection: dict[str, str]) -> None:
    """open, abort, check."""
    assert play("bulk2_aborted", connection=connection, sobject="Account")["state"] == "Aborted"


def test_bulk2_fails_with_the_jobs_words(bulk2: Load) -> None:
    """The job's errorMessage reaches the user."""
    with pytest.raises(ClientFailed, match="Ingest job failed to complete due to: InvalidBatch : Field name not found : Nope__c"):
        bulk2("insert", [{"Name": "A", "Nope__c": "x"}])


def test_bulk2_query_reads_a_page(org: Emulator, play: Play, connection: dict[str, str]) -> None:
    """It stops at the literal locator `null`."""
    org.seed({"Account": BULK_PAGE})
    seen = play("bulk2_query", connection=connection, soql="SELECT Id, Name FROM Account")
    assert {(row["Id"], row["Name"]) for row in seen} == set(org.store.read('SELECT "Id", "Name" FROM "Account"'))
    assert org.calls.count("bulk.results") == 1


def test_bulk2_query_reads_the_bin(play: Play, connection: dict[str, str], bulk2: Load, add: Add) -> None:
    """`scanAll` is queryAll."""
    bulk2("delete", [{"Id": add("Account", Name="Gone")}])
    soql = "SELECT Id, IsDeleted FROM Account"
    assert play("bulk2_query", connection=connection, soql=soql) == []
    assert [row["IsDeleted"] for row in play("bulk2_query", connection=connection, soql=soql, options={"scanAll": True})] == [
        "true"
    ]


def test_bulk2_query_of_several_pages_breaks(org: Emulator, play: Play, connection: dict[str, str]) -> None:
    """The client's fault: it pipes each page into one stream, which the first page's end has ended already.

    Salesforce decides how long a page is, so this strikes whoever reads more than one. Source: jsforce, issues 1546 and 1693.
    """
    org.seed({"Account": 2 * BULK_PAGE})
    with pytest.raises(ClientFailed, match="write after end") as caught:
        play("bulk2_query", connection=connection, soql="SELECT Id, Name FROM Account")
    assert caught.value.kind == "ERR_STREAM_WRITE_AFTER_END"
    assert {call.status for call in org.calls.of("bulk.results")} == {200}
