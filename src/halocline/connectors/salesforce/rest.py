"""Rows by the REST query resource; objects too wide for one URI by several queries, joined by Id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from halocline.connectors.salesforce import soql, types
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.connectors.salesforce.describe import KEY
from halocline.errors import BadQuery, RetryLater
from halocline.schema import Schema

IDS_AT_ONCE = 100  # ids in one condition: about 3 KB of a URI
ROUNDS = 5  # times that rows which change while they are read are read again

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RestQuery:
    """What to read: `where` and `window` are conditions as `soql.condition` and `soql.window` make them."""

    sobject: str
    schema: Schema
    cursor: str | None
    where: str | None
    window: str | None
    include_deleted: bool
    max_bytes: int = soql.MAX_QUERY_BYTES

    @property
    def text(self) -> str:
        """The query for all columns at once."""
        return soql.select(self.schema.names, self.sobject, conditions=(self.where, self.window))

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
    whole = soql.uri_bytes(query.text, base=client.transport.base) <= query.max_bytes
    pages = client.query_pages(query.text, include_deleted=query.include_deleted) if whole else _wide(client, query)
    for records in pages:
        if records:
            yield types.batch_of_records(records, query.schema, sobject=query.sobject)


def column_groups(query: RestQuery, *, base: str) -> list[tuple[str, ...]]:
    """The columns in groups whose queries fit in a URI; key and cursor are in each.

    Raises: BadQuery when the conditions alone leave no room.
    """
    always = [name for name in (KEY, query.cursor) if name]
    longest = (query.where, query.window, soql.any_of(KEY, ["x" * 18] * IDS_AT_ONCE))
    groups, current = [], list(always)
    for name in (name for name in query.schema.names if name not in always):
        if not _fits(query, [*current, name], conditions=longest, base=base):
            if current == always or not _fits(query, [*always, name], conditions=longest, base=base):
                doing = f"Splitting the query of {query.sobject}"
                raise BadQuery(doing, "the where clause leaves no room for fields in a URI", hint="Shorten the where clause.")
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
    text = soql.select(first, query.sobject, conditions=(query.where, query.window))
    for page in client.query_pages(text, include_deleted=query.include_deleted):
        for begin in range(0, len(page), IDS_AT_ONCE):
            yield _joined(client, query, first=first, others=others, records=page[begin : begin + IDS_AT_ONCE])


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
    raise RetryLater(f"Reading {query.sobject}", f"{len(moved)} rows changed again and again while they were read")


def _by_id(
    client: SalesforceClient, query: RestQuery, *, names: Sequence[str], ids: Sequence[str], where: str | None = None
) -> dict[str, Record]:
    text = soql.select(names, query.sobject, conditions=(soql.any_of(KEY, ids), where))
    return {r[KEY]: r for page in client.query_pages(text, include_deleted=query.include_deleted) for r in page}


def _stamp(record: Record, query: RestQuery) -> object:
    """What tells one state of a record from another; nothing, where the object has no stamp."""
    return record[query.cursor] if query.cursor else None
