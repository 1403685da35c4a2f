"""taskiq with taskiq-aio-sqs: ten messages a receive, a hundred tasks at once. It sends its messages itself before it begins.

Started by consume.py in the peer's own environment with one JSON argument; answers with JSON lines.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from taskiq.api import run_receiver_task
from taskiq_aio_sqs import SQSBroker

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.consuming import NAME, serve
from measuring.phases import fields

TASKS = 100


def main() -> None:
    """`{messages}`; the queue has the name that is agreed on."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    numbers = list[int]()
    broker = SQSBroker(
        NAME, endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name=os.environ["AWS_REGION"], max_number_of_messages=10
    )

    @broker.task
    async def handle(message: dict[str, Any]) -> None:
        numbers.append(message["number"])

    async def send() -> None:
        await broker.startup()
        for number in range(wanted["messages"]):
            await handle.kiq(fields(number))

    async def consume() -> None:
        await run_receiver_task(broker, max_async_tasks=TASKS)

    with asyncio.Runner() as runner:
        runner.run(send())
        serve(lambda: runner.run(consume()), numbers)


if __name__ == "__main__":
    main()
