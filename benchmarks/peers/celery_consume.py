"""Celery on SQS, with a pool of eight threads in this process. It sends its messages itself before it begins.

Started by consume.py in the peer's own environment with one JSON argument; answers with JSON lines.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celery import Celery

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.consuming import NAME, serve
from measuring.phases import fields

THREADS = 8


def main() -> None:
    """`{messages, queue}`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    numbers = list[int]()
    login = f"{os.environ['AWS_ACCESS_KEY_ID']}:{os.environ['AWS_SECRET_ACCESS_KEY']}"
    app = Celery("bench", broker=f"sqs://{login}@{urlsplit(os.environ['AWS_ENDPOINT_URL']).netloc}")
    app.conf.update(
        task_default_queue=NAME,
        task_ignore_result=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_transport_options={
            "region": os.environ["AWS_REGION"],
            "is_secure": False,
            "polling_interval": 0,  # its second between polls that found nothing would not be its work
            "predefined_queues": {NAME: {"url": wanted["queue"]}},
        },
    )

    @app.task(name="handle")
    def handle(message: dict[str, Any]) -> None:
        numbers.append(message["number"])

    for number in range(wanted["messages"]):
        handle.delay(fields(number))
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR")
    serve(lambda: app.worker_main(["worker", "--pool=threads", f"--concurrency={THREADS}", *quiet]), numbers)


if __name__ == "__main__":
    main()
