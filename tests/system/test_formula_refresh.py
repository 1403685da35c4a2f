"""Columns that change without a stamp: read for all rows again when they are due, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from halocline.sync import SobjectSync
from halocline.verify import verify_with
from tests.system.laptop import Laptop, laptop

pytestmark = pytest.mark.system

SCHEMA = """
object: Deal__c
label: Deal
plural: Deals
fields:
  Account__c: {type: reference, to: Account, children: Deals}
  AccountName__c: {type: string(255), formula: "Account__r.Name"}
"""
JOB = SobjectSync("Deal__c", "raw", "deals", formula_refresh="24h")
PLAIN = replace(JOB, formula_refresh="never")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Laptop]:
    """An org with a deal of an account, and one of none, synced long after they were made."""
    file = tmp_path / "deal.yaml"
    file.write_text(SCHEMA)
    with laptop(tmp_path, schemas=(file,)) as running:
        account = running.add("Account", Name="before")[0]
        running.add("Deal__c", Name="of it", Account__c=account)
        running.add("Deal__c", Name="of none")
        running.days_pass()
        yield running


def rename(here: Laptop, name: str) -> None:
    """The account is called otherwise, and the deals' stamps stay."""
    record = here.org.query("SELECT Id FROM Account WHERE Id IN (SELECT Account__c FROM Deal__c)")[0]["Id"]
    here.change("Account", str(record), Name=name)


def sync(here: Laptop, job: SobjectSync = JOB) -> tuple[str, tuple[int, int, int], str]:
    """Sync; the method, the rows (read, updated, inserted), and what formulas of the table say."""
    with here.system() as system:
        run = system.run(job)
    assert run.plan is not None
    assert run.counts is not None
    names = here.rows("SELECT AccountName__c FROM raw.deals WHERE AccountName__c IS NOT NULL")
    return run.plan.method, (run.rows_read, run.counts.updated, run.counts.inserted), str(names[0][0])


def reason(here: Laptop, job: SobjectSync = JOB) -> str:
    """The first reason of the plan."""
    with here.system() as system:
        return system.plan(job)[1].reasons[0]


def test_formulas_are_read_again_when_they_are_due(here: Laptop) -> None:
    """Within the time only what changed is read; after it everything, merged; and then only what changed again."""
    assert sync(here) == ("regular_api_full", (2, 0, 2), "before")
    rename(here, "after")
    here.days_pass(0.9)
    assert reason(here).startswith("Later sync")
    with here.system() as system:
        assert any(note.startswith("Formulas were last read for all rows at") for note in system.plan(JOB)[1].reasons)
    assert sync(here) == ("regular_api_incremental", (0, 0, 0), "before")
    here.days_pass(0.11)
    told = reason(here)
    assert told.startswith("Everything is read and merged: formulas were last read for all rows at ")
    assert "longer ago than 1d" in told
    assert sync(here) == ("regular_api_full", (2, 1, 0), "after")
    rename(here, "later")
    here.days_pass(0.5)
    assert sync(here) == ("regular_api_incremental", (0, 0, 0), "after")


def test_a_refresh_leaves_the_table_in_place(here: Laptop) -> None:
    """It merges: columns of one's own, and rows that only the table has, stay; deletions are applied all the same."""
    sync(here)
    here.lake.execute("ALTER TABLE raw.deals ADD COLUMN mine INTEGER DEFAULT 7")
    gone = str(here.rows("SELECT Id FROM raw.deals WHERE Name = 'of none'")[0][0])
    here.lake.execute("INSERT INTO raw.deals (Id, IsDeleted) VALUES ('a row of ours', false)")
    here.purge("Deal__c", gone)
    rename(here, "after")
    here.days_pass(2)
    assert sync(here) == ("regular_api_full", (2, 1, 0), "after")
    found = dict(here.rows("SELECT Id, IsDeleted FROM raw.deals WHERE AccountName__c IS NULL"))
    assert found == {gone: True, "a row of ours": False}
    assert here.rows("SELECT DISTINCT mine FROM raw.deals WHERE AccountName__c IS NOT NULL") == [(7,)]


def test_always_reads_everything_every_time(here: Laptop) -> None:
    """With its own reason, and rows that did not change stay untouched."""
    job = replace(JOB, formula_refresh="always")
    sync(here, job)
    assert "every time" in reason(here, job)
    assert sync(here, job) == ("regular_api_full", (2, 0, 0), "before")


def test_without_a_refresh_formulas_go_stale_and_the_plan_says_so(here: Laptop) -> None:
    """Never is the default: only what changed is read, a note names the columns, and a verification finds the drift."""
    assert SobjectSync("a", None, "b").formula_refresh == "never"
    sync(here, PLAIN)
    rename(here, "after")
    here.days_pass(30 / 24)
    assert sync(here, PLAIN) == ("regular_api_incremental", (0, 0, 0), "before")
    with here.system() as system:
        notes = system.plan(PLAIN)[1].reasons
        found = verify_with(system, PLAIN, full=True, repair=True)
    assert any("AccountName__c" in note and "formula_refresh" in note for note in notes)
    assert (found.different, dict(found.columns), found.good) == (1, {"AccountName__c": 1}, True)
    assert here.rows("SELECT AccountName__c FROM raw.deals WHERE Name = 'of it'") == [("after",)]


def test_a_table_of_before_is_refreshed_at_once(here: Laptop) -> None:
    """Where the position does not say when formulas were read, nobody knows, so they are due; afterwards it says."""
    sync(here, PLAIN)
    here.lake.execute("UPDATE _halocline_positions SET position = json_merge_patch(position, '{\"formulas\": null}')")
    here.days_pass(0.1)
    assert "it is not known when" in reason(here)
    assert sync(here)[0] == "regular_api_full"
    assert reason(here).startswith("Later sync")


def test_an_object_without_formulas_is_not_affected(here: Laptop) -> None:
    """Not even by `always`: its plans and positions are as they were."""
    job = SobjectSync("Account", "raw", "accounts", fields=["Name"], formula_refresh="always")
    with here.system() as system:
        system.run(job)
        here.days_pass(3)
        survey, plan = system.plan(job)
    assert (plan.method, survey.refresh, "formulas" in plan.next_position) == ("regular_api_incremental", None, False)


def test_a_large_refresh_goes_by_bulk(here: Laptop) -> None:
    """The way is chosen for all rows, not for those that changed; one job, and the same rows."""
    sync(here)
    rename(here, "after")
    here.days_pass(2)
    here.kinds()
    with here.system(bulk=2) as system:
        run = system.run(JOB)
    assert run.plan is not None
    assert run.counts is not None
    assert (run.plan.method, run.rows_read, run.counts.updated) == ("bulk_api_full", 2, 1)


def test_a_refresh_of_a_history_tells_deleted_records_from_those_that_left_the_condition(here: Laptop) -> None:
    """Of all that it lacks, the list of deletions says what is gone; the version of the rest ends without a flagged one."""
    job = replace(JOB, history=True, where_clause="Name LIKE 'of%'", formula_refresh="always")
    left, purged = here.add("Deal__c", 2, Name="of {n}")
    with here.system() as system:
        system.run(job)
        here.org.clock.advance(3_600)
        here.change("Deal__c", left, Name="elsewhere")
        here.purge("Deal__c", purged)
        counts = system.run(job).counts
        assert counts is not None
        assert (counts.deleted, counts.vanished) == (1, 1)
        assert verify_with(system, job, full=True).equal
        again = system.run(job).counts
        assert again is not None
        assert again.changed == 0
    found = here.rows(f"SELECT IsDeleted, valid_to IS NULL FROM raw.deals WHERE Id = '{left}'")
    assert found == [(False, False)]
    found = here.rows(f"SELECT IsDeleted, valid_to IS NULL FROM raw.deals WHERE Id = '{purged}' ORDER BY valid_from")
    assert found == [(False, False), (True, True)]
