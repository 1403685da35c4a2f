"""Attributes: what a message carries beside its body, in every spelling in which Amazon's services hand it over.

    flat, as we send it        {"event": "User.updated"}
    SQS, by an API's answer    {"event": {"DataType": "String", "StringValue": "User.updated"}}
    SQS, in a Lambda event     {"event": {"dataType": "String", "stringValue": "User.updated"}}
    SNS, in its envelope       {"event": {"Type": "String", "Value": "User.updated"}}

Source: "Amazon SQS message metadata", read November 2026,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html;
"Using Lambda with Amazon SQS", https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html;
"Amazon SNS message attributes", https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence

from halocline.queues import Typed, Value

_KINDS = ("DataType", "dataType", "Type")
_SAID = frozenset({"String", "Binary", "String.Array"})
_CONTENTS = ("StringValue", "BinaryValue", "stringValue", "binaryValue", "Value")


class Listed(str):
    """The JSON text of a list that travels as `String.Array`, whose members SNS's filters look at one by one."""

    __slots__ = ()

    @classmethod
    def of(cls, members: Sequence[object]) -> Listed:
        """The text of that list."""
        return cls(json.dumps(list(members), ensure_ascii=False))


def flat(attributes: Mapping[str, object]) -> dict[str, Value]:
    """The attributes by name, each as a plain value; a list is the JSON text that it travels as (`Listed`)."""
    return {name: value_of(given) for name, given in attributes.items()}


def value_of(given: object) -> Value:
    """One attribute as a plain value, whichever way it was written; what is none of them is its text."""
    if isinstance(given, (str, bytes, int, float)):
        return given
    if not isinstance(given, Mapping):
        return "" if given is None else str(given)
    kind, content = _parts(given)
    return content if isinstance(content, bytes) else read(kind, content)


def typed(attributes: Mapping[str, object]) -> dict[str, Typed]:
    """The attributes that their plain values do not say to the last digit, as they are."""
    return {name: kept for name, given in attributes.items() if isinstance(given, Mapping) and (kept := _typed(given))}


def read(kind: str, content: str) -> Value:
    """An attribute of a type, as it is on the wire: bytes in base64. A number or base64 that is none stays a text."""
    if kind == "String.Array":
        return Listed(content)
    if kind.startswith("Number"):
        return _number(content)
    if kind.startswith("Binary"):
        try:
            return base64.b64decode(content, validate=True)
        except binascii.Error:
            return content
    return content


def _parts(given: Mapping[str, object]) -> tuple[str, str | bytes]:
    kind = next((str(given[name]) for name in _KINDS if name in given), "")
    content = next((given[name] for name in _CONTENTS if given.get(name) is not None), "")
    return kind, content if isinstance(content, bytes) else str(content)


def _typed(given: Mapping[str, object]) -> Typed | None:
    kind, content = _parts(given)
    if not kind or kind in _SAID or (kind == "Number" and str(read(kind, str(content))) == content):
        return None
    if not kind.startswith("Binary") or isinstance(content, bytes):
        return Typed(kind, content)
    found = read(kind, content)
    return Typed(kind, found if isinstance(found, bytes) else content)


def _number(text: str) -> Value:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
