"""Passengers: rows that were folded into a later row with the same key, and share the fate of the row that they travel in."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.salesforce.writing.folding import column_of
from halocline.outcome import Fate, RowResult


class Passengers:
    """The rows of one load that travel in others: 16 bytes for each."""

    def __init__(self, pairs: Iterable[tuple[int, int]]) -> None:
        rows, carriers = array("q"), array("q")
        for row, carrier in pairs:
            rows.append(row)
            carriers.append(carrier)
        self._rows, self._carriers = column_of(rows), column_of(carriers)

    def beside(self, carriers: pa.Array) -> list[int]:
        """The rows that travel in these."""
        rows: list[int] = self._of(carriers)[0].to_pylist()
        return rows

    def beside_written(self, written: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that were written, and after them those that travelled in them, with the same id."""
        rows, places = self._of(written.column("row"))
        if not len(rows):
            return written
        carried = written.take(places)
        names = written.schema.names
        more = pa.RecordBatch.from_arrays(
            [rows if name == "row" else carried.column(name) for name in names], schema=written.schema
        )
        return pa.concat_batches([written, more])

    def beside_others(self, others: Sequence[RowResult]) -> list[RowResult]:
        """The rows that were not written, and after them those that travelled in them, each saying so."""
        rows, places = self._of(pa.array([one.row for one in others], pa.int64()))
        riders = zip(rows.to_pylist(), places.to_pylist(), strict=True)
        return [*others, *(_shared(row, others[place]) for row, place in riders)]

    def _of(self, carriers: pa.Array) -> tuple[pa.Array, pa.Array]:
        """The rows that travel in these, and the place among these of the row that each travels in."""
        if not len(self._rows):
            return self._rows, self._rows
        found = pc.index_in(self._carriers, value_set=carriers)
        return self._rows.filter(found.is_valid()), found.drop_null()


def _shared(row: int, carrier: RowResult) -> RowResult:
    if carrier.fate is Fate.WRITTEN:
        return replace(carrier, row=row)
    return replace(carrier, row=row, message=f"travels in row {carrier.row}: {carrier.message}")
