"""The servers of the tests: DynamoDB twice (our AWS for tests, and moto), and a real PostgreSQL."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from tests.connectors.postgres.server import Place, Server
from tests.samples.postgres import _ADMIN_WORD, Postgres, postgres

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One PostgreSQL for all tests: the one whose folder TEST_POSTGRES names, or else their own."""
    if folder := os.environ.get("TEST_POSTGRES"):
        yield Server(Postgres(Path(folder)))
        return
    with postgres() as running:
        yield Server(running)


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of moto's server."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def warehouse(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A database with the pipeline's tables, to which the variables lead."""
    with server.place(tmp_path) as place:
        place.run((HERE / "schema.sql").read_text())
        told = {"LOCAL_MODE": "true", "PG_HOST": str(server.running.folder), "PG_PASSWORD": _ADMIN_WORD}
        for name, value in {**told, "PG_DATABASE": place.database}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)  # no .env there
        yield place


@pytest.fixture(params=["FakeAWS", "moto"])
def dynamodb(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """boto3's resource of an account with the pipeline's four tables, empty; SOURCE_ENV says which they are."""
    request.getfixturevalue("aws")
    if request.param == "moto":
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("moto"))
    name = f"test{next(NUMBERS)}"
    monkeypatch.setenv("SOURCE_ENV", name)
    monkeypatch.setenv("REGION", "us-east-1")
    resource = boto3.resource("dynamodb", region_name="us-east-1")
    keys = {"documents": "documentId", "documents-metadata": "documentId", "templates": "templateId"}
    for table, key in {**keys, "documents-audit": "auditRecordId"}.items():
        resource.create_table(
            TableName=f"exchange-{name}-{table}",
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    return resource
