"""A laptop: an emulated org and a lake beside it, for tests that look at a sync as a whole."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from halocline.config import Settings
from halocline.connectors.salesforce import ClientCredentialsAuthenticator, SalesforceClient
from halocline.emulator.objects import SObject
from halocline.emulator.seed import seed
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.events import Event, Sink, silent
from halocline.retry import Pace, Policy
from halocline.sync import IntelligentSync

DAY_S = 86_400.0
QUICK = Pace(sleep=lambda seconds: time.sleep(min(seconds, 0.003)))  # waits between repeats, cut short
_HOURS_A_YEAR = 365.25 * 24


@dataclass(slots=True)
class Laptop:
    """`org` is running, and `client` is logged in to it; `lake` is an open database in memory.

    `folder` takes the ledger and the spool. The client's repeats hardly wait.
    """

    org: Emulator
    client: SalesforceClient
    lake: duckdb.DuckDBPyConnection
    folder: Path
    events: list[Event] = field(default_factory=list)

    @property
    def login(self) -> ClientCredentialsAuthenticator:
        """The app's own login."""
        return login_to(self.org)

    @property
    def access_info(self) -> dict[str, str]:
        """A session id and its address, as other tools hand them over."""
        token = self.login.authenticate().token()
        return {"access_token": token.access_token, "instance_url": token.instance_url}

    @property
    def settings(self) -> Settings:
        """Ledger and spool in the laptop's own folder."""
        return Settings(self.folder, self.folder / "spool")

    def system(self, *, bulk: int = 1_000, stage: int = 50_000, sink: Sink = silent) -> IntelligentSync:
        """A sync system from the org to the lake; `events` remembers what it says."""

        def watch(event: Event) -> None:
            self.events.append(event)
            sink(event)

        system = IntelligentSync(self.lake, self.client, settings=self.settings, sink=watch)
        system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = bulk, stage
        return system

    def sobject(self, name: str) -> SObject:
        """The object as the emulator keeps it."""
        found = self.org.store.catalog.get(name)
        assert found is not None, name
        return found

    def add(self, name: str, count: int = 1, **values: object) -> list[str]:
        """Insert records behind the door; their ids. `{n}` in a text is the number of the record."""
        sobject, user = self.sobject(name), self.org.org.api_user_id
        filled = ({key: _numbered(value, n) for key, value in values.items()} for n in range(count))
        return [self.org.store.insert(sobject, record, user_id=user) for record in filled]

    def change(self, name: str, record: str, **values: object) -> None:
        """Update a record behind the door."""
        self.org.store.update(self.sobject(name), record, values, user_id=self.org.org.api_user_id)

    def delete(self, name: str, record: str) -> None:
        """Move a record to the recycle bin."""
        self.org.store.delete(self.sobject(name), record, user_id=self.org.org.api_user_id)

    def purge(self, name: str, record: str) -> None:
        """Remove a record for good."""
        self.org.store.purge(self.sobject(name), record)

    def seed(self, name: str, count: int, *, number: int = 0, hours: float = 2 * _HOURS_A_YEAR) -> None:
        """Make believable records whose stamps lie in the last `hours` of the org's clock."""
        seed(self.org.store, {name: count}, number=number, years=hours / _HOURS_A_YEAR)

    def days_pass(self, days: float = 1.0) -> None:
        """Move the org's clock on, so that nothing of before is inside the overlap."""
        self.org.clock.advance(days * DAY_S)

    def kinds(self) -> list[str]:
        """What clients called since the last time this was asked, in order; logins left out."""
        found = [call.kind for call in self.org.calls if call.kind != "token"]
        self.org.calls.clear()
        return found

    def tally(self) -> Counter[str]:
        """How often each kind of call was made since the last time this was asked."""
        return Counter(self.kinds())

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query of the lake answers."""
        return self.lake.execute(sql).fetchall()

    def number(self, sql: str) -> int:
        """The one number that a query of the lake answers."""
        return int(self.rows(sql)[0][0])


@contextmanager
def laptop(folder: Path, **settings: Any) -> Iterator[Laptop]:
    """A laptop whose org runs with these emulator settings until the block ends."""
    with Emulator(EmulatorConfig(**settings)) as org, laptop_at(org, folder) as made:
        yield made


@contextmanager
def laptop_at(org: Emulator, folder: Path, *, lake: str = ":memory:") -> Iterator[Laptop]:
    """A laptop beside an org that is running already; the lake may be a file."""
    with (
        SalesforceClient(login_to(org), pace=QUICK, retry=Policy(attempts=3)) as client,
        duckdb.connect(lake) as connection,
    ):
        yield Laptop(org, client, connection, folder)


def login_to(org: Emulator) -> ClientCredentialsAuthenticator:
    """The login of the app that every emulator knows."""
    return ClientCredentialsAuthenticator(org.config.consumer_key, org.config.consumer_secret, login_url=org.url)


def _numbered(value: object, number: int) -> object:
    return value.replace("{n}", str(number)) if isinstance(value, str) else value
