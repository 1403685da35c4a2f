"""Laws of our own calls: signed as boto3 signs, and told as boto3 tells."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from moto import mock_aws
from tests.connectors.aws.servers import fake

from halocline import SQSQueue
from halocline.connectors.aws import Access
from halocline.connectors.aws.session import Session
from halocline.connectors.aws.wire import Wire, _read
from halocline.errors import LoginRefused, NetworkFailed, NotFound, RetryLater, Stop
from halocline.retry import Pace, Policy
from halocline.testing.aws import FakeAWS


@pytest.fixture(scope="module", autouse=True)
def running() -> Iterator[FakeAWS]:
    with fake() as server:
        yield server


class Answer:
    """What a server would have answered."""

    def __init__(self, status: int, content: bytes = b"{}", headers: dict[str, str] | None = None) -> None:
        self.status_code = status
        self.content = content
        self.headers = headers or {}


def wire(answers: list[Answer | Exception], sent: list[AWSPreparedRequest], **access: str) -> Wire:
    """Calls that get these answers; the waits between them take no time."""
    made = Wire(Session(Access(**access)), "sqs", policy=Policy(attempts=3), pace=Pace(sleep=lambda _: None))

    def send(request: AWSPreparedRequest) -> Answer:
        sent.append(request)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    made._send = send
    return made


def ask(made: Wire) -> dict[str, Any]:
    return made.call("Asking", "ListQueues", wanted={"QueueNamePrefix": "ä", "Raw": b"\0"}, rights="All of them.")


@pytest.mark.parametrize("token", [None, "a-token"])
def test_the_signature_is_the_one_that_boto3_makes(token: str | None) -> None:
    """For the same headers and body at the same moment."""
    sent: list[AWSPreparedRequest] = []
    login = {"key_id": "AKIA", "secret_key": "s3cret"} | ({} if token is None else {"token": token})
    assert ask(wire([Answer(200, b'{"QueueUrls": []}')], sent, **login)) == {"QueueUrls": []}
    (ours,) = sent
    headers = dict(ours.headers)
    names = {"Content-Type", "X-Amz-Target"}
    request = AWSRequest("POST", ours.url, data=ours.body, headers={name: headers[name] for name in names})
    request.context["timestamp"] = headers["X-Amz-Date"]
    theirs = SigV4Auth(Credentials("AKIA", "s3cret", token), "sqs", "us-east-1")
    request.headers["X-Amz-Date"] = headers["X-Amz-Date"]
    if token is not None:
        request.headers["X-Amz-Security-Token"] = token
    text = theirs.string_to_sign(request, theirs.canonical_request(request))
    assert headers["Authorization"].endswith(f"Signature={theirs.signature(text, request)}")
    assert ours.body == b'{"QueueNamePrefix": "\\u00e4", "Raw": "AA=="}'


def test_what_passes_is_tried_again() -> None:
    """Throttled, 503, a page of a proxy: until it works or patience ends."""
    sent: list[AWSPreparedRequest] = []
    throttled = Answer(400, b'{"__type": "com.amazonaws.sqs#RequestThrottled", "message": "slow"}')
    assert ask(wire([throttled, Answer(503, b"<html>"), Answer(200)], sent)) == {}
    assert len(sent) == 3
    with pytest.raises(RetryLater, match="RequestThrottled"):
        ask(wire([throttled] * 3, []))
    with pytest.raises(RetryLater, match="503"):
        ask(wire([Answer(503)] * 3, []))


def test_what_does_not_pass_is_told_at_once() -> None:
    """One call; the older protocol's code is the one that boto3 shows."""
    sent: list[AWSPreparedRequest] = []
    refused = Answer(400, b'{"__type": "com.amazonaws.sqs#Odd", "message": "no"}', {"x-amzn-query-error": "AWS.Older;Sender"})
    with pytest.raises(Stop, match=re.escape("Asking: AWS answered AWS.Older: no.")) as told:
        ask(wire([refused], sent))
    assert (told.value.code, len(sent)) == ("AWS.Older", 1)
    with pytest.raises(LoginRefused, match="AWS_PROFILE") as login:
        ask(wire([Answer(403, b'{"__type": "x#InvalidClientTokenId", "message": ""}')], sent, key_id="AKIA", secret_key="s3cret"))
    assert "s3cret" not in str(login.value)


@pytest.mark.parametrize(
    ("status", "content", "code"),
    [(200, b"<html>", "NoJSON"), (200, b"[]", "NoJSON"), (404, b"", "404"), (400, b'{"__type": "Plain"}', "Plain")],
)
def test_an_answer_that_is_none_is_told(status: int, content: bytes, code: str) -> None:
    """As an error of boto3's kind, which the gate knows."""
    with pytest.raises(ClientError) as told:
        _read("ListQueues", status, {}, content)
    assert told.value.response["Error"]["Code"] == code


def test_whoever_answers_in_place_of_aws_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under moto's `mock_aws` a queue works as boto3's client does, and no socket is opened."""

    def refuse(*_: object) -> None:
        raise AssertionError("a call left the mock")

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        monkeypatch.setattr(socket.socket, "connect", refuse)
        boto3.client("sqs").create_queue(QueueName="mocked")
        queue: SQSQueue[str] = SQSQueue(name="mocked", message_model=str)
        assert all(queue.send_messages(["one", "two"]))
        handles, messages = queue.receive_messages(wait_time_seconds=0)
        assert sorted(str(one) for one in messages) == ["one", "two"]
        assert all(queue.delete_messages(handles))
        with pytest.raises(NotFound):
            SQSQueue(name="nobodys", message_model=str)


def test_an_endpoint_that_is_not_there_is_told() -> None:
    """After the tries."""
    with pytest.raises(NetworkFailed, match=r"127\.0\.0\.1:1"):
        ask(Wire(Session(Access(endpoint="http://127.0.0.1:1")), "sqs", policy=Policy(attempts=2, base_s=0.0)))
