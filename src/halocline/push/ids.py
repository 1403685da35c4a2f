"""WrittenIds: the ids of written rows, kept until somebody asks; many of them lie in a temporary file."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from halocline.spool import storage

if TYPE_CHECKING:
    import pyarrow as pa

IN_MEMORY_ROWS = 200_000  # about 6 MB; beyond that memory must not grow with the rows
_DOING = "Keeping the ids of written records in a temporary file"


class WrittenIds:
    """Batches with the columns `row` and `id`, taken in any order and given back in the order of the rows."""

    def __init__(self) -> None:
        self._held: list[pa.RecordBatch] = []
        self._rows = 0
        self._file: IO[bytes] | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows in.

        Raises: StorageFailed.
        """
        self._held.append(batch.select(["row", "id"]))
        self._rows += batch.num_rows
        if self._rows > IN_MEMORY_ROWS:
            self._put_aside()

    def in_order(self) -> list[str]:
        """The ids in the order of the rows: a new list, as large as they are many.

        Raises: StorageFailed.
        """
        return [key for _, key in self.by_row()]

    def by_row(self) -> Iterator[tuple[int, str]]:
        """The rows' numbers, each with its id, in their order.

        Raises: StorageFailed.
        """
        import pyarrow as pa

        batches = [*self._aside(), *self._held]
        if batches:
            for batch in pa.Table.from_batches(batches).sort_by("row").to_batches():
                yield from zip(batch.column("row").to_pylist(), batch.column("id").to_pylist(), strict=True)

    def __getstate__(self) -> dict[str, object]:
        # A copy for another process, which cannot have the file: it holds all ids itself.
        return {"_held": [*self._aside(), *self._held], "_rows": self._rows, "_file": None}

    def _put_aside(self) -> None:
        """Append what is held to the file: one stream of Arrow for each time."""
        import pyarrow as pa

        with storage(_DOING):
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="halocline-ids-")  # noqa: SIM115 - closed when nobody can ask any more
                weakref.finalize(self, self._file.close)
            with pa.ipc.new_stream(self._file, self._held[0].schema) as stream:
                for batch in self._held:
                    stream.write_batch(batch)
        self._held, self._rows = [], 0

    def _aside(self) -> list[pa.RecordBatch]:
        import pyarrow as pa

        if self._file is None:
            return []
        with storage(_DOING):
            end, batches = self._file.seek(0, 2), list[pa.RecordBatch]()
            self._file.seek(0)
            while self._file.tell() < end:
                batches += pa.ipc.open_stream(self._file)
        return batches
