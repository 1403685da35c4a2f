"""The buckets of an account."""

from __future__ import annotations

import re
from collections.abc import Iterator

from halocline.testing.aws.bucket import Bucket
from halocline.testing.aws.clock import Clock
from halocline.testing.aws.errors import AWSError

_NAME = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class Buckets:
    """Buckets by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def create(self, name: str, *, region: str) -> Bucket:
        """A new bucket. Asked again in us-east-1 it is the one that is there.
        Source: Amazon S3 API Reference, CreateBucket, BucketAlreadyOwnedByYou.
        Raises: AWSError (InvalidBucketName, BucketAlreadyOwnedByYou).
        """
        if not _NAME.fullmatch(name):
            raise _with(AWSError("InvalidBucketName", "The specified bucket is not valid."), name)
        if found := self._buckets.get(name):
            if found.region == region == "us-east-1":
                return found
            why = "Your previous request to create the named bucket succeeded and you already own it."
            raise _with(AWSError("BucketAlreadyOwnedByYou", why, status=409), name)
        self._buckets[name] = made = Bucket(name, region=region, created=self._clock.now())
        return made

    def get(self, name: str) -> Bucket:
        """The bucket of a name.
        Raises: AWSError (NoSuchBucket).
        """
        found = self._buckets.get(name)
        if found is None:
            raise _with(AWSError("NoSuchBucket", "The specified bucket does not exist", status=404), name)
        return found

    def delete(self, bucket: Bucket) -> None:
        """Delete a bucket.
        Raises: AWSError (BucketNotEmpty) while it holds an object, a version or a delete marker.
        """
        if not bucket.is_empty:
            why = "The bucket you tried to delete is not empty"
            raise _with(AWSError("BucketNotEmpty", why, status=409), bucket.name)
        del self._buckets[bucket.name]

    def __iter__(self) -> Iterator[Bucket]:
        return iter(sorted(self._buckets.values(), key=lambda bucket: bucket.name))


def _with(error: AWSError, name: str) -> AWSError:
    error.facts["BucketName"] = name
    return error
