"""The archive: a file that was taken care of is moved out of the way, with what came of it in its metadata, and nothing else is.

A bucket cannot rename. So: copy, look whether the copy is whole, delete what was copied - and only that: a newer object that has
taken the key meanwhile stays, for it has an event of its own. Each of the three may be repeated, by the same run or a later one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from halocline.buckets import METADATA_BYTES, Buckets, Stored, together
from halocline.errors import Changed, NotFound, Truncated
from halocline.events import Noticed, Sink, silent
from halocline.filejob.names import job_mark, source_mark
from halocline.quantity import quantity

_NAMES = ("run", "job", "source", "version", "landed", "found")
RUN, JOB, SOURCE, VERSION, LANDED, FOUND = (f"halocline-{name}" for name in _NAMES)
"""Names in the metadata of what a run puts into a bucket: run, job, place of the file, its version, its instant, what came."""


def metadata_of(run: str, stored: Stored, *, job: str, found: Mapping[str, object]) -> dict[str, str]:
    """What the objects of a run say of themselves, in ASCII, and below what metadata may have: see `buckets.METADATA_BYTES`."""
    source = source_mark(stored.bucket, stored.key)
    told = {RUN: run, JOB: job_mark(job), SOURCE: source, VERSION: stored.version or stored.etag}
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
    """Where the copy of `stored`, the file as it was read, goes; `local` is that very file, where it is at hand.

    The copy has the file's own metadata too, unless both are more than a store takes: then `sink` hears so.
    """

    buckets: Buckets
    stored: Stored
    key: str
    metadata: Mapping[str, str]
    local: Path | None = None
    sink: Sink = silent

    def move(self) -> bool:
        """Copy, check, delete; whether the file is in the archive.

        It is not where somebody overwrote it before it could be copied, in a bucket without versions, and this process never
        had it: then its content is gone, and what has taken its place is left alone.
        Raises: Truncated when the copy is not whole.
        """
        found = self._found()
        if found is None and not self._copied() and not self._uploaded():
            return False
        copy = self.buckets.head(self.stored.bucket, self.key)
        if copy is None or copy.size != self.stored.size:
            size = "nothing" if copy is None else f"{quantity(copy.size, 'byte')}"
            cause = f"its copy {self.key} has {size}, and not {self.stored.size:,}"
            raise Truncated(f"Archiving s3://{self.stored.bucket}/{self.stored.key}", cause, hint="It stays where it is.")
        self._delete(found)
        return True

    def _found(self) -> Stored | None:
        """The copy that an earlier try has made."""
        copy = self.buckets.head(self.stored.bucket, self.key)
        is_ours = copy is not None and copy.metadata.get(RUN) == self.metadata[RUN] and copy.size == self.stored.size
        return copy if is_ours else None

    def _copied(self) -> bool:
        try:
            copy = self.buckets.copy(self.stored, self.stored.bucket, self.key, metadata=self.metadata)
        except (Changed, NotFound):
            return False
        self._tell_left_out(copy.metadata)
        return True

    def _uploaded(self) -> bool:
        if self.local is None or not self.local.exists():
            return False
        metadata = together(self.stored.metadata, self.metadata)
        self.buckets.upload(self.local, self.stored.bucket, self.key, metadata=metadata)
        self._tell_left_out(metadata)
        return True

    def _tell_left_out(self, metadata: Mapping[str, str]) -> None:
        if lost := sorted(set(self.stored.metadata) - {name.lower() for name in metadata}):
            told = f"s3://{self.stored.bucket}/{self.stored.key} is in the archive without its own metadata ({', '.join(lost)})"
            self.sink(Noticed(f"{told}: together with those of its run they are more than the {METADATA_BYTES:,} bytes of S3."))

    def _delete(self, found: Stored | None) -> None:
        """`found` is the copy where it had been there before."""
        old = self.stored
        try:
            if old.version is not None:
                self.buckets.delete(old.bucket, old.key, version=old.version)
            elif self._is_at_its_key(found):
                self.buckets.delete(old.bucket, old.key, etag=old.etag)
        except (Changed, NotFound):  # a newer object is under the key, or none at all
            return

    def _is_at_its_key(self, found: Stored | None) -> bool:
        """Whether what is under the key is what was read: the same bytes may have been put there again since, and have an event.

        S3 tells instants in whole seconds, and has no condition on them: what is put there in the same second, or between this
        look and the deletion, cannot be told from it without versions.
        Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html (of If-Match), read November 2026.
        """
        there = self.buckets.head(self.stored.bucket, self.stored.key)
        if there is None or there.modified is None:
            return there is not None
        if found is not None and found.modified is not None and there.modified > found.modified:
            return False
        return self.stored.modified in {None, there.modified}


def archived_elsewhere(
    buckets: Buckets, bucket: str, *, near: str, source: str, version: str | None, job: str
) -> tuple[Stored | None, Stored | None]:
    """The copies that tell of the newest landing of what was at this place, in this version (None: any), under names that begin
    with `near`: one that this job made, and one that another has made.
    """
    mine: Stored | None = None
    others: Stored | None = None
    for one in buckets.each(bucket, near):
        told = buckets.head(bucket, one.key)
        if told is None or told.metadata.get(SOURCE) != source or version not in {None, told.metadata.get(VERSION)}:
            continue
        if told.metadata.get(JOB) == job_mark(job):
            mine = _newer(mine, told)
        else:
            others = _newer(others, told)
    return mine, others


def _newer(one: Stored | None, other: Stored) -> Stored:
    return other if one is None or landed_at(other) > landed_at(one) else one


def landed_at(copy: Stored) -> datetime:
    """The instant at which what was copied landed, as far as the copy says it, else that of the copy."""
    told = copy.metadata.get(LANDED)
    return datetime.fromisoformat(told) if told else copy.modified or datetime.fromtimestamp(0, UTC)
