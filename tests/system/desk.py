"""A desk: an org of 30 accounts, a shell in which `halocline sync` is typed, and what its user is told."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from halocline import registry
from halocline.connectors.salesforce import ClientCredentialsAuthenticator, SalesforceClient
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.retry import Policy
from tests.command_line import app
from tests.system.laptop import DAY_S, QUICK

FIELDS = ("Id", "Name", "Description", "IsDeleted", "SystemModstamp")
WAYS = {
    "rest": ("--bulk-threshold", "1000", "--stage-threshold", "1000"),
    "bulk": ("--bulk-threshold", "0", "--stage-threshold", "1000"),
    "stage": ("--use-stage",),
}
STARTS = ("Failed: ", "Please check: ", "Try again later: ")


@dataclass(frozen=True, slots=True)
class Told:
    """What a command said and how it ended."""

    exit_code: int
    out: str
    err: str


@dataclass(slots=True)
class Desk:
    """An org of 30 accounts, a folder with a lake, and a shell in which `halocline sync` is typed."""

    emulator: Emulator
    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def lake(self) -> Path:
        return self.folder / "lake.duckdb"

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def sync(self, way: str, *more: str, sobject: str = "Account") -> Told:
        """`halocline sync` into the lake, by that way."""
        listed = () if "--fields" in more else ("--fields", ",".join(FIELDS))
        command = ["sync", sobject, "--to", f"duckdb:///{self.lake}", "--table", "Account", *listed, *WAYS[way], *more]
        done = CliRunner().invoke(app, command, env=self.env)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Told(done.exit_code, done.stdout, done.stderr)

    def life(self) -> None:
        """A day passes, and half of the accounts change, one goes, three come."""
        store, account, user = self.emulator.store, self._account(), self.emulator.org.api_user_id
        self.emulator.clock.advance(DAY_S)
        ids = [record for (record,) in store.read("SELECT Id FROM Account ORDER BY Id")]
        for record in ids[:14]:
            store.update(account, record, {"Description": "changed\r\n"}, user_id=user)
        store.delete(account, ids[14], user_id=user)
        self.add(3)

    def add(self, count: int, **values: object) -> None:
        """So many accounts come."""
        for number in range(count):
            record = {"Name": f"n{number}", **values}
            self.emulator.store.insert(self._account(), record, user_id=self.emulator.org.api_user_id)

    def dump(self) -> bytes:
        """The table and its position, to the byte; nothing where there is none."""
        if not self.lake.exists():
            return b""
        with duckdb.connect(str(self.lake), read_only=True) as connection:
            tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
            wanted = {
                "Account": 'FROM "Account" ORDER BY Id',
                "_halocline_positions": "SELECT flow, target, position FROM _halocline_positions WHERE target <> '' ORDER BY ALL",
            }
            found = {name: connection.execute(sql).fetchall() for name, sql in wanted.items() if name in tables}
            others = sorted(tables - wanted.keys())
        return repr(({name: rows for name, rows in found.items() if rows}, others)).encode() if any(found.values()) else b""

    def equals_org(self) -> bool:
        """Whether the table holds just what the org holds."""
        listed = ", ".join(FIELDS)
        with duckdb.connect(str(self.lake), read_only=True) as connection:
            table = connection.execute(f'SELECT {listed} FROM "Account" ORDER BY Id').fetchall()
        org = self.emulator.store.read(f"SELECT {listed} FROM Account ORDER BY Id")
        return table == [(*row[:3], bool(row[3]), datetime.fromisoformat(row[4])) for row in org]

    def fault(self, action: Any, **settings: Any) -> None:
        self.emulator.faults.add(action, **settings)

    def heal(self) -> None:
        """The org is well again."""
        self.emulator.faults.clear()
        self.emulator.org.show()
        for name, most in (("DailyApiRequests", 100_000), ("DailyBulkV2QueryJobs", 10_000)):
            self.emulator.org.limits.set_max(name, most)
        self.emulator.org.limits.reset()
        self.emulator.org.config = self.emulator.config
        self.emulator.org.jobs.clear()

    def empty(self) -> None:
        """No account is left, not even in the bin."""
        for (record,) in self.emulator.store.read("SELECT Id FROM Account"):
            self.emulator.store.purge(self._account(), record)

    @property
    def login(self) -> ClientCredentialsAuthenticator:
        """The login that the environment describes at first."""
        config = self.emulator.config
        return ClientCredentialsAuthenticator(config.consumer_key, config.consumer_secret, login_url=self.emulator.url)

    def _account(self) -> Any:
        return self.emulator.store.catalog.get("Account")


@contextmanager
def frozen_org() -> Iterator[Emulator]:
    """An org whose clock stands still and whose Bulk pages are short."""
    with Emulator(EmulatorConfig(page_rows=10)) as running:
        running.clock.freeze(datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC))
        yield running


@contextmanager
def desk_at(emulator: Emulator, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A desk with 30 new accounts, whose waits between repeats are cut short; the org is healed when the block ends."""
    connect, open_source = registry.connect, registry.open_source

    def client(name: str, given: Any, **options: Any) -> registry.Connection:
        return connect(name, SalesforceClient(given, pace=QUICK, retry=Policy(attempts=3)), **options)

    monkeypatch.setattr(registry, "connect", client)
    monkeypatch.setattr(registry, "open_source", lambda *a, **k: open_source(*a, **k, pace=QUICK))
    for name in [name for name in os.environ if name.startswith(("SF_", "HALOCLINE_"))]:
        monkeypatch.delenv(name)
    desk = Desk(emulator, folder)
    desk.spool.mkdir()
    desk.env = {
        "SF_LOGIN_URL": emulator.url,
        "SF_CLIENT_ID": emulator.config.consumer_key,
        "SF_CLIENT_SECRET": emulator.config.consumer_secret,
        "HALOCLINE_HOME": str(folder / "home"),
        "HALOCLINE_SPOOL": str(desk.spool),
    }
    desk.empty()
    desk.add(30)
    yield desk
    desk.heal()


def is_clear(told: Told, *, exit_code: int, says: tuple[str, ...]) -> None:
    """One paragraph on standard error that names these things, no secret, no traceback; the exit code."""
    assert told.exit_code == exit_code, told.err
    assert told.out == ""
    *progress, text = told.err.strip().splitlines()
    assert all(line.startswith("Account -> main.Account: ") for line in progress), told.err
    assert text.startswith(STARTS[{1: 0, 2: 1, 75: 2}[exit_code]])
    assert 60 < len(text) < 700
    assert text.endswith((".", "?", "'"))
    for word in says:
        assert re.search(word, text), f"{word!r} is not in: {text}"
    for word in ("Traceback", "halocline-consumer-secret", "00D", "object at 0x", "None"):
        assert word not in text
