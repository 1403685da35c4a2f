"""Keys of a bucket: names made of others, which no other run makes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import PurePath, PurePosixPath

ARCHIVE = "archive"
_UNIQUE_DIGITS = 8  # beside the second: two of four billion


def unique_stamp() -> str:
    """A text for a name: the second in UTC, and what tells it from every other of that second."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:_UNIQUE_DIGITS]}"


def timestamp_s3_key(s3_key: str, keep_folder: bool = False, timestamp: str | None = None) -> str:  # noqa: FBT001, FBT002
    """The key with `-timestamp` before its ending (None: one that no other call gives), its folder dropped unless it is kept."""
    name = PurePosixPath(get_filename_from_s3_key(s3_key))
    stamped = f"{name.stem}-{timestamp or unique_stamp()}{name.suffix}"
    prefix = get_prefix_from_s3_key(s3_key)
    return f"{prefix}/{stamped}" if keep_folder and prefix else stamped


def get_filename_from_s3_key(s3_key: str) -> str:
    """What is behind the last slash."""
    return s3_key.rpartition("/")[2]


def get_prefix_from_s3_key(s3_key: str) -> str:
    """What is before the last slash."""
    return s3_key.rpartition("/")[0]


def build_archive_s3_key(
    s3_key: str,
    nested_prefix: str | PurePath | None = None,
    replace: bool = False,  # noqa: FBT001, FBT002 - the documented signature
) -> str:
    """`archive/<folder>/<nested_prefix>/<file>` for the key `<folder>/<file>`; with `replace` without the folder."""
    folder = [] if replace or "/" not in s3_key else [get_prefix_from_s3_key(s3_key)]
    nested = [part for part in PurePosixPath(nested_prefix or "").parts if part != "/"]
    return "/".join([ARCHIVE, *folder, *nested, get_filename_from_s3_key(s3_key)])
