"""Laws of topics, judged on our server and on moto's by the same unmodified boto3."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.testing.aws.cloud import Cloud, code_of


def text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def number(value: float) -> dict[str, str]:
    return {"DataType": "Number", "StringValue": str(value)}


@pytest.mark.short
def test_every_queue_is_told(cloud: Cloud) -> None:
    """In an envelope, or raw; the envelope names topic, subject and attributes."""
    topic, wrapped, raw = cloud.topic(), cloud.queue(), cloud.queue()
    cloud.subscribe(topic, wrapped)
    cloud.subscribe(topic, raw, RawMessageDelivery="true")
    sent = cloud.sns.publish(TopicArn=topic, Message="hé", Subject="greeting", MessageAttributes={"a": text("1")})
    (body,) = cloud.bodies(wrapped)
    envelope = json.loads(body)
    assert (envelope["Type"], envelope["Message"], envelope["Subject"]) == ("Notification", "hé", "greeting")
    assert (envelope["TopicArn"], envelope["MessageId"]) == (topic, sent["MessageId"])
    assert envelope["MessageAttributes"] == {"a": {"Type": "String", "Value": "1"}}
    (message,) = cloud.receive(raw, MessageAttributeNames=["All"])
    assert message["Body"] == "hé"
    assert message["MessageAttributes"]["a"]["StringValue"] == "1"


@pytest.mark.parametrize(
    ("policy", "yes", "no"),
    [
        ({"k": ["a", "b"]}, text("b"), text("c")),
        ({"k": [{"prefix": "ab"}]}, text("abc"), text("b")),
        ({"k": [{"suffix": ".csv"}]}, text("a.csv"), text("a.txt")),
        ({"k": [{"anything-but": ["a"]}]}, text("b"), text("a")),
        ({"k": [{"numeric": [">", 1, "<=", 3]}]}, number(3), number(1)),
        ({"k": [{"exists": True}]}, text("a"), None),
        ({"k": [{"equals-ignore-case": "Ab"}]}, text("aB"), text("b")),
        ({"$or": [{"k": ["a"]}, {"k": ["b"]}]}, text("b"), text("c")),
    ],
    ids=["exact", "prefix", "suffix", "anything-but", "numeric", "exists", "case", "or"],
)
def test_a_filter_lets_through_what_it_names(cloud: Cloud, policy: dict[str, Any], yes: Any, no: Any) -> None:
    """By the attributes of the message; one without the attribute is not delivered."""
    topic, queue = cloud.topic(), cloud.queue()
    cloud.subscribe(topic, queue, FilterPolicy=policy, RawMessageDelivery="true")
    cloud.sns.publish(TopicArn=topic, Message="yes", MessageAttributes={"k": yes})
    cloud.sns.publish(TopicArn=topic, Message="no", MessageAttributes={"k": no} if no else {})
    cloud.sns.publish(TopicArn=topic, Message="none")
    assert cloud.bodies(queue) == ["yes"]


def test_a_filter_can_read_the_body(cloud: Cloud) -> None:
    """Keys inside keys; a body that is no JSON is not delivered."""
    topic, queue = cloud.topic(), cloud.queue()
    policy = {"order": {"state": ["paid"], "total": [{"numeric": [">=", 10]}]}}
    cloud.subscribe(topic, queue, FilterPolicy=policy, FilterPolicyScope="MessageBody", RawMessageDelivery="true")
    bodies = [
        json.dumps({"order": {"state": state, "total": total}}) for state, total in (("paid", 10), ("paid", 9), ("new", 11))
    ]
    for body in [*bodies, "no json"]:
        cloud.sns.publish(TopicArn=topic, Message=body)
    assert cloud.bodies(queue) == bodies[:1]


def test_a_filter_that_is_none_is_refused(cloud: Cloud) -> None:
    """Values are lists."""
    topic, queue = cloud.topic(), cloud.queue()
    with pytest.raises(ClientError) as caught:
        cloud.subscribe(topic, queue, FilterPolicy={"k": "a"})
    assert code_of(caught.value) == "InvalidParameter"


@pytest.mark.parametrize(
    "policy",
    [{"a": [str(n) for n in range(151)]}, {"a": ["1"] * 20, "b": ["1"] * 8}, {str(n): ["x"] for n in range(6)}],
    ids=["values", "combinations", "keys"],
)
def test_a_filter_that_is_too_large_is_refused(cloud: Cloud, policy: dict[str, Any]) -> None:
    """150 combinations of values, five keys."""
    topic, queue = cloud.topic(), cloud.queue()
    with pytest.raises(ClientError) as caught:
        cloud.subscribe(topic, queue, FilterPolicy=policy)
    assert code_of(caught.value) == "InvalidParameter"
    cloud.subscribe(topic, queue, FilterPolicy={"a": [str(n) for n in range(150)]})


def test_what_a_queue_cannot_be_told_goes_to_the_dead_letters(cloud: Cloud) -> None:
    """Of the subscription, where it names a queue for them."""
    topic, queue, dead = cloud.topic(), cloud.queue(), cloud.queue()
    cloud.subscribe(topic, queue, RedrivePolicy={"deadLetterTargetArn": cloud.arn(dead)}, RawMessageDelivery="true")
    cloud.sqs.delete_queue(QueueUrl=queue)
    cloud.sns.publish(TopicArn=topic, Message="lost")
    assert cloud.bodies(dead) == ["lost"]


def test_a_batch_has_a_result_for_each_entry(cloud: Cloud) -> None:
    """And each message comes."""
    topic, queue = cloud.topic(), cloud.queue()
    cloud.subscribe(topic, queue, RawMessageDelivery="true")
    entries = [{"Id": str(at), "Message": f"m{at}"} for at in range(10)]
    told = cloud.sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert {one["Id"] for one in told["Successful"]} == {one["Id"] for one in entries}
    assert set(cloud.bodies(queue)) == {one["Message"] for one in entries}


def test_a_topic_that_is_not_there_is_told_as_such(cloud: Cloud) -> None:
    """A publish to it is lost, and says so."""
    with pytest.raises(cloud.sns.exceptions.NotFoundException):
        cloud.sns.publish(TopicArn="arn:aws:sns:us-east-1:123456789012:nobody", Message="x")


def test_a_message_has_a_limit(cloud: Cloud) -> None:
    """262,144 bytes."""
    topic = cloud.topic()
    with pytest.raises(ClientError) as caught:
        cloud.sns.publish(TopicArn=topic, Message="x" * 262_145)
    assert code_of(caught.value) == "InvalidParameter"


@pytest.mark.parametrize("subject", ["a\nb", "\x01", "a\x7f", "x" * 101, ""], ids=["line", "control", "delete", "long", "empty"])
def test_a_subject_is_a_line_of_a_hundred_characters(cloud: Cloud, subject: str) -> None:
    """Others are refused, in a batch by themselves; one of a hundred letters of any script is told."""
    topic, queue = cloud.topic(), cloud.queue()
    cloud.subscribe(topic, queue)
    with pytest.raises(ClientError) as caught:
        cloud.sns.publish(TopicArn=topic, Message="x", Subject=subject)
    assert code_of(caught.value) == "InvalidParameter"
    entries = [{"Id": f"{at}", "Message": "x", "Subject": one} for at, one in enumerate((subject, "é" * 100))]
    told = cloud.sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert [(one["Id"], one["Code"]) for one in told["Failed"]] == [("0", "InvalidParameter")]
    assert [json.loads(body)["Subject"] for body in cloud.bodies(queue)] == ["é" * 100]


@pytest.mark.parametrize("attribute", [text(""), {"DataType": "Text", "StringValue": "x"}], ids=["empty", "type"])
def test_an_attribute_has_a_type_and_a_value(cloud: Cloud, attribute: dict[str, str]) -> None:
    """Others are refused, in a batch by themselves."""
    topic, queue = cloud.topic(), cloud.queue()
    cloud.subscribe(topic, queue)
    with pytest.raises(ClientError) as caught:
        cloud.sns.publish(TopicArn=topic, Message="x", MessageAttributes={"a": attribute})
    assert code_of(caught.value) == "ParameterValueInvalid"
    entries = [{"Id": f"{at}", "Message": "x", "MessageAttributes": {"a": one}} for at, one in enumerate((attribute, text("1")))]
    told = cloud.sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert [one["Id"] for one in told["Failed"]] == ["0"]
    assert len(cloud.bodies(queue)) == 1


def test_a_subscription_that_ended_hears_nothing(cloud: Cloud) -> None:
    """Unsubscribing is enough."""
    topic, queue = cloud.topic(), cloud.queue()
    arn = cloud.subscribe(topic, queue)
    assert [one["SubscriptionArn"] for one in cloud.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]] == [arn]
    cloud.sns.unsubscribe(SubscriptionArn=arn)
    cloud.sns.publish(TopicArn=topic, Message="x")
    assert cloud.bodies(queue) == []


def test_the_settings_of_a_subscription_can_be_changed(cloud: Cloud) -> None:
    """And read back."""
    topic, queue = cloud.topic(), cloud.queue()
    arn = cloud.subscribe(topic, queue)
    cloud.sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="RawMessageDelivery", AttributeValue="true")
    told = cloud.sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert (told["RawMessageDelivery"], told["Protocol"], told["TopicArn"]) == ("true", "sqs", topic)


def test_a_fifo_topic_tells_a_fifo_queue_in_order_and_once(cloud: Cloud) -> None:
    """Groups and deduplication go along."""
    topic = cloud.topic(FifoTopic="true", ContentBasedDeduplication="true")
    queue = cloud.queue(fifo=True)
    cloud.subscribe(topic, queue, RawMessageDelivery="true")
    for body in ("1", "2", "1", "3"):
        cloud.sns.publish(TopicArn=topic, Message=body, MessageGroupId="g")
    found = cloud.receive(queue, AttributeNames=["MessageGroupId"])
    assert [one["Body"] for one in found] == ["1", "2", "3"]
    assert {one["Attributes"]["MessageGroupId"] for one in found} == {"g"}


def test_protocols_can_have_words_of_their_own(cloud: Cloud) -> None:
    """MessageStructure json: queues get the text for sqs, or the default one."""
    topic, queue = cloud.topic(), cloud.queue()
    cloud.subscribe(topic, queue, RawMessageDelivery="true")
    words = json.dumps({"default": "all", "sqs": "queues"})
    cloud.sns.publish(TopicArn=topic, Message=words, MessageStructure="json")
    assert cloud.bodies(queue) == ["queues"]


def test_a_topic_hears_of_objects(cloud: Cloud) -> None:
    """And tells its queues."""
    topic, queue, bucket = cloud.topic(), cloud.queue(), cloud.bucket()
    cloud.subscribe(topic, queue)
    told = {"TopicArn": topic, "Events": ["s3:ObjectRemoved:*"]}
    cloud.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"TopicConfigurations": [told]})
    cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"")
    cloud.s3.delete_object(Bucket=bucket, Key="k")
    events = [json.loads(json.loads(body)["Message"]) for body in cloud.bodies(queue)]
    assert [record["eventName"] for one in events for record in one.get("Records", [])] == ["ObjectRemoved:Delete"]


def test_topics_and_their_tags_are_kept(cloud: Cloud) -> None:
    """Creating one again gives the same."""
    topic = cloud.topic(DisplayName="x")
    name = topic.rpartition(":")[2]
    assert cloud.sns.create_topic(Name=name)["TopicArn"] == topic
    assert cloud.sns.get_topic_attributes(TopicArn=topic)["Attributes"]["DisplayName"] == "x"
    cloud.sns.tag_resource(ResourceArn=topic, Tags=[{"Key": "a", "Value": "1"}])
    assert cloud.sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "a", "Value": "1"}]
    cloud.sns.untag_resource(ResourceArn=topic, TagKeys=["a"])
    cloud.sns.delete_topic(TopicArn=topic)
    assert topic not in [one["TopicArn"] for one in cloud.sns.list_topics()["Topics"]]
