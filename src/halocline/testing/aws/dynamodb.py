"""Amazon DynamoDB: its operations, on the dicts of its JSON protocol; a page of a scan is a join of the bytes that are kept.

Source: "Amazon DynamoDB API reference", https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/Welcome.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from halocline.testing.aws.buckets import Buckets
from halocline.testing.aws.clock import Clock
from halocline.testing.aws.dynamodb_export import Exports
from halocline.testing.aws.dynamodb_reads import Reads
from halocline.testing.aws.dynamodb_reply import encoded
from halocline.testing.aws.dynamodb_streams import Streams
from halocline.testing.aws.dynamodb_tables import Params, Result, Tables
from halocline.testing.aws.dynamodb_transactions import Transactions
from halocline.testing.aws.dynamodb_writes import Writes
from halocline.testing.aws.errors import AWSError


class DynamoDB:
    """The service, over the tables of one account; exports go into its buckets."""

    def __init__(self, clock: Clock, buckets: Buckets) -> None:
        self.tables = tables = Tables(clock)
        self.streams = Streams(tables, clock)
        reads, writes, exports = Reads(tables), Writes(tables, clock), Exports(tables, buckets, clock=clock)
        transactions = Transactions(tables, clock)
        self._pages: Mapping[str, Callable[[Params, str], bytes]] = {"Scan": reads.scan, "Query": reads.query}
        self._batches: Mapping[str, Callable[..., Result]] = {
            "BatchGetItem": reads.batch_get,
            "BatchWriteItem": writes.batch,
        }
        self._operations: Mapping[str, Callable[[Params, str], Result]] = {
            "CreateTable": tables.create,
            "DescribeTable": tables.describe,
            "ListTables": tables.list,
            "UpdateTable": tables.update,
            "DeleteTable": tables.delete,
            "UpdateTimeToLive": tables.set_ttl,
            "DescribeTimeToLive": tables.ttl,
            "UpdateContinuousBackups": tables.set_backups,
            "DescribeContinuousBackups": tables.backups,
            "TagResource": tables.tag,
            "UntagResource": tables.untag,
            "ListTagsOfResource": tables.tags,
            "GetItem": reads.get,
            "PutItem": writes.put,
            "UpdateItem": writes.update,
            "DeleteItem": writes.delete,
            "TransactWriteItems": transactions.write,
            "TransactGetItems": transactions.get,
            "ExportTableToPointInTime": exports.begin,
            "DescribeExport": exports.describe,
            "ListExports": exports.list,
        }

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that there are, as in its API."""
        return (*self._pages, *self._batches, *self._operations)

    def call(self, operation: str, params: Params, *, region: str, failing: int) -> bytes:
        """What an operation answers, as it goes over the wire; of a batch the last `failing` are not processed (-1: none is).
        Raises: AWSError.
        """
        self.tables.sweep()
        if page := self._pages.get(operation):
            return page(params, region)
        if batch := self._batches.get(operation):
            return encoded(batch(params, region, failing=failing))
        work = self._operations.get(operation)
        if work is None:
            raise AWSError("UnknownOperationException", f"{operation} is not part of this test server.")
        return encoded(work(params, region))


def resource_of(params: Params) -> str:
    """The tables that a request is about, by name, for rules of faults."""
    batch = params.get("RequestItems")
    if isinstance(batch, dict):
        return ",".join(sorted(batch))
    actions = params.get("TransactItems")
    if isinstance(actions, list):
        found = {str(one.get("TableName")) for action in actions if isinstance(action, dict) for one in action.values()}
        return ",".join(sorted(found))
    told = params.get("TableName") or params.get("TableArn") or params.get("ExportArn") or params.get("ResourceArn") or ""
    return str(told).rpartition(":table/")[2].partition("/")[0]
