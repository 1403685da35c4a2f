"""Step Functions: payloads too large to travel between steps, kept in S3 and passed by key.

A state's input and output hold at most 256 KiB.
Source: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html, read November 2026.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import PurePath

from halocline import registry
from halocline.buckets import Buckets
from halocline.errors import FixConfig, NotFound

_JSON = "application/json"


def cache_data_in_s3(
    data: object,
    bucket_name: str,
    s3_key: PurePath | str | None = None,
    *,
    buckets: Buckets | None = None,
) -> str:
    """Keep `data` as JSON in a bucket, and say under which key: `s3_key`, or one that nothing else ever has.

    Raises: FixConfig for what JSON cannot hold; what the bucket raises.
    """
    key = _text(s3_key or "") or f"data-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex}.json"
    doing = f"Keeping a payload as s3://{bucket_name}/{key}"
    try:
        body = json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise FixConfig(doing, f"it is no JSON ({error})", hint="Dates and Decimals go as texts.") from error
    stored = (buckets or registry.open_buckets()).put(body, bucket_name, key, content_type=_JSON, if_new=s3_key is None)
    if not stored:
        raise FixConfig(doing, "there is an object of that name, with other bytes")
    return key


def pull_cached_data_from_s3(
    bucket_name: str,
    s3_key: PurePath | str,
    delete: bool = False,  # noqa: FBT001, FBT002 - the documented signature
    *,
    buckets: Buckets | None = None,
) -> object:
    """The data kept under that key. With `delete` it is gone then, for a retry of the same step too: prefer a lifecycle rule.

    Raises: NotFound; FixConfig for an object that is no JSON; what the bucket raises.
    """
    store, key = buckets or registry.open_buckets(), _text(s3_key)
    doing = f"Fetching the payload s3://{bucket_name}/{key}"
    try:
        body = store.read(bucket_name, key)
    except NotFound as error:
        hint = "A step that ran before with delete=True has taken it."
        raise NotFound(doing, error.cause, hint=hint, code=error.code) from error
    try:
        data: object = json.loads(body)
    except ValueError as error:
        raise FixConfig(doing, f"it is no JSON ({error})") from error
    if delete:
        store.delete(bucket_name, key)
    return data


def _text(s3_key: PurePath | str) -> str:
    return s3_key if isinstance(s3_key, str) else s3_key.as_posix()
