"""Changes: records that say what an item is now, or that it is gone, put aside by key until the last one of each is known.

A record is a line of JSON with `Keys` and, where the item is there, `NewImage`: as a stream has it, and an incremental export.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from halocline.batch import Batch, Op
from halocline.connector import Deletes, Plan
from halocline.connectors.aws.dynamodb.pages import Pages
from halocline.connectors.aws.dynamodb.shape import Shape
from halocline.connectors.aws.dynamodb.values import malformed
from halocline.errors import FixConfig
from halocline.schema import Schema
from halocline.spool import Spool, storage

BUCKETS = 16  # files; what is of one is in memory at a time
_ROWS = 2_000  # of a batch


@dataclass(frozen=True, slots=True)
class Latest:
    """What the records of some keys come to: items that are there, keys that are gone, and how many records were overtaken."""

    items: Sequence[Mapping[str, Any]]
    gone: Sequence[Mapping[str, Any]]
    overtaken: int


class Changes:
    """Records in files of a spool, each with all records of its keys in their order. Threads may put; then they may read.

    `name` is another one for each of those that share the spool.
    """

    def __init__(self, spool: Spool, name: str) -> None:
        self._paths = [spool.file(f"{name}-changes-{number:02}.json") for number in range(BUCKETS)]
        self._counts = [0] * BUCKETS
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """The records that were put."""
        return sum(self._counts)

    def counted(self, bucket: int) -> int:
        """Those of a bucket."""
        return self._counts[bucket]

    def put(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Put records aside; those of one key in the order of its changes.

        Raises: StorageFailed; Stop for what is no record.
        """
        lines: dict[int, list[bytes]] = {}
        for record in records:
            try:
                key = json.dumps(record["Keys"], sort_keys=True).encode()
            except (KeyError, TypeError) as error:
                raise malformed("a record of a change has no keys") from error
            told = {"Keys": record["Keys"]} | ({"NewImage": record["NewImage"]} if "NewImage" in record else {})
            lines.setdefault(zlib.crc32(key) % BUCKETS, []).append(json.dumps(told, ensure_ascii=False).encode() + b"\n")
        with self._lock, storage("Putting changes aside"):
            for bucket, some in lines.items():
                with self._paths[bucket].open("ab") as file:
                    file.write(b"".join(some))
                self._counts[bucket] += len(some)

    def latest(self, bucket: int) -> Latest:
        """What the records of a bucket come to.

        Raises: StorageFailed.
        """
        if not self._counts[bucket]:
            return Latest((), (), 0)
        last: dict[bytes, Mapping[str, Any]] = {}
        with storage("Reading changes"), self._paths[bucket].open("rb") as file:
            for line in file:
                record = json.loads(line)
                last[json.dumps(record["Keys"], sort_keys=True).encode()] = record
        items = [one["NewImage"] for one in last.values() if "NewImage" in one]
        gone = [one["Keys"] for one in last.values() if "NewImage" not in one]
        return Latest(items, gone, self._counts[bucket] - len(last))

    def pages(self) -> Iterator[bytes]:
        """The items that are there, as pages."""
        for bucket in range(BUCKETS):
            yield from _pages(self.latest(bucket).items)


def batches(latest: Latest, shape: Shape, *, key: Sequence[str], part: str, deletes: bool) -> Iterator[Batch]:
    """The rows and deletions that changes come to; records that were overtaken are counted as filtered.

    Raises: Stop for what is no item.
    """
    filtered, first = latest.overtaken, 0
    for page in _pages(latest.items):
        decoded = Pages(shape).decode(page, part=part)
        moved = tuple(replace(one, row=one.row + first) for one in decoded.rejected)
        yield Batch(decoded.batch, first_row=first, rejections=moved, filtered=filtered)
        first, filtered = first + len(decoded.batch) + len(moved), 0
    if not deletes:
        filtered += len(latest.gone)
    elif latest.gone:
        for page in _pages(latest.gone):
            decoded = Pages(_keys_only(shape, key)).decode(page, part=part)
            moved = tuple(replace(one, row=one.row + first) for one in decoded.rejected)
            yield Batch(decoded.batch, op=Op.DELETE, first_row=first, rejections=moved, filtered=filtered)
            first, filtered = first + len(decoded.batch) + len(moved), 0
    if filtered:
        yield Batch(_none(shape), filtered=filtered)


def refuse_other_key(table: str, shape: Shape, *, key: Sequence[str], own: Sequence[str]) -> None:
    """Hold the key that rows are matched by against that of the table: changes are told by the latter.

    Raises: FixConfig when they differ.
    """
    chosen = {shape.path(_spelled(shape.schema, name)) for name in key}
    if chosen != {(name,) for name in own}:
        cause = f"rows are matched by {', '.join(key)}, and DynamoDB tells changes by {', '.join(own)}"
        raise FixConfig(f"Planning the changes of {table}", cause, hint=f"Choose the key {', '.join(own)}.")


def refuse_merge_of_all(table: str, plan: Plan) -> None:
    """See that a full read which a stream follows leaves no row whose item is gone: only the stream would tell of that one.

    Raises: FixConfig where all that is read would be merged, and rows that did not come would stay.
    """
    if plan.full and not plan.whole and plan.deletes is not Deletes.IGNORE:
        cause = "everything is read and merged, so rows of items stay for ever that were deleted while nobody read the stream"
        hint = "Leave the mode out (replace): after the first run what changed is merged all the same."
        raise FixConfig(f"Planning the read of {table} and its stream", cause, hint=hint)


def _keys_only(shape: Shape, key: Sequence[str]) -> Shape:
    schema = shape.schema.select(key)
    return Shape.declared(schema, paths={name: shape.path(name) for name in schema.names}, only=True)


def _spelled(schema: Schema, name: str) -> str:
    column = schema.column(name)
    return name if column is None else column.name


def _pages(items: Sequence[Mapping[str, Any]]) -> Iterator[bytes]:
    for start in range(0, len(items), _ROWS):
        some = items[start : start + _ROWS]
        told = {"Items": some, "Count": len(some), "ScannedCount": len(some)}
        yield json.dumps(told, ensure_ascii=False).encode()


def _none(shape: Shape) -> Any:
    return Pages(shape).decode(b'{"Items":[],"Count":0,"ScannedCount":0}').batch
