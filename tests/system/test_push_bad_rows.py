"""One row in a hundred is bad, in seven ways: just those are in `errors`, whatever the path and whatever happens on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from halocline.config import Settings
from halocline.connectors.salesforce import sheets
from halocline.ledger import SqliteLedger
from halocline.pipeline import BATCH_ROWS, SyncPipeline, SyncResult, SyncStatus
from tests.system.push_world import KINDS, MAPPING, People, World, world

pytestmark = pytest.mark.system

FEW, MANY = 700, 100_000
SHORT = 20  # rows of a call, so that few rows are many calls
JOBS = 5
APIS = ("collections", "bulk")
LOCKS_AND_LOGINS: dict[str, list[dict[str, Any]]] = {  # what an insert survives without a doubt
    "collections": [
        {"action": "lock", "kind": "collections.*", "every": 7, "rows": 3},
        {"action": "expire_session", "kind": "collections.*", "every": 37, "nth": 5},
    ],
    "bulk": [
        {"action": "lock", "kind": "ingest.end", "every": 2, "rows": 40},
        {"action": "expire_session", "kind": "ingest.*", "every": 13, "nth": 4},
    ],
}
LOST_AND_BUSY: dict[str, list[dict[str, Any]]] = {  # what may be sent twice
    "collections": [
        {"action": "unavailable", "kind": "collections.*", "every": 11, "where": "before"},
        {"action": "unavailable", "kind": "collections.*", "every": 23, "nth": 3, "where": "after"},
        {"action": "cut", "kind": "collections.*", "every": 13, "where": "after"},
        {"action": "cut", "kind": "collections.*", "every": 29, "where": "during"},
    ],
    "bulk": [
        {"action": "unavailable", "kind": "ingest.*", "every": 7, "where": "before"},
        {"action": "unavailable", "kind": "ingest.*", "every": 9, "nth": 3, "where": "after"},
        {"action": "cut", "kind": "ingest.*", "every": 11, "where": "after"},
        {"action": "cut", "kind": "ingest.results", "where": "during"},
    ],
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world")) as running:
        yield running


@pytest.fixture
def here(shared: World) -> World:
    shared.emulator.reset()
    return shared


@pytest.fixture
def few(here: World, monkeypatch: pytest.MonkeyPatch) -> People:
    monkeypatch.setattr(sheets, "MAX_ROWS", FEW // JOBS)
    return here.people(FEW)


@pytest.fixture
def many(here: World, monkeypatch: pytest.MonkeyPatch) -> People:
    monkeypatch.setattr(sheets, "MAX_ROWS", MANY // JOBS)
    return here.people(MANY)


def synced(here: World, people: People, *, folder: Path, mode: str, api: str, batch_size: int = BATCH_ROWS) -> SyncResult:
    """Push the rows, and hold what is told of them to the laws."""
    settings = Settings(folder / "home", folder / "spool")
    key = "Ext__c" if mode == "upsert" else None
    pipeline = SyncPipeline(here.client, "Contact", MAPPING, mode, key, batch_size, api=api, settings=settings)
    result = pipeline.sync(people.rows)
    check_errors(result, people, api=api)
    check_written(here, result, people)
    with SqliteLedger(settings.ledger) as ledger:
        run = result.metadata["run"]
        counts = ledger.get(run).counts
        booked = {one.row: one for one in ledger.each_rejection(run)}
        assert ledger.in_doubt(run) == []
    assert (counts.changed, counts.accounted) == (len(people.sendable), len(people.rows))
    assert {row: (one.code, one.record) for row, one in booked.items()} == {
        error["row"]: (error["code"], error["record"]) for error in result.errors
    }
    return result


def check_errors(result: SyncResult, people: People, *, api: str) -> None:
    """Exactly the bad rows, in the source's order, each with its number, its reason and the very dict that the source has."""
    errors = result.errors
    assert [error["row"] for error in errors] == sorted(people.bad)
    assert all(error["record"] is people.rows[error["row"]] for error in errors)
    told = {error["row"]: (error["code"], tuple(error["fields"])) for error in errors}
    assert told == {row: KINDS[kind].by(api) for row, kind in people.bad.items()}
    assert all(error["error"] == f"{error['code']}: {error['message']}" and error["message"] for error in errors)
    assert Counter(people.bad.values()).keys() == KINDS.keys()
    assert [id(record) for record in result.failed_records] == [id(people.rows[row]) for row in sorted(people.bad)]


def check_written(here: World, result: SyncResult, people: People) -> None:
    """All others, once, with their own values; the ids are theirs, in the source's order."""
    good = people.sendable
    assert (result.success_count, result.error_count) == (len(good), len(people.bad))
    assert (result.in_doubt_count, result.not_attempted_count) == (0, 0)
    assert (result.status, result.total_records) == (SyncStatus.PARTIAL, len(people.rows))
    found = here.emulator.query("SELECT Id, Ext__c, LastName, Badge__c, AccountId FROM Contact WHERE Ext__c <> null")
    there = {str(one.pop("Id")): tuple(one.values()) for one in found}
    assert len(there) == len(good)
    wanted = [tuple(people.rows[row][name] for name in ("key", "last", "badge", "account")) for row in good]
    assert [there[made] for made in result.salesforce_ids] == wanted


@pytest.mark.parametrize("mode", ["insert", "upsert"])
@pytest.mark.parametrize("api", APIS)
def test_just_the_bad_rows_are_told(here: World, few: People, tmp_path: Path, api: str, mode: str) -> None:
    """On a day on which nothing else goes wrong; sent again they are refused again, and no other row is."""
    result = synced(here, few, folder=tmp_path, mode=mode, api=api)
    again = result.retry()
    assert [again.errors[place]["record"] for place in range(len(few.bad))] == result.failed_records
    assert (again.success_count, again.error_count) == (0, len(few.bad))


def on_a_bad_day(here: World, people: People, *, folder: Path, mode: str, api: str, batch_size: int = BATCH_ROWS) -> None:
    """Push the rows while rows are locked and sessions end; an upsert also meets 503s, and replies that are lost."""
    rules = LOCKS_AND_LOGINS[api] + (LOST_AND_BUSY[api] if mode == "upsert" else [])
    added = [here.emulator.faults.add(**rule) for rule in rules]
    synced(here, people, folder=folder, mode=mode, api=api, batch_size=batch_size)
    struck = [here.emulator.faults.counters(rule)["struck"] for rule in added]
    assert all(struck), dict(zip([rule["action"] for rule in rules], struck, strict=True))


@pytest.mark.parametrize("mode", ["insert", "upsert"])
@pytest.mark.parametrize("api", APIS)
def test_just_the_bad_rows_are_told_on_a_bad_day(here: World, few: People, tmp_path: Path, api: str, mode: str) -> None:
    """With locked rows and sessions that end; for an upsert also 503s before and after the work, and replies that are lost."""
    on_a_bad_day(here, few, folder=tmp_path, mode=mode, api=api, batch_size=SHORT)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["insert", "upsert"])
@pytest.mark.parametrize("api", APIS)
def test_just_the_bad_rows_of_many_are_told(here: World, many: People, tmp_path: Path, api: str, mode: str) -> None:
    """A hundred thousand rows on a bad day."""
    on_a_bad_day(here, many, folder=tmp_path, mode=mode, api=api)
