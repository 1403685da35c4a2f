"""Reads: items one by one, in batches, of one partition (Query), or all of them (Scan).

Source: "Amazon DynamoDB API reference", https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/Welcome.html. The words of
refusals are the service's as https://github.com/architect/dynalite has recorded them from it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from halocline.testing.aws.dynamodb_capacity import consumed, is_wanted, read_units, with_consumed
from halocline.testing.aws.dynamodb_condition import Condition, condition, holds, paths_of
from halocline.testing.aws.dynamodb_expression import Names, Path, Words
from halocline.testing.aws.dynamodb_key import HASH_BYTES
from halocline.testing.aws.dynamodb_projection import Projection, projection
from halocline.testing.aws.dynamodb_reply import encoded, one_or_more, refused
from halocline.testing.aws.dynamodb_shelf import Page, Shelf, Span
from halocline.testing.aws.dynamodb_span import span_of
from halocline.testing.aws.dynamodb_table import Index, Table
from halocline.testing.aws.dynamodb_tables import Params, Result, Tables
from halocline.testing.aws.dynamodb_value import Item, checked
from halocline.testing.aws.errors import AWSError

PAGE_BYTES = 1 << 20  # Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
BATCH_BYTES = 16 << 20  # Source: API reference, BatchGetItem
BATCH_KEYS = 100  # the same
_EVERYTHING = 1 << 40  # items: no limit
_SEGMENTS = 1_000_000  # Source: API reference, Scan, TotalSegments
EXCEEDED = (
    "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level"
    " with the UpdateTable API."
)
_LEGACY = ("KeyConditions", "QueryFilter", "ScanFilter", "ConditionalOperator")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a Query or a Scan wants: of which table or index, which stretch of it, and what is told of its items."""

    table: Table
    index: Index | None
    filter: Condition | None
    projection: Projection | None
    counts_only: bool
    is_whole: bool  # of a local index: the table's items

    @property
    def shelf(self) -> Shelf:
        return self.table.shelf if self.index is None else self.index.shelf

    def place(self, key: Item) -> bytes:
        """Where a key is in the order of what is read."""
        place = self.table.key.place(key)
        return place if self.index is None else self.index.key.place(key) + place

    def key_names(self) -> list[str]:
        names = (*(self.index.key.names if self.index else ()), *self.table.key.names)
        return list(dict.fromkeys(names))


class Reads:
    """The operations that read."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def get(self, params: Params, region: str) -> Result:
        """GetItem."""
        table = self._tables.get(params, region)
        names = Names.of(params, ("ProjectionExpression",))
        wanted = projection(params, names)
        names.end()
        place = table.key.place(table.key.checked(params.get("Key")))
        item = table.item(place)
        told: Result = {} if item is None else {"Item": item if wanted is None else wanted.of(item)}
        units = read_units(table.size(place), consistent=bool(params.get("ConsistentRead")))
        return with_consumed(told, params, table=table, units=units)

    def batch_get(self, params: Params, region: str, *, failing: int) -> Result:
        """BatchGetItem; the last `failing` keys (-1: all) are not processed, nor is what would make the answer too large."""
        wanted = _batch(params)
        keys = [(name, key) for name, one in wanted.items() for key in one["Keys"]]
        _check_keys(keys, self._tables, region=region)
        stop = len(keys) - (len(keys) if failing < 0 else failing)
        if stop <= 0 and keys:
            raise AWSError("ProvisionedThroughputExceededException", EXCEEDED)
        found: dict[str, list[Item]] = {name: [] for name in wanted}
        units: dict[str, float] = dict.fromkeys(wanted, 0.0)
        size = 0
        for at, (name, key) in enumerate(keys):
            table = self._tables.get({"TableName": name}, region)
            place = table.key.place(table.key.checked(key))
            size += table.size(place)
            if at >= stop or size > BATCH_BYTES:
                stop = min(stop, at)
                break
            units[name] += read_units(table.size(place), consistent=bool(wanted[name].get("ConsistentRead")))
            if (item := table.item(place)) is not None:
                found[name].append(_part(item, wanted[name]))
        told: Result = {"Responses": found, "UnprocessedKeys": _left(wanted, keys[stop:])}
        if is_wanted(params):
            tables = {name: self._tables.get({"TableName": name}, region) for name in wanted}
            told["ConsumedCapacity"] = [consumed(params, tables[name], units=used) for name, used in units.items()]
        return told

    def query(self, params: Params, region: str) -> bytes:
        """Query."""
        table = self._tables.get(params, region)
        index = _index(table, params)
        names = Names.of(params, ("KeyConditionExpression", "FilterExpression", "ProjectionExpression"))
        _refuse_legacy(params)
        text = params.get("KeyConditionExpression")
        if text is None:
            raise refused("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
        key = table.key if index is None else index.key
        span = span_of(condition(Words(text, names, kind="KeyConditionExpression")), key)
        asked = _asked(table, index, params=params, names=names)
        for path in paths_of(asked.filter) if asked.filter else ():
            if path.steps[0] in key.names:
                why = "Filter Expression can only contain non-primary key attributes: Primary key attribute"
                raise refused(f"{why}: {path.steps[0]}")
        after = _after(asked, params.get("ExclusiveStartKey"))
        if after is not None and span.start[:HASH_BYTES] != after[:HASH_BYTES]:
            raise refused("The provided starting key is outside query boundaries based on provided conditions")
        backwards = params.get("ScanIndexForward") is False
        page = asked.shelf.page(span, after=after, most=_limit(params), most_bytes=PAGE_BYTES, backwards=backwards)
        return _answer(asked, page, params)

    def scan(self, params: Params, region: str) -> bytes:
        """Scan."""
        table = self._tables.get(params, region)
        index = _index(table, params)
        names = Names.of(params, ("FilterExpression", "ProjectionExpression"))
        _refuse_legacy(params)
        asked = _asked(table, index, params=params, names=names)
        span = _segment(params)
        after = _after(asked, params.get("ExclusiveStartKey"))
        if after is not None and not (span.start <= after and (span.stop is None or after < span.stop)):
            why = "Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment."
            why = f"The provided starting key is invalid: {why}"
            raise refused(f"{why} TotalSegments: {params.get('TotalSegments')} Segment: {params.get('Segment')}")
        return _answer(asked, asked.shelf.page(span, after=after, most=_limit(params), most_bytes=PAGE_BYTES), params)


# ---- what is asked


def _index(table: Table, params: Params) -> Index | None:
    name = params.get("IndexName")
    if name is None:
        return None
    found = table.indexes.get(name)
    if found is None:
        raise refused(f"The table does not have the specified index: {name}")
    if found.is_global and params.get("ConsistentRead"):
        raise refused("Consistent reads are not supported on global secondary indexes")
    return found


def _asked(table: Table, index: Index | None, *, params: Params, names: Names) -> _Asked:
    text = params.get("FilterExpression")
    wanted = None if text is None else condition(Words(text, names, kind="FilterExpression"))
    parts = projection(params, names)
    names.end()
    select = params.get("Select")
    _check_select(select, index, has_parts=parts is not None)
    _check_projected(index, parts.paths if parts else (), wanted=wanted)
    is_whole = index is not None and not index.is_global and index.attributes is not None
    if is_whole and index is not None:
        held = index.attributes or frozenset()
        is_whole = select == "ALL_ATTRIBUTES" or (parts is not None and any(one.steps[0] not in held for one in parts.paths))
    return _Asked(table, index, wanted, parts, select == "COUNT", is_whole)


def _check_select(select: object, index: Index | None, *, has_parts: bool) -> None:
    if has_parts and select not in (None, "SPECIFIC_ATTRIBUTES"):
        raise refused(f"Cannot specify the ProjectionExpression when choosing to get {_SELECTS.get(str(select), select)}")
    if select == "SPECIFIC_ATTRIBUTES" and not has_parts:
        raise refused("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
    if select == "ALL_PROJECTED_ATTRIBUTES" and index is None:
        raise refused("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
    if select == "ALL_ATTRIBUTES" and index is not None and index.is_global and index.attributes is not None:
        why = f"Select type ALL_ATTRIBUTES is not supported for global secondary index {index.name}"
        raise one_or_more(f"{why} because its projection type is not ALL")


def _check_projected(index: Index | None, parts: Iterable[Path], *, wanted: Condition | None) -> None:
    """Raises: AWSError for attributes that an index does not hold and does not fetch from the table, or that a filter reads.

    Source: API reference, Query, "Select"; the words as https://github.com/localstack/localstack/issues/478 quotes them. Of
    filters, for which no index fetches: test_lsi.py of https://github.com/scylladb/scylladb, and the words as
    https://github.com/paritysuite/dynamodb-conformance has recorded them.
    """
    if index is None or index.attributes is None:
        return
    filtered = _missing(index.attributes, paths_of(wanted) if wanted else ())
    if filtered:
        raise one_or_more(f"Secondary index {index.name} does not project one or more filter attributes: [{filtered}]")
    asked = _missing(index.attributes, parts) if index.is_global else ""
    if asked:
        raise one_or_more(f"Global secondary index {index.name} does not project [{asked}]")


def _missing(held: Collection[str], paths: Iterable[Path]) -> str:
    return ", ".join(dict.fromkeys(str(path.steps[0]) for path in paths if path.steps[0] not in held))


_SELECTS = {"COUNT": "only the Count", "ALL_ATTRIBUTES": "ALL_ATTRIBUTES"}


def _refuse_legacy(params: Params) -> None:
    found = [name for name in _LEGACY if params.get(name)]
    if found:
        raise refused(f"{', '.join(found)}: parameters from before expressions are not part of this test server.")


def _limit(params: Params) -> int:
    most = params.get("Limit")
    if most is None:
        return _EVERYTHING
    if int(most) < 1:
        why = f"Value '{most}' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"
        raise refused(f"1 validation error detected: {why}")
    return int(most)


def _segment(params: Params) -> Span:
    """The stretch of one segment: of all hashes, its share."""
    at, total = params.get("Segment"), params.get("TotalSegments")
    if at is None and total is None:
        return Span()
    told = "parameter is required but was not present in the request when"
    if total is None:
        raise refused(f"The TotalSegments {told} Segment parameter is present")
    if not 1 <= int(total) <= _SEGMENTS:
        bound = "greater than or equal to 1" if int(total) < 1 else f"less than or equal to {_SEGMENTS}"
        why = f"Value '{total}' at 'totalSegments' failed to satisfy constraint: Member must have value {bound}"
        raise refused(f"1 validation error detected: {why}")
    if at is None:
        raise refused(f"The Segment {told} parameter TotalSegments is present")
    if not 0 <= int(at) < int(total):
        why = "The Segment parameter is zero-based and must be less than parameter TotalSegments"
        raise refused(f"{why}: Segment: {at} is not less than TotalSegments: {total}")
    bits = 8 * HASH_BYTES
    start, stop = (((one << bits) // int(total)) for one in (int(at), int(at) + 1))
    return Span(start.to_bytes(HASH_BYTES, "big"), stop.to_bytes(HASH_BYTES, "big") if stop >> bits == 0 else None)


def _after(asked: _Asked, key: object) -> bytes | None:
    """The place from behind which a page begins."""
    if key is None:
        return None
    names = asked.key_names()
    if not isinstance(key, dict) or set(key) != set(names):
        more = "" if asked.index else ": The provided key element does not match the schema"
        raise refused(f"The provided starting key is invalid{more}")
    try:
        made = {name: checked(key[name])[0] for name in names}
        asked.table.key.check(made)
        return asked.place(made)
    except AWSError as error:
        why = "The provided key element does not match the schema" if "Type mismatch" in error.message else error.message
        raise refused(f"The provided starting key is invalid: {why}") from error


# ---- what is told


def _answer(asked: _Asked, page: Page, params: Params) -> bytes:
    """A page as it goes over the wire: items that are told whole are joined as they are kept."""
    items = _told_items(asked, page)
    end: Result = {"ScannedCount": len(page.places)}
    if page.is_full and page.places:
        end["LastEvaluatedKey"] = _last(asked, page)
    if is_wanted(params):
        units = read_units(page.size, consistent=bool(params.get("ConsistentRead")))
        end["ConsumedCapacity"] = consumed(params, asked.table, units=units, index=asked.index)
    start, rest = b'{"Count":%d,' % len(items), encoded(end)[1:]
    if asked.counts_only or not items:
        return start + (rest if asked.counts_only else b'"Items":[],' + rest)
    items[0] = start + b'"Items":[' + items[0]
    items[-1] += b"]," + rest  # so that the page is copied once
    return b",".join(items)


def _told_items(asked: _Asked, page: Page) -> list[bytes]:
    items = page.items
    if asked.is_whole:
        items = [_of_table(asked, json.loads(data)) for data in page.items]
    if asked.filter is None and asked.projection is None:
        return items
    kept: list[bytes] = []
    for data in items:
        item = json.loads(data)
        if asked.filter is None or holds(asked.filter, item):
            kept.append(data if asked.projection is None else encoded(asked.projection.of(item)))
    return kept


def _of_table(asked: _Asked, key: Item) -> bytes:
    """The whole of an item that a local index holds in part."""
    found = asked.table.shelf.get(asked.table.key.place(key))
    return found[0] if found else b"{}"


def _last(asked: _Asked, page: Page) -> Item:
    item = json.loads(page.items[-1])
    return {name: item[name] for name in asked.key_names()}


# ---- batches


def _batch(params: Params) -> Mapping[str, Any]:
    wanted = params.get("RequestItems")
    if not isinstance(wanted, dict) or not wanted:
        why = "Value '{}' at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1"
        raise refused(f"1 validation error detected: {why}")
    for name, one in wanted.items():
        if not 1 <= len(one.get("Keys") or ()) <= BATCH_KEYS:
            bound = f"less than or equal to {BATCH_KEYS}" if one.get("Keys") else "greater than or equal to 1"
            why = f"at 'requestItems.{name}.member.keys' failed to satisfy constraint: Member must have length {bound}"
            raise refused(f"1 validation error detected: Value {why}")
    if sum(len(one["Keys"]) for one in wanted.values()) > BATCH_KEYS:
        raise refused("Too many items requested for the BatchGetItem call")
    return wanted


def _check_keys(keys: list[tuple[str, Any]], tables: Tables, *, region: str) -> None:
    seen: set[tuple[str, bytes]] = set()
    for name, key in keys:
        table = tables.get({"TableName": name}, region)
        place = (name, table.key.place(table.key.checked(key)))
        if place in seen:
            raise refused("Provided list of item keys contains duplicates")
        seen.add(place)


def _part(item: Item, wanted: Mapping[str, Any]) -> Item:
    names = Names.of(wanted, ("ProjectionExpression",))
    found = projection(wanted, names)
    return item if found is None else found.of(item)


def _left(wanted: Mapping[str, Any], keys: list[tuple[str, Any]]) -> dict[str, Any]:
    """What was not processed, asked as it was asked."""
    names = dict.fromkeys(name for name, _ in keys)
    return {name: {**wanted[name], "Keys": [key for of, key in keys if of == name]} for name in names}
