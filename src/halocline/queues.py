"""Queues: messages that are handed out until somebody deletes them, as Amazon SQS does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

Value = str | bytes | int | float
"""What an attribute of a message may hold."""


@dataclass(frozen=True, slots=True)
class Typed:
    """An attribute as a queue has it: its type, and its content to the last digit, which a plain value may not be able to say."""

    kind: str
    content: str | bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send. `group` is what is kept in order (FIFO), `dedupe` tells a repeat from a new message (FIFO), `delay_s`
    keeps it back (whole seconds, 0 to 900, not FIFO). `typed` are attributes to send with their very types and digits.
    """

    body: str
    attributes: Mapping[str, Value] = field(default_factory=dict)
    group: str | None = None
    dedupe: str | None = None
    delay_s: int | None = None
    typed: Mapping[str, Typed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it was handed out once; `handle` is good until its visibility ends, or the message is handed out again.

    `receives` is how often it was handed out by now (from 1), `sent_ms` when it was sent (milliseconds since 1970, 0: unknown).
    `failure` says why the body is not the message (a large one that could not be fetched). `typed` are those of the attributes
    whose plain value is less than what was sent: a number of many digits, a type of somebody's own.
    """

    handle: str
    body: str
    id: str = ""
    receives: int = 1
    sent_ms: int = 0
    group: str | None = None
    attributes: Mapping[str, Value] = field(default_factory=dict)
    failure: str = ""
    typed: Mapping[str, Typed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one message: true where the queue took it (`message_id`), deleted it or changed it; else false, with `code`
    and `error`. `sequence` is its place in a FIFO queue.
    """

    message_id: str | None = None
    sequence: str | None = None
    code: str = ""
    error: str = ""

    def __bool__(self) -> bool:
        return not self.code


def name_of(place: str) -> str:
    """The name of the queue at a place: the place itself, or what its URL or ARN ends with. What is remembered of messages, is
    remembered by it.
    """
    return place.rstrip("/").rpartition("/")[2].rpartition(":")[2]


def beside(place: str, name: str) -> str:
    """The place of the queue of that name in the account and region of the queue at `place`, as far as its URL says them."""
    if "://" in name or not place.startswith(("http://", "https://")):
        return name
    return f"{place.rstrip('/').rpartition('/')[0]}/{name}"


def is_fifo(name: str) -> bool:
    """Whether the queue or topic of that name, URL or ARN keeps the order of messages.

    Source: "Amazon SQS FIFO queues", https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-types.html
    """
    return name.endswith(".fifo")


class Queue(Protocol):
    """A queue. Replies come in the order of what was asked; what was refused is a reply, never an exception, as long as anything
    was taken. Every method may be repeated: sending again may send twice, the others do no harm.

    All methods raise: AccessDenied, LoginRefused, NetworkFailed, NotFound for a queue that is not there, RetryLater.
    """

    def send(self, messages: Sequence[Message]) -> list[Reply]:
        """Send messages, any number; those of one group in their order."""

    def receive(self, limit: int = 10, *, wait_s: float = 20.0, visibility_s: int | None = None) -> list[Delivery]:
        """At most `limit` messages and at most ten; none only when none came in `wait_s`. They are hidden for `visibility_s`."""

    def delete(self, handles: Sequence[str]) -> list[Reply]:
        """Delete messages that were dealt with."""

    def extend(self, handles: Sequence[str], seconds: int) -> list[Reply]:
        """Hide messages from now on for so long (0 to 43,200)."""

    def hand_back(self, handles: Sequence[str]) -> list[Reply]:
        """Let messages be handed out again at once."""


@dataclass(frozen=True, slots=True)
class Move:
    """A move of all messages of a queue into another, made by the queue's own system; counts are approximate.

    `state` is `RUNNING`, `COMPLETED`, `CANCELLING`, `CANCELLED` or `FAILED` (`reason` says why).
    """

    state: str
    moved: int
    of: int
    reason: str = ""


@runtime_checkable
class Identified(Protocol):
    """A queue that is the same one by whatever name or URL it was opened."""

    def identity(self) -> str:
        """What no other queue is called, in any account or region; the queue itself is asked, once.

        Raises: AccessDenied, LoginRefused, NetworkFailed, NotFound for a queue that is not there, RetryLater.
        """


@runtime_checkable
class Counted(Protocol):
    """A queue that knows about how many messages it holds."""

    def count(self) -> int:
        """How many there are, hidden ones too; approximate.

        Raises: AccessDenied, LoginRefused, NetworkFailed, NotFound, RetryLater.
        """


@runtime_checkable
class Redriven(Protocol):
    """A queue whose system puts aside what was received too often, and brings it back when it is told to.

    All methods raise: AccessDenied, LoginRefused, NetworkFailed, NotFound, RetryLater.
    """

    def dead_letters(self) -> Queue | None:
        """The queue where it puts what was received too often; None: it has none."""

    def sources(self) -> list[str]:
        """The names of the queues that put such messages into this one."""

    def start_move(self, target: str, *, per_second: int | None = None) -> None:
        """Begin to move all messages of this queue to the one named `target`, so many a second at most."""

    def last_move(self) -> Move | None:
        """How the newest move out of this queue stands; None: there was none."""
