"""Streams: what changed in a table, shard by shard, children behind their parents.

Source: "Change data capture for DynamoDB Streams" (records of an item come in the order of its changes, for 24 hours; shards end,
and have children), https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html; "GetRecords" (an answer without
records does not mean that there are none behind it),
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from halocline.connectors.aws.dynamodb.client import AGAIN
from halocline.connectors.aws.session import Access, session_of
from halocline.connectors.aws.wire import Wire
from halocline.errors import HaloclineError, Stop
from halocline.retry import PACE, Pace

# Answers without records before an open shard is taken for read to its end; many where none came before, so that each run gets
# past the stretch without records that the run before it ended in.
_QUIET, _PATIENT = 3, 50
_GONE = "TrimmedDataAccessException"
_EXPIRED = "ExpiredIteratorException"
_RIGHTS = "The login needs dynamodb:DescribeStream, dynamodb:GetShardIterator and dynamodb:GetRecords on the table's stream."

END = "end"
"""The mark of a shard that is read to its end. The others are `at N` (from that number on) and `after N`."""

Marks = dict[str, str]
"""How far a stream is read: shard -> mark."""
Take = Callable[[Sequence[Mapping[str, Any]]], None]


class Trimmed(Stop):
    """What is to be read is not in the stream any more."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard: its first number, whether it has ended, and the shard that it came from."""

    id: str
    first: str
    ended: bool
    parent: str | None = None


class Stream:
    """The stream with that ARN. Threads may share it."""

    def __init__(self, arn: str, access: Access | None = None, *, pace: Pace = PACE) -> None:
        access = Access.of({}) if access is None else access
        self.arn = arn
        self.calls = 0
        self._wire = Wire(session_of(access), "dynamodbstreams", policy=AGAIN, pace=pace)
        self._lock = threading.Lock()

    def shards(self) -> list[Shard]:
        """The shards that are there.

        Raises: NotFound where there is no such stream, AccessDenied, LoginRefused, RetryLater.
        """
        found: list[Shard] = []
        last: str | None = None
        while True:
            wanted = {"StreamArn": self.arn} | ({} if last is None else {"ExclusiveStartShardId": last})
            told = self._call("DescribeStream", wanted)["StreamDescription"]
            found += [_shard(one) for one in told["Shards"]]
            last = told.get("LastEvaluatedShardId")
            if last is None:
                return found

    def drain(self, shard: Shard, mark: str, *, take: Take, until: float) -> str:
        """Give out the records of a shard from a mark on, and say the mark behind them.

        An open shard is read until a record is from after `until` (seconds since 1970), or until some answers hold none. What
        lies behind more of these comes with a later run: at the latest when the shard has ended, and is read whole.
        Raises: Trimmed where records that the mark means are not there any more; AccessDenied, LoginRefused, RetryLater.
        """
        iterator: str | None = self._iterator(shard, mark)
        quiet, patience = 0, _PATIENT
        while iterator is not None and (shard.ended or quiet < patience):
            try:
                answer = self._call("GetRecords", {"ShardIterator": iterator})
            except Stop as error:
                if error.code != _EXPIRED:  # after 15 minutes
                    raise
                iterator = self._iterator(shard, mark)
                continue
            records = answer["Records"]
            iterator = answer.get("NextShardIterator")
            quiet = 0 if records else quiet + 1
            if records:
                patience = _QUIET
                take([one["dynamodb"] for one in records])
                mark = f"after {records[-1]['dynamodb']['SequenceNumber']}"
                if not shard.ended and float(records[-1]["dynamodb"]["ApproximateCreationDateTime"]) > until:
                    return mark
        return END if iterator is None else mark

    def _iterator(self, shard: Shard, mark: str) -> str:
        kind, _, number = mark.partition(" ")
        kinds = {"at": "AT_SEQUENCE_NUMBER", "after": "AFTER_SEQUENCE_NUMBER"}
        wanted = {"StreamArn": self.arn, "ShardId": shard.id, "ShardIteratorType": kinds[kind], "SequenceNumber": number}
        return str(self._call("GetShardIterator", wanted)["ShardIterator"])

    def _call(self, operation: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.calls += 1
        doing = f"Reading the stream {self.arn}"
        try:
            return self._wire.call(doing, operation, wanted=wanted, rights=_RIGHTS)
        except HaloclineError as error:
            if error.code == _GONE:
                raise Trimmed(doing, error.cause, hint="Everything has to be read anew.", code=_GONE) from error
            raise


def generations(shards: Sequence[Shard], marks: Mapping[str, str]) -> Iterator[list[Shard]]:
    """The shards that are still to be read, each list behind all parents of its members; ended ones of it must be read whole."""
    waiting = {one.id: one for one in shards if marks.get(one.id) != END}
    while waiting:
        ready = [one for one in waiting.values() if one.parent not in waiting]
        if not ready:
            cause = f"the shards {', '.join(sorted(waiting)[:3])} are each other's parents"
            raise Stop("Reading a stream of DynamoDB", cause, hint="Run it again.")
        yield ready
        for one in ready:
            del waiting[one.id]


def _shard(told: Mapping[str, Any]) -> Shard:
    numbers = told["SequenceNumberRange"]
    return Shard(told["ShardId"], numbers["StartingSequenceNumber"], "EndingSequenceNumber" in numbers, told.get("ParentShardId"))
