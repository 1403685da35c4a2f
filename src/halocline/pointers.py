"""Pointers: what stands in a queue in place of a large message, whose body is an object, as Amazon's extended clients write it.

    body                   ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": ..., "s3Key": ...}]
    ExtendedPayloadSize    the attribute that says so; SQSLargePayloadSize of older clients

Source: "Managing large Amazon SQS messages using the Extended Client Library for Python and Amazon S3",
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/extended-client-library-python.html;
its code, https://github.com/awslabs/amazon-sqs-python-extended-client-lib, read November 2026.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from halocline.queues import Delivery
from halocline.topics import is_notification

SIZE = "ExtendedPayloadSize"
OLD_SIZE = "SQSLargePayloadSize"
"""The attribute that says that a body is a pointer; the second name is that of older clients."""
_POINTER = "software.amazon.payloadoffloading.PayloadS3Pointer"
_OLD_POINTER = "com.amazon.sqs.javamessaging.MessageS3Pointer"
NAMED = re.compile(rf'\s*\[\s*"(?:{re.escape(_POINTER)}|{re.escape(_OLD_POINTER)})"')
"""How a pointer begins, whatever its attributes say."""
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
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return cls(bucket, key) if all(isinstance(one, str) for one in (name, bucket, key)) else None


def unmarked(handle: str) -> tuple[str, Pointer | None]:
    """A handle as SQS gave it, and the object that goes with it."""
    match = _MARKED.match(handle)
    return (handle, None) if match is None else (match["handle"], Pointer(match["bucket"], match["key"]))


def is_marked(attributes: Mapping[str, object]) -> bool:
    """Whether attributes say that their message's body is a pointer."""
    return SIZE in attributes or OLD_SIZE in attributes


def why_missing(body: str, attributes: Mapping[str, object]) -> str:
    """Why a body that is marked, or begins as pointers do, is not its message, but stands in its place."""
    if is_marked(attributes):
        if Pointer.read(body) is None:
            return "it is marked as a large message, and its body is no pointer to S3"
        return "it is a large message in S3; open the queue with the bucket that it lies in, as `offload`"
    return f"it is a large message in S3 without the attribute {SIZE}; receive it with all of its attributes"


def wrapped(body: str) -> Mapping[str, Any] | None:
    """The notification of a topic that a body is, where the message in it is marked as a pointer; None for any other."""
    if SIZE not in body and OLD_SIZE not in body:
        return None
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return None
    attributes = told.get("MessageAttributes") if is_notification(told) else None
    return told if isinstance(attributes, Mapping) and is_marked(attributes) else None


class Follows(Protocol):
    """Follows pointers to the bodies of large messages. Threads may share it."""

    def follow(self, delivery: Delivery) -> Delivery:
        """The delivery with its body in place of the pointer, also of one in the envelope of a topic; with `failure` where nobody
        can have the body; as it is where it is no pointer. Where the object goes with the message, the handle names it.

        Raises: RetryLater, LoginRefused, AccessDenied: another try may have it.
        """

    def remove(self, pointer: Pointer) -> None:
        """Delete the body of a message that was deleted, where it is ours to delete.

        Raises: as `halocline.buckets.Buckets`.
        """
