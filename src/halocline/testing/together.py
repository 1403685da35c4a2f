"""TogetherLaws: the laws of several tables in one unit, and of tables that are copied, beside those of `DestinationSuite`.

class TestDuckDB(DestinationSuite, TogetherLaws): ...
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from halocline.connector import Destination, Mode, Part, Plan, Target
from halocline.errors import FixConfig, Truncated
from halocline.testing.destinations import FLOW, SCHEMA, TARGET, Bench, NoJournal, account, batch, raises


class TogetherLaws:
    """Every destination obeys these laws; one that publishes tables one by one says so."""

    def bench(self, folder: Path) -> AbstractContextManager[Bench]:
        """See `DestinationSuite.bench`."""
        raise NotImplementedError

    def plan(self, **changes: Any) -> Plan:
        """See `DestinationSuite.plan`."""
        raise NotImplementedError

    def read(self, destination: Destination, target: Target) -> list[dict[str, object]]:
        """See `DestinationSuite.read`."""
        raise NotImplementedError

    def test_several_tables_become_visible_together_or_not_at_all(self, tmp_path: Path) -> None:
        """Of a unit with two loads a reader sees both tables or none, each with the position of its flow and its counts; a
        destination that cannot do that says so, and refuses the second.
        """
        other = Target("raw", "Contacts")
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(1)]), position={"stamp": "old"})
            for numbers, ends_well in (((2, 3), False), ((4, 5), True)):
                unit = bench.destination.begin(bench.destination.claim("both", "test"))
                first = unit.open(TARGET, self.plan(mode=Mode.MERGE), NoJournal())
                if not bench.destination.abilities.together:
                    with raises(FixConfig):
                        unit.open(other, self.plan(flow="second"), NoJournal())
                    unit.close()
                    return
                second = unit.open(other, self.plan(flow="second"), NoJournal())
                with raises(FixConfig):
                    unit.open(other, self.plan(flow="second"), NoJournal())
                manifests = [first.stage(Part("p"), iter([batch([account(n) for n in numbers])]))]
                manifests.append(second.stage(Part("p"), iter([batch([account(9)])])))
                if not ends_well:
                    with raises(Truncated):
                        unit.commit({FLOW: {"n": 1}, "second": {"n": 2}}, [manifests[0], replace(manifests[1], rows=2)])
                    unit.close()
                    assert (bench.rows(), self.read(bench.destination, other)) == ([account(1)], [])
                    continue
                counts = unit.commit({FLOW: {"n": 1}, "second": {"n": 2}}, manifests)
                assert counts.accounted == 3
                assert [unit.counts_of(target).inserted for target in (TARGET, other)] == [2, 1]
                unit.close()
            assert bench.rows() == [account(1), account(4), account(5)]
            assert self.read(bench.destination, other) == [account(9)]
            assert (bench.position(), bench.destination.position("second", other)) == ({"n": 1}, {"n": 2})
            assert bench.destination.position("second", TARGET) is None

    def test_a_full_load_without_a_key_takes_all_rows(self, tmp_path: Path) -> None:
        """Equal ones, too, again and again; a destination that needs a key says so."""
        plain: dict[str, Any] = {"key": (), "schema": replace(SCHEMA, key=()), "cursor": None, "delete_flag": None}
        with self.bench(tmp_path) as bench:
            try:
                bench.load(batch([account(1), account(1)]), **plain)
            except FixConfig as refused:
                assert "key" in refused.cause
                return
            counts = bench.load(batch([account(1), account(2), account(2)]), **plain)
            assert (counts.inserted, counts.unchanged) == (3, 0)
            assert bench.rows() == [account(1), account(2), account(2)]

    def test_the_columns_of_a_table_can_be_asked_for(self, tmp_path: Path) -> None:
        """In its order, each of a kind that brings back what was loaded; of no table there are none."""
        with self.bench(tmp_path) as bench:
            assert bench.destination.columns(TARGET) is None
            bench.load(batch([account(1)]))
            found = bench.destination.columns(TARGET)
            assert found is not None
            told = [(column.name.lower(), column.kind, column.precision, column.scale) for column in found]
            assert told == [(column.name.lower(), column.kind, column.precision, column.scale) for column in SCHEMA]
