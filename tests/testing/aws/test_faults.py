"""Laws of faults: what a rule says happens, where it says, as often as it says, and nothing else."""

from __future__ import annotations

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError, ResponseStreamingError
from tests.testing.aws.cloud import Cloud, code_of

from halocline.testing.aws import FakeAWS

Fresh = tuple[FakeAWS, Cloud]


def test_a_throttled_call_does_nothing(fresh: Fresh) -> None:
    """Each service in its own words; boto3 tries again, and then it is done once."""
    aws, cloud = fresh
    url, bucket, topic = cloud.queue(), cloud.bucket(), cloud.topic()
    for service, call, code in (
        ("sqs", lambda one: one.send_message(QueueUrl=url, MessageBody="x"), "RequestThrottled"),
        ("s3", lambda one: one.put_object(Bucket=bucket, Key="k", Body=b""), "SlowDown"),
        ("sns", lambda one: one.publish(TopicArn=topic, Message="x"), "Throttling"),
    ):
        aws.faults.add("throttle", service=service)
        with pytest.raises(ClientError) as caught:
            call(cloud.client(service))
        assert code_of(caught.value) == code
        aws.faults.add("throttle", service=service)
        call(cloud.client(service, retries={"total_max_attempts": 2, "mode": "standard"}))
    assert aws.counts(url.rpartition("/")[2]).visible == 1


def test_a_lost_reply_is_lost_after_the_work(fresh: Fresh) -> None:
    """Who tries again does it twice, where the service cannot know."""
    aws, cloud = fresh
    url = cloud.queue()
    name = url.rpartition("/")[2]
    rule = aws.faults.add("lose_reply", operation="SendMessage")
    with pytest.raises(ConnectionClosedError):
        cloud.send(url, "x")
    assert aws.counts(name).visible == 1
    aws.faults.add("cut", operation="SendMessage")
    with pytest.raises(ConnectionClosedError):
        cloud.send(url, "x")
    assert aws.counts(name).visible == 1
    assert aws.faults.counters(rule) == {"seen": 2, "struck": 1}


def test_an_error_comes_before_or_after_the_work(fresh: Fresh) -> None:
    """The status is the same, what was done is not."""
    aws, cloud = fresh
    bucket = cloud.bucket()
    for where, action, status in (("before", "server_error", 500), ("after", "unavailable", 503)):
        aws.faults.add(action, operation="PutObject", where=where)
        with pytest.raises(ClientError) as caught:
            cloud.s3.put_object(Bucket=bucket, Key=where, Body=b"")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert cloud.keys(bucket) == ["after"]


def test_a_download_can_be_cut(fresh: Fresh) -> None:
    """After so many bytes of the body."""
    aws, cloud = fresh
    bucket = cloud.bucket()
    cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    aws.faults.add("cut", operation="GetObject", where="during", bytes=4)
    body = cloud.s3.get_object(Bucket=bucket, Key="k")["Body"]
    with pytest.raises(ResponseStreamingError):
        body.read()
    assert cloud.read(bucket, "k") == b"0123456789"


def test_entries_of_a_batch_fail_alone(fresh: Fresh) -> None:
    """The last ones, or all; the others are done. Objects of a delete are entries too."""
    aws, cloud = fresh
    url, bucket, topic = cloud.queue(), cloud.bucket(), cloud.topic()
    aws.faults.add("fail_entries", operation="SendMessageBatch", entries=2)
    entries = [{"Id": str(at), "MessageBody": "x"} for at in range(5)]
    told = cloud.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert [one["Id"] for one in told["Failed"]] == ["3", "4"]
    assert not told["Failed"][0]["SenderFault"]
    assert cloud.count(url) == 3
    aws.faults.add("fail_entries", operation="PublishBatch", entries=0)
    told = cloud.sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[{"Id": "a", "Message": "x"}])
    assert [one["Id"] for one in told["Failed"]] == ["a"]
    for key in "ab":
        cloud.s3.put_object(Bucket=bucket, Key=key, Body=b"")
    aws.faults.add("fail_entries", operation="DeleteObjects")
    told = cloud.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}]})
    assert [one["Key"] for one in told["Errors"]] == ["b"]
    assert cloud.keys(bucket) == ["b"]


def test_deliveries_are_dropped_doubled_and_late(fresh: Fresh) -> None:
    """Whoever sends: the sender is told that it is sent. What is doubled has one id and two handles."""
    aws, cloud = fresh
    url, topic = cloud.queue(), cloud.topic()
    cloud.subscribe(topic, url, RawMessageDelivery="true")
    name = url.rpartition("/")[2]
    aws.faults.add("drop", resource=name)
    cloud.sns.publish(TopicArn=topic, Message="dropped")
    aws.faults.add("late", resource=name, seconds=60)
    cloud.send(url, "late")
    assert cloud.bodies(url) == []
    aws.clock.advance(60)
    assert cloud.bodies(url) == ["late"]
    aws.faults.add("duplicate", operation="delivery")
    cloud.send(url, "twice")
    first, second = cloud.receive(url)
    assert first["MessageId"] == second["MessageId"]
    assert first["ReceiptHandle"] != second["ReceiptHandle"]


def test_a_delayed_answer_is_waited_for(fresh: Fresh) -> None:
    """A client that has no patience gives up; before the work, nothing was done by then."""
    aws, cloud = fresh
    url = cloud.queue()
    aws.faults.add("delay", operation="SendMessage", seconds=30)
    with pytest.raises(ReadTimeoutError):
        cloud.client("sqs", read_timeout=0.2).send_message(QueueUrl=url, MessageBody="x")
    assert aws.counts(url.rpartition("/")[2]).visible == 0
    aws.faults.add("delay", operation="SendMessage", seconds=0.01, where="after")
    cloud.send(url, "y")


def test_any_refusal_can_be_had(fresh: Fresh) -> None:
    """By its code."""
    aws, cloud = fresh
    bucket = cloud.bucket()
    aws.faults.add_text("refuse: service=s3 operation=GetObject resource=/secret code=AccessDenied status=403 times=2")
    for key in ("open", "secret/a"):
        cloud.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert cloud.read(bucket, "open") == b"x"
    with pytest.raises(ClientError) as caught:
        cloud.read(bucket, "secret/a")
    assert code_of(caught.value) == "AccessDenied"


def test_rules_strike_when_they_say(fresh: Fresh) -> None:
    """From the nth on, every so many, so many times; dice fall the same each time."""
    aws, cloud = fresh
    url = cloud.queue()

    def struck(**settings: object) -> str:
        aws.faults.clear()
        rule = aws.faults.add("throttle", operation="SendMessage", **settings)
        seen = ""
        for _ in range(8):
            try:
                cloud.send(url, "x")
                seen += "."
            except ClientError:
                seen += "x"
        assert aws.faults.counters(rule) == {"seen": 8, "struck": seen.count("x")}
        return seen

    assert struck() == "x......."
    assert struck(nth=3) == "..x....."
    assert struck(nth=2, times=2) == ".xx....."
    assert struck(every=3) == "x..x..x."
    assert struck(every=3, nth=2, times=1) == ".x......"
    assert struck(probability=0.5, seed=4) == struck(probability=0.5, seed=4)
    assert [one.action for one in aws.faults] == ["throttle"]
    aws.faults.remove(next(iter(aws.faults)).id)
    assert list(aws.faults) == []


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("explode", "unknown action"),
        ("throttle: color=red", "no setting color"),
        ("throttle: service=dynamo", "known are sqs, sns, s3"),
        ("throttle: resource=(", "regular expression"),
        ("throttle: probability=2", "at most 1"),
        ("throttle: nth=0", "1 or more"),
        ("cut: where=never", "before, during or after"),
        ("delay: seconds=-1", "0 or more"),
        ("throttle: nth", "NAME"),
        ("throttle: operation=SendMesage", r"no service has an operation 'SendMesage'; did you mean SendMessage"),
        ("throttle: service=s3 operation=SendMessage", "s3 has no operation 'SendMessage'; there are AbortMultipartUpload, "),
        ("drop: operation=SendMessage", "drop strikes messages on their way into a queue .*, and never SendMessage"),
        ("late: service=s3", "never s3"),
        ("throttle: operation=delivery", "throttle strikes requests .*, and never delivery"),
        ("fail_entries: operation=ReceiveMessage", "fail_entries strikes requests with entries .*, and never ReceiveMessage"),
        ("fail_entries: service=sts", "never sts"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(rule: str, words: str) -> None:
    """When it is made, with the reason."""
    with pytest.raises(ValueError, match=words):
        FakeAWS().faults.add_text(rule)


@pytest.mark.parametrize(
    "rule",
    [
        "drop: service=sqs",
        "fail_entries: service=dynamodb",
        "refuse: service=s3 operation=PutBucketPolicy",
        "refuse: operation=DeleteObjects",
        "delay: operation=AssumeRole",
        "throttle: service=dynamodbstreams operation=GetRecords",
    ],
)
def test_what_the_server_can_be_asked_can_go_wrong(rule: str) -> None:
    """By the names that it knows itself."""
    assert FakeAWS().faults.add_text(rule) == "f1"


def test_calls_are_counted(fresh: Fresh) -> None:
    """By service and operation, those that failed too."""
    aws, cloud = fresh
    url = cloud.queue()
    aws.faults.add("throttle", operation="SendMessage")
    with pytest.raises(ClientError):
        cloud.send(url, "x")
    cloud.send(url, "x")
    assert (aws.calls.count("sqs.SendMessage"), aws.calls.count("sqs.*"), aws.calls.count()) == (2, 3, 3)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("sqs.RecieveMessage", r"did you mean sqs\.ReceiveMessage"),
        ("GetObject", r"did you mean s3\.GetObject\?"),
        ("dynamodb.getitem", r"did you mean dynamodb\.GetItem\?"),
        ("*.GetObjekt", r"did you mean s3\.GetObject or"),
        ("banana.*", "services are sqs, sns, s3"),
    ],
)
def test_a_kind_that_no_call_has_is_refused(kind: str, told: str) -> None:
    """A count of 0 would let a test pass for nothing."""
    with pytest.raises(ValueError, match=told):
        FakeAWS().calls.count(kind)


@pytest.mark.parametrize("service", ["sqs", "sns", "s3", "sts", "secretsmanager", "dynamodb", "dynamodbstreams"])
def test_no_call_of_aws_is_taken_for_a_misspelt_one(service: str) -> None:
    """Whether it is served here or not, as boto3 knows them."""
    aws, names = FakeAWS(), boto3.client(service, region_name="us-east-1").meta.service_model.operation_names
    assert [aws.calls.count(f"{service}.{name}") for name in names] == [0] * len(names)


def test_what_is_not_served_is_counted_all_the_same(fresh: Fresh) -> None:
    """That it was never asked is a law of its own."""
    aws, cloud = fresh
    assert aws.calls.count("sqs.AddPermission") == 0
    with pytest.raises(ClientError):
        cloud.sqs.add_permission(QueueUrl=cloud.queue(), Label="x", AWSAccountIds=["1"], Actions=["*"])
    assert aws.calls.count("sqs.AddPermission") == 1
