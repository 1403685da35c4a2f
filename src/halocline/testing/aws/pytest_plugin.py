"""pytest plugin: the fixture `aws`, an account that every test finds empty, and that clients find by the environment.

pytest loads it wherever Halocline is installed; it costs nothing until a test asks for the fixture.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from halocline.testing.aws.fake import FakeAWS

_OTHERS = (  # would lead a client to somebody's account, another region, or a store that outlives the test
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "INIESTA_SQS_ENDPOINT_URL",
    "INIESTA_SNS_ENDPOINT_URL",
    "INIESTA_AWS_DEFAULT_REGION",
    "INIESTA_CACHES",
)


@pytest.fixture(scope="session")
def aws_server() -> Iterator[FakeAWS]:
    """One server for all tests of this process, started by the first that needs it."""
    from halocline.testing.aws.fake import FakeAWS

    with FakeAWS() as server:
        yield server


@pytest.fixture
def aws(aws_server: FakeAWS, monkeypatch: pytest.MonkeyPatch) -> FakeAWS:
    """An account of the test's own, to which the environment leads every client that is made during the test."""
    aws_server.reset()
    for name in (*_OTHERS, *(name for name in os.environ if name.startswith("AWS_ENDPOINT_URL"))):
        monkeypatch.delenv(name, raising=False)
    for name, value in aws_server.environment().items():
        monkeypatch.setenv(name, value)
    return aws_server
