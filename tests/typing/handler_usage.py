"""How handlers are registered, for type checkers: read by them, never run."""

from __future__ import annotations

from typing import Any, assert_type

from halocline import Handlers, SQSClient
from halocline.consume.handling.context import Context
from halocline.consume.handling.message import Message

__all__ = ["on_a_class", "on_a_registry", "refused"]


class Orders(SQSClient):
    queue_name = "orders"


def on_a_registry(handlers: Handlers) -> None:
    @handlers.handler("Order.placed")
    def placed(message: Message) -> int:
        assert_type(message.event, str)
        assert_type(message.payload(dict[str, int]), dict[str, int])
        return 1

    @handlers.handler
    async def other(message: Message, context: Context) -> None:
        assert_type(context.left_s, float | None)

    assert_type(placed(message=handlers_message()), int)
    handlers.add_handler(other, ["A.b", "A.c"])


async def on_a_class() -> None:
    @SQSClient.handler("User.updated")
    def updated(message: Message) -> str:
        return message.id

    @Orders.handler
    def placed(message: Message) -> str:
        return message.id

    assert_type(updated(handlers_message()), str)
    assert_type(placed(handlers_message()), str)
    Orders.add_handler(updated, "Order.placed")
    client = await Orders.initialize(queue_name="orders")
    assert_type(client, Orders)
    client.start_receiving_messages()
    message, result = await client.handle_message({"Body": "{}"})
    assert_type(message, Message)
    assert_type(result, Any)


def handlers_message() -> Message:
    raise NotImplementedError


def refused(handlers: Handlers) -> None:
    handlers.handler(7)  # type: ignore[call-overload]  # wrong: a number is no event
