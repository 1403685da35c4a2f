"""Transactions: up to 100 writes of which all are done or none, and reads of one moment.

Source: "Amazon DynamoDB Transactions: How it works",
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from halocline.testing.aws.clock import Clock
from halocline.testing.aws.dynamodb_capacity import consumed, is_wanted, read_units, write_units
from halocline.testing.aws.dynamodb_expression import Names
from halocline.testing.aws.dynamodb_projection import projection
from halocline.testing.aws.dynamodb_reply import EmptyKey, Refusal, refused
from halocline.testing.aws.dynamodb_table import Table
from halocline.testing.aws.dynamodb_tables import Params, Result, Tables
from halocline.testing.aws.dynamodb_value import Item
from halocline.testing.aws.dynamodb_writes import Change, change_of
from halocline.testing.aws.errors import AWSError

MOST = 100  # actions; the page above
MOST_BYTES = 4 << 20  # the page above
_TOKEN_S = 600.0  # the page above: a token is good for ten minutes
_KINDS = {"Put": "Put", "Update": "Update", "Delete": "Delete", "ConditionCheck": "Check"}
_REASONS = {"ConditionalCheckFailedException": "ConditionalCheckFailed", "ValidationException": "ValidationError"}


@dataclass(frozen=True, slots=True)
class _Done:
    """A transaction that was done, by its token."""

    asked: str
    at: float


class Transactions:
    """TransactWriteItems and TransactGetItems."""

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._done: dict[str, _Done] = {}

    def write(self, params: Params, region: str) -> Result:
        """TransactWriteItems."""
        actions = _actions(params)
        if self._is_done(params):
            return self._told(params, [])
        changes = [self._change(one, region) for one in actions]
        if len({(change.table.arn, change.place) for change in changes}) < len(changes):
            raise refused("Transaction request cannot include multiple operations on one item")
        now = self._clock.now()
        after = _all_made(changes)
        if sum(size for _, size in after) > MOST_BYTES:
            raise refused("Member must have length less than or equal to 4194304: the transaction is too large")
        units = [
            (change.table, write_units(max(size, change.table.size(change.place)), times=2))
            for change, (_, size) in zip(changes, after, strict=True)
        ]
        for change, (item, size) in zip(changes, after, strict=True):
            if change.kind != "Check":
                change.table.write(change.place, item, size=size, now=now)
        if token := params.get("ClientRequestToken"):
            self._done[str(token)] = _Done(_asked(params), now)
        return self._told(params, units)

    def get(self, params: Params, region: str) -> Result:
        """TransactGetItems."""
        found: list[Result] = []
        units: list[tuple[Table, float]] = []
        for one in _actions(params):
            wanted = one["Get"]
            table = self._tables.get(wanted, region)
            names = Names.of(wanted, ("ProjectionExpression",))
            parts = projection(wanted, names)
            names.end()
            place = table.key.place(table.key.checked(wanted.get("Key")))
            item = table.item(place)
            units.append((table, read_units(table.size(place), consistent=True, times=2)))
            found.append({} if item is None else {"Item": item if parts is None else parts.of(item)})
        return {"Responses": found, **self._told(params, units)}

    def _change(self, action: Params, region: str) -> Change:
        kinds = [kind for kind in _KINDS if action.get(kind) is not None]
        if len(kinds) != 1:
            raise refused("TransactItems can only contain one of Check, Put, Update or Delete")
        wanted = action[kinds[0]]
        return change_of(_KINDS[kinds[0]], wanted, table=self._tables.get(wanted, region))

    def _is_done(self, params: Params) -> bool:
        """Whether a transaction of this token was done within ten minutes.
        Raises: AWSError where it was another one.
        """
        oldest = self._clock.now() - _TOKEN_S
        self._done = {token: one for token, one in self._done.items() if one.at > oldest}
        before = self._done.get(str(params.get("ClientRequestToken")))
        if before is not None and before.asked != _asked(params):
            raise AWSError(
                "IdempotentParameterMismatchException",
                "Request parameters do not match the previous request with the same client token",
            )
        return before is not None

    def _told(self, params: Params, units: Sequence[tuple[Table, float]]) -> Result:
        if not is_wanted(params):
            return {}
        totals: dict[str, float] = {}
        for table, used in units:
            totals[table.arn] = totals.get(table.arn, 0.0) + used
        tables = {table.arn: table for table, _ in units}
        return {"ConsumedCapacity": [consumed(params, tables[arn], units=used) for arn, used in totals.items()]}


def _actions(params: Params) -> list[Any]:
    actions = params.get("TransactItems")
    found = actions if isinstance(actions, list) else []
    if not 1 <= len(found) <= MOST:
        bound = f"less than or equal to {MOST}" if found else "greater than or equal to 1"
        why = f"at 'transactItems' failed to satisfy constraint: Member must have length {bound}"
        raise refused(f"1 validation error detected: Value '[...]' {why}")
    return found


def _asked(params: Params) -> str:
    return json.dumps(params.get("TransactItems"), sort_keys=True)


def _all_made(changes: Sequence[Change]) -> list[tuple[Item | None, int]]:
    """What all changes leave.
    Raises: Refusal (TransactionCanceledException) where one cannot be done, with the reason of each; EmptyKey as it is.
    """
    made: list[tuple[Item | None, int]] = []
    reasons: list[Result] = []
    for change in changes:
        before = change.table.item(change.place)
        try:
            change.check(before)
            made.append(change.made(before))
            reasons.append({"Code": "None"})
        except EmptyKey:
            raise
        except AWSError as error:
            told = error.told if isinstance(error, Refusal) else {}
            reasons.append({"Code": _REASONS.get(error.code, error.code), "Message": error.message, **told})
    if len(made) == len(changes):
        return made
    codes = ", ".join(reason["Code"] for reason in reasons)
    why = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    raise Refusal("TransactionCanceledException", why, told={"CancellationReasons": reasons})
