"""Conditions of reads, writes, deletes and copies.

Source: Amazon S3 User Guide, "Conditional requests": https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from halocline.testing.aws.errors import AWSError
from halocline.testing.aws.version import Version


def check_write(headers: Mapping[str, str], current: Version | None) -> None:
    """Raises: AWSError (PreconditionFailed, NoSuchKey, NotImplemented)."""
    if (none := headers.get("if-none-match")) is not None:
        if none != "*":
            raise AWSError("NotImplemented", "A header you provided implies functionality that is not implemented", status=501)
        if current is not None:
            raise _failed("If-None-Match")
    if (wanted := headers.get("if-match")) is not None:
        if current is None:
            raise AWSError("NoSuchKey", "The specified key does not exist.", status=404)
        if not _is(wanted, current):
            raise _failed("If-Match")


def check_delete(wanted: str | None, current: Version | None) -> None:
    """An ETag, or `*` for any object; what S3 answers to an ETag where there is no object is unverified.

    Source: Amazon S3 User Guide, "How to perform conditional deletes".
    Raises: AWSError (PreconditionFailed).
    """
    if wanted is not None and (current is None or not _is(wanted, current)):
        raise _failed("If-Match")


def check_read(headers: Mapping[str, str], version: Version, *, prefix: str = "") -> bool:
    """Whether the object is to be sent; False where the reader has it already.

    `prefix` is that of a copy's conditions on its source, where both kinds refuse.
    Raises: AWSError (PreconditionFailed).
    """
    wanted, none = headers.get(f"{prefix}if-match"), headers.get(f"{prefix}if-none-match")
    before, since = headers.get(f"{prefix}if-unmodified-since"), headers.get(f"{prefix}if-modified-since")
    if wanted is not None:
        if not _is(wanted, version):
            raise _failed(f"{prefix}If-Match")
    elif before is not None and int(version.modified) > parsedate_to_datetime(before).timestamp():
        raise _failed(f"{prefix}If-Unmodified-Since")
    if none is not None:
        has_it = _is(none, version)
    else:
        has_it = since is not None and int(version.modified) <= parsedate_to_datetime(since).timestamp()
    if has_it and prefix:
        raise _failed(f"{prefix}If-None-Match")
    return not has_it


def _is(wanted: str, version: Version) -> bool:
    return any(one.strip() == "*" or one.strip().strip('"') == version.etag for one in wanted.split(","))


def _failed(condition: str) -> AWSError:
    error = AWSError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", status=412)
    error.facts["Condition"] = condition
    return error
