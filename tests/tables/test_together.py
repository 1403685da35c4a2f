"""Laws of flows that go together: one run, one commit; each source hears only of its own work, whatever fails and whenever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.twins import Trips, TwinSource

from halocline.batch import Batch
from halocline.connector import Journal, Part, Plan, Target, Unfinished
from halocline.connectors.duckdb import open_destination
from halocline.errors import FixConfig, NetworkFailed, NotSupported, Refused
from halocline.ledger import Ledger, MemoryLedger
from halocline.outcome import Rejection
from halocline.plan import Thresholds, Wish, decide
from halocline.run import Flow, Run, Together, execute
from halocline.spool import Spool

CHANGES = [("1", "one"), ("2", "two"), ("3", "three")]


class Source(TwinSource):
    """A twin that begins a piece of work under a name which both tables use, and remembers what it was handed."""

    def __init__(self, trips: Trips | None = None) -> None:
        super().__init__(trips)
        self.left: list[Unfinished] = []
        self.rejecting = False
        self.odd: set[str] = set()  # parts
        self.changes = list(CHANGES)

    def take_up(self, plan: Plan, *, journal: Journal, left: Sequence[Unfinished]) -> Plan:
        self.trips("take up")
        self.left += left
        journal.intend("job", plan.object)
        return plan

    def read(self, part: Part, resume: Any = None) -> Iterator[Batch]:
        odd = self.rejecting or part.id in self.odd
        for batch in super().read(part, resume):
            refused = (Rejection(part.id, 7, "ODD", "it is odd", record={"Id": "7"}),) if odd else ()
            yield replace(batch, rejections=refused, filtered=2 if odd else 0)


class World:
    """Two sources, one database in memory."""

    def __init__(self, folder: Path) -> None:
        self.lake = duckdb.connect()
        self.folder = folder

    def run(self, sources: Sequence[Source], ledger: Ledger, run: Run | None = None, **wishes: Any) -> Run:
        run = run or Run.new()
        spool = Spool(run.id, self.folder)
        destination = open_destination(self.lake, spool=spool)
        flows = []
        for name, source in zip(("a", "b"), sources, strict=True):
            wish = Wish(flow=f"both->{name}", thresholds=Thresholds(0, 10), **wishes)
            flows.append(Flow(f"both->{name}", name, source, destination, Target("raw", name), partial(decide, wish=wish)))
        try:
            return execute(Together("both", tuple(flows)), run, ledger=ledger)
        finally:
            spool.close()

    def rows(self) -> list[Any]:
        if not self.lake.execute("SELECT 1 FROM duckdb_tables() WHERE schema_name = 'raw'").fetchall():
            return []
        both = "SELECT 'a', count(*), max(Name) FROM raw.a UNION ALL SELECT 'b', count(*), max(Name) FROM raw.b ORDER BY 1"
        return self.lake.execute(both).fetchall()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.lake.close()


def test_fail_the_ith_operation_for_every_i(world: World, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Both tables are as before or as after; the next run makes both whole, and what was begun is told to its own source.

    Every third operation, which is now the one source's and now the other's, and the last two; `--long`: each.
    """
    probe = Trips()
    world.run([Source(probe), Source(probe)], MemoryLedger())
    count = len(probe.seen)
    for i in sorted({*range(1, count + 1, 1 if pytestconfig.getoption("--long") else 3), count - 1, count}):
        broken, ledger, trips = World(tmp_path), MemoryLedger(), Trips(fail_at=i)
        sources, run = [Source(trips), Source(trips)], Run.new()
        try:
            broken.run(sources, ledger, run)
        except NetworkFailed:
            assert (broken.rows(), run.durable_rows, ledger.get(run.id).state) == ([], 0, "failed")
        else:
            assert trips.seen[i - 1] == "ack", trips.seen[i - 1]
        after = broken.run(sources, ledger)
        assert broken.rows() == [("a", 3, "two"), ("b", 3, "two")], f"after operation {i}: {trips.seen[i - 1]}"
        assert [bool(source.acked) for source in sources] == [True, True]
        assert [leg.plan is not None for leg in after.tables] == [True, True]
        for name, source in zip("ab", sources, strict=True):
            for work in source.left:
                assert (work.chunk, work.plan.object if work.plan else "Thing") == ("job", "Thing")
                assert work.plan is None or work.plan.flow == f"both->{name}"
        broken.lake.close()


def test_what_could_not_become_rows_is_booked_for_each(world: World) -> None:
    """With its table's name; counts balance for each table and for the run."""
    ledger, sources = MemoryLedger(), [Source(), Source()]
    sources[1].rejecting = True
    run = Run.new()
    with pytest.raises(Refused, match="2 of 9"):
        world.run(sources, ledger, run)
    assert world.rows() == []
    assert [one.message for one in ledger.rejections(run.id)] == ["raw.b: it is odd"] * 2

    some = Source()
    some.odd = {"part-0"}
    some.changes = [(str(n), "x") for n in range(40)]
    run = world.run([sources[0], some], ledger)
    assert [(leg.rows_read, leg.counts and leg.counts.rejected, leg.counts and leg.counts.filtered) for leg in run.tables] == [
        (3, 0, 0),
        (43, 1, 2),
    ]
    booked = ledger.get(run.id)
    assert (booked.rows_read, booked.counts.accounted) == (46, 46)


def test_a_way_that_turns_out_closed_is_planned_again_for_all(world: World) -> None:
    """Nothing of the first try is counted."""
    sources = [Source(), Source()]
    parts = sources[1].parts

    def refusing(plan: Plan) -> Iterator[Part]:
        if plan.api != "rest":
            raise NotSupported("Creating a job", "no Bulk here", ability="bulk")
        return parts(plan)

    sources[1].parts = refusing  # type: ignore[method-assign]
    run = world.run(sources, MemoryLedger())
    assert [leg.rows_read for leg in run.tables] == [3, 3]
    assert world.rows() == [("a", 3, "two"), ("b", 3, "two")]


def test_a_failed_acknowledgement_is_made_by_the_next_run(world: World) -> None:
    """To the source whose it is."""
    ledger, sources = MemoryLedger(), [Source(), Source()]
    real, sources[1].ack = sources[1].ack, _cut_off  # type: ignore[method-assign]
    world.run(sources, ledger)
    assert sources[1].acked == []
    sources[1].ack = real  # type: ignore[method-assign]
    world.run(sources, ledger)
    assert sources[1].acked[:1] == ["job"]


def _cut_off(receipts: Sequence[object]) -> None:
    raise NetworkFailed("Telling", "no")


def test_a_destination_of_one_table_a_commit_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    """With what to do instead."""
    from tests.tables.test_copy import tables

    from halocline.tables import TableCopy

    lake = duckdb.connect()
    lake.execute("CREATE TABLE a AS SELECT 1 AS id; CREATE TABLE b AS SELECT 2 AS id")
    both = tables(
        lake,
        f"file://{tmp_path}/out",
        TableCopy("a", key=["id"]),
        TableCopy("b", key=["id"]),
        ledger=MemoryLedger(),
        tmp_path=tmp_path,
    )
    with pytest.raises(FixConfig, match="one by one"):
        both.run()
    assert [error for _, _, error in both.run_each()] == [None, None]
    assert lake.execute(f"SELECT count(*) FROM read_parquet('{tmp_path}/out/**/*.parquet', union_by_name=true)").fetchall() == [
        (2,)
    ]
    lake.close()
