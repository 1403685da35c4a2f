"""Rows that Salesforce no longer has, where everything is read although nobody asked to: they stay, as `deletes` promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from halocline.connector import Mode
from halocline.connectors.files import read_table
from halocline.events import Noticed, PartStaged
from halocline.run import Run
from halocline.sync import IntelligentSync, SobjectSync
from halocline.verify import verify_with
from tests.system.laptop import Laptop, laptop

pytestmark = pytest.mark.system

JOB = SobjectSync("Account", "raw", "accounts", exclude=["Description"])
DELETES = pytest.mark.parametrize("deletes", ["soft", "ignore"])


@dataclass(slots=True)
class Kept:
    """An org of ten accounts, and a table of them; `rows` are their names, flags and sites there."""

    here: Laptop
    session: object
    system: IntelligentSync
    rows: Callable[[], list[dict[str, Any]]]
    accounts: list[str]

    def sync(self, job: SobjectSync = JOB, **changes: Any) -> Run:
        run = self.system.run(replace(job, **changes))
        assert run.counts is not None
        return run

    def passes(self, days: float = 1 / 24) -> None:
        self.here.days_pass(days)

    def told(self) -> list[str]:
        """What was said of rows that stay."""
        return [event.message for event in self.here.events if isinstance(event, Noticed) and "kept" in event.message]

    def state(self) -> tuple[int, int]:
        """Rows, and how many of them are flagged."""
        rows = self.rows()
        return len(rows), sum(bool(row["IsDeleted"]) for row in rows)

    def purge(self, accounts: list[str]) -> None:
        for record in accounts:
            self.here.purge("Account", record)

    def agree(self, job: SobjectSync) -> bool:
        """Whether both sides are the same in all values, but for rows that are to stay."""
        return verify_with(self.system, job, full=True).equal


def _of_files(uri: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(uri, "accounts", schema="raw").read_all().to_pylist()
    return rows


def _of_lake(here: Laptop) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = here.lake.sql("SELECT * FROM raw.accounts").to_arrow_table().to_pylist()
    return rows


@pytest.fixture(params=["duckdb", "files"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    with laptop(tmp_path) as here:
        accounts = here.add("Account", 10, Name="n{n}", Site="site {n}")
        uri = f"file://{tmp_path}/lake"
        session, rows = (uri, partial(_of_files, uri)) if request.param == "files" else (here.lake, partial(_of_lake, here))
        with IntelligentSync(session, here.client, settings=here.settings, sink=here.events.append) as system:
            yield Kept(here, session, system, rows, accounts)


@DELETES
def test_a_new_field_takes_no_row_that_was_to_stay(kept: Kept, deletes: str) -> None:
    """Rows that were flagged, or ignored, before an admin shows a field are there behind it, and all others have its values."""
    job = replace(JOB, deletes=deletes)
    kept.here.org.org.hide(["Account.Site"])
    kept.sync(job)
    kept.passes()
    for record in kept.accounts[:3]:
        kept.here.delete("Account", record)
    kept.sync(job)
    kept.here.org.store.empty_bin()
    kept.passes()
    kept.sync(job)
    before = (10, 3 if deletes == "soft" else 0)
    assert (kept.state(), kept.agree(job)) == (before, True)
    kept.here.org.org.show()
    survey, plan = kept.system.plan(job)
    assert survey.full_reason is not None
    assert "Site" in survey.full_reason
    how = "flagged as deleted" if deletes == "soft" else "as they are"
    assert plan.reasons[1] == f"What is read is merged; rows that the source no longer has stay, {how}."
    counts = kept.sync(job).counts
    assert counts is not None
    assert (counts.updated, counts.deleted, counts.vanished) == (7, 0, 0)
    assert (kept.state(), kept.agree(job), kept.told()) == (before, True, [])
    assert sorted(str(row["Site"]) for row in kept.rows()) == [*["None"] * 3, *(f"site {n}" for n in range(3, 10))]
    assert not kept.system.plan(job)[1].full


def test_a_pause_of_sixteen_days_takes_none(kept: Kept) -> None:
    """Who was purged meanwhile, nobody lists any more: their rows are flagged, and that is told; a run that dies before it is
    published leaves all to the next.
    """
    kept.sync()
    kept.passes(16)
    kept.purge(kept.accounts[:3])
    kept.here.change("Account", kept.accounts[9], Name="changed")

    def die(event: object) -> None:
        assert not isinstance(event, PartStaged), "killed"

    with (
        pytest.raises(AssertionError, match="killed"),
        IntelligentSync(kept.session, kept.here.client, settings=kept.here.settings) as dying,
    ):
        dying.run(JOB, sink=die)
    assert (kept.state(), kept.told()) == ((10, 0), [])
    run = kept.sync()
    assert run.plan is not None
    assert (run.plan.method, run.plan.mode, run.plan.complete) == ("regular_api_full", Mode.MERGE, True)
    assert run.counts is not None
    assert (run.counts.updated, run.counts.unchanged, run.counts.vanished) == (1, 6, 3)
    assert (kept.state(), kept.agree(JOB)) == ((10, 3), True)
    assert kept.told() == ["raw.accounts: 3 rows were flagged as deleted and kept; the source no longer has them."]
    kept.passes()
    assert not kept.system.plan(JOB)[1].full
    kept.passes(16)
    run = kept.sync()
    assert run.counts is not None
    assert (run.counts.unchanged, run.counts.changed) == (7, 0)
    assert kept.state() == (10, 3)


@pytest.mark.parametrize("kept", ["duckdb"], indirect=True)
def test_a_full_sync_that_was_asked_for_replaces(kept: Kept) -> None:
    """So does one for which the user asked otherwise than before - another condition, mask, or way with deletes or numbers -,
    and one that is to remove rows; the plan says that rows go.
    """
    asked: list[dict[str, Any]] = [
        {"where_clause": "Name != 'x'"},
        {"rename": {"Site": "Place"}},
        {"deletes": "ignore"},
        {"numbers": "double"},
        {"force_full_sync": True},
    ]
    for number, changes in enumerate(asked):
        job = replace(JOB, table=f"accounts{number}")
        doomed = kept.here.add("Account", Name="doomed")[0]
        kept.sync(job)
        kept.passes()
        kept.purge([doomed])
        other = replace(job, **changes)
        plan = kept.system.plan(other)[1]
        assert (plan.full, plan.mode, plan.complete) == (True, Mode.REPLACE, False), changes
        told = "The table is replaced, and rows that the source no longer has go."
        assert (told in plan.reasons) is ("force_full_sync" not in changes)
        kept.sync(other)
        assert kept.here.rows(f"SELECT count(*) FROM raw.accounts{number}") == [(10,)], changes
    hard = replace(JOB, deletes="hard")
    kept.sync(hard)
    kept.passes(16)
    kept.purge(kept.accounts[:1])
    plan = kept.system.plan(hard)[1]
    assert (plan.full, plan.mode, "merged" in " ".join(plan.reasons)) == (True, Mode.REPLACE, False)
    kept.sync(hard)
    assert kept.state() == (9, 0)


@pytest.mark.parametrize("kept", ["duckdb"], indirect=True)
def test_a_column_that_the_table_lost_takes_no_row(kept: Kept) -> None:
    """It is read for all rows, and those that were purged since stay, flagged."""
    kept.sync()
    kept.passes()
    kept.purge(kept.accounts[:3])
    kept.here.lake.execute("ALTER TABLE raw.accounts DROP COLUMN Site")
    run = kept.sync()
    assert run.plan is not None
    assert (run.plan.full, run.plan.complete) == (True, True)
    assert (kept.state(), kept.agree(JOB)) == ((10, 3), True)
    assert sum(row["Site"] is not None for row in kept.rows()) == 7


@pytest.mark.parametrize("kept", ["duckdb"], indirect=True)
@pytest.mark.parametrize("lost", [True, False])
def test_under_a_condition_nobody_is_flagged_who_only_ceased_to_meet_it(kept: Kept, *, lost: bool) -> None:
    """What the read lacks may be there all the same: such a table is replaced, and the plan says so."""
    job = replace(JOB, where_clause="Site = 'open'")
    everyone = kept.here.add("Account", 3, Name="open", Site="open")
    kept.sync(job)
    assert kept.state() == (3, 0)
    kept.passes()
    kept.here.change("Account", everyone[0], Site="closed")
    if lost:
        kept.here.lake.execute("ALTER TABLE raw.accounts DROP COLUMN Phone")
    else:
        kept.passes(16)
    plan = kept.system.plan(job)[1]
    assert (plan.full, plan.mode) == (True, Mode.REPLACE)
    assert "The table is replaced, and rows that the source no longer has go." in plan.reasons
    kept.sync(job)
    assert (kept.state(), kept.agree(job)) == ((2, 0), True)
