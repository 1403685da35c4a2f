"""Laws of a transaction that holds an effect and the note of it, on PostgreSQL, SQLite and DuckDB, by connection and by URI."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from operator import methodcaller
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from tests.connectors.postgres.server import Server
from tests.examples import in_turn

from halocline import applied
from halocline.connectors.postgres.once import _idle
from halocline.consume.flight.orders import Then
from halocline.consume.handling.context import Context
from halocline.consume.handling.handlers import Handlers
from halocline.consume.handling.message import Message
from halocline.consume.handling.transaction import once_in
from halocline.errors import AccessDenied, AlreadyApplied, BrokenTransaction, FixConfig, HaloclineError, LeaseLost
from halocline.queues import Delivery

THEIRS = (psycopg.Error, sqlite3.Error, duckdb.Error)
SWEEPER = next(key for key in (f"key-{number}" for number in range(10_000)) if applied.is_sweeper(key))


@dataclass
class Place:
    """A database with a table `effects`: its URI, and how a connection to it is opened."""

    uri: str
    open: Callable[[], Any]

    def effects(self) -> list[str]:
        """What the table holds."""
        connection = self.open()
        rows = connection.execute("SELECT word FROM effects ORDER BY word").fetchall()
        connection.close()
        return [word for (word,) in rows]

    def notes(self) -> list[tuple[str, int]]:
        """What is noted."""
        connection = self.open()
        rows = connection.execute(f"SELECT key, fence FROM {applied.TABLE} ORDER BY key").fetchall()
        connection.close()
        return list(rows)


@pytest.fixture(params=["postgres", "sqlite", "duckdb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A database of the test's own."""
    if request.param == "postgres":
        with request.getfixturevalue("server").place(tmp_path) as made:
            uri = made.uri()
            yield _with_table(Place(uri, lambda: psycopg.connect(uri, autocommit=True)))
            _idle.cache_clear()
        return
    path = tmp_path / "effects"
    if request.param == "sqlite":
        yield _with_table(Place(f"sqlite:///{path}", lambda: sqlite3.connect(path, timeout=30, check_same_thread=False)))
    else:
        yield _with_table(Place(f"duckdb:///{path}", lambda: duckdb.connect(str(path))))


def _with_table(place: Place) -> Place:
    connection = place.open()
    connection.execute("CREATE TABLE effects (word VARCHAR(20))")
    connection.commit()
    connection.close()
    return place


EVERYWHERE = pytest.mark.parametrize(
    ("place", "where"),
    [
        ("postgres", "uri"),
        ("sqlite", "uri"),
        ("sqlite", "connection"),
        ("duckdb", "connection"),
        pytest.param("postgres", "connection", marks=pytest.mark.long),
        pytest.param("duckdb", "uri", marks=pytest.mark.long),
    ],
    indirect=True,
)


@pytest.fixture(params=["uri", "connection"])
def where(request: pytest.FixtureRequest, place: Place) -> Iterator[Any]:
    """What a handler gives: the URI, or a connection of its own."""
    if request.param == "uri":
        yield place.uri
        return
    connection = place.open()
    yield connection
    connection.close()


def write(transaction: Any, word: str = "effect") -> None:
    """The effect."""
    transaction.execute(f"INSERT INTO effects VALUES ('{word}')")


@pytest.mark.short
@EVERYWHERE
def test_an_effect_comes_about_once(place: Place, where: Any) -> None:
    """It is kept with its note; the second run is told so before it does anything, and other keys are not touched by it."""
    with once_in(where, "k", fence=7) as transaction:
        write(transaction)
    with pytest.raises(AlreadyApplied, match="'k' once: it is there already"), once_in(where, "k", fence=8):
        pytest.fail("the block is not entered")
    with once_in(where, "other \0 \ud800") as transaction:
        write(transaction, "other")
    if not isinstance(where, str):
        where.close()
    assert place.effects() == ["effect", "other"]
    assert place.notes() == [("k", 7), ("other \\x00 \\ud800", 0)]


@EVERYWHERE
def test_what_failed_left_nothing(place: Place, where: Any) -> None:
    """Neither the effect nor the note; what the block raises passes as it is, and the next run is let in."""
    for wrong, kind in (("1 / 0", ZeroDivisionError), ("transaction.execute('SELECT 1 FROM nowhere')", THEIRS)):
        with pytest.raises(kind), once_in(where, "k") as transaction:
            (write(transaction), eval(wrong))
    with once_in(where, "k") as transaction:
        write(transaction, "third")
    if not isinstance(where, str):
        where.close()
    assert place.effects() == ["third"]


def test_an_open_transaction_is_no_place(place: Place) -> None:
    """What we commit would be part of it, and perhaps not be committed at all: nothing is done."""
    connection = place.open()
    connection.execute("BEGIN")
    write(connection, "mine")
    with pytest.raises(FixConfig, match="a transaction is open"), once_in(connection, "k"):
        pytest.fail("the block is not entered")
    connection.execute("COMMIT")
    connection.close()
    assert place.effects() == ["mine"]


def test_of_runs_at_the_same_time_one_counts(place: Place) -> None:
    """Whichever it is, zombie or not: the others fail, or are told that it is there, and then it is."""
    barrier = threading.Barrier(4)
    told: list[BaseException] = []

    def run(number: int) -> None:
        barrier.wait(30)
        try:
            with once_in(place.uri, "k", fence=number) as transaction:
                write(transaction)
        except HaloclineError as error:
            told.append(error)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    assert place.effects() == ["effect"]
    assert len(place.notes()) == 1
    assert len(told) == 3
    with pytest.raises(AlreadyApplied), once_in(place.uri, "k"):
        pytest.fail("the block is not entered")


def test_threads_may_share_a_connection(place: Place) -> None:
    """As the handlers of a worker do with one that their module opened: each block waits for the one before it."""
    connection = place.open()
    done = Handlers()

    @done.handler("Payment.made")
    def book(message: Message, context: Context) -> None:
        with context.transaction(connection) as transaction:
            write(transaction, message.delivery.id)

    def handle(number: int) -> None:
        name = f"message {number:02}"
        delivery = Delivery("h", "{}", name, attributes={"iniesta_pass": "Payment.made"})
        done.run(delivery, Context(message_id=name, key=name, fence=1))

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(handle, range(40)))
    connection.close()
    assert place.effects() == [f"message {number:02}" for number in range(40)]


def test_a_sqlite_connection_is_what_it_was_in_its_block(tmp_path: Path) -> None:
    """Cursors, rows by name, savepoints and what it says of itself; only the ways to end the transaction are refused."""
    connection = sqlite3.connect(tmp_path / "shop")
    connection.execute("CREATE TABLE effects (word TEXT)")
    with once_in(connection, "k") as transaction:
        transaction.row_factory = sqlite3.Row
        cursor = transaction.cursor()
        cursor.executemany("INSERT INTO effects VALUES (?)", [("a",), ("b",)])
        assert cursor.rowcount == 2
        transaction.execute("SAVEPOINT inner")
        transaction.execute("DELETE FROM effects")
        transaction.execute("/* not all */ ROLLBACK TO inner")
        assert [row["word"] for row in cursor.execute("SELECT word FROM effects ORDER BY word")] == ["a", "b"]
        assert next(transaction.execute("SELECT count(*) FROM effects"))[0] == 2
        assert cursor.connection is transaction
        assert transaction.in_transaction
    assert connection.row_factory is sqlite3.Row
    connection.close()


ENDS: dict[str, list[Callable[[Any], object]]] = {
    "sqlite": [
        lambda transaction: transaction.commit(),
        lambda transaction: transaction.rollback(),
        lambda transaction: transaction.execute("END"),
        lambda transaction: transaction.cursor().execute("-- done\n  commit"),
        lambda transaction: transaction.cursor().executescript("SELECT 1"),
        lambda transaction: transaction.cursor().connection.commit(),
        lambda transaction: transaction.__enter__(),
        lambda transaction: transaction.executescript("INSERT INTO effects VALUES ('script')"),
    ],
    "duckdb": [
        lambda transaction: transaction.commit(),
        lambda transaction: transaction.rollback(),
        lambda transaction: transaction.execute("INSERT INTO effects VALUES ('x'); COMMIT"),
        lambda transaction: transaction.sql("ROLLBACK"),
        lambda transaction: transaction.execute("SELECT 1").commit(),
        lambda transaction: transaction.cursor(),
    ],
}


def ending(where: Any, end: Callable[[Any], object], *, hidden: tuple[type[Exception], ...], raises: bool) -> None:
    """A handler that ends its transaction half way, and perhaps fails behind that."""
    with once_in(where, "k") as transaction:
        write(transaction)
        with suppress(*hidden):
            end(transaction)
        write(transaction, "half")
        if raises:
            raise RuntimeError("the mail server is away")


@pytest.mark.parametrize(("after", "place"), in_turn(["stops", "goes on", "raises"], ["sqlite", "duckdb"]), indirect=["place"])
def test_a_handler_does_not_end_the_transaction(place: Place, *, after: str) -> None:
    """Out of habit, or in its own except: what it tries is refused, effect and note are both undone, and the next run is let in;
    whatever it does with the refusal, and whether anything fails behind it.
    """
    connection = place.open()
    for end, where in product(ENDS[place.uri.partition(":")[0]], (place.uri, connection)):
        with pytest.raises(FixConfig, match=r"refused; its effect and the note of it are both undone") as raised:
            ending(where, end, hidden=() if after == "stops" else (FixConfig, sqlite3.Error), raises=after == "raises")
        assert Handlers().then(raised.value, Delivery("h", "", "id")) is Then.RETRY
    with once_in(connection, "k") as transaction:
        write(transaction)
    connection.close()
    assert place.effects() == ["effect"]


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_the_driver_of_postgresql_refuses_to_end_it(place: Place, where: Any) -> None:
    """By itself, at the call; effect and note are both undone."""
    for end in ("commit", "rollback"):
        with pytest.raises(psycopg.ProgrammingError, match=f"{end}.. forbidden"):
            ending(where, methodcaller(end), hidden=(), raises=False)
    with once_in(where, "k"):
        pass
    assert place.effects() == []


def ends_unseen(place: Place, connection: Any) -> Callable[[Any], object]:
    """How a handler can end the transaction where nobody can refuse it."""
    if place.uri.startswith("sqlite"):
        return lambda transaction: transaction.execute("INSERT OR ROLLBACK INTO once VALUES (1)")
    if place.uri.startswith("duckdb"):
        return lambda _: connection.commit()
    return lambda transaction: transaction.execute("COMMIT")


@pytest.mark.parametrize("after", ["goes on", "raises"])
def test_a_transaction_that_was_ended_unseen_is_told(place: Place, *, after: str) -> None:
    """What of the effect is kept nobody knows: it is no success, and set aside for a person, not repeated."""
    connection = place.open()
    if isinstance(connection, sqlite3.Connection):
        connection.isolation_level = None  # else the driver begins another, which is refused
    connection.execute("CREATE TABLE once (x INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO once VALUES (1)")
    connection.commit()
    end = ends_unseen(place, connection)
    with pytest.raises(BrokenTransaction, match="ended the transaction") as raised:
        ending(connection, end, hidden=(sqlite3.IntegrityError,), raises=after == "raises")
    assert Handlers().then(raised.value, Delivery("h", "", "id")) is Then.BURY
    connection.close()


@EVERYWHERE
def test_a_run_has_one_transaction_in_a_database(place: Place, where: Any) -> None:
    """A second one is refused: a repeat of the run would take its message for handled after the first. It is no success, and set
    aside. In another run of the message the first is found applied, as ever.
    """
    for fence in (0, 12):
        context = Context(message_id="m", key=f"queue/{fence}", fence=fence)
        with context.transaction(where) as transaction:
            write(transaction)
        with pytest.raises(BrokenTransaction, match="one transaction") as raised, context.transaction(where):
            pytest.fail("the block is not entered")
        assert Handlers().then(raised.value, Delivery("h", "", "id")) is Then.BURY
        another = Context(message_id="m", key=f"queue/{fence}", fence=fence and fence + 1)
        with pytest.raises(AlreadyApplied), another.transaction(where):
            pytest.fail("the block is not entered")


@EVERYWHERE
def test_a_run_may_have_several_transactions_by_name(place: Place, where: Any) -> None:
    """Each comes about once: a run that was cut off between two does the second when it is repeated."""

    def handle(context: Context, *, dies: bool) -> None:
        with suppress(AlreadyApplied), context.transaction(where, name="order") as transaction:
            write(transaction, "order")
        if dies:
            raise RuntimeError("the mail server is away")
        with context.transaction(where, name="invoice") as transaction:
            write(transaction, "invoice")

    with pytest.raises(RuntimeError):
        handle(Context(message_id="m", key="k", fence=1), dies=True)
    handle(Context(message_id="m", key="k", fence=2), dies=False)
    with pytest.raises(AlreadyApplied):
        handle(Context(message_id="m", key="k", fence=3), dies=False)
    if not isinstance(where, str):
        where.close()
    assert place.effects() == ["invoice", "order"]


@EVERYWHERE
def test_a_transaction_that_failed_may_be_begun_again(place: Place, where: Any) -> None:
    """In the same run: nothing of it was kept."""
    context = Context(message_id="m", key="k", fence=1)
    with pytest.raises(THEIRS), context.transaction(where) as transaction:
        (write(transaction, "first"), transaction.execute("SELECT 1 FROM nowhere"))
    with context.transaction(where) as transaction:
        write(transaction, "second")
    if not isinstance(where, str):
        where.close()
    assert place.effects() == ["second"]


def test_a_place_may_be_a_secret(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every URI that may hold a password."""
    monkeypatch.setenv("SHOP", place.uri)
    with once_in("env:SHOP", "k") as transaction:
        write(transaction)
    assert place.effects() == ["effect"]


CHANGES = {
    "search_path": "SET search_path TO tenant",
    "role": "SET ROLE pg_read_all_data",
    "temporary": "CREATE TEMPORARY TABLE staging AS SELECT 1",
    "lock": "SELECT pg_advisory_lock(7)",
    "timeout": "SET statement_timeout = 7777",
    "cursor": "DECLARE mine CURSOR WITH HOLD FOR SELECT 1",
}
SEEN = (
    "SELECT current_setting('search_path'), current_user, current_setting('statement_timeout'), to_regclass('pg_temp.staging'),"
    " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), (SELECT count(*) FROM pg_cursors WHERE is_holdable)"
)


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_what_a_handler_sets_for_its_session_ends_with_it(server: Server, tmp_path: Path, *, change: str) -> None:
    """The next message finds a connection as new, by the server and by the driver, and the same notes."""
    with server.place(tmp_path) as made:
        made.run("CREATE SCHEMA tenant")
        with once_in(made.uri(), "before") as transaction:
            before, process = transaction.execute(SEEN).fetchone(), transaction.info.backend_pid
        with once_in(made.uri(), "k") as transaction:
            transaction.execute(CHANGES[change])
            transaction.row_factory = psycopg.rows.dict_row
            transaction.cursor_factory = psycopg.ClientCursor
            transaction.prepare_threshold = 0
        with pytest.raises(AlreadyApplied), once_in(made.uri(), "k"):
            pytest.fail("the block is not entered")
        with once_in(made.uri(), "after") as transaction:
            assert transaction.info.backend_pid == process
            assert transaction.execute(SEEN).fetchone() == before
            assert (transaction.cursor_factory, transaction.prepare_threshold) == (psycopg.Cursor, 5)
        assert made.rows("SELECT schemaname FROM pg_tables WHERE tablename = '_halocline_applied'") == [("public",)]
        _idle.cache_clear()


def test_a_connection_whose_session_was_changed_has_the_same_notes(server: Server, tmp_path: Path) -> None:
    """What a program sets on a connection of its own stays, and decides nothing: neither its schema nor what it makes of rows."""
    with server.place(tmp_path) as made, psycopg.connect(made.uri(), autocommit=True) as connection:
        made.run("CREATE SCHEMA tenant")
        with once_in(connection, "k"):
            pass
        connection.execute("SET search_path TO tenant")
        connection.row_factory = lambda _: lambda values: {"no_such_name": values[7]}
        with pytest.raises(AlreadyApplied), once_in(connection, "k"):
            pytest.fail("the block is not entered")
        with once_in(connection, "other"):
            pass
        assert made.rows("SELECT count(*) FROM public._halocline_applied") == [(2,)]


def test_a_duckdb_connection_whose_schema_was_changed_has_the_same_notes(tmp_path: Path) -> None:
    """Notes are in the schema `main` of the database in use, whatever its name is."""
    with duckdb.connect(str(tmp_path / "main.duckdb")) as connection:
        with once_in(connection, "k"):
            pass
        connection.execute("CREATE SCHEMA tenant")
        connection.execute("SET schema = 'tenant'")
        with pytest.raises(AlreadyApplied), once_in(connection, "k"):
            pytest.fail("the block is not entered")


def test_a_user_who_may_not_make_the_table_is_told_what_to_do(server: Server, tmp_path: Path) -> None:
    """By the statements that somebody else has to run; then it works."""
    with server.place(tmp_path) as made, psycopg.connect(made.uri(), autocommit=True) as connection:
        made.run("CREATE ROLE shop_clerk")
        try:
            connection.execute("SET ROLE shop_clerk")
            with pytest.raises(AccessDenied, match="Have somebody make it") as raised, once_in(connection, "k"):
                pytest.fail("the block is not entered")
            for statement in raised.value.hint.removeprefix("Have somebody make it who may: ").rstrip(".").split("; "):
                made.run(statement.replace("the_user", "shop_clerk"))
            for key in ("k", SWEEPER):
                with once_in(connection, key):
                    pass
        finally:
            connection.execute("RESET ROLE; DROP OWNED BY shop_clerk; DROP ROLE shop_clerk")


DIES = """
import os, sys
from halocline.consume.handling.transaction import once_in
with once_in(sys.argv[1], "k") as transaction:
    transaction.execute("INSERT INTO effects VALUES ('effect')")
    os._exit(9)
"""


def test_a_process_that_dies_before_the_commit_left_nothing(place: Place) -> None:
    """The next run does it, and once."""
    assert subprocess.run([sys.executable, "-c", DIES, place.uri], check=False, timeout=60).returncode == 9
    assert place.effects() == []
    with once_in(place.uri, "k") as transaction:
        write(transaction)
    assert place.effects() == ["effect"]


def test_old_notes_are_swept(place: Place) -> None:
    """One key in some hundreds takes those along that no queue can ask for any more."""
    for key in ("old", "young"):
        with once_in(place.uri, key):
            pass
    connection = place.open()
    connection.execute(f"UPDATE {applied.TABLE} SET applied = '2020-01-01 00:00:00' WHERE key = 'old'")
    connection.commit()
    connection.close()
    with once_in(place.uri, SWEEPER):
        pass
    assert [key for key, _ in place.notes()] == sorted([SWEEPER, "young"])


def test_a_connection_of_ours_that_was_lost_is_made_anew(server: Server, tmp_path: Path) -> None:
    """A server that was started anew costs no message."""
    with server.place(tmp_path) as made:
        with once_in(made.uri(), "a"):
            pass
        made.rows(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename IS NOT NULL"
        )
        with once_in(made.uri(), "b"):
            pass
        assert made.rows(f"SELECT count(*) FROM {applied.TABLE}") == [(2,)]
        _idle.cache_clear()


def test_a_run_that_waits_for_another_does_so_for_a_while_only(server: Server, tmp_path: Path) -> None:
    """A zombie that stands still in its transaction keeps its message to itself, not the worker."""
    with server.place(tmp_path) as made, psycopg.connect(made.uri(), autocommit=True) as zombie:
        with once_in(zombie, "first"):
            pass
        with psycopg.connect(made.uri(lock_timeout="50"), autocommit=True) as second:
            with once_in(zombie, "k"), pytest.raises(HaloclineError, match="lock timeout"), once_in(second, "k"):
                pytest.fail("the block is not entered")
            with pytest.raises(AlreadyApplied), once_in(second, "k"):
                pytest.fail("the block is not entered")


@pytest.mark.parametrize(
    ("where", "told"),
    [("redis://host", "redis://"), (object(), "object"), ("sqlite:///", "no file"), ("mysql://user:word@host/x", "mysql://")],
    ids=["redis", "object", "nothing", "mysql"],
)
def test_what_is_no_place_is_told(where: object, told: str) -> None:
    """Without what may be a secret in it."""
    with pytest.raises(FixConfig, match=told) as raised, once_in(where, "k"):
        pytest.fail("the block is not entered")
    assert "word" not in str(raised.value)


@EVERYWHERE
def test_a_message_without_a_key_has_no_transaction(place: Place, where: Any) -> None:
    """It could not be told from any other."""
    with pytest.raises(FixConfig, match="no key"), once_in(where, ""):
        pytest.fail("the block is not entered")
    assert place.effects() == []


@pytest.mark.parametrize(("handlers", "key"), [(Handlers(), "/1"), (Handlers(key=lambda message: message.raw_body), "/words")])
def test_a_handler_that_is_tested_alone_has_it_too(tmp_path: Path, handlers: Handlers, key: str) -> None:
    """`handlers.run(delivery, Context())` knows the message by its id, or by the user's key; a context's own key counts more."""
    uri = f"sqlite:///{tmp_path / 'mine.sqlite'}"
    keys = []

    @handlers.handler
    def handle(message: Message, context: Context) -> None:
        keys.append(context.key)
        with context.transaction(uri) as transaction:
            transaction.execute("CREATE TABLE effects (word TEXT)")

    handlers.run(Delivery("h", "words", "1"), Context())
    with pytest.raises(AlreadyApplied):
        handlers.run(Delivery("h", "words", "1"), Context())
    with pytest.raises(AlreadyApplied):
        handlers.run(Delivery("h", "words", "2"), Context(key=key))
    assert keys == [key] * 3


def test_a_handler_has_it_by_its_context(place: Place) -> None:
    """By the key of its message, with the fence of its claim; not when its lease is lost already."""
    context = Context(message_id="m", key="queue/m", fence=12)
    with context.transaction(place.uri) as transaction:
        write(transaction)
    assert place.notes() == [("queue/m", 12)]
    context.lease.lose("somebody else took over")
    with suppress(AlreadyApplied), pytest.raises(LeaseLost):
        context.transaction(place.uri)
