"""Client: the calls of DynamoDB that a read needs, over our own wire: what a table is, and its pages as the bytes that came.

Source: "Amazon DynamoDB API reference", https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/Welcome.html;
"Error handling with DynamoDB" (what may be tried again),
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from halocline.connectors.aws.session import Access, session_of
from halocline.connectors.aws.wire import Waiting, Wire
from halocline.errors import BadQuery, HaloclineError, NotFound, Stop
from halocline.mapping.near import near
from halocline.quantity import quantity
from halocline.retry import PACE, Pace, Policy, unheard

# boto3 tries DynamoDB 10 times, from 50 ms on; https://docs.aws.amazon.com/general/latest/gr/api-retries.html (unverified since)
AGAIN = Policy(attempts=10, base_s=0.1, cap_s=10.0, budget_s=120.0)
_NAMES = 100  # tables that one ListTables names


@dataclass(frozen=True, slots=True)
class Table:
    """What DynamoDB says of a table. `items` and `bytes` are up to six hours old; `read_units` a second are None on demand.

    `key` are the partition key and, where there is one, the sort key; `types` has the tag (S, N, B) of every attribute that is in
    a key of the table or of an index. `indexes` are names of global and local ones; `stream` is the ARN of its stream, and `view`
    what that tells of a change. `id` is another one for a table that was made anew under its name.
    Source: "TableDescription", https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html
    """

    name: str
    arn: str
    status: str
    key: tuple[str, ...]
    types: Mapping[str, str]
    items: int = 0
    bytes: int = 0
    read_units: int | None = None
    indexes: tuple[str, ...] = ()
    stream: str | None = None
    view: str = ""
    id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Scanned:
    """A page as it came, and how often DynamoDB asked to slow down before it did."""

    data: bytes = field(repr=False)
    throttled: int = 0


class DynamoDB:
    """The tables of one account and region. Threads may share it.

    Calls that DynamoDB throttles, that got no answer, or whose answer came damaged, are tried again with jitter (`policy`).
    """

    def __init__(self, access: Access | None = None, *, policy: Policy = AGAIN, pace: Pace = PACE) -> None:
        access = Access.of({}) if access is None else access
        self._wire = Wire(session_of(access), "dynamodb", policy=policy, pace=pace)

    def describe(self, table: str) -> Table:
        """What that table is (its name, or its ARN where it is another account's).

        Raises: NotFound, AccessDenied, LoginRefused, RetryLater.
        """
        doing = f"Looking at the table {table} of DynamoDB"
        with self._telling(doing, table):
            answer = self._wire.call(doing, "DescribeTable", wanted={"TableName": table}, rights=_rights("DescribeTable", table))
        return _table(answer["Table"])

    def scan_page(self, table: str, *, wanted: Mapping[str, Any] | None = None, waiting: Waiting = unheard) -> Scanned:
        """One page of a scan. `wanted` are other parameters of Scan, as DynamoDB names them; the consumed capacity is asked for.

        Raises: NotFound, AccessDenied, BadQuery for an expression that DynamoDB does not take, LoginRefused; RetryLater where it
        throttled us all the while, with its word for that in `code`.
        Source: "Scan", https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
        """
        doing = f"Scanning the table {table} of DynamoDB"
        told: list[str | None] = []

        def count(error: HaloclineError, wait_s: float) -> None:
            told.append(error.code)
            waiting(error, wait_s)  # type: ignore[arg-type]  # only RetryLater is waited for

        asked = {"TableName": table, "ReturnConsumedCapacity": "TOTAL", **(wanted or {})}
        with self._telling(doing, table):
            data = self._wire.content(doing, "Scan", wanted=asked, rights=_rights("Scan", table), waiting=count)
        return Scanned(data, sum(code in THROTTLES for code in told))

    def batch_get(self, table: str, keys: list[dict[str, Any]], *, consistent: bool = False) -> bytes:
        """The answer to BatchGetItem for up to 100 keys as they go over the wire; what it left undone is in `UnprocessedKeys`.

        Raises: as `scan_page`.
        Source: "BatchGetItem", https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
        """
        doing = f"Reading {quantity(len(keys), 'item')} of the table {table} of DynamoDB"
        wanted = {"RequestItems": {table: {"Keys": keys, "ConsistentRead": consistent}}, "ReturnConsumedCapacity": "TOTAL"}
        with self._telling(doing, table):
            return self._wire.content(doing, "BatchGetItem", wanted=wanted, rights=_rights("BatchGetItem", table))

    @contextmanager
    def _telling(self, doing: str, table: str) -> Iterator[None]:
        """What the gate to AWS cannot know: that what is missing is a table, and that a query is wrong."""
        try:
            yield
        except NotFound as error:
            hint = "Look at its name, and at the region and account of the login (AWS_DEFAULT_REGION or REGION, role)."
            raise NotFound(doing, error.cause, suggestions=self._close(table), hint=hint, code=error.code) from error
        except Stop as error:
            if error.code != "ValidationException":
                raise
            hint = "Look at the expressions, their names (#name) and values (:value), and at the key to start from."
            raise BadQuery(doing, error.cause, hint=hint, code=error.code) from error

    def _close(self, table: str) -> list[str]:
        """Names of tables like that one, where the login may list them."""
        doing = "Listing the tables of DynamoDB"
        try:
            answer = self._wire.content(doing, "ListTables", wanted={"Limit": _NAMES}, rights=_rights("ListTables", "*"))
            return near(table.rpartition("/")[2], json.loads(answer)["TableNames"])
        except (HaloclineError, ValueError, KeyError):
            return []  # the error that it would decorate is the one to tell


THROTTLES = frozenset({"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"})
"""What DynamoDB answers where it is asked too much."""


def _rights(operation: str, table: str) -> str:
    return f"The login needs dynamodb:{operation} on the table {table}."


def _table(told: Mapping[str, Any]) -> Table:
    on_demand = told.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST"
    units = told.get("ProvisionedThroughput", {}).get("ReadCapacityUnits")
    kinds = {"HASH": 0, "RANGE": 1}
    indexes = [*told.get("GlobalSecondaryIndexes", ()), *told.get("LocalSecondaryIndexes", ())]
    return Table(
        name=told["TableName"],
        arn=told.get("TableArn", ""),
        status=told.get("TableStatus", ""),
        key=tuple(one["AttributeName"] for one in sorted(told["KeySchema"], key=lambda one: kinds[one["KeyType"]])),
        types={one["AttributeName"]: one["AttributeType"] for one in told["AttributeDefinitions"]},
        items=int(told.get("ItemCount", 0)),
        bytes=int(told.get("TableSizeBytes", 0)),
        read_units=None if on_demand or not units else int(units),
        indexes=tuple(one["IndexName"] for one in indexes),
        stream=told.get("LatestStreamArn") if told.get("StreamSpecification", {}).get("StreamEnabled") else None,
        view=told.get("StreamSpecification", {}).get("StreamViewType", ""),
        id=told.get("TableId", ""),
    )
