"""StandingLaws: the laws of a table that stands otherwise than a load expects, beside those of `DestinationSuite`.

class TestDuckDB(DestinationSuite, AlteredLaws): ...
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from halocline.batch import Position
from halocline.connector import Abilities, Destination, Mode, Survey, Target
from halocline.errors import SchemaConflict
from halocline.events import Event, Noticed
from halocline.plan import Wish, decide
from halocline.run import Flow, survey_and_plan
from halocline.schema import Schema
from halocline.testing.destinations import FLOW, SCHEMA, TARGET, Bench, Way, account, batch, raises


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
