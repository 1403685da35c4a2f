"""dramatiq with dramatiq-sqs, eight threads in this process. It sends its messages itself, in its own format, before it begins.

Started by consume.py in the peer's own environment with one JSON argument; answers with JSON lines.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq_sqs import SQSBroker

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.consuming import NAME, serve
from measuring.phases import fields

THREADS = 8


def main() -> None:
    """`{messages}`; the queue has the name that is agreed on."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    broker, numbers = SQSBroker(), list[int]()
    dramatiq.set_broker(broker)

    @dramatiq.actor(queue_name=NAME)
    def handle(message: dict[str, Any]) -> None:
        numbers.append(message["number"])

    broker.consume(NAME).close()  # finds the queue
    for number in range(wanted["messages"]):
        handle.send(fields(number))
    serve(dramatiq.Worker(broker, worker_threads=THREADS).start, numbers)


if __name__ == "__main__":
    main()
