"""SQSMessage: a message on its way to a queue, with its event in an attribute."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from halocline.consume.topics.outgoing import Attribute, outgoing
from halocline.errors import Stop
from halocline.queues import Message, Queue


@dataclass(frozen=True, slots=True)
class SQSMessage:
    """What is `sent` to `queue`, once `send` is called."""

    queue: Queue = field(repr=False)
    sent: Message

    @classmethod
    def of(
        cls,
        queue: Queue,
        message: object,
        *,
        event: str | None,
        event_key: str,
        delay_s: int | None = None,
        group: str | None = None,
        dedupe: str | None = None,
        **attributes: Attribute,
    ) -> SQSMessage:
        """A message that says `event`: a text as it is, bytes as UTF-8, or what has a JSON (dict, list, pydantic model, ...).

        Raises: FixConfig for what cannot be written, and for an event without a name, or with two.
        """
        sent = outgoing(message, attributes, event=event, event_key=event_key, group=group, dedupe=dedupe, delay_s=delay_s)
        return cls(queue, sent)

    async def send(self) -> str:
        """Send it, and return the id that the queue gave it; the event loop goes on meanwhile.

        Raises: Stop where the queue refused it.
        """
        return await asyncio.to_thread(self.send_now)

    def send_now(self) -> str:
        """`send` for a program without an event loop."""
        (reply,) = self.queue.send([self.sent])
        if reply.message_id is None:
            raise Stop("Sending a message", f"the queue refused it: {reply.error}", code=reply.code)
        return reply.message_id
