"""The law of the whole: whatever happens in the org and wherever a sync dies, after the next sync the table equals the org.

The short run lives a few lives in each way, with one of the kinds of deletes by each way into each database; `make faults`, or
`--long` here, forty by each, others each time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from halocline import registry
from halocline.config import Settings
from halocline.connectors.salesforce import ClientCredentialsAuthenticator
from halocline.emulator.org import EmulatorConfig
from halocline.emulator.server import Emulator
from halocline.ledger import MemoryLedger
from halocline.retry import Pace
from halocline.run import Run
from halocline.sync import IntelligentSync, SobjectSync
from tests.connectors.postgres.server import Place, Server

FIELDS = ("Id", "Name", "Description", "IsDeleted", "SystemModstamp")
SEED = 20_260_301  # of the short run, which is the same each time
START = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
WAYS = {"rest": (1_000, 1_000), "bulk": (0, 1_000), "stage": (0, 0)}
QUICK = Pace(sleep=lambda seconds: time.sleep(min(seconds, 0.003)))
TEXTS = st.sampled_from(["a", "b", "NA", "null", "line\r\nbreak", "\r", '"quoted", yes', "", "日本 𝄞"])
STEPS_S = st.sampled_from([0, 1, 1, 30, 59, 61, 599, 601, 3_600, 16 * 86_400])


class Crash(BaseException):
    """The process dies here; nothing of ours may catch it."""


class Fuse:
    """Dies at the n-th call that passes it; 0 never does."""

    def __init__(self) -> None:
        self.left = 0

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash


class Fused:
    """Any object, with a fuse before and behind each of its methods: the work was done, or it was not, or nobody knows."""

    def __init__(self, inner: Any, fuse: Fuse) -> None:
        self._inner, self._fuse = inner, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found) or name in ("close", "abandon_dead", "finish"):
            return found

        def guarded(*args: Any, **kwargs: Any) -> Any:
            self._fuse()
            answer = found(*args, **kwargs)
            self._fuse()
            if name in ("begin", "open", "journal") and not isinstance(answer, list):  # a journal's `open` answers a list
                return Fused(answer, self._fuse)
            return self._stream(answer) if name == "parts" else answer

        return guarded

    def _stream(self, parts: Iterator[Any]) -> Iterator[Any]:
        for part in parts:
            self._fuse()
            yield part


class Duck:
    """A DuckDB in memory for each life."""

    def __init__(self) -> None:
        self.session: Any = duckdb.connect()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self.session.execute(sql).fetchall()
        return found

    def close(self) -> None:
        self.session.close()


class Elephant:
    """A PostgreSQL that forgets at the end of each life."""

    def __init__(self, place: Place) -> None:
        self.session: Any = place.uri()
        self._place = place

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._place.rows(sql)

    def close(self) -> None:
        self._place.run("DROP SCHEMA IF EXISTS raw CASCADE; DROP TABLE IF EXISTS _halocline_positions")


@dataclass(slots=True)
class Tally:
    """What all lives of a test came to."""

    histories: int = 0
    steps: int = 0
    mismatching: int = 0

    def __str__(self) -> str:
        return f"{self.histories} histories, {self.steps} steps, {self.mismatching} mismatching rows"


class OrgAndTable(RuleBasedStateMachine):
    """One org that changes, one table that follows."""

    way = "rest"
    deletes = "soft"
    make_lake: Callable[[], Duck | Elephant] = Duck
    tally = Tally()
    records = Bundle("records")
    binned = Bundle("binned")
    transactions = Bundle("transactions")

    def __init__(self) -> None:
        super().__init__()
        self.emulator = Emulator(EmulatorConfig()).start()
        self.emulator.clock.freeze(START)
        self.store = self.emulator.store
        found = self.store.catalog.get("Account")
        assert found is not None
        self.account = found
        self.user = self.emulator.org.api_user_id
        self.fuse = Fuse()
        self.ledger = MemoryLedger()
        self.lake = self.make_lake()
        self.tally.histories += 1
        self.open: set[str] = set()
        self.system = self._system()

    def _system(self) -> IntelligentSync:
        config = self.emulator.config
        login = ClientCredentialsAuthenticator(config.consumer_key, config.consumer_secret, login_url=self.emulator.url)
        ledger: Any = Fused(self.ledger, self.fuse)
        system = IntelligentSync(
            self.lake.session, login, ledger=ledger, settings=Settings.from_env(), sink=lambda event: self.fuse()
        )
        system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = WAYS[self.way]
        return system

    def teardown(self) -> None:
        """The end of every life: what was still open is committed, and one more sync brings the table level."""
        try:
            for transaction in sorted(self.open):
                self._commit(transaction)
            self.sync()
        finally:
            self.lake.close()
            self.emulator.stop()

    # -- life in the org

    @initialize(count=st.integers(0, 4))
    def begin(self, count: int) -> None:
        for number in range(count):
            self.store.insert(self.account, {"Name": f"first {number}"}, user_id=self.user)

    @rule(target=records, name=TEXTS, description=TEXTS)
    def insert(self, name: str, description: str) -> str:
        return self.store.insert(self.account, {"Name": f"n{name}", "Description": description or None}, user_id=self.user)

    @rule(record=records, description=TEXTS)
    def update(self, record: str, description: str) -> None:
        if self._exists(record):
            self.store.update(self.account, record, {"Description": description or None}, user_id=self.user)

    @rule(target=binned, record=records)
    def delete(self, record: str) -> str:
        if self._exists(record):
            self.store.delete(self.account, record, user_id=self.user)
        return record

    @rule(target=records, record=consumes(binned))
    def undelete(self, record: str) -> Any:
        if not self._exists(record):
            return multiple()
        self.store.undelete(self.account, record, user_id=self.user)
        return record

    @rule(record=binned)
    def purge(self, record: str) -> None:
        row = self.store.get(self.account, record)
        if row is not None and row["IsDeleted"]:
            self.store.purge(self.account, record)

    @rule(record=consumes(records))
    def delete_for_good(self, record: str) -> None:
        """As `hardDelete` does it: the record never lies in the bin."""
        self.store.purge(self.account, record)

    @rule(target=binned, winner=records, loser=consumes(records))
    def merge(self, winner: str, loser: str) -> Any:
        """The winner takes a value of the loser, which goes to the bin and points at the winner."""
        rows = [self.store.get(self.account, record) for record in (winner, loser)]
        if winner == loser or any(row is None or row["IsDeleted"] for row in rows):
            return loser
        kept = {"Description": rows[1]["Description"]} if rows[1] else {}
        self.store.update(self.account, winner, kept, user_id=self.user)
        self.store.update(self.account, loser, {"MasterRecordId": winner}, user_id=self.user)
        self.store.delete(self.account, loser, user_id=self.user)
        return loser

    @invariant()
    def count(self) -> None:
        self.tally.steps += 1

    # -- late commits: stamped when made, visible when committed

    @rule(target=transactions, name=TEXTS)
    def insert_late(self, name: str) -> str:
        transaction = self.store.begin()
        self.open.add(transaction)
        self.store.insert(self.account, {"Name": f"late {name}"}, user_id=self.user, transaction=transaction)
        return transaction

    @rule(transaction=transactions, record=records, description=TEXTS)
    def update_late(self, transaction: str, record: str, description: str) -> None:
        if transaction in self.open and self._exists(record):
            values = {"Description": f"late {description}"}
            self.store.update(self.account, record, values, user_id=self.user, transaction=transaction)

    @rule(transaction=transactions, record=records)
    def delete_late(self, transaction: str, record: str) -> None:
        if transaction in self.open and self._exists(record):
            self.store.delete(self.account, record, user_id=self.user, transaction=transaction)

    @rule(transaction=consumes(transactions))
    def commit_late(self, transaction: str) -> None:
        self._commit(transaction)

    def _commit(self, transaction: str) -> None:
        self.open.discard(transaction)
        # A record that it changed may have been purged meanwhile: Salesforce rolls such a transaction back; so does the store.
        with suppress(KeyError):
            self.store.commit(transaction)

    @rule()
    def a_second_passes(self) -> None:
        """What hypothesis does all the time in the first life that it tries, in which everything is as simple as can be."""
        self.emulator.clock.advance(1)

    @rule(seconds=STEPS_S)
    def time_passes(self, seconds: int) -> None:
        self.emulator.clock.advance(seconds)

    # -- syncs

    @rule(at=st.integers(1, 60), seconds=st.integers(0, 2))
    def sync_that_may_die(self, at: int, seconds: int) -> None:
        self.emulator.clock.advance(seconds)
        self.fuse.left = at
        try:
            self.sync()
        except Crash:
            self.ledger._holds.clear()  # as those of a dead process: this one lives on, and nobody would take them for its own
            self.system = self._system()
        else:
            self.fuse.left = 0
            self._compare()
        finally:
            self.fuse.left = 0

    @rule(seconds=st.integers(0, 2))
    def sync_a_little_later(self, seconds: int) -> None:
        self.emulator.clock.advance(seconds)
        self.sync()
        self._compare()

    def sync(self) -> None:
        run = self.system.run_to_now(self._job(), Run.new())
        assert run.counts is not None
        assert run.counts.accounted == run.rows_read

    @rule()
    def sync_in_full(self) -> None:
        self.system.run_to_now(self._job(force_full_sync=True), Run.new())
        self._compare()

    def _job(self, **options: Any) -> SobjectSync:
        return SobjectSync("Account", "raw", "accounts", fields=FIELDS, deletes=self.deletes, allow_empty=True, **options)

    def _exists(self, record: str) -> bool:
        return self.store.get(self.account, record) is not None

    def _compare(self) -> None:
        org = {row[0]: row for row in self._org_rows()}
        rows = self.lake.rows(f"SELECT {', '.join(FIELDS)} FROM raw.accounts")
        table = {row[0]: row for row in rows}
        if self.deletes == "hard":
            org = {key: row for key, row in org.items() if not row[3]}
        else:  # a row that the org forgot stays, flagged
            org = {**{key: row for key, row in table.items() if row[3]}, **org}
        wrong = [key for key in org.keys() | table.keys() if org.get(key) != table.get(key)]
        self.tally.mismatching += len(wrong) + len(rows) - len(table)
        assert not wrong
        assert len(table) == len(rows), "a row stands twice"

    def _org_rows(self) -> Iterator[tuple[Any, ...]]:
        for record_id, name, description, deleted, stamp in self.store.read(f"SELECT {', '.join(FIELDS)} FROM Account"):
            yield record_id, name, description, bool(deleted), datetime.fromisoformat(stamp)


@pytest.fixture
def fused_connectors(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fuse], None]:
    """Sources and destinations get a fuse, and a source that sleeps only milliseconds."""
    fuses: list[Fuse] = []
    real_source, real_destination = registry.open_source, registry.open_destination
    monkeypatch.setattr(registry, "open_source", lambda *a, **k: Fused(real_source(*a, **k, pace=QUICK), fuses[-1]))
    monkeypatch.setattr(registry, "open_destination", lambda *a, **k: Fused(real_destination(*a, **k), fuses[-1]))
    return fuses.append


def play(
    way: str,
    deletes: str,
    *,
    fused: Callable[[Fuse], None],
    sequences: int,
    lake: Callable[[], Duck | Elephant] = Duck,
    chance: int = SEED,
) -> None:
    """Run `sequences` random lives of an org that is synced that way, and say what they came to; `chance` repeats them."""

    @seed(chance)
    class Life(OrgAndTable):
        def __init__(self) -> None:
            super().__init__()
            fused(self.fuse)

    Life.way, Life.deletes, Life.tally, Life.make_lake = way, deletes, Tally(), staticmethod(lake)  # type: ignore[assignment]
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Life, settings=settings(max_examples=sequences, stateful_step_count=25, deadline=None, suppress_health_check=checks)
    )
    print(f"\n{lake.__name__} by {way}, {deletes} deletes, seed {chance}: {Life.tally}")


@pytest.mark.system
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("way", "deletes"), [("rest", "soft"), ("bulk", "hard"), pytest.param("stage", "hard", marks=pytest.mark.long)]
)
def test_the_table_equals_the_org_after_the_next_sync(way: str, deletes: str, fused_connectors: Callable[[Fuse], None]) -> None:
    """Inserts, updates, deletes, undeletes, purges, same-second edits, late commits, crashes: three lives by each way."""
    play(way, deletes, fused=fused_connectors, sequences=3)


@pytest.mark.system
@pytest.mark.timeout(300)
@pytest.mark.parametrize("deletes", ["soft", "hard"])
def test_so_it_does_in_postgresql(
    deletes: str, fused_connectors: Callable[[Fuse], None], server: Server, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """The same law in a server's table, by the ways that differ there, one for each kind of deletes; `--long`: twenty by both."""
    long = pytestconfig.getoption("--long", default=False)
    with server.place(tmp_path) as place:

        def postgresql() -> Elephant:
            return Elephant(place)

        for way in ("rest", "stage") if long else ({"soft": "stage", "hard": "rest"}[deletes],):
            chance = _any_seed() if long else SEED
            play(way, deletes, fused=fused_connectors, sequences=20 if long else 3, lake=postgresql, chance=chance)


@pytest.mark.system
@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("deletes", ["soft", "hard"])
@pytest.mark.parametrize("way", list(WAYS))
def test_it_does_so_in_hundreds_of_lives(way: str, deletes: str, fused_connectors: Callable[[Fuse], None]) -> None:
    """The same law, forty lives by each, others each night."""
    play(way, deletes, fused=fused_connectors, sequences=40, chance=_any_seed())


def _any_seed() -> int:
    """A seed that no run before had; what it came to is told with it."""
    return random.SystemRandom().randrange(1 << 32)
