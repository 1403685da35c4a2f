"""AWS for the tests of this folder: our own fake, and moto's server, each as the environment leads boto3 to it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
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


SERVERS = {"fake": fake, "moto": moto}
BOTH = ["fake", pytest.param("moto", marks=pytest.mark.long)]  # a short run asks moto for the laws that are marked `short`


def beside(service: str) -> Any:
    """A client beside ours, for the server that the environment names."""
    return _beside(service, frozenset(one for one in os.environ.items() if one[0].startswith("AWS_")))


@cache
def _beside(service: str, _environment: frozenset[tuple[str, str]]) -> Any:
    return boto3.session.Session().client(service)  # boto3 makes one in a twentieth of a second: longer than most tests use it


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
