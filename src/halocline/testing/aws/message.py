"""A message in a queue, and the digests that SQS tells of it."""

from __future__ import annotations

import hashlib
import struct
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

MessageAttributes = Mapping[str, Mapping[str, Any]]  # {"colour": {"DataType": "String", "StringValue": "red"}}


class State(Enum):
    """Where a message stands; GONE is deleted, expired, or moved elsewhere."""

    DELAYED = 1
    READY = 2
    IN_FLIGHT = 3
    GONE = 4


@dataclass(slots=True, eq=False)
class Message:
    """A message; `due` is when it becomes visible (again), in the clock's seconds, `receives` goes up with each delivery."""

    id: str
    body: str
    md5: str
    size: int
    sent: float
    attributes: MessageAttributes = field(default_factory=dict)
    system: Mapping[str, str] = field(default_factory=dict)  # AWSTraceHeader, DeadLetterQueueSourceArn
    sender: str = ""
    group: str | None = None
    dedupe: str | None = None
    sequence: str | None = None
    serial: int = 0  # its place in the queue
    due: float = 0.0
    receives: int = 0
    first_received: float | None = None
    received: float = 0.0
    state: State = State.READY

    def system_attributes(self) -> dict[str, str]:
        """What a receive can tell beside the body.
        Source: Amazon SQS API Reference, ReceiveMessage, `MessageSystemAttributeNames`.
        """
        told = {
            "SenderId": self.sender,
            "SentTimestamp": _milliseconds(self.sent),
            "ApproximateReceiveCount": str(self.receives),
            "ApproximateFirstReceiveTimestamp": _milliseconds(self.first_received or 0.0),
            **self.system,
        }
        of_groups = {"MessageGroupId": self.group, "MessageDeduplicationId": self.dedupe, "SequenceNumber": self.sequence}
        return told | {name: value for name, value in of_groups.items() if value is not None}


def md5_of(text: str) -> str:
    """The digest of a body, in hexadecimal digits."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: MessageAttributes) -> str:
    """The digest of message attributes, by which clients check that they arrived whole.

    Source: Amazon SQS Developer Guide, "Message metadata", "Calculating the MD5 message digest for message attributes".
    """
    digest = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        value = attributes[name]
        digest.update(_measured(name.encode()) + _measured(str(value["DataType"]).encode()))
        if "BinaryValue" in value:
            digest.update(b"\x02" + _measured(b64decode(value["BinaryValue"])))
        else:
            digest.update(b"\x01" + _measured(str(value["StringValue"]).encode()))
    return digest.hexdigest()


def size_of(body: str, attributes: MessageAttributes) -> int:
    """Bytes that count against the limit: the body, and names, types and values of attributes.
    Source: Amazon SQS Developer Guide, "Amazon SQS message quotas".
    """
    size = len(body) if body.isascii() else len(body.encode())
    for name, value in attributes.items():
        binary = value.get("BinaryValue")
        content = b64decode(binary) if binary is not None else str(value.get("StringValue", "")).encode()
        size += len(name.encode()) + len(str(value.get("DataType", "")).encode()) + len(content)
    return size


def _measured(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _milliseconds(moment: float) -> str:
    return str(int(moment * 1000))
