"""How events are published and subscribed to, for type checkers: read by them, never run."""

from __future__ import annotations

from typing import assert_type

from halocline import Handlers, SNSClient, SNSMessage
from halocline.consume.handling.envelope import Content, unwrap
from halocline.consume.topics.sns_endpoint import SNSEndpoint
from halocline.consume.topics.subscription import Plan, Wish, plan
from halocline.queues import Delivery, Reply

__all__ = ["endpoint", "publishing", "subscribing"]


async def publishing(client: SNSClient) -> None:
    message = client.create_message(event="Order.placed", message={"id": 1}, version=2, shop="north", count=1, tags=["a"])
    assert_type(message, SNSMessage)
    assert_type(await message.publish(), str)
    assert_type(await client.publish_all([message]), list[Reply])

    @client.publish_event(event="Order.shipped")
    def ship(number: int) -> dict[str, int]:
        return {"id": number}

    @client.publish_event(event="Order.paid", on_error=lambda error: None)
    async def pay(number: int) -> str:
        return str(number)

    assert_type(ship(1), dict[str, int])
    assert_type(await pay(1), str)


def subscribing(handlers: Handlers) -> None:
    wish = Wish.of(handlers, queue="orders", topics=["arn:aws:sns:us-east-1:123456789012:shop"])
    assert_type(plan(wish), Plan)


def endpoint(body: bytes) -> None:
    delivery = SNSEndpoint(["arn:aws:sns:us-east-1:123456789012:shop"], sha256_only=True).read(body)
    assert_type(delivery, Delivery | None)
    if delivery is not None:
        assert_type(unwrap(delivery.body, delivery.attributes), Content)
