"""Laws of DynamoDB's queries, scans, indexes and streams, judged on our server and on moto's by the same unmodified boto3."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.testing.aws.cloud import Cloud, code_of, is_told, plain, tagged

INDEX = {
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-state",
            "KeySchema": [{"AttributeName": "state", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "state", "AttributeType": "S"},
        {"AttributeName": "at", "AttributeType": "N"},
    ],
}
STREAM = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}}


def found(cloud: Cloud, table: str, text: str, **settings: Any) -> list[Any]:
    """The sort keys that a query of the partition "p" finds; values are `:a` to `:z`."""
    values = {":p": "p", **settings.pop("values", {})}
    told = cloud.dynamodb.query(
        TableName=table, KeyConditionExpression=f"id = :p{text}", ExpressionAttributeValues=tagged(values), **settings
    )
    return [plain(item)["nr"] for item in told["Items"]]


@pytest.mark.short
def test_a_query_finds_a_stretch_of_numbers_in_order(cloud: Cloud) -> None:
    """Below and above zero, with fractions, forwards and backwards."""
    table = cloud.table("id,nr:N")
    numbers = [Decimal(text) for text in ("-100", "-10.5", "-2", "-0.001", "0", "0.5", "3", "20", "100")]
    cloud.put(table, *({"id": "p", "nr": number} for number in reversed(numbers)), {"id": "q", "nr": 1})
    assert found(cloud, table, "") == numbers
    assert found(cloud, table, "", ScanIndexForward=False) == numbers[::-1]
    assert found(cloud, table, " AND nr < :a", values={":a": 0}) == numbers[:4]
    assert found(cloud, table, " AND nr <= :a", values={":a": 0}) == numbers[:5]
    assert found(cloud, table, " AND nr > :a", values={":a": Decimal("-2")}) == numbers[3:]
    assert found(cloud, table, " AND nr >= :a", values={":a": Decimal("-2")}) == numbers[2:]
    assert found(cloud, table, " AND nr BETWEEN :a AND :b", values={":a": -3, ":b": 3}) == numbers[2:7]
    assert found(cloud, table, " AND nr = :a", values={":a": 20}) == [20]


def test_a_query_finds_a_stretch_of_texts_in_order(cloud: Cloud) -> None:
    """By their bytes; a start that several share."""
    table = cloud.table("id,nr")
    texts = ["A", "a", "a\0b", "ab", "abc", "b", "é"]
    cloud.put(table, *({"id": "p", "nr": text} for text in reversed(texts)))
    assert found(cloud, table, "") == texts
    assert found(cloud, table, " AND begins_with(nr, :a)", values={":a": "a"}) == texts[1:5]
    assert found(cloud, table, " AND nr > :a", values={":a": "a"}) == texts[2:]


def test_a_query_comes_in_pages(cloud: Cloud) -> None:
    """A limit counts what is looked at, not what the filter leaves."""
    table = cloud.table("id,nr:N")
    cloud.put(table, *({"id": "p", "nr": at, "even": at % 2 == 0} for at in range(5)))
    asked = {
        "TableName": table,
        "KeyConditionExpression": "id = :p",
        "FilterExpression": "even = :yes",
        "ExpressionAttributeValues": tagged({":p": "p", ":yes": True}),
    }
    first = cloud.dynamodb.query(**asked, Limit=2)
    assert (first["Count"], first["ScannedCount"], plain(first["LastEvaluatedKey"])) == (1, 2, {"id": "p", "nr": 1})
    rest = cloud.dynamodb.query(**asked, ExclusiveStartKey=first["LastEvaluatedKey"])
    assert (rest["Count"], rest["ScannedCount"]) == (2, 3)
    assert "LastEvaluatedKey" not in rest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nr = :a", "Query condition missed key schema element: id"),
        ("id > :p", "Query key condition not supported"),
        ("id = :a", "One or more parameter values were invalid: Condition parameter type does not match schema type"),
        ("id = :p AND another = :a", "Query condition missed key schema element: nr"),
        ("id = :p OR nr = :a", "Invalid operator used in KeyConditionExpression: OR"),
    ],
    ids=["sort", "more", "type", "other", "or"],
)
def test_a_query_has_a_condition_on_the_key(cloud: Cloud, text: str, words: str) -> None:
    """The partition key equals a value, the sort key may be in a stretch."""
    values = {name: value for name, value in {":p": "p", ":a": 1}.items() if name in text}
    with pytest.raises(ClientError) as caught:
        cloud.dynamodb.query(
            TableName=cloud.table("id,nr:N"), KeyConditionExpression=text, ExpressionAttributeValues=tagged(values)
        )
    assert code_of(caught.value) == "ValidationException"
    assert is_told(cloud, caught.value, words)


def test_segments_are_the_table(cloud: Cloud) -> None:
    """Each item is in one of them; there may be more segments than items."""
    table = cloud.table()
    cloud.put(table, *({"id": str(at)} for at in range(20)))
    for total in (1, 3, 50):
        parts = [cloud.scan(table, Segment=at, TotalSegments=total) for at in range(total)]
        assert sorted(item["id"] for part in parts for item in part) == sorted(str(at) for at in range(20))


def test_a_scan_goes_on_where_it_stopped(cloud: Cloud) -> None:
    """By limit, within a segment, and where the item of its key is gone."""
    table = cloud.table()
    cloud.put(table, *({"id": str(at)} for at in range(9)))
    whole = [item["id"] for item in cloud.scan(table)]
    first = cloud.dynamodb.scan(TableName=table, Limit=4)
    assert [plain(item)["id"] for item in first["Items"]] == whole[:4]
    cloud.dynamodb.delete_item(TableName=table, Key=first["LastEvaluatedKey"])
    assert [item["id"] for item in cloud.scan(table, ExclusiveStartKey=first["LastEvaluatedKey"])] == whole[4:]


def test_a_page_is_a_megabyte(cloud: Cloud) -> None:
    """Of items by DynamoDB's sizes, before any filter or projection."""
    table = cloud.table()
    cloud.put(table, *({"id": str(at), "text": "x" * 300_000} for at in range(5)))
    pages = list(cloud.dynamodb.get_paginator("scan").paginate(TableName=table, ProjectionExpression="id"))
    assert [page["ScannedCount"] for page in pages] == [4, 1]


def test_a_scan_can_count_only(cloud: Cloud) -> None:
    """What the filter leaves, and what it looked at."""
    table = cloud.table()
    cloud.put(table, *({"id": str(at), "n": at} for at in range(5)))
    told = cloud.dynamodb.scan(
        TableName=table, Select="COUNT", FilterExpression="n > :a", ExpressionAttributeValues=tagged({":a": 2})
    )
    assert (told["Count"], told["ScannedCount"], "Items" in told) == (2, 5, False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"Segment": 0}, "The TotalSegments parameter is required but was not present in the request"),
        ({"TotalSegments": 2}, "The Segment parameter is required but was not present in the request"),
        ({"Segment": 2, "TotalSegments": 2}, "Segment: 2 is not less than TotalSegments: 2"),
        ({"ExclusiveStartKey": {"no": {"S": "1"}}}, "The provided starting key is invalid"),
        ({"IndexName": "none"}, "The table does not have the specified index: none"),
        ({"Select": "SPECIFIC_ATTRIBUTES"}, "Must specify the AttributesToGet or ProjectionExpression"),
    ],
    ids=["total", "segment", "beyond", "start", "index", "select"],
)
def test_a_scan_that_cannot_be_is_refused(cloud: Cloud, settings: dict[str, Any], words: str) -> None:
    """In the service's words."""
    with pytest.raises(ClientError) as caught:
        cloud.dynamodb.scan(TableName=cloud.table(), **settings)
    assert code_of(caught.value) == "ValidationException"
    assert is_told(cloud, caught.value, words)


def test_an_index_has_the_items_with_its_key(cloud: Cloud) -> None:
    """In its own order, with the attributes that it holds, and without what is changed or gone."""
    table = cloud.table(**INDEX)
    rows = [{"id": str(at), "state": "new", "at": 10 - at, "text": "t"} for at in range(4)]
    cloud.put(table, *rows, {"id": "none", "text": "t"}, {"id": "other", "state": "old", "at": 1})
    cloud.put(table, {"id": "3", "state": "old", "at": 7})
    cloud.dynamodb.delete_item(TableName=table, Key=tagged({"id": "0"}))
    asked = {
        "TableName": table,
        "IndexName": "by-state",
        "KeyConditionExpression": "#s = :s",
        "ExpressionAttributeNames": {"#s": "state"},
        "ExpressionAttributeValues": tagged({":s": "new"}),
    }
    told = [plain(item) for item in cloud.dynamodb.query(**asked)["Items"]]
    assert told == [{"id": "2", "state": "new", "at": 8}, {"id": "1", "state": "new", "at": 9}]
    first = cloud.dynamodb.query(**asked, Limit=1)
    assert plain(first["LastEvaluatedKey"]) == told[0]
    rest = cloud.dynamodb.query(**asked, ExclusiveStartKey=first["LastEvaluatedKey"])["Items"]
    assert [plain(item) for item in rest] == told[1:]
    assert {item["id"] for item in cloud.scan(table, IndexName="by-state")} == {"1", "2", "3", "other"}


def records(cloud: Cloud, arn: str, shard: str, **settings: Any) -> list[dict[str, Any]]:
    """The records of a shard, of one page."""
    settings = {"ShardIteratorType": "TRIM_HORIZON", **settings}
    iterator = cloud.streams.get_shard_iterator(StreamArn=arn, ShardId=shard, **settings)["ShardIterator"]
    told: list[dict[str, Any]] = cloud.streams.get_records(ShardIterator=iterator)["Records"]
    return told


@pytest.mark.short
def test_a_stream_has_the_changes_in_order(cloud: Cloud) -> None:
    """What came, what it was before, what went; and no change that changed nothing."""
    table = cloud.table(**STREAM)
    arn = cloud.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    assert [one["StreamArn"] for one in cloud.streams.list_streams(TableName=table)["Streams"]] == [arn]
    cloud.put(table, {"id": "1", "a": 1}, {"id": "1", "a": 2})
    cloud.dynamodb.delete_item(TableName=table, Key=tagged({"id": "1"}))
    cloud.dynamodb.delete_item(TableName=table, Key=tagged({"id": "1"}))
    told = cloud.streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert (told["StreamStatus"], told["StreamViewType"], told["TableName"]) == ("ENABLED", "NEW_AND_OLD_IMAGES", table)
    (shard,) = told["Shards"]
    changes = records(cloud, arn, shard["ShardId"])
    assert [change["eventName"] for change in changes] == ["INSERT", "MODIFY", "REMOVE"]
    images = [
        tuple(plain(change["dynamodb"][name])["a"] if name in change["dynamodb"] else None for name in ("OldImage", "NewImage"))
        for change in changes
    ]
    assert images == [(None, 1), (1, 2), (2, None)]
    assert [plain(change["dynamodb"]["Keys"]) for change in changes] == [{"id": "1"}] * 3


def test_a_stream_is_read_from_anywhere(cloud: Cloud) -> None:
    """From its start, from or behind a record, or from now on."""
    table = cloud.table(**STREAM)
    arn = cloud.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    cloud.put(table, *({"id": str(at)} for at in range(3)))
    (shard,) = cloud.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    numbers = [change["dynamodb"]["SequenceNumber"] for change in records(cloud, arn, shard["ShardId"])]
    assert numbers == sorted(numbers, key=int)
    at = {"SequenceNumber": numbers[1]}
    assert len(records(cloud, arn, shard["ShardId"], ShardIteratorType="AT_SEQUENCE_NUMBER", **at)) == 2
    assert len(records(cloud, arn, shard["ShardId"], ShardIteratorType="AFTER_SEQUENCE_NUMBER", **at)) == 1
    latest = cloud.streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="LATEST")
    cloud.put(table, {"id": "new"})
    page = cloud.streams.get_records(ShardIterator=latest["ShardIterator"])
    assert [plain(change["dynamodb"]["Keys"])["id"] for change in page["Records"]] == ["new"]
    assert cloud.streams.get_records(ShardIterator=page["NextShardIterator"])["Records"] == []


def test_a_stream_comes_in_pages(cloud: Cloud) -> None:
    """A limit, and an iterator for the rest."""
    table = cloud.table(**STREAM)
    arn = cloud.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    cloud.put(table, *({"id": str(at)} for at in range(3)))
    (shard,) = cloud.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    start = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    first = cloud.streams.get_records(ShardIterator=cloud.streams.get_shard_iterator(**start)["ShardIterator"], Limit=2)
    rest = cloud.streams.get_records(ShardIterator=first["NextShardIterator"], Limit=2)
    assert [len(first["Records"]), len(rest["Records"])] == [2, 1]


def test_an_export_has_all_items(cloud: Cloud) -> None:
    """In compressed files below the prefix, a line for each."""
    table, bucket = cloud.table(), cloud.bucket()
    arn = cloud.dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    pitr = {"PointInTimeRecoveryEnabled": True}
    cloud.dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=pitr)
    rows = [{"id": str(at), "n": Decimal("1.5"), "l": [{"a": {"x"}}]} for at in range(20)]
    cloud.put(table, *rows)
    asked = {"TableArn": arn, "S3Bucket": bucket, "S3Prefix": "out", "ExportFormat": "DYNAMODB_JSON"}
    begun = cloud.dynamodb.export_table_to_point_in_time(**asked)["ExportDescription"]
    for _ in range(1_000):
        told = cloud.dynamodb.describe_export(ExportArn=begun["ExportArn"])["ExportDescription"]
        if told["ExportStatus"] != "IN_PROGRESS":
            break
    assert (told["ExportStatus"], told["ItemCount"], told["ExportFormat"]) == ("COMPLETED", 20, "DYNAMODB_JSON")
    files = [key for key in cloud.keys(bucket, Prefix="out/AWSDynamoDB/") if key.endswith(".gz")]
    lines = [line for key in files for line in gzip.decompress(cloud.read(bucket, key)).splitlines()]
    assert sorted((plain(json.loads(line)["Item"]) for line in lines), key=lambda row: int(row["id"])) == rows
