"""Rows by the REST query resource, in the order of their Ids; objects too wide for one URI by several queries, joined by Id.

A query's cursor lasts two days at most, and less where a user opens many. When the way to the next page is lost, the same query
goes on behind the last Id that came, so no row comes twice. Nor is one missed: an Id never changes, so what is yet to come lies
behind it - but for a record that changed meanwhile and left the window, which ends before that change; the next window, which
begins before this one's end, has it.

Source: Salesforce Help, "Invalid Query Locator": results are available for two days; SOAP API Developer Guide, "QueryLocator":
ten cursors of a user at a time. Read November 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.salesforce import soql, types
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.connectors.salesforce.describe import KEY
from halocline.errors import BadQuery, RetryLater, Truncated
from halocline.quantity import quantity
from halocline.schema import Schema

IDS_AT_ONCE = 100  # ids in one condition: about 3 KB of a URI
_AN_ID = "x" * 18
_NO_ID = "INVALID_QUERY_FILTER_OPERATOR"  # "invalid ID field: ..."
_KEY_BYTES = 4_000  # of a URI that keys may take
ROUNDS = 5  # times that rows which change while they are read are read again

LOST = "INVALID_QUERY_LOCATOR"

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RestQuery:
    """What to read: `where` and `window` are conditions as `soql.condition` and `soql.window` make them.

    `ordered`: the object's rows can be put in the order of their Ids.
    """

    sobject: str
    schema: Schema
    cursor: str | None
    where: str | None
    window: str | None
    include_deleted: bool
    max_bytes: int = soql.MAX_QUERY_BYTES
    ordered: bool = True

    @property
    def text(self) -> str:
        """The query for all columns at once."""
        return soql.select(self.schema.names, self.sobject, conditions=(self.where, self.window))

    def behind(self, last: str | None, names: Sequence[str]) -> str:
        """The query for some columns of the rows behind an Id (None: of all), in order."""
        after = soql.after(KEY, last) if last is not None else None
        return soql.select(names, self.sobject, conditions=(self.where, self.window, after), order=KEY if self.ordered else None)

    def to_json(self) -> dict[str, object]:
        """This query as plain JSON data; `from_json` reads it back."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "schema": self.schema.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RestQuery:
        """The query that `to_json` wrote."""
        return cls(**{**data, "schema": Schema.from_json(data["schema"])})


def batches(client: SalesforceClient, query: RestQuery) -> Iterator[pa.RecordBatch]:
    """The rows, a page at a time, in the schema's types.

    Raises: SchemaConflict for a value that its column cannot hold; Truncated when fewer rows come than were announced;
    RetryLater when rows of a wide object keep changing while they are read.
    """
    longest = query.behind(_AN_ID, query.schema.names)
    whole = soql.uri_bytes(longest, base=client.transport.base) <= query.max_bytes
    pages = _in_order(client, query, names=query.schema.names) if whole else _wide(client, query)
    for records in pages:
        if records:
            yield types.batch_of_records(_flat(records, query), query.schema, sobject=query.sobject)


def _in_order(client: SalesforceClient, query: RestQuery, *, names: Sequence[str]) -> Iterator[Sequence[Record]]:
    """The pages of some columns; from behind the last row that came, when the way to the next page is lost."""
    last: str | None = None
    while True:
        came = False
        try:
            for page in client.query_pages(query.behind(last, names), include_deleted=query.include_deleted):
                yield page
                if page:
                    last, came = str(page[-1][KEY]), True
            return
        except Truncated as error:
            lost = error.code == LOST or error.facts.get("way_lost")
            if not (lost and came and query.ordered):
                raise


def of_keys(client: SalesforceClient, query: RestQuery, *, key: str, keys: Sequence[object]) -> Iterator[pa.RecordBatch]:
    """The rows whose `key` is one of `keys`, some keys a call; SOQL takes `a` for `A`, and what was not meant is left out.

    Raises: as `batches`.
    """
    column = query.schema.column(key)
    wanted = pa.array(keys, column.arrow if column else pa.string())
    for some in _in_uris(keys):
        for rows in _of_sound_keys(client, query, key, some):
            yield rows.filter(pc.is_in(rows.column(key), value_set=wanted))


def _of_sound_keys(client: SalesforceClient, query: RestQuery, key: str, keys: list[Any]) -> Iterator[pa.RecordBatch]:
    """The rows of some keys. Salesforce refuses a whole condition for one text that is no id; no record has that one."""
    found = batches(client, replace(query, window=soql.any_of(key, keys)))
    try:
        first = next(found, None)
    except BadQuery as error:
        if error.code != _NO_ID:
            raise
        half = len(keys) // 2
        for some in (keys[:half], keys[half:]) if half else ():
            yield from _of_sound_keys(client, query, key, some)
        return
    if first is not None:
        yield first
        yield from found


def _in_uris(keys: Sequence[object]) -> Iterator[list[Any]]:
    """The keys in pieces, each short enough for a URI beside a query."""
    some: list[Any] = []
    size = 0
    for key in keys:
        more = len(quote(f"{key}','", safe=""))
        if some and (len(some) == IDS_AT_ONCE or size + more > _KEY_BYTES):
            yield some
            some, size = [], 0
        some.append(key)
        size += more
    if some:
        yield some


def _flat(records: Sequence[Record], query: RestQuery) -> Sequence[Record]:
    """The records with the fields of parents beside their own, named by path: `{"Owner": {"Name": "Ada"}}` has `Owner.Name`."""
    paths = [name.split(".") for name in query.schema.names if "." in name]
    if not paths:
        return records
    return [{**record, **dict(_of_parents(record, paths))} for record in records]


def _of_parents(record: Record, paths: Sequence[Sequence[str]]) -> Iterator[tuple[str, Any]]:
    """The fields at those paths that the record was read with; of a parent that is not there all are null."""
    for path in paths:
        value: Any = record
        for name in path:
            if value is None or name not in value:
                break
            value = value[name]
        else:
            yield ".".join(path), value
            continue
        if value is None:
            yield ".".join(path), None


def column_groups(query: RestQuery, *, base: str) -> list[tuple[str, ...]]:
    """The columns in groups whose queries fit in a URI; key and cursor are in each. One group, where conditions leave no room."""
    always = [name for name in (KEY, query.cursor) if name]
    longest = (query.where, query.window, soql.any_of(KEY, [_AN_ID] * IDS_AT_ONCE))
    groups, current = [], list(always)
    for name in (name for name in query.schema.names if name not in always):
        if not _fits(query, [*current, name], conditions=longest, base=base):
            if current == always or not _fits(query, [*always, name], conditions=longest, base=base):
                return [query.schema.names]  # which goes in the body of a request
            groups.append(tuple(current))
            current = list(always)
        current.append(name)
    return [*groups, tuple(current)]


def _fits(query: RestQuery, names: Sequence[str], *, conditions: Iterable[str | None], base: str) -> bool:
    text = soql.select(names, query.sobject, conditions=conditions)
    return soql.uri_bytes(text, base=base) <= query.max_bytes


def _wide(client: SalesforceClient, query: RestQuery) -> Iterator[list[Record]]:
    """The records of the first group of columns, each joined with the other groups."""
    first, *others = column_groups(query, base=client.transport.base)
    for page in _in_order(client, query, names=first):
        for begin in range(0, len(page), IDS_AT_ONCE):
            yield _joined(client, query, first=first, others=others, records=_flat(page[begin : begin + IDS_AT_ONCE], query))


def _joined(
    client: SalesforceClient,
    query: RestQuery,
    *,
    first: tuple[str, ...],
    others: Sequence[tuple[str, ...]],
    records: Iterable[Record],
) -> list[Record]:
    """The records with all columns, each as it was at one stamp: those that moved meanwhile are read again.

    A record that is gone, or no longer meets the condition, when it is read again is left out, as if it had been so before.
    """
    whole: list[Record] = []
    moved: list[str] = []
    for _ in range(ROUNDS):
        pieces = [_by_id(client, query, names=names, ids=[r[KEY] for r in records]) for names in others]
        moved = []
        for record in records:
            parts = [piece.get(record[KEY]) for piece in pieces]
            if any(part is None or _stamp(part, query) != _stamp(record, query) for part in parts):
                moved.append(record[KEY])
            else:
                whole.append({name: value for part in (*parts, record) if part for name, value in part.items()})
        if not moved:
            return whole
        records = list(_by_id(client, query, names=first, ids=moved, where=query.where).values())
    raise RetryLater(
        f"Reading {query.sobject}", f"{quantity(len(moved), 'row')} changed again and again in the middle of the read"
    )


def _by_id(
    client: SalesforceClient, query: RestQuery, *, names: Sequence[str], ids: Sequence[str], where: str | None = None
) -> dict[str, Record]:
    text = soql.select(names, query.sobject, conditions=(soql.any_of(KEY, ids), where))
    pages = client.query_pages(text, include_deleted=query.include_deleted)
    return {r[KEY]: r for page in pages for r in _flat(page, query)}


def _stamp(record: Record, query: RestQuery) -> object:
    """What tells one state of a record from another; nothing, where the object has no stamp."""
    return record[query.cursor] if query.cursor else None
