"""A file that landed in a bucket: which object, at which moment, and the text that tells it from every other landing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

from halocline.errors import Changed

_SEQUENCER_DIGITS = 64  # longer than any sequencer seen (16 to 18 digits); the vendor states no limit


@dataclass(frozen=True, slots=True)
class Landed:
    """An object as an event told of it: `key` as the bucket has it (decoded), `etag` without quotes, `size` in bytes.

    `version` is None where the bucket keeps none; `sequencer` is "" and `at` None where no event told them, so that a file may be
    named by hand: `Landed("bucket", "in/a.csv", etag="...")`.
    """

    bucket: str
    key: str
    version: str | None = None
    etag: str | None = None
    size: int | None = None
    sequencer: str = ""
    at: datetime | None = None

    @property
    def dedupe(self) -> str:
        """The same text for every delivery of the same landing, by whichever way it came, and for no other.

        Duplicates have the same sequencer. Of a file without one, and without a version, the second in which it landed tells the
        same bytes from those that landed there before.
        Source: https://repost.aws/knowledge-center/s3-duplicate-sqs-messages, read November 2026.
        """
        when = self.sequencer.upper()
        if not when and self.version is None and self.at is not None:
            when = self.at.astimezone(UTC).isoformat(timespec="seconds")
        parts = [self.bucket, self.key, self.version or self.etag or "", when]
        return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))

    @property
    def distinct(self) -> bool:
        """Whether `dedupe` tells two landings under one key apart: not where nobody said which bytes, or when."""
        return bool(self.version or self.etag or self.sequencer)

    @property
    def order(self) -> str:
        """What sorts the landings of one key by when they happened; it says nothing about two keys.

        Sequencers differ in length: the shorter is filled with zeros on its right, then they compare as texts.
        Source: https://repost.aws/knowledge-center/s3-duplicate-sqs-messages, read November 2026.
        """
        return self.sequencer.upper().ljust(_SEQUENCER_DIGITS, "0")

    def __str__(self) -> str:
        """The object as a person writes it: `s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"


_at_hand: ContextVar[Landed | None] = ContextVar("halocline-landed", default=None)


@contextmanager
def handling(where: Landed) -> Iterator[None]:
    """The block deals with this landing: whoever in it is asked for the file by bucket and key gets the bytes that landed."""
    token = _at_hand.set(where)
    try:
        yield
    finally:
        _at_hand.reset(token)


def at_hand(bucket: str, key: str) -> Landed | None:
    """The landing that is being dealt with, where it is of this object."""
    where = _at_hand.get()
    return where if where is not None and (where.bucket, where.key) == (bucket, key) else None


@contextmanager
def telling(where: Landed | None) -> Iterator[None]:
    """Where the block finds another object in the place of the one that landed, its error says so: see `is_superseded`."""
    try:
        yield
    except Changed as error:
        if where is not None:
            error.facts["landing"] = where.dedupe
        raise


def is_superseded(where: Landed, error: BaseException) -> bool:
    """Whether an error says that the bytes which landed are gone, for others have taken their place."""
    return isinstance(error, Changed) and error.facts.get("landing") == where.dedupe
