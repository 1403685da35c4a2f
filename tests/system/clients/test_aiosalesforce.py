"""aiosalesforce 0.6.2: it takes no address but *.my.salesforce.com, so all of it goes through the CONNECT proxy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from halocline.emulator.server import Emulator
from tests.system.clients.conftest import REST_PAGE, USER, Play
from tests.system.clients.stage import ClientFailed

CLIENT = "aiosalesforce"
Add = Callable[..., str]
Stored = Callable[[str, str], Mapping[str, object] | None]
Login = dict[str, Any]
ALL = 2 * REST_PAGE + 50
MY_DOMAIN = "https://judge.my.salesforce.com"
SOQL = "SELECT Id, Name FROM Account ORDER BY Id"
ORGANIZATION = "SELECT Id FROM Organization"


@pytest.fixture
def login(app: dict[str, str]) -> Login:
    return {"url": MY_DOMAIN, "way": "client_credentials", "credentials": app}


def test_an_app_comes_in_by_its_own_name(org: Emulator, play: Play, login: Login) -> None:
    """Client credentials in the form's body."""
    assert [row["Id"] for row in play("rows", **login, soql=ORGANIZATION)] == [org.org.org_id]
    assert [call.kind for call in org.calls] == ["token", "query"]


@pytest.mark.parametrize("host", ["judge--dev.sandbox", "judge-dev-ed.develop"])
def test_every_kind_of_host_leads_here(play: Play, login: Login, host: str) -> None:
    """Sandboxes and developer orgs too: the certificate carries their names."""
    assert len(play("rows", **{**login, "url": f"https://{host}.my.salesforce.com"}, soql=ORGANIZATION)) == 1


def test_a_password_comes_in_by_soap(play: Play) -> None:
    """Its envelope has no header and does not escape: the user's password has to be plain."""
    credentials = {"username": USER.username, "password": USER.password, "security_token": USER.security_token}
    escaped = {**credentials, "password": "pa&lt;ss&gt;&amp;word"}
    assert len(play("rows", url=MY_DOMAIN, way="soap", credentials=escaped, soql=ORGANIZATION)) == 1
    with pytest.raises(ClientFailed, match="INVALID_LOGIN"):
        play("rows", url=MY_DOMAIN, way="soap", credentials={**escaped, "security_token": "no"}, soql=ORGANIZATION)


def test_a_signed_assertion_comes_in(play: Play, app: dict[str, str], private_key: str) -> None:
    """JWT bearer, for login.salesforce.com at a My Domain."""
    credentials = {"client_id": app["client_id"], "username": USER.username, "private_key": private_key}
    assert len(play("rows", url=MY_DOMAIN, way="jwt", credentials=credentials, soql=ORGANIZATION)) == 1


def test_a_wrong_secret_stays_outside(play: Play, login: Login, app: dict[str, str]) -> None:
    """`[error] error_description` reaches the user."""
    with pytest.raises(ClientFailed, match=r"\[invalid_client\] invalid client credentials"):
        play("rows", **{**login, "credentials": {**app, "client_secret": "no"}}, soql=ORGANIZATION)


def test_an_ended_session_is_renewed(org: Emulator, play: Play, login: Login) -> None:
    """401 makes it ask for a new token, once."""
    org.faults.add("expire_session", path="/query", times=1)
    assert len(play("rows", **login, soql=ORGANIZATION)) == 1
    assert [(call.kind, call.status) for call in org.calls] == [("token", 200), ("query", 401), ("token", 200), ("query", 200)]


def test_query_gives_every_page(org: Emulator, play: Play, login: Login) -> None:
    """Three pages, every row once and in order."""
    org.seed({"Account": ALL})
    seen = [row["Id"] for row in play("rows", **login, soql=SOQL)]
    assert seen == [row[0] for row in org.store.read('SELECT "Id" FROM "Account" ORDER BY "Id"')]
    assert org.calls.count("query.more") == 2


def test_many_queries_go_through_the_proxy_at_once(org: Emulator, play: Play, login: Login, add: Add) -> None:
    """Twenty in parallel, each with a tunnel; all see the same, after one login."""
    add("Account", Name="One")
    assert play("many_at_once", **login, soql=SOQL, times=20) == [1] * 20
    assert org.calls.count("token") == 1


def test_deleted_rows_come_when_asked_for(play: Play, login: Login) -> None:
    """QueryAll."""
    play("record_life", **login, sobject="Account", first={"Name": "Brief"}, second={"Phone": "1"})
    assert play("rows", **login, soql=SOQL) == []
    assert len(play("rows", **login, soql=SOQL, include_all_records=True)) == 1


def test_a_record_lives_and_dies(play: Play, login: Login, stored: Stored) -> None:
    """create, get, update, delete."""
    seen = play("record_life", **login, sobject="Account", first={"Name": "Müller \U0001f30a"}, second={"Phone": "1"})
    assert seen["before"]["Name"] == "Müller \U0001f30a"
    assert seen["after"]["Phone"] == "1"
    row = stored("Account", seen["id"])
    assert row is not None
    assert (row["Phone"], row["IsDeleted"]) == ("1", True)
    with pytest.raises(ClientFailed, match="ENTITY_IS_DELETED") as caught:
        play("get", **login, sobject="Account", record_id=seen["id"])
    assert caught.value.kind == "NotFoundError"


def test_upsert_tells_new_from_known(play: Play, login: Login) -> None:
    """201 and 200 both have a body with `created`; the key is taken out of the record."""
    wanted = {"sobject": "Account", "key": "Code__c", "value": "A1"}
    first = play("upsert", **login, **wanted, record={"Name": "One", "Code__c": "A1"})
    second = play("upsert", **login, **wanted, record={"Name": "Two"})
    assert (first["created"], second["created"], first["id"]) == (True, False, second["id"])
    assert play("get", **login, sobject="Account", record_id="A1", key="Code__c")["Name"] == "Two"


def test_upsert_of_a_known_record_breaks_below_version_46(play: Play, login: Login, stored: Stored, add: Add) -> None:
    """The client's fault: until version 45 an update is 204 without a body, and it reads JSON. The record is changed."""
    record_id = add("Account", Name="One", Code__c="A1")
    with pytest.raises(ClientFailed) as caught:
        play("upsert", **login, version="45.0", sobject="Account", key="Code__c", value="A1", record={"Name": "Two"})
    assert caught.value.kind == "JSONDecodeError"
    row = stored("Account", record_id)
    assert row is not None
    assert row["Name"] == "Two"


def test_upsert_of_many_matches_is_told_apart(play: Play, login: Login, add: Add) -> None:
    """300 becomes its MoreThanOneRecordError with the paths."""
    add("Account", Name="One", Group__c="G"), add("Account", Name="Two", Group__c="G")
    with pytest.raises(ClientFailed, match=r"/services/data/v60\.0/sobjects/Account/001") as caught:
        play("upsert", **login, sobject="Account", key="Group__c", value="G", record={"Name": "Three"})
    assert caught.value.kind == "MoreThanOneRecordError"


def test_a_server_error_is_tried_again(org: Emulator, play: Play, login: Login) -> None:
    """Its policy repeats 5xx; the second answer is good."""
    org.faults.add("answer", path="/query", status=503, body='[{"message":"busy","errorCode":"SERVER_UNAVAILABLE"}]')
    assert len(play("rows", **login, soql=ORGANIZATION)) == 1
    assert [call.status for call in org.calls.of("query")] == [503, 200]


def test_limits_are_told(play: Play, login: Login) -> None:
    """DailyApiRequests with Max and Remaining."""
    assert play("limits", **login)["DailyApiRequests"] == {"Max": 100_000, "Remaining": 99_999}


def test_a_batch_answers_each_request(org: Emulator, play: Play, login: Login) -> None:
    """/composite/batch: one of three fails, the others do not."""
    seen = play("batch", **login, sobject="Account", record={"Name": "One"}, soql=SOQL)
    assert (seen["missing"], [row["Id"] for row in seen["records"]]) == (404, [seen["id"]])
    assert org.store.read('SELECT "Id" FROM "Account"') == [(seen["id"],)]


def test_a_composite_request_refers_to_itself(org: Emulator, play: Play, login: Login) -> None:
    """`@{reference.id}` of an earlier request."""
    seen = play("composite", **login, parent={"Name": "One"}, child={"LastName": "Smith"})
    assert seen["statuses"] == [201, 201]
    assert org.store.read('SELECT "AccountId" FROM "Contact"') == [(seen["bodies"][0]["id"],)]


def test_a_reference_as_the_client_shows_it_is_no_reference(play: Play, login: Login) -> None:
    """The client's fault: its JSON writer takes `account.reference.id` for the bare text, without `@{}`; `str()` helps."""
    seen = play("composite", **login, parent={"Name": "One"}, child={"LastName": "Smith"}, as_shown=True)
    assert seen["statuses"] == [400, 400]
    assert seen["bodies"][1][0]["errorCode"] == "MALFORMED_ID"


def test_a_composite_request_is_undone_as_a_whole(org: Emulator, play: Play, login: Login) -> None:
    """With allOrNone the account of a contact that is refused goes too: PROCESSING_HALTED."""
    seen = play("composite", **login, parent={"Name": "One"}, child={"FirstName": "Joe"})
    assert seen["bodies"][0][0]["errorCode"] == "PROCESSING_HALTED"
    assert seen["bodies"][1][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert org.store.read('SELECT count(*) FROM "Account"') == [(0,)]


def test_bulk_loads_records(org: Emulator, play: Play, login: Login) -> None:
    """Insert with a bad row, and the three result files, as UTF-8.

    The client's fault: it cuts results into lines before it reads them as CSV: line breaks in values are lost; the org's stay.
    """
    records = [{"Name": "Müller", "Site": "line\nbreak"}, {"Name": "", "Site": "x"}]
    (seen,) = play("bulk", **login, operation="insert", sobject="Account", records=records)
    (good,), (bad,) = seen["successful_results"], seen["failed_results"]
    assert (good["Name"], good["Site"], good["sf__Created"]) == ("Müller", "linebreak", "true")
    assert bad["sf__Error"] == "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"
    assert (seen["job_info"]["state"], seen["job_info"]["job_type"], seen["unprocessed_records"]) == (
        "JobComplete",
        "V2Ingest",
        [],
    )
    assert org.store.read('SELECT "Name", "Site" FROM "Account"') == [("Müller", "line\nbreak")]


def test_bulk_update_upsert_and_deletes(play: Play, login: Login, add: Add, stored: Stored) -> None:
    """The other operations; #N/A clears, None leaves alone."""
    record_id = add("Account", Name="Old", Phone="1", Site="Here", Code__c="K")

    def run(operation: str, *records: dict[str, object], **more: object) -> list[dict[str, str]]:
        (seen,) = play("bulk", **login, operation=operation, sobject="Account", records=records, **more)
        assert seen["failed_results"] == []
        return list(seen["successful_results"])

    run("update", {"Id": record_id, "Name": "New", "Phone": "#N/A", "Site": None})
    row = stored("Account", record_id)
    assert row is not None
    assert (row["Name"], row["Phone"], row["Site"]) == ("New", None, "Here")
    made = run("upsert", {"Code__c": "K", "Name": "Changed"}, {"Code__c": "N", "Name": "New"}, key="Code__c")
    ids = {row["Code__c"]: row["sf__Id"] for row in made}
    assert ids["K"] == record_id
    run("delete", {"Id": record_id})
    row = stored("Account", record_id)
    assert row is not None
    assert row["IsDeleted"]
    run("hardDelete", {"Id": ids["N"]})
    assert stored("Account", ids["N"]) is None


def test_bulk_jobs_are_listed(play: Play, login: Login) -> None:
    """A deleted job is not in the list."""
    seen = play("bulk_jobs", **login, sobject="Account")
    assert seen["aborted"] == "Aborted"
    assert seen["listed"] == [[seen["kept"], "V2Ingest", "Open"]]
