"""Laws of message move tasks on our server; moto has none to compare with."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from halocline.testing.aws import FakeAWS


@pytest.fixture
def sqs(aws: FakeAWS) -> Any:
    return boto3.client("sqs")


def made(sqs: Any, name: str, dead_letters: str = "", **attributes: str) -> tuple[str, str]:
    """URL and ARN of a new queue, whose policy moves what was received once."""
    if dead_letters:
        attributes["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": dead_letters, "maxReceiveCount": 1})
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def buried(sqs: Any, url: str, **more: str) -> None:
    """A message that the queue's policy moved away."""
    sqs.send_message(QueueUrl=url, MessageBody="x", **more)
    for _ in range(2):
        sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)


@pytest.mark.parametrize("end", ["", ".fifo"])
def test_a_message_goes_back_to_the_queue_that_it_came_from(sqs: Any, aws: FakeAWS, end: str) -> None:
    """As a new one: with another id, and no receives; the task says how many, and is over."""
    kind = {"FifoQueue": "true"} if end else {}
    more = {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if end else {}
    _, dead = made(sqs, f"dead{end}", **kind)
    for name in ("a", "b"):
        url, _ = made(sqs, f"{name}{end}", dead, **kind)
        buried(sqs, url, **more)
    before = {one.id for one in aws.messages(f"dead{end}")}
    sqs.start_message_move_task(SourceArn=dead)
    (task,) = sqs.list_message_move_tasks(SourceArn=dead)["Results"]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"], task["ApproximateNumberOfMessagesToMove"]) == (
        "COMPLETED",
        2,
        2,
    )
    back = [one for name in ("a", "b") for one in aws.messages(f"{name}{end}")]
    assert (len(back), before & {one.id for one in back}, {one.receives for one in back}) == (2, set(), {0})
    assert aws.counts(f"dead{end}").visible == 0


def test_a_message_without_an_origin_stays_unless_a_target_is_named(sqs: Any, aws: FakeAWS) -> None:
    """The task fails with its reason; with a target it moves all."""
    url, dead = made(sqs, "dead")
    made(sqs, "a", dead)
    _, other = made(sqs, "other")
    sqs.send_message(QueueUrl=url, MessageBody="by hand")
    sqs.start_message_move_task(SourceArn=dead)
    (task,) = sqs.list_message_move_tasks(SourceArn=dead)["Results"]
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "CouldNotDetermineMessageSource")
    assert aws.counts("dead").visible == 1
    sqs.start_message_move_task(SourceArn=dead, DestinationArn=other)
    newest, _ = sqs.list_message_move_tasks(SourceArn=dead, MaxResults=10)["Results"]
    assert (newest["Status"], newest["DestinationArn"], aws.counts("other").visible) == ("COMPLETED", other, 1)


def test_only_a_dead_letter_queue_is_moved(sqs: Any) -> None:
    """A queue that is nobody's, one that is not there, and a task that is not running are refused."""
    _, plain = made(sqs, "plain")
    refused = [
        (lambda: sqs.start_message_move_task(SourceArn=plain), "UnsupportedOperation"),
        (lambda: sqs.start_message_move_task(SourceArn=plain + "x"), "ResourceNotFoundException"),
        (lambda: sqs.list_message_move_tasks(SourceArn=plain + "x"), "ResourceNotFoundException"),
        (lambda: sqs.cancel_message_move_task(TaskHandle="x"), "ResourceNotFoundException"),
    ]
    for call, code in refused:
        with pytest.raises(ClientError, match=code):
            call()
