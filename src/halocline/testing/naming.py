"""NamingLaws: the laws of columns that are called as databases call something of their own, beside those of `DestinationSuite`.

class TestDuckDB(DestinationSuite, NamingLaws): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from halocline.batch import Batch
from halocline.connector import Deletes, Mode
from halocline.schema import Column, Kind, Schema
from halocline.testing.destinations import SCHEMA, Bench, Row, Way, account, batch, deletions, stamp

ROW_NUMBERS = ("rowid", "_rowid_", "oid")
"""What databases call the numbers of their rows, and a source its columns."""


def numbered(names: Sequence[str]) -> Schema:
    """The sample schema, and columns of these names that hold whole numbers."""
    return Schema((*SCHEMA.columns, *(Column(name, Kind.INTEGER) for name in names)), SCHEMA.key)


class NamingLaws:
    """Every destination obeys these laws; `row_numbers` are the names that the columns of each table have."""

    row_numbers: ClassVar[Sequence[tuple[str, ...]]] = (ROW_NUMBERS,)

    def bench(self, folder: Path) -> AbstractContextManager[Bench]:
        """See `DestinationSuite.bench`."""
        raise NotImplementedError

    def pick(self, ways: Sequence[Way]) -> Sequence[Way]:
        """See `DestinationSuite.pick`."""
        raise NotImplementedError

    def test_columns_called_as_row_numbers_are_columns_as_any(self, tmp_path: Path) -> None:
        """Whatever they hold, null or one number in all rows, rows are met by key: none is doubled, none takes another's."""
        for bench, names in self._benches(tmp_path):
            rows = [{**account(i), **dict.fromkeys(names, value)} for i, value in enumerate((None, None, 7, 7, 0))]
            bench.merge(_batch(rows, names), schema=numbered(names))
            assert bench.merge(_batch(rows, names), schema=numbered(names)).unchanged == 5
            rows[1] |= account(1, at=1, Name="new")
            rows[2] |= {"Name": "new"}
            rows[4] |= dict.fromkeys(names)
            counts = bench.merge(_batch([*rows, {**rows[0], "Id": "x"}], names), schema=numbered(names))
            assert (counts.inserted, counts.updated, counts.unchanged) == (1, 3, 2)
            assert bench.rows() == [*rows, {**rows[0], "Id": "x"}]

    def test_columns_called_as_row_numbers_tell_no_duplicates(self, tmp_path: Path) -> None:
        """Of rows with one key the newest wins in a full load and in a merge, and no other row goes."""
        for bench, names in self._benches(tmp_path):
            for n, mode in enumerate((Mode.REPLACE, Mode.MERGE)):
                rows = [{**account(i, at=5 + n), **dict.fromkeys(names)} for i in range(3)]
                older = {**rows[1], "SystemModstamp": stamp(n), "Name": "older"}
                twice = _batch([older, *rows], names), _batch([rows[0], older], names)
                assert bench.load(*twice, schema=numbered(names), mode=mode).unchanged == 3
                assert bench.rows() == rows

    def test_columns_called_as_row_numbers_tell_no_deletions(self, tmp_path: Path) -> None:
        """A deletion marks or removes the row of its key alone; where the source lost the columns, rows keep their values."""
        for bench, names in self._benches(tmp_path):
            rows: list[Row] = [{**account(i), **dict.fromkeys(names)} for i in range(4)]
            bench.load(_batch(rows, names), schema=numbered(names))
            flagged = {**account(1, at=5, IsDeleted=True), **dict.fromkeys(names, 7)}
            assert bench.merge(deletions((0, 6)), _batch([flagged], names), schema=numbered(names)).deleted == 2
            marked = {**rows[0], "IsDeleted": True, "SystemModstamp": stamp(6)}
            assert bench.rows() == [marked, flagged, *rows[2:]]
            assert bench.merge(deletions((2, 9)), schema=numbered(names), deletes=Deletes.HARD).deleted == 1
            assert bench.merge(batch([account(1, at=9), account(3, at=9)]), deletions((0, 9))).accounted == 3
            assert bench.rows() == [marked, {**flagged, **account(1, at=9)}, {**rows[3], **account(3, at=9)}]

    def test_columns_called_as_row_numbers_may_come_later(self, tmp_path: Path) -> None:
        """A table gets such a column as any other: it is empty in older rows, which the next merge meets."""
        for bench, names in self._benches(tmp_path):
            bench.load(batch([account(0), account(1)]))
            rows = [{**account(i, at=i), **dict.fromkeys(names, i or None)} for i in range(3)]
            counts = bench.merge(_batch(rows[1:], names), schema=numbered(names))
            assert (counts.inserted, counts.updated) == (1, 1)
            assert bench.rows() == rows

    def _benches(self, folder: Path) -> Iterator[tuple[Bench, tuple[str, ...]]]:
        for names in self.pick(self.row_numbers):
            with self.bench(folder / "-".join(names)) as bench:
                yield bench, names


def _batch(rows: Sequence[Row], names: Sequence[str]) -> Batch:
    return batch(rows, schema=numbered(names))
