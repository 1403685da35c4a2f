"""Writes: items put, changed and deleted, one by one, in batches, or all together or none.

Source: "Amazon DynamoDB API reference", https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/Welcome.html. The words of
refusals are the service's as https://github.com/architect/dynalite has recorded them from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halocline.testing.aws.clock import Clock
from halocline.testing.aws.dynamodb_capacity import consumed, is_wanted, with_consumed, write_units
from halocline.testing.aws.dynamodb_condition import Condition, condition, holds
from halocline.testing.aws.dynamodb_expression import Names, Words
from halocline.testing.aws.dynamodb_reads import BATCH_BYTES, EXCEEDED
from halocline.testing.aws.dynamodb_reply import Refusal, refused
from halocline.testing.aws.dynamodb_table import Table
from halocline.testing.aws.dynamodb_tables import Params, Result, Tables
from halocline.testing.aws.dynamodb_update import Update, changed, returns, update
from halocline.testing.aws.dynamodb_value import Item
from halocline.testing.aws.errors import AWSError

BATCH_WRITES = 25  # Source: API reference, BatchWriteItem
FAILED = "The conditional request failed"
_LEGACY = ("Expected", "AttributeUpdates", "ConditionalOperator")


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done to one item: put `after` in its place, update it, delete it, or (`kind` Check) only look at it."""

    kind: str
    table: Table
    place: bytes
    key: Item
    after: Item | None = None
    size: int = 0
    update: Update | None = None
    condition: Condition | None = None
    tells_item: bool = False  # where the condition fails

    def check(self, before: Item | None) -> None:
        """Raises: Refusal (ConditionalCheckFailedException) where the item that is there does not fulfil the condition."""
        if self.condition is not None and not holds(self.condition, before or {}):
            told = {"Item": before} if self.tells_item and before is not None else {}
            raise Refusal("ConditionalCheckFailedException", FAILED, told=told)

    def made(self, before: Item | None) -> tuple[Item | None, int]:
        """The item that it leaves, and its size.
        Raises: AWSError for an update that this item cannot take.
        """
        if self.update is None:
            return (before, 0) if self.kind == "Check" else (self.after, self.size)
        updated = {str(path.steps[0]) for path in self.update.paths}
        _, made, size = self.table.checked(self.update.made(self.key if before is None else before), updated=updated)
        return made, size


class Writes:
    """The operations that write, but for transactions."""

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock

    def put(self, params: Params, region: str) -> Result:
        """PutItem."""
        wanted = returns(params, "PutItem")
        return self._done(change_of("Put", params, table=self._tables.get(params, region)), params, wanted=wanted)

    def delete(self, params: Params, region: str) -> Result:
        """DeleteItem."""
        wanted = returns(params, "DeleteItem")
        return self._done(change_of("Delete", params, table=self._tables.get(params, region)), params, wanted=wanted)

    def update(self, params: Params, region: str) -> Result:
        """UpdateItem."""
        wanted = returns(params, "UpdateItem")
        return self._done(change_of("Update", params, table=self._tables.get(params, region)), params, wanted=wanted)

    def batch(self, params: Params, region: str, *, failing: int) -> Result:
        """BatchWriteItem; the last `failing` writes (-1: all) are not processed."""
        wanted = _batch(params)
        writes = [(name, one) for name, ones in wanted.items() for one in ones]
        changes = [self._batched(name, one, region=region) for name, one in writes]
        if len({(change.table.arn, change.place) for change in changes}) < len(changes):
            raise refused("Provided list of item keys contains duplicates")
        if sum(change.size for change in changes) > BATCH_BYTES:
            raise refused("The batch write request exceeds the maximum size of 16 MB")
        stop = len(changes) - (len(changes) if failing < 0 else failing)
        if stop <= 0:
            raise AWSError("ProvisionedThroughputExceededException", EXCEEDED)
        units: dict[str, float] = dict.fromkeys(wanted, 0.0)
        for (name, _), change in zip(writes[:stop], changes, strict=False):
            units[name] += write_units(max(change.size, change.table.size(change.place)))
            change.table.write(change.place, change.after, size=change.size, now=self._clock.now())
        left = writes[stop:]
        told: Result = {"UnprocessedItems": {name: [one for of, one in left if of == name] for name, _ in left}}
        if is_wanted(params):
            tables = {name: self._tables.get({"TableName": name}, region) for name in wanted}
            told["ConsumedCapacity"] = [consumed(params, tables[name], units=used) for name, used in units.items()]
        return told

    def _done(self, change: Change, params: Params, *, wanted: str) -> Result:
        table, place = change.table, change.place
        before, old_size = table.item(place), table.size(place)
        change.check(before)
        after, size = change.made(before)
        table.write(place, after, size=size, now=self._clock.now())
        told: Result = {}
        if wanted != "NONE":
            paths = change.update.paths if change.update else []
            shown = changed(before or {}, after or {}, paths=paths, wanted=wanted)
            told = {"Attributes": shown} if shown else {}
        return with_consumed(told, params, table=table, units=write_units(max(size, old_size)))

    def _batched(self, name: str, wanted: Params, *, region: str) -> Change:
        table = self._tables.get({"TableName": name}, region)
        kinds = [kind for kind in ("Put", "Delete") if wanted.get(f"{kind}Request") is not None]
        if len(kinds) != 1:
            raise refused(_TWO_REQUESTS if kinds else _NO_REQUEST)
        return change_of(kinds[0], wanted[f"{kinds[0]}Request"], table=table)


_TWO_REQUESTS = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
_NO_REQUEST = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"


def change_of(kind: str, params: Params, *, table: Table) -> Change:
    """What a request, or one of a transaction, wants done: `kind` is Put, Delete, Update or Check.
    Raises: AWSError for one that cannot be meant.
    """
    legacy = [name for name in _LEGACY if params.get(name)]
    if legacy:
        raise refused(f"{', '.join(legacy)}: parameters from before expressions are not part of this test server.")
    kinds = ("UpdateExpression", "ConditionExpression") if kind == "Update" else ("ConditionExpression",)
    names = Names.of(params, kinds)
    wanted = Update()
    if kind == "Update" and (text := params.get("UpdateExpression")) is not None:
        wanted = update(Words(text, names, kind="UpdateExpression"))
        wanted.check(table.key.names)
    text = params.get("ConditionExpression")
    needed = None if text is None else condition(Words(text, names, kind="ConditionExpression"))
    names.end()
    tells = params.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    if kind == "Put":
        place, item, size = table.checked(params.get("Item"))
        return Change(kind, table, place, table.key.of(item), item, size, None, needed, tells)
    key = table.key.checked(params.get("Key"))
    place = table.key.place(key)
    return Change(kind, table, place, key, None, 0, wanted if kind == "Update" else None, needed, tells)


def _batch(params: Params) -> Mapping[str, list[Any]]:
    wanted = params.get("RequestItems")
    told = "1 validation error detected: Value '{}' at 'requestItems' failed to satisfy constraint"
    if not isinstance(wanted, dict) or not wanted:
        raise refused(f"{told}: Member must have length greater than or equal to 1")
    limits = f"[Member must have length less than or equal to {BATCH_WRITES}, Member must have length greater than or equal to 1]"
    if any(not 1 <= len(ones) <= BATCH_WRITES for ones in wanted.values()):
        raise refused(f"{told}: Map value must satisfy constraint: {limits}")
    if sum(len(ones) for ones in wanted.values()) > BATCH_WRITES:
        raise refused("Too many items requested for the BatchWriteItem call")
    return wanted
