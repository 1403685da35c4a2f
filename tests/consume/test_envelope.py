"""Laws of envelopes: what was published is what is read, whichever way it came."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.connectors.aws.servers import BOTH, SERVERS, beside, new_name, new_queue

from halocline.attributes import Listed, flat
from halocline.connectors.aws import open_queue, open_topic
from halocline.consume.handling.envelope import Wrap, notification, unwrap

ARN = "arn:aws:sns:us-east-1:123456789012:orders"
NOTIFIED = {
    "Type": "Notification",
    "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    "TopicArn": ARN,
    "Subject": "An order",
    "Message": "Hello",
    "Timestamp": "2026-11-02T00:54:06.655Z",
    "SignatureVersion": "1",
    "Signature": "EXAMPLE",
    "SigningCertURL": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
    "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
    "MessageAttributes": {
        "iniesta_pass": {"Type": "String", "Value": "Order.placed"},
        "version": {"Type": "Number", "Value": "1"},
        "raw": {"Type": "Binary", "Value": "AP8="},
        "tags": {"Type": "String.Array", "Value": '["a", "b"]'},
    },
}
PUBLISHED = {"iniesta_pass": "Order.placed", "version": 1, "raw": b"\x00\xff", "tags": '["a", "b"]'}
BRIDGED = """{"version": "0", "id": "6a7e8feb-b491", "detail-type": "Order Placed", "source": "shop",
 "account": "123456789012", "time": "2026-11-02T00:00:00Z", "region": "us-east-1", "resources": [],
 "detail": {"price": 0.10000000000000000001, "n":1e400 }}"""


def test_a_notification_of_sns_is_what_was_published() -> None:
    """Body and attributes are the publisher's; the envelope's attributes count more than the queue's own."""
    found = unwrap(json.dumps(NOTIFIED), {"own": "x", "version": 7})
    assert (found.wrap, found.body, found.subject, found.origin) == (Wrap.SNS, "Hello", "An order", ARN)
    assert found.attributes == {**PUBLISHED, "own": "x"}
    assert found.id == NOTIFIED["MessageId"]


def test_a_notification_that_lambda_read_already_says_the_same() -> None:
    """`Sns` in an event of Lambda is the envelope, read."""
    assert notification(NOTIFIED) == unwrap(json.dumps(NOTIFIED))


@pytest.mark.parametrize(
    "attribute",
    [
        "Order.placed",
        {"DataType": "String", "StringValue": "Order.placed"},
        {"dataType": "String", "stringValue": "Order.placed", "stringListValues": [], "binaryListValues": []},
        {"Type": "String", "Value": "Order.placed"},
    ],
    ids=["flat", "sqs", "lambda", "sns"],
)
def test_attributes_are_read_flat_and_typed(attribute: object) -> None:
    """The document shows them flat; SQS, Lambda and SNS each write them their own way."""
    assert unwrap("x", {"iniesta_pass": attribute}).attributes == {"iniesta_pass": "Order.placed"}


def test_an_attribute_that_is_not_what_its_type_says_is_a_text() -> None:
    """Nothing that a stranger writes into an attribute can stop the message."""
    wrong = {"number": {"DataType": "Number", "StringValue": "many"}, "bytes": {"Type": "Binary", "Value": "?"}, "none": None}
    assert flat(wrong) == {"number": "many", "bytes": "?", "none": ""}


def test_a_list_stays_a_list_on_its_way_through() -> None:
    """What came as String.Array is text to who reads it, and an array to who sends it on."""
    (found,) = flat({"tags": {"DataType": "String.Array", "StringValue": '["a"]'}}).values()
    assert found == '["a"]'
    assert isinstance(found, Listed)


@pytest.mark.parametrize(
    "body",
    [
        '{"Type": "Notification", "Message": "mine", "TopicArn": "orders", "MessageId": "1"}',
        '{"Type": "Notification", "Message": {"a": 1}, "TopicArn": "arn:aws:sns:::x", "MessageId": "1"}',
        '{"detail-type": "mine", "detail": {}}',
        '{"TopicArn": "Notification", "broken',
        '["Notification", {"TopicArn": "Notification"}]',
        '"TopicArn" "Notification"',
        "",
    ],
)
def test_what_only_looks_like_an_envelope_is_raw(body: str) -> None:
    """A message of one's own that has such names loses nothing."""
    found = unwrap(body)
    assert (found.wrap, found.body, found.attributes) == (Wrap.RAW, body, {})


@given(st.text(), st.dictionaries(st.text(max_size=5), st.one_of(st.text(), st.integers(), st.binary()), max_size=3))
def test_any_raw_body_is_as_it_came(body: str, attributes: dict[str, Any]) -> None:
    """No text is changed, and none raises."""
    found = unwrap(body, attributes)
    assert (found.wrap, found.body, found.attributes) == (Wrap.RAW, body, attributes)


@given(st.text(min_size=1))
def test_any_published_text_comes_out_of_its_envelope(text: str) -> None:
    """Quotes, line ends, and texts that look like events."""
    assert unwrap(json.dumps({**NOTIFIED, "Message": text})).body == text


@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "in sns"])
def test_an_event_of_eventbridge_is_its_detail_to_the_letter(wrapped: bool) -> None:
    """Numbers are as they were written: read and written again, they would not be."""
    found = unwrap(json.dumps({**NOTIFIED, "Message": BRIDGED}) if wrapped else BRIDGED)
    assert (found.wrap, found.event, found.origin, found.id) == (Wrap.EVENTBRIDGE, "Order Placed", "shop", "6a7e8feb-b491")
    assert found.body == '{"price": 0.10000000000000000001, "n":1e400 }'
    assert found.attributes == (PUBLISHED if wrapped else {})


@pytest.mark.parametrize("body", ["{" * 100_000, '{"TopicArn": "Notification", "a":' * 20_000])
def test_a_body_that_is_an_attack_on_the_reader_is_raw(body: str) -> None:
    """Deep nesting ends no process."""
    assert unwrap(body).body == body


@pytest.mark.parametrize("server", BOTH)
@pytest.mark.parametrize("raw", ["true", "false"])
def test_raw_and_wrapped_delivery_say_the_same(server: str, raw: str) -> None:
    """A message that is published arrives the same, whichever way the subscription delivers."""
    with SERVERS[server]():
        for body, attributes in _delivered(raw):
            found = unwrap(body, attributes)
            assert (found.body, found.attributes) == ("Hello", {"iniesta_pass": "Order.placed", "version": 1})
            assert found.wrap is (Wrap.RAW if raw == "true" else Wrap.SNS)


def _delivered(raw: str) -> Iterator[tuple[str, Any]]:
    topic = open_topic(beside("sns").create_topic(Name=new_name("topic"))["TopicArn"])
    queue = open_queue(new_queue())
    arn = queue.attributes()["QueueArn"]
    beside("sns").subscribe(TopicArn=topic.arn, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": raw})
    topic.publish("Hello", attributes={"iniesta_pass": "Order.placed", "version": 1})
    (delivery,) = queue.receive(wait_s=0)
    yield delivery.body, delivery.attributes
