"""Halocline's worker with its record in Redis: the effect together with the note of it in one transaction, or by itself."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import effects

from halocline.connectors.aws.sqs import SQS, open_queue
from halocline.consume.handling.context import Context
from halocline.consume.handling.handlers import Handlers
from halocline.consume.handling.message import Message
from halocline.consume.limits import Limits
from halocline.consume.stores import open_store
from halocline.consume.work.worker import Worker

for _name in ("halocline.connectors.redis.store", "halocline.connectors.postgres.once", "encodings.idna"):
    import_module(_name)  # what a worker loads at its first message, it has when it is forked: it lives for half a second
NEVER = 1_000_000  # deaths after which a message is poison: here workers die of something else


def prepare(wanted: dict[str, Any]) -> SQS:
    """The queue, with a client that has connected to nothing yet."""
    return open_queue(wanted["queue"])


def consume(wanted: dict[str, Any], queue: SQS) -> None:
    """Take messages; `wanted["once"]` says whether an effect is in one transaction with its note."""
    handlers, places = Handlers(), effects.Effects(wanted["database"])

    @handlers.handler
    def handle(message: Message, context: Context) -> None:
        work = effects.Work(**message.body)
        work.begin()
        with places.connection() as connection:
            if wanted["once"]:
                with context.transaction(connection):
                    work.write(connection, fence=context.fence, in_doubt=context.in_doubt)
            else:
                work.write(connection, fence=context.fence, in_doubt=context.in_doubt)
        work.end()

    threads = wanted["threads"]
    limits = Limits(workers=threads, in_flight=threads, visibility_s=wanted["visibility_s"], poison_after=NEVER)
    Worker(queue, handlers, store=open_store(wanted["redis"]), limits=limits).run()
