"""One org for all clients, as new for each test, and a stage for each client."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from halocline.emulator.server import Emulator, EmulatorConfig, Login
from tests.system.clients.stage import Stage

Play = Callable[..., Any]  # Stage.play
OPT_OUT = "HALOCLINE_NO_CLIENTS"
USER = Login("judge@example.com", "pa<ss>&word", "TOKEN")  # characters that XML and forms have to escape
REFRESH_TOKEN = "5Aep861judge"
REST_PAGE = 200  # rows of a page, the smallest that Salesforce makes, so that little data has several
BULK_PAGE = 50


def token_of(org: Emulator) -> str:
    """A token of the API user, as somebody else got it."""
    return org.org.sessions.start(org.org.api_user_id, org_id=org.org.org_id).token


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the clients, saying so, where the user opted out."""
    if not os.environ.get(OPT_OUT):
        return
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"{OPT_OUT} is set"))


@pytest.fixture(scope="session")
def private_key() -> str:
    """The PEM of the key by which the connected app's JWT assertions are signed."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


@pytest.fixture(scope="session")
def server(private_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The org behind all of its doors; the fixture `org` is the one to use."""
    key = serialization.load_pem_private_key(private_key.encode(), password=None)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    config = EmulatorConfig(
        https=True,
        proxy=True,
        ca_dir=tmp_path_factory.mktemp("authority"),
        schemas=(Path(__file__).with_name("shop.yaml"),),
        users=(USER,),
        public_keys=(public,),
        refresh_tokens=(REFRESH_TOKEN,),
        page_size=REST_PAGE,
        page_rows=BULK_PAGE,
    )
    with Emulator(config) as emulator:
        emulator.checkpoint()
        yield emulator


@pytest.fixture
def org(server: Emulator) -> Emulator:
    """The org as new: no records, no jobs, no calls."""
    server.reset()
    return server


@pytest.fixture
def run_org(server: Emulator) -> Iterator[Callable[..., Emulator]]:
    """Starts further orgs with other settings and the same certificate authority; they have no proxy."""
    running: list[Emulator] = []

    def run(**settings: Any) -> Emulator:
        emulator = Emulator(replace(server.config, proxy=False, **settings))
        running.append(emulator)
        return emulator.start()

    yield run
    for emulator in running:
        emulator.stop()


@pytest.fixture(scope="session")
def stages(server: Emulator) -> Iterator[Callable[[str], Stage]]:
    """The stage of a client, begun when it is first asked for."""
    begun: dict[str, Stage] = {}

    def stage(client: str) -> Stage:
        if client not in begun:
            begun[client] = Stage(client, variables=server.environment("login.salesforce.com"))
        return begun[client]

    yield stage
    for one in begun.values():
        one.close()


@pytest.fixture
def play(request: pytest.FixtureRequest, stages: Callable[[str], Stage], org: Emulator) -> Play:
    """Plays scenes of the client that the test's module names as CLIENT."""
    return stages(request.module.CLIENT).play


@pytest.fixture
def session_id(org: Emulator) -> str:
    """A token, for clients that are told one instead of logging in."""
    return token_of(org)


@pytest.fixture
def app(org: Emulator) -> dict[str, str]:
    """The connected app, as OAuth names its key and secret."""
    return {"client_id": org.config.consumer_key, "client_secret": org.config.consumer_secret}


@pytest.fixture
def add(org: Emulator) -> Callable[..., str]:
    """Adds a record behind the doors and returns its id."""

    def create(sobject: str, **values: object) -> str:
        return org.create(sobject, values)

    return create


@pytest.fixture
def stored(org: Emulator) -> Callable[[str, str], Mapping[str, object] | None]:
    """What the org holds under an id, deleted or not; None if it vanished."""

    def read(sobject: str, record_id: str) -> Mapping[str, object] | None:
        found = org.store.catalog.get(sobject)
        assert found is not None
        return org.store.get(found, record_id)

    return read
