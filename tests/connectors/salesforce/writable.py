"""An org for the tests of the writing side: an emulator with custom fields, and a client whose waits are short."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from halocline.connectors.salesforce.auth import ClientCredentialsAuthenticator
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.emulator.org import EmulatorConfig
from halocline.emulator.server import Emulator
from halocline.retry import Pace, Policy

SCHEMA = """
object: Account
fields:
  Ext__c: {type: string(40) external unique}
  Founded__c: date
  Seen__c: datetime
  Opens__c: time
  Share__c: "double(12,4)"
---
object: Contact
fields:
  Code__c: {type: string(40) external unique}
"""
Org = tuple[Emulator, SalesforceClient]


class HastyPace:
    """The real clock, but no wait is longer than a hundredth of a second; `slept` holds what was asked for."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.pace = Pace(clock=time.monotonic, sleep=self._sleep, chance=lambda: 0.0)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        time.sleep(min(seconds, 0.01))  # a job runs in the emulator's own time; nothing is measured by it


@contextmanager
def writable(folder: Path, **settings: Any) -> Iterator[tuple[Emulator, SalesforceClient]]:
    """A running emulator with SCHEMA, and a client that is logged in to it."""
    schema = folder / "schema.yaml"
    schema.write_text(SCHEMA, encoding="utf-8")
    config = EmulatorConfig(schemas=(schema,), **settings)
    with Emulator(config) as emulator, client_of(emulator) as client:
        yield emulator, client


def client_of(emulator: Emulator) -> SalesforceClient:
    """A client of that emulator whose waits are short."""
    config = emulator.config
    login = ClientCredentialsAuthenticator(config.consumer_key, config.consumer_secret, login_url=emulator.url)
    return SalesforceClient(login, pace=HastyPace().pace, retry=Policy(attempts=4))
