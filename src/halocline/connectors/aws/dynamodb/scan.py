"""Scan: the pages of a table, segment by segment, each taken from the shelf where it is there already.

What is promised of a table that is written meanwhile: an item that is there from the beginning to the end of the scan comes once,
in a version that it had between the two. One that is put or deleted meanwhile comes or does not. With `consistent` a page has all
that was written before it was asked for; without, a version may be some seconds older than the scan.
Source: "Scan" (segments, pages, "Scan uses eventually consistent reads by default"),
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from halocline.connectors.aws.dynamodb.capacity import Capacity
from halocline.connectors.aws.dynamodb.client import DynamoDB, Table
from halocline.connectors.aws.dynamodb.layout import Layout
from halocline.connectors.aws.dynamodb.reader import Page, Reader
from halocline.connectors.aws.dynamodb.shelf import Shelf
from halocline.errors import HaloclineError, RetryLater
from halocline.events import Sink, Waiting, silent
from halocline.noted import Noted

_SEGMENT_BYTES = 128 << 20  # about a minute of one connection
_PAGE_BYTES = 1 << 20
_MOST_SEGMENTS = 1_000  # DynamoDB takes a million; an empty one costs a call as well
LEAST_SEGMENTS = 4
"""Of a table that is not known to fit in a page: as many as are read at a time."""


@dataclass(frozen=True, slots=True)
class Asked(Noted):
    """What a scan asks: two with the same answer to this may go on with each other's pages. `values` are as on the wire."""

    table: str
    id: str
    segments: int
    consistent: bool = False
    index: str | None = None
    filter: str | None = None
    projection: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    def parameters(self, segment: int, *, key: Mapping[str, Any] | None, most: int | None) -> dict[str, Any]:
        """The parameters of the call for a page behind `key`, of `most` items."""
        told: dict[str, Any] = {"Segment": segment, "TotalSegments": self.segments, "ConsistentRead": self.consistent}
        more = {
            "IndexName": self.index,
            "FilterExpression": self.filter,
            "ProjectionExpression": self.projection,
            "ExpressionAttributeNames": self.names or None,
            "ExpressionAttributeValues": self.values or None,
            "ExclusiveStartKey": key,
            "Limit": most,
        }
        return told | {name: value for name, value in more.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page of a segment: its bytes, how many items it has, and what it holds where it was just looked at.

    `is_new`: it was not on the shelf.
    """

    data: bytes = field(repr=False)
    count: int = 0
    page: Page | None = None
    is_new: bool = False


class Scan:
    """A scan under way. Threads may share it, each with a segment of its own."""

    def __init__(
        self, dynamodb: DynamoDB, asked: Asked, *, table: Table, shelf: Shelf, capacity: Capacity, sink: Sink = silent
    ) -> None:
        self.asked = asked
        self.calls = 0
        self._dynamodb = dynamodb
        self._shelf = shelf
        self._capacity = capacity
        self._sink = sink
        # Of a page only the key that it ends with is looked at here, and how many items it has.
        nodes = {name: {table.types[name]: None} for name in table.key}
        self._reader = Reader(Layout(nodes, only=frozenset(table.key)))
        self._lock = threading.Lock()

    def pages(self, segment: int, *, reader: Reader | None = None, most: int | None = None) -> Iterator[Fetched]:
        """The pages of a segment from its first to its last, those on the shelf first; `most` are items that a page may have.

        A page that is fetched is on the shelf before it is given out. `reader` looks at each more closely.
        Raises: as `DynamoDB.scan_page`; StorageFailed.
        """
        kept = self._shelf.segment(segment)
        for entry, data in kept.pages():
            yield Fetched(data, entry.count, None if reader is None else reader.read(data))
        while not kept.is_whole:
            key = kept.entries[-1].key if kept.entries else None
            data, page = self._fetched(segment, key=key, reader=reader or self._reader, most=most)
            entry = kept.keep(data, page)
            yield Fetched(data, entry.count, page if reader is not None else None, is_new=True)

    def counted(self, segment: int) -> list[int]:
        """The items of each page of a segment that is on the shelf."""
        return [entry.count for entry in self._shelf.segment(segment).entries]

    def _fetched(self, segment: int, *, key: Mapping[str, Any] | None, reader: Reader, most: int | None) -> tuple[bytes, Page]:
        with self._capacity.turn() as items:
            bound = min((one for one in (items, most) if one is not None), default=None)
            wanted = self.asked.parameters(segment, key=key, most=bound)
            try:
                scanned = self._dynamodb.scan_page(self.asked.table, wanted=wanted, waiting=self._waiting)
            except HaloclineError:
                self._capacity.paid(units=None, items=0, throttled=1)
                raise
            page = reader.read(scanned.data)
            self._capacity.paid(units=page.consumed, items=page.scanned, throttled=scanned.throttled)
        with self._lock:
            self.calls += 1 + scanned.throttled
        return scanned.data, page

    def _waiting(self, error: RetryLater, wait_s: float) -> None:
        self._sink(Waiting(str(error), wait_s))


def segments_of(table: Table, wanted: int | None) -> int:
    """In how many segments a table is scanned: as many as wanted, else by its size."""
    if wanted is not None:
        return wanted
    if 0 < table.bytes < _PAGE_BYTES // 2:
        return 1
    return max(LEAST_SEGMENTS, min(_MOST_SEGMENTS, -(-table.bytes // _SEGMENT_BYTES)))
