"""lht 3.0.0 as published: its logins, a sync into a look-alike of its warehouse, and reverse ETL from a warehouse of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from halocline.emulator.server import Emulator
from tests.system.clients.conftest import BULK_PAGE, USER, Play
from tests.system.clients.stage import ClientFailed

CLIENT = "lht"
Add = Callable[..., str]
Stored = Callable[[str, str], Mapping[str, object] | None]
Login = dict[str, str]


@pytest.fixture
def login(org: Emulator, session_id: str) -> Login:
    return {"instance_url": org.url, "access_token": session_id}


def accounts(org: Emulator) -> list[list[Any]]:
    return [list(row) for row in org.store.read('SELECT "Id", "Name" FROM "Account" ORDER BY "Id"')]


def test_an_app_comes_in_by_its_own_name(org: Emulator, play: Play, app: dict[str, str]) -> None:
    """Client credentials at a My Domain that it spells itself."""
    seen = play("by_client_credentials", **app, my_domain="judge")
    assert seen["instance_url"] == "https://judge.my.salesforce.com"
    assert org.org.sessions.peek(seen["access_token"]) is not None


def test_a_signed_assertion_comes_in(org: Emulator, play: Play, app: dict[str, str], private_key: str) -> None:
    """JWT bearer, for the very address that it asks."""
    told = {"client_id": app["client_id"], "username": USER.username, "private_key": private_key}
    for address in ("https://login.salesforce.com", org.url):
        assert play("by_assertion", **told, login_url=address)["instance_url"] == address


def test_a_sync_copies_every_page(org: Emulator, play: Play, login: Login) -> None:
    """A first sync: describe, a Bulk 2.0 query, its pages until the locator is `null`, and the job deleted (204)."""
    org.seed({"Account": BULK_PAGE + 20})
    seen = play("synced", login=login, sobject="Account", database="first.duckdb")
    assert seen["result"]["success"] is True
    assert seen["held"] == accounts(org)
    assert org.calls.count("bulk.results") == 2
    assert {call.status for call in org.calls.of("bulk.delete")} == {204}


def test_a_second_sync_merges_what_changed(org: Emulator, play: Play, login: Login, add: Add) -> None:
    """One record changed and one new since: both are there, once."""
    org.seed({"Account": 20})
    play("synced", login=login, sobject="Account", database="second.duckdb")
    org.clock.advance(60)
    account = org.store.catalog.get("Account")
    assert account is not None
    org.store.update(account, accounts(org)[0][0], {"Name": "Changed"}, user_id=org.org.api_user_id)
    add("Account", Name="New")
    seen = play("synced", login=login, sobject="Account", database="second.duckdb")
    assert seen["held"] == accounts(org)
    assert (len(seen["held"]), seen["held"][0][1], seen["held"][-1][1]) == (21, "Changed", "New")


def test_rows_are_upserted(org: Emulator, play: Play, login: Login, add: Add) -> None:
    """Upper-case column names, CRLF lines, no contentType, slashes at the end: the job is done all the same."""
    known = add("Account", Name="Known", Code__c="K")
    rows = [{"CODE__C": "K", "NAME": "Chänged"}, {"CODE__C": "N", "NAME": "New"}]
    told = play("written", login=login, operation="upsert", sobject="Account", rows=rows, field="Code__c")["told"]
    assert (told["successful_batches"], told["failed_batches"], told["records_processed"]) == (1, 0, 2)
    assert [known, "Chänged"] in accounts(org)
    assert len(accounts(org)) == 2
    job_id = told["batch_results"][0]["job_id"]
    seen = play("results", login=login, job_id=job_id)
    assert (seen["job"]["state"], seen["job"]["lineEnding"], seen["job"]["contentType"]) == ("JobComplete", "CRLF", "CSV")
    assert {row["CODE__C"]: row["sf__Created"] for row in seen["successful"]} == {"K": "false", "N": "true"}
    assert seen["failed"] == []
    assert "sf__Id" in play("job_files", login=login, job_id=job_id)["successful_results"]


def test_jobs_are_listed_and_deleted(org: Emulator, play: Play, login: Login) -> None:
    """Query and ingest jobs; lht counts only a 204 as deleted."""
    rows = [{"CODE__C": "N", "NAME": "New"}]
    told = play("written", login=login, operation="upsert", sobject="Account", rows=rows, field="Code__c")["told"]
    job_id = told["batch_results"][0]["job_id"]
    seen = play("job_life", login=login, job_id=job_id)
    assert (seen["listed"], seen["shown"]["id"], seen["shown"]["state"]) == ([job_id], job_id, "JobComplete")
    assert seen["deleted"]["success"] is True
    with pytest.raises(ClientFailed, match="Job not found"):
        play("job_life", login=login, job_id=job_id)


def test_a_job_whose_rows_all_failed_counts_as_done(play: Play, login: Login, org: Emulator) -> None:
    """The client's fault: it looks at the job's state, JobComplete, and not at its rows."""
    rows = [{"CODE__C": "N", "NAME": None}]
    told = play("written", login=login, operation="upsert", sobject="Account", rows=rows, field="Code__c")["told"]
    assert (told["successful_batches"], accounts(org)) == (1, [])
    seen = play("results", login=login, job_id=told["batch_results"][0]["job_id"])
    assert seen["failed"][0]["sf__Error"].startswith("REQUIRED_FIELD_MISSING:")


def test_rows_are_inserted_updated_and_deleted(org: Emulator, play: Play, login: Login, stored: Stored) -> None:
    """The other operations; `clear_nulls` writes #N/A."""

    def run(operation: str, *rows: dict[str, object], **options: object) -> None:
        play("written", login=login, operation=operation, sobject="Account", rows=rows, **options)

    run("insert", {"NAME": "One", "PHONE": "1"})
    ((record_id, name),) = accounts(org)
    assert name == "One"
    run("update", {"ID": record_id, "NAME": "Two", "PHONE": None}, clear_nulls=True)
    row = stored("Account", record_id)
    assert row is not None
    assert (row["Name"], row["Phone"]) == ("Two", None)
    run("delete", {"ID": record_id})
    row = stored("Account", record_id)
    assert row is not None
    assert row["IsDeleted"]


def test_a_job_without_rows_fails(play: Play, login: Login) -> None:
    """The client's fault: for no rows at all it makes a job and uploads nothing, and that job can only fail."""
    with pytest.raises(ClientFailed):
        play("written", login=login, operation="insert", sobject="Account", rows=[])


def test_merging_is_refused(play: Play, login: Login, add: Add, stored: Stored) -> None:
    """SOAP merge() is not part of the emulator: it says so as Salesforce does of an operation that it does not know."""
    master, loser = add("Account", Name="Master"), add("Account", Name="Loser")
    with pytest.raises(ClientFailed, match=r"No operation available for request \{urn:partner\.soap\.sforce\.com\}merge"):
        play("merged", login=login, sobject="Account", rows=[{"MASTERID": master, "LOSERID": loser}])
    row = stored("Account", loser)
    assert row is not None
    assert not row["IsDeleted"]
