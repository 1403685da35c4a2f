"""The archive: a file that was taken care of is moved out of the way, with what came of it in its metadata, and nothing else is.

A bucket cannot rename. So: copy, look whether the copy is whole, delete what was copied - and only that: a newer object that has
taken the key meanwhile stays, for it has an event of its own. Each of the three may be repeated, by the same run or a later one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halocline.buckets import Buckets, Stored
from halocline.errors import Changed, NotFound, Truncated
from halocline.filejob.names import source_mark

RUN, SOURCE, VERSION, LANDED, FOUND = (f"halocline-{name}" for name in ("run", "source", "version", "landed", "found"))
"""Names in the metadata of what a run puts into a bucket: the run, the place of the file, its version, its instant, what came."""


def metadata_of(run: str, stored: Stored, *, found: Mapping[str, object]) -> dict[str, str]:
    """What the objects of a run say of themselves, in ASCII, and far below the 2 KB that metadata may have.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html, read November 2026.
    """
    told = {RUN: run, SOURCE: source_mark(stored.bucket, stored.key), VERSION: stored.version or stored.etag}
    if stored.modified is not None:
        told[LANDED] = stored.modified.isoformat()
    return {**told, FOUND: json.dumps(found, separators=(",", ":"))}


def found_in(stored: Stored | None, *, run: str) -> dict[str, Any] | None:
    """What a run has left in the metadata of an object; None where the object is not there, or is another run's."""
    if stored is None or stored.metadata.get(RUN) != run:
        return None
    try:
        found = json.loads(stored.metadata.get(FOUND, ""))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


@dataclass(frozen=True, slots=True)
class Archive:
    """Where the copy of `stored`, the file as it was read, goes; `local` is that very file, where it is at hand."""

    buckets: Buckets
    stored: Stored
    key: str
    metadata: Mapping[str, str]
    local: Path | None = None

    def move(self) -> bool:
        """Copy, check, delete; whether the file is in the archive.

        It is not where somebody overwrote it before it could be copied, in a bucket without versions, and this process never
        had it: then its content is gone, and what has taken its place is left alone.
        Raises: Truncated when the copy is not whole.
        """
        if not self._is_there() and not self._copied() and not self._uploaded():
            return False
        copy = self.buckets.head(self.stored.bucket, self.key)
        if copy is None or copy.size != self.stored.size:
            size = "nothing" if copy is None else f"{copy.size:,} bytes"
            cause = f"its copy {self.key} has {size}, and not {self.stored.size:,}"
            raise Truncated(f"Archiving s3://{self.stored.bucket}/{self.stored.key}", cause, hint="It stays where it is.")
        self._delete()
        return True

    def _is_there(self) -> bool:
        copy = self.buckets.head(self.stored.bucket, self.key)
        return copy is not None and copy.metadata.get(RUN) == self.metadata[RUN] and copy.size == self.stored.size

    def _copied(self) -> bool:
        try:
            self.buckets.copy(self.stored, self.stored.bucket, self.key, metadata=self.metadata)
        except (Changed, NotFound):
            return False
        return True

    def _uploaded(self) -> bool:
        if self.local is None or not self.local.exists():
            return False
        metadata = {**self.stored.metadata, **self.metadata}
        self.buckets.upload(self.local, self.stored.bucket, self.key, metadata=metadata)
        return True

    def _delete(self) -> None:
        old = self.stored
        try:
            if old.version is None:
                self.buckets.delete(old.bucket, old.key, etag=old.etag)
            else:
                self.buckets.delete(old.bucket, old.key, version=old.version)
        except (Changed, NotFound):  # a newer object is under the key, or none at all
            return


def archived_elsewhere(buckets: Buckets, bucket: str, *, near: str, source: str, version: str | None) -> Stored | None:
    """The newest copy that a run made of what was at this place, in this version (None: any); its key begins with `near`."""
    found = None
    for one in buckets.each(bucket, near):
        told = buckets.head(bucket, one.key)
        if told is None or told.metadata.get(SOURCE) != source or version not in {None, told.metadata.get(VERSION)}:
            continue
        if found is None or _age(told) > _age(found):
            found = told
    return found


def _age(stored: Stored) -> float:
    return 0.0 if stored.modified is None else stored.modified.timestamp()
