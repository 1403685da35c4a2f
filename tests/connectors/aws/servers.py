"""AWS for the tests of this folder: our own fake, and moto's server, each as the environment leads boto3 to it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from halocline.testing.aws import FakeAWS

_NUMBERS = itertools.count()
_LOGIN = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def fake() -> Iterator[FakeAWS]:
    """Our fake, until the block ends."""
    with FakeAWS() as running, _led(running.environment()):
        yield running


@contextmanager
def moto() -> Iterator[str]:
    """Moto's server, until the block ends."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        with _led({**_LOGIN, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}):
            yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def _led(environment: dict[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION"):
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        yield


def beside(service: str) -> Any:
    """A client beside ours."""
    return boto3.client(service)


def new_name(kind: str = "thing") -> str:
    """A name that no other test has."""
    return f"{kind}-{next(_NUMBERS)}"


def new_bucket() -> str:
    """A new and empty bucket."""
    name = new_name("bucket")
    beside("s3").create_bucket(Bucket=name)
    return name


def new_queue(**attributes: str) -> str:
    """The name of a new and empty queue."""
    name = new_name("queue") + (".fifo" if attributes.get("FifoQueue") else "")
    beside("sqs").create_queue(QueueName=name, Attributes=attributes)
    return name
