"""See `halocline.consume.aws.s3_events`, `halocline.s3_files` and `halocline.s3_keys`."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from halocline.consume.aws.s3_events import notices, respond_to_s3_event
from halocline.errors import FixConfig
from halocline.s3_files import delete_file, download_file, move_file, upload_file
from halocline.s3_keys import build_archive_s3_key, get_filename_from_s3_key, get_prefix_from_s3_key, timestamp_s3_key

__all__ = [
    "build_archive_s3_key",
    "build_date_divided_s3_prefix",
    "delete_file",
    "download_file",
    "get_filename_from_s3_key",
    "get_prefix_from_s3_key",
    "move_file",
    "parse_kinesis_record",
    "parse_s3_event_record",
    "respond_to_s3_event",
    "timestamp_s3_key",
    "upload_file",
]


def parse_s3_event_record(record: Mapping[str, Any]) -> tuple[str, str]:
    """Bucket and key (decoded) of one record of a notification, whatever it tells of the object.

    Raises: FixConfig for a record that names none, and for an event with several.
    """
    found = notices(record)
    if len(found) != 1:
        hint = "Give them one by one, or the event to respond_to_s3_event."
        raise FixConfig("Reading an event of S3", f"it has {len(found)} records, and not one", hint=hint)
    (notice,) = found
    if notice.where is None:
        raise notice.error or FixConfig("Reading an event of S3", "it names no object")
    return notice.where.bucket, notice.where.key


def parse_kinesis_record(record: Mapping[str, Any]) -> Any:
    """The JSON that a record of a Kinesis stream carries."""
    return json.loads(base64.b64decode(record["kinesis"]["data"]))


def build_date_divided_s3_prefix(date: date) -> Path:
    """`2022/07/05`."""
    return Path(f"{date:%Y/%m/%d}")
