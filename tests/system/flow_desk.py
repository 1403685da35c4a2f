"""A desk for flows of files: an org, a bucket of moto's, a halocline.yaml, and Lambda as its events and contexts look."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from halocline.emulator.server import Emulator, EmulatorConfig
from tests.connectors.files.server import Bucket, bucket, s3
from tests.system import push_desk
from tests.system.push_desk import PushDesk

SCHEMA = """
object: Run__c
fields:
  Key__c: {type: string(64) external unique}
  Rows__c: "double(10,0)"
  Errors__c: "double(10,0)"
  Report__c: textarea(4000)
"""
FLOWS = """
connections:
  org: {kind: salesforce, login_url: env:SF_LOGIN_URL, client_id: env:SF_CLIENT_ID, client_secret: env:SF_CLIENT_SECRET}
  landing: {kind: s3, bucket: BUCKET}
flows:
  companies:
    kind: file
    from: landing
    prefix: in/
    to: org
    object: Account
    key: Ext__c
    mapping: {key: Ext__c, name: Name}
    queue: arn:aws:sqs:us-east-1:123456789012:landed
  other:
    kind: file
    from: landing
    prefix: in/other/
    to: org
    object: Account
    key: Ext__c
lambda: {margin: 5}
"""
QUEUE = "arn:aws:sqs:us-east-1:123456789012:landed"
_NUMBERS = itertools.count(1)


@dataclass(slots=True)
class FlowDesk:
    """A push desk beside a bucket; `context` has the time that an invocation has left."""

    desk: PushDesk
    bucket: Bucket
    context: Context

    def land(self, key: str, text: str | bytes) -> dict[str, Any]:
        """Put a file into the bucket; the record with which S3 tells of it."""
        body = text.encode() if isinstance(text, str) else text
        etag = self.bucket.client.put_object(Bucket=self.bucket.name, Key=key, Body=body)["ETag"].strip('"')
        return s3_record(self.bucket.name, key, etag=etag, size=len(body))

    def names(self) -> list[str]:
        return self.bucket.names()


@dataclass(slots=True)
class Context:
    """What Lambda hands over; `left_ms` may be a series of answers, the last of which stays."""

    left_ms: list[int] = field(default_factory=lambda: [60_000])
    aws_request_id: str = ""

    def get_remaining_time_in_millis(self) -> int:
        return self.left_ms.pop(0) if len(self.left_ms) > 1 else self.left_ms[0]


@contextmanager
def flow_org(folder: Path) -> Iterator[Emulator]:
    """An org with the objects of `SCHEMA` and of pushes, beside the S3 of moto."""
    schemas = (folder / "account.yaml", folder / "run.yaml")
    for path, text in zip(schemas, (push_desk.SCHEMA, SCHEMA), strict=True):
        path.write_text(text, encoding="utf-8")
    with s3(), Emulator(EmulatorConfig(schemas=schemas)) as running:
        running.checkpoint()
        yield running


def flow_desk(desk: PushDesk, flows: str = FLOWS) -> FlowDesk:
    """A desk with a new bucket, whose name stands in the place of BUCKET."""
    made = bucket()
    desk.file("halocline.yaml", flows.replace("BUCKET", made.name))
    return FlowDesk(desk, made, Context())


def s3_record(bucket: str, key: str, *, etag: str, size: int) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html."""
    stored = {"key": quote_plus(key), "size": size, "eTag": etag, "sequencer": f"{next(_NUMBERS):016X}"}
    s3 = {"s3SchemaVersion": "1.0", "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}, "object": stored}
    told = {"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventTime": "2026-03-01T12:00:00.000Z"}
    return {**told, "eventName": "ObjectCreated:Put", "s3": s3}


def sqs_event(*bodies: object, arn: str = QUEUE, groups: tuple[str, ...] = ()) -> dict[str, Any]:
    """The event of a queue whose messages m0, m1, ... hold these bodies.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html.
    """
    records = []
    for number, body in enumerate(bodies):
        attributes = {"ApproximateReceiveCount": "1", **({"MessageGroupId": groups[number]} if groups else {})}
        text = body if isinstance(body, str) else json.dumps(body)
        told = {"messageId": f"m{number}", "receiptHandle": f"h{number}", "body": text, "attributes": attributes}
        records.append(
            {**told, "messageAttributes": {}, "eventSource": "aws:sqs", "eventSourceARN": arn, "awsRegion": "us-east-1"}
        )
    return {"Records": records}


def failures(answer: dict[str, Any]) -> list[str]:
    """The messages that come again."""
    assert answer.keys() == {"batchItemFailures"}
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]
