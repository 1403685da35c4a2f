"""SIGTERM: how a worker's process ends under load, and what it leaves behind in its queue."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from halocline.connectors.aws.sqs import SQS
from halocline.testing.aws import FakeAWS
from tests.consume.desk import queue_of, until
from tests.figures import SAYS, Says

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

PROCESS = Path(__file__).parent / "worker_process.py"
MESSAGES = 120
EXTREMES = [(0.1, True), (30.0, False)]  # seconds of grace, and whether records are kept
MANY = [(0.1, True), (2.0, False), (30.0, True)] * 12


def begin(queue: SQS, *, store: str, grace_s: float, seconds: str, log: Path) -> subprocess.Popen[bytes]:
    """A worker's process; the environment leads it to the test's AWS."""
    arguments = [queue.name, store, str(grace_s), seconds, str(log)]
    return subprocess.Popen([sys.executable, str(PROCESS), *arguments], env=dict(os.environ))


def noted(log: Path, sign: str) -> list[str]:
    """What a process began (+) or ended (-)."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [line[1:] for line in lines if line.startswith(sign)]


def ended_s(process: subprocess.Popen[bytes]) -> float:
    """Seconds until it has ended, which must be in order."""
    begun = time.monotonic()
    assert process.wait(60) == 0
    return time.monotonic() - begun


def one_drain(aws: FakeAWS, folder: Path, *, store: str, grace_s: float, seconds: float) -> tuple[float, int, int]:
    """How long the end took, how many messages it left hidden, and how many that were done are still in the queue."""
    queue, log = queue_of(MESSAGES), folder / f"{grace_s}-{seconds}-{time.monotonic_ns()}"
    process = begin(queue, store=store, grace_s=grace_s, seconds=str(seconds), log=log)
    try:
        until(lambda: len(noted(log, "-")) >= 15)
        process.send_signal(signal.SIGTERM)
        took_s = ended_s(process)
    finally:
        process.kill()
    left = {message.body for message in aws.messages(queue.name)}
    done = set(noted(log, "-"))
    assert left | done == {str(number) for number in range(MESSAGES)}
    assert len(noted(log, "-")) == len(done)
    return took_s, aws.counts(queue.name).in_flight, len(left & done)


@pytest.mark.parametrize("drains", [EXTREMES, pytest.param(MANY, marks=pytest.mark.long)], ids=["extremes", "many"])
def test_sigterm_under_load_leaves_nothing_hidden(
    aws: FakeAWS, redis_uri: str, tmp_path: Path, drains: list[tuple[float, bool]], record_property: Says
) -> None:
    """Grace of 0.1 to 30 seconds: what runs ends or is handed back, what was done is deleted, the rest is visible at once."""
    ends = [
        one_drain(aws, tmp_path, store=redis_uri if recorded else "none", grace_s=grace_s, seconds=0.4)
        for grace_s, recorded in drains
    ]
    took = sorted(took_s for took_s, _, _ in ends)
    hidden, again = sum(one[1] for one in ends), sum(one[2] for one in ends)
    p99 = took[min(len(took) - 1, int(len(took) * 0.99))]
    figure = f"T10 SIGTERM under load: {len(took)} drains, exit p50={statistics.median(took):.2f}s p99={p99:.2f}s hidden={hidden}"
    record_property(SAYS, f"{figure} redelivered_after_done={again}")
    assert (hidden, again) == (0, 0)
    assert max(took) < 25  # less than the longest grace, which nobody has to wait for


def test_a_second_signal_hands_back_all(aws: FakeAWS, tmp_path: Path) -> None:
    """Ten handlers hang: after the first signal they are waited for, after the second they are not."""
    queue, log = queue_of(30), tmp_path / "log"
    process = begin(queue, store="none", grace_s=30.0, seconds="hang", log=log)
    try:
        until(lambda: len(noted(log, "+")) == 10)
        process.send_signal(signal.SIGTERM)
        until(lambda: aws.counts(queue.name).visible == 20)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert ended_s(process) < 25  # less than the grace
    finally:
        process.kill()
    assert (aws.counts(queue.name).visible, aws.counts(queue.name).in_flight) == (30, 0)
