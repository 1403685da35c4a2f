"""Diff mode, mirror and result tables through SyncPipeline, into an org."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from halocline import registry
from halocline.config import Settings
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.emulator.server import Emulator
from halocline.errors import FixConfig, Refused
from halocline.ledger import open_ledger
from halocline.pipeline import SyncPipeline, SyncResult, SyncStatus
from halocline.push.diff.sent import FOLDER
from halocline.push.retry import retry
from tests.connectors.salesforce.writable import writable

pytestmark = pytest.mark.system


@dataclass
class Place:
    """An org, and a home."""

    emulator: Emulator
    client: SalesforceClient
    settings: Settings

    def pipeline(self, **options: Any) -> SyncPipeline:
        given = {"mode": "upsert", "external_id_field": "Ext__c", "settings": self.settings, "flow": "accounts", **options}
        return SyncPipeline(self.client, "Account", **given)

    def sync(self, source: object, **options: Any) -> SyncResult:
        return self.pipeline(**options).sync(source)

    def held(self) -> dict[Any, Any]:
        return {row["Ext__c"]: row["Name"] for row in self.emulator.query("SELECT Ext__c, Name FROM Account")}

    def writes(self) -> int:
        return sum(self.emulator.calls.count(kind) for kind in ("ingest.create", "collections.upsert"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with writable(tmp_path) as (emulator, client):
        yield Place(emulator, client, Settings(tmp_path / "home", tmp_path))


def accounts(names: Sequence[str]) -> list[dict[str, str]]:
    return [{"Ext__c": f"k{at}", "Name": name} for at, name in enumerate(names)]


@pytest.mark.parametrize("api", ["collections", "bulk"])
def test_only_what_changed_travels(place: Place, api: str) -> None:
    """On both ways in; where nothing changed nothing is sent at all."""
    assert place.sync(accounts("abc"), diff=True, api=api).success_count == 3
    result = place.sync(accounts("aBcd"), diff=True, api=api)
    assert (result.status, result.success_count, result.metadata["unchanged"]) == (SyncStatus.SUCCESS, 2, 2)
    assert place.held() == {"k0": "a", "k1": "B", "k2": "c", "k3": "d"}
    before = place.emulator.calls.count("ingest.create"), len(place.emulator.calls)
    result = place.sync(pa.Table.from_pylist(accounts("aBcd")), diff=True, api=api)
    assert (result.status, result.success_count, result.metadata["unchanged"]) == (SyncStatus.SUCCESS, 0, 4)
    assert before[0] == place.emulator.calls.count("ingest.create")


@pytest.mark.parametrize("api", ["collections", "bulk"])
def test_the_last_spelling_of_a_key_has_the_last_word(place: Place, api: str) -> None:
    """Its row is sent with the changed one of another spelling, and so the record is as the source ends."""
    rows = [*accounts("ab"), {"Ext__c": "K0", "Name": "last"}]
    assert place.sync(rows, diff=True, api=api).metadata["folded"] == 1
    rows[0]["Name"] = "A"
    result = place.sync(rows, diff=True, api=api)
    assert (result.success_count, result.metadata["folded"], result.metadata["unchanged"]) == (2, 1, 1)
    assert sorted(place.held().values()) == ["b", "last"]


def test_what_salesforce_refused_is_tried_again(place: Place) -> None:
    """By the next sync, and by `retry`, from which diff mode learns as well."""
    rows = [*accounts("ab"), {"Ext__c": "bad", "Name": "x" * 300}]
    assert place.sync(rows, diff=True).error_count == 1
    result = place.sync(rows, diff=True)
    assert (result.metadata["unchanged"], result.error_count) == (2, 1)
    assert result.retry().error_count == 1
    rows[2]["Name"] = "good"
    assert place.sync(rows, diff=True).success_count == 1


def test_a_look_changes_nothing(place: Place) -> None:
    """A preview tells what is unchanged, and a sync after it sends all the same rows."""
    place.sync(accounts("ab"), diff=True)
    found = place.pipeline(diff=True).preview(accounts("abc"))
    assert (found.total, found.unchanged) == (3, 2)
    assert place.sync(accounts("abc"), diff=True).success_count == 1


def test_a_mirror_deletes_in_the_org_what_is_gone(place: Place) -> None:
    """Records that Bulk wrote too, whose ids came with its results; what others made stays."""
    place.client.create("Account", {"Name": "of somebody else", "Ext__c": "strange"})
    place.sync(accounts("abcd"), mirror=True, api="bulk")
    result = place.sync(accounts("abc"), mirror=True)
    told = result.metadata["mirrored"]
    assert (told["gone"], told["deleted"], told["remaining"]) == (1, 1, 0)
    assert sorted(place.held()) == ["k0", "k1", "k2", "strange"]


def test_a_mirror_that_leaves_records_there_is_no_whole_success(place: Place) -> None:
    """A record that Salesforce will not delete now: the sync says PARTIAL, and the next one deletes it."""
    place.sync(accounts("abcd"), mirror=True)
    place.emulator.faults.add("lock", kind="collections.delete", times=1_000)
    result = place.sync(accounts("abc"), mirror=True)
    place.emulator.faults.clear()
    told = result.metadata["mirrored"]
    assert (result.status, told["gone"], told["remaining"]) == (SyncStatus.PARTIAL, 1, 1)
    assert place.sync(accounts("abc"), mirror=True).status is SyncStatus.SUCCESS
    assert sorted(place.held()) == ["k0", "k1", "k2"]


def test_what_somebody_deleted_counts_as_gone(place: Place) -> None:
    """A record that lies in the recycle bin need not be deleted."""
    place.sync(accounts("abcd"), mirror=True)
    (gone,) = place.emulator.query("SELECT Id FROM Account WHERE Ext__c = 'k3'")
    place.client.delete("Account", str(gone["Id"]))
    told = place.sync(accounts("abc"), mirror=True).metadata["mirrored"]
    assert (told["gone"], told["already_gone"], told["remaining"]) == (1, 1, 0)
    assert place.sync(accounts("abc"), mirror=True).metadata["mirrored"]["gone"] == 0


def test_the_guard_stands_before_the_deletes(place: Place) -> None:
    """More than half, or all because the source is empty: refused, with the result of what was written."""
    place.sync(accounts("abcd"), mirror=True)
    with pytest.raises(Refused, match="3 of the 4 records") as caught:
        place.sync(accounts("A"), mirror=True)
    assert caught.value.facts["result"].success_count == 1
    with pytest.raises(Refused, match="the source is empty"):
        place.sync([], mirror=True)
    assert len(place.held()) == 4
    assert place.sync([], mirror=True, allow_empty=True, max_delete_share=1.0).metadata["mirrored"]["deleted"] == 4
    assert place.held() == {}


def test_retried_records_are_not_taken_for_all(place: Place) -> None:
    """Trying two failed records again must not delete the others."""
    place.sync(accounts("abcd"), mirror=True)
    result = place.sync([*accounts("abcd"), {"Ext__c": "bad", "Name": "x" * 300}], mirror=True, max_delete_share=1.0)
    assert result.retry().error_count == 1
    assert len(place.held()) == 4


def test_an_insert_in_diff_mode_wants_a_key(place: Place) -> None:
    """It is told before anything is sent; with one, records are made once."""
    with pytest.raises(FixConfig, match="diff_key"):
        place.sync(accounts("ab"), mode="insert", external_id_field=None, diff=True)
    for _ in range(2):
        place.sync(accounts("ab"), mode="insert", external_id_field=None, diff_key="Ext__c")
    assert len(place.emulator.query("SELECT Id FROM Account")) == 2


def test_results_go_to_tables_when_asked(place: Place) -> None:
    """Of a sync from anywhere, into any DuckDB, beside the callbacks."""
    seen: list[str] = []
    with duckdb.connect() as lake:
        rows = [*accounts("ab"), {"Ext__c": "bad", "Name": "x" * 300}]
        callbacks = {"on_record_success": lambda record, _: seen.append(record["Ext__c"])}
        place.sync(rows, results_to=(lake, "results"), callbacks=callbacks)
        assert lake.execute("SELECT MATCH_ID FROM results.SUCCESS ORDER BY ROW").fetchall() == [("k0",), ("k1",)]
        assert lake.execute("SELECT MATCH_ID, CODE FROM results.FAILURE").fetchall() == [("bad", "STRING_TOO_LONG")]
    assert seen == ["k0", "k1"]


def test_without_diff_nothing_is_remembered(place: Place) -> None:
    """No file is made, and every row is sent each time."""
    for _ in range(2):
        assert place.sync(accounts("ab")).success_count == 2
    assert not (place.settings.home / FOLDER).exists()


def test_diff_mode_learns_from_a_retry(place: Place) -> None:
    """A row that a retry of the run inserted, or a retry of that one, is not inserted again."""
    inserting = {"mode": "insert", "external_id_field": None, "diff_key": "Ext__c"}
    taken = place.client.create("Account", {"Name": "in the way", "Ext__c": "k1"})
    assert place.sync(accounts("abc"), **inserting).error_count == 1
    with open_ledger(place.settings.ledger) as ledger:
        (run,) = (one.run for one in ledger.runs())
        destination = registry.open_rows(place.client)
        again = retry(run, destination=destination, ledger=ledger, home=place.settings.home)
        assert again is not None
        assert again.refused == 1
        place.client.delete("Account", taken)
        third = retry(again.id, destination=destination, ledger=ledger, home=place.settings.home)
        assert third is not None
        assert third.written == 1
    result = place.sync(accounts("abc"), **inserting)
    assert (result.success_count, result.metadata["unchanged"]) == (0, 3)
    assert place.held() == {"k0": "a", "k1": "b", "k2": "c"}


def test_an_insert_is_not_retried_once_a_later_push_sent_its_rows(place: Place) -> None:
    """In diff mode a refused row is sent by each push until it is written: the retry of an older run would make it twice."""
    inserting = {"mode": "insert", "external_id_field": None, "diff_key": "Ext__c"}
    rule = place.emulator.faults.add("lock", object="Account", rows=1, every=1)
    assert place.sync(accounts("abc"), **inserting, api="collections").error_count == 1
    place.emulator.faults.remove(rule)
    assert place.sync(accounts("abc"), **inserting).success_count == 1
    for record in place.emulator.query("SELECT Id FROM Account"):  # then the org itself keeps no row out
        place.client.update("Account", record["Id"], {"Ext__c": None})
    with open_ledger(place.settings.ledger) as ledger:
        first = ledger.runs()[-1].run
        destination = registry.open_rows(place.client)
        with pytest.raises(FixConfig, match="a later run of accounts may have written the same rows") as refused:
            retry(first, destination=destination, ledger=ledger, home=place.settings.home)
        assert "a second time" in refused.value.hint
        assert len(place.emulator.query("SELECT Id FROM Account")) == 3
        assert retry(first, destination=destination, ledger=ledger, home=place.settings.home, anyway=True) is not None
    assert len(place.emulator.query("SELECT Id FROM Account")) == 4
