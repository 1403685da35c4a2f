"""Laws of time: what becomes visible when, on a clock that the test moves."""

from __future__ import annotations

import threading

import pytest
from botocore.exceptions import ClientError
from tests.testing.aws.cloud import Cloud

from halocline.testing.aws import FakeAWS

Fresh = tuple[FakeAWS, Cloud]


@pytest.fixture
def frozen(fresh: Fresh) -> Fresh:
    fresh[0].clock.freeze()
    return fresh


def test_a_visibility_timeout_ends_on_the_second(frozen: Fresh) -> None:
    """Not before; extended, it counts from the extension."""
    aws, cloud = frozen
    url = cloud.queue(VisibilityTimeout="30")
    cloud.send(url, "x")
    (one,) = cloud.receive(url)
    aws.clock.advance(20)
    cloud.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"], VisibilityTimeout=30)
    aws.clock.advance(29)
    assert cloud.bodies(url) == []
    aws.clock.advance(1)
    assert cloud.bodies(url) == ["x"]


def test_extensions_end_after_twelve_hours(frozen: Fresh) -> None:
    """All together, from the receive."""
    aws, cloud = frozen
    url = cloud.queue()
    cloud.send(url, "x")
    (one,) = cloud.receive(url, VisibilityTimeout=43_200)
    aws.clock.advance(3_600)
    handle = one["ReceiptHandle"]
    cloud.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=39_600)
    with pytest.raises(ClientError, match="beyond the limit"):
        cloud.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=39_601)


def test_a_delay_ends_on_the_second(frozen: Fresh) -> None:
    """The queue's own, or the message's."""
    aws, cloud = frozen
    url = cloud.queue(DelaySeconds="5")
    cloud.send(url, "five")
    cloud.send(url, "nine", DelaySeconds=9)
    assert aws.counts(url.rpartition("/")[2]).delayed == 2
    aws.clock.advance(5)
    assert cloud.bodies(url) == ["five"]
    aws.clock.advance(4)
    assert cloud.bodies(url) == ["nine"]


def test_messages_are_not_kept_for_ever(frozen: Fresh) -> None:
    """A dead letter of a standard queue keeps the time at which it was sent, so it goes sooner."""
    aws, cloud = frozen
    dead = cloud.queue(MessageRetentionPeriod="100")
    rule = f'{{"deadLetterTargetArn": "{cloud.arn(dead)}", "maxReceiveCount": "1"}}'
    url = cloud.queue(MessageRetentionPeriod="100", RedrivePolicy=rule)
    cloud.send(url, "a", "b")
    aws.clock.advance(60)
    assert len(cloud.receive(url, VisibilityTimeout=0)) == 2
    assert cloud.receive(url) == []
    assert aws.counts(dead.rpartition("/")[2]).visible == 2
    aws.clock.advance(40)
    assert cloud.receive(dead) == []
    assert aws.counts(dead.rpartition("/")[2]).visible == 0


def test_deduplication_ends_after_five_minutes(frozen: Fresh) -> None:
    """Then the same id is another message."""
    aws, cloud = frozen
    url = cloud.queue(fifo=True)
    settings = {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
    cloud.send(url, "first", **settings)
    aws.clock.advance(299)
    cloud.send(url, "second", **settings)
    aws.clock.advance(1)
    cloud.send(url, "third", **settings)
    assert cloud.bodies(url) == ["first", "third"]


def test_deduplication_can_be_by_group(frozen: Fresh) -> None:
    """A queue of high throughput takes the same id in two groups."""
    _, cloud = frozen
    url = cloud.queue(fifo=True, DeduplicationScope="messageGroup", FifoThroughputLimit="perMessageGroupId")
    for group in "aba":
        cloud.send(url, group, MessageGroupId=group, MessageDeduplicationId="d")
    assert sorted(cloud.bodies(url)) == ["a", "b"]


def test_a_group_waits_for_its_timeout(frozen: Fresh) -> None:
    """A consumer that died holds its group until the visibility time-out, and no longer."""
    aws, cloud = frozen
    url = cloud.queue(fifo=True, ContentBasedDeduplication="true", VisibilityTimeout="30")
    cloud.send(url, "1", "2", MessageGroupId="g")
    assert [one["Body"] for one in cloud.receive(url, 1)] == ["1"]
    assert cloud.receive(url) == []
    aws.clock.advance(30)
    assert cloud.bodies(url) == ["1", "2"]


def test_a_dead_letter_frees_its_group(frozen: Fresh) -> None:
    """The messages behind it go on, in the same receive."""
    _, cloud = frozen
    dead = cloud.queue(fifo=True)
    rule = f'{{"deadLetterTargetArn": "{cloud.arn(dead)}", "maxReceiveCount": 1}}'
    url = cloud.queue(fifo=True, ContentBasedDeduplication="true", RedrivePolicy=rule)
    cloud.send(url, "bad", "good", MessageGroupId="g")
    (bad,) = cloud.receive(url, 1)
    cloud.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=bad["ReceiptHandle"], VisibilityTimeout=0)
    assert cloud.bodies(url) == ["good"]
    assert cloud.bodies(dead) == ["bad"]


def test_a_long_poll_ends_with_a_message(fresh: Fresh) -> None:
    """Sent while it waits, it comes at once: the twenty seconds are not over."""
    aws, cloud = fresh
    url = cloud.queue()
    found: list[str] = []
    poll = threading.Thread(target=lambda: found.extend(cloud.bodies(url, WaitTimeSeconds=20)))
    poll.start()
    while not aws.calls.count("sqs.ReceiveMessage"):
        pass
    cloud.client("sqs").send_message(QueueUrl=url, MessageBody="now")
    poll.join(15)
    assert found == ["now"]


@pytest.mark.parametrize("seconds", [5, 20], ids=["a message's time", "its own time"])
def test_a_long_poll_ends_by_the_clock(frozen: Fresh, seconds: int) -> None:
    """When a message becomes visible, or when its own seconds are over; time that stands still does not end it."""
    aws, cloud = frozen
    url = cloud.queue()
    cloud.send(url, "later", DelaySeconds=5 if seconds == 5 else 900)
    found: list[list[str]] = []
    poll = threading.Thread(target=lambda: found.append(cloud.bodies(url, WaitTimeSeconds=20)))
    poll.start()
    while not aws.calls.count("sqs.ReceiveMessage"):
        pass
    aws.counts(url.rpartition("/")[2])  # answered once the poll, which was counted first, has read the clock
    aws.clock.advance(seconds - 1)
    assert found == []
    aws.clock.advance(1)
    poll.join(20)
    assert found == ([["later"]] if seconds == 5 else [[]])


def test_a_long_poll_ends_by_real_time(fresh: Fresh) -> None:
    """A clock that runs ends it without help, as does a visibility time-out."""
    _, cloud = fresh
    url = cloud.queue(ReceiveMessageWaitTimeSeconds="1")
    assert cloud.receive(url) == []
    cloud.send(url, "x")
    cloud.receive(url, VisibilityTimeout=1)
    assert cloud.bodies(url, WaitTimeSeconds=20) == ["x"]


def test_who_hangs_up_gets_no_message(fresh: Fresh) -> None:
    """A poll whose client is gone takes nothing out of the queue."""
    aws, cloud = fresh
    url = cloud.queue()
    lines = len(aws._open_ones)
    with pytest.raises(Exception, match="Read timeout"):
        cloud.client("sqs", read_timeout=0.2).receive_message(QueueUrl=url, WaitTimeSeconds=20)
    while len(aws._open_ones) > lines:  # until the server has heard of it
        pass
    cloud.send(url, "x")
    assert aws.counts(url.rpartition("/")[2]).visible == 1


def test_the_clock_goes_forward_only() -> None:
    """And stands still where it is told to."""
    clock = FakeAWS().clock
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)
    clock.freeze()
    moment = clock.now()
    clock.advance(1.5)
    assert clock.now() == moment + 1.5
