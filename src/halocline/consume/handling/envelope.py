"""Envelope: what a message of a queue really says, whoever put it there.

    raw           a program sent it to the queue, or a topic with RawMessageDelivery: body and attributes are the message
    SNS           a topic wrapped it: the message and its attributes are inside of the body
    EventBridge   a rule sent an event: `detail` is the message, `detail-type` says what happened

An EventBridge event inside of SNS is unwrapped twice. A raw body is taken as it is, and not parsed.
Source: "HTTP/HTTPS notification JSON format" (queues get the same),
https://docs.aws.amazon.com/sns/latest/dg/http-notification-json.html; "Amazon SNS raw message delivery",
https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html; "Events in Amazon EventBridge",
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html, read November 2026.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeGuard

from halocline.attributes import flat
from halocline.queues import Value
from halocline.topics import is_notification

_BRIDGED = {"id", "detail-type", "source", "account", "time", "region", "resources", "detail"}
"""What every event of EventBridge has; `version` too, which says nothing."""


class Wrap(StrEnum):
    """How a message was wrapped."""

    RAW = "raw"
    SNS = "sns"
    EVENTBRIDGE = "eventbridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a message says: `body` and flat `attributes` as its publisher gave them; an EventBridge event's body is its detail.

    `id` is that of SNS or EventBridge ("" where raw), and the same in every queue that the message reached. `origin` is the
    topic's ARN or the event's source, `event` the `detail-type` ("" for all others: an attribute names their event).
    """

    wrap: Wrap
    body: str
    attributes: Mapping[str, Value] = field(default_factory=dict)
    id: str = ""
    origin: str = ""
    event: str = ""
    subject: str = ""


def unwrap(body: str, attributes: Mapping[str, object] | None = None) -> Content:
    """What a queue's message says. `attributes` are the queue's, in any spelling; where an envelope has one too, the envelope's
    counts: the publisher gave it.

    Whatever looks like an envelope and is none is raw.
    """
    own = flat(attributes) if attributes else {}
    if not _may_be_wrapped(body):
        return Content(wrap=Wrap.RAW, body=body, attributes=own)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if is_notification(found):
        return notification(found, own)
    if is_bridged(found):
        return _bridged(found, own, text=body)
    return Content(wrap=Wrap.RAW, body=body, attributes=own)


def notification(told: Mapping[str, Any], own: Mapping[str, Value] | None = None) -> Content:
    """What a notification of SNS says that was read already: the body of a queue's message, or `Sns` in an event of Lambda."""
    given = told.get("MessageAttributes")
    attributes = {**(own or {}), **flat(given if isinstance(given, Mapping) else {})}
    body = told["Message"]
    if '"detail-type"' in body:
        inner = unwrap(body, attributes)
        if inner.wrap is Wrap.EVENTBRIDGE:
            return inner
    return Content(
        wrap=Wrap.SNS,
        body=body,
        attributes=attributes,
        id=str(told.get("MessageId") or ""),
        origin=str(told.get("TopicArn") or ""),
        subject=str(told.get("Subject") or ""),
    )


def is_bridged(found: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether this is an event of EventBridge."""
    return isinstance(found, Mapping) and found.keys() >= _BRIDGED and isinstance(found["detail-type"], str)


def _may_be_wrapped(body: str) -> bool:
    """A look that costs next to nothing; most bodies are raw and are parsed by who wants them."""
    return ('"TopicArn"' in body and '"Notification"' in body) or ('"detail-type"' in body and '"detail"' in body)


def _bridged(event: Mapping[str, Any], own: Mapping[str, Value], *, text: str) -> Content:
    return Content(
        wrap=Wrap.EVENTBRIDGE,
        body=_member(text, "detail"),
        attributes=own,
        id=str(event["id"]),
        origin=str(event["source"]),
        event=event["detail-type"],
    )


def _member(text: str, wanted: str) -> str:
    """The value of an object's member as it was written: read and written again, a long decimal would not be the same."""
    decoder, found, at = json.JSONDecoder(), "", text.index("{") + 1
    while True:
        at = _past(text, at, signs=" \t\r\n,")
        if text[at] == "}":
            return found
        name, at = decoder.raw_decode(text, at)
        start = _past(text, at, signs=" \t\r\n:")
        _, at = decoder.raw_decode(text, start)
        found = text[start:at] if name == wanted else found  # of two with one name the last counts, as for json


def _past(text: str, at: int, *, signs: str) -> int:
    while text[at] in signs:
        at += 1
    return at
