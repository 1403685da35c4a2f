"""Output: rows become data files of a size that readers like, written in the spool and brought to the table's folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.files.format import Format, Writer
from halocline.connectors.files.keys import KEY, ends
from halocline.connectors.files.layout import Names
from halocline.connectors.files.log import DataFile
from halocline.connectors.files.partition import Partition, split
from halocline.connectors.files.table import Table
from halocline.schema import Schema
from halocline.spool import Spool, discard, storage, to_disk

TARGET_BYTES = 64 << 20  # a data file is ended when it has become this large
_OPEN = 2  # data files in the making at once; rows of further partitions wait in the spool
_DOING = "Writing data files to the spool folder"
_AGAIN = "Reading rows that wait in the spool folder"


@dataclass(frozen=True, slots=True)
class Shape:
    """What all data files of a commit have in common: format, columns, key, folders, and the columns that mark deleted rows."""

    format: Format
    schema: Schema
    key: tuple[str, ...]
    by: Sequence[Partition]
    flags: Sequence[str]


@dataclass(slots=True)
class _Open:
    """A data file in the making, and what is known of its rows."""

    partition: str
    path: Path
    writer: Writer
    rows: int = 0
    live: int = 0
    low: str | None = None
    high: str | None = None


@dataclass(slots=True)
class Output:
    """The data files that one unit of work makes for a table. Nothing is seen before `show`."""

    table: Table
    shape: Shape
    names: Names
    spool: Spool
    made: list[DataFile] = field(default_factory=list)
    _open: dict[str, _Open] = field(default_factory=dict)
    _waiting: dict[str, list[Path]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)  # in the names of files in the spool: none is given twice

    def put(self, rows: pa.Table) -> None:
        """Rows with their keys as `KEY`, for whichever partitions they belong to."""
        for partition, some in split(rows, self.shape.by):
            if partition in self._open or len(self._open) < _OPEN:
                self._write(partition, some)
            else:
                self._wait(partition, some)

    def put_into(self, partition: str, rows: pa.Table) -> None:
        """Rows of one partition, written at once."""
        while partition not in self._open and len(self._open) >= _OPEN:
            self.end(next(iter(self._open)))
        self._write(partition, rows)

    def end(self, partition: str) -> None:
        """End the data file in the making of a partition, if there is one: the next rows begin another."""
        opened = self._open.pop(partition, None)
        if opened is None:
            return
        with storage(_DOING):
            opened.writer.close()
        self._bring(opened)

    def finish(self) -> tuple[DataFile, ...]:
        """End all, and bring what waits; the data files made."""
        for partition, paths in self._waiting.items():
            for path in paths:
                for rows in _waited(path):
                    self.put_into(partition, rows)
        self._waiting.clear()
        for partition in list(self._open):
            self.end(partition)
        return tuple(self.made)

    def show(self) -> None:
        """Let the files appear in the table's folder."""
        self.table.storage.show(self.table.name_of(file.path) for file in self.made)

    def discard(self) -> None:
        """Close and delete everything, shown or not."""
        with storage(_DOING):
            for opened in self._open.values():
                opened.writer.close()
        for path in [one.path for one in self._open.values()] + [path for paths in self._waiting.values() for path in paths]:
            discard(path)
        self._open.clear()
        self._waiting.clear()
        self.table.storage.delete(self.table.name_of(file.path) for file in self.made)
        self.made.clear()

    def _write(self, partition: str, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        opened = self._open.get(partition)
        with storage(_DOING):
            if opened is None:
                path = self.spool.file(f"out-{self.names.token}-{next(self._numbers)}")
                opened = self._open[partition] = _Open(partition, path, self.shape.format.writer(path, self.shape.schema))
            opened.writer.write(rows.select(self.shape.schema.names))
        _see(opened, rows, self.shape.flags)
        if opened.path.stat().st_size >= TARGET_BYTES:
            self.end(partition)

    def _wait(self, partition: str, rows: pa.Table) -> None:
        path = self.spool.file(f"wait-{self.names.token}-{next(self._numbers)}")
        with storage(_DOING), pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, rows.schema) as stream:
            stream.write_table(rows)
        self._waiting.setdefault(partition, []).append(path)

    def _bring(self, opened: _Open) -> None:
        with storage(_DOING):
            to_disk(opened.path)
            size = opened.path.stat().st_size
            with opened.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        name = self.names.next(opened.partition)
        low, high = opened.low or "", opened.high or ""
        made = DataFile(name, opened.rows, opened.live, size, digest, low, high, opened.partition, self.shape.key)
        self.made.append(made)
        self.table.storage.bring(opened.path, self.table.name_of(name))
        discard(opened.path)


def _waited(path: Path) -> Iterator[pa.Table]:
    """The rows of a file in the spool, which is deleted behind them."""
    with storage(_AGAIN):
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
            for batch in stream:
                yield pa.Table.from_batches([batch])
        path.unlink()


def _see(opened: _Open, rows: pa.Table, flags: Sequence[str]) -> None:
    low, high = ends(rows.column(KEY))
    opened.low = low if opened.low is None else min(opened.low, low)
    opened.high = high if opened.high is None else max(opened.high, high)
    opened.rows += rows.num_rows
    marked = sum(pc.sum(pc.cast(rows.column(name), pa.int64())).as_py() or 0 for name in flags[:1])
    opened.live += rows.num_rows - marked
