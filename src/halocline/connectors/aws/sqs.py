"""SQS: a queue of Amazon SQS. It is a `halocline.queues.Queue`.

Source for limits: "Amazon SQS message quotas",
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html, read November 2026.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from halocline.attributes import typed
from halocline.connectors.aws.attributes import from_wire, half_a_character, size_of, to_wire
from halocline.connectors.aws.batches import MOST, Batches, Entry
from halocline.connectors.aws.offload import Offload
from halocline.connectors.aws.s3 import S3
from halocline.connectors.aws.session import Access, session_of
from halocline.connectors.aws.wire import Wire
from halocline.errors import AccessDenied, FixConfig, HaloclineError, LoginRefused, RetryLater
from halocline.pointers import SIZE, Pointer, is_marked, unmarked, why_missing
from halocline.queues import Delivery, Message, Move, Reply, Typed, Value, is_fifo, name_of

MAX_BYTES = 1_048_576
"""A message with its attributes, and all messages of a call together; 262,144 until August 2025. A queue may allow less.
Source: "SendMessageBatch",
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html, read November 2026."""
LONGEST_POLL_S = 20
LONGEST_HIDDEN_S = 43_200
USUAL_HIDDEN_S = 30
_LONGEST_DELAY_S = 900
_PAGE = 1_000
_RIGHTS = "The login needs {} on the queue."
_REGION = re.compile(r"https://(?:sqs\.([a-z0-9-]+)\.|([a-z0-9-]+)\.queue\.)amazonaws\.com(?:\.cn)?/")
_SYSTEM = ["ApproximateReceiveCount", "SentTimestamp", "MessageGroupId"]

_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


def open_queue(place: str, *, account_id: str | None = None, offload: Offload | str | None = None, **settings: object) -> SQS:
    """The queue of that name or URL; `settings` are those of `Access`, by our names or boto3's. `offload` is the bucket for large
    messages, or an `Offload` with more to say.

    Raises: NotFound where there is no queue of that name.
    """
    access = Access.of(settings)
    if isinstance(offload, str):
        offload = Offload(S3(access), offload)
    if "://" in place:
        return SQS(place, access, offload=offload)
    wanted = {"QueueName": place} if account_id is None else {"QueueName": place, "QueueOwnerAWSAccountId": account_id}
    wire = Wire(session_of(access), "sqs")
    doing, rights = f"Looking for the queue {place}", _RIGHTS.format("sqs:GetQueueUrl")
    return SQS(wire.call(doing, "GetQueueUrl", wanted=wanted, rights=rights)["QueueUrl"], access, offload=offload)


class SQS:
    """The queue at `url`, with the one client of this process for `access`. Threads may share it.

    Messages of more than `offload.over_bytes` go by way of S3, and so do those that were sent so.
    Raises: FixConfig where boto3 has no region or profile, or a wrong one.
    """

    def __init__(self, url: str, access: Access | None = None, *, offload: Offload | None = None) -> None:
        self.url = url
        self._offload = offload
        access = self._access = Access.of({}) if access is None else access
        match = _REGION.match(url)
        region = "" if match is None else match[1] or match[2]
        self._wire = Wire(session_of(access.in_region(region)), "sqs")
        self._attributes: Mapping[str, str] | None = None

    @property
    def name(self) -> str:
        """The queue's name."""
        return name_of(self.url)

    @property
    def offload(self) -> Offload | None:
        """Where its large messages go."""
        return self._offload

    @property
    def is_fifo(self) -> bool:
        """Whether it keeps the order of groups and drops repeats."""
        return is_fifo(self.name)

    def send(self, messages: Sequence[Message]) -> list[Reply]:
        """Send messages, any number, ten and a mebibyte at a time; those of one group of a FIFO queue one after the other.

        A message after one of its group that was refused is held back (`Held`); one that is too large and cannot go by way of S3
        is refused (`MessageTooLong`). Sending again after a lost reply may send twice, save with `dedupe` in a FIFO queue.
        Raises: what a call raised, where nothing was taken; FixConfig for a FIFO message without a group.
        """
        self._check(messages)
        entries = [self._entry(index, message) for index, message in enumerate(messages)]
        replies = self._run("Sending to", "SendMessageBatch", entries=entries, max_bytes=MAX_BYTES, in_order=self.is_fifo)
        return [replies[index] for index in range(len(entries))]

    def receive(self, limit: int = MOST, *, wait_s: float = LONGEST_POLL_S, visibility_s: int | None = None) -> list[Delivery]:
        """At most `limit` messages and at most ten; none only when none came in `wait_s` (at most 20), or none was asked for.

        A large message whose body cannot be had just now is left out, and comes again when its visibility ends; where nobody can
        have it, or not this login, `failure` says why: S3 also says of what is gone that it is forbidden.
        Raises: what kept the body back (RetryLater, LoginRefused), where all that came was left out.
        """
        return self._fetched(self._handed_out(limit, wait_s, visibility_s), aside=(RetryLater, LoginRefused))

    def receive_allowed(self, limit: int, *, wait_s: float, visibility_s: int | None) -> list[Delivery]:
        """Likewise, for who counts no tries: what this login cannot have is left out, too, and raised where it comes alone."""
        found = self._handed_out(limit, wait_s, visibility_s)
        return self._fetched(found, aside=(RetryLater, LoginRefused, AccessDenied))

    def _handed_out(self, limit: int, wait_s: float, visibility_s: int | None) -> list[Delivery]:
        """What SQS hands out, as it is there."""
        if limit < 1:
            return []
        wanted: dict[str, Any] = {
            "MaxNumberOfMessages": min(limit, MOST),
            "WaitTimeSeconds": max(0, min(LONGEST_POLL_S, math.ceil(wait_s))),
            "MessageAttributeNames": ["All"],
            "MessageSystemAttributeNames": _SYSTEM,
        }
        if visibility_s is not None:
            wanted["VisibilityTimeout"] = _hidden(visibility_s)
        answer = self._call("Receiving from", "ReceiveMessage", wanted=wanted)
        return [_delivery(found) for found in answer.get("Messages", ())]

    def cut(self, thread: int) -> None:
        """Let the poll that this thread waits for fail (NetworkFailed): no message goes to who has gone away.

        Threads are named as `threading.get_ident` does. SQS is told first, and messages on their way are received. Called
        again, it fails at once, and such messages come again when their visibility ends. Behind a proxy nothing is done.
        """
        self._wire.cut(thread)

    def delete(self, handles: Sequence[str]) -> list[Reply]:
        """Delete messages, ten at a time, and the objects of large ones.

        A message that is gone and whose object is not has a false reply (`ObjectLeft`): to delete it again tries again.
        """
        plain = [unmarked(handle) for handle in handles]
        entries = [Entry(index, {"ReceiptHandle": handle}) for index, (handle, _) in enumerate(plain)]
        replies = self._run("Deleting from", "DeleteMessageBatch", entries=entries)
        return [self._removed(replies[index], pointer) for index, (_, pointer) in enumerate(plain)]

    def extend(self, handles: Sequence[str], seconds: int) -> list[Reply]:
        """Hide messages from now on for so long (0 to 43,200; twelve hours after they were received they come back anyway).

        Source: "ChangeMessageVisibility", read November 2026,
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
        """
        hidden = {"VisibilityTimeout": _hidden(seconds)}
        entries = [Entry(index, {"ReceiptHandle": unmarked(one)[0], **hidden}) for index, one in enumerate(handles)]
        replies = self._run("Changing visibility in", "ChangeMessageVisibilityBatch", entries=entries)
        return [replies[index] for index in range(len(entries))]

    def hand_back(self, handles: Sequence[str]) -> list[Reply]:
        """Let messages be handed out again at once."""
        return self.extend(handles, 0)

    def attributes(self) -> Mapping[str, str]:
        """The queue's settings and approximate counts, asked for once."""
        if self._attributes is None:
            answer = self._call("Looking at", "GetQueueAttributes", wanted={"AttributeNames": ["All"]})
            self._attributes = answer.get("Attributes", {})
        return self._attributes

    def count(self) -> int:
        """How many messages it holds by now, about: those that can be received, are hidden, or delayed.

        Source: "GetQueueAttributes", read November 2026,
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
        """
        answer = self._call("Looking at", "GetQueueAttributes", wanted={"AttributeNames": list(_COUNTS)})
        return sum(int(answer.get("Attributes", {}).get(name, 0)) for name in _COUNTS)

    def identity(self) -> str:
        """Its ARN."""
        return self.attributes().get("QueueArn", self.url)

    @property
    def hidden_s(self) -> int:
        """For how long the queue hides what it hands out, where a call does not say so; 30 (SQS's default) where we cannot know.

        It is asked for with messages at hand, whose handles an error would lose.
        """
        try:
            return int(self.attributes().get("VisibilityTimeout", USUAL_HIDDEN_S))
        except HaloclineError:
            return USUAL_HIDDEN_S

    def dead_letters(self) -> SQS | None:
        """The queue where SQS puts what was received too often; it is of the same account and region. None: there is none.

        Source: "Using dead-letter queues in Amazon SQS", read November 2026,
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
        """
        policy = json.loads(self.attributes().get("RedrivePolicy") or "{}")
        arn = policy.get("deadLetterTargetArn")
        return SQS(self._beside(arn.rpartition(":")[2]), self._access, offload=self._offload) if arn else None

    def sources(self) -> list[str]:
        """The names of the queues that put such messages into this one."""
        found: list[str] = []
        wanted: dict[str, Any] = {"MaxResults": _PAGE}
        while True:
            answer = self._call("Looking for the sources of", "ListDeadLetterSourceQueues", wanted=wanted)
            found += [url.rstrip("/").rpartition("/")[2] for url in answer.get("queueUrls", ())]
            if not answer.get("NextToken"):
                return found
            wanted = {**wanted, "NextToken": answer["NextToken"]}

    def start_move(self, target: str, *, per_second: int | None = None) -> None:
        """Begin to move all messages of this queue to the one named `target`, so many a second at most (500).

        Source: "StartMessageMoveTask", read November 2026,
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html. That messages which
        were sent here by hand are moved as well, when the target is named, is unverified on an account.
        """
        own = self.attributes()["QueueArn"]
        wanted: dict[str, Any] = {"SourceArn": own, "DestinationArn": f"{own.rpartition(':')[0]}:{target}"}
        if per_second is not None:
            wanted |= {"MaxNumberOfMessagesPerSecond": per_second}
        self._move("Moving the messages of", "StartMessageMoveTask", wanted=wanted)

    def last_move(self) -> Move | None:
        """How the newest move out of this queue stands; None: there was none."""
        wanted = {"SourceArn": self.attributes()["QueueArn"], "MaxResults": 1}
        for found in self._move("Looking at moves from", "ListMessageMoveTasks", wanted=wanted).get("Results", ()):
            moved, of = (int(found.get(f"ApproximateNumberOfMessages{name}") or 0) for name in ("Moved", "ToMove"))
            return Move(found["Status"], moved, of, found.get("FailureReason") or "")
        return None

    def _beside(self, name: str) -> str:
        return f"{self.url.rstrip('/').rpartition('/')[0]}/{name}"

    def _move(self, doing: str, operation: str, *, wanted: Mapping[str, Any]) -> dict[str, Any]:
        rights = _RIGHTS.format(f"sqs:{operation}, sqs:ReceiveMessage, sqs:DeleteMessage") + " And sqs:SendMessage on its target."
        return self._wire.call(f"{doing} the queue {self.name}", operation, wanted=wanted, rights=rights)

    def _call(self, doing: str, operation: str, *, wanted: Mapping[str, Any]) -> dict[str, Any]:
        right = operation.removesuffix("Batch")
        asked = {"QueueUrl": self.url, **wanted}
        return self._wire.call(f"{doing} the queue {self.name}", operation, wanted=asked, rights=_RIGHTS.format(f"sqs:{right}"))

    def _run(
        self, doing: str, operation: str, *, entries: Sequence[Entry], max_bytes: int = 0, in_order: bool = False
    ) -> dict[int, Reply]:
        def call(some: list[dict[str, Any]]) -> Mapping[str, Any]:
            return self._call(doing, operation, wanted={"Entries": some})

        return Batches(f"{doing} the queue {self.name}", call, max_bytes=max_bytes).run(entries, in_order=in_order)

    def _check(self, messages: Sequence[Message]) -> None:
        """Raises: FixConfig for what no queue of this kind takes, before anything of it is in S3."""
        if not self.is_fifo:
            for message in messages:
                _check_delay(message.delay_s)
            return
        doing = f"Sending to the queue {self.name}"
        if any(message.delay_s is not None for message in messages):
            raise FixConfig(
                doing, "a FIFO queue delays no single message", hint="Leave delay_s out; the queue has a delay of its own."
            )
        if any(message.group is None for message in messages):
            raise FixConfig(doing, "a FIFO queue wants a group for every message", hint="Give group=: what must stay in order.")
        if any(message.dedupe is None for message in messages) and not self._may_tell_by_content():
            hint = "Give dedupe=: a text per message that a repeat has too; or turn on ContentBasedDeduplication."
            raise FixConfig(doing, "this FIFO queue does not tell repeats by what they hold", hint=hint)

    def _may_tell_by_content(self) -> bool:
        """Whether the queue tells repeats by what they hold; True to a login that may only send: SQS itself refuses then."""
        try:
            return self.attributes().get("ContentBasedDeduplication") == "true"
        except AccessDenied:
            return True

    def _entry(self, index: int, message: Message) -> Entry:
        if unfit := half_a_character(message):
            return Entry(index, {}, group=message.group, unfit=unfit)
        body, dedupe = message.body, message.dedupe
        attributes: dict[str, Value | Typed] = {**message.attributes, **message.typed}
        size = size_of(body, attributes)
        if self._offload is not None and size > self._offload.over_bytes:
            content = body.encode()
            attributes[SIZE] = len(content)
            body = self._offload.store(body).body
            size = size_of(body, attributes)
            if dedupe is None:  # SQS would tell repeats by the pointer, which is never the same; this is what it makes of a body
                dedupe = hashlib.sha256(content).hexdigest()
        wire: dict[str, Any] = {"MessageBody": body}
        if attributes:
            wire["MessageAttributes"] = {name: to_wire(value) for name, value in attributes.items()}
        more = {"MessageDeduplicationId": dedupe} if self.is_fifo else {"DelaySeconds": message.delay_s}
        wire |= {name: value for name, value in {"MessageGroupId": message.group, **more}.items() if value is not None}
        return Entry(index, wire, size, message.group)

    def _fetched(self, deliveries: list[Delivery], *, aside: tuple[type[HaloclineError], ...]) -> list[Delivery]:
        """The deliveries with the bodies of large messages; without those that are to come again, for errors of `aside`, and in
        a FIFO queue without what comes behind them in their group.
        """
        if self._offload is None and not any(is_marked(one.attributes) for one in deliveries):
            return deliveries
        whole: list[Delivery] = []
        kept_back: HaloclineError | None = None
        behind: set[str | None] = set()
        for delivery in deliveries:
            if delivery.group in behind:
                continue
            try:
                whole.append(self._followed(delivery))
            except aside as error:
                kept_back = error  # no hand_back: while S3 is away, it would use up the receives before the dead letter queue
                behind |= {delivery.group} if self.is_fifo else set()
            except AccessDenied as error:
                whole.append(replace(delivery, failure=str(error)))
        if kept_back is not None and not whole:
            raise kept_back
        return whole

    def _removed(self, reply: Reply, pointer: Pointer | None) -> Reply:
        if pointer is None or self._offload is None or not reply:
            return reply
        try:
            self._offload.remove(pointer)
        except HaloclineError as error:
            return Reply(code="ObjectLeft", error=f"the message is deleted, its object in S3 is not: {error}")
        return reply

    def _followed(self, delivery: Delivery) -> Delivery:
        """The delivery with its body, or why there is none.

        Raises: RetryLater, LoginRefused, AccessDenied, after which another try may have it.
        """
        if self._offload is not None:
            return self._offload.follow(delivery)
        if not is_marked(delivery.attributes):
            return delivery
        return replace(delivery, failure=why_missing(delivery.body, delivery.attributes))


def _delivery(found: Mapping[str, Any]) -> Delivery:
    system = found.get("Attributes", {})
    wires = found.get("MessageAttributes", {})
    return Delivery(
        found["ReceiptHandle"],
        found["Body"],
        found.get("MessageId", ""),
        int(system.get("ApproximateReceiveCount", 1)),
        int(system.get("SentTimestamp", 0)),
        system.get("MessageGroupId"),
        {name: from_wire(wire) for name, wire in wires.items()},
        typed=typed(wires) if wires else {},
    )


def _hidden(seconds: int) -> int:
    if not 0 <= seconds <= LONGEST_HIDDEN_S:
        raise FixConfig("Hiding messages", f"{seconds} is no time for it", hint=f"Give 0 to {LONGEST_HIDDEN_S} seconds.")
    return seconds


def _check_delay(seconds: int | None) -> None:
    if seconds is not None and not 0 <= seconds <= _LONGEST_DELAY_S:
        raise FixConfig("Delaying a message", f"{seconds} is no time for it", hint=f"Give 0 to {_LONGEST_DELAY_S} seconds.")
