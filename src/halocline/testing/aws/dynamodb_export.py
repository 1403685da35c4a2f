"""Exports: a table of a past moment, or what changed between two, as files in a bucket.

Source: "DynamoDB table export output format",
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html. That keys in manifests are whole, with
the prefix, is what readers in public repositories take them for (the page's example has a prefix and does not show it); what a
`.checksum` file holds, and the words of refusals, are unverified.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from halocline.testing.aws.body import Body
from halocline.testing.aws.bucket import Bucket
from halocline.testing.aws.buckets import Buckets
from halocline.testing.aws.clock import Clock
from halocline.testing.aws.dynamodb_reply import encoded, refused
from halocline.testing.aws.dynamodb_table import Past, Table
from halocline.testing.aws.dynamodb_tables import Params, Result, Tables
from halocline.testing.aws.errors import AWSError
from halocline.testing.aws.queues import ACCOUNT
from halocline.testing.aws.version import Version

PARTITIONS = 4  # data files of an export, each for a share of the hashes; some of small tables are empty
_LEAST_S, _MOST_S = 15 * 60.0, 24 * 3600.0  # Source: "ExportTableToPointInTime" in the developer guide, incremental exports
_FULL, _INCREMENTAL = "FULL_EXPORT", "INCREMENTAL_EXPORT"
_VIEWS = ("NEW_AND_OLD_IMAGES", "NEW_IMAGE")


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of an export, by partition, and the bytes of what they tell."""

    parts: tuple[list[bytes], ...]
    size: int

    @property
    def count(self) -> int:
        return sum(len(part) for part in self.parts)


class Exports:
    """The exports of an account: what is asked for is done at once, and told as IN_PROGRESS by who did it only."""

    def __init__(self, tables: Tables, buckets: Buckets, *, clock: Clock) -> None:
        self._tables = tables
        self._buckets = buckets
        self._clock = clock
        self._exports: dict[str, Result] = {}
        self._tokens: dict[str, str] = {}

    def begin(self, params: Params, _region: str) -> Result:
        """ExportTableToPointInTime."""
        table = self._tables.by_arn(params.get("TableArn"))
        if table.history_since is None:
            why = f"Point in time recovery is not enabled for table '{table.name}'"
            raise AWSError("PointInTimeRecoveryUnavailableException", why)
        token = str(params.get("ClientToken") or "")
        if token in self._tokens:
            return {"ExportDescription": self._exports[self._tokens[token]]}
        if params.get("ExportFormat", "DYNAMODB_JSON") != "DYNAMODB_JSON":
            raise refused("Of the export formats only DYNAMODB_JSON is part of this test server.")
        now = self._clock.now()
        arn = f"{table.arn}/export/{int(now * 1000):014d}-{secrets.token_hex(4)}"
        told = {**_described(params, table, arn=arn, now=now), "ExportStatus": "IN_PROGRESS"}
        lines = self._lines(table, told, now=now)
        self._exports[arn] = self._written(told, lines)
        if token:
            self._tokens[token] = arn
        return {"ExportDescription": told}

    def describe(self, params: Params, _region: str) -> Result:
        """DescribeExport."""
        found = self._exports.get(str(params.get("ExportArn")))
        if found is None:
            raise AWSError("ExportNotFoundException", f"Export not found: {params.get('ExportArn')}")
        return {"ExportDescription": found}

    def list(self, params: Params, _region: str) -> Result:
        """ListExports."""
        wanted = params.get("TableArn")
        told = ("ExportArn", "ExportStatus", "ExportType")
        found = [one for one in self._exports.values() if wanted in (None, one["TableArn"])]
        return {"ExportSummaries": [{name: one[name] for name in told} for one in found]}

    def _lines(self, table: Table, told: Result, *, now: float) -> _Lines:
        if told["ExportType"] == _INCREMENTAL:
            return _changes(table, told["IncrementalExportSpecification"])
        moment = told["ExportTime"]
        if not (table.history_since or 0.0) <= moment <= now:
            raise AWSError(
                "InvalidExportTimeException", "The specified ExportTime is outside of the point in time recovery window."
            )
        return _state(table, moment)

    def _written(self, told: Result, lines: _Lines) -> Result:
        """What becomes of an export once its files are in the bucket."""
        try:
            bucket = self._buckets.get(told["S3Bucket"])
        except AWSError as error:
            return {**told, "ExportStatus": "FAILED", "FailureCode": "S3NoSuchBucket", "FailureMessage": error.message}
        now = self._clock.now()

        def put(key: str, data: bytes) -> None:
            _put(bucket, key, data=data, now=now)

        told = {**told, "ItemCount": lines.count, "BilledSizeBytes": lines.size, "EndTime": now, "ExportStatus": "COMPLETED"}
        manifest = _write(told, lines, put=put)
        return {**told, "ExportManifest": manifest}


def _described(params: Params, table: Table, *, arn: str, now: float) -> Result:
    kind = params.get("ExportType") or _FULL
    told: Result = {
        "ExportArn": arn,
        "StartTime": now,
        "TableArn": table.arn,
        "TableId": table.id,
        "ExportTime": float(params.get("ExportTime") or now),
        "S3Bucket": str(params.get("S3Bucket")),
        "S3BucketOwner": ACCOUNT,
        "S3SseAlgorithm": str(params.get("S3SseAlgorithm") or "AES256"),
        "ExportFormat": "DYNAMODB_JSON",
        "ExportType": kind,
    }
    if params.get("S3Prefix"):
        told["S3Prefix"] = str(params["S3Prefix"])
    if params.get("ClientToken"):
        told["ClientToken"] = params["ClientToken"]
    if kind == _INCREMENTAL:
        told["IncrementalExportSpecification"] = _window(params.get("IncrementalExportSpecification") or {}, now)
    return told


def _window(wanted: Params, now: float) -> Result:
    if wanted.get("ExportFromTime") is None:
        raise refused("ExportFromTime is required for an incremental export")
    start, end = float(wanted["ExportFromTime"]), float(wanted.get("ExportToTime") or now)
    if not _LEAST_S <= end - start <= _MOST_S:
        short = end - start < _LEAST_S
        bound = "less than 15 minutes" if short else "greater than 24 hours"
        raise refused(f"Difference between export period from time and export period to time is {bound}")
    view = str(wanted.get("ExportViewType") or _VIEWS[0])
    if view not in _VIEWS:
        raise refused(f"ExportViewType is one of {', '.join(_VIEWS)}")
    return {"ExportFromTime": start, "ExportToTime": end, "ExportViewType": view}


def _state(table: Table, moment: float) -> _Lines:
    """The items of a past moment: those of now, with what was written since taken back."""
    items = dict(iter(table.shelf))
    for past in reversed(table.history):
        if past.at <= moment:
            break
        if past.before is None:
            items.pop(past.place, None)
        else:
            items[past.place] = past.before
    return _parted((place, b'{"Item":' + items[place] + b"}") for place in sorted(items))


def _changes(table: Table, window: Result) -> _Lines:
    """Each item that changed from one moment on and before another: as it was, and as it is at the end."""
    start, end = window["ExportFromTime"], window["ExportToTime"]
    if start < (table.history_since or 0.0):
        raise AWSError("InvalidExportTimeException", "The specified ExportFromTime is before point in time recovery was enabled.")
    first: dict[bytes, Past] = {}
    last: dict[bytes, Past] = {}
    for past in table.history:
        if start <= past.at < end:
            first.setdefault(past.place, past)
            last[past.place] = past
    has_old = window["ExportViewType"] == _VIEWS[0]
    found = ((place, _change(table, first[place], last[place], has_old=has_old)) for place in sorted(last))
    return _parted((place, line) for place, line in found if line)


def _change(table: Table, first: Past, last: Past, *, has_old: bool) -> bytes:
    """One line; none for an item that was not there before and is not there after."""
    if first.before is None and last.after is None:
        return b""
    key = table.key.of(json.loads(last.after or first.before or b"{}"))
    told: Result = {"Metadata": {"WriteTimestampMicros": {"N": str(int(last.at * 1_000_000))}}, "Keys": key}
    if has_old and first.before is not None:
        told["OldImage"] = json.loads(first.before)
    if last.after is not None:
        told["NewImage"] = json.loads(last.after)
    return encoded(told)


def _parted(lines: Iterable[tuple[bytes, bytes]]) -> _Lines:
    parts: tuple[list[bytes], ...] = tuple([] for _ in range(PARTITIONS))
    size = 0
    for place, line in lines:
        parts[place[0] * PARTITIONS // 256].append(line)
        size += len(line)
    return _Lines(parts, size)


# ---- files


def _write(told: Result, lines: _Lines, *, put: Callable[[str, bytes], None]) -> str:
    """Write the files of an export; the key of its summary, which comes last."""
    base = f"{told['S3Prefix']}/AWSDynamoDB" if "S3Prefix" in told else "AWSDynamoDB"
    folder = f"{base}/{told['ExportArn'].rpartition('/')[2]}"
    is_full = told["ExportType"] == _FULL
    put(f"{folder}/_started", b"")
    files: list[bytes] = []
    for part in lines.parts:
        key = f"{folder if is_full else base}/data/{secrets.token_hex(13)}.json.gz"
        data = gzip.compress(b"".join(line + b"\n" for line in part), mtime=0)
        put(key, data)
        digest = hashlib.md5(data, usedforsecurity=False)
        files.append(
            encoded(
                {
                    "itemCount": len(part),
                    "md5Checksum": b64encode(digest.digest()).decode(),
                    "etag": digest.hexdigest(),
                    "dataFileS3Key": key,
                }
            )
        )
    _with_checksum(f"{folder}/manifest-files", b"\n".join(files) + b"\n", put=put)
    _with_checksum(f"{folder}/manifest-summary", encoded(_summary(told, f"{folder}/manifest-files.json")), put=put)
    return f"{folder}/manifest-summary.json"


def _with_checksum(name: str, data: bytes, *, put: Callable[[str, bytes], None]) -> None:
    put(f"{name}.json", data)
    put(f"{name}.checksum", b64encode(hashlib.md5(data, usedforsecurity=False).digest()))


def _summary(told: Result, files: str) -> Result:
    made: Result = {
        "version": "2020-06-30" if told["ExportType"] == _FULL else "2023-08-01",
        "exportArn": told["ExportArn"],
        "startTime": _iso(told["StartTime"]),
        "endTime": _iso(told["EndTime"]),
        "tableArn": told["TableArn"],
        "tableId": told["TableId"],
        "exportTime": _iso(told["ExportTime"]),
        "s3Bucket": told["S3Bucket"],
        "s3Prefix": told.get("S3Prefix"),
        "s3SseAlgorithm": told["S3SseAlgorithm"],
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": files,
        "billedSizeBytes": told["BilledSizeBytes"],
        "itemCount": told["ItemCount"],
        "outputFormat": told["ExportFormat"],
    }
    if told["ExportType"] == _FULL:
        return made
    del made["exportTime"]
    window = told["IncrementalExportSpecification"]
    times = {"exportFromTime": _iso(window["ExportFromTime"]), "exportToTime": _iso(window["ExportToTime"])}
    return {**made, **times, "outputView": window["ExportViewType"], "exportType": _INCREMENTAL}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _put(bucket: Bucket, key: str, *, data: bytes, now: float) -> None:
    body = Body.of(data)
    bucket.put(Version(key, body, body.md5, now, headers={"Content-Type": "application/octet-stream"}))
