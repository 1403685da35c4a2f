"""Attributes: what a message carries beside its body, as SQS and SNS write it.

Source: "Amazon SQS message metadata", read November 2026,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from halocline.attributes import Listed, read
from halocline.queues import Message, Typed, Value

_HALF = re.compile("[\ud800-\udfff]")


def size_of(body: str, attributes: Mapping[str, Value | Typed]) -> int:
    """What SQS and SNS count: the body, and names, types and values of attributes, in bytes."""
    size = len(body) if body.isascii() else len(body.encode())
    for name, value in attributes.items():
        wire = to_wire(value)
        content = wire.get("StringValue", wire.get("BinaryValue", b""))
        size += len(name.encode()) + len(wire["DataType"]) + len(content if isinstance(content, bytes) else content.encode())
    return size


def half_a_character(message: Message, subject: str | None = None) -> str:
    """Why a message cannot be written down at all: no text of AWS holds half of a character. "" where it can."""
    texts: list[object] = [message.body, subject, message.group, message.dedupe]
    texts += [*message.attributes, *message.typed, *message.attributes.values(), *(one.content for one in message.typed.values())]
    halved = any(_HALF.search(one) for one in texts if isinstance(one, str) and not one.isascii())
    return "the message has half of a character in a text (a surrogate without its pair)" if halved else ""


def to_wire(value: Value | Typed) -> dict[str, Any]:
    """An attribute as SQS and SNS take it; bytes stay bytes."""
    if isinstance(value, Typed):
        return {"DataType": value.kind, "BinaryValue" if isinstance(value.content, bytes) else "StringValue": value.content}
    if isinstance(value, bytes):
        return {"DataType": "Binary", "BinaryValue": value}
    if isinstance(value, str):
        return {"DataType": "String.Array" if isinstance(value, Listed) else "String", "StringValue": value}
    return {"DataType": "Number", "StringValue": str(int(value) if isinstance(value, bool) else value)}


def from_wire(wire: Mapping[str, Any]) -> Value:
    """An attribute as SQS gives it on the wire, bytes in base64; a number that is none stays a text."""
    if "BinaryValue" in wire:
        return base64.b64decode(wire["BinaryValue"])
    return read(str(wire.get("DataType", "")), str(wire.get("StringValue", "")))
