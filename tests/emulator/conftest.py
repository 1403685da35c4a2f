"""A running emulator for the tests of its doors, and a client that is logged in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx2
import pytest

from halocline.emulator.server import Emulator, EmulatorConfig

VERSION = "/services/data/v66.0"

SCHEMA = """
object: Invoice__c
label: Invoice
plural: Invoices
fields:
  Number__c: {type: string(20) external unique}
  Batch__c: {type: string(20) external}
  Line__c: {type: "double(18,0) external"}
  Account__c: {type: reference, to: Account, children: Invoices}
  Status__c: {type: picklist restricted, values: [Draft, Sent]}
  Tags__c: {type: multipicklist restricted, values: [Red, Green, Blue]}
  Amount__c: double(6,2)
  Count__c: int
  Mail__c: email
  Due__c: date
  Sent__c: datetime
  At__c: time
  Paid__c: boolean
  Short__c: string(5)
  Exact__c: {type: string(20) external unique case_sensitive}
---
object: Silent__c
label: Silent
plural: Silents
flags: -bulkQueryable -replicateable
fields:
  Note__c: string(20)
"""


def login_form(config: EmulatorConfig) -> dict[str, str]:
    return {"grant_type": "client_credentials", "client_id": config.consumer_key, "client_secret": config.consumer_secret}


def connect(emulator: Emulator) -> httpx2.Client:
    """A client that is logged in and whose paths start at an API version."""
    with httpx2.Client() as visitor:
        token = visitor.post(f"{emulator.url}/services/oauth2/token", data=login_form(emulator.config)).json()["access_token"]
    return _client(emulator, token)


def _client(emulator: Emulator, token: str) -> httpx2.Client:
    return httpx2.Client(base_url=emulator.url + VERSION, headers={"Authorization": f"Bearer {token}"}, timeout=30)


@pytest.fixture(scope="session")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("emulator") / "schema.yaml"
    path.write_text(SCHEMA, encoding="utf-8")
    return path


@pytest.fixture
def run_emulator(schema: Path) -> Iterator[Callable[..., Emulator]]:
    """Starts emulators with the settings given, and stops them after the test."""
    running: list[Emulator] = []

    def run(**settings: object) -> Emulator:
        emulator = Emulator(EmulatorConfig(schemas=(schema,), **settings))  # type: ignore[arg-type]
        running.append(emulator)
        return emulator.start()

    yield run
    for emulator in running:
        emulator.stop()


@pytest.fixture(scope="session")
def standing(schema: Path) -> Iterator[Emulator]:
    """The emulator of all tests that ask for no settings of their own; the fixture `emulator` is the one to use."""
    with Emulator(EmulatorConfig(schemas=(schema,))) as running:
        running.checkpoint()
        yield running


@pytest.fixture
def emulator(standing: Emulator) -> Emulator:
    """As if just made: to go back takes a sixth of what a new one takes, and `test_reset.py` says that nothing is left."""
    standing.reset()
    return standing


@pytest.fixture
def client(emulator: Emulator) -> Iterator[httpx2.Client]:
    """As `connect` makes one, with a token that was not asked for: to ask takes as long as most tests' own requests."""
    token = emulator.org.sessions.start(emulator.org.api_user_id, org_id=emulator.org.org_id).token
    with _client(emulator, token) as connected:
        yield connected


@pytest.fixture
def add(emulator: Emulator) -> Callable[..., str]:
    """Adds a record behind the door and returns its id."""

    def insert(sobject: str, **values: object) -> str:
        found = emulator.store.catalog.get(sobject)
        assert found is not None
        return emulator.store.insert(found, values, user_id=emulator.org.api_user_id)

    return insert


def stored(emulator: Emulator, sobject: str, record_id: str) -> Mapping[str, object]:
    found = emulator.store.catalog.get(sobject)
    assert found is not None
    row = emulator.store.get(found, record_id)
    assert row is not None
    return row


def error(response: httpx2.Response) -> tuple[int, str]:
    """Status and code of a refusal, after checking that it has Salesforce's shape."""
    (entry,) = response.json()
    assert {"message", "errorCode"} <= entry.keys() <= {"message", "errorCode", "fields"}
    return response.status_code, entry["errorCode"]
