"""Queues: messages that are handed out until somebody deletes them, as Amazon SQS does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Value = str | bytes | int | float
"""What an attribute of a message may hold."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send. `group` is what is kept in order (FIFO), `dedupe` tells a repeat from a new message (FIFO), `delay_s`
    keeps it back (whole seconds, 0 to 900, not FIFO).
    """

    body: str
    attributes: Mapping[str, Value] = field(default_factory=dict)
    group: str | None = None
    dedupe: str | None = None
    delay_s: int | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it was handed out once; `handle` is good until its visibility ends, or the message is handed out again.

    `receives` is how often it was handed out by now (from 1), `sent_ms` when it was sent (milliseconds since 1970, 0: unknown).
    `failure` says why the body is not the message (a large one that could not be fetched).
    """

    handle: str
    body: str
    id: str = ""
    receives: int = 1
    sent_ms: int = 0
    group: str | None = None
    attributes: Mapping[str, Value] = field(default_factory=dict)
    failure: str = ""


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
