"""Subscriptions: what stands between a topic and a queue, looked at and changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue as it is now; `settings` has what its system calls attributes (`Policy`, `RedrivePolicy`, ...)."""

    name: str
    url: str
    arn: str
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """A subscription as it is now, with its settings (`RawMessageDelivery`, `FilterPolicy`, ...)."""

    arn: str
    settings: Mapping[str, str] = field(default_factory=dict)


class Subscriptions(Protocol):
    """Queues, topics and what leads from these to those. Every method may be repeated.

    All methods raise: AccessDenied, LoginRefused, NetworkFailed, RetryLater; NotFound for a queue or topic that is not there.
    """

    def queue(self, place: str) -> QueueState:
        """The queue of that name or URL."""

    def subscription(self, topic: str, queue: str) -> SubscriptionState | None:
        """The subscription of the queue (its ARN) to the topic (its ARN); None: there is none."""

    def make_queue(self, name: str, settings: Mapping[str, str]) -> None:
        """Make a queue."""

    def set_queue(self, url: str, settings: Mapping[str, str]) -> None:
        """Set some of a queue's settings."""

    def subscribe(self, topic: str, queue: str, *, settings: Mapping[str, str]) -> None:
        """Subscribe the queue to the topic."""

    def set_subscription(self, arn: str, settings: Mapping[str, str]) -> None:
        """Set some of a subscription's settings, in that order."""
