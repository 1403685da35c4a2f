"""Laws of large messages at handlers: none is ever given what stands in the place of a message, whoever received it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from halocline import Handlers, SQSClient, aws_lambda
from halocline.consume.handling.context import Context
from halocline.consume.letters.quarantine import Quarantine
from halocline.consume.limits import Limits
from halocline.consume.work.worker import Worker
from halocline.errors import NotAllHandled, Unreadable
from halocline.pointers import OLD_SIZE, SIZE, Pointer
from halocline.queues import Delivery
from halocline.registry import open_queue
from halocline.testing.aws import FakeAWS
from halocline.testing.idempotency import MemoryStore, Seconds

TOPIC = "arn:aws:sns:us-east-1:123456789012:orders"
ARN = "arn:aws:sqs:us-east-1:123456789012:orders"
POINTER = Pointer("big", "a-key").body
OLDER = POINTER.replace("software.amazon.payloadoffloading.PayloadS3Pointer", "com.amazon.sqs.javamessaging.MessageS3Pointer")
IN_S3 = "it is a large message in S3; open the queue with the bucket that it lies in"
NO_POINTER = "it is marked as a large message, and its body is no pointer to S3"
UNMARKED = "it is a large message in S3 without the attribute ExtendedPayloadSize; receive it with all of its attributes"


def handlers_with(bodies: list[Any], **options: Any) -> Handlers:
    """Handlers of any event that keep the bodies that they are given."""
    handlers = Handlers(**options)
    handlers.add_handler(lambda message: bodies.append(message.raw_body), ["Order.placed"])
    handlers.add_handler(lambda message: bodies.append(message.raw_body))
    return handlers


def eventually(happened: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < ends_at, "it did not happen"
        time.sleep(0.005)


def spelled(attributes: dict[str, str], *, kind: str, value: str) -> dict[str, dict[str, str]]:
    """Attributes in one of the spellings of AWS."""
    return {name: {kind: "Number" if one.isdecimal() else "String", value: one} for name, one in attributes.items()}


def notification(body: str, attributes: dict[str, str]) -> dict[str, Any]:
    """A message as a topic wraps it."""
    told = {"Type": "Notification", "MessageId": "n1", "TopicArn": TOPIC, "Message": body}
    return {**told, "MessageAttributes": spelled(attributes, kind="Type", value="Value")}


def record(body: str, attributes: dict[str, str], *, receives: int = 1, name: str = "m1") -> dict[str, Any]:
    """A message of a queue as Lambda has it."""
    told = {"eventSource": "aws:sqs", "eventSourceARN": ARN, "messageId": name, "receiptHandle": f"r-{name}", "body": body}
    system = {"ApproximateReceiveCount": str(receives)}
    return {**told, "attributes": system, "messageAttributes": spelled(attributes, kind="dataType", value="stringValue")}


def by_boto3(body: str, attributes: dict[str, str]) -> dict[str, Any]:
    """A message of a queue as boto3 has it."""
    found = {"MessageId": "m1", "ReceiptHandle": "r-m1", "Body": body}
    return {**found, "MessageAttributes": spelled(attributes, kind="DataType", value="StringValue")}


PLACED = {"iniesta_pass": "Order.placed"}
WAYS = pytest.mark.parametrize(
    ("body", "attributes", "words"),
    [
        (POINTER, {SIZE: "300018"}, IN_S3),
        (OLDER, {OLD_SIZE: "300018", **PLACED}, IN_S3),
        (json.dumps(notification(POINTER, {SIZE: "300018", **PLACED})), {}, IN_S3),
        ("{}", {SIZE: "300018"}, NO_POINTER),
        ("[" * 100_000, {SIZE: "300018"}, NO_POINTER),
        (POINTER, PLACED, UNMARKED),
        (f" [ {OLDER[1:]}", {}, UNMARKED),
        (json.dumps(notification(POINTER, {})), {}, UNMARKED),
    ],
    ids=["marked", "older", "wrapped", "no pointer", "too deep", "unmarked", "unmarked, older", "unmarked, wrapped"],
)


@WAYS
def test_a_pointer_reaches_no_handler(
    body: str, attributes: dict[str, str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of Lambda, of `handle_message` and in tests of handlers: it is tried again, and not booked as done."""
    bodies, store = list[Any](), MemoryStore(clock=Seconds())
    handlers = handlers_with(bodies)
    event = {"Records": [record(body, attributes)]}
    for memory in (store, None):
        answer = aws_lambda.handles(handlers, store=memory)(event, None)
        assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert all(words in line["error"] for line in map(json.loads, capsys.readouterr().out.splitlines()))
    client = SQSClient(queue_name="orders", handlers=handlers, store=store)
    with pytest.raises(Unreadable) as raised:
        asyncio.run(client.handle_message(by_boto3(body, attributes)))
    assert str(raised.value) == f"Reading the message m1 of orders: {words}."
    with pytest.raises(Unreadable, match="Reading the message m1"):
        handlers.run(Delivery("", body, "m1", attributes=dict(attributes)), Context(queue="orders"))
    assert bodies == []


def test_a_pointer_that_a_topic_brings_to_lambda_reaches_no_handler() -> None:
    """Nobody followed it."""
    bodies = list[Any]()
    told = notification(POINTER, {SIZE: "300018", **PLACED})
    event = {"Records": [{"EventSource": "aws:sns", "Sns": told}]}
    with pytest.raises(NotAllHandled, match=r"n1: .*it is a large message in S3"):
        aws_lambda.handles(handlers_with(bodies), store=None, name="f")(event, None)
    assert bodies == []


def test_a_pointer_that_nobody_follows_is_set_aside_as_it_is(tmp_path: Path) -> None:
    """At its third delivery, by Lambda as by a worker; it still points to its body."""
    aside = Quarantine(tmp_path)
    function = aws_lambda.handles(handlers_with([]), store=MemoryStore(clock=Seconds()), dead_letters=aside)
    answers = [function({"Records": [record(POINTER, {SIZE: "300018"}, receives=tries)]}, None) for tries in (1, 2, 3)]
    assert [len(answer["batchItemFailures"]) for answer in answers] == [1, 1, 0]
    (letter,) = aside.receive()
    assert (letter.body, letter.attributes[SIZE]) == (POINTER, 300_018)
    assert IN_S3 in str(letter.attributes["halocline_buried"])


def test_a_key_is_made_of_no_pointer() -> None:
    """A function that makes keys of bodies is not called with one, whether it looks at the text or the value."""
    seen = list[str]()

    def key(message: Any) -> str:
        seen.append(message.raw_body)
        return "k"

    function = aws_lambda.handles(handlers_with([], key=key), store=MemoryStore(clock=Seconds()))
    assert function({"Records": [record(POINTER, {SIZE: "1"})]}, None)["batchItemFailures"]
    assert seen == []


def test_a_worker_gives_a_wrapped_pointer_to_no_handler(aws: FakeAWS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a queue that knows no bucket: it is set aside with why, in the words that a raw one has."""
    bodies = list[Any]()
    wrapped = json.dumps(notification(POINTER, {SIZE: "300018", **PLACED}))
    sqs, url = boto3.client("sqs"), boto3.client("sqs").create_queue(QueueName="orders")["QueueUrl"]
    for body, attributes in ((wrapped, {}), (POINTER, {SIZE: "300018"})):
        sqs.send_message(
            QueueUrl=url, MessageBody=body, MessageAttributes=spelled(attributes, kind="DataType", value="StringValue")
        )
    aside = Quarantine(tmp_path)
    limits = Limits(polls=1, flush_s=0.01, most_receives=1)
    worker = Worker(open_queue("orders"), handlers_with(bodies), store=None, limits=limits, dead_letters=aside)
    worker.start()
    eventually(lambda: worker.counts.deleted == 2)
    worker.stop()
    worker.join()
    assert bodies == []
    assert [IN_S3 in str(letter.attributes["halocline_buried"]) for letter in aside.receive()] == [True, True]
