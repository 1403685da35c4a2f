"""A bare loop over boto3's client: receive ten, decode, handle, delete the ten in one call. It is bare of promises.

Started by consume.py with one JSON argument; answers with JSON lines.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import boto3

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.consuming import serve


def main() -> None:
    """`{queue, threads}`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    client, numbers = boto3.client("sqs"), list[int]()

    def handle(message: dict[str, Any]) -> None:
        numbers.append(message["number"])

    def loop() -> None:
        while True:
            answer = client.receive_message(QueueUrl=wanted["queue"], MaxNumberOfMessages=10, WaitTimeSeconds=20)
            entries = []
            for one in answer.get("Messages", ()):
                handle(json.loads(one["Body"]))
                entries.append({"Id": str(len(entries)), "ReceiptHandle": one["ReceiptHandle"]})
            if entries:
                client.delete_message_batch(QueueUrl=wanted["queue"], Entries=entries)

    def run() -> None:
        for _ in range(wanted["threads"] - 1):
            threading.Thread(target=loop, daemon=True).start()
        loop()

    serve(run, numbers)


if __name__ == "__main__":
    main()
