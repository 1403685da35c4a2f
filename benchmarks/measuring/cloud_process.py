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
from dataclasses import astuple
from pathlib import Path
from typing import Any

import boto3

from halocline.testing.aws import FakeAWS

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.phases import fields

BATCH = 10
FIRST_S, LOOK_S = 0.001, 0.01  # between looks for the first receive, and for the end: a look costs some 100 us
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
            "fill": self.fill,
            "watch": self.watch,
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

    def fill(self, url: str, messages: int) -> None:
        """Send so many messages, numbered from 0."""
        for start in range(0, messages, BATCH):
            numbers = range(start, min(start + BATCH, messages))
            entries = [{"Id": str(number), "MessageBody": json.dumps(fields(number))} for number in numbers]
            self._sqs.send_message_batch(QueueUrl=url, Entries=entries)

    def watch(self, name: str, pid: int, seconds: float) -> dict[str, float] | None:
        """Wait until the queue is empty, what was handed out included: the seconds since the first receive reached us, and what
        that process and we have burnt since. Nothing where that takes longer than so many seconds, or the process has ended.
        """
        clock, deadline = _cpu_clock(pid), time.monotonic() + seconds
        try:
            while not self._aws.calls.count("sqs.ReceiveMessage"):
                if not _rested(FIRST_S, deadline):
                    return None
            before = self._stand(clock)
            while any(astuple(self._aws.counts(name))):
                if not _rested(LOOK_S, deadline):
                    return None
            after = self._stand(clock)
        except OSError:  # no such process any more
            return None
        return {what: after[what] - before[what] for what in after}

    def _stand(self, clock: int) -> dict[str, float]:
        """What clocks and counters show; `clock` is that of another process's CPU."""
        cpu = {"cpu_s": time.clock_gettime(clock), "aws_cpu_s": time.process_time()}
        return {**cpu, "wall_s": time.perf_counter(), "calls": self._aws.calls.count()}


def _rested(seconds: float, deadline: float) -> bool:
    time.sleep(seconds)
    return time.monotonic() < deadline


def _cpu_clock(pid: int) -> int:
    """The clock of the CPU that a process has used, all threads together. Source: man 3 clock_getcpuclockid, and
    https://github.com/torvalds/linux/blob/master/include/linux/posix-timers_types.h: the pid's complement, shifted, and 2.
    """
    return (~pid << 3) | 2


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
