"""See `halocline.consume.aws.step_functions`, whose bucket is called `bucket` here."""

from __future__ import annotations

from pathlib import PurePath

from halocline.consume.aws import step_functions

__all__ = ["cache_data_in_s3", "pull_cached_data_from_s3"]


def cache_data_in_s3(data: object, bucket: str, s3_key: PurePath | str | None = None) -> str:
    """Keep `data` as JSON in a bucket, and say under which key. Raises: as the function there."""
    return step_functions.cache_data_in_s3(data, bucket, s3_key)


def pull_cached_data_from_s3(bucket: str, s3_key: PurePath | str, delete: bool = False) -> object:
    """The data kept under that key; with `delete` it is gone then. Raises: as the function there."""
    return step_functions.pull_cached_data_from_s3(bucket, s3_key, delete)
