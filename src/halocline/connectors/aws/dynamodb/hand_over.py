"""Hand-over: from the scan of a table to its stream, and from one reading of the stream to the next, so that no change is lost.

    before the scan     the shards of the stream are listed: those that are open will be read from their first record on
    the scan            with consistent reads: it sees all that was written before the shards were listed
    every later run     the records behind the marks, children behind parents; new shards from their first record on

A change is applied by what its item is after it, so that a change which the scan saw already does no harm. Until a later run has
read up to where the scan was, an item may be shown in an older version than the scan brought. Records older than the scan by
`LEEWAY_S` are passed over: their changes were there when it began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from halocline.batch import JSON
from halocline.connectors.aws.dynamodb.streams import END, Marks, Shard
from halocline.quantity import quantity

LEEWAY_S = 900.0  # AWS refuses signatures of clocks that are this far off, so ours is nearer to its own
KEPT_S = 23 * 3_600.0
"""A stream keeps records for 24 hours; what was read longer ago may have lost some behind it."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """How far a stream is read: its ARN, the marks of its shards, and when (`read_at`).

    Records from before `since` are passed over.
    """

    stream: str
    marks: Mapping[str, str] = field(default_factory=dict)
    read_at: float = 0.0
    since: float = 0.0

    @classmethod
    def before_scan(cls, stream: str, shards: Sequence[Shard], *, now: float, consistent: bool) -> HandOver:
        """The marks from which all is read that a scan beginning now may not see.

        A scan that is not consistent may miss what was written before it, so nothing of the stream counts as read.
        """
        marks = {one.id: END if one.ended and consistent else f"at {one.first}" for one in shards}
        return cls(stream, marks, now, now - LEEWAY_S)

    @classmethod
    def read(cls, told: JSON) -> HandOver | None:
        """The value that `to_json` wrote; None for anything else."""
        try:
            return cls(**told)  # type: ignore[arg-type]  # what is no such mapping fails
        except TypeError:
            return None

    def to_json(self) -> dict[str, Any]:
        """This value as plain JSON data."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "marks": dict(self.marks)}

    def mark(self, shard: Shard) -> str:
        """From where on a shard is read."""
        return self.marks.get(shard.id, f"at {shard.first}")

    def broken(self, shards: Sequence[Shard], *, stream: str | None, now: float) -> str | None:
        """Why the stream cannot be read on from here; None: it can."""
        there = {one.id for one in shards}
        if stream != self.stream:
            return "the table's stream is another one than before, or is switched off"
        if now - self.read_at > KEPT_S:
            ago = quantity(round((now - self.read_at) / 3_600), "hour")
            return f"the stream was last read {ago} ago, and keeps what changed for 24"
        if any(mark != END and shard not in there for shard, mark in self.marks.items()):
            return "a shard of the stream is gone that was not read to its end"
        return None

    def on(self, marks: Marks, shards: Sequence[Shard], *, now: float) -> HandOver:
        """How far it is read once these marks are reached."""
        known = {**self.marks, **marks}
        return HandOver(self.stream, {one.id: known[one.id] for one in shards if one.id in known}, now, self.since)
