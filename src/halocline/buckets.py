"""Buckets: whole objects under keys, as Amazon S3 keeps them; what those who work on files need of such a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

METADATA_BYTES = 2_048
"""Of the names and values of an object's own metadata together.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html, read November 2026. Whether the prefix of the
headers counts it does not say; here it does.
"""
_PREFIX_BYTES = len("x-amz-meta-")


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it was at one moment: `size` in bytes, `etag` without quotes, `version` where the bucket keeps versions.

    `metadata` are the user's own pairs, names in lower case.
    """

    bucket: str
    key: str
    size: int
    etag: str
    version: str | None = None
    modified: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


class Buckets(Protocol):
    """A store of objects. Every method may be repeated after a lost reply without harm.

    Where `etag` is given, the object must still be the one that had it: Raises: Changed. Where `version` is given, that version.
    All methods raise: AccessDenied, LoginRefused, NetworkFailed, NotFound for a bucket or object that is not there.
    """

    def head(self, bucket: str, key: str, *, version: str | None = None) -> Stored | None:
        """What the object is, or None where there is none."""

    def download(self, bucket: str, key: str, path: Path, *, version: str | None = None, etag: str | None = None) -> Stored:
        """Bring the object into a file, which appears whole or not at all; memory stays flat."""

    def read(self, bucket: str, key: str, *, version: str | None = None) -> bytes:
        """What a small object holds."""

    def upload(
        self,
        path: Path,
        bucket: str,
        key: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        public: bool = False,
    ) -> Stored:
        """Make an object of a file, in parts where it is large; it appears whole."""

    def put(self, data: bytes, bucket: str, key: str, *, content_type: str | None = None, if_new: bool = False) -> bool:
        """Make an object; with `if_new`, False where there is one of this name that holds something else."""

    def copy(self, old: Stored, bucket: str, key: str, *, metadata: Mapping[str, str] | None = None) -> Stored:
        """Copy exactly that object, of any size; `metadata` is added to its own, as `together` has it."""

    def delete(self, bucket: str, key: str, *, version: str | None = None, etag: str | None = None) -> None:
        """Delete the object; where there is none, nothing is done."""

    def each(self, bucket: str, prefix: str = "") -> Iterator[Stored]:
        """The objects whose keys begin with `prefix`, in the order of their keys."""

    def link(self, bucket: str, key: str, *, seconds: int) -> str:
        """An address under which anyone can read the object for so long."""


def together(own: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """The metadata of a copy: an object's own and what is added; the latter alone where both are more than a store takes."""
    pairs = {**own, **added}
    size = sum(_PREFIX_BYTES + len(name.encode()) + len(value.encode()) for name, value in pairs.items())
    return pairs if not added or size <= METADATA_BYTES else dict(added)
