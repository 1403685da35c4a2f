"""A stream: the changes of a table's items, in shards that are split and end, kept for a day.

Source: "Change data capture for DynamoDB Streams", https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html;
"Record", https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from halocline.testing.aws.dynamodb_value import Item
from halocline.testing.aws.ids import new_id

KEPT_S = 24 * 3600.0  # the first page above: "All data in DynamoDB Streams is subject to a 24-hour lifetime"
VIEWS = ("KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES")
_HASHES = 1 << 128
_FIRST = 100_000_000_000_000_000_000  # sequence numbers have 21 digits or more


@dataclass(frozen=True, slots=True)
class Record:
    """A change; `told` is what GetRecords tells of it."""

    number: int
    at: float
    size: int
    told: dict[str, Any]


@dataclass(slots=True)
class Shard:
    """Changes of the items whose partition keys' hashes are from `low` on and below `high`; one that has ended has no more."""

    id: str
    low: int
    high: int
    begun: float
    first: int
    parent: str | None = None
    last: int | None = None
    ended: float | None = None
    records: list[Record] = field(default_factory=list)

    @property
    def told(self) -> dict[str, Any]:
        numbers = {"StartingSequenceNumber": text_of(self.first)}
        if self.last is not None:
            numbers["EndingSequenceNumber"] = text_of(self.last)
        parent = {"ParentShardId": self.parent} if self.parent else {}
        return {"ShardId": self.id, "SequenceNumberRange": numbers, **parent}


class Stream:
    """What a table's stream holds. `view` says which images are in a record."""

    def __init__(self, table: str, *, table_arn: str, region: str, view: str, keys: list[dict[str, str]], now: float) -> None:
        self.table = table
        self.view = view
        self.keys = keys
        self.begun = now
        self.region = region
        self.ended: float | None = None
        self.label = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")[:-6]
        self.arn = f"{table_arn}/stream/{self.label}"
        self._number = _FIRST
        self._shards: list[Shard] = []
        self._open(0, _HASHES, now=now, parent=None)

    @property
    def is_on(self) -> bool:
        return self.ended is None

    def shards(self, now: float) -> list[Shard]:
        """The shards, parents first, without what is too old; a shard that has ended goes with its records."""
        self._trim(now)
        return list(self._shards)

    def shard(self, shard_id: str, now: float) -> Shard | None:
        """One shard, without the records that are too old."""
        return next((one for one in self.shards(now) if one.id == shard_id), None)

    def note(
        self, place: bytes, key: Item, *, images: tuple[Item | None, Item | None], now: float, size: int, by_ttl: bool
    ) -> None:
        """A change: what there was before and what there is now."""
        if not self.is_on:
            return
        before, after = images
        self._number += 1
        told: dict[str, Any] = {"ApproximateCreationDateTime": int(now), "Keys": key}
        if after is not None and self.view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES"):
            told["NewImage"] = after
        if before is not None and self.view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES"):
            told["OldImage"] = before
        told |= {"SequenceNumber": text_of(self._number), "SizeBytes": size, "StreamViewType": self.view}
        record: dict[str, Any] = {
            "eventID": new_id().replace("-", ""),
            "eventName": "REMOVE" if after is None else "INSERT" if before is None else "MODIFY",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": self.region,
            "dynamodb": told,
        }
        if by_ttl:  # Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html
            record["userIdentity"] = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
        where = int.from_bytes(place[:16], "big")
        shard = next(one for one in self._shards if one.ended is None and one.low <= where < one.high)
        shard.records.append(Record(self._number, now, size, record))

    def split(self, now: float) -> None:
        """End each open shard, and open two in its place: a key's later changes are in one of them."""
        for shard in [one for one in self._shards if one.ended is None]:
            self._end(shard, now)
            middle = (shard.low + shard.high) // 2
            self._open(shard.low, middle, now=now, parent=shard.id)
            self._open(middle, shard.high, now=now, parent=shard.id)

    def end(self, now: float) -> None:
        """Take no more changes; what is there can be read for a day."""
        if self.is_on:
            self.ended = now
            for shard in self._shards:
                if shard.ended is None:
                    self._end(shard, now)

    def _end(self, shard: Shard, now: float) -> None:
        self._number += 1
        shard.last, shard.ended = self._number, now

    def _open(self, low: int, high: int, *, now: float, parent: str | None) -> None:
        self._number += 1
        shard_id = f"shardId-{int(now * 1000):020d}-{self._number - _FIRST:08x}"
        self._shards.append(Shard(shard_id, low, high, now, self._number, parent))

    def _trim(self, now: float) -> None:
        oldest = now - KEPT_S
        self._shards = [one for one in self._shards if one.ended is None or one.ended > oldest]
        for shard in self._shards:
            kept = next((at for at, record in enumerate(shard.records) if record.at > oldest), len(shard.records))
            if kept:
                shard.first = shard.records[kept - 1].number + 1
                del shard.records[:kept]


def text_of(number: int) -> str:
    """A sequence number as it is told."""
    return str(number)
