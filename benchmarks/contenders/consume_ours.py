"""Halocline's worker with a handler that does nothing: everything on as it is by default, or without an idempotency store.

Started by consume.py with one JSON argument; answers with JSON lines.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from halocline.connectors.aws.sqs import open_queue
from halocline.consume.handling.handlers import Handlers
from halocline.consume.handling.message import Message
from halocline.consume.stores import open_store
from halocline.consume.work.worker import Worker

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.consuming import serve


def main() -> None:
    """`{queue, store}`; `store` is the address of a Redis, or `none`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    numbers, handlers = list[int](), Handlers()

    @handlers.handler
    def handle(message: Message) -> None:
        numbers.append(message.body["number"])

    serve(Worker(open_queue(wanted["queue"]), handlers, store=open_store(wanted["store"])).run, numbers)


if __name__ == "__main__":
    main()
