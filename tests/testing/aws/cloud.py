"""A cloud to test on: a server, ours or moto's, and boto3 clients that nobody changed."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

_NUMBERS = itertools.count(1)
_SESSION = boto3.session.Session("AKIAIOSFODNN7EXAMPLE", "example", region_name="us-east-1")


@dataclass
class Cloud:
    """Clients of one server, and short ways to make what a test needs."""

    url: str
    name: str = "ours"

    def client(self, service: str, **config: Any) -> Any:
        settings = {"retries": {"total_max_attempts": 1}, **config}
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


def code_of(error: ClientError) -> str:
    """The code that a client tells of a refusal."""
    return str(error.response["Error"]["Code"])
