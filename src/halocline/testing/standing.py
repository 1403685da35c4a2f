"""StandingLaws: the laws of a table that stands otherwise than a load expects, beside those of `DestinationSuite`.

class TestDuckDB(DestinationSuite, AlteredLaws): ...
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from halocline.batch import Position
from halocline.connector import Abilities, Destination, Mode, Part, Survey, Target, emptied
from halocline.errors import SchemaConflict, Truncated
from halocline.events import Event, Noticed
from halocline.plan import Wish, decide
from halocline.run import Flow, survey_and_plan
from halocline.schema import Kind, Schema
from halocline.testing.destinations import FLOW, SCHEMA, TARGET, Bench, NoJournal, Row, Way, account, batch, raises


class StandingLaws:
    """Every destination obeys these laws."""

    def bench(self, folder: Path) -> AbstractContextManager[Bench]:
        """See `DestinationSuite.bench`."""
        raise NotImplementedError

    def pick(self, ways: Sequence[Way]) -> Sequence[Way]:
        """See `DestinationSuite.pick`."""
        raise NotImplementedError

    def test_a_key_other_than_at_the_last_load_finds_the_rows(self, tmp_path: Path) -> None:
        """Rows that were loaded by one key are met by another: none is doubled, and none loses what only the table has."""
        narrow = SCHEMA.select([name for name in SCHEMA.names if name != "Ratio__c"])
        changed = [account(1, at=5, Name="b"), account(2, Name="a")]
        bare = [{name: value for name, value in row.items() if name != "Ratio__c"} for row in changed]
        for mode in self.pick((Mode.MERGE, Mode.REPLACE)):
            with self.bench(tmp_path / mode) as bench:
                bench.load(batch([account(1, Name="b"), account(2, Name="a")]))
                with raises(SchemaConflict) as caught:
                    bench.merge(batch([account(3, Name="b")]), key=("Name",))
                assert "the key Name" in str(caught[0])
                bench.load(batch(bare, schema=narrow), mode=mode, schema=narrow, key=("Name",))
                assert bench.rows() == changed
                bench.merge(batch([account(1, at=6, Name="c")]))
                assert bench.rows() == [account(1, at=6, Name="c"), account(2, Name="a")]

    def test_columns_that_a_load_of_everything_leaves_are_told(self, tmp_path: Path) -> None:
        """They keep their values, which somebody may think gone: the plan says so, and whoever watches; and of no others."""
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1), account(2)]))
            for without in ((), ("Name", "At__c")):
                source: Any = _Stamped(SCHEMA.select([name for name in SCHEMA.names if name not in without]))
                flow = Flow(FLOW, "Account", source, bench.destination, TARGET, partial(decide, wish=Wish(FLOW)), fresh=True)
                heard: list[Event] = []
                _, plan = survey_and_plan(flow, sink=heard.append)
                told = [event.message for event in heard if isinstance(event, Noticed)]
                assert told == [reason for reason in plan.reasons if "does not fill" in reason]
                ends = [line.lower().partition("keep their values: ")[2].partition(". drop")[0] for line in told]
                assert ends == ([", ".join(without).lower()] if without else [])

    def test_a_table_without_rows_is_read_anew_by_what_it_held(self, tmp_path: Path) -> None:
        """Its position is told apart from that of one with rows, for its columns; one that is not there has none."""
        source: Any = _Stamped(SCHEMA)
        with self.bench(tmp_path) as bench:
            there = bench.destination
            flow = Flow(FLOW, "Account", source, there, TARGET, partial(decide, wish=Wish(FLOW)))
            assert survey_and_plan(flow)[1].reasons[0].startswith("First sync")
            assert emptied(there, FLOW, target=TARGET) is None
            bench.load(batch([account(1)]), position={"stamp": "old"})
            assert (bench.position(), emptied(there, FLOW, target=TARGET)) == ({"stamp": "old"}, None)
            bench.load(position={"stamp": "empty"}, allow_empty=True)
            assert (bench.position(), emptied(there, FLOW, target=TARGET)) == (None, {"stamp": "empty"})
            plan = survey_and_plan(flow)[1]
            assert plan.reasons[0] == "The table has no rows, so everything is read."
            bench.load(batch([account(1)]), mode=plan.mode)
            assert not survey_and_plan(flow)[1].full
            bench.suite.drop(there, TARGET)
            assert survey_and_plan(flow)[1].reasons[0].startswith("First sync")


class AlteredLaws(StandingLaws):
    """And these where somebody can alter a table behind the destination's back."""

    def lose(self, destination: Destination, target: Target, *, column: str) -> None:
        """Drop a column of a table behind the destination's back."""
        raise NotImplementedError

    def test_a_column_that_the_table_lost_is_read_for_all_rows(self, tmp_path: Path) -> None:
        """A table that lacks a column which it had is read for anew; what changed alone would leave nulls in its old rows."""
        rows = [account(1), account(2)]
        source: Any = _Stamped(SCHEMA)
        with self.bench(tmp_path) as bench:
            flow = Flow(FLOW, "Account", source, bench.destination, TARGET, partial(decide, wish=Wish(FLOW)))
            bench.load(batch(rows))
            assert not survey_and_plan(flow)[1].full
            self.lose(bench.destination, TARGET, column="Count__c")
            plan = survey_and_plan(flow)[1]
            assert plan.reasons[0] == "Everything is read: the table has lost the column Count__c."
            bench.load(batch(rows), mode=plan.mode)
            assert bench.rows() == rows
            assert not survey_and_plan(flow)[1].full

    def test_a_column_is_lost_until_a_commit_fills_it(self, tmp_path: Path) -> None:
        """A run that is refused at its commit, for rows of its own or of another table of its unit, leaves the next to read all
        rows.
        """
        rows = [account(1), account(2)]
        source: Any = _Stamped(SCHEMA)
        for refused in self.pick((_refused_for_its_key, _refused_with_another)):
            with self.bench(tmp_path / refused.__name__) as bench:
                flow = Flow(FLOW, "Account", source, bench.destination, TARGET, partial(decide, wish=Wish(FLOW)))
                bench.load(batch(rows), position={"stamp": "old"})
                self.lose(bench.destination, TARGET, column="Count__c")
                assert survey_and_plan(flow)[1].full
                refused(bench)
                assert bench.position() == {"stamp": "old"}
                plan = survey_and_plan(flow)[1]
                assert plan.reasons[0] == "Everything is read: the table has lost the column Count__c."
                bench.load(batch(rows), mode=plan.mode)
                assert bench.rows() == rows
                assert not survey_and_plan(flow)[1].full

    def test_a_column_that_another_flow_made_anew_is_lost_all_the_same(self, tmp_path: Path) -> None:
        """Each flow that merges into a table reads all of its rows for a column that was dropped, whichever comes first."""
        source: Any = _Stamped(SCHEMA)
        rows = {FLOW: account(1), "second": account(2)}
        with self.bench(tmp_path) as bench:
            flows = [Flow(name, "Account", source, bench.destination, TARGET, partial(decide, wish=Wish(name))) for name in rows]
            for name, row in rows.items():
                _merge_by(name, bench, row)
            assert [survey_and_plan(flow)[1].full for flow in flows] == [False, False]
            self.lose(bench.destination, TARGET, column="Count__c")
            _merge_by(FLOW, bench, rows[FLOW])
            first, second = (survey_and_plan(flow)[1] for flow in flows)
            assert not first.full
            assert second.reasons[0] == "Everything is read: the table has lost the column Count__c."
            assert bench.destination.position("second", TARGET) == {"stamp": "second"}
            _merge_by("second", bench, rows["second"])
            assert bench.rows() == list(rows.values())
            assert [survey_and_plan(flow)[1].full for flow in flows] == [False, False]

    def test_a_full_load_with_another_type_that_is_refused_can_be_repeated(self, tmp_path: Path) -> None:
        """The table stays its flow's: nobody has to allow that its rows are replaced."""
        columns = [replace(c, kind=Kind.STRING) if c.name == "Count__c" else c for c in SCHEMA]
        other = Schema(tuple(columns), SCHEMA.key)
        rows = [account(1, Count__c="7"), account(2, Count__c="8")]
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1), account(2)]), position={"stamp": "old"})
            _refused_with_another(bench, rows, schema=other, mode=Mode.REPLACE)
            assert bench.position() == {"stamp": "old"}
            bench.load(batch(rows, schema=other), schema=other)
            assert bench.rows() == rows


def _merge_by(flow: str, bench: Bench, row: Row) -> None:
    """A merge of one row by a flow of that name, which is its position, too."""
    unit = bench.destination.begin(bench.destination.claim(flow, "test"))
    try:
        load = unit.open(TARGET, bench.suite.plan(flow=flow, mode=Mode.MERGE), NoJournal())
        unit.commit({flow: {"stamp": flow}}, [load.stage(Part("p"), iter([batch([row])]))])
    finally:
        unit.close()


def _refused_for_its_key(bench: Bench) -> None:
    """A merge that is refused when the rows are compared with those of the table."""
    with raises(SchemaConflict):
        bench.merge(batch([account(3, Name=account(1)["Name"])]), key=("Name",))


def _refused_with_another(bench: Bench, rows: Sequence[Row] = (), *, schema: Schema = SCHEMA, mode: Mode = Mode.MERGE) -> None:
    """A load that is refused because of a table that was to become visible together with it; none where tables go one by one."""
    if not bench.destination.abilities.together:
        return
    unit = bench.destination.begin(bench.destination.claim(FLOW, "test"))
    try:
        first = unit.open(TARGET, bench.suite.plan(mode=mode, schema=schema), NoJournal())
        second = unit.open(Target("raw", "Contacts"), bench.suite.plan(flow="second", once=True), NoJournal())
        manifests = [first.stage(Part("p"), iter([batch(rows or [account(1, at=9)], schema=schema)]))]
        manifests.append(second.stage(Part("p"), iter([batch([account(9)]), batch([account(9)])])))
        with raises(Truncated):
            unit.commit({FLOW: {"n": 1}, "second": {"n": 2}}, manifests)
    finally:
        unit.close()


class _Stamped:
    """A source that reads what changed where it is given a position, as far as planning asks it."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def survey(self, since: Position | None) -> Survey:
        """See `Source.survey`."""
        return Survey(
            object="Account",
            schema=self._schema,
            estimated_rows=2,
            server_time="2026-03-02T00:00:00Z",
            complete_until=None,
            cursor="SystemModstamp",
            delete_flag="IsDeleted",
            window=(None if since is None else "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
            abilities=Abilities(),
            next_position={},
            query="",
        )
