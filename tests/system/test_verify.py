"""Both sides of a sync compared and set right, over an emulated org, on each database."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from halocline import guards
from halocline.connectors.salesforce import objects
from halocline.connectors.salesforce import source as salesforce_source
from halocline.errors import BadQuery, FixConfig, HaloclineError, NotFound, Refused, RetryLater, SchemaConflict
from halocline.ledger import open_ledger
from halocline.sync import IntelligentSync, SobjectSync
from halocline.verify import Level, Verification, verify, verify_with
from halocline.verifying import repair as repairing
from tests.connectors.postgres.server import Server
from tests.system.laptop import Laptop, laptop

pytestmark = pytest.mark.system

JOB = SobjectSync("Account", "raw", "accounts", fields=["Name", "AnnualRevenue", "CreatedDate"])


@dataclass(slots=True)
class Bench:
    """An org, a sync into a database, and the database's own door."""

    here: Laptop
    system: IntelligentSync
    run: Callable[[str], Any]
    rows: Callable[[str], list[tuple[Any, ...]]]

    def sync(self, job: SobjectSync = JOB) -> None:
        self.system.run(job)

    def verify(self, job: SobjectSync = JOB, **how: Any) -> Verification:
        return verify_with(self.system, job, **how)

    def ids(self) -> list[str]:
        """The ids in the table, in order."""
        return [str(key) for (key,) in self.rows("SELECT Id FROM raw.accounts ORDER BY Id")]

    def equal(self) -> bool:
        """Whether, after a sync, a full comparison finds nothing."""
        self.sync()
        return self.verify(full=True).equal


@contextmanager
def system_at(here: Laptop, session: object) -> Iterator[IntelligentSync]:
    with IntelligentSync(session, here.client, settings=here.settings, sink=here.events.append) as system:
        yield system


DATABASES = ("duckdb", "postgres")


def on(database: str) -> pytest.MarkDecorator:
    """A law that the short run shows on one database, for there is no SQL of its own in it."""
    marked = [pytest.param(one, marks=() if one == database else pytest.mark.long) for one in DATABASES]
    return pytest.mark.parametrize("bench", marked, indirect=True)


@pytest.fixture(params=DATABASES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """An org of 40 accounts, synced a day ago."""
    with laptop(tmp_path) as here:
        here.seed("Account", 40)
        if request.param == "duckdb":
            with system_at(here, here.lake) as system:
                made = Bench(here, system, here.lake.execute, here.rows)
                made.sync()
                yield made
            return
        server: Server = request.getfixturevalue("server")
        with server.place(tmp_path) as place, system_at(here, place.uri()) as system:
            made = Bench(here, system, place.run, place.rows)
            made.sync()
            yield made


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Bench]:
    """As `bench`, on DuckDB alone."""
    with laptop(tmp_path) as here, system_at(here, here.lake) as system:
        here.seed("Account", 40)
        made = Bench(here, system, here.lake.execute, here.rows)
        made.sync()
        yield made


def counts(found: Verification) -> dict[str, int]:
    """How many rows differ, by kind; kinds of which there are none are left out."""
    every = {kind: int(getattr(found, kind)) for kind in ("missing", "extra", "stale", "different", "doubled")}
    return {kind: count for kind, count in every.items() if count}


# ---- what is found


@on("duckdb")
def test_two_sides_that_are_the_same(bench: Bench) -> None:
    """At each level nothing differs, all is compared, and little is asked of the org."""
    for how, level, looked_at in (({}, Level.KEYS, 0), ({"sample": 7}, Level.SAMPLE, 7), ({"full": True}, Level.FULL, 40)):
        bench.here.kinds()
        found = bench.verify(**how)
        assert (found.level, found.source_rows, found.table_rows, found.compared) == (level, 40, 40, 40)
        assert (found.looked_at, found.differences, found.good, found.examples) == (looked_at, 0, True, {})
        assert found.rows_per_s > 0
        assert bench.here.tally()["query"] <= 6


def test_every_kind_of_damage_is_found_and_repaired(bench: Bench) -> None:
    """Rows lost, made up, set back and changed behind our back; a repair sets them right and touches no other."""
    here, ids = bench.here, bench.ids()
    bench.run(f"DELETE FROM raw.accounts WHERE Id IN ('{ids[0]}', '{ids[1]}')")
    bench.run(f"UPDATE raw.accounts SET SystemModstamp = SystemModstamp - INTERVAL '1 day' WHERE Id = '{ids[2]}'")
    bench.run(f"UPDATE raw.accounts SET IsDeleted = true WHERE Id = '{ids[3]}'")
    bench.run(f"UPDATE raw.accounts SET Name = 'damaged', AnnualRevenue = 0.01 WHERE Id = '{ids[4]}'")
    bench.run("INSERT INTO raw.accounts (Id, Name, IsDeleted) VALUES ('no id', 'made up', false)")
    assert counts(bench.verify()) == {"missing": 2, "extra": 1, "stale": 2}
    found = bench.verify(full=True)
    assert counts(found) == {"missing": 2, "extra": 1, "stale": 2, "different": 1}
    shown = {kind: sorted(map(str, some)) for kind, some in found.examples.items()}
    assert shown == {"missing": ids[:2], "extra": ["no id"], "stale": ids[2:4], "different": [ids[4]]}
    assert found.columns == {"Name": 1, "AnnualRevenue": 1}
    assert bench.verify(sample=1_000).different == 1
    before = bench.system.plan(JOB)[0].carried_until
    mended = bench.verify(full=True, repair=True)
    assert (mended.equal, mended.good) == (False, True)
    assert mended.repair is not None
    done = mended.repair.counts
    assert (done.inserted, done.updated, done.deleted, done.unchanged, mended.repair.left) == (2, 3, 1, 0, 0)
    assert bench.system.plan(JOB)[0].carried_until == before, "the position stays where it was"
    after = bench.verify(full=True)
    assert (counts(after), after.kept) == ({}, 1), "the row that was made up is flagged, as soft deletes say"
    with open_ledger(here.settings.ledger) as ledger:
        booked = ledger.get(mended.repair.run)
    assert (booked.state, booked.flow, booked.counts) == ("done", JOB.flow, done)
    assert bench.equal()


@pytest.mark.parametrize(
    ("bench", "deletes"),
    [
        ("duckdb", "soft"),
        ("postgres", "hard"),
        ("duckdb", "ignore"),
        *(
            pytest.param(*pair, marks=pytest.mark.long)
            for pair in (("postgres", "soft"), ("duckdb", "hard"), ("postgres", "ignore"))
        ),
    ],
    indirect=["bench"],
)
def test_hard_deletes_that_no_list_tells_of(bench: Bench, deletes: str) -> None:
    """Records that are gone without the sync having heard of it are found by their ids, and made good as the setting says."""
    job, here = replace(JOB, deletes=deletes, table="others"), bench.here
    bench.sync(job)
    gone = bench.ids()[:3]
    for record in gone:
        here.purge("Account", record)
    forget_deletions(here)
    bench.sync(job)
    found = bench.verify(job, repair=True)
    if deletes == "ignore":
        assert (counts(found), found.kept, found.repair) == ({}, 3, None)
        return
    assert (counts(found), sorted(map(str, found.examples["extra"]))) == ({"extra": 3}, gone)
    assert found.repair is not None
    assert found.repair.counts.deleted == 3
    left = bench.rows("SELECT count(*), count(CASE WHEN IsDeleted THEN 1 END) FROM raw.others")
    assert left == ([(40, 3)] if deletes == "soft" else [(37, 0)])
    assert bench.verify(job, full=True).equal


def forget_deletions(here: Laptop) -> None:
    """The org no longer lists any record as purged, as after fifteen days."""
    store = here.org.store
    store.database.apply([lambda: store.run("DELETE FROM _purged")])


def test_deletions_that_nobody_tells_of_are_found_and_repaired(lake: Bench) -> None:
    """A sync leaves the rows, as its plan says; the comparison finds them, and the repair removes them."""
    job, here = SobjectSync("Group", "raw", "groups"), lake.here
    groups = here.add("Group", 4, Name="G{n}", Type="Regular")
    lake.sync(job)
    here.days_pass()
    for one in groups[:2]:
        here.delete("Group", one)
    run = lake.system.run(job)
    assert run.plan is not None
    assert (run.plan.full, run.durable_rows, lake.rows("SELECT count(*) FROM raw.groups")) == (False, 0, [(4,)])
    assert any("a later sync sees none" in reason for reason in run.plan.reasons)
    found = lake.verify(job, repair=True)
    assert (counts(found), found.good, lake.rows("SELECT count(*) FROM raw.groups")) == ({"extra": 2}, True, [(2,)])


@on("postgres")
def test_what_the_next_sync_brings_is_no_difference(bench: Bench) -> None:
    """New, changed, deleted and purged records since the last sync are left out and counted; the sync then brings them."""
    here, ids = bench.here, bench.ids()
    here.days_pass()
    bench.sync()
    here.days_pass(0.01)
    here.add("Account", 2, Name="new {n}")
    here.change("Account", ids[0], Name="changed")
    here.delete("Account", ids[1])
    here.purge("Account", ids[2])
    for how in ({}, {"sample": 100}, {"full": True}):
        found = bench.verify(**how)
        assert (counts(found), found.not_due, found.compared) == ({}, 5, 37)
        assert "5 were left out" in found.notes[0]
    assert bench.verify(repair=True).repair is None
    assert bench.equal()


@on("duckdb")
def test_a_row_that_left_the_condition_is_extra(bench: Bench) -> None:
    """No sync sees that a record has ceased to meet the where clause; a verification does, and removes its row."""
    here, job = bench.here, replace(JOB, where_clause="Name LIKE 'zz in%'", table="some", deletes="hard")
    ids = here.add("Account", 3, Name="zz in {n}")
    here.days_pass()
    bench.sync(job)
    here.change("Account", ids[0], Name="out")
    here.days_pass()
    bench.sync(job)
    found = bench.verify(job, repair=True)
    assert (counts(found), found.examples["extra"], found.source_rows) == ({"extra": 1}, (ids[0],), 2)
    assert bench.rows("SELECT Name FROM raw.some ORDER BY 1") == [("zz in 1",), ("zz in 2",)]
    assert bench.verify(job).equal


@pytest.mark.parametrize("history", [False, True])
@on("duckdb")
def test_a_repair_flags_no_record_that_only_left_the_condition(bench: Bench, history: bool) -> None:
    """Its row goes, and of a history its version ends; a record that is gone, or in the bin, is flagged as ever."""
    here = bench.here
    job = replace(JOB, where_clause="Name LIKE 'zz in%'", table="some", history=history, rename={"Name": "called"})
    left, purged, binned, stays = here.add("Account", 4, Name="zz in {n}")
    here.days_pass()
    bench.sync(job)
    here.change("Account", left, Name="out")
    here.change("Account", binned, Name="out as well")
    here.delete("Account", binned)
    here.purge("Account", purged)
    forget_deletions(here)
    here.days_pass()
    bench.sync(job)
    kept = " WHERE valid_to IS NULL" if history else ""
    bench.run(f"UPDATE raw.some SET IsDeleted = false{kept}")  # the deletion that is told is to be found again
    found = bench.verify(job, repair=True)
    assert (counts(found), found.good) == ({"extra": 3}, True)
    assert found.repair is not None
    assert (found.repair.left, found.repair.counts.deleted) == (0, 3)
    rows = dict(bench.rows(f"SELECT Id, IsDeleted FROM raw.some{kept}"))
    assert rows == {purged: True, binned: True, stays: False}
    if history:
        assert bench.rows(f"SELECT called, IsDeleted FROM raw.some WHERE Id = '{left}'") == [("zz in 0", False)]
    assert bench.verify(job, full=True).equal
    here.change("Account", left, Name="zz in again")
    here.days_pass()
    bench.sync(job)
    assert bench.verify(job, full=True).equal


def test_where_nobody_can_ask_without_the_condition_nothing_is_flagged(lake: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an object that Salesforce queries under a condition alone, such rows go: that they were deleted may be wrong."""
    monkeypatch.setattr(objects, "NEEDS_FILTER", frozenset({"account"}))
    here, job = lake.here, replace(JOB, where_clause="Name LIKE 'zz in%'", table="some")
    left, _ = here.add("Account", 2, Name="zz in {n}")
    here.days_pass()
    lake.sync(job)
    here.change("Account", left, Name="out")
    here.days_pass()
    lake.sync(job)
    assert lake.verify(job, repair=True).good
    assert lake.rows("SELECT Name, IsDeleted FROM raw.some") == [("zz in 1", False)]


def test_rows_that_share_a_key_are_told_and_left_to_a_full_sync(lake: Bench) -> None:
    """No merge can tell them apart: nothing is repaired, and the end is no success."""
    lake.run("INSERT INTO raw.accounts SELECT * FROM raw.accounts LIMIT 1")
    found = lake.verify(repair=True)
    assert (counts(found), found.repair, found.good) == ({"doubled": 1}, None, False)
    assert "a full sync (--full)" in found.notes[-1]
    lake.sync(replace(JOB, force_full_sync=True))
    assert lake.verify(full=True).equal


def test_a_key_of_ones_own_and_renamed_columns(lake: Bench) -> None:
    """Rows are compared as the sync shapes them, and read again by that key, quotes and all."""
    job = replace(JOB, table="shaped", match_field="Name", rename={"Name": "title", "AnnualRevenue": "worth"})
    for number, record in enumerate(lake.ids()):
        lake.here.change("Account", record, Name=f"it's {number}, no \\ %")
    lake.here.days_pass()
    lake.sync(job)
    lake.run("UPDATE raw.shaped SET worth = 0.5 WHERE title LIKE 'it''s 1,%'")
    lake.run("DELETE FROM raw.shaped WHERE title LIKE 'it''s 2,%'")
    assert counts(lake.verify(job, sample=100)) == {"missing": 1, "different": 1}
    mended = lake.verify(job, full=True, repair=True)
    assert (counts(mended), mended.good, mended.columns) == ({"missing": 1, "different": 1}, True, {"worth": 1})
    assert lake.verify(job, full=True).equal


def test_a_query_with_parents_is_compared_too(lake: Bench) -> None:
    """Columns of parents are read again with the rest; a parent that changed moves no stamp, and only values tell."""
    here, parent = lake.here, lake.ids()[0]
    child = here.add("Account", Name="child", ParentId=parent)[0]
    here.days_pass()
    job = SobjectSync("Account", "raw", "family", soql="SELECT Id, Name, Parent.Name FROM Account WHERE ParentId != null")
    lake.sync(job)
    here.change("Account", parent, Name="another")
    here.days_pass()
    lake.sync(job)
    assert lake.verify(job).equal
    found = lake.verify(job, full=True, repair=True)
    assert counts(found)["different"] >= 1
    assert any("formula-refresh" in note for note in found.notes)
    assert lake.rows(f"SELECT Parent_Name FROM raw.family WHERE Id = '{child}'") == [("another",)]
    assert lake.verify(job, full=True).equal


@on("postgres")
def test_a_history_is_compared_by_its_current_rows(bench: Bench) -> None:
    """Closed versions are no rows that differ; a repair ends versions and begins others, and deletes none."""
    here, job, ids = bench.here, replace(JOB, table="versions", history=True), bench.ids()
    bench.sync(job)
    here.days_pass()
    here.change("Account", ids[0], Name="second")
    here.days_pass()
    bench.sync(job)
    assert bench.rows("SELECT count(*) FROM raw.versions") == [(41,)]
    assert bench.verify(job, full=True).equal
    for other in (replace(job, history=False), replace(JOB, history=True)):
        with pytest.raises(Refused, match="history"):
            bench.verify(other)
    bench.run(f"UPDATE raw.versions SET Name = 'damaged' WHERE Id = '{ids[0]}' AND valid_to IS NULL")
    found = bench.verify(job, full=True, repair=True)
    assert (counts(found), found.good) == ({"different": 1}, True)
    assert bench.verify(job, full=True).equal
    assert bench.rows(f"SELECT Name FROM raw.versions WHERE Id = '{ids[0]}' AND valid_to IS NULL") == [("second",)]


@on("duckdb")
def test_a_column_that_the_table_lost_comes_back_with_its_values(bench: Bench) -> None:
    """Dropped or renamed there, it is read for all rows, also where columns are frozen; of a history the current rows have it."""
    frozen, history = replace(JOB, contract="freeze"), replace(JOB, table="versions", history=True)
    bench.sync(history)
    for job, change in (
        (frozen, "DROP COLUMN AnnualRevenue"),
        (JOB, "RENAME COLUMN Name TO named"),
        (history, "DROP COLUMN Name"),
    ):
        bench.run(f"ALTER TABLE raw.{job.table} {change}")
        reason = f"Everything is read: the table has lost the column {change.split()[2]}."
        assert bench.system.plan(job)[1].reasons[0] == reason
        assert any("has lost the column" in note for note in bench.verify(job).notes)
        with pytest.raises(Refused, match="it has lost columns"):
            bench.verify(job, full=True, repair=True)
        bench.sync(job)
        assert bench.verify(job, full=True).equal
        assert not bench.system.plan(job)[1].full


# ---- repairs


def test_a_repair_by_bulk_is_as_one_by_rest(lake: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Very many rows are picked out of one complete read by Bulk; its job is let go of, and no row is read again by key."""
    monkeypatch.setattr(repairing, "BULK_FROM", 5)
    lake.system.BULK_API_THRESHOLD = 1
    ids = lake.ids()
    lake.run(f"UPDATE raw.accounts SET Name = 'x', SystemModstamp = '2020-01-01 00:00:00+00' WHERE Id < '{ids[20]}'")
    lake.run(f"DELETE FROM raw.accounts WHERE Id > '{ids[30]}'")
    lake.here.kinds()
    found = lake.verify(repair=True)
    assert (counts(found), found.good) == ({"missing": 9, "stale": 20}, True)
    assert found.repair is not None
    with open_ledger(lake.here.settings.ledger) as ledger:
        assert ledger.get(found.repair.run).method == "bulk_api_incremental"
    assert lake.here.org.org.jobs.all() == []
    assert lake.verify(full=True).equal


def test_a_repair_that_bulk_refuses_reads_by_key(lake: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison went by Bulk, the repair's job is refused: the rows are read again by key, and the tables are the same."""
    monkeypatch.setattr(repairing, "BULK_FROM", 5)
    lake.system.BULK_API_THRESHOLD = 1
    lake.run("UPDATE raw.accounts SET Name = 'x', SystemModstamp = '2020-01-01 00:00:00+00'")
    refusal = '[{"errorCode":"INVALIDENTITY","message":"not supported by the Bulk API"}]'
    lake.here.org.faults.add("answer", path="/jobs/query", method="POST", status=400, body=refusal, nth=2)
    found = lake.verify(repair=True)
    assert (counts(found), found.good) == ({"stale": 40}, True)
    assert lake.verify(full=True).equal


def test_what_came_in_meanwhile_is_not_deleted(lake: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that only the table had when it was compared is looked up once more, and stays if the source has it by then."""
    job, here, (back, gone) = replace(JOB, deletes="hard"), lake.here, lake.ids()[:2]
    lake.sync(job)
    for record in (back, gone):
        here.delete("Account", record)
    here.days_pass()
    lake.sync(job)
    lake.run(f"INSERT INTO raw.accounts (Id, IsDeleted) VALUES ('{back}', false), ('{gone}', false)")
    real = salesforce_source.SalesforceSource.again

    def again(self: Any, plan: Any, keys: Any) -> Any:
        here.org.store.undelete(here.sobject("Account"), back, user_id=here.org.org.api_user_id)
        return real(self, plan, keys)

    monkeypatch.setattr(salesforce_source.SalesforceSource, "again", again)
    found = lake.verify(job, repair=True)
    assert found.extra == 2
    assert found.repair is not None
    assert (found.repair.counts.deleted, found.repair.left, found.good) == (1, 1, False)
    assert lake.rows(f"SELECT Id FROM raw.accounts WHERE Id IN ('{back}', '{gone}')") == [(back,)]


def test_a_repair_that_would_gut_the_table_is_refused(lake: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the share of the rows, or all of them because the answer was empty: nothing is changed."""
    monkeypatch.setattr(guards, "SMALL_DELETE_ROWS", 49)  # else it takes more than a thousand rows
    here = lake.here
    made = "INSERT INTO raw.accounts (Id, IsDeleted) SELECT 'x' || n, false FROM range(50) r(n)"
    lake.run(made)
    with pytest.raises(Refused, match=r"50 of its 90 rows"):
        lake.verify(repair=True)
    assert lake.rows("SELECT count(*) FROM raw.accounts WHERE NOT IsDeleted") == [(90,)]
    assert lake.verify(replace(JOB, max_delete_share=1.0), repair=True).good
    for record in lake.ids()[:40]:
        here.purge("Account", record)
    forget_deletions(here)
    with pytest.raises(Refused, match="the source has no rows"):
        lake.verify(repair=True)
    assert lake.verify(replace(JOB, allow_empty=True), repair=True).good


def test_what_a_sync_reads_anew_anyway_is_not_repaired(lake: Bench) -> None:
    """Other settings than the sync's, or a table that was emptied: both sides are compared, and the repair is the sync's."""
    other = replace(JOB, where_clause="Name != 'x'")
    assert any("the where clause is another" in note for note in lake.verify(other).notes)
    lake.run("DELETE FROM raw.accounts WHERE Name < 'C'")
    with pytest.raises(Refused, match="halocline sync"):
        lake.verify(other, repair=True)
    lake.run("DELETE FROM raw.accounts")
    found = lake.verify()
    assert (found.missing, found.carried_until) == (40, None)
    with pytest.raises(Refused, match="no sync has filled the table"):
        lake.verify(repair=True)
    assert lake.equal()


# ---- trouble


MISTAKES: tuple[tuple[SobjectSync, dict[str, Any], type[HaloclineError], str], ...] = (
    (JOB, {"sample": -1}, FixConfig, "a sample of -1"),
    (JOB, {"sample": 1, "full": True}, FixConfig, "Choose one"),
    (replace(JOB, table="nowhere"), {}, NotFound, "halocline sync"),
    (replace(JOB, sobject="Acount", table="accounts"), {}, NotFound, "Account"),
    (replace(JOB, match_field="Nme"), {}, HaloclineError, "Nme"),
    (replace(JOB, where_clause="Name ="), {}, BadQuery, "where"),
    (replace(JOB, deletes="maybe"), {}, FixConfig, "soft, hard or ignore"),
    (replace(JOB, formula_refresh="soon"), {}, FixConfig, "formula_refresh"),
    (replace(JOB, mask={"Name": "null"}, match_field="Name"), {}, FixConfig, "cannot be nulled"),
)


def test_mistakes_are_told(lake: Bench) -> None:
    """Each with what to try; nothing is changed, and nothing stays in the spool."""
    before = lake.rows("SELECT * FROM raw.accounts ORDER BY Id")
    for job, how, kind, words in MISTAKES:
        with pytest.raises(kind, match=words):
            lake.verify(job, repair=True, **how)
    assert lake.rows("SELECT * FROM raw.accounts ORDER BY Id") == before
    assert list((lake.here.folder / "spool").glob("*.spool")) == []


def test_a_column_of_another_type_is_told(bench: Bench) -> None:
    """A value cannot be compared with one of another type; a full sync builds the table anew."""
    bench.run("ALTER TABLE raw.accounts ALTER COLUMN Name TYPE integer USING 1")
    with pytest.raises(SchemaConflict, match=r"(?i)the column name is integer there"):
        bench.verify(full=True)


def test_a_sync_in_between_makes_the_comparison_worthless(lake: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides are of different times then, so the verification is to be made again."""
    here, real = lake.here, salesforce_source.SalesforceSource.parts

    def parts(self: Any, plan: Any) -> Any:
        monkeypatch.undo()
        here.days_pass()
        with system_at(here, here.lake) as other:
            other.run(JOB)
        return real(self, plan)

    monkeypatch.setattr(salesforce_source.SalesforceSource, "parts", parts)
    with pytest.raises(RetryLater, match="a sync filled the table meanwhile"):
        lake.verify()
    assert lake.verify().equal


def test_a_file_that_others_read_can_be_verified(tmp_path: Path) -> None:
    """Without a repair a database file is only read; a file that is not there is not made."""
    path = tmp_path / "lake.duckdb"
    with laptop(tmp_path) as here:
        here.seed("Account", 3)
        uri = f"duckdb:///{path}"
        with pytest.raises(NotFound, match="no such table"):
            verify(uri, here.client, JOB, settings=here.settings)
        assert not path.exists()
        with system_at(here, uri) as system:
            system.run(JOB)
        before = path.read_bytes()
        with duckdb.connect(str(path), read_only=True):
            assert verify(uri, here.client, JOB, full=True, settings=here.settings).equal
        assert path.read_bytes() == before


def test_an_object_that_bulk_refuses_is_compared_by_rest(lake: Bench) -> None:
    """As a sync does: the way changes, and the comparison goes on."""
    lake.system.BULK_API_THRESHOLD = 1
    refusal = '[{"errorCode":"INVALIDENTITY","message":"not supported by the Bulk API"}]'
    lake.here.org.faults.add("answer", path="/jobs/query", method="POST", status=400, body=refusal, nth=1)
    found = lake.verify(full=True)
    assert (found.equal, found.looked_at) == (True, 40)


def test_a_verification_holds_each_type_against_itself(server: Server, tmp_path: Path) -> None:
    """Every kind of value, as the loads write it, is the same as the source's, on each database and by REST as by Bulk."""
    job = SobjectSync("Thing__c", "raw", "things")
    with laptop(tmp_path, schemas=(Path(__file__).with_name("things.yaml"),)) as here, server.place(tmp_path) as place:
        values = {"Count__c": -5, "Weight__c": "0.125", "Amount__c": "-99.90", "Due__c": "0004-02-29", "At__c": "23:59:59.999Z"}
        here.add("Thing__c", 1, Text__c='a "quoted",\r\n\u2028 text', Sent__c="1969-12-31T23:59:59.001Z", **values)
        here.add("Thing__c", 1, Note__c=" ", Pick__c="None", Share__c="0.5")
        here.add("Thing__c", 2)
        here.days_pass()
        for session in (here.lake, place.uri()):
            with system_at(here, session) as system:
                for bulk in (1, 1_000):
                    system.BULK_API_THRESHOLD = bulk
                    system.run(replace(job, force_full_sync=True))
                    system.BULK_API_THRESHOLD = 1_001 - bulk
                    found = verify_with(system, job, full=True)
                    assert (found.columns, found.differences, found.looked_at) == ({}, 0, 4)


# ---- how fast, how large


@pytest.mark.long
@pytest.mark.parametrize("database", ["duckdb", "postgres"])
def test_memory_stays_flat(server: Server, tmp_path: Path, database: str, record_property: Callable[[str, object], None]) -> None:
    """100,000 rows of all columns, compared value by value; damage in the middle of them is found and repaired."""
    with laptop(tmp_path) as here, server.place(tmp_path) as place:
        here.seed("Account", 100_000)
        job = SobjectSync("Account", "raw", "accounts")
        uri = f"duckdb:///{tmp_path}/lake.duckdb" if database == "duckdb" else place.uri()
        with system_at(here, uri) as system:
            system.run(job)
            keys = verify_with(system, job)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            full = verify_with(system, job, full=True)
            more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert (keys.equal, full.equal, full.looked_at) == (True, True, 100_000)
    assert more < 250, f"{more:.0f} MB more"
    told = f"keys {keys.rows_per_s:,.0f} rows/s, full {full.rows_per_s:,.0f} rows/s, {more:.0f} MB more"
    record_property("says", f"verify {database}: {told} (100,000 rows, {len(full.columns)} columns differ)")
