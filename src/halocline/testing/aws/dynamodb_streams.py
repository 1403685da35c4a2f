"""DynamoDB Streams: the operations that read streams.

Source: "Amazon DynamoDB Streams", https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from halocline.testing.aws.clock import Clock
from halocline.testing.aws.dynamodb_reply import refused
from halocline.testing.aws.dynamodb_stream import Record, Shard, Stream, text_of
from halocline.testing.aws.dynamodb_tables import Params, Result, Tables
from halocline.testing.aws.errors import AWSError

_RECORDS = 1000  # Source: API reference, GetRecords
_RECORD_BYTES = 1 << 20  # the same
_ITERATOR_S = 900.0  # Source: API reference, GetShardIterator: "A shard iterator expires 15 minutes after it is returned"
_STREAMS = 100  # Source: API reference, ListStreams and DescribeStream


class Streams:
    """The streams of one account's tables."""

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._operations: Mapping[str, Callable[[Params], Result]] = {
            "ListStreams": self._list,
            "DescribeStream": self._describe,
            "GetShardIterator": self._iterator,
            "GetRecords": self._records,
        }

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that there are, as in its API."""
        return tuple(self._operations)

    def call(self, operation: str, params: Params, *, region: str) -> Result:
        """What an operation answers.
        Raises: AWSError.
        """
        work = self._operations.get(operation)
        if work is None:
            raise AWSError("UnknownOperationException", f"{operation} is not part of this test server.")
        self._tables.sweep()
        return work({**params, "Region": region})

    def table_of(self, params: Params) -> str:
        """The name of the table that a request is about."""
        arn = params.get("StreamArn") or ""
        if "ShardIterator" in params:
            arn = _read(params["ShardIterator"])[0]
        return str(arn).partition("table/")[2].partition("/")[0] or str(params.get("TableName") or "")

    def split(self, table: str) -> None:
        """End the open shards of a table's stream, each with two new ones in its place.
        Raises: AWSError where the table has no stream.
        """
        stream = self._tables.anywhere(table).stream
        if stream is None:
            raise AWSError("ResourceNotFoundException", f"The table {table} has no stream")
        stream.split(self._clock.now())

    def _list(self, params: Params) -> Result:
        wanted, after = params.get("TableName"), params.get("ExclusiveStartStreamArn") or ""
        most = int(params.get("Limit") or _STREAMS)
        found = sorted(
            (one for one in self._tables.streams() if one.region == params["Region"] and wanted in (None, one.table)),
            key=lambda one: one.arn,
        )
        found = [one for one in found if one.arn > after]
        told = [{"StreamArn": one.arn, "TableName": one.table, "StreamLabel": one.label} for one in found[:most]]
        return {"Streams": told, **({"LastEvaluatedStreamArn": found[most - 1].arn} if len(found) > most else {})}

    def _describe(self, params: Params) -> Result:
        stream = self._stream(params.get("StreamArn"))
        most, after = int(params.get("Limit") or _STREAMS), params.get("ExclusiveStartShardId")
        shards = stream.shards(self._clock.now())
        if after is not None:
            start = next((at + 1 for at, one in enumerate(shards) if one.id == after), len(shards))
            shards = shards[start:]
        told: Result = {
            "StreamArn": stream.arn,
            "StreamLabel": stream.label,
            "StreamStatus": "ENABLED" if stream.is_on else "DISABLED",
            "StreamViewType": stream.view,
            "CreationRequestDateTime": stream.begun,
            "TableName": stream.table,
            "KeySchema": stream.keys,
            "Shards": [one.told for one in shards[:most]],
        }
        if len(shards) > most:
            told["LastEvaluatedShardId"] = shards[most - 1].id
        return {"StreamDescription": told}

    def _iterator(self, params: Params) -> Result:
        stream = self._stream(params.get("StreamArn"))
        shard = self._shard(stream, str(params.get("ShardId")))
        kind = params.get("ShardIteratorType")
        if kind == "TRIM_HORIZON":
            start = shard.first
        elif kind == "LATEST":
            start = shard.records[-1].number + 1 if shard.records else shard.first
        elif kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
            start = self._asked_number(shard, params) + (kind == "AFTER_SEQUENCE_NUMBER")
        else:
            why = f"Value '{kind}' at 'shardIteratorType' failed to satisfy constraint: Member must satisfy enum value set"
            kinds = "[AT_SEQUENCE_NUMBER, TRIM_HORIZON, LATEST, AFTER_SEQUENCE_NUMBER]"
            raise refused(f"1 validation error detected: {why}: {kinds}")
        return {"ShardIterator": self._made(stream, shard, start)}

    def _asked_number(self, shard: Shard, params: Params) -> int:
        told = str(params.get("SequenceNumber") or "")
        if not told.isdecimal():
            raise refused("Sequence number is required when the iterator type is AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER")
        number = int(told)
        after = params["ShardIteratorType"] == "AFTER_SEQUENCE_NUMBER"
        if number + after < shard.first:
            raise _trimmed()
        if shard.last is not None and number > shard.last:
            raise refused(f"Invalid SequenceNumber: {told} is behind the end of the shard ({text_of(shard.last)})")
        return number

    def _records(self, params: Params) -> Result:
        arn, shard_id, start, issued = _read(params.get("ShardIterator"))
        if self._clock.now() - issued > _ITERATOR_S:
            why = "The shard iterator is expired. Shard iterators are only valid for 15 minutes."
            raise AWSError("ExpiredIteratorException", f"Iterator expired. {why}")
        stream = self._stream(arn)
        shard = next((one for one in stream.shards(self._clock.now()) if one.id == shard_id), None)
        if shard is None or start < shard.first:
            raise _trimmed()
        most = int(params.get("Limit") or _RECORDS)
        if not 1 <= most <= _RECORDS:
            bound = "greater than or equal to 1" if most < 1 else f"less than or equal to {_RECORDS}"
            why = f"Value '{most}' at 'limit' failed to satisfy constraint: Member must have value {bound}"
            raise refused(f"1 validation error detected: {why}")
        return self._page(stream, shard, start=start, most=most)

    def _page(self, stream: Stream, shard: Shard, *, start: int, most: int) -> Result:
        taken: list[Record] = []
        size = 0
        for record in shard.records:
            if record.number < start:
                continue
            size += record.size
            if len(taken) == most or (taken and size > _RECORD_BYTES):
                break
            taken.append(record)
        told: Result = {"Records": [record.told for record in taken]}
        start = taken[-1].number + 1 if taken else start
        if shard.ended is None or (shard.records and start <= shard.records[-1].number):
            told["NextShardIterator"] = self._made(stream, shard, start)
        return told

    def _stream(self, arn: object) -> Stream:
        found = next((one for one in self._tables.streams() if one.arn == arn), None)
        if found is None:
            raise AWSError("ResourceNotFoundException", f"Requested resource not found: Stream: {arn} not found")
        return found

    def _shard(self, stream: Stream, shard_id: str) -> Shard:
        found = stream.shard(shard_id, self._clock.now())
        if found is None:
            why = f"Requested resource not found: Shard: {shard_id} in Stream: {stream.arn} not found"
            raise AWSError("ResourceNotFoundException", why)
        return found

    def _made(self, stream: Stream, shard: Shard, start: int) -> str:
        told = json.dumps([stream.arn, shard.id, start, self._clock.now()])
        return f"{stream.arn}|1|{base64.b64encode(told.encode()).decode()}"


def _trimmed() -> AWSError:
    why = "The operation attempted to read past the oldest stream record in a shard."
    return AWSError("TrimmedDataAccessException", why)


def _read(iterator: object) -> tuple[str, str, int, float]:
    try:
        arn, shard, start, issued = json.loads(base64.b64decode(str(iterator).rpartition("|")[2], validate=True))
    except ValueError as reason:
        raise refused("Invalid ShardIterator") from reason
    found: tuple[Any, Any, Any, Any] = (arn, shard, start, issued)
    return found
