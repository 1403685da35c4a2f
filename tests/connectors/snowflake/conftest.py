from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.connectors.snowflake.server import Server, snowflake_server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One server for all tests of this process."""
    with snowflake_server() as running:
        yield running
