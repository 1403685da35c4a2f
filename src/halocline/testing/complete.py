"""CompleteLaws: the laws of a read of everything that is merged, beside those of `DestinationSuite`: what it lacks stays.

class TestDuckDB(DestinationSuite, CompleteLaws): ...

Such a plan is one of everything (`Plan.full`) with `mode` MERGE, `complete`, and soft or ignored deletes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from halocline.connector import Deletes, Mode, Part, Plan
from halocline.errors import Refused, SchemaConflict
from halocline.schema import Column, Kind, Schema
from halocline.testing.destinations import FLOW, SCHEMA, TARGET, Bench, NoJournal, Way, account, batch, deletions, raises

_OLD = [account(1), account(2, at=1), account(3, at=2, Name=None), account(4, at=3, IsDeleted=True)]
_NOW = [account(2, at=1), account(5, at=6), account(1, at=5, Name="new")]  # 3 and 4 are gone


class CompleteLaws:
    """Every destination obeys these laws."""

    def bench(self, folder: Path) -> AbstractContextManager[Bench]:
        """See `DestinationSuite.bench`."""
        raise NotImplementedError

    def plan(self, **changes: Any) -> Plan:
        """See `DestinationSuite.plan`."""
        raise NotImplementedError

    def pick(self, ways: Sequence[Way]) -> Sequence[Way]:
        """See `DestinationSuite.pick`."""
        raise NotImplementedError

    def test_rows_that_a_complete_read_lacks_stay(self, tmp_path: Path) -> None:
        """With soft deletes they get their flag, and keep their stamp; with ignored ones they stay as they are. Again, nothing
        changes.
        """
        for deletes in self.pick((Deletes.SOFT, Deletes.IGNORE)):
            asked: dict[str, Any] = {"complete": True, "deletes": deletes}
            if deletes is Deletes.IGNORE:
                asked["delete_flag"] = None  # as a source plans it
            with self.bench(tmp_path / deletes) as bench:
                bench.load(batch(_OLD), position={"stamp": "old"})
                counts = bench.merge(batch(_NOW[:1]), batch(_NOW[1:]), position={"stamp": "new"}, **asked)
                third = {**_OLD[2], "IsDeleted": deletes is Deletes.SOFT}
                assert bench.rows() == [_NOW[2], _NOW[0], third, _OLD[3], _NOW[1]]
                assert (counts.inserted, counts.updated, counts.deleted, counts.unchanged) == (1, 1, 0, 1)
                assert counts.vanished == (1 if deletes is Deletes.SOFT else 0)
                assert bench.position() == {"stamp": "new"}
                counts = bench.merge(batch(_NOW), **asked)
                assert (counts.changed, counts.unchanged) == (0, 3)
                assert bench.rows() == [_NOW[2], _NOW[0], third, _OLD[3], _NOW[1]]

    def test_rows_that_stay_keep_what_only_the_table_has(self, tmp_path: Path) -> None:
        """Columns of the table's own have their values in rows that were read and in those that were not; a new one has none."""
        narrow = SCHEMA.select([name for name in SCHEMA.names if name not in ("Name", "At__c")])
        wide = Schema((*narrow.columns, Column("New__c", Kind.STRING)), narrow.key)
        came = [{**{name: row[name] for name in narrow.names}, "New__c": "x"} for row in _NOW]
        with self.bench(tmp_path) as bench:
            bench.load(batch(_OLD))
            assert bench.merge(batch(came, schema=wide), schema=wide, complete=True).vanished == 1
            found = {str(row["Id"]): row for row in bench.rows()}
        assert found[str(_OLD[2]["Id"])] == {**_OLD[2], "IsDeleted": True, "New__c": None}
        assert found[str(_OLD[0]["Id"])] == {**_NOW[2], "Name": _OLD[0]["Name"], "New__c": "x"}
        assert found[str(_NOW[1]["Id"])] == {**_NOW[1], "Name": None, "At__c": None, "New__c": "x"}

    def test_a_run_that_died_leaves_the_rows_to_the_next(self, tmp_path: Path) -> None:
        """Before the commit of a complete read nothing is flagged; a newer run does it once. A row that comes back is live again,
        whatever its stamp.
        """
        with self.bench(tmp_path) as bench:
            bench.load(batch(_OLD), position={"stamp": "old"})
            unit = bench.destination.begin(bench.destination.claim(FLOW, "test"))
            load = unit.open(TARGET, self.plan(mode=Mode.MERGE, complete=True), NoJournal())
            load.stage(Part("p"), iter([batch(_NOW)]))
            unit.close()
            assert (bench.rows(), bench.position()) == (_OLD, {"stamp": "old"})
            assert bench.merge(batch(_NOW), complete=True).vanished == 1
            counts = bench.merge(batch([*_NOW, _OLD[2]]), complete=True)
            assert (counts.updated, counts.vanished) == (1, 0)
            assert [row["Id"] for row in bench.rows() if row["IsDeleted"]] == [_OLD[3]["Id"]]

    def test_a_changed_type_stops_a_complete_read_that_is_merged(self, tmp_path: Path) -> None:
        """The rows that stay have values of the old type: the error names the column, and what builds the table anew."""
        columns = [replace(c, kind=Kind.STRING) if c.name == "Count__c" else c for c in SCHEMA]
        other = Schema(tuple(columns), SCHEMA.key)
        with self.bench(tmp_path) as bench:
            bench.load(batch(_OLD))
            with raises(SchemaConflict) as caught:
                bench.merge(batch([account(1, Count__c="7")], schema=other), schema=other, complete=True)
            assert "Count__c" in str(caught[0])
            assert "--full" in str(caught[0])
            assert bench.rows() == _OLD

    def test_a_complete_read_that_lacks_most_is_refused_before_rows_are_flagged(self, tmp_path: Path) -> None:
        """What was read is counted, not what stays: no rows, or far fewer than are live, are a lost right, unless the plan allows
        it. Where deletes are ignored what stays heaps up, and only an empty answer is refused.
        """
        ignoring: dict[str, Any] = {"complete": True, "deletes": Deletes.IGNORE, "delete_flag": None}
        with self.bench(tmp_path) as bench:
            bench.load(batch([account(n) for n in range(1_500)]), batch([account(9_999, IsDeleted=True)]))
            for some, plan in (([], ignoring), ([], {"complete": True}), ([batch([account(1)])], {"complete": True})):
                with raises(Refused):
                    bench.merge(*some, **plan)
            assert bench.merge(batch([account(1)]), **ignoring).changed == 0
            assert sum(bool(row["IsDeleted"]) for row in bench.rows()) == 1
            told = bench.merge(batch([account(1)]), deletions((2, 9)), complete=True, max_delete_share=1.0)
            assert (told.deleted, told.vanished) == (1, 1_498)
            assert bench.merge(complete=True, allow_empty=True).vanished == 1
            assert all(row["IsDeleted"] for row in bench.rows())
            assert len(bench.rows()) == 1_501
