"""Orgs for the tests of the reading side: an emulator that is running, and a scripted Salesforce without a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from halocline.connectors.salesforce.auth import ClientCredentialsAuthenticator, SessionAuthenticator
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.connectors.salesforce.transport import Transport
from halocline.emulator.org import EmulatorConfig
from halocline.emulator.server import Emulator
from halocline.retry import Pace, Policy

ADDRESS = "http://127.0.0.1:9"


class Timeless:
    """A clock that only moves when somebody sleeps, and remembers how long they slept."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    @property
    def pace(self) -> Pace:
        return Pace(clock=lambda: self.now_s, sleep=self.sleep, chance=lambda: 0.0)


Handler = Callable[[httpx2.Request], httpx2.Response]


def scripted(handler: Handler, **options: Any) -> Transport:
    """A transport whose every request is answered by `handler`; nothing leaves the process."""
    session = SessionAuthenticator("token", ADDRESS).authenticate()
    http = httpx2.Client(transport=httpx2.MockTransport(handler))
    return Transport(session, http=http, pace=Timeless().pace, retry=Policy(attempts=2), **options)


@contextmanager
def emulated(**settings: Any) -> Iterator[tuple[Emulator, SalesforceClient]]:
    """A running emulator and a client that is logged in to it; both are gone when the block ends."""
    config = EmulatorConfig(**settings)
    with Emulator(config) as emulator:
        login = ClientCredentialsAuthenticator(config.consumer_key, config.consumer_secret, login_url=emulator.url)
        with SalesforceClient(login, pace=Timeless().pace, retry=Policy(attempts=3)) as client:
            yield emulator, client
