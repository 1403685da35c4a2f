"""T27: the state that each version left is opened by the present code, which goes on from it (docs/operations.md, upgrades)."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest
from redis import Redis
from typer.testing import CliRunner

import halocline
from halocline.consume.stores import open_store
from halocline.emulator.server import Emulator
from halocline.idempotency import IdempotencyStore, Wanted
from halocline.idempotency import State as Found
from halocline.ledger import open_ledger
from halocline.testing.aws.fake import FakeAWS
from tests.command_line import app
from tests.connectors.postgres.server import Server
from tests.connectors.snowflake.server import snowflake_server
from tests.figures import Says, add
from tests.redis_server import RedisServer
from tests.samples.postgres import postgres
from tests.state.opened import FOLDER, LAKES, VERSIONS, State, ledger_view, letters_view, org_view, sent_view
from tests.system.shell import env_of, plain_env

WHAT = "T27 state"
Filled = Callable[[], str]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as running:
        yield Server(running)


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def state(version: str, tmp_path: Path) -> State:
    return State.unpacked(version, tmp_path / "state")


@pytest.fixture
def place(request: pytest.FixtureRequest, state: State, tmp_path: Path) -> Iterator[Filled]:
    """The URI of the database that the version left, which is filled when a test first asks."""
    with ExitStack() as stack:

        @cache
        def filled() -> str:
            server: Server = request.getfixturevalue("server")
            made = stack.enter_context(server.place(tmp_path))
            made.run((state.folder / "postgres.sql").read_text())
            return made.uri()

        yield filled


def opened(record: Says) -> None:
    add(record, WHAT, states_opened=1, wrong=0)


def typed(org: Emulator, home: Path, *words: str, ledger: str | None = None) -> list[dict[str, Any]]:
    """What `halocline` says to these words, in JSON."""
    env: dict[str, str | None] = dict.fromkeys(name for name in plain_env() if name.startswith("HALOCLINE_"))
    env |= env_of(org, home) | ({"HALOCLINE_LEDGER": ledger} if ledger else {})
    done = CliRunner().invoke(app, [*words, "--json"], env=env)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code in (0, 3), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# ---- the ledger, in a file and in PostgreSQL


@pytest.mark.parametrize("home", ["file", "server"])
def test_a_ledger_is_opened_with_all_that_it_held(
    home: str, state: State, place: Callable[[], str], record_property: Says
) -> None:
    """Runs, refused rows, doubts; fences go on growing; the last migration has run."""
    where = state.ledger if home == "file" else place()
    found, told = ledger_view(where), state.told["ledgers"][home]
    assert {name: found[name] for name in ("runs", "refused", "doubts")} == {
        name: told[name] for name in ("runs", "refused", "doubts")
    }
    assert any(found["open"].values())
    with open_ledger(where) as ledger:
        assert ledger.claim("a-flow", "another", ttl_s=1).fence == 2
    assert ledger_view(where) == found
    opened(record_property)


# ---- tables, and the positions beside them


@pytest.mark.parametrize("lake", [*LAKES, "postgres"])
def test_the_next_sync_reads_on_from_the_position(
    lake: str, state: State, place: Callable[[], str], record_property: Says
) -> None:
    """Only what changed since is read, also where the run before was killed; then the table is what the org is."""
    home, uri = ("server", place()) if lake == "postgres" else ("home", state.lake(lake))
    ledger = place() if lake == "postgres" else None
    words = ("Account", "--to", uri, "--fields", "Id,Name,Ext__c,SystemModstamp")
    with state.org() as org:
        said = typed(org, state.folder / home, "sync", *words, ledger=ledger)[-1]
        assert "incremental" in said["sync_method"], said
        assert said["success"], said
        compared = typed(org, state.folder / home, "verify", *words, "--full", ledger=ledger)[-1]
        assert compared["equal"], compared
    opened(record_property)


@pytest.mark.long
def test_so_it_does_in_snowflake(state: State, record_property: Says) -> None:
    """On an emulation of it, from the tables as they lay there."""
    words = ("--fields", "Id,Name,Ext__c,SystemModstamp")
    with snowflake_server() as server, state.org() as org:
        uri = server.uri("LAKE")
        with server.connect("LAKE") as connection, connection.cursor() as cursor:
            for name, table in json.loads((state.folder / "snowflake.json").read_text()).items():
                defined = ", ".join(f'"{one}" {kind}' for one, kind in table["columns"])
                cursor.execute(f'CREATE TABLE "{name}" ({defined})')
                values = ", ".join(f"%s::{kind}" for _, kind in table["columns"])
                for row in table["rows"]:
                    cursor.execute(f'INSERT INTO "{name}" SELECT {values}', row)
        said = typed(org, state.folder / "home", "sync", "Account", "--to", uri, *words)[-1]
        assert "incremental" in said["sync_method"], said
        assert typed(org, state.folder / "home", "verify", "Account", "--to", uri, *words, "--full")[-1]["equal"]
    opened(record_property)


# ---- pushes


@pytest.mark.parametrize("home", ["file", "server"])
def test_a_push_that_was_killed_is_gone_on_with(home: str, state: State, place: Filled, record_property: Says) -> None:
    """An upsert is completed, each row once; of an insert no row is sent twice, and what is in doubt is told, row by row."""
    told, ledger = state.told["ledgers"][home], place() if home == "server" else None
    folder = state.folder / ("home" if home == "file" else "server")
    with state.org() as org:
        for mode in ("upsert", "insert"):
            typed(org, folder, "resume", told[mode]["run"], ledger=ledger)
        there = Counter(one["Ext__c"] for one in org.query("SELECT Ext__c FROM Account WHERE Ext__c != NULL"))
    assert max(there.values()) == 1
    assert {f"{home}-upsert-{row}" for row in range(told["upsert"]["rows"])} <= set(there)
    found = ledger_view(ledger or state.ledger)
    doubts = found["doubts"].get(told["insert"]["run"], [])
    assert doubts
    sure = set(range(told["insert"]["rows"])) - set(doubts)
    assert {f"{home}-insert-{row}" for row in sure} <= set(there)
    assert {found["runs"][told[mode]["run"]][1] for mode in ("upsert", "insert")} == {"done"}
    assert not any(found["open"][told[mode]["run"]] for mode in ("upsert", "insert"))
    opened(record_property)


def test_refused_rows_are_named(state: State, record_property: Says) -> None:
    """By `halocline errors`, with their numbers."""
    with state.org() as org:
        for run, rows in state.told["ledgers"]["file"]["refused"].items():
            assert [one["row"] for one in typed(org, state.folder / "home", "errors", run)] == rows
    opened(record_property)


def test_what_was_sent_is_not_sent_again(state: State, record_property: Says) -> None:
    """In diff mode the rows that were written stay unsent, and only those that were refused go."""
    assert len(sent_view(state)) == 4
    file = state.folder / "file-mixed.csv"
    file.write_text("Ext__c,Name\n" + "".join(f"file-{number},Row {number}\n" for number in range(6)))
    words = ("--to", "Account", "--mode", "upsert", "--key", "Ext__c", "--diff")
    with state.org() as org:
        said = typed(org, state.folder / "home", "push", str(file), *words)[-1]
    assert (said["unchanged"], said["created"]) == (4, 2), said
    opened(record_property)


# ---- what was handled


def check_claims(store: IdempotencyStore | None) -> None:
    """Each key means what it meant, and the next fence is greater."""
    assert store is not None
    names = ["done", "failed", "aside", "died", "released"]
    before = {one.key: one.fence for one in store.look(names) if one is not None}
    claims = {one.key: one for one in store.claim([Wanted(name, "a payload") for name in names], owner="another", lease_s=60)}
    assert {name: claims[name].state for name in names} == {
        "done": Found.DONE,
        "failed": Found.OURS,
        "aside": Found.QUARANTINED,
        "died": Found.OURS,
        "released": Found.OURS,
    }
    assert (claims["done"].result, claims["aside"].reason) == ("a result", "poison")
    assert (claims["failed"].attempts, claims["died"].deaths, claims["released"].deaths) == (1, 1, 0)
    assert all(claims[name].fence > before[name] for name in ("failed", "died") if name in before)
    store.close()


def test_what_was_handled_is_not_handled_again(state: State, place: Filled, record_property: Says) -> None:
    """In a file and in PostgreSQL."""
    check_claims(open_store(f"sqlite:///{state.ledger}"))
    check_claims(open_store(place()))
    opened(record_property)


@pytest.mark.system
def test_nor_by_the_records_in_redis(state: State, record_property: Says) -> None:
    """Hashes and the list of what is set aside, as they lay there."""
    kept = json.loads((state.folder / "redis.json").read_text())
    with RedisServer() as running:
        with Redis.from_url(running.uri) as client:
            for name, fields in kept["hashes"].items():
                client.hset(name, mapping=fields)
            for name, members in kept["sorted"].items():
                client.zadd(name, members)
        check_claims(open_store(running.uri))
    opened(record_property)


def test_nor_by_the_items_in_dynamodb(state: State, aws: FakeAWS, record_property: Says) -> None:
    """Items of a table, as they lay there."""
    client = boto3.client("dynamodb")
    client.create_table(
        TableName="claims",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
    )
    for item in json.loads((state.folder / "dynamodb.json").read_text()):
        client.put_item(TableName="claims", Item=item)
    check_claims(open_store("dynamodb://claims"))
    opened(record_property)


# ---- letters, and the emulator's org


def test_letters_are_listed_and_brought_back(state: State, monkeypatch: pytest.MonkeyPatch, record_property: Says) -> None:
    """By `halocline dlq`, with their reasons."""
    assert [(json.loads(body), whole) for _, body, whole in letters_view(state)] == [({"order": n}, True) for n in range(3)]
    monkeypatch.setenv("HALOCLINE_HOME", str(state.folder / "home"))
    done = CliRunner().invoke(app, ["dlq", "ls", f"file://{state.folder}/home/quarantine/orders", "--json"])
    assert [json.loads(line)["reason"] for line in done.stdout.splitlines()] == [f"ValueError: id-{n}" for n in range(3)], done
    opened(record_property)


def test_the_org_is_opened(state: State, record_property: Says) -> None:
    """Every record as it was."""
    assert org_view(state) == state.told["accounts"]
    opened(record_property)


# ---- the state itself


@pytest.mark.parametrize("version", VERSIONS)
def test_a_state_is_whole_small_and_tells_nothing_of_who_made_it(version: str, state: State) -> None:
    """Every table of the ledger is filled; below 1 MB; no host, folder or secret of anybody."""
    assert sum(path.stat().st_size for path in (FOLDER / version).iterdir()) < 1 << 20
    with sqlite3.connect(state.ledger) as db:
        tables = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        ]
        assert [name for name in tables if not db.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone()] == []
        assert {host for (host,) in db.execute("SELECT DISTINCT host FROM runs")} == {"the-host"}
    db.close()
    with duckdb.connect(str(state.folder / "lake.duckdb"), read_only=True) as lake:
        owners = lake.sql("SELECT DISTINCT owner FROM _halocline_positions").fetchall()
    assert owners
    unwanted = (
        b"consumer-secret",
        b"own word",
        b"administrator",
        f"{Path.home()}/".encode(),
        f"{FOLDER.parent.parent}/".encode(),
    )
    for path in state.folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert [word for word in unwanted if word in data] == [], path.name


def test_this_version_has_left_its_state() -> None:
    """`tools/make_state.py` has been run for it."""
    assert halocline.__version__ in VERSIONS
