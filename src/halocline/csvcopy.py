"""CsvCopy: a source whose rows are also written to a CSV file, which appears when the rows are durable, or not at all."""

from __future__ import annotations

import base64
import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from pyarrow import csv as pa_csv

from halocline.batch import Batch, Op, Position
from halocline.coat import Coat
from halocline.connector import Part, Plan, Source, Survey
from halocline.moments import SPELLED, end_of_day, refuse_misfits, texts
from halocline.schema import Schema
from halocline.spool import Spool, arriving, storage

_NO_HEADER = pa_csv.WriteOptions(include_header=False)


class CsvCopy(Coat):
    """`inner`, with each part's rows put aside as CSV in `spool` while it is read. Implements `connector.Source`."""

    def __init__(self, inner: Source, *, spool: Spool, name: str) -> None:
        super().__init__(inner)
        self._spool = spool
        self._name = name
        self._parts: dict[str, Path] = {}
        self._made = 0
        self._schema = Schema(())
        self._lock = threading.Lock()

    def survey(self, since: Position | None) -> Survey:
        """See `Source.survey`."""
        found = super().survey(since)
        self._schema = found.schema
        return found

    def parts(self, plan: Plan) -> Iterator[Part]:
        """See `Source.parts`; of a plan that took the place of another one the file has none of the other's parts."""
        with self._lock:
            self._parts = {}
        for part in super().parts(plan):
            with self._lock:
                self._parts[part.id] = self._spool.file(f"{self._name}-{self._made}.csv")
                self._made += 1
            yield part

    def read(self, part: Part, resume: Position | None = None) -> Iterator[Batch]:
        """See `Source.read`; the file begins anew with each reading of the part."""
        with storage("Putting rows aside as CSV"):
            self._parts[part.id].write_bytes(b"")
        return super().read(part, resume)

    def passing(self, part: Part, batch: Batch) -> None:
        """Put the rows aside."""
        for rows in batch.arrow() if batch.op is Op.UPSERT else ():
            with storage("Putting rows aside as CSV"), self._parts[part.id].open("ab") as file:
                write_rows(rows.select(list(self._schema.names)), file)

    def begin(self, path: Path) -> None:
        """See that the file can be made, before anything is done that it is a copy of.

        Raises: StorageFailed.
        """
        with storage(f"Writing {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            probe = path.with_name(f"{path.name}.{os.getpid()}-{id(self)}.part")
            probe.touch()
            probe.unlink()

    def finish(self, path: Path) -> None:
        """Make the file, with a line of names, of what was put aside.

        Raises: StorageFailed; the file is as it was then.
        """
        with storage(f"Writing {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with arriving(path) as partial, partial.open("wb") as file:
                write_names(self._schema.names, file)
                for part in self._parts.values():
                    with part.open("rb") as rows:
                        shutil.copyfileobj(rows, file)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def write_names(names: Sequence[str], file: BinaryIO) -> None:
    """A line of names, as rows of text have it."""
    pa_csv.write_csv(pa.RecordBatch.from_pylist([], schema=pa.schema([(name, pa.string()) for name in names])), file)


def write_rows(rows: pa.RecordBatch, file: BinaryIO, *, of_bytes: Callable[[bytes], str] = _base64) -> None:
    """The rows without their names; bytes as the text that `of_bytes` makes of them, everything else as it is.

    Raises: SchemaConflict for a day, an instant or a time that has no text.
    """
    refuse_misfits(rows, doing="Writing rows as CSV", years=SPELLED)
    columns = [_plain(column, of_bytes) for column in rows.columns]
    pa_csv.write_csv(pa.RecordBatch.from_arrays(columns, names=rows.schema.names), file, _NO_HEADER)


def _plain(column: pa.Array, of_bytes: Callable[[bytes], str]) -> pa.Array:
    """The column, or texts in its place where Arrow's writer of CSV would not have its values."""
    if pa.types.is_binary(column.type):
        return pa.array([None if value is None else of_bytes(value) for value in column.to_pylist()], pa.string())
    return texts(column) if pa.types.is_time(column.type) and end_of_day(column) is not None else column
