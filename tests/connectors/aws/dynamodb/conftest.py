"""AWS for the tests of this folder that run whole reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.connectors.aws import servers
from tests.connectors.aws.dynamodb.desk import Desk

from halocline.testing.aws import FakeAWS, dynamodb_reads


@pytest.fixture(scope="package")
def fake() -> Iterator[FakeAWS]:
    """AWS, for all tests of this folder in this process."""
    with servers.fake() as running:
        yield running


@pytest.fixture
def desk(fake: FakeAWS, tmp_path: Path) -> Iterator[Desk]:
    """A desk of the test's own, with AWS as its environment; no fault is left behind it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in fake.environment().items():
            patch.setenv(name, value)
        yield Desk(fake, tmp_path)
    fake.faults.clear()


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a few items."""
    monkeypatch.setattr(dynamodb_reads, "PAGE_BYTES", 4_000)
