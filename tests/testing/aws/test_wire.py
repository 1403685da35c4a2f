"""Laws of the wire: forms of requests that today's boto3 does not send, as other clients do."""

from __future__ import annotations

import hashlib
import json
import socket
import urllib.error
import urllib.parse
import urllib.request
import zlib
from base64 import b64encode
from contextlib import suppress
from xml.etree import ElementTree as ET

import boto3
import pytest
from tests.testing.aws.cloud import Cloud

from halocline.testing.aws import FakeAWS
from halocline.testing.aws.chunks import Chunks

QUEUES = "{http://queue.amazonaws.com/doc/2012-11-05/}"


def form(url: str, action: str, **params: str) -> ET.Element:
    """A call in the query protocol, as botocore before 1.31.81 makes it; parameters with `_` for `.` in their names."""
    fields = {"Action": action, "Version": "2012-11-05", **{name.replace("_", "."): value for name, value in params.items()}}
    try:
        with urllib.request.urlopen(url, data=urllib.parse.urlencode(fields).encode()) as answer:
            return ET.fromstring(answer.read())
    except urllib.error.HTTPError as error:
        return ET.fromstring(error.read())


def texts(root: ET.Element, name: str) -> list[str]:
    return [one.text or "" for one in root.iter(f"{QUEUES}{name}")]


def talk(url: str, *pieces: bytes) -> bytes:
    """Send these pieces one after the other on one connection, which the last asks to close, and return all that came."""
    return listen(url, *pieces, is_ended=True)


def listen(url: str, *pieces: bytes, is_ended: bool = False) -> bytes:
    """The same on a connection that the server has to close, unless `is_ended`.
    Raises: TimeoutError if it does not.
    """
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as line:
        for piece in pieces:
            line.sendall(piece)
        if is_ended:
            line.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: line.recv(65536), b""))


def test_old_clients_are_understood(fake: FakeAWS, ours: Cloud) -> None:
    """The query protocol of SQS: the same queue, its answers in XML, the queue named by the path."""
    (url,) = texts(
        form(fake.url, "CreateQueue", QueueName="old-clients", Attribute_1_Name="VisibilityTimeout", Attribute_1_Value="9"),
        "QueueUrl",
    )
    attribute = {
        "MessageAttribute_1_Name": "a",
        "MessageAttribute_1_Value_DataType": "String",
        "MessageAttribute_1_Value_StringValue": "x",
    }
    sent = form(url, "SendMessage", MessageBody="é<&>\r\n", **attribute)
    assert texts(sent, "MD5OfMessageBody") == [hashlib.md5("é<&>\r\n".encode()).hexdigest()]
    batch = {
        f"SendMessageBatchRequestEntry_{at}_{name}": value
        for at in (1, 2)
        for name, value in (("Id", f"e{at}"), ("MessageBody", f"b{at}"))
    }
    told = form(url, "SendMessageBatch", **batch)
    assert [one.findtext(f"{QUEUES}Id") for one in told.iter(f"{QUEUES}SendMessageBatchResultEntry")] == ["e1", "e2"]
    asked = {"MaxNumberOfMessages": "10", "AttributeName_1": "All", "MessageAttributeName_1": "All"}
    found = form(url, "ReceiveMessage", **asked)
    assert texts(found, "Body") == ["é<&>\r\n", "b1", "b2"]
    assert texts(found, "StringValue") == ["x"]
    handles = {
        f"DeleteMessageBatchRequestEntry_{at}_{name}": value
        for at, handle in enumerate([*texts(found, "ReceiptHandle"), "bad"])
        for name, value in (("Id", str(at)), ("ReceiptHandle", handle))
    }
    told = form(url, "DeleteMessageBatch", **handles)
    assert texts(told, "Id") == ["0", "1", "2", "3"]
    assert texts(told, "Code") == ["ReceiptHandleIsInvalid"]
    told = form(url, "GetQueueAttributes", AttributeName_1="VisibilityTimeout")
    assert (texts(told, "Name"), texts(told, "Value")) == (["VisibilityTimeout"], ["9"])
    assert ours.count(url, "NotVisible") == 0


def test_old_clients_are_refused_in_their_words(fake: FakeAWS) -> None:
    """A queue that is not there, and a call that is none."""
    assert texts(form(fake.url, "GetQueueUrl", QueueName="nobody"), "Code") == ["AWS.SimpleQueueService.NonExistentQueue"]
    assert texts(form(fake.url, "Dance"), "Code") == ["AWS.SimpleQueueService.UnsupportedOperation"]


@pytest.mark.parametrize("ending", [b"1.1\r\nConnection: Close", b"1.0"])
def test_a_line_ends_with_the_answer_for_who_asks_so(fake: FakeAWS, ours: Cloud, ending: bytes) -> None:
    """Such a client may read until it ends; the answer is whole, short or long, and so was the request."""
    bucket = ours.bucket().encode()
    for size in (2, 3_000_000):
        head = b"PUT /%s/k HTTP/%s\r\nContent-Length: %d\r\n\r\n" % (bucket, ending, size)
        assert listen(fake.url, head, b"x", b"x" * (size - 1)).startswith(b"HTTP/1.1 200 OK")
        got = listen(fake.url, b"GET /%s/k HTTP/%s\r\n\r\n" % (bucket, ending))
        assert got.partition(b"\r\n\r\n")[2] == b"x" * size


def test_an_object_may_be_called_a_form(fake: FakeAWS, ours: Cloud) -> None:
    """As urllib and `curl --data-binary` call whatever they PUT, at addresses that were signed for it too."""
    bucket = ours.bucket()
    address = ours.s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    for url in (address, f"{fake.url}/{bucket}/k"):
        with urllib.request.urlopen(urllib.request.Request(url, data=b"Action=Publish", method="PUT")) as answer:
            assert answer.status == 200
        assert ours.read(bucket, "k") == b"Action=Publish"
        ours.s3.delete_object(Bucket=bucket, Key="k")


def test_requests_on_one_line_are_answered_in_order(fake: FakeAWS, ours: Cloud) -> None:
    """Also when the second came before the first was answered, and in pieces that end anywhere."""
    bucket = ours.bucket()
    requests = b"".join(
        b"PUT /%s/%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n%02d" % (bucket.encode(), at, at) for at in range(5)
    )
    requests += b"GET /%s/3 HTTP/1.1\r\nHost: x\r\n\r\n" % bucket.encode()
    answer = talk(fake.url, *(requests[at : at + 7] for at in range(0, len(requests), 7)))
    assert answer.count(b"HTTP/1.1 200 OK") == 6
    assert answer.endswith(b"\r\n\r\n03")


def test_signed_chunks_are_taken_apart(fake: FakeAWS, ours: Cloud) -> None:
    """What other SDKs send: chunks with signatures, a checksum behind them; or HTTP's own chunks."""
    bucket = ours.bucket().encode()
    chunks = b"4;chunk-signature=abc\r\nwxyz\r\n1;chunk-signature=def\r\n!\r\n0;chunk-signature=0\r\n"
    chunks += b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    coded = b"Content-Encoding: aws-chunked\r\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n"
    head = b"PUT /%s/k HTTP/1.1\r\nHost: x\r\n" + coded
    answer = talk(fake.url, head % bucket + b"Content-Length: %d\r\n\r\n" % len(chunks), chunks)
    assert b"BadDigest" in answer

    good = chunks.replace(b"AAAAAA==", b64encode(zlib.crc32(b"wxyz!").to_bytes(4, "big")))
    assert b"200 OK" in talk(fake.url, head % bucket + b"Content-Length: %d\r\n\r\n" % len(good), good)
    assert ours.read(bucket.decode(), "k") == b"wxyz!"
    assert "ContentEncoding" not in ours.s3.head_object(Bucket=bucket.decode(), Key="k")
    plain = b"PUT /%s/h HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" % bucket
    assert talk(fake.url, plain + plain).count(b"200 OK") == 2
    assert ours.read(bucket.decode(), "h") == b"abc"


def test_chunks_may_end_anywhere() -> None:
    """The payload is the same, however the bytes come."""
    whole = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\na: b\r\n\r\nrest"
    for step in (1, 2, 3, 100):
        chunks, payload = Chunks(), b""
        for at in range(0, len(whole), step):
            payload += chunks.feed(whole[at : at + step])
        assert (payload, chunks.done, chunks.trailers) == (b"hello world", True, {"a": "b"})
    assert chunks.rest == b"rest"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"PUT /b/k HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnothex\r\n",
        b"GET / HTTP/1.1\r\n" + b"x" * 70_000,
        b"PUT /b/k HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"PUT /b/k HTTP/1.1\r\nContent-Length: -2\r\n\r\nabcd",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["chunk", "head", "length", "less than nothing", "TLS"],
)
def test_what_is_no_http_ends_the_line(fake: FakeAWS, request_bytes: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is answered or logged, and the server goes on."""
    with suppress(ConnectionError):
        assert listen(fake.url, request_bytes) == b""
    assert caplog.messages == []
    assert talk(fake.url, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("target", "body", "code"),
    [
        ("AmazonSQS.SendMessage", "no json", "SerializationException"),
        ("AmazonSQS.SendMessage", "[]", "SerializationException"),
        ("AmazonSQS.SendMessage", "{}", "MissingParameter"),
        ("AmazonSQS.Dance", "{}", "UnsupportedOperation"),
        ("secretsmanager.Dance", "{}", "UnknownOperationException"),
    ],
)
def test_a_call_that_is_none_is_refused(fake: FakeAWS, target: str, body: str, code: str) -> None:
    """With a reason, and not by a broken line."""
    call = urllib.request.Request(fake.url, data=body.encode(), headers={"X-Amz-Target": target})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(call)
    assert code in json.loads(caught.value.read())["__type"]


def test_who_one_is_depends_on_the_key(ours: Cloud) -> None:
    """After AssumeRole one is the role; the keys that it gave work like any others."""
    sts = ours.client("sts")
    role = "arn:aws:iam::123456789012:role/loader"
    granted = sts.assume_role(RoleArn=role, RoleSessionName="night")["Credentials"]
    assert sts.get_caller_identity()["Arn"].endswith(":user/halocline")

    session = boto3.session.Session(granted["AccessKeyId"], granted["SecretAccessKey"], granted["SessionToken"], "eu-west-1")
    assumed = session.client("sts", endpoint_url=ours.url)
    assert assumed.get_caller_identity()["Arn"] == "arn:aws:sts::123456789012:assumed-role/loader/night"


def test_a_secret_has_a_current_and_a_previous_value(ours: Cloud) -> None:
    """By name or ARN; one that is not there is an error of its own."""
    store = ours.client("secretsmanager")
    arn = store.create_secret(Name="crm/login", SecretString="one")["ARN"]
    store.put_secret_value(SecretId="crm/login", SecretString="two")
    assert store.get_secret_value(SecretId=arn)["SecretString"] == "two"
    assert store.get_secret_value(SecretId="crm/login", VersionStage="AWSPREVIOUS")["SecretString"] == "one"
    with pytest.raises(store.exceptions.ResourceExistsException):
        store.create_secret(Name="crm/login", SecretString="x")
    store.delete_secret(SecretId="crm/login", ForceDeleteWithoutRecovery=True)
    with pytest.raises(store.exceptions.ResourceNotFoundException):
        store.get_secret_value(SecretId="crm/login")
