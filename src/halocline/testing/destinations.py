"""DestinationSuite: the laws of `Destination`, `Unit` and `Load`, for every transactional destination.

Subclass it in a test module, under a name that pytest collects, and say how to open the destination and read a table:

    class TestDuckDB(DestinationSuite):
        def open(self, folder, spool): return DuckDBDestination(f"duckdb:///{folder}/x.duckdb", spool=spool)
        def read(self, destination, target): ...
        def drop(self, destination, target): ...
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from halocline.batch import JSON, Batch, Op, Position
from halocline.connector import Deletes, Destination, Manifest, Mode, Part, Plan, Target
from halocline.errors import HaloclineError, LeaseLost, NotFound, Refused, SchemaConflict, Truncated
from halocline.outcome import Counts, Outcome
from halocline.schema import Column, Kind, Schema
from halocline.spool import Spool

FLOW = "Account -> raw.Accounts"
TARGET = Target("raw", "Accounts")
SCHEMA = Schema(
    (
        Column("Id", Kind.STRING, length=18),
        Column("Name", Kind.STRING, length=255),
        Column("Amount__c", Kind.DECIMAL, precision=18, scale=2),
        Column("Count__c", Kind.INTEGER),
        Column("Ratio__c", Kind.DOUBLE),
        Column("Born__c", Kind.DATE),
        Column("At__c", Kind.TIME),
        Column("IsDeleted", Kind.BOOLEAN),
        Column("SystemModstamp", Kind.DATETIME),
    ),
    key=("Id",),
)

Row = Mapping[str, object]
Way = TypeVar("Way")


class NoJournal:
    """A journal for destinations that keep none: nothing is open, and being told is an error of the test."""

    def intend(self, chunk: str, detail: JSON = None) -> None:
        raise AssertionError(f"a transactional destination journaled {chunk} {detail}")

    def remote(self, chunk: str, job_id: str) -> None:
        raise AssertionError(f"a transactional destination journaled {chunk} {job_id}")

    def settle(self, chunk: str, outcome: Outcome) -> None:
        raise AssertionError(f"a transactional destination journaled {chunk} {outcome}")

    def open(self) -> Sequence[tuple[str, JSON, str | None]]:
        return ()


def stamp(seconds: int) -> dt.datetime:
    """An instant, some seconds after midnight of a day in 2026."""
    return dt.datetime(2026, 3, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)


def account(number: int, *, at: int = 0, **values: object) -> Row:
    """A sample row with a value of every kind; `at` is its stamp in seconds."""
    plain: dict[str, object] = {
        "Id": f"001{number:015d}",
        "Name": f'Łódź "{number}", Co.\r\n\U0001f600',
        "Amount__c": Decimal(number) + Decimal("0.05"),
        "Count__c": number,
        "Ratio__c": number / 7,
        "Born__c": dt.date(1999, 12, 31),
        "At__c": dt.time(10, 20, 30, 5000),
        "IsDeleted": False,
        "SystemModstamp": stamp(at),
    }
    return {**plain, **values}


def batch(rows: Sequence[Row], *, schema: Schema = SCHEMA, op: Op = Op.UPSERT) -> Batch:
    """The rows as an Arrow batch."""
    return Batch(rows=pa.RecordBatch.from_pylist([dict(row) for row in rows], schema=schema.arrow), op=op)


def deletions(*ids: tuple[int, int]) -> Batch:
    """A batch of deletions: pairs of a row's number and the deletion's stamp in seconds."""
    rows = [{"Id": f"001{number:015d}", "SystemModstamp": stamp(at)} for number, at in ids]
    return batch(rows, schema=SCHEMA.select(["Id", "SystemModstamp"]), op=Op.DELETE)


@contextmanager
def raises(kind: type[HaloclineError]) -> Iterator[list[HaloclineError]]:
    """The block must raise this error; the list then holds it."""
    caught: list[HaloclineError] = []
    try:
        yield caught
    except kind as error:
        caught.append(error)
        return
    raise AssertionError(f"{kind.__name__} was not raised")


@dataclass(frozen=True, slots=True)
class Bench:
    """A destination under test, and the short way through a load."""

    suite: DestinationSuite
    destination: Destination

    def load(self, *batches: Batch, position: Position | None = None, **plan: Any) -> Counts:
        """Stage each batch as a part of its own, and commit."""
        unit = self.destination.begin(self.destination.claim(FLOW, "test"))
        try:
            load = unit.open(TARGET, self.suite.plan(**plan), NoJournal())
            manifests = [load.stage(Part(f"part-{i}"), iter([item])) for i, item in enumerate(batches)]
            counts = unit.commit({FLOW: position or {"stamp": "2026-03-01"}}, manifests)
        finally:
            unit.close()
        assert counts.accounted == sum(item.count for item in batches), "every staged row is accounted for"
        return counts

    def merge(self, *batches: Batch, position: Position | None = None, **plan: Any) -> Counts:
        """As `load`, by key."""
        return self.load(*batches, position=position, mode=Mode.MERGE, **plan)

    def rows(self) -> list[dict[str, object]]:
        """The table's rows, by Id."""
        return sorted(self.suite.read(self.destination, TARGET), key=lambda row: str(row["Id"]))

    def position(self) -> Position | None:
        """The stored position."""
        return self.destination.position(FLOW, TARGET)


class DestinationSuite:
    """Every transactional destination obeys these laws."""

    def open(self, folder: Path, spool: Spool) -> Destination:
        """A destination whose data lives below `folder`; opening it twice one after the other shows the same data."""
        raise NotImplementedError

    def read(self, destination: Destination, target: Target) -> list[dict[str, object]]:
        """The rows of a table, with the column names as the table has them; none where it does not exist."""
        raise NotImplementedError

    def drop(self, destination: Destination, target: Target) -> None:
        """Drop a table behind the destination's back."""
        raise NotImplementedError

    def plan(self, **changes: Any) -> Plan:
        """A plan for a full load of the sample schema, with changes."""
        plain = Plan(
            flow=FLOW,
            object="Account",
            method="bulk_api_full",
            reasons=(),
            query="SELECT Id FROM Account",
            window=(None, "2026-03-02T00:00:00Z"),
            next_position={},
            mode=Mode.REPLACE,
            key=("Id",),
            schema=SCHEMA,
            cursor="SystemModstamp",
            deletes=Deletes.SOFT,
            delete_flag="IsDeleted",
            expected_rows=0,
        )
        return replace(plain, **changes)

    def pick(self, ways: Sequence[Way]) -> Sequence[Way]:
        """Of the ways through one law those that are taken: all of them, unless a suite whose destination is dear takes fewer."""
        return ways

    @contextmanager
    def bench(self, folder: Path) -> Iterator[Bench]:
        """An open destination with its spool, closed afterwards."""
        spool = Spool("suite", folder)
        destination = self.open(folder, spool)
        try:
            yield Bench(self, destination)
        finally:
            destination.close()
            spool.close()

    def test_a_full_load_publishes_rows_and_position_together(self, tmp_path: Path) -> None:
        """After a commit the table holds the rows exactly as they were staged, and the position is the plan's."""
        rows = [account(n) for n in range(5)]
        with self.bench(tmp_path) as bench:
            counts = bench.load(batch(rows[:3]), batch(rows[3:]), position={"stamp": "later"})
            assert bench.rows() == rows
            assert bench.position() == {"stamp": "later"}
        assert (counts.inserted, counts.changed) == (5, 5)

    def test_null_stays_null(self, tmp_path: Path) -> None:
        """A row with nothing but a key comes back with nothing but a key."""
        row: Row = {"Id": "1", **dict.fromkeys(SCHEMA.names[1:])}
        with self.bench(tmp_path) as bench:
            bench.load(batch([row]))
            assert bench.rows() == [row]

    def test_a_commit_outlives_the_destination(self, tmp_path: Path) -> None:
        """A destination opened anew shows the rows and the position."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1)]), position={"stamp": "kept"})
        with self.bench(tmp_path) as bench:
            assert bench.rows() == [account(1)]
            assert bench.position() == {"stamp": "kept"}

    def test_leaving_without_commit_changes_nothing(self, tmp_path: Path) -> None:
        """Staged parts of a unit that is closed without a commit are never seen, and the position stays."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1)]), position={"stamp": "old"})
            unit = bench.destination.begin(bench.destination.claim(FLOW, "test"))
            load = unit.open(TARGET, self.plan(mode=Mode.MERGE), NoJournal())
            load.stage(Part("p"), iter([batch([account(2)])]))
            unit.close()
            unit.close()
            assert bench.rows() == [account(1)]
            assert bench.position() == {"stamp": "old"}

    def test_repeating_a_part_is_harmless(self, tmp_path: Path) -> None:
        """A part that was staged twice counts once, with what it held the last time."""
        with self.bench(tmp_path) as bench:
            unit = bench.destination.begin(bench.destination.claim(FLOW, "test"))
            load = unit.open(TARGET, self.plan(), NoJournal())
            load.stage(Part("p"), iter([batch([account(1), account(2)])]))
            manifest = load.stage(Part("p"), iter([batch([account(3)])]))
            assert unit.commit({FLOW: {}}, [manifest]).inserted == 1
            unit.close()
            assert bench.rows() == [account(3)]

    def test_parts_may_be_staged_from_many_threads(self, tmp_path: Path) -> None:
        """Parts staged at the same time all arrive."""
        with self.bench(tmp_path) as bench, ThreadPoolExecutor(4) as pool:
            unit = bench.destination.begin(bench.destination.claim(FLOW, "test"))
            load = unit.open(TARGET, self.plan(), NoJournal())

            def stage(number: int) -> Manifest:
                return load.stage(Part(f"p{number}"), iter([batch([account(number)])]))

            unit.commit({FLOW: {}}, list(pool.map(stage, range(16))))
            unit.close()
            assert bench.rows() == [account(n) for n in range(16)]

    def test_a_load_can_be_attached_by_its_ticket(self, tmp_path: Path) -> None:
        """What a second load, opened from the first one's ticket, stages is committed with the rest."""
        with self.bench(tmp_path) as bench:
            unit = bench.destination.begin(bench.destination.claim(FLOW, "test"))
            load = unit.open(TARGET, self.plan(), NoJournal())
            other = bench.destination.attach(load.ticket())
            manifests = [
                load.stage(Part("a"), iter([batch([account(1)])])),
                other.stage(Part("b"), iter([batch([account(2)])])),
            ]
            unit.commit({FLOW: {}}, manifests)
            unit.close()
            assert bench.rows() == [account(1), account(2)]

    def test_an_older_lease_cannot_commit(self, tmp_path: Path) -> None:
        """A claim made after ours takes the flow: our commit fails and changes nothing, theirs succeeds."""
        with self.bench(tmp_path) as bench:
            ours = bench.destination.claim(FLOW, "ours")
            theirs = bench.destination.claim(FLOW, "theirs")
            assert theirs.fence > ours.fence
            unit = bench.destination.begin(ours)
            manifest = unit.open(TARGET, self.plan(), NoJournal()).stage(Part("p"), iter([batch([account(1)])]))
            with raises(LeaseLost):
                unit.commit({FLOW: {}}, [manifest])
            unit.close()
            assert bench.rows() == []
            assert bench.position() is None

    def test_a_missing_table_has_no_position(self, tmp_path: Path) -> None:
        """The position goes with its table, so that the next read is a full one."""
        with self.bench(tmp_path) as bench:
            assert bench.position() is None
            bench.load(batch([account(1)]))
            assert list(bench.destination.flows(TARGET)) == [FLOW]
            self.drop(bench.destination, TARGET)
            assert bench.position() is None
            assert list(bench.destination.flows(TARGET)) == []

    def test_an_emptied_table_has_no_position(self, tmp_path: Path) -> None:
        """Whoever empties a table wants it filled again, not only with what changes from now on."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1)]))
            bench.load(allow_empty=True)
            assert bench.position() is None
            assert list(bench.destination.flows(TARGET)) == []

    def test_a_replaced_table_has_no_position_of_other_flows(self, tmp_path: Path) -> None:
        """When a flow takes over a table, the rows that another flow counted on are gone, and so is its position."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1)]))
            unit = bench.destination.begin(bench.destination.claim("another flow", "test"))
            load = unit.open(TARGET, self.plan(flow="another flow", allow_replace=True), NoJournal())
            manifest = load.stage(Part("p"), iter([batch([account(2)])]))
            unit.commit({"another flow": {"n": 1}}, [manifest])
            unit.close()
            assert bench.position() is None
            assert bench.destination.position("another flow", TARGET) == {"n": 1}
            assert list(bench.destination.flows(TARGET)) == ["another flow"]
            with raises(Refused):
                bench.load(batch([account(1)]))

    def test_tables_whose_names_run_together_keep_their_own_positions(self, tmp_path: Path) -> None:
        """Table `c` of schema `a.b` is not table `b.c` of schema `a`."""
        with self.bench(tmp_path) as bench:
            for number, target in enumerate((Target("a.b", "c"), Target("a", "b.c"))):
                unit = bench.destination.begin(bench.destination.claim(FLOW, "test"))
                manifest = unit.open(target, self.plan(), NoJournal()).stage(Part("p"), iter([batch([account(1)])]))
                unit.commit({FLOW: {"n": number}}, [manifest])
                unit.close()
            assert bench.destination.position(FLOW, Target("a.b", "c")) == {"n": 0}
            assert bench.destination.position(FLOW, Target("a", "b.c")) == {"n": 1}

    def test_a_chosen_key_that_live_records_share_is_refused(self, tmp_path: Path) -> None:
        """No record is merged into another one without a word; one that is marked as deleted may share its key."""
        rows = [account(1, Name="same"), account(2, Name="same")]
        with self.bench(tmp_path) as bench:
            for mode in Mode:
                with raises(SchemaConflict) as caught:
                    bench.load(batch(rows), key=("Name",), mode=mode)
                assert "2 records share the value 'same'" in str(caught[0])
            bench.load(batch([account(1, Name="same", IsDeleted=True), account(2, at=1, Name="same")]), key=("Name",))
            assert bench.rows() == [account(2, at=1, Name="same")]

    def test_a_chosen_key_that_moves_is_refused_in_a_merge(self, tmp_path: Path) -> None:
        """A record whose key changed would stay behind under the old one; a record of another's key would overwrite it."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1, Name="a"), account(2, Name="b")]), key=("Name",))
            for row in (account(1, at=1, Name="new"), account(3, at=1, Name="b")):
                with raises(SchemaConflict) as caught:
                    bench.merge(batch([row]), key=("Name",))
                assert "the key Name" in str(caught[0])
            bench.merge(batch([account(2, at=1, Name="b", Count__c=9)]), key=("Name",))
            assert bench.rows() == [account(1, Name="a"), account(2, at=1, Name="b", Count__c=9)]

    def test_rows_that_got_lost_stop_the_commit(self, tmp_path: Path) -> None:
        """A manifest that announces more rows than were staged is refused, and nothing changes."""
        with self.bench(tmp_path) as bench:
            unit = bench.destination.begin(bench.destination.claim(FLOW, "test"))
            manifest = unit.open(TARGET, self.plan(), NoJournal()).stage(Part("p"), iter([batch([account(1)])]))
            with raises(Truncated):
                unit.commit({FLOW: {}}, [replace(manifest, rows=2)])
            unit.close()
            assert bench.rows() == []

    def test_a_merge_inserts_updates_and_leaves_alone(self, tmp_path: Path) -> None:
        """Rows meet the table by key; one that would not change is counted as unchanged."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1), account(2), account(3)]))
            counts = bench.merge(batch([account(2), account(3, at=5, Name="new"), account(4, at=5)]))
            assert bench.rows() == [account(1), account(2), account(3, at=5, Name="new"), account(4, at=5)]
        assert (counts.inserted, counts.updated, counts.deleted, counts.unchanged) == (1, 1, 0, 1)

    def test_a_value_may_become_null(self, tmp_path: Path) -> None:
        """Null replaces a value, and a value null."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1, Name=None), account(2)]))
            assert bench.merge(batch([account(1), account(2, Name=None)])).updated == 2
            assert [row["Name"] for row in bench.rows()] == [account(1)["Name"], None]

    def test_a_merge_may_be_repeated(self, tmp_path: Path) -> None:
        """The same rows merged again change nothing."""
        with self.bench(tmp_path) as bench:
            changes = [batch([account(1), account(2)]), deletions((2, 9))]
            bench.merge(*changes)
            before = bench.rows()
            assert bench.merge(*changes).changed == 0
            assert bench.rows() == before

    def test_the_key_is_found_in_any_case(self, tmp_path: Path) -> None:
        """A key given as ID finds the column Id, in the plan and in the table."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1)]), key=("ID",))
            bench.merge(batch([account(1, Name="new")]), key=("iD",))
            assert bench.rows() == [account(1, Name="new")]

    def test_a_key_that_does_not_exist_is_named(self, tmp_path: Path) -> None:
        """A load by a column that the object lacks is refused before anything is staged."""
        with self.bench(tmp_path) as bench:
            unit = bench.destination.begin(bench.destination.claim(FLOW, "test"))
            with raises(NotFound) as caught:
                unit.open(TARGET, self.plan(key=("Nmae",)), NoJournal())
            assert "Nmae" in str(caught[0])

    def test_of_rows_with_one_key_the_newest_wins(self, tmp_path: Path) -> None:
        """Duplicates inside one load become one row, whichever part they came in; the others count as unchanged."""
        twice = [batch([account(1, at=3, Name="new")]), batch([account(1, at=1, Name="old"), account(2)])]
        for mode in self.pick((Mode.REPLACE, Mode.MERGE)):
            with self.bench(tmp_path / mode) as bench:
                counts = bench.load(*twice, mode=mode)
                assert bench.rows() == [account(1, at=3, Name="new"), account(2)]
            assert (counts.inserted, counts.unchanged) == (2, 1)

    def test_a_record_that_comes_twice_against_the_promise_stops_the_commit(self, tmp_path: Path) -> None:
        """From a source that reads each record once, a repeated key is a page delivered twice; its deletion is none."""
        twice = [batch([account(1), account(2)]), batch([account(1)])]
        for mode in self.pick((Mode.REPLACE, Mode.MERGE)):
            with self.bench(tmp_path / mode) as bench:
                bench.load(batch([account(1), account(3)]))
                with raises(Truncated) as caught:
                    bench.load(*twice, mode=mode, once=True)
                assert "twice" in str(caught[0])
                assert bench.rows() == [account(1), account(3)]
                bench.load(batch([account(1, at=2)]), deletions((1, 1)), mode=Mode.MERGE, once=True)
                assert bench.rows() == [account(1, at=2), account(3)]

    def test_a_hard_deletion_removes_the_row(self, tmp_path: Path) -> None:
        """With hard deletes, flagged rows and deletions go; those of rows that were never there count as unchanged."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(n) for n in range(4)]), deletes=Deletes.HARD)
            flagged = batch([account(1, at=5, IsDeleted=True), account(8, at=5, IsDeleted=True)])
            counts = bench.merge(flagged, deletions((2, 6), (9, 6)), deletes=Deletes.HARD)
            assert bench.rows() == [account(0), account(3)]
        assert (counts.deleted, counts.unchanged) == (2, 2)

    def test_a_soft_deletion_marks_the_row(self, tmp_path: Path) -> None:
        """With soft deletes, flagged rows replace theirs, and a deletion sets the flag and raises the stamp."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1), account(2), account(3)]))
            counts = bench.merge(batch([account(1, at=5, IsDeleted=True)]), deletions((2, 6), (9, 6)))
            wanted = [account(1, at=5, IsDeleted=True), account(2, at=6, IsDeleted=True), account(3)]
            assert bench.rows() == wanted
        assert (counts.deleted, counts.updated, counts.unchanged) == (2, 0, 1)

    def test_ignored_deletions_change_nothing(self, tmp_path: Path) -> None:
        """With ignored deletes, neither a flagged row nor a deletion touches the table."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1), account(2)]))
            gone = [batch([account(1, at=5, IsDeleted=True)]), deletions((2, 6))]
            assert bench.merge(*gone, deletes=Deletes.IGNORE).unchanged == 2
            assert bench.rows() == [account(1), account(2)]

    def test_at_equal_stamps_the_row_wins_over_the_deletion(self, tmp_path: Path) -> None:
        """A row and a deletion of one key: the newer counts, and at equal stamps the deletion goes first."""
        for deletes, mode in self.pick(list(itertools.product((Deletes.SOFT, Deletes.HARD), (Mode.REPLACE, Mode.MERGE)))):
            with self.bench(tmp_path / f"{deletes}-{mode}") as bench:
                rows = batch([account(1, at=5), account(2, at=5), account(3, at=5)])
                bench.load(rows, deletions((1, 4), (2, 5), (3, 6)), mode=mode, deletes=deletes)
                live = [row["Id"] for row in bench.rows() if not row["IsDeleted"]]
                assert live == [account(1)["Id"], account(2)["Id"]]

    def test_a_flagged_row_says_more_than_its_deletion(self, tmp_path: Path) -> None:
        """Of a flagged row and a deletion of one key the row is kept, whichever stamp is newer: it has the last values."""
        last = [account(1, at=5, Name="last", IsDeleted=True), account(2, at=5, Name="last", IsDeleted=True)]
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1)]))
            counts = bench.merge(batch(last), deletions((1, 6), (2, 6)))
            assert bench.rows() == last
        assert (counts.inserted, counts.deleted, counts.unchanged) == (1, 1, 2)

    def test_a_deletion_marks_a_row_in_a_full_load_as_in_a_merge(self, tmp_path: Path) -> None:
        """A row that was read before its deletion is published with its flag set and the deletion's stamp."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1, at=5), account(2, at=5)]), deletions((1, 6), (1, 7), (9, 6)))
            assert bench.rows() == [account(1, at=7, IsDeleted=True), account(2, at=5)]

    def test_an_older_deletion_does_not_kill_a_newer_row(self, tmp_path: Path) -> None:
        """A deletion older than the table's row is ignored: the record was undeleted since."""
        for deletes in self.pick((Deletes.SOFT, Deletes.HARD)):
            with self.bench(tmp_path / deletes) as bench:
                bench.load(batch([account(1, at=9)]), deletes=deletes)
                assert bench.merge(deletions((1, 8)), deletes=deletes).unchanged == 1
                assert bench.rows() == [account(1, at=9)]

    def test_an_undeleted_record_comes_back(self, tmp_path: Path) -> None:
        """A row read after its deletion is live again."""
        for deletes in self.pick((Deletes.SOFT, Deletes.HARD)):
            with self.bench(tmp_path / deletes) as bench:
                bench.load(batch([account(1)]), deletes=deletes)
                bench.merge(deletions((1, 5)), deletes=deletes)
                bench.merge(batch([account(1, at=7)]), deletes=deletes)
                assert bench.rows() == [account(1, at=7)]

    def test_a_new_column_is_added_and_a_removed_one_kept(self, tmp_path: Path) -> None:
        """Drift that only adds or takes columns away loses no value, in a merge and in a full load."""
        narrow = SCHEMA.select([name for name in SCHEMA.names if name != "Name"])
        wide = Schema((*narrow.columns, Column("New__c", Kind.STRING)), narrow.key)
        changed = [{**account(1, at=5), "New__c": "x"}, {**account(3, at=5), "New__c": "y"}]
        bare = [{name: value for name, value in row.items() if name != "Name"} for row in changed]
        for mode in self.pick((Mode.MERGE, Mode.REPLACE)):
            with self.bench(tmp_path / mode) as bench:
                bench.load(batch([account(1), account(2)]))
                bench.load(batch(bare, schema=wide), mode=mode, schema=wide)
                found = {row["Id"]: row for row in bench.rows()}
            assert found[account(1)["Id"]] == changed[0]
            assert found[account(3)["Id"]] == {**changed[1], "Name": None}
            if mode is Mode.MERGE:
                assert found[account(2)["Id"]] == {**account(2), "New__c": None}

    def test_a_changed_type_is_refused_in_a_merge(self, tmp_path: Path) -> None:
        """A column of another type stops the load, names the column, and says that a full sync builds the table anew."""
        columns = [replace(c, kind=Kind.STRING) if c.name == "Count__c" else c for c in SCHEMA]
        other = Schema(tuple(columns), SCHEMA.key)
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1)]))
            with raises(SchemaConflict) as caught:
                bench.merge(batch([account(1, Count__c="7")], schema=other), schema=other)
            assert "Count__c" in str(caught[0])
            assert "force_full_sync" in str(caught[0])
            bench.load(batch([account(1, Count__c="7")], schema=other), schema=other)
            assert bench.rows() == [account(1, Count__c="7")]

    def test_an_empty_answer_never_replaces_a_table(self, tmp_path: Path) -> None:
        """No rows replace a table that has some only where the plan allows it."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1)]), position={"stamp": "old"})
            with raises(Refused):
                bench.load()
            assert bench.rows() == [account(1)]
            assert bench.position() == {"stamp": "old"}
            bench.load(allow_empty=True)
            assert bench.rows() == []

    def test_a_mass_deletion_is_refused(self, tmp_path: Path) -> None:
        """Deletions of more than the plan's share of the table, and more than a thousand rows, stop the commit."""
        many = batch([account(n) for n in range(2_000)])
        gone = deletions(*((n, 5) for n in range(1_001)))
        with self.bench(tmp_path) as bench:
            bench.load(many)
            with raises(Refused):
                bench.merge(gone, max_delete_share=0.5)
            assert not any(row["IsDeleted"] for row in bench.rows())
            assert bench.merge(gone, max_delete_share=0.6).deleted == 1_001

    def test_a_table_that_lost_most_rows_is_not_replaced(self, tmp_path: Path) -> None:
        """A full answer with far fewer rows than the table needs the plan's leave."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(n) for n in range(2_000)]))
            with raises(Refused):
                bench.load(batch([account(1)]))
            bench.load(batch([account(1)]), allow_replace=True)
            assert bench.rows() == [account(1)]

    def test_a_table_of_somebody_else_is_not_replaced(self, tmp_path: Path) -> None:
        """A full load into a table with rows that this flow never filled is refused, unless the plan allows it."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1)]))
            unit = bench.destination.begin(bench.destination.claim("another flow", "test"))
            with raises(Refused) as caught:
                unit.open(TARGET, self.plan(flow="another flow"), NoJournal())
            assert "force_full_sync" in str(caught[0])
            unit.open(TARGET, self.plan(flow="another flow", allow_replace=True), NoJournal())
            unit.close()

    def test_the_highest_stamp_is_that_of_the_rows_staged(self, tmp_path: Path) -> None:
        """The commit tells the greatest cursor value loaded, as an instant in UTC."""
        with self.bench(tmp_path) as bench:
            counts = bench.load(batch([account(1, at=7), account(2, at=9), account(3, at=8)]))
            assert counts.highest is not None
            assert dt.datetime.fromisoformat(counts.highest) == stamp(9)
            assert bench.merge(batch([account(1, at=7, SystemModstamp=None)])).highest is None

    def test_rows_read_back_as_they_were_loaded(self, tmp_path: Path) -> None:
        """In the plan's columns, names, types and digits, nulls too; of some keys at least these; a missing column is null."""
        rows = [account(1), account(2, IsDeleted=True), {**dict.fromkeys(SCHEMA.names), "Id": "bare", "Name": ""}]
        wide = Schema((*SCHEMA.select(["Id", "At__c"]).columns, Column("New__c", Kind.DOUBLE)), SCHEMA.key)
        with self.bench(tmp_path) as bench:
            with raises(NotFound):
                list(bench.destination.rows(TARGET, self.plan()))
            bench.load(batch(rows))
            assert _sorted(bench.destination.rows(TARGET, self.plan()), SCHEMA) == sorted(
                bench.rows(), key=lambda r: str(r["Id"])
            )
            found = _sorted(bench.destination.rows(TARGET, self.plan(schema=wide), keys=[rows[0]["Id"]]), wide)
            assert {"Id": rows[0]["Id"], "At__c": rows[0]["At__c"], "New__c": None} in found
            assert _sorted(bench.destination.rows(TARGET, self.plan(), keys=["no such key"]), SCHEMA) in ([], bench.rows())
            digits = {f"W{n}": n for n in (1, 18, 37)}
            whole = Schema((SCHEMA.columns[0], *(Column(w, Kind.DECIMAL, precision=n) for w, n in digits.items())), SCHEMA.key)
            rows = [{"Id": sign} | {name: Decimal(sign + "9" * n) for name, n in digits.items()} for sign in "+-"]
            bench.load(batch(rows, schema=whole), schema=whole)
            assert _sorted(bench.destination.rows(TARGET, self.plan(schema=whole)), whole) == rows

    def test_a_deletion_without_a_stamp_is_applied(self, tmp_path: Path) -> None:
        """Who knows that a record is gone, and not since when, has its row marked, or removed; its stamp stays."""
        gone = batch([{"Id": account(1)["Id"]}], schema=SCHEMA.select(["Id"]), op=Op.DELETE)
        ways = ((Deletes.SOFT, [account(1, at=5, IsDeleted=True), account(2)]), (Deletes.HARD, [account(2)]))
        for deletes, wanted in self.pick(ways):
            with self.bench(tmp_path / deletes) as bench:
                bench.load(batch([account(1, at=5), account(2)]), deletes=deletes)
                assert bench.merge(gone, deletes=deletes).deleted == 1
                assert bench.rows() == wanted


def _sorted(batches: Iterator[pa.RecordBatch], schema: Schema) -> list[dict[str, object]]:
    """The rows of batches by Id, once it is sure that they are of that schema."""
    return sorted(pa.Table.from_batches(batches, schema.arrow).to_pylist(), key=lambda row: str(row["Id"]))
