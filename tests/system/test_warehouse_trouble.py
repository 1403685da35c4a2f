"""Trouble in the warehouse: one clear paragraph, the right exit code, table and position as they were; the next sync is right.

A real PostgreSQL and the command line. The connection is cut by a small proxy that counts what passes; the server is brought
down by the end of one of its processes, after which it restarts by itself. A full disk is told by a trigger that raises the
server's own 53100, and is a real one besides where a small one can be mounted (root).
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import string
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from typer.testing import CliRunner

from halocline.emulator.server import Emulator
from tests.command_line import app
from tests.connectors.postgres.server import Place, Server
from tests.figures import Says, add
from tests.samples.postgres import _ADMIN_WORD, postgres
from tests.system.desk import FIELDS, STARTS, WAYS, Desk, Told, desk_at, frozen_org

pytestmark = [pytest.mark.system, pytest.mark.timeout(120), pytest.mark.usefixtures("conserved")]

READY_S = 30.0
GRANTS = ("GRANT USAGE, CREATE ON SCHEMA public TO {user}",)
MODES = {"changed": False, "full": True}


def each_mode(short: str) -> pytest.MarkDecorator:
    """A sync of what changed, and a full one; the short run takes one of them."""
    marked = [pytest.param(full, id=name, marks=() if name == short else pytest.mark.long) for name, full in MODES.items()]
    return pytest.mark.parametrize("full", marked)


def crossed(names: str, first: Sequence[Any], second: Sequence[Any]) -> pytest.MarkDecorator:
    """Every pair with --long; without it each of the first with one of the second, in turn."""
    pairs = [
        pytest.param(one, other, marks=() if (at + number) % len(second) == 0 else pytest.mark.long, id=f"{one}-{other}")
        for at, one in enumerate(first)
        for number, other in enumerate(second)
    ]
    return pytest.mark.parametrize(names, pairs)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with frozen_org() as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as running:
        yield Server(running)


@dataclass(slots=True)
class Warehouse:
    """A desk whose lake is a database of a real server."""

    desk: Desk
    place: Place
    tried: list[str] = field(default_factory=list)

    def sync(self, way: str = "rest", *more: str, to: str = "") -> Told:
        """`halocline sync` into the database."""
        # By reference, as the command asks for: the URI holds a password.
        env = {**self.desk.env, "WAREHOUSE": to or self.place.uri()}
        words = ["sync", "Account", "--to", "env:WAREHOUSE", "--table", "account", "--fields", ",".join(FIELDS)]
        done = CliRunner().invoke(app, [*words, *WAYS[way], *more], env=env)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Told(done.exit_code, done.stdout, done.stderr)

    def filled(self, way: str = "rest", *, to: str = "") -> bytes:
        """The table is there, and life goes on in the org; what the table is like."""
        told = self.sync(way, to=to)
        assert told.exit_code == 0, told.err
        self.desk.life()
        return self.dump()

    def dump(self, admin: Any = None) -> bytes:
        """The table, its columns and its position, to the byte."""
        ask = (admin or self.place.admin).execute
        columns = ask("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'account'::regclass"
                      " AND attnum > 0 AND NOT attisdropped ORDER BY attnum").fetchall()  # fmt: skip
        rows = ask("SELECT * FROM account ORDER BY id").fetchall()
        positions = ask("SELECT flow, target, position FROM _halocline_positions WHERE target <> '' ORDER BY 1, 2").fetchall()
        return repr((columns, rows, positions)).encode()

    def equals_org(self, admin: Any = None) -> bool:
        """Whether the table holds just what the org holds, and nothing of ours lies about beside it."""
        ask = (admin or self.place.admin).execute
        named = ask("SELECT id, name, description, isdeleted FROM account ORDER BY id").fetchall()
        org = self.desk.emulator.store.read("SELECT Id, Name, Description, IsDeleted FROM Account ORDER BY Id")
        tables = {
            name for (name,) in ask("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        }
        assert tables == {"account", "_halocline_positions"}
        return named == [(*row[:3], bool(row[3])) for row in org]

    def recovers(self, before: bytes, *, way: str = "rest", to: str = "", admin: Any = None) -> None:
        """Table and position are as before; the next sync is right."""
        assert self.dump(admin) == before
        told = self.sync(way, to=to)
        assert told.exit_code == 0, told.err
        assert self.equals_org(admin)


@pytest.fixture
def house(emulator: Emulator, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    with desk_at(emulator, tmp_path, monkeypatch) as desk, server.place(tmp_path) as place:
        yield Warehouse(desk, place)


def clear(told: Told, *, exit_code: int, says: tuple[str, ...]) -> None:
    """One paragraph that names these things; no secret, no traceback; the exit code."""
    assert told.exit_code == exit_code, told.err
    *progress, text = told.err.strip().splitlines()
    assert all(line.startswith("Account -> ") for line in progress), told.err
    assert text.startswith(STARTS[{1: 0, 2: 1, 75: 2}[exit_code]])
    assert 60 < len(text) < 700
    for word in says:
        assert re.search(word, text, re.IGNORECASE), f"{word!r} is not in: {text}"
    for word in ("Traceback", "own word", _ADMIN_WORD, "object at 0x", "psycopg", "_halocline_stage"):
        assert word not in text, text


def tell(record: Says, trouble: str) -> None:
    """One trouble more that was told and overcome."""
    add(record, "Trouble in the warehouse, told clearly, table and position as before, next run right", **{trouble: 1})


# ---- rights


@dataclass(frozen=True, slots=True)
class Right:
    """What is taken away, what gives it back, and what the error names."""

    take: str
    give: str
    says: str


RIGHTS = {
    "use the schema": Right(
        "REVOKE USAGE ON SCHEMA public FROM PUBLIC, {user}", "GRANT USAGE ON SCHEMA public TO {user}", "schema"
    ),
    "create in the schema": Right(
        "REVOKE CREATE ON SCHEMA public FROM {user}", "GRANT CREATE ON SCHEMA public TO {user}", "schema"
    ),
    "write the table": Right(
        "ALTER TABLE account OWNER TO postgres; GRANT SELECT ON account TO {user}",
        "ALTER TABLE account OWNER TO {user}",
        "account",
    ),
    "read the table": Right(
        "ALTER TABLE account OWNER TO postgres; GRANT INSERT, UPDATE, DELETE ON account TO {user}",
        "ALTER TABLE account OWNER TO {user}",
        "account",
    ),
    "write one column": Right(
        "ALTER TABLE account OWNER TO postgres; GRANT SELECT, INSERT, DELETE ON account TO {user};"
        " GRANT UPDATE (id, name) ON account TO {user}",
        "ALTER TABLE account OWNER TO {user}",
        "account|description",
    ),
    "write positions": Right(
        "ALTER TABLE _halocline_positions OWNER TO postgres; GRANT SELECT ON _halocline_positions TO {user}",
        "ALTER TABLE _halocline_positions OWNER TO {user}",
        "_halocline_positions",
    ),
}


@crossed("right,full", list(RIGHTS), [False, True])
def test_a_right_that_is_missing(right: str, full: bool, house: Warehouse, record_property: Says) -> None:
    """Exit code 2 in the server's words; given back, the same command works."""
    uri = house.place.user("syncs", *GRANTS)
    user = f'"syncs_{house.place.database}"'
    before = house.filled(to=uri)
    house.place.run(RIGHTS[right].take.format(user=user))
    told = house.sync("rest", *["--full"] * full, to=uri)
    clear(told, exit_code=2, says=("permission denied|must be owner|no schema|search_path", RIGHTS[right].says))
    house.place.run(RIGHTS[right].give.format(user=user))
    house.recovers(before, to=uri)
    tell(record_property, "rights_missing")


# ---- values


UNFIT = {
    "text longer": ("ALTER TABLE account ALTER name TYPE varchar(3)", "ALTER TABLE account ALTER name TYPE text", "name"),
    "number larger": (
        "ALTER TABLE account ALTER numberofemployees TYPE numeric(2,0)",
        "ALTER TABLE account ALTER numberofemployees TYPE bigint",
        "numberofemployees",
    ),
    "check broken": (
        "ALTER TABLE account ADD CONSTRAINT short CHECK (name <> 'far too long')",
        "ALTER TABLE account DROP CONSTRAINT short",
        "short",
    ),
}


@crossed("unfit,way", list(UNFIT), list(WAYS))
def test_a_value_that_does_not_fit(unfit: str, way: str, house: Warehouse, record_property: Says) -> None:
    """A column that its user made narrower, or a constraint: exit code 2 and its name, never a value cut or rounded."""
    narrow, wide, name = UNFIT[unfit]
    more = ("--fields", ",".join([*FIELDS, "NumberOfEmployees"]))
    assert house.sync(way, *more).exit_code == 0
    house.place.run("UPDATE account SET numberofemployees = 1")
    house.place.run(narrow)
    house.desk.life()
    house.desk.add(1, Name="far too long", NumberOfEmployees=1_000)
    before = house.dump()
    clear(house.sync(way, *more), exit_code=2, says=(name,))
    assert house.dump() == before
    house.place.run(wide)
    told = house.sync(way, *more)
    assert told.exit_code == 0, told.err
    assert house.equals_org()
    tell(record_property, "values_that_do_not_fit")


# ---- locks


LOCKS = {
    "lock_timeout": ({"lock_timeout": "300ms"}, "lock timeout"),
    "statement_timeout": ({"statement_timeout": "300ms"}, "statement timeout|canceling statement"),
}


@crossed("limit,held", list(LOCKS), [*product(("ROW EXCLUSIVE", "ACCESS EXCLUSIVE"), (False, True))])
def test_a_table_that_somebody_holds(limit: str, held: tuple[str, bool], house: Warehouse, record_property: Says) -> None:
    """Whatever limit is set ends the wait: exit code 75, and what to do; afterwards the sync completes."""
    (limits, words), (lock, full) = LOCKS[limit], held
    before = house.filled()
    with psycopg.connect(house.place.uri()) as other:
        other.execute(f"LOCK TABLE account IN {lock} MODE")  # type: ignore[arg-type]  # a text of the test's
        if lock == "ROW EXCLUSIVE" and not full:
            other.execute("SELECT 1 FROM account FOR UPDATE")
        told = house.sync("rest", *["--full"] * full, to=house.place.uri(**limits))
        clear(told, exit_code=75, says=(words, "run this again"))
    house.recovers(before)
    tell(record_property, "tables_locked")


# ---- connections


@dataclass(slots=True)
class Proxy:
    """Passes bytes on to the server's socket, and cuts every connection once the marks in `cut_at` have passed to the server.

    `seen` is what was sent to the server, all connections together.
    """

    target: str
    cut_after: bytes = b""
    cut_bytes: int = 0
    cut: bool = False
    _open: list[socket.socket] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Take connections until it is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.target)
                self._open += [client, server]
                threading.Thread(target=self._up, args=(client, server), daemon=True).start()
                threading.Thread(target=self._down, args=(server, client), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        tail, left = b"", None
        with suppress(OSError):
            while data := client.recv(4_096):
                tail = tail[-200:] + data
                if left is None and self.cut_after and self.cut_after in tail and not self.cut:
                    left = self.cut_bytes
                if left is not None:
                    if len(data) >= left:
                        server.sendall(data[:left])
                        self.cut = True
                        break
                    left -= len(data)
                server.sendall(data)
        self._end(client, server)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                client.sendall(data)
        self._end(client, server)

    def _end(self, *both: socket.socket) -> None:
        for one in both:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._end(*self._open)


@contextmanager
def proxy(place: Place) -> Iterator[Proxy]:
    made = Proxy(str(place.server.folder / f".s.PGSQL.{place.server.port}"))
    thread = threading.Thread(target=made.serve)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join()


def through(made: Proxy, place: Place) -> str:
    """The URI that goes through the proxy."""
    return f"postgresql://postgres:{quote(_ADMIN_WORD)}@127.0.0.1:{made.port}/{place.database}?sslmode=disable&gssencmode=disable"


CUTS = {
    "before the COPY": (b"COPY ", 0),
    "in the COPY, first bytes": (b"COPY ", 200),
    "in the COPY, midway": (b"COPY ", 5_000),
    "before the merge": (b'"public"."account"', 0),
    "at the commit": (b"COMMIT", 0),
}


@crossed("cut,way", list(CUTS), list(WAYS))
def test_a_connection_that_is_cut(cut: str, way: str, house: Warehouse, record_property: Says) -> None:
    """Wherever the network fails between us and the server: exit code 75, nothing half done."""
    before = house.filled()
    house.desk.add(200, Description="0123456789" * 20)
    with proxy(house.place) as made:
        made.cut_after, made.cut_bytes = CUTS[cut]
        told = house.sync(way, to=through(made, house.place))
        assert made.cut
    clear(told, exit_code=75, says=("closed|connection|reset|EOF|terminat", "[Rr]un it again"))
    house.recovers(before, way=way)
    tell(record_property, "connections_cut")


@contextmanager
def held_up(uri: str) -> Iterator[None]:
    """Whoever writes into the table waits, in the middle of the statement, until the block ends."""
    with psycopg.connect(uri, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(42)")
        holder.execute(
            "CREATE OR REPLACE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM pg_advisory_xact_lock_shared(42); RETURN NEW; END $$"
        )
        holder.execute("CREATE TRIGGER wait BEFORE INSERT OR UPDATE ON account FOR EACH ROW EXECUTE FUNCTION wait()")
        yield


WAITS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def midway(uri: str, then: Callable[[int], None]) -> threading.Thread:
    """As soon as a process of the server stands in the middle of its statement, do something with it."""

    def watch() -> None:
        with psycopg.connect(uri, autocommit=True) as admin:
            deadline = time.monotonic() + READY_S
            while not (found := admin.execute(WAITS).fetchall()):
                assert time.monotonic() < deadline
        then(found[0][0])

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@each_mode(short="changed")
def test_a_server_that_restarts_in_the_middle_of_a_merge(
    full: bool, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Says
) -> None:
    """A process of the server is killed in the middle of our statement, and with it all of them; once back, all is right."""
    with postgres() as running, Server(running).place(tmp_path) as place, desk_at(emulator, tmp_path, monkeypatch) as desk:
        house = Warehouse(desk, place)
        before = house.filled()
        with suppress(psycopg.OperationalError), held_up(place.uri()):
            killer = midway(place.uri(), lambda pid: os.kill(pid, signal.SIGKILL))
            told = house.sync("rest", *["--full"] * full)
            killer.join()
            clear(told, exit_code=75, says=("terminat|closed|crash|recovery|shut", "[Rr]un it again"))
        with back(place) as admin:
            admin.execute("DROP TRIGGER wait ON account")
            house.recovers(before, admin=admin)
    tell(record_property, "servers_restarted")


@contextmanager
def back(place: Place) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a server that is coming back."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            made = psycopg.connect(place.uri(), autocommit=True)
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            with made:
                yield made
            return


# ---- disks


@each_mode(short="full")
def test_a_server_whose_disk_is_full(full: bool, house: Warehouse, record_property: Says) -> None:
    """A trigger raises what a server with a full disk raises (53100): exit code 1, and where to look."""
    before = house.filled()
    house.place.run(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'could not extend file \"base/1/2\": No space left on device' USING ERRCODE = '53100'; END $$;"
        " CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON account FOR EACH ROW EXECUTE FUNCTION full_disk()"
    )
    clear(house.sync("rest", *["--full"] * full), exit_code=1, says=("No space left on device", "server's disk"))
    house.place.run("DROP TRIGGER full_disk ON account")
    house.recovers(before)
    tell(record_property, "disks_full_by_a_trigger")


@pytest.fixture
def tiny(server: Server) -> Iterator[Path]:
    """A disk of 1 MiB that the server may write on; only root may mount one."""
    with tempfile.TemporaryDirectory(prefix="pgtiny") as folder, ExitStack() as stack:
        Path(folder).chmod(0o711)
        disk = Path(folder) / "disk"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
        done = subprocess.run(command, capture_output=True, check=False) if shutil.which("mount") else None
        if done is None or done.returncode != 0:
            pytest.skip("a small disk cannot be mounted here")
        stack.callback(subprocess.run, ["umount", str(disk)], check=True)
        owner = server.running.folder.stat()
        os.chown(disk, owner.st_uid, owner.st_gid)
        yield disk


@each_mode(short="changed")
def test_a_real_disk_of_the_server_that_fills_up(full: bool, house: Warehouse, tiny: Path, record_property: Says) -> None:
    """A tablespace on a small disk: the same, and room is all that the next sync needs."""
    name = f"tiny_{house.place.database}"
    house.place.run(f"CREATE TABLESPACE {name} LOCATION '{tiny}'")
    before = house.filled()
    letters = random.Random(5).choices(string.ascii_letters, k=32_000)  # which do not get smaller by being packed
    house.desk.add(60, Description="".join(letters))
    to = house.place.uri(default_tablespace=name)
    clear(house.sync("rest", *["--full"] * full, to=to), exit_code=1, says=("No space left on device", "server's disk"))
    house.recovers(before)
    house.place.run(f"DROP TABLESPACE {name}")
    tell(record_property, "real_disks_full")
