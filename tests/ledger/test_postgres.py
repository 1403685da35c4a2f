"""The ledger on a PostgreSQL: the laws of every ledger, and what restarts, crowds of processes and other clocks may not break."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.connectors.postgres.server import Place, Server
from tests.push.fake import FakeDestination, Heard, ListRows, Org
from tests.samples.postgres import postgres

from halocline.errors import (
    AccessDenied,
    FixConfig,
    HaloclineError,
    LeaseHeld,
    LoginRefused,
    MissingExtra,
    NetworkFailed,
    StorageFailed,
)
from halocline.ledger import Ledger, open_ledger, server
from halocline.ledger import database as sqlite_steps
from halocline.ledger.postgres import PostgresLedger
from halocline.ledger.process import Process
from halocline.push.order import SyncMode, WriteOrder
from halocline.push.push import Push, execute
from halocline.push.run import PushRun
from halocline.standard_sql import quoted
from halocline.testing.ledgers import ELSEWHERE, HandClock, LedgerSuite, begin

WORD = "a-word/that@nobody:may?see"


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with postgres() as started:
        yield Server(started)


@pytest.fixture(scope="module")
def place(running: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running.place(tmp_path_factory.mktemp("ledgers")) as made:
        yield made


@pytest.fixture
def uri(place: Place, tmp_path: Path) -> Iterator[str]:
    """A ledger's URI with a schema of the test's own, which is not there yet; its name is no plain word."""
    schema = f'Ledger "{tmp_path.name[:30]}"'
    yield f"{place.uri()}&schema={quote(schema)}"
    place.run(f"DROP SCHEMA IF EXISTS {quoted(schema)} CASCADE")


class TestPostgresLedger(LedgerSuite):
    @pytest.fixture
    def ledger(self, clock: HandClock, uri: str) -> Iterator[Ledger]:
        with PostgresLedger(uri, clock=clock) as ledger:
            yield ledger


def ended(place: Place) -> int:
    """End every session but the administrator's, as a restart does; how many there were."""
    sql = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
    return int(place.rows(f"{sql} WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")[0][0])


# ---- the database


def test_a_ledger_outlives_its_process_in_a_schema_of_its_own(place: Place, uri: str) -> None:
    """Without a name it is `halocline`; nothing is made beside it, and nothing is migrated twice."""
    with open_ledger(place.uri()) as ledger:
        begin(ledger, "r1")
        fence = ledger.claim("Account", "a", ttl_s=60).fence
    with open_ledger(place.uri()) as ledger:
        assert [record.run for record in ledger.runs()] == ["r1"]
        assert ledger.claim("Account", "a", ttl_s=60).fence == fence + 1
    with open_ledger(uri) as other:
        assert other.runs() == []
    steps = place.rows("SELECT number, name FROM halocline.migrations ORDER BY 1")
    assert steps == [(number, name) for number, name, _ in server.migrations()]
    assert place.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_both_databases_are_migrated_by_the_same_steps(place: Place, uri: str) -> None:
    """Numbers and names agree, and so do tables and columns at the end."""
    assert [step[:2] for step in server.migrations()] == [step[:2] for step in sqlite_steps.migrations()]
    with PostgresLedger(uri) as ledger:
        schema = ledger._server.schema
    theirs = place.admin.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s", [schema]
    ).fetchall()
    with sqlite3.connect(":memory:") as db:
        for _, _, text in sqlite_steps.migrations():
            db.executescript(text)
        tables = "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
        ours = db.execute(f"{tables} AND t.name NOT LIKE 'sqlite_%'").fetchall()
    db.close()
    assert sorted(theirs) == sorted(ours)


CROWD = """
import sys
from halocline.ledger import open_ledger
sys.stdin.readline()
for _ in range(5):
    with open_ledger(sys.argv[1]) as ledger:
        print(ledger.claim("Account", "same owner", ttl_s=1.0).fence)
"""


def test_processes_that_start_on_an_empty_database_together_never_share_a_fence(uri: str) -> None:
    """One makes the schema, the others wait for it; every claim has its own fence."""
    command = [sys.executable, "-c", CROWD, uri]
    crowd = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for child in crowd:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    told = [child.communicate(timeout=60)[0] for child in crowd]
    assert [child.returncode for child in crowd] == [0, 0, 0, 0]
    assert sorted(int(line) for text in told for line in text.split()) == list(range(1, 21))


def test_a_schema_of_somebody_else_is_refused_and_left_alone(place: Place, uri: str) -> None:
    """Neither another program's tables nor those of a newer Halocline are touched."""
    place.run("CREATE SCHEMA theirs; CREATE TABLE theirs.migrations (id text)")
    with pytest.raises(FixConfig, match="another program's"):
        PostgresLedger(f"{place.uri()}&schema=theirs")
    assert place.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'theirs'") == [(1,)]
    with PostgresLedger(uri) as ledger, ledger._writing() as put:
        put._cursor.execute("INSERT INTO migrations VALUES (99, 'from the future', 'x')")  # type: ignore[attr-defined]
    with pytest.raises(FixConfig, match=r"newer Halocline.*99.*Upgrade"):
        PostgresLedger(uri)


def test_a_closed_ledger_says_so(uri: str) -> None:
    """Closing twice is harmless; using a closed ledger is told as an error of ours."""
    ledger = PostgresLedger(uri)
    ledger.close()
    ledger.close()
    with pytest.raises(StorageFailed, match="closed"):
        ledger.runs()


# ---- mistakes


@pytest.mark.parametrize(
    ("uri", "kind", "told"),
    [
        (f"postgresql://me:{WORD}@nobodys.example/db", FixConfig, "cannot be read"),
        (f"postgresql://me:{WORD.replace('@', '?')}=1@host/db?shema=x", FixConfig, "cannot be read"),
        ("mysql://host/db", FixConfig, "mysql://"),
    ],
)
def test_a_uri_that_cannot_be_read_is_refused(uri: str, kind: type[HaloclineError], told: str) -> None:
    """The message says how to write one, and repeats nothing of it that may be secret."""
    with pytest.raises(kind, match=told) as caught:
        open_ledger(uri)
    assert "postgresql://user:password@host" in str(caught.value)
    assert not any(piece in str(caught.value) for piece in ("a-word", "nobody", "may?see"))


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("postgresql://me:a-word@host/db?shema=books", r"the URI's option 'shema' is unknown\. Did you mean schema\?"),
        ("postgresql://host/db?schema=books&no_such_setting=1", "option 'no_such_setting' is unknown"),
        ("postgresql://127.0.0.1:1/db?sslmode=requir", 'invalid sslmode value: "requir". Look at the options'),
    ],
)
def test_an_option_that_is_not_there_is_named(uri: str, told: str) -> None:
    """A misspelt option, or a value that it does not take, is for a person to mend, and is told by its name."""
    with pytest.raises(FixConfig, match=told) as caught:
        open_ledger(uri)
    assert "a-word" not in str(caught.value)


def test_logins_and_rights_that_are_missing_are_told(place: Place) -> None:
    """A wrong password, no such database, and a user who may make no schema; given one, that user needs no other right."""
    with pytest.raises(LoginRefused, match="password authentication failed") as caught:
        PostgresLedger(place.uri(word="secret-word"))
    assert "secret-word" not in str(caught.value)
    with pytest.raises(FixConfig, match=r'database "nowhere" does not exist\. Look at the database that HALOCLINE_LEDGER names'):
        PostgresLedger(place.uri().replace(place.database, "nowhere"))
    uri = f"{place.user('books')}&schema=books"
    with pytest.raises(AccessDenied, match="CREATE SCHEMA"):
        PostgresLedger(uri)
    place.run(f'CREATE SCHEMA books AUTHORIZATION "books_{place.database}"')
    with PostgresLedger(uri) as ledger:
        begin(ledger, "r1")
    with PostgresLedger(uri) as ledger:
        assert [record.run for record in ledger.runs()] == ["r1"]


def test_a_missing_driver_names_its_extra() -> None:
    """The command that installs it is in the message."""
    code = "import sys\nsys.modules['psycopg'] = None\nfrom halocline.ledger import open_ledger\n"
    code += "try:\n    open_ledger('postgresql://host/db')\nexcept Exception as error:\n    print(type(error).__name__, error)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert MissingExtra.__name__ in done.stdout
    assert 'pip install "halocline[postgres]"' in done.stdout


# ---- connections that are lost


def test_a_server_that_was_restarted_is_found_again(place: Place, uri: str) -> None:
    """Between two uses every session ends; the next use makes one anew, and nothing is lost or doubled."""
    with PostgresLedger(uri) as ledger:
        begin(ledger, "r1")
        lease = ledger.claim("Account", "a", ttl_s=60)
        assert ended(place) >= 1
        ledger.renew(lease)
        assert ended(place) >= 1
        assert [record.run for record in ledger.runs()] == ["r1"]


def test_a_server_that_crashes_in_mid_use_is_waited_for(tmp_path: Path) -> None:
    """One of its processes is killed, so it ends all sessions and goes through its recovery; what had returned is there."""
    with postgres() as alone, Server(alone).place(tmp_path) as here, PostgresLedger(here.uri()) as ledger:
        begin(ledger, "r1")
        lease = ledger.claim("Account", "a", ttl_s=60)
        ((victim,),) = here.rows("SELECT pid FROM pg_stat_activity WHERE application_name = 'halocline ledger'")
        os.kill(victim, signal.SIGKILL)
        ledger.renew(lease)
        ledger.note("r1", plan={"after": "the crash"})
        assert [(record.run, record.plan) for record in ledger.runs()] == [("r1", {"after": "the crash"})]


def test_a_server_that_is_away_for_a_moment_is_waited_for(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart takes seconds: connecting is tried again, with waits that grow, and the work goes on."""
    waits: list[float] = []
    with PostgresLedger(uri) as ledger:
        ledger._server._idle.pop().close()
        here, ledger._server._conninfo = ledger._server._conninfo, "host=/nowhere"

        def wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                ledger._server._conninfo = here

        monkeypatch.setattr(server.time, "sleep", wait)
        begin(ledger, "r1")
    assert waits == [0.05, 0.1, 0.2]


def test_a_server_that_stays_away_is_told(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting has an end; exit code 75."""
    monkeypatch.setattr(server, "LOST_S", 0.0)
    with PostgresLedger(uri) as ledger:
        ledger._server._idle.pop().close()
        ledger._server._conninfo = "host=/nowhere"
        with pytest.raises(NetworkFailed, match="Run it again") as caught:
            ledger.runs()
    assert caught.value.exit_code == 75


def test_a_session_that_ends_on_the_way_undoes_its_step(place: Place, uri: str) -> None:
    """The step is told as failed and leaves nothing of itself; repeated, it does its work."""
    with PostgresLedger(uri) as ledger:
        begin(ledger, "r1")

        def cut_off() -> None:
            with ledger._writing("r1") as put:
                put("note", run="r1", plan='{"half": "done"}')
                ended(place)
                put("note", run="r1", plan='{"all": "done"}')

        with pytest.raises(NetworkFailed):
            cut_off()
        assert ledger.get("r1").plan is None
        ledger.note("r1", plan={"all": "done"})
        assert ledger.get("r1").plan == {"all": "done"}


def test_a_lock_that_is_never_given_back_is_told(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting has an end, and the error says what to look for; what is about something else does not wait."""
    monkeypatch.setattr(server, "BUSY_S", "0.05")
    with PostgresLedger(uri) as hog, PostgresLedger(uri) as other, hog._writing("Account"):
        other.claim("Contact", "b", ttl_s=60)
        with pytest.raises(HaloclineError, match=r"lock timeout.*look for one that hangs"):
            other.claim("Account", "b", ttl_s=60)


def test_a_process_that_is_suspended_in_the_middle_of_a_step_blocks_nobody(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends its transaction after a while: others go on, and its own step is told as failed when it wakes up."""
    monkeypatch.setattr(server, "IDLE_S", "0.2")

    def suspended(sleeper: PostgresLedger, other: PostgresLedger) -> None:
        with sleeper._writing("r1") as put:
            put("note", run="r1", plan="1")
            other.note("r1", plan={"n": 2})
            put("note", run="r1", plan="3")

    with PostgresLedger(uri) as sleeper, PostgresLedger(uri) as other:
        begin(other, "r1")
        with pytest.raises(NetworkFailed, match="Run it again"):
            suspended(sleeper, other)
        assert sleeper.get("r1").plan == {"n": 2}


# ---- clocks


def test_the_clock_is_the_servers(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose clock is an hour off neither takes a lease too early nor books another time."""
    monkeypatch.setattr("halocline.ledger.ledger.utc_now", lambda: pytest.fail("the host's clock was asked"))
    far = Process(1, ELSEWHERE)
    with PostgresLedger(uri) as first, PostgresLedger(uri) as second:
        first.claim("Account", "a", ttl_s=600, process=far)
        with pytest.raises(HaloclineError) as caught:
            second.claim("Account", "b", ttl_s=600, process=far)
        begin(first, "r1")
        started = first.get("r1").started
    assert 500 < (getattr(caught.value, "after_s", 0) or 0) <= 600
    assert started.endswith("+00:00")


# ---- two hosts


class Meddling(Heard):
    """When the first rows go out, the same push is begun on another host."""

    def __init__(self, other: Callable[[], object]) -> None:
        super().__init__()
        self._other = other
        self.refusals: list[str] = []

    def sending(self, numbers: Sequence[int]) -> None:
        super().sending(numbers)
        if not self.refusals:
            with pytest.raises(LeaseHeld) as refusal:
                self._other()
            self.refusals.append(str(refusal.value))


def test_two_hosts_never_send_the_same_rows_at_once(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With folders of their own and one ledger, the second push of the same rows is refused, and says which run sends them."""
    org, rows = Org(), [{"Ext__c": f"k{number}", "Name": str(number)} for number in range(5)]

    def push(run: str, ledger: Ledger, watch: Heard) -> PushRun:
        order = WriteOrder("Account", SyncMode.INSERT, key="Ext__c", batch_size=2)
        made = Push(order, ListRows(rows), FakeDestination(org), "flow")
        return execute(made, PushRun(run), ledger=ledger, home=tmp_path / run, watch=watch)

    def there() -> None:
        with PostgresLedger(uri) as ledger, monkeypatch.context() as patch:
            patch.setattr(socket, "gethostname", lambda: ELSEWHERE)
            push("theirs", ledger, Heard())

    watch = Meddling(there)
    with PostgresLedger(uri) as ledger:
        done = push("ours", ledger, watch)
        assert (done.written, ledger.get("theirs").state) == (5, "failed")
    assert "run ours is sending the same rows" in watch.refusals[0]
    assert len(org.records) == 5
