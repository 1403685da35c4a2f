"""salesforce-bulk 2.2.0: Bulk API 1.0 in CSV, XML and JSON, by a client that compares whole content types."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from halocline.emulator.server import Emulator
from tests.system.clients.conftest import USER, Play
from tests.system.clients.stage import ClientFailed

CLIENT = "salesforce-bulk"
Add = Callable[..., str]
Stored = Callable[[str, str], Mapping[str, object] | None]
Login = dict[str, str]
XML = """<?xml version="1.0" encoding="UTF-8"?>
<sObjects xmlns="http://www.force.com/2009/06/asyncapi/dataload" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <sObject><Name>Müller &amp; Söhne</Name><Site>here</Site></sObject>
  <sObject><Site xsi:nil="true"/></sObject>
</sObjects>"""


@pytest.fixture
def login(org: Emulator, session_id: str) -> Login:
    return {"sessionId": session_id, "host": org.https_url}


def test_a_password_with_its_token_comes_in_by_soap(play: Play) -> None:
    """Through simple-salesforce's login, at API version 40."""
    seen = play("logged_in", login={"username": USER.username, "password": USER.password, "security_token": USER.security_token})
    assert seen == "https://login.salesforce.com/services/async/40.0"


def test_a_plain_address_is_good(org: Emulator, play: Play, session_id: str) -> None:
    """It takes a host with its scheme, http too."""
    assert play("aborted", login={"sessionId": session_id, "host": org.url}, sobject="Account") == "Aborted"


def test_csv_results_keep_the_order(org: Emulator, play: Play, login: Login) -> None:
    """A chunked body, row by row; the results are read because `text/csv` has no charset."""
    records = [{"Name": 'Quote " , end', "Site": "a"}, {"Name": "", "Site": "b"}, {"Name": "Müller", "Site": "line\nbreak"}]
    seen = play("loaded", login=login, operation="insert", sobject="Account", records=records)
    first, second, third = seen["results"]  # each is id, success, created, error
    assert [first[1:], third[1:]] == [["true", "true", ""]] * 2
    assert second == ["", "false", "false", "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"]
    made = org.store.read('SELECT "Id", "Name", "Site" FROM "Account" ORDER BY "Id"')
    assert made == [(first[0], records[0]["Name"], "a"), (third[0], "Müller", "line\nbreak")]


def test_job_and_batch_agree(play: Play, login: Login) -> None:
    """Counters of the closed job and of its batch."""
    seen = play("loaded", login=login, operation="insert", sobject="Account", records=[{"Name": "A"}, {"Name": ""}])
    job, (batch,) = seen["job"], seen["batches"]
    assert (job["state"], job["operation"], job["contentType"], job["apiVersion"]) == ("Closed", "insert", "CSV", "40.0")
    assert (batch["state"], batch["jobId"]) == ("Completed", job["id"])
    for counted in (job, batch):
        assert (counted["numberRecordsProcessed"], counted["numberRecordsFailed"]) == ("2", "1")
    assert (job["numberBatchesCompleted"], job["numberBatchesTotal"]) == ("1", "1")


def test_update_upsert_and_delete(play: Play, login: Login, add: Add, stored: Stored) -> None:
    """The other operations; #N/A clears."""
    record_id = add("Account", Name="Old", Phone="1", Code__c="K")

    def run(operation: str, *records: dict[str, str], **options: str) -> list[Any]:
        return list(play("loaded", login=login, operation=operation, sobject="Account", records=records, **options)["results"])

    assert run("update", {"Id": record_id, "Name": "New", "Phone": "#N/A"}) == [[record_id, "true", "false", ""]]
    row = stored("Account", record_id)
    assert row is not None
    assert (row["Name"], row["Phone"]) == ("New", None)
    rows = ({"Code__c": "K", "Name": "Changed"}, {"Code__c": "N", "Name": "New"})
    assert [result[2] for result in run("upsert", *rows, external_id_name="Code__c")] == ["false", "true"]
    assert run("delete", {"Id": record_id}) == [[record_id, "true", "false", ""]]
    row = stored("Account", record_id)
    assert row is not None
    assert row["IsDeleted"]


def test_json_results_are_objects(org: Emulator, play: Play, login: Login) -> None:
    """Exactly `application/json`: null clears, errors are objects."""
    body = json.dumps([{"Name": "Müller", "Phone": None}, {"Phone": "1"}])
    seen = play("loaded_as", login=login, kind="JSON", sobject="Account", body=body)
    good, bad = seen["results"]
    assert good == [org.store.read('SELECT "Id" FROM "Account"')[0][0], True, True, []]
    assert bad[:3] == [None, False, False]
    assert (bad[3][0]["statusCode"], bad[3][0]["fields"]) == ("REQUIRED_FIELD_MISSING", ["Name"])
    assert seen["batch"]["state"] == "Completed"


def test_xml_results_have_no_ids(org: Emulator, play: Play, login: Login) -> None:
    """Exactly `application/xml`. The client's fault: its reader of ids returns nothing, so that every id is None."""
    seen = play("loaded_as", login=login, kind="XML", sobject="Account", body=XML)
    good, bad = seen["results"]
    assert good == [None, True, True, []]
    message = "Required fields are missing: [Name]"
    assert bad == [None, False, False, [{"fields": ["Name"], "message": message, "statusCode": "REQUIRED_FIELD_MISSING"}]]
    assert org.store.read('SELECT "Name", "Site" FROM "Account"') == [("Müller & Söhne", "here")]


@pytest.mark.parametrize("kind", ["CSV", "JSON"])
def test_query_gives_records(org: Emulator, play: Play, login: Login, kind: str) -> None:
    """All rows; the batch's request is the query."""
    org.seed({"Account": 120})
    soql = "SELECT Id, Name FROM Account"
    seen = play("queried", login=login, sobject="Account", soql=soql, kind=kind)
    assert {(row["Id"], row["Name"]) for row in seen["records"]} == set(org.store.read('SELECT "Id", "Name" FROM "Account"'))
    assert (len(seen["records"]), seen["request"]) == (120, soql)


def test_query_in_xml(play: Play, login: Login, add: Add) -> None:
    """A `queryResult` document."""
    record_id = add("Account", Name="A & B")
    (text,) = play("queried", login=login, sobject="Account", soql="SELECT Id, Name FROM Account", kind="XML")["records"]
    assert "<queryResult" in text
    assert record_id in text
    assert "A &amp; B" in text


def test_query_all_reads_the_bin(play: Play, login: Login, add: Add) -> None:
    """QueryAll gives deleted rows, too."""
    record_id = add("Account", Name="Gone")
    play("loaded", login=login, operation="delete", sobject="Account", records=[{"Id": record_id}])
    soql = "SELECT Id, IsDeleted FROM Account"
    assert play("queried", login=login, sobject="Account", soql=soql, operation="queryall")["records"] == [
        {"Id": record_id, "IsDeleted": "true"}
    ]


def test_an_empty_query_says_so(play: Play, login: Login) -> None:
    """Bulk API 1.0 writes `Records not found for this query` in place of a CSV."""
    seen = play("queried", login=login, sobject="Account", soql="SELECT Id FROM Account")
    assert [text.strip().strip('"') for text in seen["texts"]] == ["Records not found for this query"]


def test_pk_chunking_splits_a_query(org: Emulator, play: Play, login: Login) -> None:
    """The first batch becomes NotProcessed, others read ranges of ids; no row is lost or doubled."""
    org.seed({"Account": 120})
    seen = play("chunked", login=login, sobject="Account", soql="SELECT Id FROM Account", size=50)
    assert seen["first"] == "NotProcessed"
    assert len(seen["pages"]) >= 3
    ids = [row["Id"] for page in seen["pages"] for row in page]
    assert sorted(ids) == [row[0] for row in org.store.read('SELECT "Id" FROM "Account" ORDER BY "Id"')]


def test_a_bad_query_fails_its_batch(play: Play, login: Login) -> None:
    """The stateMessage reaches the user."""
    with pytest.raises(ClientFailed, match="InvalidBatch") as caught:
        play("queried", login=login, sobject="Account", soql="SELECT Nope FROM Account")
    assert caught.value.kind == "BulkBatchFailed"


def test_an_unknown_session_is_a_bad_request(org: Emulator, play: Play) -> None:
    """400 with InvalidSessionId in XML."""
    with pytest.raises(ClientFailed, match=r"(?s)\[400\].*<exceptionCode>InvalidSessionId</exceptionCode>") as caught:
        play("aborted", login={"sessionId": "00D!no", "host": org.https_url}, sobject="Account")
    assert caught.value.kind == "BulkApiError"


def test_retired_versions_are_refused(org: Emulator, play: Play, session_id: str) -> None:
    """Version 30 went in Summer '25: InvalidVersion."""
    with pytest.raises(ClientFailed, match=r"InvalidVersion|UNSUPPORTED_API_VERSION"):
        play("aborted", login={"sessionId": session_id, "host": org.https_url, "API_version": "30.0"}, sobject="Account")
