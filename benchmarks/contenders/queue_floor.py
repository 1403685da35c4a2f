"""The floor of a queue: the calls that boto3 would make, on one bare connection, with bodies made before the clock starts.

Nothing is signed, for the fake AWS takes it so; of an answer only what the next call needs is read.
Started by files.py with one JSON argument; answers with JSON lines.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.phases import WARMING, Told, fields, serve

PIECE_BYTES = 1 << 16


class Wire:
    """One connection that says a request and reads the body of its answer."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.netloc
        self._line = socket.create_connection((str(parts.hostname), int(parts.port or 80)))
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def made(self, operation: str, body: dict[str, Any]) -> bytes:
        """The bytes of a request."""
        text = json.dumps(body).encode()
        head = (
            f"POST / HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/x-amz-json-1.0\r\n"
            f"X-Amz-Target: AmazonSQS.{operation}\r\nContent-Length: {len(text)}\r\n\r\n"
        )
        return head.encode() + text

    def ask(self, request: bytes) -> bytes:
        """The body of the answer."""
        self._line.sendall(request)
        answer = self._line.recv(PIECE_BYTES)
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._line.recv(PIECE_BYTES)
        head = answer[:end].lower()
        if not head.startswith(b"http/1.1 200"):
            raise SystemExit(answer.decode())
        size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        parts, missing = [answer[end + 4 :]], size - (len(answer) - end - 4)
        while missing > 0:
            part = self._line.recv(PIECE_BYTES)
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)


class Loop:
    """The calls; `total` is what the numbers of all messages add up to, for nobody reads them here."""

    def __init__(self, wire: Wire, url: str, count: int) -> None:
        self._wire = wire
        self._url = url
        self._count = count
        self._total = count * (count - 1) // 2
        self._asked = wire.made("ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1})
        bodies = [json.dumps(fields(number), separators=(",", ":"), ensure_ascii=False) for number in range(count)]
        self._sent = [
            wire.made("SendMessageBatch", {"QueueUrl": url, "Entries": entries})
            for entries in (
                [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies[start : start + 10])]
                for start in range(0, count, 10)
            )
        ]
        self._handles: list[str] = []

    def send(self) -> Told:
        done = sum(self._wire.ask(request).count(b'"MD5OfMessageBody"') for request in self._sent)
        return Told(done, self._total)

    def receive(self) -> Told:
        while len(self._handles) < self._count:
            found = json.loads(self._wire.ask(self._asked)).get("Messages", ())
            if not found:
                break
            self._handles += [one["ReceiptHandle"] for one in found]
        return Told(len(self._handles), self._total)

    def delete(self) -> Told:
        done = 0
        for start in range(0, len(self._handles), 10):
            some = self._handles[start : start + 10]
            entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(some)]
            request = self._wire.made("DeleteMessageBatch", {"QueueUrl": self._url, "Entries": entries})
            done += len(json.loads(self._wire.ask(request))["Successful"])
        self._handles.clear()
        return Told(done, self._total)


def main() -> None:
    """`{queue, aws, messages}`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    wire = Wire(wanted["aws"])
    warming, loop = Loop(wire, wanted["queue"], WARMING), Loop(wire, wanted["queue"], wanted["messages"])
    for step in (warming.send, warming.receive, warming.delete):
        step()
    serve({"send": loop.send, "receive": loop.receive, "delete": loop.delete})


if __name__ == "__main__":
    main()
