"""kinetic-core 2.1.1: its logins, records, pipeline and bulk client. Where it fails, Salesforce would make it fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from halocline.emulator.server import Emulator
from tests.system.clients.conftest import BULK_PAGE, REST_PAGE, USER, Play
from tests.system.clients.stage import ClientFailed

CLIENT = "kinetic-core"
Add = Callable[..., str]
Stored = Callable[[str, str], Mapping[str, object] | None]
Session = dict[str, str]
LOGIN = "https://login.salesforce.com"


@pytest.fixture
def session(org: Emulator, session_id: str) -> Session:
    return {"instance_url": org.url, "access_token": session_id, "api_version": "v62.0"}


def test_a_password_comes_in(play: Play, app: dict[str, str]) -> None:
    """The password flow on login.salesforce.com."""
    login = {**app, "username": USER.username, "password": USER.password, "security_token": USER.security_token}
    assert play("by_password", login=login) == {"instance": LOGIN, "rows": 1}


def test_a_signed_assertion_comes_in(play: Play, app: dict[str, str], private_key: str) -> None:
    """JWT bearer."""
    login = {"client_id": app["client_id"], "username": USER.username}
    assert play("by_assertion", login=login, private_key=private_key) == {"instance": LOGIN, "rows": 1}


def test_a_record_lives_and_dies(play: Play, session: Session, stored: Stored) -> None:
    """create, get, update, delete."""
    seen = play("record_life", session=session, sobject="Account", first={"Name": "Müller"}, second={"Phone": "1"})
    assert (seen["before"]["Name"], seen["changed"], seen["after"]["Phone"], seen["deleted"]) == ("Müller", True, "1", True)
    row = stored("Account", seen["id"])
    assert row is not None
    assert (row["Phone"], row["IsDeleted"]) == ("1", True)


def test_a_refusal_loses_its_words(play: Play, session: Session) -> None:
    """The client's fault: of Salesforce's error it keeps the HTTP status and the address only."""
    with pytest.raises(ClientFailed, match="400 Client Error") as caught:
        play("create", session=session, sobject="Account", record={"Phone": "1"})
    assert caught.value.kind == "HTTPError"
    assert "REQUIRED_FIELD_MISSING" not in caught.value.message


def test_a_batch_is_one_call(org: Emulator, play: Play, session: Session) -> None:
    """Collections; the bad record does not stop the others."""
    seen = play("create_batch", session=session, sobject="Account", records=[{"Name": "A"}, {"Phone": "1"}, {"Name": "B"}])
    assert [row["success"] for row in seen] == [True, False, True]
    assert seen[1]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert org.store.read('SELECT "Name" FROM "Account" ORDER BY "Name"') == [("A",), ("B",)]
    assert len(list(org.calls)) == 1


def test_upsert_of_a_known_record_looks_like_a_failure(play: Play, session: Session, add: Add, stored: Stored) -> None:
    """The client's fault: since version 46 Salesforce answers 200 with a body, of which it knows nothing: it gives no id.

    The record is changed; a new one, answered 201, gets its id.
    """
    known = add("Account", Name="Known", Code__c="K")
    assert play("upsert", session=session, sobject="Account", key="Code__c", value="K", record={"Name": "Changed"}) is None
    row = stored("Account", known)
    assert row is not None
    assert row["Name"] == "Changed"
    new = play("upsert", session=session, sobject="Account", key="Code__c", value="N", record={"Name": "New"})
    assert stored("Account", new) is not None


def test_upsert_below_version_46_finds_its_id(play: Play, session: Session, add: Add) -> None:
    """There an update is 204, for which it was written: it asks for the id by a query."""
    known = add("Account", Name="Known", Code__c="K")
    old = {**session, "api_version": "v45.0"}
    assert play("upsert", session=old, sobject="Account", key="Code__c", value="K", record={"Name": "Changed"}) == known


def test_query_gives_every_page(org: Emulator, play: Play, session: Session) -> None:
    """Two pages."""
    org.seed({"Account": REST_PAGE + 50})
    seen = play("query", session=session, soql="SELECT Id FROM Account ORDER BY Id")
    assert [row["Id"] for row in seen] == [row[0] for row in org.store.read('SELECT "Id" FROM "Account" ORDER BY "Id"')]


def test_deleted_rows_come_when_asked_for(play: Play, session: Session) -> None:
    """QueryAll."""
    play("record_life", session=session, sobject="Account", first={"Name": "Brief"}, second={"Phone": "1"})
    assert play("query", session=session, soql="SELECT Id FROM Account") == []
    assert len(play("query", session=session, soql="SELECT Id FROM Account", include_deleted=True)) == 1


def test_rows_are_counted(play: Play, session: Session, add: Add) -> None:
    """SELECT COUNT() with a condition."""
    add("Account", Name="A", Site="x"), add("Account", Name="B", Site="y")
    assert play("count", session=session, sobject="Account", where="Site = 'x'") == 1


def test_describes_tell_objects_and_fields(play: Play, session: Session) -> None:
    """With a slash at the end of the path."""
    seen = play("described", session=session, sobject="Order_Line__c")
    assert "Order_Line__c" in seen["every"]
    assert "Number__c" in [field["name"] for field in seen["one"]["fields"]]


def test_the_pipeline_inserts(org: Emulator, play: Play, session: Session) -> None:
    """One call for each record; a bad one is counted."""
    records = [{"n": "A"}, {"n": ""}, {"n": "B"}]
    seen = play("piped", session=session, sobject="Account", mode="INSERT", records=records, mapping={"n": "Name"})
    assert (seen["good"], seen["bad"]) == (2, 1)
    assert org.calls.count("record.create") == 3
    assert org.store.read('SELECT "Name" FROM "Account" ORDER BY "Name"') == [("A",), ("B",)]


def test_the_pipeline_cannot_upsert(org: Emulator, play: Play, session: Session) -> None:
    """The client's fault: it repeats the external id in the body, and Salesforce refuses a record that names its key there.

    Source: REST API Developer Guide (v55), "sObject Rows by External ID": "Do not specify Id or an external ID field in the
    request body or an error is generated". By users' reports: `The X field should not be specified in the sobject data.`
    """
    mapping = {"c": "Code__c", "n": "Name"}
    records = [{"c": "A1", "n": "One"}, {"c": "A2", "n": "Two"}]
    seen = play("piped", session=session, sobject="Account", mode="UPSERT", records=records, mapping=mapping, key="Code__c")
    assert (seen["good"], seen["bad"]) == (0, 2)
    assert {call.status for call in org.calls} == {400}


def test_bulk_loads_records(org: Emulator, play: Play, session: Session) -> None:
    """Insert with a bad row. The client's fault: it takes result files for Latin-1, because `text/csv` names no charset."""
    seen = play("bulk", session=session, operation="insert", sobject="Account", records=[{"Name": "Müller"}, {"Site": "x"}])
    assert (seen["success_count"], seen["failed_count"], seen["total_records"]) == (1, 1, 2)
    assert seen["success_records"][0]["Name"] == "Müller".encode().decode("latin-1")
    assert seen["failed_records"][0]["sf__Error"] == "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"
    assert org.store.read('SELECT "Name" FROM "Account"') == [("Müller",)]


def test_bulk_update_upsert_and_deletes(play: Play, session: Session, add: Add, stored: Stored) -> None:
    """The other operations; deletes take ids."""
    record_id = add("Account", Name="Old", Code__c="K")
    done = play("bulk", session=session, operation="update", sobject="Account", records=[{"Id": record_id, "Name": "New"}])
    assert (done["success_count"], done["failed_count"]) == (1, 0)
    records = [{"Code__c": "K", "Name": "Changed"}, {"Code__c": "N", "Name": "New"}]
    done = play("bulk", session=session, operation="upsert", sobject="Account", records=records, key="Code__c")
    made = {row["Code__c"]: row for row in done["success_records"]}
    assert (made["K"]["sf__Id"], made["K"]["sf__Created"], made["N"]["sf__Created"]) == (record_id, "false", "true")
    play("bulk", session=session, operation="delete", sobject="Account", records=[record_id])
    row = stored("Account", record_id)
    assert row is not None
    assert (row["Name"], row["IsDeleted"]) == ("Changed", True)
    play("bulk", session=session, operation="hard_delete", sobject="Account", records=[made["N"]["sf__Id"]])
    assert stored("Account", made["N"]["sf__Id"]) is None


def test_bulk_query_loses_all_but_the_first_page(org: Emulator, play: Play, session: Session) -> None:
    """The client's fault: it ignores the locator of the first page, and says that there is no more."""
    org.seed({"Account": 2 * BULK_PAGE})
    seen = play("bulk_query", session=session, soql="SELECT Id FROM Account")
    assert (seen["record_count"], seen["has_more"], org.calls.count("bulk.results")) == (BULK_PAGE, False, 1)
