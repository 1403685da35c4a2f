"""Laws of docs/workers.md: its sample runs as it stands, and its table of limits is the truth."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import boto3
import pytest
from tests.test_docs import run_page

from halocline.consume.limits import Limits
from halocline.consume.work.worker import Worker
from halocline.testing.aws import FakeAWS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "workers.md"
INNER = {"batch", "fifo", "records"}  # what the queue's kind and the store decide


def test_the_sample_runs(aws: FakeAWS, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, up to the moment in which the worker would wait for messages."""
    for name in ("users", "users-dead"):
        boto3.client("sqs").create_queue(QueueName=name)
    begun: list[Worker] = []
    monkeypatch.setattr(Worker, "run", lambda self: begun.append(self))  # noqa: PLW0108 - `append` itself would not be given the worker
    run_page(PAGE)
    assert [worker.name for worker in begun] == ["users"]
    assert begun[0].limits.records


def test_all_limits_are_told_with_their_defaults() -> None:
    """Each that a user may set, and no other; numbers as they are."""
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE))
    assert set(rows) == {one.name for one in fields(Limits)} - INNER
    usual = Limits()
    for name, told in rows.items():
        if re.fullmatch(r"[\d.,]+", told):
            assert float(told.replace(",", "")) == getattr(usual, name), name
