"""A topic and its subscriptions."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from halocline.testing.aws.filter_policy import matches


@dataclass(slots=True)
class Subscription:
    """Who is told of a topic's messages: the queue with ARN `endpoint`, of what its filter lets through."""

    arn: str
    topic: str
    endpoint: str
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def is_raw(self) -> bool:
        return self.settings.get("RawMessageDelivery", "").lower() == "true"

    @property
    def dead_letters(self) -> str:
        """The ARN of the queue for what cannot be delivered; "" where there is none."""
        return str(json.loads(self.settings.get("RedrivePolicy") or "{}").get("deadLetterTargetArn", ""))

    def wants(self, text: str, attributes: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether the filter policy lets a message through; without one every message is."""
        policy = self.settings.get("FilterPolicy")
        if not policy:
            return True
        if self.settings.get("FilterPolicyScope") != "MessageBody":
            return matches(json.loads(policy), {name: _values(value) for name, value in attributes.items()})
        try:
            body = json.loads(text)
        except ValueError:
            return False  # Source: Amazon SNS Developer Guide, "Filter policy scope": a body that is no JSON is not delivered
        return isinstance(body, dict) and matches(json.loads(policy), body)


def _values(attribute: Mapping[str, Any]) -> Any:
    """What a filter compares of a message attribute."""
    kind, text = str(attribute.get("DataType", "")), str(attribute.get("StringValue", ""))
    if kind == "Number":
        return float(text)
    if kind == "String.Array":
        return json.loads(text)
    return text if kind.startswith("String") else None


@dataclass(slots=True)
class Topic:
    """A topic; `settings` as they were given."""

    arn: str
    name: str
    settings: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    sequence: int = 0
    accepted: OrderedDict[str, tuple[float, str, str]] = field(default_factory=OrderedDict)

    @property
    def is_fifo(self) -> bool:
        return self.name.endswith(".fifo")
