"""Laws of publishing, on our fake and on moto."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.connectors.aws.servers import BOTH, SERVERS, beside, new_name, new_queue

from halocline.connectors.aws import Topic, open_topic
from halocline.errors import FixConfig, NotFound, Stop
from halocline.queues import Message
from halocline.testing.aws import FakeAWS


@pytest.fixture(scope="module", params=BOTH, autouse=True)
def server(request: pytest.FixtureRequest) -> Iterator[object]:
    with SERVERS[request.param]() as running:
        yield running


def opened(*, fifo: bool = False) -> tuple[Topic, str]:
    """A new topic, and the URL of a new queue that gets its messages as they are."""
    ending, more = (".fifo", {"FifoTopic": "true"}) if fifo else ("", {})
    arn = beside("sns").create_topic(Name=new_name("topic") + ending, Attributes=more)["TopicArn"]
    url = beside("sqs").get_queue_url(QueueName=new_queue(**({"FifoQueue": "true"} if fifo else {})))["QueueUrl"]
    queue = beside("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    beside("sns").subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    return open_topic(arn), url


def received(url: str) -> list[dict[str, Any]]:
    found = []
    while (
        some := beside("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages")
    ):
        found += some
        for one in some:
            beside("sqs").delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
    return found


@pytest.mark.short
def test_a_message_arrives_with_its_attributes(server: object) -> None:
    """Texts and numbers; bytes too, which moto cannot hand on to a queue."""
    topic, url = opened()
    raw = {"raw": b"\0\xff"} if isinstance(server, FakeAWS) else {}
    assert topic.publish("hello", subject="Greeting", attributes={"kind": "a", "count": 2, **raw})
    (found,) = received(url)
    assert found["Body"] == "hello"
    attributes = {name: one.get("StringValue", one.get("BinaryValue")) for name, one in found["MessageAttributes"].items()}
    assert attributes == {"kind": "a", "count": "2", **raw}


def test_a_batch_of_any_size_arrives() -> None:
    """A reply for each; one that is too large is told and keeps no other back."""
    topic, url = opened()
    messages = [Message(json.dumps(number)) for number in range(12)]
    messages.insert(4, Message("x" * 262_145))
    replies = topic.publish_all(messages)
    assert [reply.code for reply in replies] == [*[""] * 4, "MessageTooLong", *[""] * 8]
    assert sorted(json.loads(one["Body"]) for one in received(url)) == list(range(12))
    with pytest.raises(Stop, match="262,144"):
        topic.publish("x" * 262_145)


def test_a_fifo_topic_keeps_order_and_drops_repeats() -> None:
    """By group and by `dedupe`."""
    topic, url = opened(fifo=True)
    assert topic.is_fifo
    assert all(topic.publish_all([Message(str(number), group="g", dedupe=str(number % 12)) for number in range(14)]))
    assert [one["Body"] for one in received(url)] == [str(number) for number in range(12)]


def test_half_of_a_character_is_refused_in_its_place() -> None:
    """In a body, an attribute or a subject; no text of AWS holds one."""
    topic, url = opened()
    messages = [Message("\ud800"), Message("b"), Message("c", {"x": "\udfff"}), Message("d")]
    replies = topic.publish_all(messages, subjects=[None, None, None, "\ud800"])
    assert [reply.code for reply in replies] == ["InvalidMessageContents", "", "InvalidMessageContents", "InvalidMessageContents"]
    assert [one["Body"] for one in received(url)] == ["b"]


def test_what_comes_behind_a_refused_message_is_held() -> None:
    """In its group; one that is too large counts as refused."""
    topic, url = opened(fifo=True)
    bodies = ["a1", "b1", "a" + "x" * 262_144, "a2", "b2"]
    replies = topic.publish_all([Message(body, group=body[0], dedupe=body[:9]) for body in bodies])
    assert [reply.code for reply in replies] == ["", "", "MessageTooLong", "Held", ""]
    assert sorted(one["Body"] for one in received(url)) == ["a1", "b1", "b2"]


def test_a_topic_that_cannot_be_is_told() -> None:
    """No ARN, no such topic, a delay."""
    with pytest.raises(FixConfig, match="arn:aws:sns"):
        Topic("my-topic")
    with pytest.raises(NotFound, match="ARN"):
        Topic("arn:aws:sns:us-east-1:123456789012:nobodys-topic").publish("x")
    with pytest.raises(FixConfig, match="delay"):
        opened()[0].publish_all([Message("x", delay_s=1)])
