"""A queue with messages in it, and a worker that handles them: what tests of workers share."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import boto3

from halocline.connectors.aws.sqs import SQS, open_queue
from halocline.consume.handling.handlers import Handlers
from halocline.consume.limits import Limits
from halocline.consume.watching.observer import Note, Snapshot, What
from halocline.consume.work.worker import Worker
from halocline.queues import Delivery, Message

_NUMBERS = count(1)
PATIENCE_S = 20.0  # a machine under load; what is waited for takes milliseconds


def queue_of(messages: int = 0, **attributes: str) -> SQS:
    """A new queue with messages whose bodies are "0", "1", ..."""
    name = f"worker-{next(_NUMBERS)}" + (".fifo" if attributes.get("FifoQueue") else "")
    boto3.client("sqs").create_queue(QueueName=name, Attributes=attributes)
    queue = open_queue(name)
    fill(queue, messages)
    return queue


def fill(queue: SQS, messages: int) -> None:
    """Send messages, in a FIFO queue all of one group."""
    group = "g" if queue.is_fifo else None
    sent = [Message(str(number), group=group, dedupe=str(number) if group else None) for number in range(messages)]
    assert all(queue.send(sent))


def limits(**changed: Any) -> Limits:
    """Limits of a worker without a store that ends soon."""
    return Limits(**{"records": False, "grace_s": 5.0, "flush_s": 0.02, **changed})


def until(condition: Callable[[], object], what: str = "it") -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"{what} did not come about in {PATIENCE_S:.0f} s"
        pause.wait(0.005)


@contextmanager
def running(worker: Worker) -> Iterator[Worker]:
    """A worker at work while the block lasts."""
    worker.start()
    try:
        yield worker
    finally:
        worker.stop_now()
        assert worker.join(PATIENCE_S)


def handled_by(function: Callable[..., Any]) -> Handlers:
    """Handlers whose default is this one."""
    handlers = Handlers()
    handlers.add_handler(function)
    return handlers


class Runs:
    """A handler that notes each run; `wait` holds it up until `go`."""

    def __init__(self, *, hold: bool = False) -> None:
        self.bodies: list[str] = []
        self.go = threading.Event()
        if not hold:
            self.go.set()

    def __call__(self, message: Any) -> None:
        self.bodies.append(message.raw_body)
        self.go.wait(PATIENCE_S)

    @property
    def most(self) -> int:
        """How often one message ran at most."""
        return max(Counter(self.bodies).values(), default=0)


class Noted:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self.snapshots: list[Snapshot] = []

    @contextmanager
    def handling(self, queue: str, delivery: Delivery) -> Iterator[None]:
        yield

    def noted(self, note: Note) -> None:
        self.notes.append(note)

    def seen(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)

    def of(self, what: What) -> list[Note]:
        return [note for note in self.notes if note.what is what]
