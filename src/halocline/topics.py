"""Topics: where a message is published once for all who subscribed, as Amazon SNS does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeGuard

from halocline.queues import Message, Reply


def is_notification(found: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether this is the envelope of SNS, and not a message of somebody who has such names too: the ARN of its topic tells."""
    return (
        isinstance(found, Mapping)
        and found.get("Type") == "Notification"
        and isinstance(found.get("Message"), str)
        and isinstance(found.get("MessageId"), str)
        and str(found.get("TopicArn", "")).startswith("arn:")
    )


class Topic(Protocol):
    """A topic. Threads may share it.

    All methods raise: AccessDenied, LoginRefused, NetworkFailed, NotFound for a topic that is not there, RetryLater.
    """

    @property
    def is_fifo(self) -> bool:
        """Whether it keeps the order of groups and drops repeats."""

    def publish_all(self, messages: Sequence[Message], *, subjects: Sequence[str | None] | None = None) -> list[Reply]:
        """Publish messages, any number, each with its subject where there are any; what was refused is a false reply.

        Published again after a lost reply, a message may arrive twice, save with `dedupe` in a FIFO topic.
        """

    def attributes(self) -> Mapping[str, str]:
        """The topic's settings."""

    def subscriptions(self) -> Iterator[Mapping[str, str]]:
        """Who subscribed: `SubscriptionArn`, `Protocol`, `Endpoint`, ... of each."""

    def subscription(self, arn: str) -> Mapping[str, str]:
        """The settings of one subscription."""


class SignatureCheck(Protocol):
    """Tells what a topic posted from what somebody else did."""

    def check(self, body: str | bytes) -> Mapping[str, Any]:
        """The message that the body of a request is, read.

        Raises: BadMessage for what did not come from a topic that may speak here; NetworkFailed where that cannot be told now.
        """

    def confirm(self, told: Mapping[str, Any]) -> None:
        """Confirm the subscription that a checked message asks for."""
