"""Offload: large messages as objects in S3, with a pointer in the queue, as Amazon's extended clients write and read them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from halocline.buckets import Buckets
from halocline.errors import FixConfig
from halocline.pointers import Pointer


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
