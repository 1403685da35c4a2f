"""Laws of the iniesta document on message handlers: its code runs here with no edit but the listed ones."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest

from halocline import Handlers
from halocline.compat.iniesta.sqs import SQSClient
from halocline.consume.handling.handlers import UnknownEvent
from halocline.consume.handling.message import delivery_of
from halocline.consume.limits import Limits
from halocline.consume.watching.counts import Counts
from tests.connectors.files.server import s3
from tests.examples import in_turn
from tests.samples.documents import Document, directives, unmade

INIESTA = Document("iniesta.md", "iniesta")
CODE = ("decorator", "class-method", "attach-directly", "event-handler", "default-handler")
NUMBERS = count()
QUICK = Limits(polls=1, flush_s=0.01)

# ---- the lists are whole


def test_the_quotes_are_the_document(recorded_data: Path) -> None:
    """Every code block of the document is quoted here, letter by letter and in order."""
    document = recorded_data.parent / "spec" / "3-iniesta-handlers.rst"
    assert document.is_file(), f"HALOCLINE_TEST_DATA has no document beside it: {document}"
    assert list(INIESTA.blocks().values()) == directives(document.read_text(encoding="utf-8"))


def test_every_block_is_run() -> None:
    """None is left out, and no list names a block that is not there, or has no reason."""
    assert {*CODE, "message"} == set(INIESTA.blocks())
    rows = [row for section in ("text replaced", "names supplied", "the world around") for row in INIESTA.edits(section)]
    assert {row[0] for row in rows} <= set(INIESTA.blocks())
    assert all(row[-1] for row in rows)


@pytest.mark.parametrize("name", CODE)
def test_just_the_names_that_a_sample_lacks_are_supplied(name: str) -> None:
    """The list of supplied names is exactly what the sample uses and does not make: none is slipped in beside."""
    assert unmade(INIESTA.edited(name)) == {row[1] for row in INIESTA.edits("names supplied") if row[0] == name}


# ---- the samples run


@dataclass(slots=True)
class World:
    """A queue of one of the two servers, and a Redis."""

    queue: str
    redis: str

    def run(self, name: str) -> dict[str, Any]:
        return INIESTA.run(name, {"SQSClient": SQSClient})

    def send(self, event: str | None, body: str = '{"id": 17}') -> None:
        attributes = {} if event is None else {"iniesta_pass": {"DataType": "String", "StringValue": event}}
        boto3.client("sqs").send_message(QueueUrl=self.url, MessageBody=body, MessageAttributes=attributes)

    @property
    def url(self) -> str:
        return str(boto3.client("sqs").get_queue_url(QueueName=self.queue)["QueueUrl"])

    def received(self, until: Callable[[Counts], bool]) -> Counts:
        """Receive until the counts say so, and stop."""

        async def receive() -> Counts:
            client = await SQSClient.initialize(queue_name=self.queue, store=self.redis, limits=QUICK)
            client.start_receiving_messages()
            ends_at = time.monotonic() + 20
            while not until(client.counts) and time.monotonic() < ends_at:
                await asyncio.sleep(0.005)
            return await client.stop_receiving_messages()

        return asyncio.run(receive())

    def left(self) -> int:
        asked = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = boto3.client("sqs").get_queue_attributes(QueueUrl=self.url, AttributeNames=asked)["Attributes"]
        return sum(int(told[name]) for name in asked)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with s3() as endpoint:
        yield endpoint


@pytest.fixture(params=["FakeAWS", pytest.param("moto", marks=pytest.mark.long)])
def world(request: pytest.FixtureRequest, redis_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    request.getfixturevalue("aws")
    if request.param == "moto":
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("moto"))
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    monkeypatch.setattr(SQSClient, "_of_class", Handlers())
    monkeypatch.setattr(SQSClient, "_taken_by", None)
    name = f"iniesta-{next(NUMBERS)}"
    boto3.client("sqs").create_queue(QueueName=name)
    return World(name, redis_uri)


HANDLERS = (
    ("decorator", "SomethingHappened.somewhere", "something_happened_handler"),
    ("class-method", "SomethingHappened.elsewhere", "Handlers.something_happened_handler"),
    ("attach-directly", "SomethingElseHappened.nowhere", "something_else_happened_handler"),
    ("event-handler", "UserUpdated.user", "user_updated_handler"),
    ("default-handler", None, "default_handler"),
    ("default-handler", "Anything.else", "default_handler"),
)


@pytest.mark.parametrize(
    ("world", "sample", "event", "name"),
    [(server, *handler) for handler, server in in_turn(HANDLERS, ("moto", "FakeAWS"))],
    indirect=["world"],
)
def test_the_documents_handler_gets_its_event(world: World, sample: str, event: str | None, name: str) -> None:
    """A message with the event is received, its key taken in Redis, the sample's function called, and the message deleted."""
    world.run(sample)
    world.send(event)
    counts = world.received(lambda so_far: so_far.deleted == 1)
    assert (counts.received, counts.started, counts.done, counts.failed, counts.deleted) == (1, 1, 1, 0, 1)
    assert world.left() == 0
    message = SQSClient.handlers.message(delivery_of({"Body": "", "MessageAttributes": {"iniesta_pass": event}}))
    assert SQSClient.handlers.route(message).name.endswith(f".{name}")


def test_the_documents_message_reaches_its_handler(world: World) -> None:
    """Attributes as flat as the document shows them name the event too."""
    world.run("event-handler")
    shown = json.loads(INIESTA.edited("message")) | {"Body": "{}", "MessageId": f"of {world.queue}", "ReceiptHandle": "r"}
    client = SQSClient(queue_name=world.queue, store=world.redis)
    message, result = asyncio.run(client.handle_message(shown))
    assert (message.event, message.body, result) == ("UserUpdated.user", {}, None)


def test_without_a_handler_a_key_error_is_raised(world: World) -> None:
    """An event that nobody handles, where there is no default handler."""
    world.run("event-handler")
    delivery = delivery_of({"Body": "{}", "MessageId": "1", "MessageAttributes": {"iniesta_pass": "UserDeleted.user"}})
    with pytest.raises(KeyError) as caught:
        asyncio.run(SQSClient(queue_name=world.queue, store=None).handle_message(delivery))
    assert isinstance(caught.value, UnknownEvent)
    assert "nobody handles the event 'UserDeleted.user'" in str(caught.value)


def test_an_error_is_told_and_the_message_stays(world: World) -> None:
    """A handler that raises: the message is not deleted, and the failure is counted."""
    failed: list[str] = []

    @SQSClient.handler("UserUpdated.user")
    def fails(message: Any) -> None:
        failed.append(message.id)
        raise ValueError("no")

    world.send("UserUpdated.user")
    counts = world.received(lambda so_far: so_far.failed == 1)
    assert (len(failed), counts.deleted, world.left()) == (1, 0, 1)
