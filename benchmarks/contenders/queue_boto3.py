"""A bare loop over boto3's client, ten messages a call, with pydantic at both ends.

Started by files.py with one JSON argument; answers with JSON lines.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import boto3

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.patient import Patient, patients
from measuring.phases import WARMING, Told, serve


class Loop:
    """The loop, over `send_message_batch`, `receive_message` and `delete_message_batch`."""

    def __init__(self, url: str) -> None:
        self._sqs = boto3.client("sqs")
        self._url = url
        self._handles: list[str] = []

    def send(self, some: list[Patient]) -> Told:
        done = 0
        for start in range(0, len(some), 10):
            batch = some[start : start + 10]
            entries = [{"Id": str(number), "MessageBody": one.model_dump_json()} for number, one in enumerate(batch)]
            done += len(self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries)["Successful"])
        return Told(done, sum(one.number for one in some))

    def receive(self, most: int) -> Told:
        self._handles, found = [], list[Patient]()
        while len(found) < most:
            answer = self._sqs.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=min(10, most - len(found)), WaitTimeSeconds=1
            )
            messages = answer.get("Messages", [])
            if not messages:
                break
            self._handles += [one["ReceiptHandle"] for one in messages]
            found += [Patient.model_validate_json(one["Body"]) for one in messages]
        return Told(len(found), sum(one.number for one in found))

    def delete(self, total: int) -> Told:
        done = 0
        for start in range(0, len(self._handles), 10):
            batch = self._handles[start : start + 10]
            entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(batch)]
            done += len(self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)["Successful"])
        return Told(done, total)


def main() -> None:
    """`{queue, messages}`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    loop, all_of_them = Loop(wanted["queue"]), patients(wanted["messages"])
    loop.send(all_of_them[:WARMING])
    loop.receive(WARMING)
    loop.delete(0)
    total = sum(one.number for one in all_of_them)
    serve(
        {
            "send": lambda: loop.send(all_of_them),
            "receive": lambda: loop.receive(len(all_of_them)),
            "delete": lambda: loop.delete(total),
        }
    )


if __name__ == "__main__":
    main()
