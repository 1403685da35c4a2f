"""A bare loop over boto3's client: receive, do the work, delete. One message at a time in each thread.

A message whose work takes longer than it is hidden could never be deleted: it is handed out again before, and the handle is no
longer good. So the loop, which knows more than a program would, hides each such message for as long as its work takes, and a
little more.
"""

from __future__ import annotations

import json
import math
import threading
from typing import Any

import boto3
import effects
from botocore.config import Config

SPARE_S = 2


def prepare(wanted: dict[str, Any]) -> Any:
    """A client that has connected to nothing yet."""
    return boto3.client("sqs", config=Config(max_pool_connections=wanted["threads"]))


def consume(wanted: dict[str, Any], client: Any) -> None:
    """Take messages with so many threads."""
    places = effects.Effects(wanted["database"])

    def loop() -> None:
        while True:
            answer = client.receive_message(QueueUrl=wanted["queue"], MaxNumberOfMessages=1, WaitTimeSeconds=20)
            for one in answer.get("Messages", ()):
                work = effects.Work(**json.loads(one["Body"]))
                if (takes_s := work.before_s + work.after_s) > wanted["visibility_s"] / 2:
                    hidden = {"ReceiptHandle": one["ReceiptHandle"], "VisibilityTimeout": math.ceil(takes_s) + SPARE_S}
                    client.change_message_visibility(QueueUrl=wanted["queue"], **hidden)
                work.begin()
                with places.connection() as connection:
                    work.write(connection, fence=0, in_doubt=False)
                work.end()
                client.delete_message(QueueUrl=wanted["queue"], ReceiptHandle=one["ReceiptHandle"])

    threads = [threading.Thread(target=loop) for _ in range(wanted["threads"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
