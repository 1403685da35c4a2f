"""See `halocline.consume.aws.step_functions`."""

from __future__ import annotations

from halocline.consume.aws.step_functions import cache_data_in_s3, pull_cached_data_from_s3

__all__ = ["cache_data_in_s3", "pull_cached_data_from_s3"]
