from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.connectors.postgres.server import Place

from halocline.connectors.postgres.destination import PostgresDestination


@pytest.fixture
def destination(place: Place) -> Iterator[PostgresDestination]:
    opened = PostgresDestination(place.uri())
    yield opened
    opened.close()
