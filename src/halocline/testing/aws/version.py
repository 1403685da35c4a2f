"""A version of an object: what its bucket keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

from halocline.testing.aws.body import Body

NULL = "null"  # the id of a version that was made while the bucket kept none


@dataclass(frozen=True, slots=True)
class Version:
    """One version; `headers` are told as they were given (Content-Type and the like), `checksums` by header name."""

    key: str
    body: Body
    etag: str
    modified: float
    id: str = NULL
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    checksum_type: str = "FULL_OBJECT"
    tags: Mapping[str, str] = field(default_factory=dict)
    part_sizes: tuple[int, ...] = ()
    is_marker: bool = False

    @property
    def size(self) -> int:
        return self.body.size

    @property
    def storage_class(self) -> str:
        return self.headers.get("x-amz-storage-class", "STANDARD")


def iso(moment: float) -> str:
    """A moment as XML has it."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def http_date(moment: float) -> str:
    """A moment as headers have it, in whole seconds."""
    return format_datetime(datetime.fromtimestamp(int(moment), UTC), usegmt=True)
