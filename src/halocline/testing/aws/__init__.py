"""AWS for tests: queues, topics, buckets, tables and secrets behind AWS's own wire protocols, on a port of this machine.

    with FakeAWS() as aws:
        boto3.client("sqs", endpoint_url=aws.url, ...)

It needs nothing but Python. What it is for, and what it does not do: docs/testing-aws.md.
"""

from __future__ import annotations

from halocline.testing.aws.fake import FakeAWS
from halocline.testing.aws.faults import Fault

__all__ = ["FakeAWS", "Fault"]
