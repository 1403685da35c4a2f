"""T25: keys and tokens of AWS are in no error, also where a server repeats what it got."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from tests.connectors.salesforce.loopback import Answer, Asked, closed_port, serving
from tests.examples import in_turn
from tests.security import servers
from tests.security.canaries import Watch, canary
from tests.security.servers import echo, talking

from halocline import registry
from halocline.connectors import aws
from halocline.queues import Message


def _aws(endpoint: str | None = None, **login: str) -> object:
    access = {"key_id": "AKIA", "secret_key": "x", **login}
    return registry.open_buckets(region="us-east-1", endpoint=endpoint, **access).read("bucket", "key") and None


def test_AWS(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and tokens of AWS, and passwords in addresses, are in no error, also where a server repeats what it got."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    secret, token = canary("AWS secret key"), f"IQoJb3JpZ2luX2Vj{canary('AWS session token') * 12}"
    keys = {"secret_key": secret, "token": token}
    inside = canary("AWS endpoint")

    def calls(endpoint: str | None) -> dict[str, Callable[[], object]]:
        return {
            "S3": lambda: _aws(endpoint, **keys),
            "SQS": lambda: registry.open_queue("orders", region="us-east-1", endpoint=endpoint, key_id="AKIA", **keys).receive(),
            "SNS": lambda: _published(endpoint, keys),
            "secrets": lambda: aws.secret_of(
                "name#key", aws.Access.of({"region": "us-east-1", "endpoint": endpoint, **_boto(keys)})
            ),
        }

    with serving(Answer()) as server:
        for answer, (service, work) in in_turn(_AWS_ANSWERS, calls(server.url).items()):
            server.script = _AWS_ANSWERS[answer]
            watch.attempt(f"{service}: {answer}", work, hiding=(secret, token))
    dead = closed_port()
    places = {
        "nobody there": f"http://user:{inside}@127.0.0.1:{dead}",
        "no port": f"http://user:{inside}@127.0.0.1:x",
        "no URL": f"127.0.0.1 {inside}",
    }
    for what, service in in_turn(places, calls(None)):
        watch.attempt(f"{service} at an address: {what}", calls(places[what])[service], hiding=(inside, secret, token))


def _boto(keys: dict[str, str]) -> dict[str, str]:
    return {"key_id": "AKIA", **keys}


def _published(endpoint: str | None, keys: dict[str, str]) -> object:
    topic = registry.open_topic("arn:aws:sns:us-east-1:123456789012:t", endpoint=endpoint, **_boto(keys))
    return topic.publish_all([Message("body")])


def _error_of_aws(asked: Asked) -> str:
    return json.dumps({"__type": "com.amazonaws#InvalidToken", "message": _shown_aws(asked)})


def _shown_aws(asked: Asked) -> str:
    return " ".join(asked.headers.values())


_AWS_ANSWERS: dict[str, Callable[[Asked], Answer]] = {
    "403 in JSON": lambda asked: Answer(403, _error_of_aws(asked).encode(), {"Content-Type": "application/x-amz-json-1.1"}),
    "400 in JSON": lambda asked: Answer(400, _error_of_aws(asked).encode(), {"Content-Type": "application/x-amz-json-1.0"}),
    "500 in words": lambda asked: Answer(500, echo(asked).encode(), {"Content-Type": "text/plain"}),
    "403 in XML": lambda asked: Answer(
        403,
        f"<Error><Code>InvalidToken</Code><Message>{_shown_aws(asked)}</Message></Error>".encode(),
        {"Content-Type": "text/xml"},
    ),
    "200 in words": lambda asked: Answer(200, echo(asked).encode(), {"Content-Type": "text/plain"}),
    "301": lambda asked: Answer(301, b"", {"Location": f"http://127.0.0.1:1/{quote(_shown_aws(asked))}"}),
    "cut": lambda _: Answer(200, b"{}", sent=-1),
}


def test_AWS_by_a_proxy(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is the password of a proxy."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    word = canary("proxy to AWS")
    with talking(servers.proxy) as port:
        for what, place in {
            "nobody there": f"http://user:{word}@127.0.0.1:{closed_port()}",
            "refuses": f"http://user:{word}@127.0.0.1:{port}",
            "no scheme": f"foo://user:{word}@127.0.0.1:{port}",
            "no port": f"http://user:{word}@127.0.0.1:port",
        }.items():
            monkeypatch.setenv("HTTPS_PROXY", place)
            watch.attempt(f"S3: {what}", lambda: _aws("https://s3.us-east-1.amazonaws.com"), hiding=(word,))
