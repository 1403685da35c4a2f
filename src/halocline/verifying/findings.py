"""Findings: the keys of all rows that differ, in a file, for however many of them there are; their counts; some to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from halocline.spool import Spool, storage
from halocline.verifying.compare import Kinds

SHOWN = 10  # keys of each kind that are told
_ORDER = tuple(Kinds)


class Findings:
    """Filled by `add`, ended by `close`, then read by `keys`, as often as need be.

    Raises: StorageFailed when the disk is full.
    """

    def __init__(self, spool: Spool, *, key: pa.DataType) -> None:
        self.counts: Counter[Kinds] = Counter()
        self.shown: dict[Kinds, list[object]] = {kind: [] for kind in Kinds}
        self._schema = pa.schema([("key", key), ("kind", pa.int8())])
        self._path = str(spool.file("differences.arrow"))
        self._file = pa.OSFile(self._path, "wb")
        self._writer = pa.ipc.new_stream(self._file, self._schema)

    def add(self, kind: Kinds, keys: pa.Array) -> None:
        """Remember that rows of these keys differ in this way."""
        if not len(keys):
            return
        self.counts[kind] += len(keys)
        room = SHOWN - len(self.shown[kind])
        self.shown[kind].extend(keys.slice(0, room).to_pylist())
        kinds = pa.repeat(pa.scalar(_ORDER.index(kind), pa.int8()), len(keys))
        with storage("Writing down differences"):
            self._writer.write_batch(pa.RecordBatch.from_arrays([keys, kinds], schema=self._schema))

    def close(self) -> None:
        """All are there. Idempotent."""
        with storage("Writing down differences"):
            if not self._file.closed:
                self._writer.close()
                self._file.close()

    def total(self, *kinds: Kinds) -> int:
        """How many rows differ in one of these ways."""
        return sum(self.counts[kind] for kind in kinds)

    def keys(self, *kinds: Kinds, at_once: int) -> Iterator[pa.Array]:
        """The keys of rows that differ in one of these ways, so many at once, in the order in which they were found."""
        wanted = {_ORDER.index(kind) for kind in kinds}
        held: list[pa.Array] = []
        with storage("Reading differences"), pa.memory_map(self._path) as file, pa.ipc.open_stream(file) as stream:
            for batch in stream:
                if batch.num_rows and batch.column("kind")[0].as_py() in wanted:
                    held.append(batch.column("key"))
                while sum(map(len, held)) >= at_once:
                    every = pa.concat_arrays(held)
                    yield every.slice(0, at_once)
                    held = [every.slice(at_once)]
        rest = pa.concat_arrays(held) if held else pa.array([], self._schema.field("key").type)
        if len(rest):
            yield rest
