"""Tables of DynamoDB for tests of the demand pipeline's functions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import boto3

_NUMBERS = itertools.count()


def new_table(items: Iterable[Mapping[str, Any]] = (), *, sort: bool = False) -> str:
    """The name of a new table with these items: Python values, `id` is the key, with `sort` also `number`."""
    name = f"demand-{next(_NUMBERS)}"
    keys = [("id", "HASH", "S"), *([("number", "RANGE", "N")] if sort else [])]
    table = boto3.resource("dynamodb", region_name="us-east-1").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": role} for key, role, _ in keys],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, _, kind in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    with table.batch_writer() as batch:
        for item in items:
            batch.put_item(item)
    return name
