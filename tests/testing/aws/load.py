"""A client that costs little: the JSON protocol on one socket, batches of ten."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

_HEAD = (
    "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS.{operation}\r\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0\r\n"
    "Content-Length: {length}\r\n\r\n"
)
_BODY = "x" * 490  # bytes of a usual message


class _Call(Protocol):
    def __call__(self, operation: str, **params: Any) -> dict[str, Any]: ...


@contextmanager
def calling(url: str) -> Iterator[_Call]:
    """A function that calls SQS on one line that stays open."""
    host = url.removeprefix("http://")
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port)), timeout=60) as line, line.makefile("rb") as answers:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def call(operation: str, **params: Any) -> dict[str, Any]:
            body = json.dumps(params).encode()
            line.sendall(_HEAD.format(host=host, operation=operation, length=len(body)).encode() + body)
            length = 0
            while (header := answers.readline()) != b"\r\n":
                if header.lower().startswith(b"content-length:"):
                    length = int(header[15:])
            told: dict[str, Any] = json.loads(answers.read(length))
            return told

        yield call


def queue_at(url: str, name: str) -> str:
    """The URL of a queue of this name."""
    with calling(url) as call:
        return str(call("CreateQueue", QueueName=name)["QueueUrl"])


def fill(url: str, queue: str, *, messages: int) -> None:
    """Send so many messages."""
    entries = [{"Id": str(at), "MessageBody": _BODY} for at in range(10)]
    with calling(url) as call:
        for _ in range(messages // 10):
            assert len(call("SendMessageBatch", QueueUrl=queue, Entries=entries)["Successful"]) == 10


def drain(url: str, queue: str, *, most: int) -> int:
    """Receive and delete up to so many messages, and say how many there were."""
    done = 0
    with calling(url) as call:
        while done < most and (found := call("ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=10).get("Messages")):
            handles = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(found)]
            assert len(call("DeleteMessageBatch", QueueUrl=queue, Entries=handles)["Successful"]) == len(found)
            done += len(found)
    return done
