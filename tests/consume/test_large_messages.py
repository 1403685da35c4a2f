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
from halocline.connectors.aws import Offload
from halocline.consume.aws.invocation import TimeLeft
from halocline.consume.aws.lambda_batch import Batch
from halocline.consume.handling.context import Context
from halocline.consume.letters.quarantine import Quarantine
from halocline.consume.limits import Limits
from halocline.consume.work.worker import Worker
from halocline.errors import BadMessage, FixConfig, NotAllHandled, RetryLater, SetAside, Unreadable
from halocline.pointers import OLD_SIZE, SIZE, Pointer
from halocline.queues import Delivery, Message
from halocline.registry import open_buckets, open_offload, open_queue
from halocline.testing.aws import FakeAWS
from halocline.testing.idempotency import MemoryStore, Seconds

LARGE = "x" * 300_000
TOPIC = "arn:aws:sns:us-east-1:123456789012:orders"
ARN = "arn:aws:sqs:us-east-1:123456789012:orders"
POINTER = Pointer("big", "a-key").body
OLDER = POINTER.replace("software.amazon.payloadoffloading.PayloadS3Pointer", "com.amazon.sqs.javamessaging.MessageS3Pointer")
IN_S3 = "it is a large message in S3; open the queue with the bucket that it lies in, as `offload`"
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


# ---- with the bucket


class Shop:
    """A queue `orders` with a bucket `big` for its large messages, and what a function of Lambda is called with."""

    def __init__(self, aws: FakeAWS) -> None:
        self.aws, self.s3, self.sqs = aws, boto3.client("s3"), boto3.client("sqs")
        self.s3.create_bucket(Bucket="big")
        self.url = self.sqs.create_queue(QueueName="orders")["QueueUrl"]

    def send(self, body: str = LARGE, **attributes: str) -> dict[str, Any]:
        """Send a message, and receive it as boto3 does."""
        open_queue("orders", offload="big").send([Message(body, attributes)])
        (found,) = self.sqs.receive_message(QueueUrl=self.url, MessageAttributeNames=["All"])["Messages"]
        return dict(found)

    def record(self, found: dict[str, Any], *, receives: int = 1, arn: str = ARN, group: str = "") -> dict[str, Any]:
        """A message that boto3 received, as Lambda has it."""
        sizes = {name: one["StringValue"] for name, one in found.get("MessageAttributes", {}).items()}
        told = record(found["Body"], sizes, receives=receives, name=found["MessageId"])
        system = told["attributes"] | ({"MessageGroupId": group} if group else {})
        return {**told, "eventSourceARN": arn, "attributes": system}

    def put(self, key: str, body: str) -> None:
        self.s3.put_object(Bucket="big", Key=key, Body=body.encode())

    @property
    def objects(self) -> list[str]:
        """The keys in the bucket."""
        return [one["Key"] for one in self.s3.list_objects_v2(Bucket="big").get("Contents", ())]


@pytest.fixture
def shop(aws: FakeAWS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return Shop(aws)


def failures(answer: dict[str, Any]) -> int:
    return len(answer["batchItemFailures"])


def test_lambda_follows_a_pointer_and_its_object_goes_with_the_message(shop: Shop) -> None:
    """Not before it is done: a handler that fails finds it again. Delivered once more it is done, though the object is gone."""
    seen = list[tuple[str, dict[str, Any]]]()
    handlers = Handlers()

    @handlers.handler("Order.placed")
    def placed(message: Any) -> None:
        seen.append((message.raw_body, dict(message.attributes)))
        if len(seen) == 1:
            raise ValueError("not today")

    function = aws_lambda.handles(handlers, store=MemoryStore(clock=Seconds()), offload="big")
    event = {"Records": [shop.record(shop.send(iniesta_pass="Order.placed"))]}
    assert (failures(function(event, None)), len(shop.objects)) == (1, 1)
    assert (failures(function(event, None)), shop.objects) == (0, [])
    assert failures(function(event, None)) == 0
    assert seen == [(LARGE, {"iniesta_pass": "Order.placed"})] * 2


def test_what_is_done_before_the_function_dies_keeps_its_object(shop: Shop) -> None:
    """Its message comes again with the others, and then goes with it: by a key of the body, which has to be read for it."""
    bodies = list[str]()
    handlers = Handlers(key=lambda message: message.raw_body[:1])

    class KilledError(BaseException):
        """The process is gone."""

    @handlers.handler
    def handle(message: Any) -> None:
        bodies.append(message.raw_body[:1])
        if message.raw_body == "small":
            raise KilledError

    store = MemoryStore(clock=Seconds())
    first = shop.record(shop.send())
    with pytest.raises(KilledError):
        aws_lambda.handles(handlers, store=store, offload="big")({"Records": [first, record("small", {})]}, None)
    assert len(shop.objects) == 1
    assert failures(aws_lambda.handles(handlers, store=store, offload="big")({"Records": [first]}, None)) == 0
    assert (bodies, shop.objects) == (["x", "s"], [])


def test_what_lambda_sets_aside_goes_by_way_of_the_bucket(shop: Shop) -> None:
    """Whole, in an object of the letter's own; that of the message goes with it. What cannot be had stays a pointer."""
    shop.sqs.create_queue(QueueName="dead")
    handlers = Handlers()

    @handlers.handler
    def handle(message: Any) -> None:
        raise BadMessage("Handling", "never")

    body = "b" * 1_200_000
    function = aws_lambda.handles(handlers, store=None, dead_letters="dead", offload="big")
    assert failures(function({"Records": [shop.record(shop.send(body))]}, None)) == 0
    (letter,) = open_queue("dead", offload="big").receive(1, wait_s=0)
    assert (letter.body, letter.failure, len(shop.objects)) == (body, "", 1)
    open_queue("dead", offload="big").delete([letter.handle])
    assert shop.objects == []
    gone = shop.record(shop.send(body), receives=3)
    shop.s3.delete_object(Bucket="big", Key=shop.objects[0])
    assert failures(function({"Records": [gone]}, None)) == 0
    (letter,) = open_queue("dead").receive(1, wait_s=0)
    assert (letter.body, letter.attributes[SIZE]) == (gone["body"], 1_200_000)
    assert "NoSuchKey" in str(letter.attributes["halocline_buried"])


@pytest.mark.parametrize("code", ["InternalError", "InvalidAccessKeyId"])
def test_while_s3_is_away_a_large_message_comes_again_untried(shop: Shop, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Or the login is refused: it is not set aside for it, however often it came, and in a FIFO queue what is behind it waits."""
    bodies, store = list[Any](), MemoryStore(clock=Seconds())
    function = aws_lambda.handles(handlers_with(bodies), store=store, offload="big", limits=Limits(most_receives=1))
    fault = shop.aws.faults.add("refuse", service="s3", operation="GetObject", code=code, status=500, times=100)
    arn = f"{ARN}.fifo"
    large = shop.record(shop.send(), receives=9, arn=arn, group="g")
    behind = {**record("behind", {}, name="m2"), "eventSourceARN": arn, "attributes": large["attributes"]}
    assert failures(function({"Records": [large, behind]}, None)) == 2
    assert "s3://big/" in json.loads(capsys.readouterr().out)["error"]
    assert store.look([f"orders.fifo/{large['messageId']}"]) == [None]
    shop.aws.faults.remove(fault)
    assert failures(function({"Records": [large, behind]}, None)) == 0
    assert bodies == [LARGE, "behind"]


def test_a_body_that_s3_forbids_is_tried_and_set_aside(shop: Shop, tmp_path: Path) -> None:
    """As by a worker, for S3 says that also of what is gone."""
    shop.aws.faults.add("refuse", service="s3", operation="GetObject", code="AccessDenied", times=100)
    aside = Quarantine(tmp_path / "aside")
    function = aws_lambda.handles(handlers_with([]), store=None, dead_letters=aside, offload="big")
    found = shop.send()
    assert [failures(function({"Records": [shop.record(found, receives=tries)]}, None)) for tries in (1, 2, 3)] == [1, 1, 0]
    (letter,) = aside.receive()
    assert "s3:ListBucket" in str(letter.attributes["halocline_buried"])
    assert (letter.body, len(shop.objects)) == (found["Body"], 1)


def test_an_object_that_cannot_be_deleted_is_told(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Its message is done all the same; so is one for whose object no time is left."""

    class Invocation:
        """A function that has this much time."""

        def __init__(self, left_ms: int) -> None:
            self.left_ms = left_ms

        def get_remaining_time_in_millis(self) -> int:
            return self.left_ms

    function = aws_lambda.handles(handlers_with([]), store=None, offload="big")
    fault = shop.aws.faults.add("refuse", service="s3", operation="DeleteObject", code="AccessDenied", times=100)
    assert failures(function({"Records": [shop.record(shop.send())]}, Invocation(60_000))) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["end"], told["failed"], "s3://big/" in told["error"]) == ("object_left", "AccessDenied", True)
    shop.aws.faults.remove(fault)
    now, slow = [0.0], Handlers()
    slow.add_handler(lambda message: now.append(16.0))
    left = TimeLeft(10.0, 20.0)
    batch = Batch(slow, None, None, limits=None, left=left, clock=lambda: now[-1], large=open_offload("big"))
    assert failures(batch.respond({"Records": [shop.record(shop.send())]})) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["end"], "no time left" in told["error"], len(shop.objects)) == ("object_left", True, 2)


def test_what_a_topic_wrapped_is_followed_and_its_object_left(shop: Shop) -> None:
    """By Lambda, from a queue and from the topic itself, by a worker and by hand: others may have the pointer."""
    seen = list[tuple[str, str, dict[str, Any]]]()
    handlers = Handlers()

    @handlers.handler
    def handle(message: Any) -> None:
        seen.append((message.content.wrap, message.raw_body, dict(message.attributes)))

    shop.put("a-key", '{"id": 17, "ä": 1.10}')
    told = notification(POINTER, {SIZE: "21", **PLACED})
    function = aws_lambda.handles(handlers, store=None, name="f", offload="big")
    assert failures(function({"Records": [record(json.dumps(told), {})]}, None)) == 0
    function({"Records": [{"EventSource": "aws:sns", "Sns": told}]}, None)
    client = SQSClient(queue_name="orders", handlers=handlers, store=None, offload="big", limits=Limits(polls=1, flush_s=0.01))
    message, _ = asyncio.run(client.handle_message(by_boto3(json.dumps(told), {})))
    assert message.receipt_handle == "r-m1"
    shop.sqs.send_message(QueueUrl=shop.url, MessageBody=json.dumps(told))
    worked(client, 1)
    assert seen == [("sns", '{"id": 17, "ä": 1.10}', PLACED)] * 4
    assert shop.objects == ["a-key"]


def test_what_a_topic_wrapped_and_nobody_can_have_is_told_so(shop: Shop) -> None:
    """Without an object, or without a pointer."""
    bodies = list[Any]()
    function = aws_lambda.handles(handlers_with(bodies), store=None, name="f", offload="big")
    for body, words in ((POINTER, "NoSuchKey"), ("{}", "no pointer to S3")):
        with pytest.raises(NotAllHandled, match=words):
            function({"Records": [{"EventSource": "aws:sns", "Sns": notification(body, {OLD_SIZE: "1"})}]}, None)
    assert bodies == []


def test_no_value_of_a_large_body_is_in_an_error(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in the log, nor in what the function raises."""
    handlers = Handlers()

    @handlers.handler
    def handle(body: dict[str, str]) -> None:
        raise ValueError(f"no account {body['iban']}")

    shop.put("a-key", '{"iban": "DE02120300000000202051"}')
    function = aws_lambda.handles(handlers, store=None, name="f", offload="big")
    with pytest.raises(NotAllHandled, match=r"no account \*\*\*"):
        function({"Records": [{"EventSource": "aws:sns", "Sns": notification(POINTER, {SIZE: "1"})}]}, None)
    assert failures(function({"Records": [record(POINTER, {SIZE: "1"})]}, None)) == 1
    assert "DE02" not in capsys.readouterr().out


def worked(client: SQSClient, count: int) -> None:
    """Have a client's worker delete so many messages."""
    client.start_receiving_messages()
    eventually(lambda: client.counts.deleted == count)
    asyncio.run(client.stop_receiving_messages())


@pytest.mark.parametrize("form", ["name", "Offload", "queue"])
def test_a_client_follows_pointers(shop: Shop, form: str) -> None:
    """With a bucket's name, an `Offload`, or a queue that was opened with one: one by one, where its object goes by the handle
    that is returned, and as a worker, where it goes with the message.
    """
    bodies = list[Any]()
    ways: dict[str, dict[str, Any]] = {
        "name": {"queue_name": "orders", "offload": "big"},
        "Offload": {"queue_name": "orders", "offload": Offload(open_buckets(), "big")},
        "queue": {"queue": open_queue("orders", offload="big")},
    }
    client = SQSClient(handlers=handlers_with(bodies), store=None, limits=Limits(polls=1, flush_s=0.01), **ways[form])
    message, _ = asyncio.run(client.handle_message(shop.send()))
    assert (message.raw_body, len(shop.objects)) == (LARGE, 1)
    assert all(client.queue.delete([message.receipt_handle]))
    assert shop.objects == []
    open_queue("orders", offload="big").send([Message(LARGE)])
    worked(client, 1)
    assert (bodies, shop.objects) == ([LARGE, LARGE], [])


def test_what_a_client_set_aside_is_deleted_with_its_object(shop: Shop) -> None:
    """By the handle that the error has; in the dead letters, opened by their name, it is whole."""
    shop.sqs.create_queue(QueueName="dead")
    handlers = Handlers()

    @handlers.handler
    def handle(message: Any) -> None:
        raise BadMessage("Handling", "never")

    client = SQSClient(queue_name="orders", handlers=handlers, store=None, dead_letters="dead", offload="big")
    with pytest.raises(SetAside) as raised:
        asyncio.run(client.handle_message(shop.send("b" * 1_200_000)))
    assert all(client.queue.delete([str(raised.value.facts["receipt_handle"])]))
    (letter,) = open_queue("dead", offload="big").receive(1, wait_s=0)
    assert (len(letter.body), len(shop.objects)) == (1_200_000, 1)


def test_a_body_that_is_away_is_no_try_of_a_client(shop: Shop) -> None:
    """What is wrong is raised; the store that was opened for it is let go."""
    store = MemoryStore(clock=Seconds())
    client = SQSClient(queue_name="orders", handlers=handlers_with([]), store=store, offload="big")
    found = shop.send()
    shop.aws.faults.add("refuse", service="s3", operation="GetObject", code="InternalError", status=500, times=100)
    with pytest.raises(RetryLater, match="s3://big/"):
        asyncio.run(client.handle_message(found))
    assert store.look([f"orders/{found['MessageId']}"]) == [None]


def test_a_bucket_that_is_none_is_refused_at_once() -> None:
    """And one beside a queue that is open, which has its own."""
    with pytest.raises(FixConfig, match=r"offload is int, not a bucket's name or an Offload"):
        aws_lambda.handles(Handlers(), offload=7)  # type: ignore[arg-type]
    with pytest.raises(FixConfig, match=r"offload is dict, not a bucket's name or an Offload"):
        SQSClient(queue_name="orders", offload={})  # type: ignore[arg-type]
    with pytest.raises(FixConfig, match=r"open already.*open_queue\(name or URL, offload="):
        SQSClient(queue=Memory(), offload="big")


class Memory:
    """A queue that nothing is in."""

    name = "orders"
    receive = delete = send = extend = hand_back = staticmethod(lambda *_, **__: [])
