"""Laws of publishing events, on our fake and on moto."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import boto3
import pytest
from opentelemetry.sdk.trace import TracerProvider
from tests.connectors.aws.servers import BOTH, SERVERS, beside, new_name, new_queue

from halocline import SNSClient
from halocline.connectors.aws import open_queue
from halocline.connectors.aws.sqs import SQS
from halocline.consume.handling.message import Message
from halocline.consume.handling.sqs_message import SQSMessage
from halocline.errors import FixConfig, HaloclineError, NotFound, Stop
from halocline.testing.aws import FakeAWS

MISSING = "arn:aws:sns:us-east-1:123456789012:nothing"


@pytest.fixture(scope="module", params=BOTH, autouse=True)
def server(request: pytest.FixtureRequest) -> Iterator[object]:
    with SERVERS[request.param]() as running:
        yield running


@dataclass
class Order:
    number: int


@dataclass
class Response:
    status: int
    body: bytes


def opened(**attributes: str) -> tuple[SNSClient, SQS]:
    """A client of a new topic, and a new queue that it tells, in envelopes."""
    ending = ".fifo" if attributes.get("FifoTopic") else ""
    arn = beside("sns").create_topic(Name=new_name("topic") + ending, Attributes=attributes)["TopicArn"]
    queue = open_queue(new_queue(**({"FifoQueue": "true"} if ending else {})))
    beside("sns").subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.attributes()["QueueArn"])
    return SNSClient(arn, service_name="user"), queue


def arrived(queue: SQS) -> list[Message]:
    found: list[Message] = []
    while some := queue.receive(wait_s=0):
        found += [Message.of(one) for one in some]
        assert all(queue.delete([one.handle for one in some]))
    return found


@pytest.mark.short
def test_an_event_arrives_with_its_name_version_and_attributes() -> None:
    """The service's name is added, the body is what was given, the id is a message's."""
    client, queue = opened()
    made = client.create_message(
        event="UserUpdated", message={"id": 1}, version=2, subject="News", kind="a", count=3, none=None, tags=["a", "b"]
    )
    assert (made.event, json.loads(made.message), made.size) == ("UserUpdated.user", {"id": 1}, len(made.message))
    assert asyncio.run(made.publish())
    (found,) = arrived(queue)
    assert (found.event, found.body, found.content.subject) == ("UserUpdated.user", {"id": 1}, "News")
    assert found.attributes == {"iniesta_pass": "UserUpdated.user", "version": 2, "kind": "a", "count": 3, "tags": '["a", "b"]'}


@pytest.mark.short
@pytest.mark.parametrize("event", ["UserUpdated", "UserUpdated.user"])
def test_the_name_of_the_service_is_in_an_event_once(event: str) -> None:
    """Who filters for `UserUpdated.user` gets it, whichever way it was called: `UserUpdated.user.user` would reach nobody."""
    client, _ = opened()
    queue = open_queue(new_queue())
    attributes = {"FilterPolicy": json.dumps({"iniesta_pass": ["UserUpdated.user"]}), "RawMessageDelivery": "true"}
    arn = queue.attributes()["QueueArn"]
    beside("sns").subscribe(TopicArn=client.topic_arn, Protocol="sqs", Endpoint=arn, Attributes=attributes)

    @client.publish_event(event=event)
    def updated() -> str:
        return "returned"

    assert client.create_message(event=event, message="made").publish_now()
    updated()
    assert sorted((str(found.body), found.event) for found in arrived(queue)) == [
        ("made", "UserUpdated.user"),
        ("returned", "UserUpdated.user"),
    ]
    made = client.create_message(event="Superuser", message="x")
    assert made.event == "Superuser.user"


@pytest.mark.parametrize(
    ("message", "body"), [("text", "text"), (b"\xc3\xa4", "ä"), ([1], "[1]"), (None, "null"), (Order(1), '{"number":1}')]
)
def test_anything_with_a_json_can_be_said(message: object, body: str) -> None:
    """Texts as they are, the rest as JSON; `raw_event` leaves the event as it was given."""
    made = SNSClient(MISSING, service_name="user").create_message(event="A", message=message, raw_event=True)
    assert (made.message, made.event) == (body, "A")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (object(), "Making an event: the message, of type object, is no text"),
        (5, "of type int"),
        ({"a": object()}, "a dict, has no JSON"),
        ([float("nan")], "a list, has no JSON"),
        (b"\xff", "no UTF-8"),
    ],
    ids=["type", "number", "member", "nan", "bytes"],
)
def test_what_has_no_json_is_refused_before_anything_is_sent(message: object, told: str) -> None:
    """The error says what it is."""
    with pytest.raises(FixConfig, match=told):
        SNSClient(MISSING).create_message(event="A", message=message)


@pytest.mark.parametrize(
    "value",
    [Decimal("9.99"), datetime(2026, 11, 21, tzinfo=UTC), {"k": "v"}, {"a"}, "", b"", float("inf"), [object()]],
    ids=lambda value: type(value).__name__,
)
def test_an_attribute_that_none_can_be_is_refused_by_its_name(value: Any) -> None:
    """Nothing is sent that says something else, or that SNS would refuse; to topics and to queues alike."""
    with pytest.raises(FixConfig, match="the attribute 'price'"):
        SNSClient(MISSING).create_message(event="A", message="x", price=value)
    with pytest.raises(FixConfig, match="the attribute 'price'"):
        SQSMessage.of(open_queue(new_queue()), "x", event="A", event_key="key", price=value)


def test_a_message_says_one_event() -> None:
    """A second name beside the first would replace it, and handlers and filters could not tell which was meant."""
    for client in (SNSClient(MISSING), SNSClient(MISSING, service_name="user")):
        for event in ("", None):
            with pytest.raises(FixConfig, match="is no name of an event"):
                client.create_message(event=event, message="x")  # type: ignore[arg-type]  # what is tested
        with pytest.raises(FixConfig, match="'iniesta_pass' names the event"):
            client.create_message(event="A", message="x", iniesta_pass="B")
        with pytest.raises(FixConfig, match="'iniesta_pass' names the event"):
            client.publish_event(event="A", iniesta_pass="B")  # before any function did its work


def test_the_current_trace_goes_with_the_message() -> None:
    """As far as there is room: SNS drops what has more than ten attributes where it delivers raw. Without a span nothing goes."""
    client = SNSClient(MISSING)
    tracers = TracerProvider()
    with tracers.get_tracer("test").start_as_current_span("publish") as span:
        sent = client.create_message(event="A", message="x").sent.attributes
        own = client.create_message(event="A", message="x", traceparent="mine").sent.attributes
        eight: dict[str, Any] = {f"a{number}": 1 for number in range(8)}
        full = client.create_message(event="A", message="x", **eight).sent.attributes
    tracers.shutdown()
    assert format(span.get_span_context().trace_id, "032x") in str(sent["traceparent"])
    assert (own["traceparent"], len(full), "traceparent" in full) == ("mine", 10, False)
    assert set(client.create_message(event="A", message="x").sent.attributes) == {"iniesta_pass", "version"}


def test_nothing_of_opentelemetry_is_needed_or_loaded() -> None:
    """To make a message in a program that uses none of it."""
    code = f"""
import sys
from halocline import SNSClient
SNSClient({MISSING!r}).create_message(event="A", message="x")
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_list_can_be_filtered_by_its_members() -> None:
    """It travels as String.Array, of which SNS compares each member."""
    client, queue = opened()
    (one,) = client.topic.subscriptions()
    policy = json.dumps({"tags": ["b"]})
    beside("sns").set_subscription_attributes(
        SubscriptionArn=one["SubscriptionArn"], AttributeName="FilterPolicy", AttributeValue=policy
    )
    for tags in (["a"], ["a", "b"]):
        client.create_message(event="A", message=json.dumps(tags), tags=tags).publish_now()
    assert [message.body for message in arrived(queue)] == [["a", "b"]]


def test_many_go_in_batches_each_with_its_reply() -> None:
    """One that is too large is a false reply, and the others arrive with their own subjects."""
    client, queue = opened()
    made = [client.create_message(event="A", message=str(number), subject=f"Number {number}") for number in range(12)]
    made.insert(3, client.create_message(event="A", message="x" * 262_144))
    replies = asyncio.run(client.publish_all(made))
    assert [bool(one) for one in replies] == [True] * 3 + [False] + [True] * 9
    found = {(message.body, message.content.subject) for message in arrived(queue)}
    assert found == {(number, f"Number {number}") for number in range(12)}


def test_a_fifo_topic_keeps_groups_in_order_and_drops_repeats() -> None:
    """By the group and the deduplication id that the message was made with."""
    client, queue = opened(FifoTopic="true")
    made = [
        client.create_message(event="A", message=str(number), message_group_id="g", message_deduplication_id=str(number))
        for number in (0, 1, 2, 1)
    ]
    assert all(client.publish_all_now(made))
    assert [message.body for message in arrived(queue)] == [0, 1, 2]


def test_what_a_function_returns_is_told_from_its_repeats() -> None:
    """In a FIFO topic, by what is made of it; another event is never dropped for one."""
    client, queue = opened(FifoTopic="true")

    @client.publish_event(event="A", message_group_id="g", message_deduplication_id=lambda order: str(order.number))
    def place(number: int) -> Order:
        return Order(number)

    for number in (1, 2, 1):
        place(number)
    assert [message.body for message in arrived(queue)] == [{"number": 1}, {"number": 2}]


def test_what_a_function_returns_is_published() -> None:
    """Sync or async; it returns what it returned before."""
    client, queue = opened()

    @client.publish_event(event="OrderPlaced", version=3, shop="north")
    def place(number: int) -> Order | None:
        """Place it."""
        return Order(number) if number else None

    @client.publish_event(event="OrderShipped")
    async def ship(number: int) -> Response:
        return {1: Response(200, b'{"number": 2}'), 2: Response(204, b"")}.get(number, Response(404, b"none"))

    assert (place(1), place(0), place.__doc__) == (Order(1), None, "Place it.")
    assert [asyncio.run(ship(number)).status for number in (1, 2, 3)] == [200, 204, 404]
    all_found = arrived(queue)
    assert len(all_found) == 2
    found = {message.event: message for message in all_found}
    assert {event: message.body for event, message in found.items()} == {
        "OrderPlaced.user": {"number": 1},
        "OrderShipped.user": {"number": 2},
    }
    assert (found["OrderPlaced.user"].attributes["shop"], found["OrderPlaced.user"].attributes["version"]) == ("north", 3)


def test_an_event_that_cannot_be_published_is_never_silent() -> None:
    """The function raises what publishing raised; with `on_error` that is told, and the function returns."""
    told: list[Exception] = []
    client = SNSClient(MISSING)

    @client.publish_event(event="A")
    def raising() -> str:
        return "x"

    @client.publish_event(event="A", on_error=told.append)
    async def telling() -> str:
        return "x"

    with pytest.raises(HaloclineError):
        raising()
    assert asyncio.run(telling()) == "x"
    assert [isinstance(one, HaloclineError) for one in told] == [True]


def test_a_function_that_raises_publishes_nothing() -> None:
    """Its own error goes on; `on_error` is for publishing only."""
    client, queue = opened()
    told: list[Exception] = []

    @client.publish_event(event="A", on_error=told.append)
    def failing() -> str:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        failing()
    assert (told, arrived(queue)) == ([], [])


def test_a_topic_that_is_not_there_is_found_out_at_the_start() -> None:
    """`initialize` asks for the topic; to make a client asks nothing."""
    with pytest.raises(NotFound, match="Looking at the topic nothing"):
        asyncio.run(SNSClient.initialize(MISSING))
    client, _ = opened()
    assert asyncio.run(SNSClient.initialize(client.topic_arn)).topic_arn == client.topic_arn


def test_a_refused_message_is_an_error_that_names_the_event() -> None:
    """The single publish raises; SNS's own code is told."""
    client, _ = opened()
    with pytest.raises(Stop, match=r"Publishing Big\.user"):
        client.create_message(event="Big", message="x" * 262_144).publish_now()


def test_the_settings_of_the_environment_are_those_of_iniesta(monkeypatch: pytest.MonkeyPatch) -> None:
    """Topic, attribute, service and endpoint; what is given counts more."""
    monkeypatch.setenv("INIESTA_SNS_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(FixConfig, match="nothing says which"):
        SNSClient()
    monkeypatch.setenv("INIESTA_SNS_PRODUCER_GLOBAL_TOPIC_ARN", MISSING)
    monkeypatch.setenv("INIESTA_SNS_EVENT_KEY", "happened")
    monkeypatch.setenv("INIESTA_SERVICE_NAME", "user")
    with pytest.raises(NotFound):
        asyncio.run(SNSClient.initialize())
    made = SNSClient().create_message(event="A", message="x")
    assert (made.client.topic_arn, made.sent.attributes["happened"]) == (MISSING, "A.user")
    given = SNSClient(f"{MISSING}2", event_key="key", service_name="", endpoint_url="http://127.0.0.1:9")
    assert (given.topic_arn, given.create_message(event="A", message="x").sent.attributes["key"]) == (f"{MISSING}2", "A")


def test_who_subscribed_is_listed() -> None:
    """With the settings of each, awaited."""
    client, queue = opened()

    async def listed() -> list[Any]:
        return [
            (one["Endpoint"], (await client.get_subscription_attributes(one["SubscriptionArn"]))["Protocol"])
            async for one in client.list_subscriptions_by_topic()
        ]

    assert asyncio.run(listed()) == [(queue.attributes()["QueueArn"], "sqs")]


def test_one_client_of_aws_serves_every_publish(monkeypatch: pytest.MonkeyPatch, server: object) -> None:
    """A new client per message costs more than the call; threads share the one."""
    client, queue = opened()
    made: list[str] = []
    usual = boto3.session.Session.client
    monkeypatch.setattr(boto3.session.Session, "client", lambda *args, **more: (made.append(args[1]), usual(*args, **more))[1])
    client.create_message(event="A", message="0").publish_now()
    before = len(made)
    threads = [threading.Thread(target=client.create_message(event="A", message=str(n)).publish_now) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.create_message(event="A", message="5").publish_now()
    assert before <= 1
    assert len(made) == before
    assert sorted(message.body for message in arrived(queue)) == list(range(6))
    if isinstance(server, FakeAWS):
        assert server.counts(queue.name).visible == 0
