"""Laws of the login: one session per process and settings, roles, and what is told of a wrong one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.credentials import AssumeRoleCredentialFetcher
from tests.connectors.aws.servers import beside, fake

from halocline.connectors.aws import SQS, Access
from halocline.connectors.aws import session as module
from halocline.connectors.aws.session import session_of
from halocline.errors import FixConfig, LoginRefused
from halocline.testing.aws import FakeAWS

ROLE = "arn:aws:iam::123456789012:role/reader"


@pytest.fixture(scope="module", autouse=True)
def running() -> Iterator[FakeAWS]:
    with fake() as server:
        yield server


def test_settings_share_a_session_and_its_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same settings and variables are the same session; others are another one, and so is a child process."""
    one = session_of(Access())
    assert session_of(Access.of({})) is one
    assert one.client("sqs") is one.client("sqs")
    assert session_of(Access(region="eu-west-1")) is not one
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    other = session_of(Access())
    assert other is not one
    assert other.client("sqs").meta.region_name == "eu-west-1"
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert session_of(Access()) is not other


def test_threads_that_come_at_once_get_one_client() -> None:
    """boto3's sessions are not made for threads; ours lets one in at a time."""
    access, found = Access(region="eu-west-3"), []
    threads = [threading.Thread(target=lambda: found.append(session_of(access).client("sqs"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(client) for client in found}) == 1


def test_settings_by_either_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours and boto3's; the role may come from the environment; secrets by reference, and never shown."""
    monkeypatch.setenv("HALOCLINE_AWS_ROLE", ROLE)
    monkeypatch.setenv("HALOCLINE_AWS_EXTERNAL_ID", "x1")
    monkeypatch.setenv("KEPT", "sesame")
    access = Access.of(
        {"region_name": "eu-west-1", "aws_access_key_id": "AKIA", "aws_secret_access_key": "env:KEPT", "profile": None}
    )
    assert access == Access(region="eu-west-1", key_id="AKIA", secret_key="env:KEPT", role=ROLE, external_id="x1")
    assert "KEPT" not in repr(access)
    assert Access.of({"role": "other"}).role == "other"
    monkeypatch.delenv("HALOCLINE_AWS_ROLE")
    own = session_of(Access.of({"key_id": "AKIA", "secret_key": "env:KEPT", "token": "t"})).credentials()
    assert (own.access_key, own.secret_key, own.token) == ("AKIA", "sesame", "t")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"regoin": "eu-west-1"}, "'regoin'"),
        ({"region": 1}, "'region'"),
        ({"key_id": "AKIA"}, "secret_key"),
        ({"profile": "nobodys-profile"}, "nobodys-profile"),
        ({"endpoint": "no url"}, "AWS_ENDPOINT_URL"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_told(settings: dict[str, object], told: str) -> None:
    """At once."""
    with pytest.raises(FixConfig, match=told):
        session_of(Access.of(settings)).client("sqs")


def test_a_role_is_assumed_with_the_own_login_and_anew_before_its_keys_end(
    monkeypatch: pytest.MonkeyPatch, running: FakeAWS
) -> None:
    """Keys that are about to end are replaced by the next ones without anybody noticing; the external id is told to STS."""
    asked: list[dict[str, Any]] = []
    plain = AssumeRoleCredentialFetcher._get_credentials

    def soon_over(fetcher: Any) -> Any:
        answer = plain(fetcher)
        asked.append(fetcher._assume_kwargs)
        ends = datetime.now(UTC) + timedelta(seconds=60 if len(asked) == 1 else 3_600)
        answer["Credentials"]["Expiration"] = ends
        return answer

    monkeypatch.setattr(AssumeRoleCredentialFetcher, "_get_credentials", soon_over)
    session = session_of(Access(role=ROLE, external_id="x1"))
    assert running.calls.count("sts.AssumeRole") == 0
    first, second, third = session.credentials(), session.credentials(), session.credentials()
    assert first.token
    assert (second.token, len(asked)) == (third.token, 2)
    assert second.token != first.token
    assert (asked[0]["RoleArn"], asked[0]["ExternalId"]) == (ROLE, "x1")
    assert session.client("s3").list_buckets()["Buckets"] == []
    assert SQS("http://127.0.0.1/123456789012/q", Access(role=ROLE, external_id="x1"))._wire._session is session


def test_keys_may_lie_in_secrets_manager() -> None:
    """They are got with the login that is found; making that one does not wait for the one that it is made for."""
    held = {"id": "AKIAHELD", "secret": "sesame"}
    beside("secretsmanager").create_secret(Name="prod/keys", SecretString=json.dumps(held))
    code = (
        "from halocline.connectors.aws import Access\nfrom halocline.connectors.aws.session import session_of\n"
        "keys = {'key_id': 'aws-sm:prod/keys#id', 'secret_key': 'aws-sm:prod/keys#secret'}\n"
        "print(session_of(Access.of(keys)).credentials()[:2])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.strip() == "('AKIAHELD', 'sesame')"


def test_a_role_without_a_login_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so is a call without one."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(LoginRefused, match="AWS_PROFILE"):
        session_of(Access(role=ROLE))
    with pytest.raises(LoginRefused, match="AWS_PROFILE"):
        SQS("http://127.0.0.1/123456789012/q").receive()


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/q", "eu-central-1"),
        ("https://eu-central-1.queue.amazonaws.com/123456789012/q", "eu-central-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", "cn-north-1"),
        ("http://127.0.0.1:9324/123456789012/q", "us-east-1"),
    ],
)
def test_the_url_of_a_queue_says_its_region(url: str, region: str) -> None:
    """Where none is said otherwise."""
    assert SQS(url)._wire._region == region
    assert SQS(url, Access(region="eu-west-2"))._wire._region == "eu-west-2"


def test_retries_are_adaptive() -> None:
    """As the environment may say how many."""
    config = session_of(Access()).client("s3").meta.config
    assert config.retries["mode"] == "adaptive"
    assert module._config("sqs").read_timeout > 20


def test_the_extra_is_named_where_boto3_is_not_installed() -> None:
    """A queue, a bucket, a secret: each says what to install."""
    calls = ("from halocline import SQSQueue", "registry.open_buckets()", "config.secret('aws-sm:a#b')")
    tried = "".join(f"try: {call}\nexcept MissingExtra as error: print(error)\n" for call in calls)
    code = "import sys\nsys.modules.update(boto3=None, botocore=None)\nfrom halocline import config, registry\n"
    code += f"from halocline.errors import MissingExtra\n{tried}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.count('pip install "halocline[aws]"') == 3
