"""jsforce 3.10.26 on Node.js: logging in, records one by one and in arrays, queries, describes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from halocline.emulator.server import Emulator
from tests.system.clients.conftest import REFRESH_TOKEN, REST_PAGE, USER, Play
from tests.system.clients.stage import ClientFailed

CLIENT = "jsforce"
Add = Callable[..., str]
Stored = Callable[[str, str], Mapping[str, object] | None]
ALL = 2 * REST_PAGE + 50
SOQL = "SELECT Id, Name FROM Account ORDER BY Id"
PASSWORD = USER.password + USER.security_token
LOGIN = {"username": USER.username, "password": PASSWORD}
MY_DOMAIN = "https://judge.my.salesforce.com"


@pytest.fixture
def oauth2(app: dict[str, str]) -> dict[str, str]:
    return {"clientId": app["client_id"], "clientSecret": app["client_secret"]}


@pytest.fixture
def connection(org: Emulator, session_id: str) -> dict[str, str]:
    return {"accessToken": session_id, "instanceUrl": org.https_url}


@pytest.fixture
def seeded(org: Emulator) -> list[str]:
    """The ids of accounts that fill two pages and a bit."""
    org.seed({"Account": ALL})
    return [row[0] for row in org.store.read('SELECT "Id" FROM "Account" ORDER BY "Id"')]


def ids(records: list[dict[str, Any]]) -> list[str]:
    return [record["Id"] for record in records]


def user_of(org: Emulator) -> dict[str, str]:
    return {"id": org.org.api_user_id, "organizationId": org.org.org_id}


def test_a_password_comes_in_by_soap(org: Emulator, play: Play) -> None:
    """`login` without a connected app is SOAP on login.salesforce.com."""
    seen = play("logged_in", connection={}, **LOGIN)
    assert (seen["instance"], seen["rows"]) == ("https://login.salesforce.com", 1)
    assert seen["user"].items() > user_of(org).items()
    assert seen["usage"] == {"used": 1, "limit": 100_000}
    assert [call.path for call in org.calls] == ["/services/Soap/u/50.0", "/services/data/v50.0/query"]


def test_a_wrong_password_is_told_in_salesforces_words(play: Play) -> None:
    """The fault's `faultstring` reaches the user."""
    with pytest.raises(ClientFailed, match="INVALID_LOGIN: Invalid username, password, security token"):
        play("logged_in", connection={}, username=USER.username, password="no")


def test_a_password_comes_in_by_oauth(org: Emulator, play: Play, oauth2: dict[str, str]) -> None:
    """`login` with a connected app is the password flow; the answer's `id` gives user and organization."""
    seen = play("logged_in", connection={"oauth2": oauth2}, **LOGIN)
    assert seen["user"].items() > user_of(org).items()
    assert [call.kind for call in org.calls] == ["token", "query"]


def test_an_app_comes_in_by_its_own_name(org: Emulator, play: Play, oauth2: dict[str, str]) -> None:
    """`authorize` with client credentials on the My Domain host, and the identity behind the token."""
    grant = {"grant_type": "client_credentials"}
    seen = play("authorized", connection={"loginUrl": MY_DOMAIN, "oauth2": {**oauth2, "loginUrl": MY_DOMAIN}}, grant=grant)
    assert (seen["instance"], seen["rows"]) == (MY_DOMAIN, 1)
    assert (seen["identity"]["user_id"], seen["identity"]["username"]) == (org.org.api_user_id, USER.username)


def test_a_signed_assertion_comes_in(org: Emulator, play: Play, app: dict[str, str], private_key: str) -> None:
    """`authorize` with a JWT."""
    claims = {"iss": app["client_id"], "sub": USER.username, "aud": "https://login.salesforce.com", "exp": int(time.time()) + 60}
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": jwt.encode(claims, private_key, "RS256")}
    assert play("authorized", connection={}, grant=grant)["user"].items() > user_of(org).items()


def test_a_user_consents_in_a_browser(org: Emulator, play: Play, oauth2: dict[str, str]) -> None:
    """The web server flow with PKCE: the browser comes back with a code, the code gives a token and a refresh token."""
    web = {**oauth2, "loginUrl": org.https_url, "redirectUri": "http://127.0.0.1/callback", "useVerifier": True}
    seen = play("consented", connection={"loginUrl": org.https_url, "oauth2": web})
    assert seen == {"state": "a b", "rows": 1, "is_renewed": True}
    assert org.calls.count("token") == 2


@pytest.mark.parametrize("by_oauth", [False, True])
def test_logging_out_ends_the_session(org: Emulator, play: Play, oauth2: dict[str, str], by_oauth: bool) -> None:
    """`logout` is SOAP's own call, or OAuth's revoke: the token is good for nothing afterwards."""
    with pytest.raises(ClientFailed, match="Session expired or invalid") as caught:
        play("logged_out", connection={"oauth2": oauth2} if by_oauth else {}, instance=org.https_url, **LOGIN)
    assert caught.value.kind == "INVALID_SESSION_ID"


def test_an_ended_session_is_renewed_by_its_refresh_token(org: Emulator, play: Play, oauth2: dict[str, str]) -> None:
    """It knows 401 INVALID_SESSION_ID, asks for a new token and repeats the call."""
    connection = {"oauth2": oauth2, "instanceUrl": org.https_url, "accessToken": "00D!old", "refreshToken": REFRESH_TOKEN}
    assert play("renewed", connection=connection) == {"rows": 1, "is_new": True}
    assert [(call.kind, call.status) for call in org.calls] == [("query", 401), ("token", 200), ("query", 200)]


def test_query_fetches_every_page(org: Emulator, play: Play, connection: dict[str, str], seeded: list[str]) -> None:
    """`autoFetch` follows nextRecordsUrl to the end, in order."""
    seen = play("query", connection=connection, soql=SOQL, options={"autoFetch": True})
    assert (seen["totalSize"], seen["done"], ids(seen["records"])) == (ALL, True, seeded)
    assert org.calls.count("query.more") == 2


def test_a_plain_address_is_good(org: Emulator, play: Play, connection: dict[str, str]) -> None:
    """It sends http, too, through the proxy of the environment: the proxy lets loopback addresses through."""
    plain = {**connection, "instanceUrl": org.url}
    assert play("query", connection=plain, soql="SELECT Id FROM Organization")["totalSize"] == 1


def test_query_stops_at_its_limit(org: Emulator, play: Play, connection: dict[str, str], seeded: list[str]) -> None:
    """`maxFetch` ends in the middle of a page, and no further page is asked for."""
    assert play("query_events", connection=connection, soql=SOQL, maxFetch=REST_PAGE + 1) == seeded[: REST_PAGE + 1]
    assert org.calls.count("query.more") == 1


def test_query_gives_events(play: Play, connection: dict[str, str], seeded: list[str]) -> None:
    """Record by record."""
    assert play("query_events", connection=connection, soql=SOQL) == seeded


def test_query_more_takes_the_path(org: Emulator, play: Play, connection: dict[str, str], seeded: list[str]) -> None:
    """The second page by nextRecordsUrl, before which it puts the instance."""
    seen = play("query_more", connection=connection, soql=SOQL)
    assert seen["url"].startswith(f"{org.https_url}/services/data/v50.0/query/")
    assert ids(seen["first"] + seen["second"]) == seeded[: 2 * REST_PAGE]
    assert seen["done"] is False


def test_queries_are_built(play: Play, connection: dict[str, str], add: Add) -> None:
    """`find` with operators, order and limit; `count` with conditions."""
    for name in ("Alpha", "Beta", "Beat", "Gamma"):
        add("Account", Name=name, NumberOfEmployees=len(name))
    conditions = {"Name": {"$like": "Be%"}, "NumberOfEmployees": {"$gte": 4, "$lt": 10}}
    seen = play("find", connection=connection, sobject="Account", conditions=conditions, fields=["Name"], limit=1)
    assert [row["Name"] for row in seen] == ["Beta"]
    assert play("count", connection=connection, sobject="Account", conditions=conditions) == 2


def test_a_bad_query_is_told_in_salesforces_words(play: Play, connection: dict[str, str]) -> None:
    """The array of errors becomes its error's errorCode and message."""
    with pytest.raises(ClientFailed, match="No such column 'Nope' on entity 'Account'") as caught:
        play("query", connection=connection, soql="SELECT Nope FROM Account", options={})
    assert caught.value.kind == "INVALID_FIELD"


def test_a_record_lives_and_dies(play: Play, connection: dict[str, str], stored: Stored) -> None:
    """create, retrieve, update, destroy: its answers, and what the org holds in the end."""
    first = {"Name": "Müller & Söhne \U0001f30a", "AnnualRevenue": 12.5, "NumberOfEmployees": 7}
    seen = play(
        "record_life", connection=connection, sobject="Account", first=first, second={"Phone": "1", "NumberOfEmployees": None}
    )
    record_id = seen["created"]["id"]
    assert {name: seen["before"][name] for name in first} == first
    assert seen["changed"] == seen["deleted"] == {"id": record_id, "success": True, "errors": []}
    assert (seen["after"]["Phone"], seen["after"]["NumberOfEmployees"]) == ("1", None)
    row = stored("Account", record_id)
    assert row is not None
    assert (row["Name"], row["Phone"], row["IsDeleted"]) == (first["Name"], "1", True)


def test_arrays_are_one_call(org: Emulator, play: Play, connection: dict[str, str]) -> None:
    """Collections: create, retrieve (null for an unknown id), update and destroy of several records, in order."""
    created = play(
        "create", connection=connection, sobject="Account", records=[{"Name": "A"}, {"Phone": "no name"}, {"Name": "B"}]
    )
    assert [row["success"] for row in created] == [True, False, True]
    assert (created[1]["errors"][0]["statusCode"], created[1]["errors"][0]["fields"]) == ("REQUIRED_FIELD_MISSING", ["Name"])
    a, b = created[0]["id"], created[2]["id"]
    unknown = "001000000000000AAA"
    seen = play("retrieve", connection=connection, sobject="Account", ids=[b, unknown, a])
    assert [row and row["Name"] for row in seen] == ["B", None, "A"]
    changed = play("update", connection=connection, sobject="Account", records=[{"Id": a, "Site": "x"}, {"Id": b, "Site": "y"}])
    assert changed == [{"id": record_id, "success": True, "errors": []} for record_id in (a, b)]
    deleted = play("destroy", connection=connection, sobject="Account", ids=[a, b])
    assert deleted == [{"id": record_id, "success": True, "errors": []} for record_id in (a, b)]
    assert org.store.read('SELECT "Site", "IsDeleted" FROM "Account" ORDER BY "Site"') == [("x", 1), ("y", 1)]
    paths = [call.path.partition("v50.0")[2] for call in org.calls]
    assert paths == [
        "/composite/sobjects",
        "/sobjects/Account/describe",
        "/composite/sobjects/Account",
        "/composite/sobjects",
        "/composite/sobjects",
    ]


def test_all_or_none_is_all_or_none(org: Emulator, play: Play, connection: dict[str, str]) -> None:
    """With `allOrNone` one bad record undoes the others."""
    records = [{"Name": "A"}, {"Phone": "no name"}]
    good, bad = play("create", connection=connection, sobject="Account", records=records, options={"allOrNone": True})
    assert good["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert bad["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert org.store.read('SELECT count(*) FROM "Account"') == [(0,)]


def test_long_arrays_are_several_calls(org: Emulator, play: Play, connection: dict[str, str]) -> None:
    """More than 200 records are refused, and taken with `allowRecursive`, 200 by 200."""
    records = [{"Name": f"Row {number}"} for number in range(401)]
    with pytest.raises(ClientFailed) as caught:
        play("create", connection=connection, sobject="Account", records=records)
    assert caught.value.kind == "EXCEEDED_ID_LIMIT"
    org.calls.clear()
    seen = play("create", connection=connection, sobject="Account", records=records, options={"allowRecursive": True})
    assert [row["success"] for row in seen] == [True] * 401
    assert len(list(org.calls)) == 3


def test_upsert_of_one_record(play: Play, connection: dict[str, str], org: Emulator) -> None:
    """`created` tells a new record from a known one."""
    first = play("upsert", connection=connection, sobject="Account", records={"Code__c": "A1", "Name": "One"}, key="Code__c")
    second = play("upsert", connection=connection, sobject="Account", records={"Code__c": "A1", "Name": "Two"}, key="Code__c")
    assert (first["created"], second["created"], first["id"]) == (True, False, second["id"])
    assert org.store.read('SELECT "Name" FROM "Account"') == [("Two",)]


def test_upsert_of_an_array(play: Play, connection: dict[str, str], add: Add, org: Emulator) -> None:
    """Since version 46 one call for all: known and new records, and one that is wrong."""
    known = add("Account", Name="Known", Code__c="K")
    records = [{"Code__c": "K", "Name": "Changed"}, {"Code__c": "N", "Name": "New"}, {"Code__c": "W"}]
    seen = play("upsert", connection=connection, sobject="Account", records=records, key="Code__c")
    assert [(row["success"], row.get("created")) for row in seen[:2]] == [(True, False), (True, True)]
    assert (seen[0]["id"], seen[2]["success"]) == (known, False)
    assert [call.path.partition("v50.0")[2] for call in org.calls] == ["/composite/sobjects/Account/Code__c"]


def test_records_can_be_changed_where_they_are_found(org: Emulator, play: Play, connection: dict[str, str], add: Add) -> None:
    """`find().update()`: a query, and then collections below its threshold for Bulk API 1.0."""
    add("Account", Name="A", Site="old"), add("Account", Name="B", Site="old"), add("Account", Name="C", Site="other")
    seen = play("update_where", connection=connection, sobject="Account", conditions={"Site": "old"}, changes={"Site": "new"})
    assert [row["success"] for row in seen] == [True, True]
    assert org.store.read('SELECT "Site" FROM "Account" ORDER BY "Name"') == [("new",), ("new",), ("other",)]


def test_describes_tell_objects_and_fields(play: Play, connection: dict[str, str]) -> None:
    """The global describe and an object's."""
    seen = play("described", connection=connection, sobject="Order_Line__c")
    assert "Order_Line__c" in [one["name"] for one in seen["every"]["sobjects"]]
    assert {"Number__c", "Account__c", "Status__c"} < {field["name"] for field in seen["one"]["fields"]}


def test_changes_of_a_window_are_told(org: Emulator, play: Play, connection: dict[str, str], add: Add) -> None:
    """`updated` and `deleted` of a window."""
    org.clock.freeze(datetime(2026, 11, 20, 10, 0, 30, tzinfo=UTC))
    kept, gone = add("Account", Name="Kept"), add("Account", Name="Gone")
    account = org.store.catalog.get("Account")
    assert account is not None
    org.store.delete(account, gone, user_id=org.org.api_user_id)
    org.clock.advance(300)
    seen = play("changes", connection=connection, sobject="Account", start="2026-11-20T09:59:00Z", end="2026-11-20T10:02:00Z")
    assert seen["updated"]["ids"] == [kept]
    assert [row["id"] for row in seen["deleted"]["deletedRecords"]] == [gone]


def test_limits_are_told(play: Play, connection: dict[str, str]) -> None:
    """`limits` itself counts."""
    assert play("limits", connection=connection)["DailyApiRequests"] == {"Max": 100_000, "Remaining": 99_999}


def test_search_finds_records(play: Play, connection: dict[str, str], add: Add) -> None:
    """SOSL."""
    record_id = add("Account", Name="Acme Rockets")
    seen = play("search", connection=connection, sosl="FIND {Acme*} IN NAME FIELDS RETURNING Account(Id, Name)")
    assert ids(seen["searchRecords"]) == [record_id]


def test_tooling_answers_queries(play: Play, connection: dict[str, str]) -> None:
    """EntityDefinition of the Tooling API."""
    soql = "SELECT QualifiedApiName FROM EntityDefinition WHERE QualifiedApiName = 'Order_Line__c'"
    assert [row["QualifiedApiName"] for row in play("tooling", connection=connection, soql=soql)["records"]] == ["Order_Line__c"]
