"""Buckets: the rows of one side in files by a hash of their key, so that two sides are compared piece by piece in flat memory."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from halocline.spool import Spool, storage

MOST_BUCKETS = 128  # files open at once; some systems let a process have 256
BUCKET_ROWS = 50_000  # wanted in a bucket of few columns
BUCKET_VALUES = 1_000_000  # likewise of many: about 20 MB
LEAST_BUCKETS = 16  # so that an estimate that is far too low costs memory, but not much
_FLUSH_BYTES = 16 << 20  # of rows that are held before they are written: pieces of a few rows would be mostly headers
_WINDOWS = 6  # times eight bytes, counted from a key's end; what is longer is told apart by those alone
_MULTIPLIERS = (
    *(0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB),
    *(0xD6E8FEB86659FD93, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB),
)
"""Odd numbers whose bits are well mixed. Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014."""


def how_many(rows: int, columns: int) -> int:
    """How many buckets suit so many rows of so many columns: a power of two."""
    count, wanted = LEAST_BUCKETS, min(BUCKET_ROWS, BUCKET_VALUES // max(columns, 1))
    while count < MOST_BUCKETS and count * wanted < rows:
        count *= 2
    return count


def bucket_of(keys: pa.Array, count: int) -> pa.Array:
    """The bucket (from 0; `count` is a power of two) of each key, the same whatever batch it came in; of a null the first."""
    texts = pc.fill_null(pc.cast(keys, pa.string()), "").cast(pa.binary())
    padding = pa.scalar(b"\0" * 8 * _WINDOWS)
    padded = pc.binary_join_element_wise(padding, texts, b"")
    mixed = pc.cast(pc.binary_length(texts), pa.uint64())
    for window, multiplier in enumerate(_MULTIPLIERS, start=1):
        end = -8 * (window - 1) or None
        word = pc.binary_slice(padded, -8 * window, end).cast(pa.binary(8)).view(pa.uint64())
        mixed = pc.multiply(pc.bit_wise_xor(mixed, word), pa.scalar(multiplier, pa.uint64()))
        mixed = pc.bit_wise_xor(mixed, pc.shift_right(mixed, pa.scalar(32, pa.uint64())))
    return pc.bit_wise_and(mixed, pa.scalar(count - 1, pa.uint64()))


class Buckets:
    """The rows of one side, `count` files below a spool. `add` may be called from any thread; `close` comes before `read`.

    Raises: StorageFailed when the disk is full.
    """

    def __init__(self, spool: Spool, side: str, *, schema: pa.Schema, key: str, count: int) -> None:
        self.rows = 0
        self.count = count
        self._schema = schema
        self._key = key
        self._paths = [spool.file(f"{side}-{number:03}.arrow") for number in range(count)]
        self._writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        self._files = ExitStack()
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0
        self._lock = threading.Lock()

    def add(self, rows: pa.RecordBatch) -> None:
        """Put rows into their buckets; they have the columns of the schema, in any order."""
        if not rows.num_rows:
            return
        chosen = rows.select(self._schema.names)
        with self._lock:
            self.rows += rows.num_rows
            self._held.append(chosen)
            self._held_bytes += chosen.nbytes
            if self._held_bytes >= _FLUSH_BYTES:
                self._flush()

    def close(self) -> None:
        """All rows are there. Idempotent."""
        with self._lock:
            self._flush()
            with storage("Writing rows to compare"):
                self._files.close()
            self._writers.clear()

    def read(self, number: int) -> pa.Table:
        """The rows of a bucket."""
        path = self._paths[number]
        if not path.exists():
            return self._schema.empty_table()
        with storage("Reading rows to compare"), pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            return stream.read_all()

    def forget(self, number: int) -> None:
        """Delete a bucket's file."""
        self._paths[number].unlink(missing_ok=True)

    def _flush(self) -> None:
        if not self._held:
            return
        rows = pa.Table.from_batches(self._held, self._schema).combine_chunks()
        self._held, self._held_bytes = [], 0
        where = bucket_of(rows.column(self._key).combine_chunks(), self.count)
        order = pc.sort_indices(where)
        rows, where = rows.take(order), where.take(order)
        bounds = pc.search_sorted(where, pa.array(range(self.count), pa.uint64())).to_pylist()
        with storage("Writing rows to compare"):
            for number, (begin, end) in enumerate(zip(bounds, [*bounds[1:], rows.num_rows], strict=True)):
                if end > begin:
                    self._writer(number).write_table(rows.slice(begin, end - begin))

    def _writer(self, number: int) -> pa.ipc.RecordBatchStreamWriter:
        writer = self._writers.get(number)
        if writer is None:
            file = self._files.enter_context(pa.OSFile(str(Path(self._paths[number])), "wb"))
            writer = self._writers[number] = self._files.enter_context(pa.ipc.new_stream(file, self._schema))
        return writer
