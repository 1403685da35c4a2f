"""HistoryLaws: the laws of a destination whose abilities say `history`, beside those of `DestinationSuite`.

class TestDuckDB(DestinationSuite, HistoryLaws): ...
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from halocline.batch import Batch
from halocline.connector import Deletes, Mode
from halocline.errors import Refused, SchemaConflict
from halocline.outcome import Counts
from halocline.schema import Column, Kind, Schema
from halocline.testing.destinations import SCHEMA, Bench, Row, account, batch, deletions, raises, stamp
from halocline.testing.naming import ROW_NUMBERS, numbered
from halocline.versions import VALID_FROM, VALID_TO

LATE = 10_000  # seconds: where the window of a test ends, unless it says otherwise


def check_versions(rows: Iterable[Mapping[str, Any]], *, key: str = "Id", gaps: bool = False) -> None:
    """Hold a history against its law: versions of a key follow each other, none is empty, the last alone may be open.

    Without `gaps` each starts where the one before it ends; with them, a record may be away for a while.
    """
    of_key = [key, VALID_FROM]
    ordered = sorted(rows, key=lambda row: tuple(row[name] for name in of_key))
    for name, group in groupby(ordered, key=lambda row: row[key]):
        versions = list(group)
        for version in versions:
            assert version[VALID_TO] is None or version[VALID_FROM] < version[VALID_TO], f"{name}: an empty version"
        for one, following in pairwise(versions):
            assert one[VALID_TO] is not None, f"{name}: an open version before another"
            assert one[VALID_TO] <= following[VALID_FROM], f"{name}: versions overlap"
            assert gaps or one[VALID_TO] == following[VALID_FROM], f"{name}: a gap between versions"


def current_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The current rows of a history, without their instants."""
    own = (VALID_FROM, VALID_TO)
    return [{name: value for name, value in row.items() if name not in own} for row in rows if row[VALID_TO] is None]


@dataclass(frozen=True, slots=True)
class _Annals:
    """A bench whose table keeps history; each load's window ends at `now`, in seconds."""

    bench: Bench
    deletes: Deletes = Deletes.SOFT
    gaps: bool = False

    def merge(self, *batches: Batch, now: int = LATE, **plan: Any) -> Counts:
        """Merge what changed."""
        window = (None, stamp(now).isoformat())
        return self.bench.merge(*batches, **{"history": True, "window": window, "deletes": self.deletes, **plan})

    def whole(self, *batches: Batch, now: int = LATE, **plan: Any) -> Counts:
        """Merge all that the source has."""
        return self.merge(*batches, now=now, complete=True, **plan)

    def versions(self, number: int) -> list[tuple[object, ...]]:
        """The versions of a row in order: name, flag, start and end in seconds."""
        rows = [row for row in self.rows() if row["Id"] == account(number)["Id"]]
        return [(row["Name"], row["IsDeleted"], _seconds(row[VALID_FROM]), _seconds(row[VALID_TO])) for row in rows]

    def rows(self) -> list[dict[str, Any]]:
        """All versions, which obey the law."""
        rows = self.bench.rows()
        check_versions(rows, gaps=self.gaps or self.deletes is Deletes.HARD)
        return sorted(rows, key=lambda row: (row["Id"], row[VALID_FROM]))

    def current(self) -> list[dict[str, Any]]:
        """The rows as a table without history would hold them."""
        return current_rows(self.rows())


def _seconds(instant: object) -> float | None:
    return (instant - stamp(0)).total_seconds() if isinstance(instant, dt.datetime) else None


def _named(number: int, name: str, at: int, **values: object) -> Row:
    return account(number, at=at, Name=name, **values)


class HistoryLaws:
    """Every destination that can keep history obeys these laws too."""

    def bench(self, folder: Path) -> AbstractContextManager[Bench]:
        """See `DestinationSuite.bench`."""
        raise NotImplementedError

    def test_it_says_that_it_keeps_history(self, tmp_path: Path) -> None:
        """The ability is data, for the plan to look at."""
        with self.bench(tmp_path) as bench:
            assert bench.destination.abilities.history

    def test_first_versions_start_at_their_stamps(self, tmp_path: Path) -> None:
        """A first load makes the columns, and one open version of each record; without a stamp it starts at the window's end."""
        with self.bench(tmp_path) as bench:
            annals = _Annals(bench)
            counts = annals.whole(batch([_named(1, "a", 5), account(2, Name="b", SystemModstamp=None)]), now=9)
            assert (counts.inserted, counts.changed) == (2, 2)
            assert annals.versions(1) == [("a", False, 5, None)]
            assert annals.versions(2) == [("b", False, 9, None)]
            assert bench.position() is not None

    def test_a_change_closes_a_version_where_the_next_one_starts(self, tmp_path: Path) -> None:
        """What was read again and has not changed makes no version; counts speak of records."""
        with self.bench(tmp_path) as bench:
            annals = _Annals(bench)
            annals.whole(batch([_named(1, "a", 5), _named(2, "b", 5)]))
            counts = annals.merge(batch([_named(1, "c", 7), _named(2, "b", 5), _named(3, "d", 8)]))
            assert (counts.inserted, counts.updated, counts.deleted, counts.unchanged) == (1, 1, 0, 1)
            assert annals.versions(1) == [("a", False, 5, 7), ("c", False, 7, None)]
            assert annals.versions(2) == [("b", False, 5, None)]
            assert annals.current() == [_named(1, "c", 7), _named(2, "b", 5), _named(3, "d", 8)]
            before = annals.rows()
            assert annals.merge(batch([_named(1, "c", 7), _named(3, "d", 8)])).changed == 0
            assert annals.rows() == before

    def test_content_that_changes_without_a_stamp_starts_at_the_windows_end(self, tmp_path: Path) -> None:
        """So does what changes where there is no cursor; several times at one instant, and each version is kept in order."""
        with self.bench(tmp_path) as bench:
            annals = _Annals(bench)
            annals.whole(batch([_named(1, "a", 5)]))
            annals.merge(batch([_named(1, "b", 5)]), now=20)
            annals.merge(batch([_named(1, "c", 5)]), now=20)
            annals.merge(batch([_named(1, "d", 5)]), now=30, cursor=None)
            tick = 1e-6
            starts = [start for *_, start, _ in annals.versions(1)]
            assert starts == [5, 20, 20 + tick, 30]

    def test_an_older_row_makes_no_version_out_of_order(self, tmp_path: Path) -> None:
        """What comes with a stamp before the current version's start is a version from now on."""
        with self.bench(tmp_path) as bench:
            annals = _Annals(bench)
            annals.whole(batch([_named(1, "a", 50)]))
            annals.merge(batch([_named(1, "b", 40)]), now=60)
            annals.merge(batch([_named(1, "c", 55)]), now=61)
            assert annals.versions(1) == [("a", False, 50, 60), ("b", False, 60, 61), ("c", False, 61, None)]

    def test_soft_deletions_are_versions(self, tmp_path: Path) -> None:
        """A flagged row and a marked one follow their live versions without a gap, and an undeleted record follows them."""
        with self.bench(tmp_path) as bench:
            annals = _Annals(bench)
            annals.whole(batch([_named(1, "a", 5), _named(2, "b", 5)]))
            counts = annals.merge(batch([_named(1, "a", 7, IsDeleted=True)]), deletions((2, 8), (9, 8)))
            assert (counts.deleted, counts.updated, counts.unchanged) == (2, 0, 1)
            assert annals.merge(batch([_named(1, "a", 7, IsDeleted=True)]), deletions((2, 8))).changed == 0
            annals.merge(batch([_named(1, "a", 11), _named(2, "e", 12)]))
            assert annals.versions(1) == [("a", False, 5, 7), ("a", True, 7, 11), ("a", False, 11, None)]
            assert annals.versions(2) == [("b", False, 5, 8), ("b", True, 8, 12), ("e", False, 12, None)]

    def test_hard_deletions_end_the_last_version(self, tmp_path: Path) -> None:
        """Nothing is removed: the version is closed at the deletion, and an undeleted record starts a new one."""
        with self.bench(tmp_path) as bench:
            annals = _Annals(bench, Deletes.HARD)
            annals.whole(batch([_named(1, "a", 5), _named(2, "b", 5)]))
            gone = (batch([_named(1, "a", 7, IsDeleted=True)]), deletions((2, 8)))
            assert annals.merge(*gone).deleted == 2
            assert annals.merge(*gone).changed == 0
            assert annals.current() == []
            assert annals.merge(batch([_named(1, "a", 11), _named(2, "b", 6)]), now=20).inserted == 2
            assert annals.versions(1) == [("a", False, 5, 7), ("a", False, 11, None)]
            assert annals.versions(2) == [("b", False, 5, 8), ("b", False, 20, None)]

    def test_an_older_deletion_ends_no_version(self, tmp_path: Path) -> None:
        """As without history: the record was undeleted since. Ignored deletions end none either."""
        for deletes in Deletes:
            with self.bench(tmp_path / deletes) as bench:
                annals = _Annals(bench, deletes)
                annals.whole(batch([_named(1, "a", 9)]))
                late = 99 if deletes is Deletes.IGNORE else 8
                assert annals.merge(deletions((1, late))).unchanged == 1
                assert annals.versions(1) == [("a", False, 9, None)]

    def test_a_complete_read_ends_what_it_lacks(self, tmp_path: Path) -> None:
        """It is merged: rows that it lacks are closed or marked from the window's end, and counted apart from rows read."""
        wanted = {
            Deletes.HARD: [("b", False, 5, 30)],
            Deletes.SOFT: [("b", False, 5, 30), ("b", True, 30, None)],
            Deletes.IGNORE: [("b", False, 5, None)],
        }
        for deletes in Deletes:
            with self.bench(tmp_path / deletes) as bench:
                annals = _Annals(bench, deletes)
                annals.whole(batch([_named(1, "a", 5), _named(2, "b", 5)]))
                annals.whole(batch([_named(1, "a", 5)]), now=30)
                counts = annals.whole(batch([_named(1, "a", 5)]), now=31)
                assert (counts.unchanged, counts.vanished, counts.changed) == (1, 0, 0)
                assert annals.versions(2) == wanted[deletes]
                assert annals.versions(1) == [("a", False, 5, None)]
                counts = annals.whole(batch([_named(2, "c", 5), _named(3, "d", 6)]), now=40)
                assert (counts.vanished, counts.deleted) == (0 if deletes is Deletes.IGNORE else 1, 0)
                live = [row["Name"] for row in annals.current() if not row["IsDeleted"]]
                assert live == (["a", "c", "d"] if deletes is Deletes.IGNORE else ["c", "d"])

    def test_under_a_condition_a_complete_read_flags_nothing(self, tmp_path: Path) -> None:
        """What it lacks may be there all the same: the version ends, and there is no current one. What the source says it deleted
        is flagged; a row that was flagged stays; and one that comes back starts a version after a gap.
        """
        with self.bench(tmp_path) as bench:
            annals = _Annals(bench, gaps=True)
            annals.whole(batch([_named(n, "abcd"[n - 1], 5) for n in (1, 2, 3, 4)]))
            annals.merge(deletions((4, 6)))
            counts = annals.whole(batch([_named(1, "a", 5)]), deletions((3, 9)), now=30, conditional=True)
            assert (counts.unchanged, counts.deleted, counts.vanished) == (1, 1, 1)
            assert annals.versions(2) == [("b", False, 5, 30)]
            assert annals.versions(3) == [("c", False, 5, 9), ("c", True, 9, None)]
            assert annals.versions(4) == [("d", False, 5, 6), ("d", True, 6, None)]
            assert annals.whole(batch([_named(1, "a", 5)]), now=31, conditional=True).changed == 0
            annals.merge(batch([_named(2, "e", 35)]))
            assert annals.versions(2) == [("b", False, 5, 30), ("e", False, 35, None)]

    def test_deletes_that_become_hard_end_what_was_flagged(self, tmp_path: Path) -> None:
        """A flagged row has no current version any more, whether the read has its record or lacks it."""
        with self.bench(tmp_path) as bench:
            annals = _Annals(bench, gaps=True)
            annals.whole(batch([_named(n, "abc"[n - 1], 5) for n in (1, 2, 3)]))
            annals.merge(batch([_named(2, "b", 7, IsDeleted=True)]), deletions((3, 8)))
            counts = annals.whole(batch([_named(1, "a", 5), _named(2, "b", 7, IsDeleted=True)]), now=30, deletes=Deletes.HARD)
            assert (counts.unchanged, counts.deleted, counts.vanished) == (1, 1, 1)
            assert annals.current() == [_named(1, "a", 5)]
            assert annals.versions(2) == [("b", False, 5, 7), ("b", True, 7, 30)]
            assert annals.versions(3) == [("c", False, 5, 8), ("c", True, 8, 30)]

    def test_guards_hold_for_a_complete_read(self, tmp_path: Path) -> None:
        """An empty answer, or one that lacks most of the current rows, ends no version without the plan's leave."""
        many = batch([account(n) for n in range(2_000)])
        with self.bench(tmp_path) as bench:
            annals = _Annals(bench)
            annals.whole(many)
            for few in ([], [batch([account(1)])]):
                with raises(Refused) as caught:
                    annals.whole(*few)
                assert "version" in str(caught[0]) or "no rows" in str(caught[0])
            gone = deletions(*((n, 5) for n in range(1_001)))
            with raises(Refused):
                annals.merge(gone)
            assert len(annals.rows()) == 2_000
            assert annals.merge(gone, max_delete_share=0.6).deleted == 1_001
            assert annals.whole(batch([account(1_500)]), allow_replace=True).vanished == 998
            assert annals.whole(allow_empty=True).vanished == 1
            assert len(annals.rows()) == 4_000

    def test_a_table_without_history_is_not_turned_into_one(self, tmp_path: Path) -> None:
        """Nor back, not even by a forced full load: what the table was made for stays."""
        with self.bench(tmp_path / "plain") as bench:
            bench.load(batch([account(1)]))
            for complete in (False, True):
                with raises(Refused) as caught:
                    _Annals(bench).merge(batch([account(1)]), complete=complete, allow_replace=True)
                assert "another table" in str(caught[0])
            assert bench.rows() == [account(1)]
        with self.bench(tmp_path / "kept") as bench:
            annals = _Annals(bench)
            annals.whole(batch([account(1)]))
            for mode in Mode:
                with raises(Refused) as caught:
                    bench.load(batch([account(1)]), mode=mode, allow_replace=True)
                assert "--history" in str(caught[0])
            assert annals.current() == [account(1)]

    def test_a_history_of_somebody_else_is_not_ended(self, tmp_path: Path) -> None:
        """A complete read into a history that this flow never filled is refused, unless the plan allows it."""
        with self.bench(tmp_path) as bench:
            annals = _Annals(bench)
            annals.whole(batch([account(1)]))
            with raises(Refused):
                annals.whole(batch([account(2)]), flow="another flow")
            assert len(annals.rows()) == 1
            annals.whole(batch([account(2)]), flow="another flow", allow_replace=True)
            assert [row["IsDeleted"] for row in annals.rows()] == [False, True, False]

    def test_a_new_column_is_added_to_a_history(self, tmp_path: Path) -> None:
        """Older versions have no value there, and a column that the source lost goes on with its values."""
        narrow = SCHEMA.select([name for name in SCHEMA.names if name != "Name"])
        wide = Schema((*narrow.columns, Column("New__c", Kind.STRING)), narrow.key)
        changed = {**account(1, at=7), "New__c": "x"}
        bare = {name: value for name, value in changed.items() if name != "Name"}
        with self.bench(tmp_path) as bench:
            annals = _Annals(bench)
            annals.whole(batch([account(1, at=5), account(2, at=5)]))
            annals.merge(batch([bare], schema=wide), deletions((2, 6)), schema=wide)
            rows = {(row["Id"][-1], row[VALID_TO] is None): row for row in annals.rows()}
            assert [rows["1", open_][name] for name in ("New__c", "Name") for open_ in (False, True)] == [
                None,
                "x",
                account(1)["Name"],
                account(1)["Name"],
            ]
            assert [rows["2", True][name] for name in ("New__c", "Name", "IsDeleted")] == [None, account(2)["Name"], True]

    def test_a_changed_type_is_refused_and_the_past_kept(self, tmp_path: Path) -> None:
        """No advice is given that would cost the history."""
        columns = [replace(c, kind=Kind.STRING) if c.name == "Count__c" else c for c in SCHEMA]
        other = Schema(tuple(columns), SCHEMA.key)
        with self.bench(tmp_path) as bench:
            annals = _Annals(bench)
            annals.whole(batch([account(1)]))
            with raises(SchemaConflict) as caught:
                annals.whole(batch([account(1, Count__c="7")], schema=other), schema=other)
            assert "Count__c" in str(caught[0])
            assert "force_full_sync" not in str(caught[0])

    def test_columns_called_as_row_numbers_are_columns_as_any_in_a_history(self, tmp_path: Path) -> None:
        """Neither nulls nor equal values in such a column mix up versions, duplicates in one load included."""
        numbers = dict.fromkeys(ROW_NUMBERS)
        schema: dict[str, Any] = {"schema": numbered(ROW_NUMBERS)}

        def rows(*some: Row) -> Batch:
            return batch([{**numbers, **row} for row in some], **schema)

        with self.bench(tmp_path) as bench:
            annals = _Annals(bench)
            annals.whole(batch([_named(1, "a", 5), _named(2, "b", 5)]))
            annals.whole(rows(_named(1, "a", 5), _named(2, "b", 5), _named(3, "c", 5), _named(4, "d", 5)), **schema)
            twice = rows(_named(1, "a", 6)), rows(_named(1, "e", 7, oid=7)), rows(_named(2, "b", 5))
            counts = annals.merge(*twice, deletions((3, 8)), **schema)
            assert (counts.inserted, counts.updated, counts.deleted, counts.unchanged) == (0, 1, 1, 2)
            assert annals.merge(rows(_named(2, "f", 5, rowid=7)), now=20, **schema).updated == 1
            assert annals.merge(batch([_named(1, "g", 9)])).updated == 1
            assert annals.whole(rows(_named(1, "g", 9, oid=7), _named(2, "f", 5, rowid=7)), now=30, **schema).vanished == 1
            assert annals.versions(1) == [("a", False, 5, 7), ("e", False, 7, 9), ("g", False, 9, None)]
            assert annals.versions(2) == [("b", False, 5, 20), ("f", False, 20, None)]
            assert annals.versions(3) == [("c", False, 5, 8), ("c", True, 8, None)]
            assert annals.versions(4) == [("d", False, 5, 30), ("d", True, 30, None)]
            assert [row["oid"] for row in annals.current()] == [7, None, None, None]

    def test_duplicates_in_one_load_are_one_version(self, tmp_path: Path) -> None:
        """Of rows with one key the newest counts, whichever part it came in; versions between two syncs are not made up."""
        with self.bench(tmp_path) as bench:
            annals = _Annals(bench)
            counts = annals.whole(batch([_named(1, "new", 9)]), batch([_named(1, "old", 5)]), deletions((1, 8)))
            assert (counts.inserted, counts.unchanged) == (1, 2)
            assert annals.versions(1) == [("new", False, 9, None)]

    def test_a_chosen_key_is_held_against_the_current_rows(self, tmp_path: Path) -> None:
        """A record whose key moved is refused; one that took over the key of a closed version is not."""
        with self.bench(tmp_path) as bench:
            annals = _Annals(bench, Deletes.HARD)
            chosen: dict[str, Any] = {"key": ("Name",)}
            annals.whole(batch([_named(1, "a", 5), _named(2, "b", 5)]), **chosen)
            with raises(SchemaConflict):
                annals.merge(batch([_named(1, "c", 7)]), **chosen)
            annals.merge(batch([_named(1, "a", 7, IsDeleted=True)]), **chosen)
            annals.merge(batch([_named(3, "a", 9)]), **chosen)
            check_versions(annals.rows(), key="Name", gaps=True)
            assert [row["Id"] for row in annals.current()] == [account(2)["Id"], account(3)["Id"]]

    def test_the_position_is_kept_with_the_versions(self, tmp_path: Path) -> None:
        """A history that was left uncommitted is as before; one that is opened anew goes on."""
        with self.bench(tmp_path) as bench:
            _Annals(bench).whole(batch([_named(1, "a", 5)]), position={"n": 1})
        with self.bench(tmp_path) as bench:
            annals = _Annals(bench)
            assert bench.position() == {"n": 1}
            rows: Sequence[Row] = [_named(1, "b", 6)]
            with raises(SchemaConflict):
                annals.merge(batch([*rows, account(2, Id=None)]), position={"n": 2})
            assert (bench.position(), annals.versions(1)) == ({"n": 1}, [("a", False, 5, None)])
            annals.merge(batch(rows), position={"n": 2})
            assert (bench.position(), len(annals.rows())) == ({"n": 2}, 2)
