"""Events of S3 as they arrive, made by hand after the vendor's samples."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus


def record(key: str = "in/a.csv", *, etag: str = "e1", sequencer: str = "0055AED6DCD90281E5", **more: Any) -> dict[str, Any]:
    """A notification's record; `version`, `size`, `event` and `bucket` where wanted. The key is given as the bucket has it."""
    stored: dict[str, Any] = {"key": quote_plus(key, safe="/"), "size": more.get("size", 3), "eTag": etag, "sequencer": sequencer}
    if "version" in more:
        stored["versionId"] = more["version"]
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-west-2",
        "eventTime": "2026-01-02T03:04:05.678Z",
        "eventName": more.get("event", "ObjectCreated:Put"),
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "c",
            "bucket": {"name": more.get("bucket", "drop"), "arn": "arn:aws:s3:::drop"},
            "object": stored,
        },
    }


def event(*records: dict[str, Any]) -> dict[str, Any]:
    """A notification."""
    return {"Records": list(records or (record(),))}


def sns(body: object) -> dict[str, Any]:
    """What SNS puts around a message for a queue."""
    return {"Type": "Notification", "MessageId": "n-1", "TopicArn": "arn:aws:sns:r:1:t", "Message": json.dumps(body)}


def sns_lambda(body: object) -> dict[str, Any]:
    """What Lambda gets from SNS."""
    return {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": sns(body)}]}


def sqs(*bodies: object) -> dict[str, Any]:
    """What Lambda gets from a queue."""
    told = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    return {
        "Records": [
            {"messageId": f"m-{number}", "receiptHandle": "r", "body": body, "eventSource": "aws:sqs"}
            for number, body in enumerate(told)
        ]
    }


def eventbridge(key: str = "in/a.csv", *, etag: str = "e1", sequencer: str = "0055AED6DCD90281E5", **more: Any) -> dict[str, Any]:
    """What EventBridge carries."""
    stored: dict[str, Any] = {"key": key, "size": 3, "etag": etag, "sequencer": sequencer}
    if "version" in more:
        stored["version-id"] = more["version"]
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": more.get("event", "Object Created"),
        "source": "aws.s3",
        "time": "2026-01-02T03:04:05Z",
        "detail": {"version": "0", "bucket": {"name": "drop"}, "object": stored, "reason": "PutObject"},
    }


TEST_EVENT = {
    "Service": "Amazon S3",
    "Event": "s3:TestEvent",
    "Time": "2026-01-02T03:04:05.678Z",
    "Bucket": "drop",
    "RequestId": "5582815E1AEA5ADF",
    "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+YstdA6Knx4Ip8EXAMPLE",
}
