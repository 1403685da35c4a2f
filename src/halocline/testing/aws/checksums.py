"""Checksums that clients send along: those that Python can make are checked, the others (CRC32C, CRC64NVME) only kept."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence

from halocline.testing.aws.body import Body
from halocline.testing.aws.errors import AWSError

PREFIX = "x-amz-checksum-"
_NAMES = ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")


def given(headers: Mapping[str, str], body: Body) -> dict[str, str]:
    """The checksums that came with a body, by header name.
    Raises: AWSError (BadDigest, XAmzContentSHA256Mismatch, InvalidDigest) where one does not fit it.
    """
    _check_md5(headers.get("content-md5"), body)
    sent = headers.get("x-amz-content-sha256", "")
    if len(sent) == 64 and body.hashed("sha256").hex() != sent:
        raise AWSError(
            "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."
        )
    found = {f"{PREFIX}{name}": headers[f"{PREFIX}{name}"] for name in _NAMES if f"{PREFIX}{name}" in headers}
    for header, value in found.items():
        name = header.removeprefix(PREFIX)
        made = computed(name, body)
        if made is not None and made != value:
            raise AWSError("BadDigest", f"The {name.upper()} you specified did not match the calculated checksum.")
    return found


def computed(name: str, body: Body) -> str | None:
    """The checksum of a body by an algorithm in small letters; None for one that Python does not have."""
    if name == "crc32":
        return b64encode(body.crc32.to_bytes(4, "big")).decode()
    return b64encode(body.hashed(name)).decode() if name in ("sha1", "sha256") else None


def composite(name: str, parts: Sequence[str]) -> str | None:
    """The checksum of the parts' checksums, as S3 tells of an object that came in parts.
    Source: Amazon S3 User Guide, "Checking object integrity", composite checksums.
    """
    made = computed(name, Body.of(b"".join(b64decode(one) for one in parts)))
    return None if made is None else f"{made}-{len(parts)}"


def _check_md5(sent: str | None, body: Body) -> None:
    if sent is None:
        return
    try:
        wanted = b64decode(sent, validate=True).hex()
    except ValueError as reason:
        raise AWSError("InvalidDigest", "The Content-MD5 you specified was invalid.") from reason
    if wanted != body.md5:
        raise AWSError("BadDigest", "The Content-MD5 you specified did not match what we received.")
