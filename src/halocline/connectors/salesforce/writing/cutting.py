"""Cutting rows, in the order in which they are sent, into what one call or one job takes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pa_csv

from halocline.connectors.salesforce import sheets
from halocline.connectors.salesforce.spelling import CLEARED
from halocline.connectors.salesforce.writing.frames import fields_of, fitted
from halocline.spool import storage, to_disk

CALL_BYTES = 10_000_000  # ours, of texts in a call: its memory here, while several are in flight
_WRITE = pa_csv.WriteOptions(include_header=False, quoting_style="needed")


class Calls:
    """How many rows each call takes: `size` at most, fewer where they are long."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._runs: list[list[int]] = []  # rows of a call, and how many calls in a row have as many
        self._rows = self._bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows in."""
        lengths = pa.repeat(pa.scalar(0, pa.int64()), batch.num_rows)
        for name in fields_of(batch.schema):
            lengths = pc.add(lengths, pc.fill_null(pc.binary_length(batch.column(name)), 0).cast(pa.int64()))
        for length in lengths.to_pylist():
            if self._rows == self._size or (self._rows and self._bytes + length > CALL_BYTES):
                self._end()
            self._rows += 1
            self._bytes += length

    def runs(self) -> list[list[int]]:
        """The calls: rows of a call, and how many calls in a row have as many."""
        if self._rows:
            self._end()
        return self._runs

    def _end(self) -> None:
        if self._runs and self._runs[-1][0] == self._rows:
            self._runs[-1][1] += 1
        else:
            self._runs.append([self._rows, 1])
        self._rows = self._bytes = 0


class SheetFiles:
    """Writes rows as sheets below Bulk's limits, and of at most `most` rows, with the same header, and makes each durable."""

    def __init__(self, folder: Path, columns: Sequence[str], *, most: int | None = None) -> None:
        self._most = min(most or sheets.MAX_ROWS, sheets.MAX_ROWS)
        self.sizes: list[tuple[int, int]] = []  # rows and bytes of each sheet
        self._folder, self._columns = folder, tuple(columns)
        self._header = sheets.header_line(columns)
        self._file: Any = None
        self._rows = self._bytes = 0

    def __enter__(self) -> SheetFiles:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows in."""
        while batch.num_rows:
            if self._rows == self._most:
                self.finish()
            room = self._most - self._rows
            self._add(batch.slice(0, room))
            batch = batch.slice(room)

    def _add(self, batch: pa.RecordBatch) -> None:
        for rows, data in self._texts(cells(batch, self._columns)):
            with storage(f"Writing a sheet to {self._folder}"):
                if self._rows + rows > self._most or self._bytes + len(data) > sheets.MAX_BYTES:
                    self.finish()
                if self._file is None:
                    self._file = (self._folder / sheet_name(len(self.sizes))).open("wb")
                    self._bytes = self._file.write(self._header)
                self._bytes += self._file.write(data)
                self._rows += rows

    def finish(self) -> None:
        """End the sheet that is being written."""
        if self._file is None:
            return
        with storage(f"Writing {self._file.name}"):
            self._file.close()
            to_disk(Path(self._file.name))
        self.sizes.append((self._rows, self._bytes))
        self._file, self._rows, self._bytes = None, 0, 0

    def _texts(self, batch: pa.RecordBatch) -> Iterator[tuple[int, bytes]]:
        """The rows as CSV, in pieces that fit into an empty sheet."""
        out = io.BytesIO()
        pa_csv.write_csv(batch, out, _WRITE)
        fits = out.tell() <= sheets.MAX_BYTES - len(self._header)
        if fits or batch.num_rows == 1:
            yield batch.num_rows, out.getvalue()
            return
        half = batch.num_rows // 2
        yield from self._texts(batch.slice(0, half))
        yield from self._texts(batch.slice(half))


def cells(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """Staged rows as cells: what clears is `#N/A`, what is left alone is null."""
    fit = fitted(batch, pa.schema([(name, pa.string()) for name in columns]))
    return pa.RecordBatch.from_arrays([_cleared(column) for column in fit.columns], names=list(columns))


def sheet_name(place: int) -> str:
    """The file of a sheet, by its place from 0."""
    return f"sheet-{place + 1:05}.csv"


def _cleared(texts: pa.Array) -> pa.Array:
    empty = pc.equal(texts, "")
    return pc.if_else(empty, CLEARED, texts) if pc.any(empty).as_py() else texts
