"""Laws of queues, judged on our server and on moto's by the same unmodified boto3."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from botocore.exceptions import ClientError
from tests.testing.aws.cloud import Cloud, code_of


def test_a_queue_is_found_by_name(cloud: Cloud) -> None:
    """GetQueueUrl gives the address that CreateQueue gave; ListQueues finds it by prefix."""
    url = cloud.queue()
    name = url.rpartition("/")[2]
    assert cloud.sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
    assert url in cloud.sqs.list_queues(QueueNamePrefix=name)["QueueUrls"]


def test_a_queue_that_is_not_there_is_an_error_of_its_own(cloud: Cloud) -> None:
    """Both the class of the exception and the code say so."""
    with pytest.raises(cloud.sqs.exceptions.QueueDoesNotExist) as caught:
        cloud.sqs.get_queue_url(QueueName="nobody-made-this")
    assert code_of(caught.value) == "AWS.SimpleQueueService.NonExistentQueue"


def test_creating_a_queue_again_gives_the_same_queue(cloud: Cloud) -> None:
    """Other settings are refused."""
    url = cloud.queue(VisibilityTimeout="10")
    name = url.rpartition("/")[2]
    assert cloud.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "10"})["QueueUrl"] == url
    with pytest.raises(ClientError) as caught:
        cloud.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "11"})
    assert code_of(caught.value) == "QueueAlreadyExists"


@pytest.mark.short
def test_a_message_comes_as_it_was_sent(cloud: Cloud) -> None:
    """Body, digest, attributes of the sender and of the queue."""
    url = cloud.queue()
    body = "Größe \U0001f30a <&> \t\n"
    attributes = {
        "colour": {"DataType": "String", "StringValue": "blue"},
        "n": {"DataType": "Number.int", "StringValue": "12"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sent = cloud.sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
    (message,) = cloud.receive(url, AttributeNames=["All"], MessageAttributeNames=["All"])
    assert message["Body"] == body
    assert message["MessageId"] == sent["MessageId"]
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest()
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert message["Attributes"]["SentTimestamp"].isdecimal()


def test_the_digest_of_attributes_is_the_documented_one(cloud: Cloud) -> None:
    """The figure was made by hand from the rule in the developer guide."""
    url = cloud.queue()
    sent = cloud.sqs.send_message(
        QueueUrl=url, MessageBody="x", MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}}
    )
    parts = [b"\0\0\0\1a", b"\0\0\0\6String", b"\1", b"\0\0\0\1b"]
    assert sent["MD5OfMessageAttributes"] == hashlib.md5(b"".join(parts)).hexdigest()


def test_only_the_attributes_asked_for_come(cloud: Cloud) -> None:
    """By name, and by a prefix with an asterisk."""
    url = cloud.queue()
    attributes = {name: {"DataType": "String", "StringValue": name} for name in ("a.x", "a.y", "b")}
    cloud.send(url, "m", MessageAttributes=attributes)
    (one,) = cloud.receive(url, VisibilityTimeout=0, MessageAttributeNames=["b"], MessageSystemAttributeNames=["SentTimestamp"])
    assert set(one["MessageAttributes"]) == {"b"}
    assert set(one["Attributes"]) == {"SentTimestamp"}
    (one,) = cloud.receive(url, VisibilityTimeout=0, MessageAttributeNames=["a.*"])
    assert set(one["MessageAttributes"]) == {"a.x", "a.y"}
    (one,) = cloud.receive(url)
    assert not {"MessageAttributes", "Attributes"} & one.keys()


def test_a_message_is_hidden_while_somebody_has_it(cloud: Cloud) -> None:
    """Received, it is in flight; deleted, it is gone."""
    url = cloud.queue()
    cloud.send(url, "one")
    (message,) = cloud.receive(url)
    assert cloud.receive(url) == []
    assert (cloud.count(url), cloud.count(url, "NotVisible")) == (0, 1)
    cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert (cloud.count(url), cloud.count(url, "NotVisible")) == (0, 0)


def test_a_message_handed_back_comes_again_with_a_new_handle(cloud: Cloud) -> None:
    """Visibility 0 hands it back; the receive count goes up."""
    url = cloud.queue()
    cloud.send(url, "one")
    (first,) = cloud.receive(url)
    cloud.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    (second,) = cloud.receive(url, AttributeNames=["ApproximateReceiveCount"])
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    assert second["ReceiptHandle"] != first["ReceiptHandle"]


def test_deleting_twice_is_no_error(cloud: Cloud) -> None:
    """A message that is gone is deleted already."""
    url = cloud.queue()
    cloud.send(url, "one")
    (message,) = cloud.receive(url)
    for _ in range(2):
        cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


@pytest.mark.short
def test_a_stale_handle_deletes_nothing(cloud: Cloud) -> None:
    """Received anew, a message is deleted by its newest handle only; the old one is accepted and does nothing."""
    url = cloud.queue()
    cloud.send(url, "one")
    (old,) = cloud.receive(url, VisibilityTimeout=0)
    (new,) = cloud.receive(url)
    cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle=old["ReceiptHandle"])
    assert cloud.count(url, "NotVisible") == 1
    cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle=new["ReceiptHandle"])
    assert cloud.count(url, "NotVisible") == 0


def test_a_handle_whose_time_is_over_hides_nothing(cloud: Cloud) -> None:
    """Changing visibility by it is accepted, and the message stays visible."""
    url = cloud.queue()
    cloud.send(url, "one")
    (message,) = cloud.receive(url, VisibilityTimeout=0)
    cloud.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=60)
    assert cloud.bodies(url) == ["one"]


def test_the_visibility_of_a_message_that_is_gone_cannot_be_changed(cloud: Cloud) -> None:
    """It is refused as a bad parameter."""
    url = cloud.queue()
    cloud.send(url, "one")
    (message,) = cloud.receive(url)
    cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    with pytest.raises(ClientError) as caught:
        cloud.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=60)
    assert code_of(caught.value) == "InvalidParameterValue"


def test_a_handle_that_no_queue_gave_out_is_refused(cloud: Cloud) -> None:
    """In a call of its own and in a batch."""
    url = cloud.queue()
    with pytest.raises(ClientError) as caught:
        cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle="made-up")
    assert code_of(caught.value) == "ReceiptHandleIsInvalid"
    told = cloud.sqs.delete_message_batch(QueueUrl=url, Entries=[{"Id": "a", "ReceiptHandle": "made-up"}])
    assert [(one["Id"], one["Code"], one["SenderFault"]) for one in told["Failed"]] == [("a", "ReceiptHandleIsInvalid", True)]


def test_a_batch_has_a_result_for_each_entry(cloud: Cloud) -> None:
    """Sent, received, their visibility changed, and deleted, ten at a time."""
    url = cloud.queue()
    entries = [{"Id": f"e{at}", "MessageBody": f"body {at}"} for at in range(10)]
    told = cloud.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert {one["Id"] for one in told["Successful"]} == {one["Id"] for one in entries}
    found = cloud.receive(url)
    assert {one["Body"] for one in found} == {one["MessageBody"] for one in entries}
    handles = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(found)]
    told = cloud.sqs.change_message_visibility_batch(QueueUrl=url, Entries=[{**one, "VisibilityTimeout": 50} for one in handles])
    assert len(told["Successful"]) == 10
    assert len(cloud.sqs.delete_message_batch(QueueUrl=url, Entries=handles)["Successful"]) == 10


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "EmptyBatchRequest"),
        ([("a", "x")] * 2, "BatchEntryIdsNotDistinct"),
        ([("not good", "x")], "InvalidBatchEntryId"),
        ([(str(at), "x") for at in range(11)], "TooManyEntriesInBatchRequest"),
    ],
    ids=["none", "twice", "id", "many"],
)
def test_a_batch_that_is_none_is_refused(cloud: Cloud, entries: list[tuple[str, str]], code: str) -> None:
    """As a whole, and nothing of it is sent."""
    url = cloud.queue()
    with pytest.raises(ClientError) as caught:
        cloud.sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": one, "MessageBody": body} for one, body in entries])
    assert code_of(caught.value) == f"AWS.SimpleQueueService.{code}"
    assert cloud.count(url) == 0


def test_a_message_of_a_mebibyte_is_taken(cloud: Cloud) -> None:
    """1,048,576 bytes; one more is refused."""
    url = cloud.queue()
    cloud.send(url, "x" * 1_048_576)
    with pytest.raises(ClientError) as caught:
        cloud.send(url, "x" * 1_048_577)
    assert code_of(caught.value) == "InvalidParameterValue"


def test_a_batch_is_at_most_a_mebibyte(cloud: Cloud) -> None:
    """All bodies together."""
    url = cloud.queue()
    entries = [{"Id": str(at), "MessageBody": "x" * 300_000} for at in range(4)]
    with pytest.raises(ClientError) as caught:
        cloud.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert code_of(caught.value) == "AWS.SimpleQueueService.BatchRequestTooLong"
    assert len(cloud.sqs.send_message_batch(QueueUrl=url, Entries=entries[:3])["Successful"]) == 3


def test_a_body_is_characters_of_xml(cloud: Cloud) -> None:
    """Control characters are refused."""
    url = cloud.queue()
    with pytest.raises(ClientError) as caught:
        cloud.send(url, "a\x00b")
    assert code_of(caught.value) == "InvalidMessageContents"


@pytest.mark.parametrize(
    "settings",
    [{"MaxNumberOfMessages": 11}, {"MaxNumberOfMessages": 0}, {"WaitTimeSeconds": 21}, {"VisibilityTimeout": 43_201}],
    ids=lambda one: next(iter(one)),
)
def test_a_receive_has_limits(cloud: Cloud, settings: dict[str, int]) -> None:
    """Ten messages, twenty seconds, twelve hours."""
    url = cloud.queue()
    with pytest.raises(ClientError) as caught:
        cloud.sqs.receive_message(QueueUrl=url, **settings)
    assert code_of(caught.value) == "InvalidParameterValue"


def test_a_message_received_too_often_is_moved(cloud: Cloud) -> None:
    """After two receives, the third finds it in the queue of dead letters, with its id and where it came from."""
    dead = cloud.queue()
    rule = json.dumps({"deadLetterTargetArn": cloud.arn(dead), "maxReceiveCount": 2})
    url = cloud.queue(RedrivePolicy=rule)
    (sent,) = cloud.send(url, "bad")
    assert [cloud.bodies(url, VisibilityTimeout=0) for _ in range(3)] == [["bad"], ["bad"], []]
    (message,) = cloud.receive(dead, AttributeNames=["All"])
    assert message["MessageId"] == sent
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == cloud.arn(url)
    assert cloud.sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]


@pytest.mark.parametrize("target", ["gone", "fifo"])
def test_dead_letters_need_a_queue_of_the_same_type(cloud: Cloud, target: str) -> None:
    """It has to be there first; neither a new queue nor one that is there gets another one."""
    dead = cloud.queue(fifo=target == "fifo")
    rule = json.dumps({"deadLetterTargetArn": cloud.arn(dead) + ("x" if target == "gone" else ""), "maxReceiveCount": 2})
    url = cloud.queue()
    with pytest.raises(ClientError) as caught:
        cloud.queue(RedrivePolicy=rule)
    assert code_of(caught.value) == "InvalidParameterValue"
    with pytest.raises(ClientError) as caught:
        cloud.sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": rule})
    assert code_of(caught.value) == "InvalidParameterValue"
    assert "RedrivePolicy" not in cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


def test_a_group_is_served_in_order_by_one_at_a_time(cloud: Cloud) -> None:
    """While messages of a group are in flight, another receive gets those of other groups."""
    url = cloud.queue(fifo=True, ContentBasedDeduplication="true")
    cloud.send(url, "a1", "a2", "a3", MessageGroupId="a")
    cloud.send(url, "b1", MessageGroupId="b")
    first = cloud.receive(url, 1)
    assert [one["Body"] for one in first] == ["a1"]
    assert cloud.bodies(url) == ["b1"]
    cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
    assert cloud.bodies(url) == ["a2", "a3"]


def test_a_group_goes_on_where_it_was(cloud: Cloud) -> None:
    """What is handed back comes again before what was behind it."""
    url = cloud.queue(fifo=True, ContentBasedDeduplication="true")
    cloud.send(url, "1", "2", "3", MessageGroupId="g")
    held = cloud.receive(url, 2)
    for one in reversed(held):
        cloud.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"], VisibilityTimeout=0)
    assert cloud.bodies(url) == ["1", "2", "3"]


def test_the_same_deduplication_id_is_one_message(cloud: Cloud) -> None:
    """Later ones are accepted and not delivered, even after the first was deleted."""
    url = cloud.queue(fifo=True)
    cloud.send(url, "a", "b", MessageGroupId="g", MessageDeduplicationId="d")
    (message,) = cloud.receive(url)
    assert message["Body"] == "a"
    cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    cloud.send(url, "c", MessageGroupId="g", MessageDeduplicationId="d")
    assert cloud.count(url) == 0


def test_sequence_numbers_grow(cloud: Cloud) -> None:
    """Twenty digits, so that they sort as texts too."""
    url = cloud.queue(fifo=True, ContentBasedDeduplication="true")
    told = [cloud.sqs.send_message(QueueUrl=url, MessageBody=str(at), MessageGroupId="g")["SequenceNumber"] for at in range(3)]
    assert sorted(told) == told
    assert {len(one) for one in told} == {20}


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({}, "MissingParameter"),
        ({"MessageGroupId": "g"}, "InvalidParameterValue"),
        ({"MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 3}, "InvalidParameterValue"),
    ],
    ids=["no-group", "no-id", "delay"],
)
def test_a_fifo_queue_wants_group_and_id(cloud: Cloud, settings: dict[str, object], code: str) -> None:
    """And no delay of a message's own."""
    url = cloud.queue(fifo=True)
    with pytest.raises(ClientError) as caught:
        cloud.send(url, "x", **settings)
    assert code_of(caught.value) == code


def test_a_fifo_message_is_not_deleted_by_a_handle_whose_time_is_over(cloud: Cloud) -> None:
    """A FIFO queue says so; a standard queue deletes by the last handle as long as nobody else received the message."""
    fifo, standard = cloud.queue(fifo=True, ContentBasedDeduplication="true"), cloud.queue()
    cloud.send(fifo, "x", MessageGroupId="g")
    cloud.send(standard, "x")
    (one,) = cloud.receive(fifo, VisibilityTimeout=0)
    with pytest.raises(ClientError) as caught:
        cloud.sqs.delete_message(QueueUrl=fifo, ReceiptHandle=one["ReceiptHandle"])
    assert code_of(caught.value) == "InvalidParameterValue"
    (one,) = cloud.receive(standard, VisibilityTimeout=0)
    cloud.sqs.delete_message(QueueUrl=standard, ReceiptHandle=one["ReceiptHandle"])
    assert cloud.count(standard) == 0


def test_the_name_of_a_fifo_queue_ends_so(cloud: Cloud) -> None:
    """And no other queue's does."""
    with pytest.raises(ClientError) as caught:
        cloud.sqs.create_queue(QueueName="plain", Attributes={"FifoQueue": "true"})
    assert code_of(caught.value) == "InvalidParameterValue"


def test_purging_empties_a_queue(cloud: Cloud) -> None:
    """Also of what is in flight; a second purge within a minute is refused."""
    url = cloud.queue()
    cloud.send(url, "a", "b")
    cloud.receive(url, 1)
    cloud.sqs.purge_queue(QueueUrl=url)
    assert (cloud.count(url), cloud.count(url, "NotVisible")) == (0, 0)
    with pytest.raises(cloud.sqs.exceptions.PurgeQueueInProgress):
        cloud.sqs.purge_queue(QueueUrl=url)


def test_a_name_is_not_free_at_once(cloud: Cloud) -> None:
    """A queue is made anew a minute after its deletion at the earliest."""
    url = cloud.queue()
    cloud.sqs.delete_queue(QueueUrl=url)
    with pytest.raises(cloud.sqs.exceptions.QueueDeletedRecently):
        cloud.sqs.create_queue(QueueName=url.rpartition("/")[2])


def test_settings_and_tags_are_kept(cloud: Cloud) -> None:
    """Those of creation and those set later."""
    url = cloud.queue(DelaySeconds="3")
    cloud.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "77"})
    told = cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds", "VisibilityTimeout"])["Attributes"]
    assert told == {"DelaySeconds": "3", "VisibilityTimeout": "77"}
    cloud.sqs.tag_queue(QueueUrl=url, Tags={"team": "data", "x": "y"})
    cloud.sqs.untag_queue(QueueUrl=url, TagKeys=["x"])
    assert cloud.sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "data"}


def test_a_delayed_message_is_not_seen_yet(cloud: Cloud) -> None:
    """It is counted as delayed."""
    url = cloud.queue()
    cloud.send(url, "later", DelaySeconds=60)
    assert cloud.receive(url) == []
    assert (cloud.count(url), cloud.count(url, "Delayed")) == (0, 1)


def test_binary_attributes_are_bytes(cloud: Cloud) -> None:
    """What looks like base64 is not decoded twice."""
    url = cloud.queue()
    value = base64.b64encode(b"twice")
    cloud.send(url, "x", MessageAttributes={"b": {"DataType": "Binary", "BinaryValue": value}})
    (one,) = cloud.receive(url, MessageAttributeNames=["b"], WaitTimeSeconds=2)
    assert one["MessageAttributes"]["b"]["BinaryValue"] == value


def test_an_endless_extension_is_refused(cloud: Cloud) -> None:
    """Twelve hours from the receive, all extensions together."""
    url = cloud.queue()
    cloud.send(url, "x")
    (one,) = cloud.receive(url)
    with pytest.raises(ClientError) as caught:
        cloud.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"], VisibilityTimeout=43_201)
    assert code_of(caught.value) == "InvalidParameterValue"
