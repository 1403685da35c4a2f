from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.connectors.postgres.server import Place, Server
from tests.samples.postgres import _ADMIN_WORD


@pytest.fixture
def place(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A database of the test's own, to which the variables of the demand pipeline lead; no `.env` is in the current folder."""
    with server.place(tmp_path) as made:
        told = {"LOCAL_MODE": "true", "PG_HOST": str(server.running.folder), "PG_PASSWORD": _ADMIN_WORD}
        for name, value in {**told, "PG_DATABASE": made.database, "REGION": "us-east-1"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield made
