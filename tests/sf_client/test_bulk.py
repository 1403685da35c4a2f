"""Laws of SfClient's bulk writes: an answer for every row, in order, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.salesforce.writable import writable

from halocline import SfClient
from halocline.config import Settings
from halocline.emulator.faults import FOREVER
from halocline.emulator.server import Emulator
from halocline.errors import FixConfig, RetryLater
from halocline.ledger import MemoryLedger
from halocline.sf_client import BulkType

pytestmark = pytest.mark.system

KEYS = {"success", "created", "id", "errors"}


class Here:
    def __init__(self, emulator: Emulator, sf: SfClient) -> None:
        self.emulator = emulator
        self.sf = sf

    def names(self) -> list[object]:
        return [row["Name"] for row in self.emulator.query("SELECT Name FROM Account ORDER BY Name")]


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Any]]:
    with writable(tmp_path_factory.mktemp("org")) as (emulator, client):
        client.limits()  # logged in before the checkpoint, so that each test finds the session there
        emulator.checkpoint()
        yield emulator, client


@pytest.fixture
def here(org: tuple[Emulator, Any], tmp_path: Path) -> Iterator[Here]:
    org[0].reset()
    with MemoryLedger() as ledger:
        yield Here(org[0], SfClient(client=org[1], settings=Settings(tmp_path), ledger=ledger))


def rows(count: int, **more: object) -> list[dict[str, Any]]:
    return [{"Ext__c": f"e{number:05}", "Name": f"n{number:05}", **more} for number in range(count)]


def test_answers_have_the_shape_and_the_order_of_the_rows(here: Here) -> None:
    """Four keys each; ids, whether it was created, and Salesforce's errors with code, message and fields."""
    told = here.sf.bulk.Account.upsert([*rows(2), {"Ext__c": "x"}, {"Ext__c": "y", "Name": "z"}], "Ext__c")
    assert all(set(one) == KEYS for one in told)
    assert [(one["success"], one["created"]) for one in told] == [(True, True), (True, True), (False, False), (True, True)]
    (error,) = told[2]["errors"]
    assert (error["statusCode"], error["fields"]) == ("REQUIRED_FIELD_MISSING", ["Name"])
    again = here.sf.bulk.Account.upsert(rows(2), "Ext__c")
    assert [(one["id"], one["created"]) for one in again] == [(one["id"], False) for one in told[:2]]


def test_each_operation_does_what_it_says(here: Here) -> None:
    """Inserted, updated, deleted, deleted for good; what is not there is an answer, no exception."""
    made = here.sf.bulk.Account.insert(rows(3))
    ids = [one["id"] for one in made]
    assert [one["created"] for one in made] == [True] * 3
    assert all(one["success"] for one in here.sf.bulk.Account.update([{"Id": ids[0], "Name": "new"}], batch_size=10_000))
    assert here.names() == ["n00001", "n00002", "new"]
    assert [one["success"] for one in here.sf.bulk.Account.delete([{"Id": ids[0]}, {"Id": ids[0][:-4] + "zzzz"}])] == [
        True,
        False,
    ]
    assert here.sf.bulk.Account.hard_delete([{"Id": ids[1]}])[0]["id"] == ids[1]
    assert here.sf.bulk.Account.submit_dml("upsert", [{"Id": ids[2], "Name": "last"}], external_id_field="Id")[0]["success"]
    assert here.names() == ["last"]


def test_the_older_clients_calls_are_taken(here: Here) -> None:
    """By position as by name, for every write alike; what would leave rows without answers is refused before anything is sent."""
    bulk = here.sf.bulk.Account
    made = [one["id"] for one in bulk.insert(rows(3), 5000, True)]
    assert bulk.update([{"Id": made[0], "Name": "a"}], 5000, False)[0]["success"]
    assert bulk.upsert([{"Ext__c": "e00001", "Name": "b"}], "Ext__c", "auto", use_serial=True)[0]["success"]
    assert bulk.delete([{"Id": made[0]}], 5000)[0]["success"]
    assert bulk.hard_delete([{"Id": made[1]}], 5000, True)[0]["success"]
    assert bulk.submit_dml("upsert", [{"Ext__c": "e00002", "Name": "c"}], "Ext__c", 5000)[0]["success"]
    assert bulk.submit_dml("insert", [{"Name": "d"}], None, 5000, True)[0]["success"]
    assert here.sf.bulk.submit_dml("Account", "upsert", [{"Ext__c": "e00002", "Name": "c"}], "Ext__c", 5000)[0]["success"]
    made = here.sf.bulk.submit_dml(object_name="Account", dml="insert", data=[{"Name": "e"}])
    assert here.sf.bulk.submit_dml("Account", "delete", [{"Id": made[0]["id"]}])[0]["success"]
    assert here.names() == ["c", "d"]
    assert [one["Name"] for one in bulk.query("SELECT Name FROM Account ORDER BY Name", wait=5)] == ["c", "d"]
    assert len(bulk.query_all("SELECT Name FROM Account", False)) == 4


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda bulk: bulk.submit_dml("upsrt", rows(1)), "Did you mean upsert"),
        (lambda bulk: bulk.submit_dml("merge", rows(1)), "there is no write 'merge'"),
        (lambda bulk: bulk.submit_dml("upsert", rows(1)), "needs an external id field"),
        (lambda bulk: bulk.submit_dml("insert", rows(1), bypass_results=True), "bypass_results is not"),
        (lambda bulk: bulk.bulk.submit_dml("Account", "insert", rows(1), None, 0, False, True), "bypass_results is not"),
        (lambda bulk: bulk.insert(rows(1), bypass_results=True), "bypass_results is not"),
        (lambda bulk: bulk.update(rows(1), include_detailed_results=True), "include_detailed_results is not"),
        (lambda bulk: bulk.upsert(rows(1), "Ext__c", bypass_results=True), "bypass_results is not"),
        (lambda bulk: bulk.delete(rows(1), bypass_results=True), "bypass_results is not"),
        (lambda bulk: bulk.hard_delete(rows(1), bypass_results=True), "bypass_results is not"),
        (lambda bulk: bulk.query("SELECT Id FROM Account", lazy_operation=True), "lazy_operation is not"),
        (lambda bulk: bulk.query_all("SELECT Id FROM Account", True), "lazy_operation is not"),
    ],
)
def test_what_is_not_to_be_had_is_refused(here: Here, call: Callable[[BulkType], object], said: str) -> None:
    """With what to do instead, and before anything is sent."""
    here.emulator.calls.clear()
    with pytest.raises(FixConfig, match=said):
        call(here.sf.bulk.Account)
    assert not list(here.emulator.calls)


def test_one_row_and_none(here: Here) -> None:
    """A single row is sent, and no rows ask nobody."""
    here.emulator.calls.clear()
    assert here.sf.bulk.Account.insert([]) == []
    assert not list(here.emulator.calls)
    assert len(here.sf.bulk.Account.insert(iter(rows(1)))) == 1
    assert here.names() == ["n00000"]


def test_many_rows_go_by_bulk(here: Here) -> None:
    """And are answered in order: every name is under the id that its row was given."""
    sent = rows(2_500)
    sent[1_234]["Name"] = None
    told = here.sf.bulk.Account.upsert(sent, "Ext__c")
    assert [number for number, one in enumerate(told) if not one["success"]] == [1_234]
    found = {row["Id"]: row["Ext__c"] for row in here.emulator.query("SELECT Id, Ext__c FROM Account")}
    assert [found.get(one["id"]) for one in told] == [row["Ext__c"] if row["Name"] else None for row in sent]


def test_a_lost_reply_neither_loses_nor_doubles_a_row(here: Here) -> None:
    """The answer to the upload, and to the call that begins the job, are lost once: each row is there once."""
    for method in ("PUT", "PATCH"):
        here.emulator.faults.add("lose_reply", path="/jobs/ingest/", method=method, times=1)
    told = here.sf.bulk.Account.insert(rows(20))
    assert [one["success"] for one in told] == [True] * 20
    assert here.names() == [row["Name"] for row in rows(20)]


def test_a_name_that_the_object_does_not_have_sends_nothing(here: Here) -> None:
    """It is told before, with the names that are near."""
    with pytest.raises(FixConfig, match="Phone"):
        here.sf.bulk.Account.insert([{"Name": "a", "Phon": "1"}])
    with pytest.raises(FixConfig, match="CreatedDate cannot be set"):
        here.sf.bulk.Account.upsert([{"Ext__c": "a", "Name": "a", "CreatedDate": "2026-01-01T00:00:00Z"}], "Ext__c")
    assert here.names() == []


@pytest.mark.parametrize("action", ["job_failed", "job_aborted"])
def test_a_job_that_failed_gives_every_row_an_answer(here: Here, action: str) -> None:
    """What it had written is told as written, the rest with the job's own words; none is missing."""
    here.emulator.faults.add(action, object="Account", times=1)
    told = here.sf.bulk.Account.insert(rows(30))
    assert len(told) == 30
    written = {one["id"] for one in told if one["success"]}
    assert len(written) == len(here.names())
    assert all(one["errors"][0]["statusCode"] and one["errors"][0]["message"] for one in told if not one["success"])


def test_the_same_call_goes_on_where_it_was_cut_off(here: Here) -> None:
    """What ended the first is raised, with an answer for each row; the second does the rest, and doubles nothing."""
    here.emulator.faults.add("lose_reply", path="/jobs/ingest/", method="PATCH", times=1)
    here.emulator.faults.add("cut", path="/jobs/ingest/", method="GET", times=FOREVER)
    with pytest.raises(RetryLater) as cut:
        here.sf.bulk.Account.insert(rows(20))
    told = cut.value.facts["results"]
    assert isinstance(told, list)
    assert [one["success"] for one in told] == [False] * 20
    assert {one["errors"][0]["statusCode"] for one in told} <= {"FATE_UNKNOWN", "IN_DOUBT"}
    here.emulator.faults.clear()
    assert [one["success"] for one in here.sf.bulk.Account.insert(rows(20))] == [True] * 20
    assert len(here.names()) == 20
