"""Laws of DynamoDB that only our server can be asked about: faults, time, split shards, exports, speed of filling."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import re
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
import zlib
from base64 import b64encode
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from tests.figures import SAYS, Says
from tests.testing.aws.cloud import Cloud, code_of, plain, tagged
from tests.testing.aws.test_dynamodb_scans import INDEX, STREAM, records

from halocline.testing.aws import FakeAWS
from halocline.testing.aws.dynamodb_value import number as number_text
from halocline.testing.aws.dynamodb_value import sortable
from halocline.testing.aws.errors import AWSError

Fresh = tuple[FakeAWS, Cloud]
GUIDE = Path(__file__).resolve().parents[3] / "docs" / "testing-aws.md"
# A table of 60,000 items in a process of its own, which ends with its input and tells its CPU seconds before and after.
TABLE_SERVER = """
    import json, sys, time, urllib.request
    from halocline.testing.aws import FakeAWS
    with FakeAWS() as aws:
        key = [{"AttributeName": "id", "KeyType": "HASH"}]
        types = [{"AttributeName": "id", "AttributeType": "S"}]
        table = {"TableName": "items", "KeySchema": key, "AttributeDefinitions": types, "BillingMode": "PAY_PER_REQUEST"}
        request = urllib.request.Request(aws.url, json.dumps(table).encode())
        request.add_header("X-Amz-Target", "DynamoDB_20120810.CreateTable")
        urllib.request.urlopen(request).close()
        item = {"n": {"N": "12345.67"}, "s": {"S": "x" * 600}, "m": {"M": {"a": {"L": [{"BOOL": True}]}}}, "t": {"SS": ["a"]}}
        aws.fill_table("items", ({"id": {"S": f"item-{at}"}, **item} for at in range(60_000)))
        print(aws.url, time.process_time(), flush=True)
        sys.stdin.read()
        print(time.process_time())
    """
PITR = {"PointInTimeRecoveryEnabled": True}
NOON = 1_800_000_000.0


def refused(call: Any, **params: Any) -> str:
    """The code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    return code_of(caught.value)


def at_noon(aws: FakeAWS) -> None:
    """Stop the clock at a known moment."""
    aws.clock.freeze()
    aws.clock.advance(NOON - aws.clock.now())


# ---- filling and looking


def test_a_table_is_filled_without_calls(fresh: Fresh) -> None:
    """As if its items had long been there: indexes have them, the stream does not."""
    aws, cloud = fresh
    table = cloud.table(**INDEX, **STREAM)
    before = aws.calls.count("dynamodb.*")
    rows = [{"id": str(at), "state": "new", "at": at} for at in range(5_000)]
    assert aws.fill_table(table, (tagged(row) for row in rows)) == 5_000
    assert aws.calls.count("dynamodb.*") == before
    assert len(aws.items(table)) == cloud.dynamodb.describe_table(TableName=table)["Table"]["ItemCount"] == 5_000
    assert len(cloud.scan(table, IndexName="by-state")) == 5_000
    arn = cloud.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    (shard,) = cloud.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    assert records(cloud, arn, shard["ShardId"]) == []
    with pytest.raises(AWSError, match="Missing the key id"):
        aws.fill_table(table, [tagged({"no": "key"})])


def test_a_table_is_of_its_region(fresh: Fresh) -> None:
    """Who asks in another one finds nothing."""
    _, cloud = fresh
    table = cloud.table()
    elsewhere = cloud.client("dynamodb", region_name="eu-west-1")
    assert refused(elsewhere.scan, TableName=table) == "ResourceNotFoundException"
    assert elsewhere.list_tables()["TableNames"] == []
    arn = cloud.dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    assert cloud.dynamodb.scan(TableName=arn)["Items"] == []


def test_answers_tell_their_crc32(fresh: Fresh) -> None:
    """That of the bytes that come, also of a refusal."""
    aws, cloud = fresh
    table = cloud.table()
    cloud.put(table, {"id": "é"})
    for name, status in ((table, 200), ("nobody", 400)):
        request = urllib.request.Request(aws.url, json.dumps({"TableName": name}).encode())
        request.add_header("X-Amz-Target", "DynamoDB_20120810.Scan")
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            body = answer.read()
        assert (answer.status, answer.headers["x-amz-crc32"]) == (status, str(zlib.crc32(body)))


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**20), max_value=10**20)))
def test_numbers_are_in_order(numbers: list[Decimal]) -> None:
    """The bytes by which items are in order are in the order of their numbers, and the same for the same number."""
    places = [(number, sortable({"N": number_text(str(number))})) for number in numbers]
    for one, place in places:
        for other, behind in places:
            assert (one < other, one == other) == (place < behind, place == behind)


def test_the_guides_table_works(fresh: Fresh) -> None:
    """The page's example of a table runs as it is printed."""
    aws, cloud = fresh
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (script,) = (block for block in blocks if "fill_table" in block)
    cloud.table(TableName="orders", **STREAM)
    client = cloud.client("dynamodb")
    exec(script, {"aws": aws, "dynamodb": client})
    assert len(list(aws.faults)) == 3
    aws.faults.clear()
    assert len(aws.items("orders")) == 10_000


@pytest.mark.long
def test_bytes_of_a_scan_per_second(record_property: Says) -> None:
    """Told, not judged: what a client that costs little reads of a table of 60,000 items, the server in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(TABLE_SERVER)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url, before = process.stdout.readline().split()
        started = time.perf_counter()
        size, items = raw_scan(url, "items")
        seconds = time.perf_counter() - started
        cpu = float(process.communicate("")[0]) - float(before)
    assert items == 60_000
    told = f"{size / 1e6 / seconds:,.0f} MB/s, {items / seconds:,.0f} items/s, {size / 1e6 / cpu:,.0f} MB for a second of its CPU"
    record_property(SAYS, f"FakeAWS, Scan, raw client, one line: {told}")


def raw_scan(url: str, table: str) -> tuple[int, int]:
    """How many bytes and items a scan has that decodes nothing but where to go on."""
    line = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    size = items = 0
    more: dict[str, Any] = {}
    while True:
        line.request("POST", "/", json.dumps({"TableName": table, **more}), {"X-Amz-Target": "DynamoDB_20120810.Scan"})
        page = line.getresponse().read()
        size += len(page)
        items += int(page[:40].partition(b":")[2].partition(b",")[0])
        start = page.rfind(b'"LastEvaluatedKey":')
        if start < 0:
            line.close()
            return size, items
        more = {"ExclusiveStartKey": json.loads(page[start + 19 : -1])}


# ---- faults


def test_a_table_throttles_on_order(fresh: Fresh) -> None:
    """As the service refuses who asks too much of a table, or of the account; nothing is done."""
    aws, cloud = fresh
    table, other = cloud.table(), cloud.table()
    aws.faults.add("throttle", service="dynamodb", operation="PutItem", resource=f"^{table}$")
    put = {"Item": tagged({"id": "1"})}
    assert refused(cloud.dynamodb.put_item, TableName=table, **put) == "ProvisionedThroughputExceededException"
    cloud.dynamodb.put_item(TableName=other, **put)
    aws.faults.add("refuse", code="ThrottlingException", status=400, operation="Scan")
    assert refused(cloud.dynamodb.scan, TableName=table) == "ThrottlingException"
    assert aws.items(table) == []


def test_a_batch_leaves_undone_what_fails(fresh: Fresh) -> None:
    """Told as it was asked, so that it can be asked again; if all of it fails the batch is refused."""
    aws, cloud = fresh
    table = cloud.table()
    writes = [{"PutRequest": {"Item": tagged({"id": str(at)})}} for at in range(3)]
    aws.faults.add("fail_entries", operation="BatchWriteItem", entries=2)
    told = cloud.dynamodb.batch_write_item(RequestItems={table: writes})["UnprocessedItems"]
    assert told == {table: writes[1:]}
    cloud.dynamodb.batch_write_item(RequestItems=told)
    keys = {"Keys": [tagged({"id": str(at)}) for at in range(3)], "ConsistentRead": True}
    aws.faults.add("fail_entries", operation="BatchGetItem", entries=1)
    answer = cloud.dynamodb.batch_get_item(RequestItems={table: keys})
    assert len(answer["Responses"][table]) == 2
    assert answer["UnprocessedKeys"] == {table: {**keys, "Keys": keys["Keys"][2:]}}
    aws.faults.add("fail_entries", operation="BatchGetItem", entries=0)
    refusal = refused(cloud.dynamodb.batch_get_item, RequestItems={table: keys})
    assert refusal == "ProvisionedThroughputExceededException"


def test_an_answer_is_damaged_on_order(fresh: Fresh) -> None:
    """One byte is another one, which the CRC32 shows; what was asked is done."""
    aws, cloud = fresh
    table = cloud.table()
    aws.faults.add("damage", operation="Scan")
    request = urllib.request.Request(aws.url, json.dumps({"TableName": table}).encode())
    request.add_header("X-Amz-Target", "DynamoDB_20120810.Scan")
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["x-amz-crc32"] != str(zlib.crc32(answer.read()))


def test_a_transaction_that_is_repeated_is_done_once(fresh: Fresh) -> None:
    """By its token, for ten minutes; another one with that token is refused."""
    aws, cloud = fresh
    at_noon(aws)
    table = cloud.table()
    add = {
        "TableName": table,
        "Key": tagged({"id": "1"}),
        "UpdateExpression": "ADD n :v",
        "ExpressionAttributeValues": tagged({":v": 1}),
    }
    aws.faults.add("lose_reply", operation="TransactWriteItems")
    again = cloud.client("dynamodb", retries={"total_max_attempts": 2})
    again.transact_write_items(TransactItems=[{"Update": add}], ClientRequestToken="t")
    assert cloud.item(table, id="1") == {"id": "1", "n": 1}
    other = [{"Put": {"TableName": table, "Item": tagged({"id": "2"})}}]
    refusal = refused(cloud.dynamodb.transact_write_items, TransactItems=other, ClientRequestToken="t")
    assert refusal == "IdempotentParameterMismatchException"
    aws.clock.advance(601)
    cloud.dynamodb.transact_write_items(TransactItems=[{"Update": add}], ClientRequestToken="t")
    assert cloud.item(table, id="1") == {"id": "1", "n": 2}


# ---- time to live


def test_an_item_goes_days_after_its_time(fresh: Fresh) -> None:
    """Until then it is read as before; the stream tells who removed it."""
    aws, cloud = fresh
    at_noon(aws)
    table = cloud.table(**STREAM)
    cloud.dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"})
    now = int(NOON)
    cloud.put(table, {"id": "soon", "until": now + 60}, {"id": "later", "until": now + 10**6}, {"id": "text", "until": "1"})
    cloud.put(table, {"id": "ancient", "until": 1})  # more than five years ago: it stays
    aws.clock.advance(3600)
    assert len(cloud.scan(table)) == 4
    assert aws.expire_items(table) == 1
    assert {item["id"] for item in cloud.scan(table)} == {"later", "text", "ancient"}
    arn = cloud.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    (shard,) = cloud.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    gone = records(cloud, arn, shard["ShardId"])[-1]
    assert (gone["eventName"], gone["userIdentity"]["PrincipalId"]) == ("REMOVE", "dynamodb.amazonaws.com")
    aws.clock.advance(10**6 + 172_800)
    assert {item["id"] for item in cloud.scan(table)} == {"text", "ancient"}


def test_a_time_that_was_put_off_holds(fresh: Fresh) -> None:
    """What counts is what the item says when it is removed."""
    aws, cloud = fresh
    at_noon(aws)
    table = cloud.table()
    cloud.put(table, {"id": "1", "until": int(NOON) + 60})
    cloud.dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"})
    cloud.put(table, {"id": "1", "until": int(NOON) + 6_000})
    aws.clock.advance(120)
    assert aws.expire_items(table) == 0
    aws.clock.advance(6_000)
    assert aws.expire_items(table) == 1


# ---- streams


def test_a_split_shard_ends_and_has_children(fresh: Fresh) -> None:
    """Its records come before theirs; a key's later changes are all in one of them."""
    aws, cloud = fresh
    table = cloud.table(**STREAM)
    arn = cloud.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    cloud.put(table, *({"id": str(at), "n": 1} for at in range(10)))
    aws.split_shards(table)
    cloud.put(table, *({"id": str(at), "n": n} for n in (2, 3) for at in range(10)))
    parent, *children = cloud.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    assert [child["ParentShardId"] for child in children] == [parent["ShardId"]] * 2
    assert "EndingSequenceNumber" in parent["SequenceNumberRange"]
    assert all("EndingSequenceNumber" not in child["SequenceNumberRange"] for child in children)
    start = {"StreamArn": arn, "ShardId": parent["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    page = cloud.streams.get_records(ShardIterator=cloud.streams.get_shard_iterator(**start)["ShardIterator"])
    assert (len(page["Records"]), "NextShardIterator" in page) == (10, False)
    parts = [[plain(one["dynamodb"]["NewImage"]) for one in records(cloud, arn, child["ShardId"])] for child in children]
    keys = [{item["id"] for item in part} for part in parts]
    assert keys[0] | keys[1] == {str(at) for at in range(10)}
    assert keys[0] & keys[1] == set()
    assert all(part == sorted(part, key=lambda item: item["n"]) for part in parts)
    with pytest.raises(AWSError, match="no stream"):
        aws.split_shards(cloud.table())


def test_a_record_is_kept_for_a_day(fresh: Fresh) -> None:
    """What stood at it is told that it was trimmed; an iterator is good for a quarter of an hour."""
    aws, cloud = fresh
    at_noon(aws)
    table = cloud.table(**STREAM)
    arn = cloud.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    cloud.put(table, {"id": "old"})
    (shard,) = cloud.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    (old,) = records(cloud, arn, shard["ShardId"])
    start = {"StreamArn": arn, "ShardId": shard["ShardId"]}
    iterator = cloud.streams.get_shard_iterator(**start, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    aws.clock.advance(901)
    assert refused(cloud.streams.get_records, ShardIterator=iterator) == "ExpiredIteratorException"
    aws.clock.advance(80_000)
    iterator = cloud.streams.get_shard_iterator(**start, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    cloud.put(table, {"id": "new"})
    aws.clock.advance(6_000)
    number = old["dynamodb"]["SequenceNumber"]
    asked = {**start, "ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": number}
    assert refused(cloud.streams.get_shard_iterator, **asked) == "TrimmedDataAccessException"
    (new,) = records(cloud, arn, shard["ShardId"])
    assert plain(new["dynamodb"]["Keys"]) == {"id": "new"}


def test_an_iterator_that_stood_at_a_trimmed_record_is_told(fresh: Fresh) -> None:
    """So that a reader that was away too long knows that it missed something."""
    aws, cloud = fresh
    at_noon(aws)
    table = cloud.table(**STREAM)
    arn = cloud.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    cloud.put(table, {"id": "old"})
    (shard,) = cloud.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    aws.clock.advance(86_000)
    start = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    iterator = cloud.streams.get_shard_iterator(**start)["ShardIterator"]
    aws.clock.advance(600)
    assert refused(cloud.streams.get_records, ShardIterator=iterator) == "TrimmedDataAccessException"


def test_a_stream_can_be_read_after_its_table(fresh: Fresh) -> None:
    """For a day."""
    aws, cloud = fresh
    at_noon(aws)
    table = cloud.table(**STREAM)
    arn = cloud.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    cloud.put(table, {"id": "1"})
    cloud.dynamodb.delete_table(TableName=table)
    told = cloud.streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert told["StreamStatus"] == "DISABLED"
    assert len(records(cloud, arn, told["Shards"][0]["ShardId"])) == 1
    aws.clock.advance(86_401)
    assert refused(cloud.streams.describe_stream, StreamArn=arn) == "ResourceNotFoundException"


# ---- exports


def exported(cloud: Cloud, bucket: str, description: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of an export, its manifests and checksums looked at."""
    told = cloud.dynamodb.describe_export(ExportArn=description["ExportArn"])["ExportDescription"]
    assert (description["ExportStatus"], told["ExportStatus"]) == ("IN_PROGRESS", "COMPLETED")
    summary = json.loads(cloud.read(bucket, told["ExportManifest"]))
    assert (summary["exportArn"], summary["outputFormat"]) == (told["ExportArn"], "DYNAMODB_JSON")
    files = [json.loads(line) for line in cloud.read(bucket, summary["manifestFilesS3Key"]).splitlines()]
    lines: list[dict[str, Any]] = []
    for file in files:
        data = cloud.read(bucket, file["dataFileS3Key"])
        assert file["md5Checksum"] == b64encode(hashlib.md5(data).digest()).decode()
        found = [json.loads(line) for line in gzip.decompress(data).splitlines()]
        assert file["itemCount"] == len(found)
        lines += found
    assert summary["itemCount"] == told["ItemCount"] == len(lines)
    return lines


def test_an_export_is_the_table_of_a_moment(fresh: Fresh) -> None:
    """Now, or before what was written since."""
    aws, cloud = fresh
    at_noon(aws)
    table, bucket = cloud.table(), cloud.bucket()
    arn = cloud.dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    asked = {"TableArn": arn, "S3Bucket": bucket, "S3Prefix": "out"}
    refusal = refused(cloud.dynamodb.export_table_to_point_in_time, **asked)
    assert refusal == "PointInTimeRecoveryUnavailableException"
    cloud.dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=PITR)
    cloud.put(table, *({"id": str(at), "n": 1} for at in range(6)))
    aws.clock.advance(60)
    cloud.put(table, {"id": "0", "n": 2}, {"id": "new", "n": 1})
    cloud.dynamodb.delete_item(TableName=table, Key=tagged({"id": "1"}))
    now = cloud.dynamodb.export_table_to_point_in_time(**asked)["ExportDescription"]
    rows = sorted((plain(line["Item"]) for line in exported(cloud, bucket, now)), key=lambda row: row["id"])
    assert rows == [{"id": "0", "n": 2}, *({"id": str(at), "n": 1} for at in range(2, 6)), {"id": "new", "n": 1}]
    then = cloud.dynamodb.export_table_to_point_in_time(**asked, ExportTime=NOON + 30)["ExportDescription"]
    rows = sorted((plain(line["Item"]) for line in exported(cloud, bucket, then)), key=lambda row: row["id"])
    assert rows == [{"id": str(at), "n": 1} for at in range(6)]
    keys = cloud.keys(bucket)
    assert all(key.startswith("out/AWSDynamoDB/") for key in keys)
    early = refused(cloud.dynamodb.export_table_to_point_in_time, **asked, ExportTime=NOON - 1)
    assert early == "InvalidExportTimeException"


def test_an_incremental_export_is_what_changed(fresh: Fresh) -> None:
    """Each item once, as it was before and as it is after; what came and went between is not in it."""
    aws, cloud = fresh
    at_noon(aws)
    table, bucket = cloud.table(), cloud.bucket()
    arn = cloud.dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    cloud.dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=PITR)
    cloud.put(table, {"id": "same", "n": 1}, {"id": "changed", "n": 1}, {"id": "gone", "n": 1})
    aws.clock.advance(60)
    cloud.put(table, {"id": "changed", "n": 2}, {"id": "changed", "n": 3}, {"id": "new", "n": 1}, {"id": "brief", "n": 1})
    for key in ("gone", "brief"):
        cloud.dynamodb.delete_item(TableName=table, Key=tagged({"id": key}))
    aws.clock.advance(1_000)
    cloud.put(table, {"id": "changed", "n": 4})
    window = {"ExportFromTime": NOON + 60, "ExportToTime": NOON + 1_060, "ExportViewType": "NEW_AND_OLD_IMAGES"}
    asked = {"TableArn": arn, "S3Bucket": bucket, "ExportType": "INCREMENTAL_EXPORT"}
    told = cloud.dynamodb.export_table_to_point_in_time(**asked, IncrementalExportSpecification=window)["ExportDescription"]
    lines = {
        plain(line["Keys"])["id"]: tuple(line[name]["n"]["N"] if name in line else None for name in ("OldImage", "NewImage"))
        for line in exported(cloud, bucket, told)
    }
    assert lines == {"changed": ("1", "3"), "gone": ("1", None), "new": (None, "1")}
    short = {**window, "ExportFromTime": NOON + 1_000}
    refusal = refused(cloud.dynamodb.export_table_to_point_in_time, **asked, IncrementalExportSpecification=short)
    assert refusal == "ValidationException"


def test_an_export_into_no_bucket_fails(fresh: Fresh) -> None:
    """Later, as told by DescribeExport; a repeated request is the same export."""
    _, cloud = fresh
    table = cloud.table()
    arn = cloud.dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    cloud.dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=PITR)
    asked = {"TableArn": arn, "S3Bucket": "not-there", "ClientToken": "t"}
    first = cloud.dynamodb.export_table_to_point_in_time(**asked)["ExportDescription"]
    again = cloud.dynamodb.export_table_to_point_in_time(**asked)["ExportDescription"]
    assert first["ExportArn"] == again["ExportArn"]
    told = cloud.dynamodb.describe_export(ExportArn=first["ExportArn"])["ExportDescription"]
    assert (told["ExportStatus"], told["FailureCode"]) == ("FAILED", "S3NoSuchBucket")
    listed = cloud.dynamodb.list_exports(TableArn=arn)["ExportSummaries"]
    assert [one["ExportArn"] for one in listed] == [first["ExportArn"]]


# ---- tables


def test_a_table_is_changed(fresh: Fresh) -> None:
    """An index comes and goes, a stream is switched on and off, protection holds."""
    _, cloud = fresh
    table = cloud.table()
    cloud.put(table, {"id": "1", "state": "new", "at": 1})
    index = {**INDEX["GlobalSecondaryIndexes"][0], "Projection": {"ProjectionType": "ALL"}}
    cloud.dynamodb.update_table(
        TableName=table,
        AttributeDefinitions=INDEX["AttributeDefinitions"],
        GlobalSecondaryIndexUpdates=[{"Create": index}],
        DeletionProtectionEnabled=True,
        **STREAM,
    )
    assert cloud.scan(table, IndexName="by-state") == [{"id": "1", "state": "new", "at": 1}]
    assert refused(cloud.dynamodb.delete_table, TableName=table) == "ValidationException"
    off = {"StreamSpecification": {"StreamEnabled": False}}
    told = cloud.dynamodb.update_table(
        TableName=table,
        GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-state"}}],
        DeletionProtectionEnabled=False,
        **off,
    )["TableDescription"]
    assert "GlobalSecondaryIndexes" not in told
    cloud.dynamodb.delete_table(TableName=table)


def test_a_local_index_reaches_for_the_rest(fresh: Fresh) -> None:
    """What it does not hold comes from the table, where it is asked for."""
    _, cloud = fresh
    local = {
        "LocalSecondaryIndexes": [
            {
                "IndexName": "by-at",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind} for name, kind in (("id", "S"), ("no", "S"), ("at", "N"))
        ],
    }
    table = cloud.table("id,no", **local)
    cloud.put(table, {"id": "p", "no": "a", "at": 2, "text": "x"}, {"id": "p", "no": "b", "at": 1, "text": "y"})
    asked = {
        "TableName": table,
        "IndexName": "by-at",
        "KeyConditionExpression": "id = :p",
        "ExpressionAttributeValues": tagged({":p": "p"}),
    }
    assert [plain(item) for item in cloud.dynamodb.query(**asked)["Items"]] == [
        {"id": "p", "no": "b", "at": 1},
        {"id": "p", "no": "a", "at": 2},
    ]
    whole = cloud.dynamodb.query(**asked, Select="ALL_ATTRIBUTES")["Items"]
    assert [plain(item)["text"] for item in whole] == ["y", "x"]
    part = cloud.dynamodb.query(**asked, ProjectionExpression="#t", ExpressionAttributeNames={"#t": "text"})["Items"]
    assert [plain(item) for item in part] == [{"text": "y"}, {"text": "x"}]
    values = {**asked["ExpressionAttributeValues"], ":x": {"S": "x"}}
    filtered = {**asked, "FilterExpression": "#t = :x", "ExpressionAttributeNames": {"#t": "text"}}
    assert refused(cloud.dynamodb.query, **{**filtered, "ExpressionAttributeValues": values}) == "ValidationException"


def test_a_table_keeps_its_tags(fresh: Fresh) -> None:
    """By its ARN."""
    _, cloud = fresh
    table = cloud.table(Tags=[{"Key": "a", "Value": "1"}])
    arn = cloud.dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    cloud.dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    cloud.dynamodb.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert cloud.dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    assert cloud.dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]


def indexed(projection: object) -> dict[str, Any]:
    """A table with an index that holds this."""
    index = {"IndexName": "by-id", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}
    return {"GlobalSecondaryIndexes": [index if projection is None else {**index, "Projection": projection}]}


PROJECTIONS: dict[str, object] = {
    "include-none": {"ProjectionType": "INCLUDE"},
    "keys-more": {"ProjectionType": "KEYS_ONLY", "NonKeyAttributes": ["a"]},
    "all-more": {"ProjectionType": "ALL", "NonKeyAttributes": ["a"]},
    "kind-none": {},
    "kind-other": {"ProjectionType": "SOME"},
    "projection-none": None,
}


def test_an_index_holds_what_it_includes(fresh: Fresh) -> None:
    """And tells it."""
    _, cloud = fresh
    table = cloud.table(**indexed({"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a"]}))
    cloud.put(table, {"id": "1", "a": "x", "b": "y"})
    assert cloud.scan(table, IndexName="by-id") == [{"id": "1", "a": "x"}]
    assert cloud.scan(table, IndexName="by-id", ProjectionExpression="a.b, a.c") == [{}]
    (told,) = cloud.dynamodb.describe_table(TableName=table)["Table"]["GlobalSecondaryIndexes"]
    assert told["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a"]}


@pytest.mark.parametrize(
    "settings",
    [
        {"TableName": "ab"},
        {"TableName": "a$b"},
        {"BillingMode": "PROVISIONED"},
        {"AttributeDefinitions": [{"AttributeName": "other", "AttributeType": "S"}]},
        {"AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("id", "unused")]},
        {"KeySchema": [{"AttributeName": "id", "KeyType": "RANGE"}]},
        {"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "M"}]},
        *(indexed(projection) for projection in PROJECTIONS.values()),
    ],
    ids=["short", "letters", "capacity", "undefined", "unused", "range", "type", *PROJECTIONS],
)
def test_a_table_that_cannot_be_is_refused(fresh: Fresh, settings: dict[str, Any]) -> None:
    """Its name, its key, its capacity, what its indexes hold."""
    _, cloud = fresh
    usual = {
        "TableName": "orders",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    }
    bare = cloud.client("dynamodb", parameter_validation=False)
    assert refused(bare.create_table, **{**usual, **settings}) == "ValidationException"


def test_what_is_not_here_is_refused(fresh: Fresh) -> None:
    """Not ignored: operations, and parameters from before expressions."""
    _, cloud = fresh
    assert refused(cloud.dynamodb.describe_limits) == "UnknownOperationException"
    old = {"id": {"AttributeValueList": [{"S": "1"}], "ComparisonOperator": "EQ"}}
    assert refused(cloud.dynamodb.scan, TableName=cloud.table(), ScanFilter=old) == "ValidationException"
