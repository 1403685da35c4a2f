"""The servers that the tests of this folder share: ours, and moto's for the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer
from tests.testing.aws.cloud import Cloud
from tests.testing.aws.differences import DIFFERENCES

from halocline.testing.aws import FakeAWS


@pytest.fixture(scope="session")
def fake() -> Iterator[FakeAWS]:
    """Our server, for all tests of this process."""
    with FakeAWS() as server:
        yield server


@pytest.fixture(scope="session")
def ours(fake: FakeAWS) -> Cloud:
    return Cloud(fake.url)


@pytest.fixture(scope="session")
def motos() -> Iterator[Cloud]:
    """Moto's server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Cloud(f"http://{host}:{port}", "moto")
    server.stop()


@pytest.fixture(params=["ours", pytest.param("moto", marks=pytest.mark.long)])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """Each server in turn, a short run asks moto for laws marked `short`; one that it is known to break must be broken by it."""
    if request.param == "ours":
        return request.getfixturevalue("ours")
    name = request.node.name.replace("[moto]", "").replace("[moto-", "[")
    if name in DIFFERENCES:
        request.applymarker(pytest.mark.xfail(reason=DIFFERENCES[name].told, strict=True))
    return request.getfixturevalue("motos")


@pytest.fixture
def fresh(fake: FakeAWS, ours: Cloud) -> Iterator[tuple[FakeAWS, Cloud]]:
    """Our server as new, and as new again afterwards: for tests that move its clock or have it fail."""
    fake.reset()
    yield fake, ours
    fake.reset()
