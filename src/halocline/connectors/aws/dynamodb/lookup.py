"""Lookup: single items of a table by their key, as they are now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from halocline.batch import JSON, Batch
from halocline.connector import Plan
from halocline.connectors.aws.dynamodb.account import Account
from halocline.connectors.aws.dynamodb.changes import refuse_other_key
from halocline.connectors.aws.dynamodb.client import AGAIN, DynamoDB, Table
from halocline.connectors.aws.dynamodb.pages import Pages
from halocline.connectors.aws.dynamodb.shape import Shape
from halocline.connectors.aws.dynamodb.values import tagged
from halocline.connectors.aws.dynamodb.wanted import Wanted
from halocline.errors import FixConfig, RetryLater
from halocline.events import Waiting
from halocline.quantity import quantity
from halocline.retry import retry
from halocline.schema import Schema

_KEYS = 100  # of a BatchGetItem


class Lookup:
    """Items of the table that is `wanted`, which DynamoDB describes as `table`.

    Raises: FixConfig for a key of two attributes, another one than the table's, and reads of which a key does not tell whether an
    item belongs to them.
    """

    def __init__(
        self, account: Account, dynamodb: DynamoDB, wanted: Wanted, *, table: Table, key: Sequence[str], shape: Shape
    ) -> None:
        self._doing = f"Reading items of {table.name} again"
        if wanted.filter is not None or wanted.index is not None:
            hint = "Run it anew."
            raise FixConfig(
                self._doing, "whether an item passes the filter, or is in the index, its key does not tell", hint=hint
            )
        refuse_other_key(table.name, shape, key=key, own=table.key)
        if len(table.key) != 1:
            raise FixConfig(self._doing, "its key has two attributes", hint="Run it anew.")
        self.calls = 0
        self._account = account
        self._dynamodb = dynamodb
        self._table = wanted.table  # by its ARN where it is another account's
        self._name = table.key[0]
        self._tag = table.types[self._name]
        self._shape = shape

    def batches(self, plan: Plan, keys: Sequence[JSON]) -> Iterator[Batch]:
        """The items that are there, in the columns of the plan; those that do not fit in these are rejections.

        Raises: RetryLater where DynamoDB leaves all keys undone all the while; what `DynamoDB.batch_get` raises; Stop when the
        end was called.
        """
        pages = Pages(_in_columns(self._shape, plan.schema))
        first = 0
        for start in range(0, len(keys), _KEYS):
            left = [{self._name: _key_value(one, self._tag)} for one in keys[start : start + _KEYS]]
            while left:
                items, left = retry(partial(self._some, left), AGAIN, waiting=self._waiting, pace=self._account.pace)
                decoded = pages.decode(json.dumps({"Items": items}, ensure_ascii=False).encode())
                moved = tuple(replace(one, row=one.row + first) for one in decoded.rejected)
                yield Batch(decoded.batch, first_row=first, rejections=moved)
                first += len(items)

    def _some(self, asked: list[dict[str, Any]]) -> tuple[list[Any], list[dict[str, Any]]]:
        """The items of some keys, and the keys that DynamoDB left for the next call.

        Raises: RetryLater where it left all of them.
        """
        self._account.check(self._doing)
        self.calls += 1
        answer: Mapping[str, Any] = json.loads(self._dynamodb.batch_get(self._table, asked, consistent=True))
        items = [one for some in answer["Responses"].values() for one in some]  # one table is asked, whatever it is called
        left = [key for one in answer.get("UnprocessedKeys", {}).values() for key in one["Keys"]]
        if left and len(left) == len(asked) and not items:
            raise RetryLater(
                self._doing,
                f"DynamoDB leaves {quantity(len(asked), 'key')} for later, and reads none: too much is asked of the table",
            )
        return items, left

    def _waiting(self, error: RetryLater, wait_s: float) -> None:
        self._account.sink(Waiting(str(error), wait_s))


def _in_columns(shape: Shape, schema: Schema) -> Shape:
    """The columns of a plan, from where they come."""
    return Shape.declared(schema, paths={name: shape.path(name) for name in schema.names}, only=True)


def _key_value(value: JSON, tag: str) -> dict[str, str]:
    """A value of a key's column as it goes over the wire; bytes may be base64 already."""
    if tag == "B" and not isinstance(value, str):
        return tagged(value)
    return {tag: str(value)}
