"""Subscriptions of SQS queues to SNS topics. They are `halocline.subscriptions.Subscriptions`.

Source: "Subscribe", https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html; "SetQueueAttributes",
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html, read November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from halocline.connectors.aws.errors import gate
from halocline.connectors.aws.session import Access, session_of
from halocline.connectors.aws.sns import Topic
from halocline.connectors.aws.sqs import open_queue
from halocline.subscriptions import QueueState, SubscriptionState

_RIGHTS = "The login needs {}."


def open_subscriptions(**settings: object) -> SNSSubscriptions:
    """What that login may see and change; `settings` are those of `Access`, by our names or boto3's."""
    return SNSSubscriptions(Access.of(settings))


class SNSSubscriptions:
    """What the login of `access` may see and change: queues in its region, topics in the region that their ARN names."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def queue(self, place: str) -> QueueState:
        """The queue of that name or URL, as it is now."""
        found = open_queue(place, **_settings(self._access))
        settings = found.attributes()
        return QueueState(found.name, found.url, settings["QueueArn"], settings)

    def subscription(self, topic: str, queue: str) -> SubscriptionState | None:
        """The subscription of the queue to the topic; of one that nobody confirmed, no setting can be had."""
        opened = Topic(topic, self._near(topic))
        for one in opened.subscriptions():
            if one.get("Endpoint") == queue and one.get("Protocol") == "sqs":
                arn = one["SubscriptionArn"]
                return SubscriptionState(arn, opened.subscription(arn) if arn.startswith("arn:") else {})
        return None

    def make_queue(self, name: str, settings: Mapping[str, str]) -> None:
        """Make a queue with these settings; one that is there with the same is none made."""
        client = session_of(self._access).client("sqs")
        with gate(f"Making the queue {name}", rights=_RIGHTS.format("sqs:CreateQueue")):
            client.create_queue(QueueName=name, Attributes=dict(settings))

    def set_queue(self, url: str, settings: Mapping[str, str]) -> None:
        """Set some of a queue's settings; all of SQS knows them a minute later."""
        client = session_of(self._access).client("sqs")
        with gate(f"Setting {', '.join(settings)} of the queue {url}", rights=_RIGHTS.format("sqs:SetQueueAttributes")):
            client.set_queue_attributes(QueueUrl=url, Attributes=dict(settings))

    def subscribe(self, topic: str, queue: str, *, settings: Mapping[str, str]) -> None:
        """Subscribe the queue to the topic."""
        with gate(f"Subscribing {queue} to {topic}", rights=_RIGHTS.format("sns:Subscribe on the topic")):
            self._client(topic).subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=dict(settings))

    def set_subscription(self, arn: str, settings: Mapping[str, str]) -> None:
        """Set some of a subscription's settings, one call for each; SNS needs up to 15 minutes until a filter counts."""
        for name, value in settings.items():
            with gate(f"Setting {name} of the subscription {arn}", rights=_RIGHTS.format("sns:SetSubscriptionAttributes")):
                self._client(arn).set_subscription_attributes(SubscriptionArn=arn, AttributeName=name, AttributeValue=value)

    def _client(self, arn: str) -> Any:
        return session_of(self._near(arn)).client("sns")

    def _near(self, arn: str) -> Access:
        """The region of the login is that of the queue; a topic may lie in another one."""
        region = arn.split(":")[3] if arn.count(":") > 3 else ""
        return replace(self._access, region=region) if region else self._access


def _settings(access: Access) -> dict[str, str]:
    named = {name: getattr(access, name) for name in access.__slots__}
    return {name: value for name, value in named.items() if value is not None}
