"""Offload: large messages as objects in S3, with a pointer in the queue, as Amazon's extended clients write and read them.

Source: "Managing large Amazon SQS messages using the Extended Client Library for Python and Amazon S3",
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/extended-client-library-python.html;
its code, https://github.com/awslabs/amazon-sqs-python-extended-client-lib, read November 2026.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field

from halocline.buckets import Buckets
from halocline.errors import FixConfig

SIZE = "ExtendedPayloadSize"
OLD_SIZE = "SQSLargePayloadSize"
"""The attribute that says that a body is a pointer; the second name is that of older clients."""
_POINTER = "software.amazon.payloadoffloading.PayloadS3Pointer"
_BUCKET_MARK = "-..s3BucketName..-"
_KEY_MARK = "-..s3Key..-"
_MARKED = re.compile(
    f"^{re.escape(_BUCKET_MARK)}(?P<bucket>.*?){re.escape(_BUCKET_MARK)}{re.escape(_KEY_MARK)}(?P<key>.*?){re.escape(_KEY_MARK)}"
    "(?P<handle>.*)$",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Pointer:
    """The object that holds a message's body."""

    bucket: str
    key: str

    @property
    def body(self) -> str:
        """What stands in the queue in place of the message."""
        return json.dumps([_POINTER, {"s3BucketName": self.bucket, "s3Key": self.key}])

    def marked(self, handle: str) -> str:
        """The handle of a message with its object, by which a later delete finds both."""
        return f"{_BUCKET_MARK}{self.bucket}{_BUCKET_MARK}{_KEY_MARK}{self.key}{_KEY_MARK}{handle}"

    @classmethod
    def read(cls, body: str) -> Pointer | None:
        """The pointer that a body is, or None."""
        try:
            name, place = json.loads(body)
            bucket, key = place["s3BucketName"], place["s3Key"]
        except (ValueError, TypeError, KeyError):
            return None
        return cls(bucket, key) if all(isinstance(one, str) for one in (name, bucket, key)) else None


def unmarked(handle: str) -> tuple[str, Pointer | None]:
    """A handle as SQS gave it, and the object that goes with it."""
    match = _MARKED.match(handle)
    return (handle, None) if match is None else (match["handle"], Pointer(match["bucket"], match["key"]))


@dataclass(frozen=True, slots=True)
class Offload:
    """Where large messages go: objects below `prefix` of `bucket`, for bodies of more than `over_bytes` with their attributes.

    A message may come from anybody who may send, and so may its pointer: it is followed to objects below `prefix`, which are
    deleted with their message, and into the buckets of `trusted`, where nothing is deleted. So nothing else should lie below
    `prefix`, or in the bucket where there is none. `keep` leaves the object when its message is deleted, where several queues got
    the same pointer.
    """

    buckets: Buckets
    bucket: str
    prefix: str = ""
    over_bytes: int = 262_144
    trusted: frozenset[str] = field(default_factory=frozenset)
    keep: bool = False

    def store(self, body: str) -> Pointer:
        """Put a body aside. An object whose message is never sent stays: let a lifecycle rule of the bucket delete old ones."""
        pointer = Pointer(self.bucket, f"{self.prefix}{uuid.uuid4()}")
        self.buckets.put(body.encode(), pointer.bucket, pointer.key, content_type="text/plain; charset=utf-8")
        return pointer

    def fetch(self, pointer: Pointer) -> str:
        """The body behind a pointer.

        Raises: FixConfig for a place that messages may not point to, or a body that is no text; NotFound; RetryLater.
        """
        doing = f"Reading the large message s3://{pointer.bucket}/{pointer.key}"
        if not self._is_own(pointer) and pointer.bucket not in self.trusted:
            hint = "Name the bucket in `trusted` where whoever sends may make you read from all of it."
            raise FixConfig(doing, f"messages may not point there, only below s3://{self.bucket}/{self.prefix}", hint=hint)
        try:
            return self.buckets.read(pointer.bucket, pointer.key).decode()
        except UnicodeDecodeError as error:
            raise FixConfig(doing, "the object is no UTF-8 text") from error

    def remove(self, pointer: Pointer) -> None:
        """Delete the body of a message that was deleted, where it is ours to delete."""
        if not self.keep and self._is_own(pointer):
            self.buckets.delete(pointer.bucket, pointer.key)

    def _is_own(self, pointer: Pointer) -> bool:
        return pointer.bucket == self.bucket and pointer.key.startswith(self.prefix)
