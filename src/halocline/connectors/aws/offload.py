"""Offload: large messages as objects in S3, with a pointer in the queue, as Amazon's extended clients write and read them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from halocline.buckets import Buckets
from halocline.connectors.aws.s3 import open_buckets
from halocline.errors import AccessDenied, FixConfig, HaloclineError, LoginRefused, RetryLater
from halocline.pointers import OLD_SIZE, SIZE, Pointer, is_marked, why_missing, wrapped
from halocline.queues import Delivery

Given = TypeVar("Given")


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

    def follow(self, delivery: Delivery) -> Delivery:
        """The delivery with its body in place of the pointer, or why there is none; also of one that a topic wrapped, whose
        object is left: others may have got the same pointer.

        Raises: RetryLater, LoginRefused, AccessDenied, after which another try may have it.
        """
        told = None
        if not is_marked(delivery.attributes):
            told = wrapped(delivery.body)
            if told is None:
                return delivery
        text = delivery.body if told is None else told["Message"]
        pointer = Pointer.read(text)
        if pointer is None:
            return replace(delivery, failure=why_missing(text, {SIZE: 0}))
        try:
            body = self.fetch(pointer)
        except (RetryLater, LoginRefused, AccessDenied):
            raise
        except HaloclineError as error:
            return replace(delivery, failure=str(error))
        if told is not None:
            whole = {**told, "Message": body, "MessageAttributes": _plain(told["MessageAttributes"])}
            return replace(delivery, body=json.dumps(whole))
        attributes, typed = _plain(delivery.attributes), _plain(delivery.typed)
        return replace(delivery, body=body, handle=pointer.marked(delivery.handle), attributes=attributes, typed=typed)

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


def open_offload(given: Offload | str, **settings: object) -> Offload:
    """What follows large messages into the bucket of that name; `settings` are those of `Access`, by our names or boto3's.

    Raises: FixConfig for settings that cannot be meant.
    """
    return Offload(open_buckets(**settings), given) if isinstance(given, str) else given


def _plain(attributes: Mapping[str, Given]) -> dict[str, Given]:
    """Attributes without the mark."""
    return {name: value for name, value in attributes.items() if name not in (SIZE, OLD_SIZE)}
