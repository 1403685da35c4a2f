"""An S3 for the tests of this folder: moto's server on a free port, and a bucket for each test."""

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

_NUMBERS = itertools.count()


class Bucket(str):
    """The `s3://` address of a bucket; `client` is a client beside ours."""

    @property
    def client(self) -> Any:
        return _client(os.environ["AWS_ENDPOINT_URL"])

    @property
    def name(self) -> str:
        return self.removeprefix("s3://")

    def names(self) -> list[str]:
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=self.name).get("Contents", ())]


@cache
def _client(_endpoint: str) -> Any:
    """A client of the server there: to make one takes longer than to ask it something."""
    return boto3.client("s3")


@contextmanager
def s3() -> Iterator[str]:
    """The endpoint of a server that runs until the block ends, as boto3 finds it in the environment."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    login = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**login, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
            patch.setenv(name, value)
        try:
            yield f"http://{host}:{port}"
        finally:
            server.stop()


def bucket() -> Bucket:
    """A new and empty bucket; all servers of moto in one process share theirs, so that its name is like no other test's."""
    made = Bucket(f"s3://files-{next(_NUMBERS)}")
    made.client.create_bucket(Bucket=made.name)
    return made
