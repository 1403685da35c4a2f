"""Staged rows on disk: Arrow batches of text columns in one file, and the same rows in another order, in flat memory.

A staged batch has the column ROW (the row's number), a text column for each field (null: the field stays as it is, the empty
text: it is cleared), and where values are no texts in JSON, a column `<field>KIND` that says what they are (TEXT, LITERAL, ...).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halocline.spool import IN_HOME, storage, to_disk

ROW = "\0row"  # no field's name holds a NUL
KIND = "\0kind"
PLACE = pa.int32()  # of a row among all: four bytes, because many such columns are held at a time
FRAME_ROWS = 20_000
FRAME_BYTES = 1 << 24
_TARGET = "\0to"
_BUCKET_ROWS = 50_000
_BUCKET_BYTES = 1 << 25  # of a bucket, on average: each is sorted in memory
_MOST_BUCKETS = 250  # files open at a time
TEXT, LITERAL, DECIMAL, BYTES, DAY = range(
    5
)  # a JSON string; JSON as it stands; a number or a string, see `number`; base64; a date
PREPARED = {b"halocline": b"prepared"}  # the schema metadata of rows that were staged before
_DIGEST_BYTES = 20


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a batch begins in the file, how many rows it has, and its lowest and highest row number."""

    offset: int
    rows: int
    low: int
    high: int


class Frames:
    """A file of batches. Each is an Arrow stream of its own, because later ones may have more columns."""

    def __init__(self, path: Path, index: Sequence[Frame] = ()) -> None:
        self.path = path
        self.index = list(index)
        self.rows = sum(frame.rows for frame in index)
        self._out: Any = None

    def __enter__(self) -> Frames:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._out is not None:
            self._out.close()

    def append(self, batch: pa.RecordBatch) -> None:
        """Write rows behind those that are there; what an earlier process left under that name is gone."""
        if not batch.num_rows:
            return
        with storage(f"Writing staged rows to {self.path}", room=IN_HOME):
            if self._out is None:
                self._out = pa.OSFile(str(self.path), "wb")
            span = pc.min_max(batch.column(ROW)).as_py()
            frame = Frame(self._out.tell(), batch.num_rows, span["min"], span["max"])
            with pa.ipc.new_stream(self._out, batch.schema) as stream:
                stream.write_batch(batch)
        self.index.append(frame)
        self.rows += batch.num_rows

    def finish(self) -> int:
        """Make what was written durable, and say how many bytes it is."""
        with storage(f"Writing staged rows to {self.path}", room=IN_HOME):
            if self._out is None:
                self._out = pa.OSFile(str(self.path), "wb")
            self._out.close()
            to_disk(self.path)
            return self.path.stat().st_size

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows, a batch at a time; of `columns` only, null where a batch does not have one."""
        for frame in self.index:
            yield self.batch(frame, columns)

    def batch(self, frame: Frame, columns: Sequence[str] | None = None) -> pa.RecordBatch:
        """One batch as it was written. Its memory is the file's: pages that nobody looks at are never read."""
        with storage(f"Reading staged rows of {self.path}"), pa.memory_map(str(self.path)) as file:
            file.seek(frame.offset)
            batch = pa.ipc.open_stream(file).read_next_batch()
        return batch if columns is None else fitted(batch, pa.schema([(name, type_of(name)) for name in columns]))

    def span(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """The rows from the place `start` up to, not including, `stop`."""
        first = 0
        for frame in self.index:
            if first < stop and start < first + frame.rows:
                low = max(0, start - first)
                yield self.batch(frame).slice(low, min(stop - first, frame.rows) - low)
            first += frame.rows


def type_of(name: str) -> pa.DataType:
    """The type of a column of staged rows."""
    return pa.int64() if name == ROW else pa.int8() if name.endswith(KIND) else pa.string()


def fields_of(schema: pa.Schema) -> list[str]:
    """The names of the fields in a staged batch."""
    return [name for name in schema.names if "\0" not in name]


def fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with the columns of the schema, null where it has none."""
    if batch.schema.names == schema.names:
        return batch
    there = set(batch.schema.names)
    columns = [batch.column(one.name) if one.name in there else pa.nulls(batch.num_rows, one.type) for one in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """The rows of all batches (one at least) in one, with the columns of all."""
    if len(batches) == 1:
        return batches[0]
    table = pa.concat_tables([pa.Table.from_batches([batch]) for batch in batches], promote_options="default")
    if not table.num_rows:
        return batches[0].slice(0, 0)
    return table.combine_chunks().to_batches()[0]


def pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The rows in slices of a frame's size."""
    size = rows_for(FRAME_BYTES, batch, most=FRAME_ROWS)
    for start in range(0, batch.num_rows, size):
        yield batch.slice(start, size)


def rows_for(most_bytes: int, batch: pa.RecordBatch, *, most: int) -> int:
    """How many rows of a batch are about so many bytes; one at least."""
    held = max(1, int(batch.nbytes))
    rows: int = most_bytes * batch.num_rows // held
    return max(1, min(most, rows))


def in_order(
    sources: Sequence[tuple[Frames, pa.Array]], schema: pa.Schema, *, rows: int, folder: Path
) -> Iterator[pa.RecordBatch]:
    """The rows of several files in one order: each source comes with the place of each of its rows (null: left out).

    The places are 0 to `rows` - 1, each once. Rows are first spread over files by ranges of places, then sorted range by range.
    """
    size = _bucket_rows(sources, rows)
    with _Buckets(folder, schema.append(pa.field(_TARGET, PLACE)), count=-(-rows // size)) as buckets:
        for frames, places in sources:
            first = 0
            for batch in frames.batches():
                there = places.slice(first, batch.num_rows)
                first += batch.num_rows
                _spread(fitted(batch, schema), there, size=size, buckets=buckets)
        for bucket in buckets.read():
            ordered = bucket.take(pc.array_sort_indices(bucket.column(_TARGET)))
            yield from pieces(ordered.select(schema.names))


def release() -> None:
    """Give back what Arrow keeps of the memory that it does not need any more."""
    pa.default_memory_pool().release_unused()


def _bucket_rows(sources: Iterable[tuple[Frames, pa.Array]], rows: int) -> int:
    """How many places a bucket has: few enough for memory, many enough for the number of open files."""
    held = sum(frames.rows for frames, _ in sources)
    row_bytes = sum(frames.path.stat().st_size for frames, _ in sources if frames.rows) // max(1, held)
    return max(min(_BUCKET_ROWS, _BUCKET_BYTES // max(1, row_bytes)), -(-rows // _MOST_BUCKETS), 1)


def _spread(batch: pa.RecordBatch, places: pa.Array, *, size: int, buckets: _Buckets) -> None:
    marked = pa.RecordBatch.from_arrays([*batch.columns, places], names=[*batch.schema.names, _TARGET])
    if places.null_count:
        marked = marked.filter(pc.is_valid(places))
    if not marked.num_rows:
        return
    marked = marked.take(pc.array_sort_indices(marked.column(_TARGET)))
    start = 0
    for entry in pc.value_counts(pc.divide(marked.column(_TARGET), size)).to_pylist():
        buckets.add(entry["values"], marked.slice(start, entry["counts"]))
        start += entry["counts"]


class _Buckets:
    """Rows by ranges of their places; a file each, or memory where there is only one range."""

    def __init__(self, folder: Path, schema: pa.Schema, *, count: int) -> None:
        self._schema, self._count = schema, count
        self._paths = [folder / f"bucket-{number:03}.arrow" for number in range(count)]
        self._held: list[pa.RecordBatch] = []
        self._open: dict[int, tuple[Any, Any]] = {}

    def __enter__(self) -> _Buckets:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._shut()
        for path in self._paths:
            path.unlink(missing_ok=True)

    def add(self, number: int, batch: pa.RecordBatch) -> None:
        if self._count == 1:
            self._held.append(batch)
            return
        with storage(f"Sorting staged rows in {self._paths[number]}", room=IN_HOME):
            if number not in self._open:
                file = pa.OSFile(str(self._paths[number]), "wb")
                self._open[number] = (file, pa.ipc.new_stream(file, self._schema))
            self._open[number][1].write_batch(fitted(batch, self._schema))

    def read(self) -> Iterator[pa.RecordBatch]:
        """The rows of each range, ranges in order."""
        if self._count == 1:
            if self._held:
                yield joined(self._held)
            return
        self._shut()
        for path in self._paths:
            if path.exists():
                with storage(f"Sorting staged rows in {path}"), pa.OSFile(str(path)) as file:
                    found = pa.ipc.open_stream(file).read_all().combine_chunks().to_batches()
                yield from found
                path.unlink()

    def _shut(self) -> None:
        for file, stream in self._open.values():
            stream.close()
            file.close()
        self._open = {}


class Digest:
    """What tells two inputs apart: it grows with staged rows, in the order of the source.

    How the rows came in batches makes no difference, nor the order of the columns.
    """

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
    return hashlib.blake2b(digest_size=_DIGEST_BYTES)
