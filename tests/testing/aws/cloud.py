"""A cloud to test on: a server, ours or moto's, and boto3 clients that nobody changed."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config
from botocore.exceptions import ClientError

_TO, _FROM = TypeSerializer(), TypeDeserializer()
_NUMBERS = itertools.count(1)
_SESSION = boto3.session.Session("AKIAIOSFODNN7EXAMPLE", "example", region_name="us-east-1")


@dataclass
class Cloud:
    """Clients of one server, and short ways to make what a test needs."""

    url: str
    name: str = "ours"

    def client(self, service: str, **config: Any) -> Any:
        # Calls of moto's are tried again where no answer came: it is not the one whose sockets are tested here.
        settings = {"retries": {"total_max_attempts": 1 if self.name == "ours" else 3}, **config}
        return _SESSION.client(service, endpoint_url=self.url, config=Config(**settings))

    @cached_property
    def sqs(self) -> Any:
        return self.client("sqs")

    @cached_property
    def sns(self) -> Any:
        return self.client("sns")

    @cached_property
    def s3(self) -> Any:
        return self.client("s3")

    @cached_property
    def dynamodb(self) -> Any:
        return self.client("dynamodb")

    @cached_property
    def streams(self) -> Any:
        return self.client("dynamodbstreams")

    def table(self, key: str = "id", **settings: Any) -> str:
        """The name of a new table with a key of texts: `id`, or `id,at:N` with a sort key of another type."""
        parts = [part.partition(":") for part in key.split(",")]
        schema = [{"AttributeName": name, "KeyType": kind} for (name, _, _), kind in zip(parts, ("HASH", "RANGE"), strict=False)]
        types = [{"AttributeName": name, "AttributeType": kind or "S"} for name, _, kind in parts]
        given = {"BillingMode": "PAY_PER_REQUEST", "KeySchema": schema, "AttributeDefinitions": types}
        wanted = {"TableName": f"table-{next(_NUMBERS)}", **given, **settings}
        return str(self.dynamodb.create_table(**wanted)["TableDescription"]["TableName"])

    def put(self, table: str, *items: dict[str, Any]) -> None:
        """Put items; values of Python are written as DynamoDB's."""
        for item in items:
            self.dynamodb.put_item(TableName=table, Item=tagged(item))

    def item(self, table: str, **key: Any) -> dict[str, Any] | None:
        """An item as values of Python."""
        found = self.dynamodb.get_item(TableName=table, Key=tagged(key), ConsistentRead=True).get("Item")
        return None if found is None else plain(found)

    def scan(self, table: str, **settings: Any) -> list[dict[str, Any]]:
        """All pages of a scan, as values of Python."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=table, **settings)
        return [plain(item) for page in pages for item in page["Items"]]

    def queue(self, *, fifo: bool = False, **attributes: str) -> str:
        """The URL of a new queue."""
        if fifo:
            attributes["FifoQueue"] = "true"
        name = f"queue-{next(_NUMBERS)}{'.fifo' if fifo else ''}"
        return self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def arn(self, url: str) -> str:
        return self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def count(self, url: str, kind: str = "") -> int:
        name = f"ApproximateNumberOfMessages{kind}"
        return int(self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])

    def send(self, url: str, *bodies: str, **settings: Any) -> list[str]:
        return [self.sqs.send_message(QueueUrl=url, MessageBody=body, **settings)["MessageId"] for body in bodies]

    def receive(self, url: str, most: int = 10, **settings: Any) -> list[dict[str, Any]]:
        return self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=most, **settings).get("Messages", [])

    def bodies(self, url: str, **settings: Any) -> list[str]:
        return [message["Body"] for message in self.receive(url, **settings)]

    def topic(self, **attributes: str) -> str:
        name = f"topic-{next(_NUMBERS)}{'.fifo' if attributes.get('FifoTopic') else ''}"
        return self.sns.create_topic(Name=name, Attributes=attributes)["TopicArn"]

    def subscribe(self, topic: str, queue: str, **attributes: Any) -> str:
        """Subscribe a queue; values that are no texts are written as JSON."""
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in attributes.items()}
        made = self.sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=self.arn(queue), Attributes=texts, ReturnSubscriptionArn=True
        )
        return made["SubscriptionArn"]

    def bucket(self, *, versioned: bool = False) -> str:
        name = f"bucket-{next(_NUMBERS)}"
        self.s3.create_bucket(Bucket=name)
        if versioned:
            self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def read(self, bucket: str, key: str, **settings: Any) -> bytes:
        return self.s3.get_object(Bucket=bucket, Key=key, **settings)["Body"].read()

    def keys(self, bucket: str, **settings: Any) -> list[str]:
        return [found["Key"] for found in self.s3.list_objects_v2(Bucket=bucket, **settings).get("Contents", [])]


def tagged(item: dict[str, Any]) -> dict[str, Any]:
    """An item as boto3's client writes it."""
    return {name: _TO.serialize(value) for name, value in item.items()}


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """An item as boto3's resource reads it."""
    return {name: _FROM.deserialize(value) for name, value in item.items()}


def words_of(error: ClientError) -> str:
    """The words of a refusal."""
    return str(error.response["Error"]["Message"])


def is_told(cloud: Cloud, error: ClientError, words: str) -> bool:
    """Whether a refusal has the service's words; moto has its own for many, which is no difference that matters."""
    return cloud.name == "moto" or words in words_of(error)


def code_of(error: ClientError) -> str:
    """The code that a client tells of a refusal."""
    return str(error.response["Error"]["Code"])
