"""The fake AWS of a benchmark, in a process of its own: it does what JSON lines on its standard input say, one answer for each.

Started by `cloud.Cloud`. Its own reading and writing goes by the same doors as everybody's, between turns.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3

from halocline.testing.aws import FakeAWS

HIDDEN_S = 1_800  # longer than a drain of a queue takes, so that no message comes twice


class Desk:
    """What can be asked of it, by name."""

    def __init__(self, aws: FakeAWS) -> None:
        self._aws = aws
        os.environ.update(aws.environment())
        self._s3, self._sqs = boto3.client("s3"), boto3.client("sqs")

    def answers(self) -> Mapping[str, Callable[..., Any]]:
        return {
            "cost": self.cost,
            "land": self.land,
            "objects": self.objects,
            "fetch": self.fetch,
            "queue": self.queue,
            "depth": self.depth,
            "delay": self.delay,
        }

    def cost(self) -> dict[str, float]:
        """CPU so far, user and system together, and calls so far."""
        return {"cpu_s": time.process_time(), "calls": self._aws.calls.count()}

    def land(self, bucket: str, key: str, path: str) -> str:
        """A new bucket that holds nothing but this file; whatever was anywhere is gone."""
        self._aws.reset()
        self._s3.create_bucket(Bucket=bucket)
        self._s3.upload_file(path, bucket, key)
        return str(self._s3.head_object(Bucket=bucket, Key=key)["ETag"]).strip('"')

    def objects(self, bucket: str) -> dict[str, str]:
        """The SHA-256 of every object, by its key."""
        keys = [str(one["Key"]) for one in self._s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
        return {key: hashlib.sha256(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()).hexdigest() for key in keys}

    def fetch(self, bucket: str, key: str, path: str) -> None:
        Path(path).write_bytes(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def queue(self, name: str) -> str:
        """The address of a new queue; whatever was anywhere is gone."""
        self._aws.reset()
        made = self._sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": str(HIDDEN_S)})
        return str(made["QueueUrl"])

    def depth(self, name: str) -> int:
        """How many messages are in the queue, handed out or not."""
        return len(self._aws.messages(name))

    def delay(self, seconds: float) -> None:
        """From now on every request of the queue is worked on so much later; requests wait side by side."""
        self._aws.faults.add("delay", service="sqs", seconds=seconds, every=1)


def main() -> None:
    """`{folder}` of large bodies."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    with FakeAWS(folder=Path(wanted["folder"])) as aws:
        answers = Desk(aws).answers()
        print(json.dumps({"url": aws.url, "environment": aws.environment()}), flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            print(json.dumps({"told": answers[asked.pop("do")](**asked)}), flush=True)


if __name__ == "__main__":
    main()
