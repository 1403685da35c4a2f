"""Lists of a bucket: objects (two versions of the call), versions, uploads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from halocline.testing.aws.bucket import Bucket
from halocline.testing.aws.errors import AWSError
from halocline.testing.aws.notifications import OWNER
from halocline.testing.aws.version import Version, iso

MOST = 1000  # Source: Amazon S3 API Reference, ListObjectsV2, `max-keys`
_OWNER = {"ID": OWNER, "DisplayName": "owner"}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What every list takes."""

    prefix: str
    delimiter: str
    most: int
    is_coded: bool

    @classmethod
    def of(cls, query: Mapping[str, str], *, most: str = "max-keys") -> _Asked:
        number = query.get(most, str(MOST))
        if not number.isdecimal():
            raise AWSError("InvalidArgument", f"Provided {most} not an integer or within integer range")
        coded = query.get("encoding-type") == "url"
        return cls(query.get("prefix", ""), query.get("delimiter", ""), min(int(number), MOST), coded)

    def text(self, value: str) -> str:
        return quote(value, safe="/") if self.is_coded else value

    def folder(self, key: str) -> str | None:
        """The common prefix that stands for a key, if there is one."""
        end = key.find(self.delimiter, len(self.prefix)) if self.delimiter else -1
        return key[: end + len(self.delimiter)] if end >= 0 else None

    def told(self, bucket: Bucket) -> dict[str, Any]:
        told: dict[str, Any] = {"Name": bucket.name, "Prefix": self.text(self.prefix)}
        told |= {"Delimiter": self.text(self.delimiter)} if self.delimiter else {}
        return told | ({"EncodingType": "url"} if self.is_coded else {})


def _found(bucket: Bucket, asked: _Asked, after: str) -> Iterator[str | Version]:
    """Objects and common prefixes in order, behind `after`, which is a key or a common prefix."""
    last = asked.folder(after) if after.startswith(asked.prefix) else None
    last = last if last == after else None
    for key in bucket.keys(asked.prefix, after=after):
        version = bucket.current(key)
        if version is None or (last is not None and key.startswith(last)):
            continue
        folder = asked.folder(key)
        if folder is None:
            yield version
        elif folder != last:
            last = folder
            yield folder


def _page(bucket: Bucket, asked: _Asked, after: str) -> tuple[list[str | Version], str | None]:
    """One page, and where the next begins if there is one."""
    page: list[str | Version] = []
    for one in _found(bucket, asked, after) if asked.most else ():
        if len(page) == asked.most:
            last = page[-1]
            return page, last if isinstance(last, str) else last.key
        page.append(one)
    return page, None


def _contents(page: list[str | Version], asked: _Asked, *, owned: bool) -> dict[str, Any]:
    objects = [_object(one, asked) | ({"Owner": _OWNER} if owned else {}) for one in page if isinstance(one, Version)]
    folders = [{"Prefix": asked.text(one)} for one in page if isinstance(one, str)]
    return {"Contents": objects, "CommonPrefixes": folders}


def _object(version: Version, asked: _Asked) -> dict[str, Any]:
    told: dict[str, Any] = {"Key": asked.text(version.key), "LastModified": iso(version.modified), "ETag": f'"{version.etag}"'}
    for header in version.checksums:
        told["ChecksumAlgorithm"] = header.rpartition("-")[2].upper()
        told["ChecksumType"] = version.checksum_type
    return told | {"Size": version.size, "StorageClass": version.storage_class}


def objects_v2(bucket: Bucket, query: Mapping[str, str]) -> dict[str, Any]:
    """ListObjectsV2."""
    asked = _Asked.of(query)
    token = query.get("continuation-token")
    after = _from_token(token) if token is not None else query.get("start-after", "")
    page, more = _page(bucket, asked, after)
    told = asked.told(bucket) | {"MaxKeys": asked.most, "KeyCount": len(page), "IsTruncated": more is not None}
    told |= {"ContinuationToken": token} if token is not None else {}
    told |= {"StartAfter": asked.text(query["start-after"])} if query.get("start-after") else {}
    told |= {"NextContinuationToken": _token(more)} if more is not None else {}
    return told | _contents(page, asked, owned=query.get("fetch-owner") == "true")


def objects(bucket: Bucket, query: Mapping[str, str]) -> dict[str, Any]:
    """ListObjects, as old clients ask."""
    asked = _Asked.of(query)
    page, more = _page(bucket, asked, query.get("marker", ""))
    told = asked.told(bucket) | {
        "Marker": asked.text(query.get("marker", "")),
        "MaxKeys": asked.most,
        "IsTruncated": more is not None,
    }
    told |= {"NextMarker": asked.text(more)} if more is not None and asked.delimiter else {}
    return told | _contents(page, asked, owned=True)


def versions(bucket: Bucket, query: Mapping[str, str]) -> dict[str, Any]:
    """ListObjectVersions; the newest version of a key comes first."""
    asked = _Asked.of(query)
    marker, id_marker = query.get("key-marker", ""), query.get("version-id-marker", "")
    told = asked.told(bucket) | {"KeyMarker": asked.text(marker), "VersionIdMarker": id_marker, "MaxKeys": asked.most}
    found: dict[str, list[dict[str, Any]]] = {"Version": [], "DeleteMarker": []}
    folders: list[str] = []
    last: Version | None = None
    for version in _versions(bucket, asked, marker, id_marker=id_marker):
        folder = asked.folder(version.key)
        if folder is not None:
            folders += [] if folder in folders else [folder]
            continue
        if sum(map(len, found.values())) == asked.most and last is not None:
            told |= {"NextKeyMarker": asked.text(last.key), "NextVersionIdMarker": last.id}
            break
        found["DeleteMarker" if version.is_marker else "Version"].append(_version(bucket, version, asked))
        last = version
    told["IsTruncated"] = "NextKeyMarker" in told
    return told | found | {"CommonPrefixes": [{"Prefix": asked.text(one)} for one in folders]}


def _versions(bucket: Bucket, asked: _Asked, marker: str, *, id_marker: str) -> Iterator[Version]:
    if id_marker and marker.startswith(asked.prefix):
        rest = iter(bucket.versions(marker))
        for version in rest:
            if version.id == id_marker:
                break
        yield from rest
    for key in bucket.keys(asked.prefix, after=marker):
        yield from bucket.versions(key)


def _version(bucket: Bucket, version: Version, asked: _Asked) -> dict[str, Any]:
    newest = bucket.newest(version.key)
    told = {"VersionId": version.id, "IsLatest": newest is not None and newest.id == version.id, "Owner": _OWNER}
    if version.is_marker:
        return {"Key": asked.text(version.key), "LastModified": iso(version.modified), **told}
    return {**_object(version, asked), **told}


def uploads(bucket: Bucket, query: Mapping[str, str]) -> dict[str, Any]:
    """ListMultipartUploads."""
    asked = _Asked.of(query, most="max-uploads")
    after = (query.get("key-marker", ""), query.get("upload-id-marker", ""))
    ordered = sorted(
        (one for one in bucket.uploads.values() if one.like.key.startswith(asked.prefix)), key=lambda one: (one.like.key, one.id)
    )
    behind = [one for one in ordered if (one.like.key, one.id) > after and (after[1] or one.like.key > after[0])]
    page = behind[: asked.most]
    told = {
        "Bucket": bucket.name,
        "KeyMarker": asked.text(after[0]),
        "UploadIdMarker": after[1],
        "Prefix": asked.text(asked.prefix),
    }
    more: dict[str, Any] = {"MaxUploads": asked.most, "IsTruncated": len(behind) > len(page)}
    if len(behind) > len(page):
        more |= {"NextKeyMarker": asked.text(page[-1].like.key), "NextUploadIdMarker": page[-1].id}
    more |= {"EncodingType": "url"} if asked.is_coded else {}
    found = [
        {"Key": asked.text(one.like.key), "UploadId": one.id, "Initiated": iso(one.started), "Owner": _OWNER} for one in page
    ]
    return told | more | {"Upload": found}


def _token(key: str) -> str:
    return key.encode().hex()


def _from_token(token: str) -> str:
    try:
        return bytes.fromhex(token).decode()
    except ValueError as reason:
        raise AWSError("InvalidArgument", "The continuation token provided is incorrect") from reason
