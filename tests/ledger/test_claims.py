"""Claims in the ledger's databases: the laws of every store, and what is swept away when it is over."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.connectors.postgres.server import Place, Server

from halocline.claims import KEPT_S, Clock
from halocline.errors import FixConfig, RetryLater, StorageFailed
from halocline.idempotency import IdempotencyStore
from halocline.ledger import database as database_module
from halocline.ledger.claims_postgres import SWEPT_EVERY, PostgresStore
from halocline.ledger.claims_sqlite import SqliteStore
from halocline.ledger.database import LEDGER, STORE, gate
from halocline.testing.idempotency import KEEP_S, LEASE_S, WORDS, IdempotencySuite, Seconds, hold, take


@pytest.fixture(scope="module")
def database(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with server.place(tmp_path_factory.mktemp("claims")) as made:
        yield made


class TestSqliteStore(IdempotencySuite):
    def open(self, place: str, clock: Clock | None) -> IdempotencyStore:
        path = place.removeprefix("sqlite:///")
        return SqliteStore(path, clock=clock) if clock else SqliteStore(path)

    @pytest.fixture
    def place(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'claims.sqlite'}"


class TestPostgresStore(IdempotencySuite):
    def open(self, place: str, clock: Clock | None) -> IdempotencyStore:
        return PostgresStore(place, clock=clock)

    @pytest.fixture
    def place(self, database: Place) -> Iterator[str]:
        """One schema for all, whose name is no plain word; making one takes longer than a law."""
        schema = 'The "claims" of 100%s'
        uri = f"{database.uri()}&schema={quote(schema)}"
        PostgresStore(uri).close()
        database.run("""TRUNCATE "The ""claims"" of 100%s".claims""")
        return uri


def test_what_is_over_is_swept_from_a_server(database: Place) -> None:
    """Now and then, with the claims: memories that ended and claims of workers long dead; nothing else."""
    clock = Seconds()
    store = PostgresStore(f"{database.uri()}&schema=swept", clock=clock)
    store.done([(hold(store, "done"), "")], keep_s=10)
    store.done([(hold(store, "kept"), "")], keep_s=2 * KEPT_S)
    store.quarantine([(hold(store, "poison"), "reason")])
    store.quarantine([(hold(store, "gone"), "reason")], keep_s=10)
    hold(store, "dead")
    clock.advance(KEPT_S + LEASE_S + 1)
    for _ in range(SWEPT_EVERY + 1):
        hold(store, "late")
    assert database.rows("SELECT key FROM swept.claims ORDER BY key") == [("kept",), ("late",), ("poison",)]
    store.close()


def test_a_file_that_is_locked_for_long_is_busy_not_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call may be made again: a worker waits for it, as for a server that is away."""
    monkeypatch.setattr(database_module, "BUSY_S", 0.01)
    path = tmp_path / "claims.sqlite"
    store = SqliteStore(path)
    held = hold(store)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    calls: list[Callable[[], object]] = [
        lambda: take(store),
        lambda: store.renew([held], lease_s=LEASE_S),
        lambda: store.forget(["k"]),
        *(partial(word, store, held) for word in WORDS.values()),
    ]
    for call in calls:
        with pytest.raises(RetryLater, match="locked"):
            call()
    other.execute("ROLLBACK")
    other.close()
    assert store.done([(held, "hash")], keep_s=KEEP_S) == [True]
    store.close()


def test_a_store_is_told_as_the_store_that_it_is(tmp_path: Path) -> None:
    """Errors name the setting that moves it, which is not that of the ledger, whose tables it has."""
    path = tmp_path / "claims.sqlite"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (a)")
    with pytest.raises(FixConfig, match=r"Opening the store .*another program's.*Point `store` \(HALOCLINE_IDEMPOTENCY\)"):
        SqliteStore(path)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageFailed, match=r"Opening the store .*claims\.sqlite"):
        SqliteStore(path)
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorname = "SQLITE_FULL"
    for named, setting in ((STORE, "`store`"), (LEDGER, "HALOCLINE_HOME")):
        with pytest.raises(StorageFailed, match=f"Free some space, or point {setting}"), gate("Opening it", named=named):
            raise full


def test_leases_end_by_the_servers_clock(database: Place) -> None:
    """Hosts whose clocks differ agree: instants of a record are the server's."""
    store = PostgresStore(f"{database.uri()}&schema=clocks")
    held = hold(store)
    ((since, until, now),) = database.rows("SELECT since, until, extract(epoch FROM clock_timestamp()) FROM clocks.claims")
    assert 0 <= float(now) - since / 1_000_000 < 10
    assert until - since == LEASE_S * 1_000_000
    assert take(store, owner="two").left_s <= LEASE_S
    assert store.release([held]) == [True]
    store.close()


def test_a_connection_that_was_lost_is_made_anew(database: Place) -> None:
    """The call goes on; without a server it fails at once, and nobody waits for it."""
    store = PostgresStore(f"{database.uri()}&schema=lost")
    held = hold(store)
    database.rows(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename IS NOT NULL"
    )
    assert store.done([(held, "hash")], keep_s=KEEP_S) == [True]
    store.close()
    with pytest.raises(StorageFailed, match="closed"):
        take(store)


def test_a_server_that_is_away_is_told_at_once(server: Server, tmp_path: Path) -> None:
    """A worker has its own patience: its leases go on ending."""
    with server.place(tmp_path) as made:
        store = PostgresStore(made.uri())
        store._server._conninfo = "host=/nowhere connect_timeout=2"
        made.rows(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename IS NOT NULL"
        )
        with pytest.raises(RetryLater, match="Claiming keys in"):
            take(store)
        store.close()
