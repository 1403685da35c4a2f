"""SNS: publishing to a topic of Amazon SNS.

Source: "PublishBatch", https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html, read November 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from halocline.connectors.aws.attributes import half_a_character, size_of, to_wire
from halocline.connectors.aws.batches import Batches, Entry
from halocline.connectors.aws.errors import gate
from halocline.connectors.aws.session import Access, session_of
from halocline.errors import FixConfig, Stop
from halocline.queues import Message, Reply, Value, is_fifo

MAX_BYTES = 262_144
"""A message with its attributes, and all of a call together. A topic whose MaximumMessageSize says so takes up to 1,048,576."""
_RIGHTS = "The login needs sns:Publish on the topic."


def open_topic(arn: str, *, max_bytes: int = MAX_BYTES, **settings: object) -> Topic:
    """The topic of that ARN; `settings` are those of `Access`, by our names or boto3's."""
    return Topic(arn, Access.of(settings), max_bytes=max_bytes)


class Topic:
    """The topic of that ARN, with the one client of this process for `access`. Threads may share it.

    `max_bytes` is what the topic takes a message, and a call. What is published again after a lost reply may arrive twice, save
    with `dedupe` in a FIFO topic.
    Raises: FixConfig for what is no ARN of a topic.
    """

    def __init__(self, arn: str, access: Access | None = None, *, max_bytes: int = MAX_BYTES) -> None:
        parts = arn.split(":")
        if len(parts) != 6 or parts[2] != "sns":
            hint = "Write arn:aws:sns:region:account:name."
            raise FixConfig("Opening a topic", f"{arn[:100]!r} is no ARN of a topic", hint=hint)
        self.arn = arn
        self.name = parts[5]
        self._max_bytes = max_bytes
        self._client: Any = session_of((Access.of({}) if access is None else access).in_region(parts[3])).client("sns")

    @property
    def is_fifo(self) -> bool:
        """Whether it keeps the order of groups and drops repeats."""
        return is_fifo(self.name)

    def publish(
        self,
        body: str,
        *,
        subject: str | None = None,
        attributes: Mapping[str, Value] | None = None,
        group: str | None = None,
        dedupe: str | None = None,
    ) -> str:
        """Publish one message and return its id.

        Raises: Stop where SNS refused it.
        """
        (reply,) = self.publish_all([Message(body, attributes or {}, group, dedupe)], subjects=[subject])
        if reply.message_id is None:
            raise Stop(f"Publishing to the topic {self.name}", f"SNS refused the message: {reply.error}", code=reply.code)
        return reply.message_id

    def publish_all(self, messages: Sequence[Message], *, subjects: Sequence[str | None] | None = None) -> list[Reply]:
        """Publish messages, any number, ten at a time; those of one group of a FIFO topic one after the other. `subjects` has
        one for each, or none.

        A message after one of its group that was refused is held back (`Held`); one that is too large is refused
        (`MessageTooLong`).
        Raises: what a call raised, where nothing was taken; FixConfig for a message with a delay, which topics do not know.
        """
        given = [None] * len(messages) if subjects is None else subjects
        pairs = enumerate(zip(messages, given, strict=True))
        entries = [self._entry(index, message, subject=subject) for index, (message, subject) in pairs]
        doing = f"Publishing to the topic {self.name}"
        replies = Batches(doing, self._call, max_bytes=self._max_bytes).run(entries, in_order=self.is_fifo)
        return [replies[index] for index in range(len(entries))]

    def attributes(self) -> Mapping[str, str]:
        """The topic's settings (`Owner`, `Policy`, `FifoTopic`, ...), as they are now."""
        with gate(f"Looking at the topic {self.name}", rights="The login needs sns:GetTopicAttributes on the topic."):
            found: Mapping[str, str] = self._client.get_topic_attributes(TopicArn=self.arn)["Attributes"]
            return found

    def subscriptions(self) -> Iterator[Mapping[str, str]]:
        """Who subscribed: `SubscriptionArn`, `Protocol`, `Endpoint`, ... of each, a hundred per call."""
        more: dict[str, str] = {}
        while True:
            with gate(f"Listing who subscribed to the topic {self.name}", rights="The login needs sns:ListSubscriptionsByTopic."):
                page = self._client.list_subscriptions_by_topic(TopicArn=self.arn, **more)
            yield from page.get("Subscriptions", ())
            if not page.get("NextToken"):
                return
            more = {"NextToken": page["NextToken"]}

    def subscription(self, arn: str) -> Mapping[str, str]:
        """The settings of one subscription."""
        doing = f"Looking at the subscription {arn}"
        with gate(doing, rights="The login needs sns:GetSubscriptionAttributes on the topic."):
            found: Mapping[str, str] = self._client.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
            return found

    def _call(self, entries: list[dict[str, Any]]) -> Mapping[str, Any]:
        with gate(f"Publishing to the topic {self.name}", rights=_RIGHTS):
            answer: Mapping[str, Any] = self._client.publish_batch(TopicArn=self.arn, PublishBatchRequestEntries=entries)
            return answer

    def _entry(self, index: int, message: Message, *, subject: str | None) -> Entry:
        if message.delay_s is not None:
            raise FixConfig(f"Publishing to the topic {self.name}", "topics deliver at once; a delay is the queue's")
        if unfit := half_a_character(message, subject):
            return Entry(index, {}, group=message.group, unfit=unfit)
        wire: dict[str, Any] = {"Message": message.body}
        if message.attributes:
            wire["MessageAttributes"] = {name: to_wire(value) for name, value in message.attributes.items()}
        named = {"Subject": subject, "MessageGroupId": message.group, "MessageDeduplicationId": message.dedupe}
        wire |= {name: value for name, value in named.items() if value is not None}
        return Entry(index, wire, size_of(message.body, message.attributes), message.group)
