"""Laws of writing that an older tool for the same job broke. Each test says in its docstring what was lost or changed there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from halocline import FieldMapper, SalesforceClient
from halocline.config import Settings
from halocline.emulator.server import Emulator
from halocline.errors import FixConfig, HaloclineError, StillRunning, Stopped
from halocline.pipeline import SyncPipeline, SyncStatus
from tests.connectors.salesforce.writable import writable
from tests.examples import in_turn

pytestmark = pytest.mark.system

BOTH_WAYS = ("collections", "bulk")
both_ways = pytest.mark.parametrize("api", BOTH_WAYS)


class Here:
    """An org, a client of it, and pipelines whose runs lie in a folder of their own."""

    def __init__(self, emulator: Emulator, client: SalesforceClient, folder: Path) -> None:
        self.emulator = emulator
        self.client = client
        self.settings = Settings(folder / "home", folder / "spool")

    def pipeline(self, mode: str = "insert", **options: Any) -> SyncPipeline:
        key = "Ext__c" if mode == "upsert" else None
        return SyncPipeline(self.client, "Account", mode=mode, external_id_field=key, settings=self.settings, **options)

    def accounts(self, columns: str = "Name") -> list[tuple[object, ...]]:
        return [tuple(row.values()) for row in self.emulator.query(f"SELECT {columns} FROM Account ORDER BY Name, Id")]

    def calls(self, part: str) -> int:
        """How many calls were made whose kind has this part."""
        return sum(part in call.kind for call in self.emulator.calls)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with writable(tmp_path, page_rows=1_000) as (emulator, client):
        yield Here(emulator, client, tmp_path)


def rows(count: int, **more: object) -> list[dict[str, Any]]:
    return [{"Ext__c": f"e{number:05}", "Name": f"n{number:05}", **more} for number in range(count)]


# ---- 1, 2, 3: upserts


@both_ways
def test_the_second_upsert_changes_what_the_first_made(here: Here, api: str) -> None:
    """Same records, same ids, one record each: there every upsert was refused, for it sent the key in address and body."""
    first = here.pipeline("upsert", api=api).sync(rows(5))
    second = here.pipeline("upsert", api=api).sync(rows(5, Phone="1"))
    assert (first.metadata["created"], second.metadata["created"], second.metadata["updated"]) == (5, 0, 5)
    assert second.salesforce_ids == first.salesforce_ids
    assert here.accounts("Name, Phone") == [(row["Name"], "1") for row in rows(5)]


@both_ways
def test_keys_in_two_spellings_are_one_record(here: Here, api: str) -> None:
    """The later row's fields win, as there, where each record was a call; in one call or job Salesforce refuses both."""
    told = [("d", "Phone", "1"), ("D", "Phone", "2"), ("e", "Phone", "3"), ("D", "Name", "last")]
    given = [{"Ext__c": key, "Name": "first", name: value} for key, name, value in told]
    result = here.pipeline("upsert", api=api).sync(given)
    assert (result.success_count, result.error_count, result.metadata["folded"]) == (4, 0, 2)
    assert here.accounts("Name, Phone") == [("first", "3"), ("last", "2")]
    assert len(set(result.salesforce_ids)) == 2


def test_a_single_upsert_keeps_the_key_out_of_the_body(here: Here) -> None:
    """The id is told of a record that was changed as well, and nobody asks twice: there it was None, after a query of its own."""
    made = here.client.upsert("Account", rows(1)[0], external_id_field="Ext__c")
    here.emulator.calls.clear()
    assert here.client.upsert("Account", {"Ext__c": "e00000", "Phone": "1"}, external_id_field="Ext__c") == made
    assert [call.status for call in here.emulator.calls] == [200]


@pytest.mark.parametrize(
    ("key", "api"), in_turn(["A/B?x=1", "O'Neil", 'say "so"', "50 % & more#1", "Ünïcode 漢", "a,b\nc"], BOTH_WAYS)
)
def test_a_key_may_hold_anything(here: Here, api: str, key: str) -> None:
    """The record has just that key, and is found by it: there `A/B?x=1` became `A/B`, and a quote broke a query."""
    for phone in ("1", "2"):
        assert here.pipeline("upsert", api=api).sync([{"Ext__c": key, "Name": "x", "Phone": phone}]).success_count == 1
    assert here.client.upsert("Account", {"Name": "y"}, external_id_field="Ext__c", value=key)
    assert here.accounts("Ext__c, Name, Phone") == [(key, "y", "2")]


# ---- 4: requests


def test_a_thousand_records_are_five_requests(here: Here) -> None:
    """200 a call: there it was a call, and a connection, for each record."""
    assert here.pipeline(batch_size=500).sync(rows(1_000)).success_count == 1_000
    assert here.calls("collections") == 5


# ---- 5, 6, 7: errors and callbacks


def test_stopping_at_an_error_keeps_the_result(here: Here) -> None:
    """The counts, the ids and the last batch are told: there the result was lost, and the batch was never told."""
    told: list[tuple[int, int]] = []
    callbacks = {"on_batch_complete": lambda number, total, _: told.append((number, total))}
    with pytest.raises(Stopped, match="row 3: REQUIRED_FIELD_MISSING") as stopped:
        here.pipeline(batch_size=2, stop_on_error=True, callbacks=callbacks).sync([*rows(3), {"Phone": "1"}, *rows(4)])
    result = stopped.value.result  # type: ignore[attr-defined]  # the pipeline puts it there
    assert (result.success_count, result.error_count, result.not_attempted_count) == (3, 1, 4)
    assert len(result.salesforce_ids) == 3
    assert told == [(1, 4), (2, 4)]


@both_ways
def test_an_error_is_told_in_salesforces_words(here: Here, api: str) -> None:
    """Code, message, fields: there it was "400 Client Error", and by Bulk always UNKNOWN_ERROR."""
    (error,) = here.pipeline(api=api).sync([{"Phone": "1"}]).errors
    assert error["error"] == "REQUIRED_FIELD_MISSING: Required fields are missing: [Name]"
    assert (error["code"], error["fields"]) == ("REQUIRED_FIELD_MISSING", ("Name",))


@pytest.mark.parametrize("name", ["on_record_success", "on_record_error"])
def test_a_callback_that_raises_neither_doubles_a_record_nor_ends_the_sync(here: Here, name: str) -> None:
    """Two written and one refused stay that: there a saved record was counted as an error too, or the rest was not sent."""
    with pytest.warns(RuntimeWarning, match=name):
        result = here.pipeline(batch_size=1, callbacks={name: lambda *_: 1 / 0}).sync([*rows(1), {"Phone": "1"}, {"Name": "z"}])
    assert (result.success_count, result.error_count, result.total_records) == (2, 1, 3)
    assert result.success_rate == pytest.approx(200 / 3)


# ---- 8, 9, 10: the caller's records


@both_ways
def test_the_callers_records_are_left_alone(here: Here, api: str) -> None:
    """A record that failed still has its Id and can be sent again: there UPDATE took it out of the caller's own dict."""
    (made,) = here.pipeline().sync(rows(1)).salesforce_ids
    given = {"Id": made, "Name": ""}
    failed = here.pipeline("update", api=api).sync([given])
    assert failed.errors[0]["record"] is given
    assert given == {"Id": made, "Name": ""}
    given["Name"] = "mended"
    assert here.pipeline("update", api=api).sync(failed.failed_records).success_count == 1


def test_a_mapping_that_leaves_out_what_is_needed_is_refused_at_once(here: Here) -> None:
    """One error before anything is sent: there every record failed, one call each."""
    with pytest.raises(FixConfig, match="Name: a new Account needs it"):
        here.pipeline(mapper=FieldMapper({"p": "Phone"})).sync([{"p": "1"}] * 10)
    assert here.calls("collections") == 0


@both_ways
@pytest.mark.parametrize(("key", "stored"), [(0, "0"), ("0", "0"), (False, "false")])
def test_zero_is_a_key(here: Here, api: str, key: object, stored: str) -> None:
    """Only nothing is missing: there 0 counted as no key."""
    result = here.pipeline("upsert", api=api).sync([{"Ext__c": key, "Name": "x"}, {"Ext__c": "", "Name": "y"}, {"Name": "z"}])
    assert [(error["row"], error["code"]) for error in result.errors] == [(1, "MISSING_KEY"), (2, "MISSING_KEY")]
    assert here.accounts("Ext__c") == [(stored,)]


@both_ways
def test_it_is_told_which_records_are_written(here: Here, api: str) -> None:
    """By row, so that the right ones are marked as done: there "the first n" were taken for the n that were written."""
    given = [*rows(2), {"Ext__c": "bad", "Phone": "1"}, {"Ext__c": "last", "Name": "last"}]
    result = here.pipeline("upsert", api=api).sync(given)
    wrong = {error["row"] for error in result.errors}
    done = [row["Ext__c"] for number, row in enumerate(given) if number not in wrong]
    assert sorted(done) == sorted(key for (key,) in here.accounts("Ext__c"))
    assert dict(zip(done, result.salesforce_ids, strict=True)) == dict(here.accounts("Ext__c, Id"))


# ---- 11: reading


def test_a_query_reads_every_page(here: Here) -> None:
    """4,001 of 4,001, which are three pages: there the first page was all."""
    here.emulator.seed({"Account": 4_001})
    assert len({record["Id"] for record in here.client.query("SELECT Id FROM Account")}) == 4_001


# ---- 12: Bulk


def test_text_survives_bulk_both_ways(here: Here) -> None:
    """In the org, and in the error that comes back: there results were read as Latin-1."""
    given = [{"Name": "Žižka, “漢字” 🚀"}, {"Phone": "Ünïcode"}]
    result = here.pipeline(api="bulk").sync(given)
    assert here.accounts() == [("Žižka, “漢字” 🚀",)]
    assert result.errors[0]["record"] is given[1]


@both_ways
def test_none_clears_and_what_is_missing_stays(here: Here, api: str) -> None:
    """The same on both paths: there None was an empty cell, which Bulk takes for "leave it"."""
    (made,) = here.pipeline().sync(rows(1, Phone="1", Fax="2", Website="w.example")).salesforce_ids
    here.pipeline("update", api=api).sync([{"Id": made, "Phone": None, "Fax": ""}])
    assert here.accounts("Phone, Fax, Website") == [(None, None, "w.example")]


@both_ways
def test_a_parent_may_be_a_dict(here: Here, api: str) -> None:
    """It is a lookup by its key: there Bulk got Python's spelling of the dict."""
    here.pipeline().sync(rows(1))
    assert here.pipeline(api=api).sync([{"Name": "child", "Parent": {"Ext__c": "e00000"}}]).errors == []
    assert here.accounts("Name, Parent.Name")[0] == ("child", {"Name": "n00000"})


def test_a_failed_job_says_why_and_every_record_is_accounted_for(here: Here) -> None:
    """Salesforce's own words, and the records that it did not come to: there neither was asked for."""
    here.emulator.org.jobs.doom("Failed", "InternalServerError : it broke", after_batches=1)
    given = [{"Name": f"n{number}"} for number in range(10_050)]
    result = here.pipeline(api="bulk").sync(given)
    assert (result.success_count, result.error_count, result.status) == (10_000, 50, SyncStatus.PARTIAL)
    assert [error["row"] for error in result.errors] == list(range(10_000, 10_050))
    assert all("InternalServerError : it broke" in error["message"] for error in result.errors)
    assert result.failed_records == given[10_000:]


@both_ways
def test_nothing_to_do_starts_nothing(here: Here, api: str) -> None:
    """No job, no call: there an empty list started a job."""
    assert here.pipeline(api=api).sync([]).status is SyncStatus.SUCCESS
    assert here.calls("ingest") == here.calls("collections") == 0


def test_patience_has_an_end(here: Here) -> None:
    """A job that does not end is left running, and the error names it: there some calls waited for ever."""
    here.emulator.org.jobs.hold()
    started = time.monotonic()
    with pytest.raises(StillRunning) as told:
        here.client.bulk.insert("Account", rows(3), deadline_s=0.05)
    assert time.monotonic() - started < 30
    assert told.value.facts["job_ids"]


# ---- 13: mappings


def test_a_record_that_cannot_be_mapped_keeps_its_place(here: Here) -> None:
    """Rows behind it keep their numbers: there it was dropped from the batch, and the others moved up."""
    given = [{"n": "1"}, {"n": "x"}, {"n": "3"}, {"n": None}]
    result = here.pipeline(mapper=FieldMapper({"n": ("Name", lambda value: str(int(value)))})).sync(given)
    assert [(error["row"], error["record"]) for error in result.errors] == [(1, given[1]), (3, given[3])]
    assert here.accounts() == [("1",), ("3",)]


def test_a_mapping_says_what_the_others_could_not(here: Here) -> None:
    """Defaults for empty texts, two targets of one source, names with dots, "false", in a dict: there none was possible."""
    mapping = {
        "full.name": ["Name", {"target": "Description", "transform": "uppercase"}],
        "tier": {"target": "Site", "default": "none"},
        "flag": ("Phone", ["bool", "text"]),
    }
    made = SyncPipeline.from_config({"sobject": "Account", "mapping": mapping}, here.client, settings=here.settings)
    assert made.sync([{"full.name": "a", "tier": "", "flag": "false"}]).errors == []
    assert here.accounts("Name, Description, Site, Phone") == [("a", "A", "none", "false")]


def test_a_parent_beside_its_own_field_is_refused_when_it_is_said() -> None:
    """With words: there it was a TypeError in the middle of a load."""
    with pytest.raises(FixConfig, match="Account"):
        FieldMapper({"a": "Account", "b": "Account.Ext__c"})


# ---- 14: instants and texts


@both_ways
def test_an_instant_without_a_zone_is_not_guessed(here: Here, api: str) -> None:
    """The record is refused: there the local time was sent as if it were UTC."""
    naive = datetime(2026, 1, 31, 12, 0)  # noqa: DTZ001 - what is tested
    (error,) = here.pipeline(api=api).sync([{"Name": "x", "Seen__c": naive}]).errors
    assert (error["code"], error["fields"]) == ("CANNOT_BE_SENT", ("Seen__c",))
    assert "zone" in error["message"]


def test_every_error_of_ours_says_what_to_do(here: Here) -> None:
    """Whatever ends a sync is an error of our tree, with the result: there it was an HTTPError or a RuntimeError."""
    here.emulator.faults.add("request_limit", times=1_000)
    with pytest.raises(HaloclineError, match="REQUEST_LIMIT_EXCEEDED") as told:
        here.pipeline().sync(rows(1))
    assert told.value.facts["result"].total_records == 1
