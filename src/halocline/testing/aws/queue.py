"""A queue: what SQS promises of visibility, receive counts, order, duplicates, dead letters and retention."""

from __future__ import annotations

import heapq
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from halocline.testing.aws.clock import Clock
from halocline.testing.aws.errors import AWSError, invalid
from halocline.testing.aws.handle import Handle, written
from halocline.testing.aws.lines import Grouped, Line, Standard
from halocline.testing.aws.message import Message, State

MAX_VISIBILITY_S = 43_200
DEDUPE_S = 300.0  # Source: Amazon SQS Developer Guide, "Using the message deduplication ID"
PURGE_S = 60.0  # Source: Amazon SQS API Reference, PurgeQueue
IN_FLIGHT = 120_000  # Source: Amazon SQS Developer Guide, "Amazon SQS standard queue quotas" and "FIFO queue quotas"
_SPARE = 1_000  # entries of the heap that may be out of date before it is made anew

DEFAULTS = {
    "VisibilityTimeout": "30",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "DelaySeconds": "0",
    "ReceiveMessageWaitTimeSeconds": "0",
    "SqsManagedSseEnabled": "true",
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that a FIFO queue took; that the same deduplication id gets its id and number again is unverified."""

    id: str
    sequence: str
    until: float


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages a queue has: to be received, being worked on, and not yet to be seen."""

    visible: int
    in_flight: int
    delayed: int


class Queue:
    """A queue. `dead_letters` finds the queue of an ARN; `changed` is called when a message may have become visible.

    Only the server's thread may call it.
    """

    def __init__(
        self, name: str, arn: str, *, clock: Clock, settings: Mapping[str, str], dead_letters: Callable[[str], Queue | None]
    ) -> None:
        self.name = name
        self.arn = arn
        self.settings = {**DEFAULTS, **settings}
        self.tags: dict[str, str] = {}
        self.created = self.modified = clock.now()
        self.is_fifo = name.endswith(".fifo")
        self.changed: Callable[[], None] = _nobody
        self._clock = clock
        self._dead_letters = dead_letters
        self._number = secrets.token_hex(8)
        self._serial = 0
        self._purged: float | None = None
        self._accepted: OrderedDict[str, Accepted] = OrderedDict()
        self._empty()

    def _empty(self) -> None:
        self._line: Line = Grouped() if self.is_fifo else Standard()
        self._messages: dict[int, Message] = {}
        self._heap: list[tuple[float, int]] = []
        self._in_flight = self._delayed = 0
        self._oldest = float("inf")

    # ---- messages in

    def put(self, message: Message, *, delay: float) -> None:
        """Take in a message, which is visible after `delay` seconds."""
        self._serial += 1
        message.serial = self._serial
        self._messages[message.serial] = message
        self._oldest = min(self._oldest, message.sent)
        if delay > 0:
            message.state = State.DELAYED
            self._delayed += 1
            self._wake_at(message, self._clock.now() + delay)
        else:
            message.state = State.READY
            self._line.add(message)
        self.changed()

    def accepted(self, dedupe: str) -> Accepted | None:
        """What was taken under this deduplication id within the last five minutes."""
        now = self._clock.now()
        while self._accepted and next(iter(self._accepted.values())).until <= now:
            self._accepted.popitem(last=False)
        return self._accepted.get(dedupe)

    def accept(self, dedupe: str, message_id: str) -> Accepted:
        """Remember a deduplication id, with the sequence number that its message gets."""
        made = Accepted(message_id, str(18_870_000_000_000_000_000 + (self._serial + 1) * 256), self._clock.now() + DEDUPE_S)
        self._accepted[dedupe] = made
        return made

    # ---- messages out

    def take(self, most: int, visibility: float) -> list[Message]:
        """Up to `most` messages, invisible for others for `visibility` seconds.
        Raises: AWSError (OverLimit) where too many are in flight.
        """
        now = self._clock.now()
        self.wake(now)
        if self._in_flight >= IN_FLIGHT:
            raise AWSError("OverLimit", "Too many messages in flight.", status=403)
        taken: list[Message] = []
        held: list[str] = []
        limit = self._most_receives()
        while len(taken) < most and (message := self._line.pop(held)) is not None:
            if self._is_old(message, now):
                self._drop(message)
            elif limit is not None and message.receives >= limit[0]:
                self._bury(message, limit[1])
            else:
                self._deliver(message, now, visibility)
                taken.append(message)
        self._line.settle(held)
        return taken

    def handle(self, message: Message) -> str:
        """The receipt handle of a message's last delivery."""
        return written(self._number, message.serial, receipt=message.receives)

    def delete(self, handle: str) -> None:
        """Delete a message by its newest handle. An older one, or a message that is gone, changes nothing in a standard queue.

        Source: Amazon SQS API Reference, DeleteMessage ("the request returns successfully even if ... might not be deleted");
        for FIFO queues https://github.com/aws/aws-sdk-js/issues/1279.
        Raises: AWSError (ReceiptHandleIsInvalid; InvalidParameterValue for a handle that a FIFO queue no longer takes).
        """
        known = self._read(handle)
        self.wake(self._clock.now())
        message = self._messages.get(known.serial)
        if message is None:
            return
        is_newest = message.receives == known.receipt
        if self.is_fifo and not (is_newest and message.state is State.IN_FLIGHT):
            raise _expired(handle)
        if is_newest:
            self._drop(message)

    def change(self, handle: str, seconds: int) -> None:
        """Make a message in flight visible after so many seconds from now.

        A handle whose time is over changes nothing in a standard queue, as AWS answered to the tests of
        https://github.com/localstack/localstack/pull/9632; a message that is gone is refused:
        https://github.com/aws/aws-sdk-net/issues/1927. What a FIFO queue answers to a handle whose time is over is unverified.
        Raises: AWSError (ReceiptHandleIsInvalid, InvalidParameterValue).
        """
        known = self._read(handle)
        now = self._clock.now()
        self.wake(now)
        message = self._messages.get(known.serial)
        if message is None:
            why = "Message does not exist or is not available for visibility timeout change."
            raise invalid("ReceiptHandle", handle, reason=why)
        if message.state is not State.IN_FLIGHT or message.receives != known.receipt:
            if self.is_fifo:
                raise _expired(handle)
            return
        if now + seconds > message.received + MAX_VISIBILITY_S:
            why = f"Total VisibilityTimeout for the message is beyond the limit [{MAX_VISIBILITY_S} seconds]"
            raise invalid("VisibilityTimeout", seconds, reason=why)
        self._wake_at(message, now + seconds)
        self.wake(now)
        self.changed()

    def purge(self) -> None:
        """Delete everything.
        Raises: AWSError (PurgeQueueInProgress) within 60 seconds of the last time.
        """
        now = self._clock.now()
        if self._purged is not None and now < self._purged + PURGE_S:
            why = f"Only one PurgeQueue operation on {self.name} is allowed every 60 seconds."
            raise AWSError("AWS.SimpleQueueService.PurgeQueueInProgress", why, status=403)
        self._purged = now
        self._empty()

    # ---- what there is

    def counts(self) -> Counts:
        now = self._clock.now()
        self.wake(now)
        self._expire(now)
        visible = len(self._messages) - self._in_flight - self._delayed
        return Counts(visible, self._in_flight, self._delayed)

    def messages(self) -> list[Message]:
        """Copies of all messages, in the order in which they came."""
        self.counts()
        return [replace(message) for message in self._messages.values()]

    def next_wake(self) -> float | None:
        """When the next message becomes visible by time alone, in the clock's seconds."""
        self._prune()
        return self._heap[0][0] if self._heap else None

    def wake(self, now: float) -> None:
        """Make messages visible whose delay or visibility time-out is over."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            due, serial = heapq.heappop(heap)
            message = self._messages.get(serial)
            if message is None or message.due != due or message.state is State.READY:
                continue
            was, message.state = message.state, State.READY
            self._line.add(message)
            if was is State.DELAYED:
                self._delayed -= 1
            else:
                self._in_flight -= 1
                self._line.free(message)

    # ---- inside

    def _deliver(self, message: Message, now: float, visibility: float) -> None:
        message.receives += 1
        message.received = now
        message.first_received = message.first_received or now
        message.state = State.IN_FLIGHT
        self._in_flight += 1
        self._line.hold(message)
        self._wake_at(message, now + visibility)

    def _drop(self, message: Message) -> None:
        """A message is no longer in this queue."""
        del self._messages[message.serial]
        was, message.state = message.state, State.GONE
        if was is State.IN_FLIGHT:
            self._in_flight -= 1
            self._line.free(message)
            self.changed()
        elif was is State.DELAYED:
            self._delayed -= 1
        else:
            self._line.discard(message)

    def _bury(self, message: Message, target: Queue) -> None:
        """Move a message to the queue of dead letters.

        A standard queue's keeps the time at which it was sent. That the receive count goes on is unverified.
        Source: Amazon SQS Developer Guide, "Setting-up dead-letter queue retention".
        """
        self._drop(message)
        sent = self._clock.now() if self.is_fifo else message.sent
        system = {**message.system, "DeadLetterQueueSourceArn": self.arn}
        target.put(replace(message, sent=sent, system=system), delay=0)

    def _most_receives(self) -> tuple[int, Queue] | None:
        policy = self.settings.get("RedrivePolicy")
        if not policy:
            return None
        rule = json.loads(policy)
        target = self._dead_letters(rule["deadLetterTargetArn"])
        return None if target is None else (int(rule["maxReceiveCount"]), target)

    def _read(self, handle: str) -> Handle:
        known = Handle.read(handle)
        if known is None or known.queue != self._number:
            raise AWSError("ReceiptHandleIsInvalid", f'The input receipt handle "{handle}" is not a valid receipt handle.')
        return known

    def _is_old(self, message: Message, now: float) -> bool:
        return message.sent + float(self.settings["MessageRetentionPeriod"]) <= now

    def _expire(self, now: float) -> None:
        if self._oldest + float(self.settings["MessageRetentionPeriod"]) > now:
            return
        for message in [one for one in self._messages.values() if self._is_old(one, now)]:
            self._drop(message)
        self._oldest = min((one.sent for one in self._messages.values()), default=float("inf"))

    def _wake_at(self, message: Message, due: float) -> None:
        message.due = due
        heapq.heappush(self._heap, (due, message.serial))
        if len(self._heap) > 2 * (self._in_flight + self._delayed) + _SPARE:
            self._heap = [(one.due, one.serial) for one in self._messages.values() if one.state is not State.READY]
            heapq.heapify(self._heap)

    def _prune(self) -> None:
        while self._heap:
            message = self._messages.get(self._heap[0][1])
            if message is not None and message.due == self._heap[0][0] and message.state is not State.READY:
                return
            heapq.heappop(self._heap)


def _expired(handle: str) -> AWSError:
    return invalid("ReceiptHandle", handle, reason="The receipt handle has expired.")


def _nobody() -> None:
    """Nobody waits."""
