"""The rows of a finished query job: the CSV itself on disk, and where every so many rows begin, so that any page is a cut."""

from __future__ import annotations

import mmap
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pa_csv

from halocline.emulator.wire import SLICE_BYTES

KEPT_ROWS = 10_000  # rows that are written between two looks at whether the job goes on
BLOCK_ROWS = 1_000  # rows between two marks; the usual pages begin at one, others are looked for from the mark before
# A row: every value is quoted, so a line ending outside of quotes is its end; a doubled quote is an end and a beginning.
_ROW = re.compile(rb'(?:"[^"]*+"|[^"\n]++)*+\n')


class Results:
    """The rows of one job, every value quoted; null is the empty text."""

    def __init__(self, path: Path, columns: tuple[str, ...], *, delimiter: str = ",", line_ending: str = "\n") -> None:
        self._path = path
        self._columns = columns
        self._header = (delimiter.join(f'"{name}"' for name in columns) + line_ending).encode()
        self._options = pa_csv.WriteOptions(
            include_header=False, quoting_style="all_valid", delimiter=delimiter, eol=line_ending, batch_size=BLOCK_ROWS
        )
        self._starts = [0]  # row numbers of the marks, and the bytes before each
        self._offsets = [0]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self._starts[-1]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._path.stat().st_size

    def fill(self, batches: Iterator[pa.RecordBatch], *, keep_on: Callable[[], bool]) -> None:
        """Keep all rows, null as the empty text; stops early when `keep_on` says no."""
        schema = pa.schema([(name, pa.string()) for name in self._columns])
        with pa.OSFile(str(self._path), "wb") as sink:
            for batch in _filled(batches, schema):
                if not keep_on():
                    return
                for start in range(0, batch.num_rows, BLOCK_ROWS):
                    block = batch.slice(start, BLOCK_ROWS)
                    pa_csv.write_csv(block, sink, self._options)
                    self._starts.append(self._starts[-1] + block.num_rows)
                    self._offsets.append(sink.tell())

    def page(self, start: int, end: int) -> Iterator[bytes]:
        """CSV of the rows from `start` up to `end`, with a header."""
        if start >= end:
            yield self._header
            return
        with self._path.open("rb") as file:
            low, high = self._offset(file.fileno(), start), self._offset(file.fileno(), end)
            file.seek(low)
            yield self._header + file.read(min(SLICE_BYTES, high - low))
            while (left := high - file.tell()) > 0:
                yield file.read(min(SLICE_BYTES, left))

    def drop(self) -> None:
        """Forget the rows. A page that is being read keeps its own hold on the file."""
        self._path.unlink(missing_ok=True)

    def _offset(self, file: int, row: int) -> int:
        """Where a row begins; where the last one ends for the row behind it."""
        mark = bisect_right(self._starts, row) - 1
        offset = self._offsets[mark]
        if row == self._starts[mark]:
            return offset
        with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as text:
            for _ in range(row - self._starts[mark]):
                found = _ROW.match(text, offset)
                assert found is not None, "the marks and the file are written together"
                offset = found.end()
        return offset


def _filled(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The batches in pieces of at most KEPT_ROWS rows, null as the empty text."""
    for batch in batches:
        columns = [pc.fill_null(column.cast(pa.string()), "") for column in batch.columns]
        whole = pa.RecordBatch.from_arrays(columns, schema=schema)
        for start in range(0, whole.num_rows, KEPT_ROWS):
            yield whole.slice(start, KEPT_ROWS)
