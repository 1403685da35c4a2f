"""Export: what DynamoDB wrote of a table into a bucket: the table of one instant, or what changed between two.

Every file is held against the manifests before its rows count: sizes of the export, items and MD5 of each file.
Source: "DynamoDB table export output format",
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html. Whether keys in manifests have the
prefix of the export, the page shows in one way and readers in public repositories take in another: both are understood.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from halocline.connectors.aws.dynamodb.values import malformed
from halocline.errors import FixConfig, NotFound, Stop, Truncated
from halocline.quantity import quantity
from halocline.spool import storage

_SUMMARY = "manifest-summary.json"
_FILES = "manifest-files.json"
_BLOCK_BYTES = 4 << 20  # of lines that are parsed at once
_DOING = "Reading the export"


class Store(Protocol):
    """Of `halocline.buckets.Buckets`, what is needed here."""

    def read(self, bucket: str, key: str) -> bytes:
        """What a small object holds."""

    def download(self, bucket: str, key: str, path: Path) -> object:
        """Bring the object into a file."""

    def each(self, bucket: str, prefix: str = "") -> Iterator[Any]:
        """The objects whose keys begin with `prefix`."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of an export: its key, its items (of an incremental one: changes), and its MD5 as base64."""

    key: str
    items: int
    md5: str


@dataclass(frozen=True, slots=True)
class Export:
    """An export whose manifests fit together. `start` is None of a full one; it ends at (and without) `end`.

    `table_id` tells the table from one that was made anew under its name (None: the manifest does not say it).
    """

    arn: str
    table: str
    bucket: str
    start: datetime | None
    end: datetime
    items: int
    files: tuple[DataFile, ...] = field(repr=False)
    table_id: str | None = None

    @property
    def is_full(self) -> bool:
        """Whether it has all items, not only those that changed."""
        return self.start is None


def exports_below(store: Store, place: str) -> list[Export]:
    """The exports at an address `s3://bucket/prefix`: one, where it leads to its folder or summary; or all below, oldest first.

    Raises: NotFound where there is none; FixConfig for what is no such address, or another format; Truncated, Stop for manifests
    that do not fit together; what reading the bucket raises.
    """
    doing = f"{_DOING} {place}"
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    if not place.startswith("s3://") or not bucket:
        raise FixConfig(doing, "it is no address in a bucket", hint="Write s3://bucket/prefix.")
    prefix = prefix.removesuffix(_SUMMARY)
    keys = [one.key for one in store.each(bucket, prefix) if one.key.endswith(f"/{_SUMMARY}")]
    if not keys:
        hint = "Name the prefix of the export; an export that is still under way has no summary yet."
        raise NotFound(doing, f"there is no {_SUMMARY} below it", hint=hint)
    return sorted((_export(store, bucket, key) for key in keys), key=lambda one: (one.end, one.start or one.end))


def lines(path: Path, told: DataFile) -> Iterator[bytes]:
    """The lines of a downloaded file, some megabytes at a time.

    Raises: Truncated where its MD5 or its number of lines is another than was told.
    """
    doing, count, rest = f"{_DOING}, {told.key}", 0, b""
    _check_md5(path, told, doing=doing)
    with storage(doing), path.open("rb") as file:
        for block in _unpacked(file, doing=doing):
            end = block.rfind(b"\n") + 1
            whole, rest = (rest + block[:end], block[end:]) if end else (b"", rest + block)
            if whole:
                count += _lines_in(whole)
                yield whole
    if rest.strip():
        count += 1
        yield rest + b"\n"
    if count != told.items:
        raise Truncated(
            doing, f"it has {quantity(count, 'line')}, and the manifest tells of {told.items:,}", hint="Export it anew."
        )


def changes_of(block: bytes) -> list[Mapping[str, Any]]:
    """The changes on lines of an incremental export.

    Raises: Stop for what is none.
    """
    try:
        return [json.loads(line) for line in block.splitlines() if line.strip()]
    except ValueError as error:
        raise malformed(f"a line of the export is no JSON: {error}") from error


def chain(exports: list[Export], *, until: datetime | None) -> tuple[list[Export], str | None]:
    """What is to be read next: the newest full export where nothing was read, or else all incremental ones from `until` on.

    With a reason where everything is read although something was read before.
    Raises: FixConfig where the first one needed is not there.
    """
    full = next((one for one in reversed(exports) if one.is_full), None)
    found: list[Export] = []
    reached = until
    for one in exports:
        if reached is not None and one.start is not None and one.start <= reached < one.end:
            found.append(one)
            reached = one.end
    ahead = [one for one in exports if reached is not None and one.start is not None and one.start > reached]
    if until is None or ((ahead or not found) and full is not None and full.end > (reached or until)):
        if full is None:
            cause = "there are only incremental exports, and nothing was read before"
            raise FixConfig(_DOING, cause, hint="Add a full export to the prefix.")
        return [full], None if until is None else "a newer full export is there, and no unbroken chain of incremental ones to it"
    if ahead:
        cause = f"everything up to {reached:%Y-%m-%d %H:%M:%S} is read, and the next export begins at {ahead[0].start}"
        raise FixConfig(_DOING, cause, hint="Add the incremental export between the two, or a newer full one.")
    return found, None


def _export(store: Store, bucket: str, key: str) -> Export:
    folder = key.removesuffix(_SUMMARY)
    doing = f"{_DOING} s3://{bucket}/{folder}"
    summary = _checked(store, bucket, key, doing=doing)
    try:
        told = json.loads(summary)
        if told["outputFormat"] != "DYNAMODB_JSON":
            raise FixConfig(doing, f"its format is {told['outputFormat']}", hint="Export it as DYNAMODB_JSON.")
        rows = [
            json.loads(line) for line in _checked(store, bucket, f"{folder}{_FILES}", doing=doing).splitlines() if line.strip()
        ]
        prefix = folder.partition("AWSDynamoDB/")[0]
        files = tuple(DataFile(_whole_key(one["dataFileS3Key"], prefix), one["itemCount"], one["md5Checksum"]) for one in rows)
        start = told.get("exportFromTime")
        end = _instant(told["exportTime"] if start is None else told["exportToTime"])
        made = Export(
            told["exportArn"],
            told["tableArn"],
            bucket,
            None if start is None else _instant(start),
            end,
            told["itemCount"],
            files,
            told.get("tableId"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Stop(doing, f"its manifest cannot be read ({error!r})", hint="Export it anew.") from error
    if sum(one.items for one in made.files) != made.items:
        cause = (
            f"its files have {quantity(sum(one.items for one in made.files), 'item')}, and its summary tells of {made.items:,}"
        )
        raise Truncated(doing, cause, hint="Export it anew.")
    return made


def _whole_key(key: str, prefix: str) -> str:
    return key if key.startswith(prefix) else prefix + key


def _checked(store: Store, bucket: str, key: str, *, doing: str) -> bytes:
    """A manifest; where its MD5 lies beside it, it is held against that."""
    data = store.read(bucket, key)
    try:
        wanted = store.read(bucket, f"{key.removesuffix('.json')}.checksum")
    except NotFound:
        return data
    digest = hashlib.md5(data, usedforsecurity=False)
    if wanted.strip() not in (base64.b64encode(digest.digest()), digest.hexdigest().encode()):
        raise Truncated(doing, f"{key.rpartition('/')[2]} is not what its checksum says", hint="Export it anew.")
    return data


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _check_md5(path: Path, told: DataFile, *, doing: str) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with storage(doing), path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if base64.b64encode(digest.digest()).decode() != told.md5:
        raise Truncated(doing, "its MD5 is another one than the manifest tells", hint="Export it anew.")


def _unpacked(file: Any, *, doing: str) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            while block := unpacked.read(_BLOCK_BYTES):
                yield block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Truncated(doing, f"it cannot be unpacked ({error})", hint="Export it anew.") from error


def _lines_in(data: bytes) -> int:
    return sum(1 for line in data.splitlines() if line.strip())
