"""Uploads in parts: begun, filled, completed or given up.

Source: Amazon S3 API Reference, CompleteMultipartUpload, its errors; Amazon S3 User Guide, "Amazon S3 multipart upload limits".
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from halocline.testing.aws import checksums
from halocline.testing.aws.body import Body
from halocline.testing.aws.bucket import Bucket, Part, Upload
from halocline.testing.aws.errors import AWSError
from halocline.testing.aws.markup import parse, text_of
from halocline.testing.aws.version import Version, iso

LEAST_BYTES = 5 << 20  # of every part but the last
MOST_PARTS = 10_000


def begin(bucket: Bucket, like: Version, *, headers: Mapping[str, str], now: float) -> Upload:
    """A new upload."""
    algorithm = headers.get("x-amz-checksum-algorithm")
    usual = "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
    made = Upload(secrets.token_urlsafe(48), like, now, algorithm, headers.get("x-amz-checksum-type", usual))
    bucket.uploads[made.id] = made
    return made


def find(bucket: Bucket, key: str, *, upload_id: str) -> Upload:
    """The upload of an id.
    Raises: AWSError (NoSuchUpload).
    """
    found = bucket.uploads.get(upload_id)
    if found is None or found.like.key != key:
        why = (
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
        )
        raise AWSError("NoSuchUpload", why, status=404)
    return found


def add(upload: Upload, number: str, *, body: Body, sums: Mapping[str, str], now: float) -> Part:
    """Take in a part; one of the same number is replaced.
    Raises: AWSError (InvalidArgument).
    """
    upload.parts[part_number(number)] = part = Part(body, body.md5, now, sums)
    return part


def part_number(text: str) -> int:
    """The number of a part.
    Raises: AWSError (InvalidArgument).
    """
    if not text.isdecimal() or not 1 <= int(text) <= MOST_PARTS:
        raise AWSError("InvalidArgument", f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive")
    return int(text)


def complete(upload: Upload, document: bytes, *, now: float) -> Version:
    """The object that the parts of a document make; nothing is changed yet.
    Raises: AWSError (MalformedXML, InvalidPart, InvalidPartOrder, EntityTooSmall).
    """
    parts = _chosen(upload, document)
    for part in parts[:-1]:
        if part.body.size < LEAST_BYTES:
            raise AWSError("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
    digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts), usedforsecurity=False)
    whole = Body.joined(part.body for part in parts)
    return replace(
        upload.like,
        body=whole,
        etag=f"{digest.hexdigest()}-{len(parts)}",
        modified=now,
        checksums=_checksums(upload, parts, whole=whole),
        checksum_type=upload.checksum_type,
        part_sizes=tuple(part.body.size for part in parts),
    )


def _chosen(upload: Upload, document: bytes) -> list[Part]:
    try:
        listed = [
            (int(text_of(one, "PartNumber") or ""), (text_of(one, "ETag") or "").strip('"'))
            for one in parse(document).iter("Part")
        ]
    except ValueError as reason:
        raise _malformed() from reason
    if not listed:
        raise _malformed()
    numbers = [number for number, _ in listed]
    if numbers != sorted(set(numbers)):
        raise AWSError("InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number.")
    chosen = [upload.parts.get(number) for number in numbers]
    found = [part for part, (_, etag) in zip(chosen, listed, strict=True) if part is not None and part.etag == etag]
    if len(found) < len(listed):
        why = "The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."
        raise AWSError("InvalidPart", f"One or more of the specified parts could not be found.  {why}")
    return found


def _checksums(upload: Upload, parts: list[Part], *, whole: Body) -> dict[str, str]:
    if upload.algorithm is None:
        return {}
    name = upload.algorithm.lower()
    header = f"{checksums.PREFIX}{name}"
    if upload.checksum_type == "FULL_OBJECT":
        made = checksums.computed(name, whole)
    else:
        known = [part.checksums.get(header) or checksums.computed(name, part.body) for part in parts]
        made = checksums.composite(name, [one for one in known if one is not None])
    return {} if made is None else {header: made}


def parts(bucket: Bucket, upload: Upload, *, query: Mapping[str, str]) -> dict[str, Any]:
    """ListParts."""
    most, after = min(int(query.get("max-parts", "1000")), 1000), int(query.get("part-number-marker") or 0)
    behind = [(number, upload.parts[number]) for number in sorted(upload.parts) if number > after]
    page = behind[:most]
    told: dict[str, Any] = {"Bucket": bucket.name, "Key": upload.like.key, "UploadId": upload.id, "PartNumberMarker": after}
    told |= {"NextPartNumberMarker": page[-1][0] if page else 0, "MaxParts": most, "IsTruncated": len(behind) > len(page)}
    told["Part"] = [
        {"PartNumber": number, "LastModified": iso(part.modified), "ETag": f'"{part.etag}"', "Size": part.body.size}
        for number, part in page
    ]
    return told


def _malformed() -> AWSError:
    why = "The XML you provided was not well-formed or did not validate against our published schema"
    return AWSError("MalformedXML", why)
