from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.connectors.postgres.server import Place, Server
from tests.samples.postgres import postgres

from halocline.connectors.postgres.destination import PostgresDestination


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One server for all tests of this process."""
    with postgres() as running:
        yield Server(running)


@pytest.fixture
def place(server: Server, tmp_path: Path) -> Iterator[Place]:
    """A database of the test's own, with an administrator's connection in autocommit."""
    with server.place(tmp_path) as made:
        yield made


@pytest.fixture
def destination(place: Place) -> Iterator[PostgresDestination]:
    opened = PostgresDestination(place.uri())
    yield opened
    opened.close()
