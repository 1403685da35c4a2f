from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from halocline.connectors.duckdb.destination import DuckDBDestination
from halocline.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool("test", tmp_path)
    yield spool
    spool.close()


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    yield connection
    connection.close()


@pytest.fixture
def destination(connection: duckdb.DuckDBPyConnection, spool: Spool) -> DuckDBDestination:
    return DuckDBDestination(connection, spool=spool)
