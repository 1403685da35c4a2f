"""A table: its items in their order, its indexes, and what follows from a write: stream, history, time to live."""

from __future__ import annotations

import heapq
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from halocline.testing.aws.dynamodb_key import Key, empty_words
from halocline.testing.aws.dynamodb_reply import EmptyKey, encoded, one_or_more
from halocline.testing.aws.dynamodb_shelf import Shelf
from halocline.testing.aws.dynamodb_stream import Stream
from halocline.testing.aws.dynamodb_update import is_same
from halocline.testing.aws.dynamodb_value import Item, Value, checked_item, kind_of
from halocline.testing.aws.ids import new_id

# "within a few days"; that it is two is the upper end that AWS told earlier.
# Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
LATE_S = 48 * 3600.0
_TOO_OLD_S = 5 * 365 * 86_400.0  # the same page: what expired more than five years ago is left alone


_WRITTEN = "A value specified for a secondary index key is not supported."
_UPDATED = "The update expression attempted to update a secondary index key to a value that is not supported."


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index: its own key, and the attributes that it holds, those of keys among them (None: all)."""

    name: str
    key: Key
    is_global: bool
    kind: str
    attributes: frozenset[str] | None
    shelf: Shelf = field(default_factory=Shelf)


@dataclass(frozen=True, slots=True)
class Past:
    """A write that a point in time can be restored from: the item before and after, as bytes."""

    at: float
    place: bytes
    before: bytes | None
    after: bytes | None


class Table:
    """One table. `billing` and `throughput` are told and not acted upon."""

    def __init__(self, name: str, arn: str, *, key: Key, definitions: Mapping[str, str], created: float) -> None:
        self.name = name
        self.arn = arn
        self.id = new_id()
        self.key = key
        self.definitions = dict(definitions)
        self.created = created
        self.indexes: dict[str, Index] = {}
        self.billing = "PROVISIONED"
        self.throughput = (0, 0)
        self.is_protected = False
        self.tags: dict[str, str] = {}
        self.stream: Stream | None = None
        self.streams: list[Stream] = []  # earlier ones too
        self.ttl: str | None = None
        self.history_since: float | None = None  # while point-in-time recovery is on
        self.history: list[Past] = []
        self.shelf = Shelf()
        self._expiring: list[tuple[float, bytes]] = []

    def item(self, place: bytes) -> Item | None:
        """The item of a place."""
        found = self.shelf.get(place)
        return None if found is None else json.loads(found[0])

    def size(self, place: bytes) -> int:
        """The bytes of an item by DynamoDB's rules; 0 where there is none."""
        found = self.shelf.get(place)
        return 0 if found is None else found[1]

    def checked(self, item: object, *, updated: Collection[str] | None = None) -> tuple[bytes, Item, int]:
        """An item that can be in this table, put, or left by an update of these attributes: its place, itself as kept, its size.
        Raises: AWSError for one that cannot.
        """
        made, size = checked_item(item)
        self.key.check(made)
        self._check_indexes(made, updated)
        return self.key.place(made), made, size

    def _check_indexes(self, item: Item, updated: Collection[str] | None) -> None:
        """Look at the keys of all indexes, in the order of their names; an update is asked for what it changed only.
        Raises: AWSError for an attribute that an index cannot take: of another type, or empty.

        Source: API reference, PutItem, "Item"; the words, and which writes are looked at, as
        https://github.com/paritysuite/dynamodb-conformance and https://github.com/nubo-db/dynoxide/pull/94 have recorded them.
        """
        for name in sorted(self.indexes):
            key = self.indexes[name].key
            for attribute, kind in zip(key.names, key.kinds, strict=True):
                if attribute in item and (updated is None or attribute in updated):
                    _check_index_key(item[attribute], kind, index=name, attribute=attribute, is_update=updated is not None)

    def fill(self, items: Sequence[object]) -> int:
        """Put items as if they had been there before anybody looked: no stream has them.
        Raises: AWSError for one that cannot be in this table.
        """
        for item in items:
            place, made, size = self.checked(item)
            self._unindex(place)
            self._place(place, made, encoded(made), size=size)
        return len(items)

    def write(self, place: bytes, after: Item | None, *, size: int, now: float, by_ttl: bool = False) -> None:
        """Put or (None) remove an item. A write that changes nothing is in no stream.

        Source: "Change data capture for DynamoDB Streams":
        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
        """
        found = self.shelf.get(place)
        before = None if found is None else json.loads(found[0])
        if is_same(before, after):
            return
        data = None if after is None else encoded(after)
        if self.history_since is not None:
            self.history.append(Past(now, place, None if found is None else found[0], data))
        if self.stream is not None:
            key = self.key.of(after if after is not None else before or {})
            told = size + (found[1] if found is not None else 0)
            self.stream.note(place, key, images=(before, after), now=now, size=told, by_ttl=by_ttl)
        self._unindex(place)
        if after is None or data is None:
            self.shelf.remove(place)
        else:
            self._place(place, after, data, size=size)

    def add_index(self, index: Index) -> None:
        """Let an index hold what is there."""
        self.indexes[index.name] = index
        for place, data in self.shelf:
            _hold(index, json.loads(data), place)

    def set_ttl(self, attribute: str | None) -> None:
        """Let items go by the time that an attribute tells, in seconds since 1970; None keeps them."""
        self.ttl = attribute
        self._expiring = []
        if attribute is not None:
            for place, data in self.shelf:
                self._watch(place, json.loads(data))

    def expire(self, now: float, *, late_s: float = LATE_S) -> int:
        """Remove the items whose time was over so many seconds ago, and say how many."""
        gone = 0
        while self._expiring and self._expiring[0][0] + late_s <= now:
            until, place = heapq.heappop(self._expiring)
            item = self.item(place)
            if item is not None and self._expiry(item) == until and until > now - _TOO_OLD_S:
                self.write(place, None, size=0, now=now, by_ttl=True)
                gone += 1
        return gone

    def _place(self, place: bytes, item: Item, data: bytes, *, size: int) -> None:
        self.shelf.put(place, data, size=size)
        for index in self.indexes.values():
            _hold(index, item, place)
        if self.ttl is not None:
            self._watch(place, item)

    def _unindex(self, place: bytes) -> None:
        """Have the indexes forget the item of a place, if there is one."""
        before = self.item(place) if self.indexes else None
        if before is not None:
            for index in self.indexes.values():
                index.shelf.remove(_index_place(index, before, place))

    def _watch(self, place: bytes, item: Item) -> None:
        until = self._expiry(item)
        if until is not None:
            heapq.heappush(self._expiring, (until, place))

    def _expiry(self, item: Item) -> float | None:
        """When an item's time is over; None where it says no number."""
        told = item.get(self.ttl or "", {}).get("N")
        return None if told is None else float(told)


def _check_index_key(value: Value, kind: str, *, index: str, attribute: str, is_update: bool) -> None:
    if (actual := kind_of(value)) != kind:
        raise one_or_more(f"Type mismatch for Index Key {attribute} Expected: {kind} Actual: {actual} IndexName: {index}")
    if not value[kind] and is_update:
        raise EmptyKey(f"{_UPDATED} {empty_words(kind)}")
    if not value[kind]:
        raise EmptyKey(f"{_WRITTEN} {empty_words(kind)} IndexName: {index}, IndexKey: {attribute}")


def _hold(index: Index, item: Item, place: bytes) -> None:
    if index.key.covers(item):
        kept = item if index.attributes is None else {name: item[name] for name in item if name in index.attributes}
        made, size = checked_item(kept)
        index.shelf.put(_index_place(index, item, place), encoded(made), size=size)


def _index_place(index: Index, item: Item, place: bytes) -> bytes:
    """Where an index has an item: by its own key, then by the table's."""
    return index.key.place(item) + place if index.key.covers(item) else b""
