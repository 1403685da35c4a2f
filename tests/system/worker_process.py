"""A worker in a process of its own: `python worker_process.py QUEUE STORE GRACE_S SECONDS LOG`.

Its handlers take up to SECONDS each ("hang": for ever) and note in LOG what they began ("+") and ended while it was theirs ("-").
"""

from __future__ import annotations

import os
import random
import sys
import threading
from typing import Any

from halocline.connectors.aws.sqs import open_queue
from halocline.consume.handling.context import Context
from halocline.consume.handling.handlers import Handlers
from halocline.consume.limits import Limits
from halocline.consume.stores import open_store
from halocline.consume.work.worker import Worker


def main(queue: str, place: str, grace_s: str, seconds: str, log: str) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    handlers = Handlers()

    @handlers.handler
    def handle(message: Any, context: Context) -> None:
        os.write(file, f"+{message.raw_body}\n".encode())
        if seconds == "hang":
            threading.Event().wait()
        context.lease.lost.wait(random.random() * float(seconds))
        context.check()
        os.write(file, f"-{message.raw_body}\n".encode())

    store = open_store(place)
    Worker(open_queue(queue), handlers, store=store, limits=Limits(grace_s=float(grace_s), records=store is not None)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
