"""DynamoStore: claims in a table of DynamoDB, each key an item that is written on condition that nobody else wrote it meanwhile.

A batch is read in one call and decided here; what changes is written by one call for each key, several at a time. Where another
worker was faster the key is read and decided anew. DynamoDB has no clock that a condition could ask: instants are those of the
hosts, so a host whose clock runs ahead by more than a lease takes claims over too early. Its fence is the higher one still.
Source: "Condition expressions",
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html; "BatchGetItem" (100 keys,
consistent reads, UnprocessedKeys), https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html; "Using
time to live (TTL)" (items stay for days behind it), https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from halocline.claim_store import Change, DecidingStore
from halocline.claims import KEPT_S, MICRO, Clock, Record, known, micros
from halocline.connectors.aws.errors import gate
from halocline.connectors.aws.session import Access, session_of
from halocline.errors import FixConfig, NotFound, RetryLater
from halocline.idempotency import Entry

_READ = 100  # keys of a call
_LONGEST_KEY = 2_048  # bytes. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_AT_ONCE = 10  # writes
_ROUNDS = 12  # a key that others were faster at so often is in trouble
_RIGHTS = "The login needs dynamodb:BatchGetItem and dynamodb:PutItem on the table, and dynamodb:Scan to list what is set aside."
_MAKE = (
    "Make it: aws dynamodb create-table --table-name {table} --billing-mode PAY_PER_REQUEST --key-schema"
    " AttributeName=key,KeyType=HASH --attribute-definitions AttributeName=key,AttributeType=S; then aws dynamodb"
    " update-time-to-live --table-name {table} --time-to-live-specification Enabled=true,AttributeName=expires"
)
_CHECK = "#state = :state AND fence = :fence AND #until = :until AND since = :since"
_NUMBERS = {"fence", "since", "until", "deaths", "attempts"}


def open_claims(place: str) -> DynamoStore:
    """The store in the table of a URI `dynamodb://table?region=eu-west-1`; its settings are those of `Access`.

    Raises: FixConfig for a URI that names no table, or settings that cannot be meant.
    """
    parts = urlsplit(place)
    if not parts.netloc or parts.path.strip("/"):
        hint = "Write dynamodb://table, or dynamodb://table?region=eu-west-1."
        raise FixConfig("Opening the idempotency store", "its URI names no table of DynamoDB", hint=hint)
    return DynamoStore(parts.netloc, Access.of(dict(parse_qsl(parts.query))))


class DynamoStore(DecidingStore):
    """An `IdempotencyStore` in the table of that name, with the text `key` as its partition key. `expires` is the attribute for
    DynamoDB's time to live; where it is not switched on, items stay for ever.

    Raises: FixConfig where boto3 has no region or profile, or a wrong one.
    """

    def __init__(self, table: str, access: Access | None = None, *, clock: Clock = time.time) -> None:
        self._table = table
        self._clock = clock
        self._client: Any = session_of(Access.of({}) if access is None else access).client("dynamodb")

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="halocline-dynamodb")

    def close(self) -> None:
        """See `IdempotencyStore.close`."""
        if "_pool" in self.__dict__:
            self._pool.shutdown()

    def _change(self, changes: Sequence[tuple[str, Change]], *, doing: str) -> list[Any]:
        answers: list[Any] = [None] * len(changes)
        left = {key: [place for place, (other, _) in enumerate(changes) if other == key] for key, _ in changes}
        for _ in range(_ROUNDS):
            records, now = self._read(list(left), doing=doing)
            writes = []
            for key, places in left.items():
                before = after = records.get(key)
                for place in places:
                    answers[place], written = changes[place][1](after, now)
                    after = after if written is None else written
                if after is not None and after != before:
                    writes.append((key, before, after))
            left = {key: left[key] for key in self._put(writes, doing=doing)}
            if not left:
                return answers
        cause = f"other workers were faster {_ROUNDS} times"
        raise RetryLater(f"{doing} in the table {self._table}", cause, hint="It is tried again.")

    def _put(self, writes: Sequence[tuple[str, Record | None, Record]], *, doing: str) -> list[str]:
        """Write records over those that were read; the keys at which somebody else was faster."""
        if len(writes) < 2:
            return [write[0] for write in writes if not self._put_one(*write, doing=doing)]
        fits = list(self._pool.map(lambda write: self._put_one(*write, doing=doing), writes))
        return [write[0] for write, fit in zip(writes, fits, strict=True) if not fit]

    def _put_one(self, key: str, before: Record | None, after: Record, *, doing: str) -> bool:
        with self._gate(doing):
            try:
                self._client.put_item(TableName=self._table, Item=_item(key, after), **_condition(before))
            except self._client.exceptions.ConditionalCheckFailedException:
                return False
        return True

    def _read(self, keys: Sequence[str], *, doing: str) -> tuple[Mapping[str, Record], int]:
        names = {_name(key): key for key in keys}
        found: dict[str, Record] = {}
        wanted = list(names)
        for start in range(0, len(wanted), _READ):
            for item in self._items(wanted[start : start + _READ], doing=doing):
                found[names[item["key"]["S"]]] = _record(item)
        return found, micros(self._clock())

    def _items(self, names: Sequence[str], *, doing: str) -> Iterator[dict[str, Any]]:
        asked: Any = {self._table: {"Keys": [{"key": {"S": name}} for name in names], "ConsistentRead": True}}
        while asked:
            with self._gate(doing):
                answer = self._client.batch_get_item(RequestItems=asked)
            yield from answer["Responses"].get(self._table, ())
            asked = answer.get("UnprocessedKeys")

    def _aside(self, limit: int, *, doing: str) -> list[Entry]:
        with self._gate(doing):
            pages = self._client.get_paginator("scan").paginate(
                TableName=self._table,
                FilterExpression="#state = :state",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={":state": {"S": "quarantined"}},
            )
            items = [item for page in pages for item in page["Items"]]
        now = micros(self._clock())
        found = [(item["name" if "name" in item else "key"]["S"], known(_record(item), now)) for item in items]
        entries = [record.entry(key) for key, record in found if record is not None]
        return sorted(entries, key=lambda entry: (entry.since_s, entry.key))[:limit]

    @contextmanager
    def _gate(self, doing: str) -> Iterator[None]:
        doing = f"{doing} in the table {self._table}"
        try:
            with gate(doing, rights=_RIGHTS):
                yield
        except NotFound as error:
            raise NotFound(doing, error.cause, hint=_MAKE.format(table=self._table), code=error.code) from error


def _name(key: str) -> str:
    """The key as an item has it: a longer one than DynamoDB takes is told by its hash."""
    encoded = key.encode()
    return key if len(encoded) <= _LONGEST_KEY else f"sha256:{hashlib.sha256(encoded).hexdigest()}"


def _item(key: str, record: Record) -> dict[str, Any]:
    name = _name(key)
    item: dict[str, Any] = {"key": {"S": name}} if name == key else {"key": {"S": name}, "name": {"S": key}}
    for one in fields(record):
        value = getattr(record, one.name)
        item[one.name] = {"N": str(value)} if one.name in _NUMBERS else {"S": value}
    if record.until:
        kept = micros(KEPT_S) if record.state == "claimed" else 0
        item["expires"] = {"N": str((record.until + kept) // MICRO + 1)}
    return item


def _record(item: Mapping[str, Any]) -> Record:
    texts = {one.name: next(iter(item[one.name].values())) for one in fields(Record)}
    values: dict[str, Any] = {name: int(text) if name in _NUMBERS else text for name, text in texts.items()}
    return Record(**values)


def _condition(before: Record | None) -> dict[str, Any]:
    """That the item is still as it was read."""
    if before is None:
        return {"ConditionExpression": "attribute_not_exists(#key)", "ExpressionAttributeNames": {"#key": "key"}}
    values: dict[str, Any] = {":state": {"S": before.state}}
    values |= {f":{name}": {"N": str(getattr(before, name))} for name in ("fence", "until", "since")}
    names = {"#state": "state", "#until": "until"}
    return {"ConditionExpression": _CHECK, "ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
