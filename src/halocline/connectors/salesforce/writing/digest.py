"""Digest: what tells two inputs apart. It does not depend on how the rows came in batches, nor on the order of the columns."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.salesforce.writing.frames import ROW, fields_of

_BYTES = 20


class Digest:
    """Grows with staged rows, in the order of the source."""

    def __init__(self) -> None:
        self._numbers = _hash()
        self._columns: dict[str, _Column] = {}
        self._rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows in."""
        self._numbers.update(_data(batch.column(ROW), width=8))
        for name in fields_of(batch.schema):
            column = self._columns.setdefault(name.lower(), _Column())
            column.pad(self._rows)
            column.add(batch.column(name))
        self._rows += batch.num_rows

    def text(self) -> str:
        """The digest of all rows so far."""
        whole = _hash()
        whole.update(self._numbers.digest())
        for name, column in sorted(self._columns.items()):
            if column.filled:
                column.pad(self._rows)
                whole.update(name.encode() + b"\0" + column.digest())
        return str(whole.hexdigest())


class _Column:
    """The lengths of a column's texts (-1: null) and the texts, each in a hash of its own."""

    def __init__(self) -> None:
        self.filled = False
        self._lengths, self._texts, self._rows = _hash(), _hash(), 0

    def pad(self, rows: int) -> None:
        """Rows before this that did not have the column."""
        missing = rows - self._rows
        for start in range(0, missing, 100_000):
            self._lengths.update(b"\xff" * 4 * min(100_000, missing - start))
        self._rows = max(rows, self._rows)

    def add(self, texts: pa.Array) -> None:
        lengths = pc.fill_null(pc.binary_length(texts), -1)
        self._lengths.update(_data(lengths, width=4))
        self._rows += len(texts)
        self.filled = self.filled or texts.null_count < len(texts)
        solid = pc.fill_null(texts, "") if texts.null_count else texts  # what lies under a null is nobody's
        _, offsets, data = solid.buffers()
        if data is not None and len(solid):
            ends = pa.Array.from_buffers(pa.int32(), solid.offset + len(solid) + 1, [None, offsets])
            first, last = ends[solid.offset].as_py(), ends[-1].as_py()
            self._texts.update(memoryview(data)[first:last])

    def digest(self) -> bytes:
        return bytes(self._lengths.digest() + self._texts.digest())


def _data(column: pa.Array, *, width: int) -> memoryview:
    """The values of a column of numbers without nulls, as they lie in memory."""
    data = column.buffers()[1]
    return memoryview(data)[column.offset * width : (column.offset + len(column)) * width]


def _hash() -> Any:
    return hashlib.blake2b(digest_size=_BYTES)
