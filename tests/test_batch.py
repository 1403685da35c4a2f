"""Batch: rows as Arrow or as received, counted and read the same way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pytest

from halocline.batch import Batch, Op, Raw

ROWS = pa.RecordBatch.from_pydict({"Id": ["a", "b", "c"]})


@dataclass
class CsvFile:
    path: Path
    rows: int
    columns: tuple[str, ...]

    def arrow(self) -> Iterator[pa.RecordBatch]:
        yield from pc.read_csv(self.path).to_batches()


def test_arrow_rows_are_counted_and_given_as_they_are() -> None:
    """No copy is made."""
    batch = Batch(rows=ROWS)
    assert batch.count == 3
    (given,) = batch.arrow()
    assert given is ROWS


def test_rows_as_received_are_parsed_only_when_asked(tmp_path: Path) -> None:
    """The count is what the other side announced; Arrow comes from the file."""
    path = tmp_path / "page.csv"
    raw: Raw = CsvFile(path, 3, ("Id",))
    batch = Batch(raw=raw)
    assert batch.count == 3
    path.write_text('"Id"\n"a"\n"b"\n"c"\n')
    assert pa.Table.from_batches(batch.arrow()) == pa.Table.from_batches([ROWS])


def test_an_empty_batch_has_no_rows() -> None:
    """Neither counted nor given."""
    assert Batch().count == 0
    assert list(Batch().arrow()) == []


def test_a_batch_is_an_upsert_from_row_0_unless_told_otherwise() -> None:
    """And cannot be changed afterwards."""
    batch = Batch(rows=ROWS)
    assert (batch.op, batch.first_row, batch.position, batch.receipts, batch.target) == (Op.UPSERT, 0, None, (), "")
    with pytest.raises(FrozenInstanceError):
        batch.first_row = 5  # type: ignore[misc]  # the law under test
