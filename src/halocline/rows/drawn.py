"""DrawnRows: records of any iterator, drawn once into a file and read from there as often as need be."""

from __future__ import annotations

import io
import pickle
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from halocline.push.destination import RowBatch
from halocline.push.order import Nulls
from halocline.rows.place import new_file
from halocline.rows.rows import DICT_ROWS
from halocline.spool import storage

_BUFFER_BYTES = 1 << 20  # that are written at a time


class DrawnRows:
    """The records that `drawn` put into `path`; `offsets` says where each begins, and where the last one ends.

    `kept` are those that cannot be pickled, such as one that holds an open file: they stay in memory, by their numbers.
    """

    def __init__(self, path: Path, offsets: Sequence[int], *, kept: Mapping[int, Any], name: str, nulls: Nulls) -> None:
        self.name = name
        self.nulls = nulls
        self.clears: str | None = None
        self._path = path
        self._offsets = offsets
        self._kept = kept

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def batches(self) -> Iterator[RowBatch]:
        """All rows in order, about 2,000 at a time."""
        for first in range(0, len(self), DICT_ROWS):
            numbers = range(first, min(first + DICT_ROWS, len(self)))
            with self._opened() as file:
                some = self._read(file, numbers)
            yield RowBatch(numbers, some)

    def records(self, numbers: Sequence[int]) -> list[Mapping[str, object]]:
        """The rows of these numbers, equal to those that were drawn."""
        with self._opened() as file:
            return [self._read(file, range(number, number + 1))[0] for number in numbers]

    def close(self) -> None:
        """Delete the file. Idempotent."""
        self._path.unlink(missing_ok=True)

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        with storage(f"Reading {self._path.name} of {self.name}"), self._path.open("rb") as file:
            yield file

    def _read(self, file: BinaryIO, numbers: range) -> list[Any]:
        """Rows that lie one after another."""
        if not 0 <= numbers.start < len(self):
            raise IndexError(numbers.start)
        offsets = self._offsets[numbers.start : numbers.stop + 1]
        file.seek(offsets[0])
        data = memoryview(file.read(offsets[-1] - offsets[0]))
        told = list[Any]()
        for number, start, end in zip(numbers, offsets, offsets[1:], strict=False):
            frame = data[start - offsets[0] : end - offsets[0]]
            told.append(self._kept[number] if number in self._kept else pickle.loads(frame))  # noqa: S301  # a private file of our own
        return told


def drawn(source: Iterable[Any], folder: Path, *, name: str = "rows", nulls: Nulls = Nulls.CLEAR) -> DrawnRows:
    """The records of `source`, drawn now, in a new file in `folder`. What the source raises is raised, and no file is left.

    Every record is written as it comes, so a generator may hand out the same dict again and again with other values.
    Raises: StorageFailed.
    """
    path = new_file(folder, "records")
    try:
        offsets, kept = _write(source, path)
        return DrawnRows(path, offsets, kept=kept, name=name, nulls=nulls)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write(source: Iterable[Any], path: Path) -> tuple[Sequence[int], dict[int, Any]]:
    """Where each record begins in the file and the last one ends, and the records that are not in it."""
    offsets, kept = array("Q", [0]), dict[int, Any]()
    buffer, flushed = io.BytesIO(), 0
    pickler = pickle.Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL)
    with path.open("wb", buffering=0) as file:
        for number, record in enumerate(source):
            start = buffer.tell()
            try:
                pickler.dump(record)
            except Exception:  # noqa: BLE001  # a value's class may raise anything here; the record is kept as it is
                buffer.seek(start)
                buffer.truncate()
                kept[number] = dict(record) if isinstance(record, dict) else record  # the source may fill the same dict again
            pickler.clear_memo()  # or a dict that comes again would be written as it was the first time
            offsets.append(flushed + buffer.tell())
            if buffer.tell() >= _BUFFER_BYTES:
                flushed += _flush(buffer, file)
        _flush(buffer, file)
    return offsets, kept


def _flush(buffer: io.BytesIO, file: BinaryIO | io.FileIO) -> int:
    """Write what is in the buffer and empty it; how many bytes it was."""
    data = buffer.getvalue()
    with storage("Putting rows aside in the run's folder"):
        done = 0
        while done < len(data):  # an unbuffered file may take less than it is given
            done += file.write(memoryview(data)[done:])
    buffer.seek(0)
    buffer.truncate()
    return len(data)
