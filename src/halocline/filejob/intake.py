"""Intake: a landed file on this machine, under a name of ours, checked, and its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from halocline.buckets import Buckets, Stored
from halocline.errors import Changed, FixConfig, NotFound, RejectRecord
from halocline.filejob import limits
from halocline.filejob.job import FileJob
from halocline.filejob.names import local_name
from halocline.rows.files import file_rows
from halocline.spool import Spool, storage

if TYPE_CHECKING:
    from halocline.rows.rows import Rows


class Unreadable(Exception):
    """The file is no file of rows; whoever put it there has to put another."""


@dataclass(slots=True)
class Intake:
    """Brings a file into the spool when its rows are wanted for the first time, and keeps it until it is closed."""

    job: FileJob
    buckets: Buckets
    spool: Spool
    local: Path | None = None
    _rows: Rows | None = None

    def rows(self, stored: Stored) -> Rows:
        """The rows of the object, checked as a whole.

        Raises: Unreadable; Changed or NotFound where the object is not there any more; StorageFailed.
        """
        if self._rows is None:
            try:
                limits.check_packed(local_name(stored.key), stored.size, limits=self.job.limits)
            except FixConfig as error:
                raise Unreadable(str(error)) from error
            path = self._brought(stored)
            try:
                limits.check(path, self.job.limits, encoding=self.job.encoding, delimiter=self.job.delimiter)
                self._rows = file_rows(path, self.spool.path, name=path.name, options=self.job.reading)
            except FixConfig as error:
                raise Unreadable(str(error)) from error
            finally:
                pa.default_memory_pool().release_unused()  # what reading took is not kept for sending
        return self._rows

    def records(self, stored: Stored, numbers: Sequence[int]) -> dict[int, Mapping[str, object]]:
        """The rows of these numbers; none where the file is not there any more."""
        if not numbers:
            return {}
        try:
            return dict(zip(numbers, self.rows(stored).records(numbers), strict=True))
        except (Changed, NotFound):
            return {}

    def key_of(self, record: Any) -> object:
        """The value of the job's key in a row of the file; "" where it has none."""
        key = (self.job.key or "").lower()
        if not isinstance(record, Mapping):
            return ""
        row: Mapping[str, object] = record
        if self.job.mapper is not None:
            try:
                row = self.job.mapper.transform(record)
            except RejectRecord:
                row = record
        return next((value for name, value in row.items() if str(name).lower() == key), "")

    def close(self) -> None:
        """Let go of the rows. Idempotent."""
        if self._rows is not None:
            self._rows.close()
            self._rows = None

    def _brought(self, stored: Stored) -> Path:
        if self.local is None:
            path = self.spool.file(local_name(stored.key))
            version, etag = stored.version, None if stored.version else stored.etag or None
            with storage(f"Bringing s3://{stored.bucket}/{stored.key} into {path.parent}"):
                self.buckets.download(stored.bucket, stored.key, path, version=version, etag=etag)
            self.local = path
        return self.local
