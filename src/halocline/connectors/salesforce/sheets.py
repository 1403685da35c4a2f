"""Rows as CSV files that Bulk takes: streamed to a spool, split below the upload limit, with their row numbers kept.

    dicts | Arrow | a CSV file  ->  text columns (an empty cell: leave the field)  ->  Sheet, Sheet, ...
                                    └─ rows that no sheet can hold: a result each, never silence

A row whose columns are not in the sheet's header begins a new sheet. Every sheet is written by us: comma, LF, UTF-8, quotes
where needed.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Prepare CSV Files", "Upload Job Data"; November 2026.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pa_csv

from halocline.connectors.salesforce import results
from halocline.connectors.salesforce.cells import Refusal, Rows, Texts, anywhere, places, texts_of
from halocline.connectors.salesforce.results import not_sent
from halocline.connectors.salesforce.spelling import CLEARED
from halocline.outcome import RowResult
from halocline.quantity import quantity
from halocline.spool import Spool, storage

# Of a sheet: 150 MB of base64 are taken, to which the conversion "can increase the data size by approximately 50%".
# Source: https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/upload_job_data.htm
MAX_BYTES = 100_000_000
# Of a sheet: few jobs, little memory to match the results of each, and one is read while the next runs and a third is uploaded.
MAX_ROWS = 100_000
# Characters in a field: unverified. Copies of the limits' page say so; the guide of API version 48 says 32,000. Both also tell of
# 400,000 characters and 5,000 fields in a record, which are not checked here: Salesforce has the last word on such rows.
# Source: https://developer.salesforce.com/docs/atlas.en-us.228.0.api_bulk_v2.meta/api_bulk_v2/bulk_api_2_limits.htm
CELL_CHARS = 131_072
_WRITE = pa_csv.WriteOptions(include_header=False, quoting_style="needed")
_Doubt: TypeAlias = tuple[int, str, str, tuple[str, ...]]  # place, code, message, fields


@dataclass(frozen=True, slots=True)
class Sheet:
    """A CSV file ready for upload. Its rows are those of the input from `first_row` on, less `skipped` (row numbers).

    Rows in an order of their own have `numbers`: the row number of each.
    """

    path: Path
    columns: tuple[str, ...]
    rows: int
    first_row: int = 0
    skipped: tuple[int, ...] = ()
    numbers: pa.Array | None = field(default=None, compare=False, repr=False)

    def row_numbers(self) -> pa.Array:
        """The row number in the input of each row, in order."""
        if self.numbers is not None:
            return self.numbers
        if not self.skipped:
            return pa.array(range(self.first_row, self.first_row + self.rows), pa.int64())
        left_out = set(self.skipped)
        span = range(self.first_row, self.first_row + self.rows + len(self.skipped))
        return pa.array([number for number in span if number not in left_out], pa.int64())


@dataclass(slots=True)
class _Open:
    """A sheet that is being written."""

    path: Path
    columns: tuple[str, ...]
    first_row: int
    rows: int = 0
    bytes: int = 0
    skipped: list[int] = field(default_factory=list)

    def sheet(self) -> Sheet:
        end = self.first_row + self.rows + len(self.skipped)
        return Sheet(self.path, self.columns, self.rows, self.first_row, tuple(n for n in self.skipped if n < end))


class Sheets:
    """Turns rows into sheets below `max_bytes`. `needed` is the column without which a row is refused.

    `only_needed` leaves all other columns out, as a delete wants it. `refusal` says where no record may stand in a field's place.
    `refused` grows while the sheets are drawn: the rows that are in none of them, with the reason.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        needed: str | None = None,
        only_needed: bool = False,
        max_bytes: int = MAX_BYTES,
        refusal: Refusal = anywhere,
    ) -> None:
        self.refused: list[RowResult] = []
        self._spool = spool
        self._needed = needed
        self._only_needed = only_needed
        self._max_bytes = max_bytes
        self._refusal = refusal
        self._made = 0

    def of(self, rows: Rows) -> Iterator[Sheet]:
        """The sheets, each complete when it is handed out; a dict may be a bare id where `needed` is the only column.

        Raises: FixConfig for a file or a table that cannot be read or sent as a whole; NotFound; StorageFailed.
        """
        current: _Open | None = None
        for texts in texts_of(rows, self._needed, refusal=self._refusal):
            ready = self._checked(self._narrow(texts))
            self.refused += ready.refused
            for piece in self._pieces(ready):
                if current is None or not self._fits(current, piece):
                    if current is not None:
                        yield current.sheet()
                    current = self._begun(piece)
                self._append(current, piece)
        if current is not None:
            yield current.sheet()

    def _narrow(self, texts: Texts) -> Texts:
        if not self._only_needed or self._needed is None:
            return texts
        name = _place_of(texts.batch, self._needed)
        return texts if name is None else replace(texts, batch=texts.batch.select([name]))

    def _checked(self, texts: Texts) -> Texts:
        """The rows that a sheet can hold; the others become results."""
        doubts = [*_without_key(texts.batch, self._needed), *_empty(texts.batch), *_too_long(texts.batch)]
        if not doubts:
            return texts
        refused = {
            index: not_sent(texts.numbers[index], code, message=why, fields=fields)
            for index, code, why, fields in reversed(doubts)
        }
        keep = [index for index in range(texts.batch.num_rows) if index not in refused]
        batch = texts.batch.take(pa.array(keep, pa.int64()))
        told = tuple(refused[index] for index in sorted(refused))
        return Texts(batch, [texts.numbers[index] for index in keep], (*texts.refused, *told))

    def _pieces(self, texts: Texts) -> Iterator[tuple[Texts, bytes]]:
        """The rows as CSV, in pieces that fit into an empty sheet."""
        if not texts.batch.num_rows:
            return
        out = io.BytesIO()
        pa_csv.write_csv(texts.batch, out, _WRITE)
        if out.tell() <= self._max_bytes - len(header_line(texts.batch.schema.names)) or texts.batch.num_rows == 1:
            yield texts, out.getvalue()
            return
        half = texts.batch.num_rows // 2
        yield from self._pieces(Texts(texts.batch.slice(0, half), texts.numbers[:half]))
        yield from self._pieces(Texts(texts.batch.slice(half), texts.numbers[half:]))

    def _fits(self, current: _Open, piece: tuple[Texts, bytes]) -> bool:
        texts, data = piece
        same = current.columns == tuple(texts.batch.schema.names)
        few = current.rows + len(texts.numbers) <= MAX_ROWS
        return same and few and current.bytes + len(data) <= self._max_bytes

    def _begun(self, piece: tuple[Texts, bytes]) -> _Open:
        texts, _ = piece
        columns = tuple(texts.batch.schema.names)
        self._made += 1
        path, header = self._spool.file(f"sheet-{self._made:05}.csv"), header_line(columns)
        with storage(f"Writing {path.name} to the spool folder"):
            path.write_bytes(header)
        return _Open(path, columns, texts.numbers[0], bytes=len(header))

    def _append(self, current: _Open, piece: tuple[Texts, bytes]) -> None:
        texts, data = piece
        with storage(f"Writing {current.path.name} to the spool folder"), current.path.open("ab") as file:
            file.write(data)
        expected = current.first_row + current.rows + len(current.skipped)
        if texts.numbers[-1] - expected + 1 != len(texts.numbers):
            there = set(texts.numbers)
            current.skipped += [number for number in range(expected, texts.numbers[-1] + 1) if number not in there]
        current.rows += len(texts.numbers)
        current.bytes += len(data)


def header_line(columns: Sequence[str]) -> bytes:
    """The first line of a sheet."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(columns)
    return out.getvalue().encode()


def _too_long(batch: pa.RecordBatch) -> Iterator[_Doubt]:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        lengths = pc.utf8_length(column)
        for index in places(pc.greater(lengths, CELL_CHARS)):
            message = f"{name} has {quantity(lengths[index].as_py(), 'character')}; Bulk takes {CELL_CHARS:,}"
            yield index, results.CANNOT_BE_SENT, message, (name,)


def _empty(batch: pa.RecordBatch) -> Iterator[_Doubt]:
    """The rows without any value: in a sheet of one column each would be a blank line, which Bulk does not count as a row."""
    filled = [pc.is_valid(column) for column in batch.columns]
    some = filled[0]
    for one in filled[1:]:
        some = pc.or_(some, one)
    for index in places(pc.invert(some)):
        yield index, results.CANNOT_BE_SENT, "the row has no values; there is nothing to send", ()


def _without_key(batch: pa.RecordBatch, needed: str | None) -> Iterator[_Doubt]:
    if needed is None:
        return
    name = _place_of(batch, needed)
    there: Iterable[int] = range(batch.num_rows)
    if name is not None:
        there = places(pc.fill_null(pc.equal(batch.column(name), CLEARED), fill_value=True))
    for index in there:
        yield index, results.MISSING_KEY, f"{needed} is missing or empty; the row was not sent", (needed,)


def _place_of(batch: pa.RecordBatch, wanted: str) -> str | None:
    """The column of that name in any case, as it is spelled."""
    return next((name for name in batch.schema.names if name.lower() == wanted.lower()), None)
