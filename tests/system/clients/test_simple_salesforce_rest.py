"""simple-salesforce 1.12.10: queries, records, describes, changes and search over REST."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from halocline.emulator.server import Emulator
from tests.system.clients.conftest import REST_PAGE, Play
from tests.system.clients.stage import ClientFailed

CLIENT = "simple-salesforce"
Add = Callable[..., str]
Stored = Callable[[str, str], Mapping[str, object] | None]
ALL = 2 * REST_PAGE + 50
SOQL = "SELECT Id, Name FROM Account ORDER BY Id"


@pytest.fixture
def login(org: Emulator, session_id: str) -> dict[str, str]:
    return {"session_id": session_id, "instance_url": org.https_url}


@pytest.fixture
def seeded(org: Emulator) -> list[str]:
    """The ids of accounts that fill two pages and a bit."""
    org.seed({"Account": ALL})
    return [row[0] for row in org.store.read('SELECT "Id" FROM "Account" ORDER BY "Id"')]


def ids(records: list[dict[str, Any]]) -> list[str]:
    return [record["Id"] for record in records]


def test_query_gives_the_first_page(play: Play, login: dict[str, str], seeded: list[str]) -> None:
    """The answer's totalSize counts all rows, records hold a page with their attributes."""
    seen = play("query", login=login, soql=SOQL)
    assert (seen["totalSize"], seen["done"], ids(seen["records"])) == (ALL, False, seeded[:REST_PAGE])
    attributes = {"type": "Account", "url": f"/services/data/v59.0/sobjects/Account/{seeded[0]}"}
    assert seen["records"][0]["attributes"] == attributes


def test_query_more_takes_an_id_or_a_path(play: Play, login: dict[str, str], seeded: list[str]) -> None:
    """The next page is the same by the id at the end of nextRecordsUrl and by the path itself."""
    seen = play("query_more", login=login, soql=SOQL)
    assert seen["url"].startswith("/services/data/v59.0/query/")
    assert seen["by_id"] == seen["by_url"]
    assert ids(seen["by_id"]["records"]) == seeded[REST_PAGE : 2 * REST_PAGE]


def test_query_all_gives_every_page(org: Emulator, play: Play, login: dict[str, str], seeded: list[str]) -> None:
    """Three pages, every row once and in order."""
    seen = play("query_all", login=login, soql=SOQL)
    assert (seen["totalSize"], seen["done"], ids(seen["records"])) == (ALL, True, seeded)
    assert [call.kind for call in org.calls] == ["query", "query.more", "query.more"]


def test_query_all_iter_gives_the_same(play: Play, login: dict[str, str], seeded: list[str]) -> None:
    """Lazily."""
    assert ids(play("query_all_iter", login=login, soql=SOQL)) == seeded


def test_deleted_rows_come_when_asked_for(play: Play, login: dict[str, str], add: Add) -> None:
    """`include_deleted=True` is queryAll: the recycle bin too."""
    kept, gone = add("Account", Name="Kept"), add("Account", Name="Gone")
    play("record_life", login=login, sobject="Account", first={"Name": "Brief"}, second={"Phone": "1"})
    assert ids(play("query_all", login=login, soql=SOQL)["records"]) == [kept, gone]
    assert len(play("query_all", login=login, soql=SOQL, include_deleted=True)["records"]) == 3


def test_relations_are_records_in_records(play: Play, login: dict[str, str], add: Add) -> None:
    """A parent is a record or null, children are a small result or null."""
    full, empty = add("Account", Name="Full"), add("Account", Name="No one")
    contact = add("Contact", LastName="Smith", AccountId=full)
    add("Contact", LastName="Alone")
    soql = "SELECT Id, (SELECT Id, LastName FROM Contacts) FROM Account ORDER BY Name"
    first, second = play("query", login=login, soql=soql)["records"]
    assert (first["Id"], second["Id"], second["Contacts"]) == (full, empty, None)
    assert (first["Contacts"]["totalSize"], first["Contacts"]["done"], ids(first["Contacts"]["records"])) == (1, True, [contact])
    soql = "SELECT LastName, Account.Name FROM Contact ORDER BY LastName"
    alone, smith = play("query", login=login, soql=soql)["records"]
    assert (alone["Account"], smith["Account"]["Name"], smith["Account"]["attributes"]["type"]) == (None, "Full", "Account")


def test_a_bad_query_is_told_in_salesforces_words(play: Play, login: dict[str, str]) -> None:
    """400 with an array of errors becomes its SalesforceMalformedRequest, words and all."""
    with pytest.raises(ClientFailed, match="No such column 'Nope' on entity 'Account'") as caught:
        play("query", login=login, soql="SELECT Nope FROM Account")
    assert caught.value.kind == "SalesforceMalformedRequest"
    assert "INVALID_FIELD" in caught.value.message


def test_a_record_lives_and_dies(org: Emulator, play: Play, login: dict[str, str], stored: Stored) -> None:
    """create, get, update, delete: its answers, and what the org holds in the end."""
    first = {"Name": "Müller & Söhne \U0001f30a", "AnnualRevenue": 12.0, "NumberOfEmployees": 7}
    seen = play("record_life", login=login, sobject="Account", first=first, second={"Phone": "+49 1", "NumberOfEmployees": None})
    assert seen["created"]["success"] is True
    assert seen["created"]["errors"] == []
    assert {name: seen["before"][name] for name in first} == first
    assert (seen["changed"], seen["after"]["Phone"], seen["after"]["NumberOfEmployees"]) == (204, "+49 1", None)
    assert seen["deleted"] == 204
    row = stored("Account", seen["created"]["id"])
    assert row is not None
    assert (row["Name"], row["Phone"], row["IsDeleted"]) == (first["Name"], "+49 1", True)
    assert [call.kind for call in org.calls] == ["record.create", "record.get", "record.update", "record.get", "record.delete"]


def test_a_deleted_record_is_not_found(play: Play, login: dict[str, str]) -> None:
    """404 ENTITY_IS_DELETED becomes its SalesforceResourceNotFound."""
    seen = play("record_life", login=login, sobject="Account", first={"Name": "Brief"}, second={"Phone": "1"})
    with pytest.raises(ClientFailed, match="ENTITY_IS_DELETED") as caught:
        play("get", login=login, sobject="Account", record_id=seen["created"]["id"])
    assert caught.value.kind == "SalesforceResourceNotFound"


def test_a_record_without_its_required_field_is_refused(play: Play, login: dict[str, str]) -> None:
    """REQUIRED_FIELD_MISSING with the field's name."""
    with pytest.raises(ClientFailed, match=r"REQUIRED_FIELD_MISSING.*\['?Name'?\]"):
        play("create", login=login, sobject="Account", record={"Phone": "1"})


def test_upsert_says_by_its_status_what_it_did(play: Play, login: dict[str, str], stored: Stored, org: Emulator) -> None:
    """201 for a new record, 200 for a known one (since version 46), and one record in the end."""
    key = "Code__c/A 1%2F2"  # the caller encodes; the value is `A 1/2`
    assert play("upsert", login=login, sobject="Account", key=key, record={"Name": "One"}) == 201
    assert play("upsert", login=login, sobject="Account", key=key, record={"Name": "Two"}) == 200
    assert org.store.read('SELECT "Name", "Code__c" FROM "Account"') == [("Two", "A 1/2")]


def test_upsert_of_many_matches_is_told_apart(play: Play, login: dict[str, str], add: Add) -> None:
    """300 with the records' paths becomes its SalesforceMoreThanOneRecord."""
    found = [add("Account", Name="One", Group__c="G"), add("Account", Name="Two", Group__c="G")]
    with pytest.raises(ClientFailed) as caught:
        play("upsert", login=login, sobject="Account", key="Group__c/G", record={"Name": "Three"})
    assert caught.value.kind == "SalesforceMoreThanOneRecord"
    assert all(f"/services/data/v59.0/sobjects/Account/{record_id}" in caught.value.message for record_id in found)


def test_a_record_is_found_by_its_external_id(play: Play, login: dict[str, str], add: Add) -> None:
    """`get_by_custom_id` encodes the value, slashes too."""
    record_id = add("Account", Name="One", Code__c="A/1&2")
    assert play("get_by_key", login=login, sobject="Account", field="Code__c", value="A/1&2")["Id"] == record_id


def test_describes_tell_objects_and_fields(play: Play, login: dict[str, str]) -> None:
    """The global describe, an object's describe, and its basic information agree."""
    seen = play("described", login=login, sobject="Order_Line__c")
    assert (seen["every"]["encoding"], seen["every"]["maxBatchSize"]) == ("UTF-8", 200)
    (entry,) = [one for one in seen["every"]["sobjects"] if one["name"] == "Order_Line__c"]
    assert seen["basic"] == {"objectDescribe": entry, "recentItems": seen["basic"]["recentItems"]}
    fields = {field["name"]: field for field in seen["one"]["fields"]}
    assert fields["Number__c"]["externalId"]
    assert [value["value"] for value in fields["Status__c"]["picklistValues"]] == ["Draft", "Sent"]
    assert fields["Account__c"]["referenceTo"] == ["Account"]


def test_changes_of_a_window_are_told(org: Emulator, play: Play, login: dict[str, str], add: Add) -> None:
    """`updated` gives ids of what was added or changed, `deleted` of what went, both in whole minutes."""
    org.clock.freeze(datetime(2026, 11, 20, 10, 0, 30, tzinfo=UTC))
    kept, gone = add("Account", Name="Kept"), add("Account", Name="Gone")
    account = org.store.catalog.get("Account")
    assert account is not None
    org.store.delete(account, gone, user_id=org.org.api_user_id)
    org.clock.advance(300)
    seen = play("changes", login=login, sobject="Account", start="2026-11-20T09:59:00+00:00", end="2026-11-20T10:02:00+00:00")
    assert seen["updated"]["ids"] == [kept]
    assert seen["deleted"]["deletedRecords"] == [{"id": gone, "deletedDate": "2026-11-20T10:00:30.000+0000"}]
    assert {"earliestDateAvailable", "latestDateCovered"} < seen["deleted"].keys()


def test_limits_are_live(play: Play, login: dict[str, str]) -> None:
    """What is left of the daily requests shrinks by one with each call."""
    first, second = (play("limits", login=login)["DailyApiRequests"] for _ in range(2))
    assert (first["Max"], first["Remaining"] - second["Remaining"]) == (100_000, 1)


def test_an_org_knows_what_it_is(play: Play, login: dict[str, str]) -> None:
    """`is_sandbox` reads the Organization."""
    assert play("is_sandbox", login=login) is False


def test_search_finds_records(play: Play, login: dict[str, str], add: Add) -> None:
    """SOSL with RETURNING, and `quick_search`, which wraps the words in FIND {...}."""
    record_id = add("Account", Name="Acme Rockets")
    add("Account", Name="Other")
    sosl = "FIND {Acme*} IN NAME FIELDS RETURNING Account(Id, Name)"
    (found,) = play("search", login=login, sosl=sosl)["searchRecords"]
    assert (found["attributes"]["type"], found["Id"], found["Name"]) == ("Account", record_id, "Acme Rockets")
    assert ids(play("quick_search", login=login, words="Rockets")["searchRecords"]) == [record_id]


def test_tooling_answers_queries(play: Play, login: dict[str, str]) -> None:
    """EntityDefinition of the Tooling API, by `toolingexecute`."""
    action = "query/?q=SELECT+QualifiedApiName+FROM+EntityDefinition+WHERE+QualifiedApiName='Order_Line__c'"
    assert [row["QualifiedApiName"] for row in play("tooling", login=login, action=action)["records"]] == ["Order_Line__c"]
