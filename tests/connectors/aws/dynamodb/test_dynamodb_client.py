"""Laws of the calls: what a table is, its pages as they came and whole, and what each refusal asks for."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from moto import mock_aws
from tests.connectors.aws.dynamodb.pages import page

from halocline.connectors.aws import Access
from halocline.connectors.aws.dynamodb.client import DynamoDB, Table
from halocline.connectors.aws.dynamodb.pages import Pages
from halocline.connectors.aws.dynamodb.shape import Shape
from halocline.connectors.aws.dynamodb.values import items, tagged
from halocline.errors import AccessDenied, BadQuery, LoginRefused, NetworkFailed, NotFound, RetryLater
from halocline.retry import Pace, Policy

ACCESS = Access(region="eu-west-1", key_id="AKIA", secret_key="s3cret")
ITEMS: list[dict[str, Any]] = [
    {"pk": f"item-{number}", "sk": number, "m": {"a": [1, "x", None]}, "s": {1, 2}} for number in range(30)
]


@pytest.fixture(scope="module")
def table() -> Iterator[Any]:
    """A table of moto, in this process."""
    with mock_aws():
        resource: Any = boto3.resource(
            "dynamodb", region_name="eu-west-1", aws_access_key_id="AKIA", aws_secret_access_key="s3cret"
        )
        made = resource.create_table(
            TableName="documents",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": "sk", "AttributeType": "N"}, {"AttributeName": "pk", "AttributeType": "S"}],
            ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 1},
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
        with made.batch_writer() as batch:
            for item in ITEMS:
                batch.put_item(Item=item)
        yield made


class Answer:
    """What a server would have answered."""

    def __init__(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.status_code = status
        self.content = content
        self.headers = headers or {}


def refused(code: str, status: int = 400, message: str = "No.") -> Answer:
    text = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}
    return Answer(status, json.dumps(text).encode())


def client(*answers: Answer) -> tuple[DynamoDB, list[AWSPreparedRequest]]:
    """Calls that get these answers; the waits between them take no time."""
    made = DynamoDB(ACCESS, policy=Policy(attempts=3), pace=Pace(sleep=lambda _: None))
    left, sent = list(answers), []

    def send(request: AWSPreparedRequest) -> Answer:
        sent.append(request)
        return left.pop(0)

    made._wire._send = send
    made._wire._event = "nobody listens"  # moto does, to the real one
    return made, sent


def test_a_table_is_described(table: Any) -> None:
    """Its key in order, whatever order DynamoDB lists it in; capacity, stream and size."""
    found = DynamoDB(ACCESS).describe("documents")
    types = {"pk": "S", "sk": "N"}
    assert found == Table(
        "documents", table.table_arn, "ACTIVE", ("pk", "sk"), types, 30, found.bytes, 5, (), table.latest_stream_arn, "NEW_IMAGE"
    )


def test_pages_of_a_scan_follow_each_other_to_its_end(table: Any) -> None:
    """The bytes as they came are read as boto3 reads them; the key of the next page goes back as it came."""
    dynamodb, start, found = DynamoDB(ACCESS), None, []
    pages = Pages(Shape.infer([]))
    while True:
        wanted = {"Limit": 7} if start is None else {"Limit": 7, "ExclusiveStartKey": start}
        scanned = dynamodb.scan_page("documents", wanted=wanted)
        assert scanned.throttled == 0
        pages.widen(scanned.data)
        decoded = pages.decode(scanned.data)
        assert (decoded.rejected, decoded.batch.num_rows) == ((), decoded.scanned)
        assert decoded.consumed is not None
        found += items(scanned.data)
        start = decoded.last_key
        if start is None:
            break
    assert found == table.scan()["Items"]
    answer = json.loads(dynamodb.batch_get("documents", [{"pk": tagged("item-3"), "sk": tagged(3)}], consistent=True))
    assert items(json.dumps({"Items": answer["Responses"]["documents"]}).encode()) == [ITEMS[3]]


def test_a_missing_table_is_told_with_names_like_it(table: Any) -> None:
    """And where to look."""
    assert table is not None
    with pytest.raises(NotFound, match=r"Did you mean documents\?.*AWS_DEFAULT_REGION") as error:
        DynamoDB(ACCESS).describe("document")
    assert error.value.suggestions == ("documents",)
    with pytest.raises(NotFound):
        DynamoDB(ACCESS).scan_page("nothing-like-it")


def test_a_query_that_dynamodb_does_not_take_is_a_bad_query(table: Any) -> None:
    """With its own words for it."""
    assert table is not None
    with pytest.raises(BadQuery, match="ValidationException"):
        DynamoDB(ACCESS).scan_page("documents", wanted={"FilterExpression": "name ="})


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"])
def test_throttling_is_waited_out_and_counted(code: str) -> None:
    """So that a scan can slow down; where it does not end, that is what is told."""
    waits: list[RetryLater] = []
    data = page([])
    made, sent = client(refused(code), refused("InternalServerError", 500), Answer(200, data))
    scanned = made.scan_page("t", waiting=lambda error, _: waits.append(error))
    assert (scanned.data, scanned.throttled, len(waits), len(sent)) == (data, 1, 2, 3)
    made, sent = client(*[refused(code)] * 3)
    with pytest.raises(RetryLater) as error:
        made.scan_page("t")
    assert (error.value.code, len(sent)) == (code, 3)


def test_an_answer_that_came_damaged_is_asked_for_again() -> None:
    """DynamoDB says the CRC32 of what it sends; what is damaged each time is no answer."""
    data = page([{"a": {"S": "x"}}])
    crc = {"x-amz-crc32": str(zlib.crc32(data))}
    made, sent = client(Answer(200, data[:-1] + b" ", crc), Answer(200, data, crc))
    assert made.scan_page("t").data == data
    assert len(sent) == 2
    made, _ = client(*[Answer(200, data[:-1], crc)] * 3)
    with pytest.raises(NetworkFailed, match="CRC32"):
        made.scan_page("t")


@pytest.mark.parametrize(
    ("code", "kind", "hint"),
    [
        ("AccessDeniedException", AccessDenied, "dynamodb:Scan on the table t"),
        ("UnrecognizedClientException", LoginRefused, "AWS_PROFILE"),
        ("ExpiredTokenException", LoginRefused, "AWS_PROFILE"),
    ],
)
def test_a_refusal_says_what_is_missing(code: str, kind: type[Exception], hint: str) -> None:
    """A right, or a login; it is not tried again."""
    made, sent = client(refused(code))
    with pytest.raises(kind, match=hint):
        made.scan_page("t")
    assert len(sent) == 1


def test_a_missing_table_is_told_even_where_tables_may_not_be_listed() -> None:
    """The names like it are left out, and nothing else."""
    made, _ = client(refused("ResourceNotFoundException"), refused("AccessDeniedException"))
    with pytest.raises(NotFound) as error:
        made.scan_page("t")
    assert error.value.suggestions == ()
