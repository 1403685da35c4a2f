"""Laws of the command line as people and programs meet it: answers, exit codes, and mistakes told so that they can be mended."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

import halocline
from halocline import sync
from halocline.cli import demo
from tests.command_line import app
from tests.system.laptop import Laptop, laptop
from tests.system.nursery import Nursery

pytestmark = pytest.mark.system

SECRET = "s3cr3t-that-nobody-may-see"
LAKE = "duckdb:///lake.duckdb"
PATIENCE_S = 180.0  # far more than any command here takes, on a machine that others use too


@dataclass(frozen=True, slots=True)
class Done:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The JSON documents of standard output, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


# A shell that starts the tests in its background has them ignore Ctrl-C, and children inherit that; a person's shell does not.
_HEARS_INTERRUPTS = (
    "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('halocline', run_name='__main__', alter_sys=True)"
)


@dataclass(frozen=True, slots=True)
class Shell:
    """A terminal in a folder of its own, with a login in its environment; where it has a nursery, commands come from there."""

    folder: Path
    login: Mapping[str, str]
    nursery: Nursery | None = None

    def environment(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        """What a command sees: the login and a home of its own, with these changes; None takes a variable away."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("SF_", "HALOCLINE_"))}
        wanted = {**clean, **self.login, "HALOCLINE_HOME": str(self.folder / "home"), **changes}
        return {name: value for name, value in wanted.items() if value is not None}

    def run(self, *words: str, **changes: str | None) -> Done:
        """Run a command to its end; it must never show a traceback or the secret."""
        done = self._done(*words, env=self.environment(changes))
        for text in (done.out, done.err):
            assert "Traceback" not in text, text
            assert SECRET not in text
            assert not re.search(r"00D\w{12,15}!\w", text), "an access token"
        return done

    def _done(self, *words: str, env: dict[str, str]) -> Done:
        if self.nursery is not None:
            born = self.nursery.run(*words, env=env, cwd=self.folder)
            return Done(born.code, born.out, born.err)
        command = [sys.executable, "-m", "halocline", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, cwd=self.folder, env=env)
        return Done(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def start(self, *words: str, **changes: str | None) -> Iterator[subprocess.Popen[str]]:
        """A command in the background, which has ended when the block has."""
        command = [sys.executable, "-c", _HEARS_INTERRUPTS, *words]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, cwd=self.folder, env=self.environment(changes), **pipes) as process:
            try:
                yield process
            finally:
                process.kill()


def shell_to(here: Laptop, folder: Path, nursed: Nursery | None = None) -> Shell:
    config = here.org.config
    login = {"SF_LOGIN_URL": here.org.url, "SF_CLIENT_ID": config.consumer_key, "SF_CLIENT_SECRET": config.consumer_secret}
    return Shell(folder, login, nursed)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Laptop]:
    with laptop(tmp_path, consumer_secret=SECRET) as running:
        yield running


@pytest.fixture
def shell(here: Laptop, tmp_path: Path, nursed: Nursery) -> Shell:
    return shell_to(here, tmp_path, nursed)


@pytest.fixture
def cold(shell: Shell) -> Shell:
    """A terminal whose commands start from nothing, as a person's do."""
    return replace(shell, nursery=None)


# ---- answers


def test_version_names_what_it_stands_on(shell: Shell, cold: Shell) -> None:
    """For people a line each, for programs one document; both begin with our own version."""
    assert cold.run("version").out.splitlines()[0].split() == ["halocline", halocline.__version__]
    (document,) = shell.run("version", "--json").documents
    assert document["halocline"] == halocline.__version__
    assert {"python", "pyarrow", "duckdb"} <= document.keys()


def test_sync_carries_objects_and_says_how(here: Laptop, shell: Shell, cold: Shell) -> None:
    """One line an object with method and counts on standard output, progress on standard error, rows in the file, code 0."""
    here.add("Account", 3, Name="{n}")
    here.add("Contact", 2, LastName="{n}")
    done = cold.run("sync", "Account", "Contact", "--to", LAKE, "--schema", "raw")
    assert done.code == 0, done.err
    first, second = done.out.splitlines()
    assert first.startswith("Account -> raw.Account: regular_api_full, 3 inserted, 0 updated, 0 deleted, 0 unchanged, ")
    assert second.startswith("Contact -> raw.Contact: regular_api_full, 2 inserted, ")
    assert "Account -> raw.Account: 3 rows read, 3 changed" in done.err
    with duckdb.connect(str(shell.folder / "lake.duckdb"), read_only=True) as lake:
        assert lake.execute("SELECT (SELECT count(*) FROM raw.Account), (SELECT count(*) FROM raw.Contact)").fetchall() == [
            (3, 2)
        ]


def test_sync_answers_programs_in_json(here: Laptop, shell: Shell) -> None:
    """With --json each object is one document - the documented ten keys first - and nothing else is printed anywhere."""
    here.add("Account", 3, Name="{n}")
    done = shell.run("sync", "Account", "--to", LAKE, "--fields", "Name", "--json")
    assert (done.code, done.err) == (0, "")
    (document,) = done.documents
    keys = ["sobject", "target_table", "sync_method", "estimated_records", "actual_records", "sync_duration_seconds"]
    keys += ["last_modified_date", "sync_timestamp", "success", "error"]
    assert list(document)[:10] == keys
    assert [document[key] for key in keys[:5]] == ["Account", "main.Account", "regular_api_full", 3, 3]
    assert (document["success"], document["error"], document["exit_code"], document["rows_read"]) == (True, None, 0, 3)
    counts = dict(document["counts"])
    assert datetime.fromisoformat(counts.pop("highest")) == datetime.fromisoformat(document["last_modified_date"])
    none = dict.fromkeys(("updated", "deleted", "unchanged", "rejected", "filtered", "in_doubt", "not_sent", "vanished"), 0)
    assert counts == {"inserted": 3, **none}
    assert (document["last_modified_date"][-6:], document["sync_timestamp"][-6:]) == ("+00:00", "+00:00")
    assert document["api_calls"] >= 3
    assert document["reasons"][0].startswith("First sync:")


def test_options_reach_the_sync(here: Laptop, shell: Shell) -> None:
    """Condition, thresholds, stage, deletes, key, table and a full sync are what the command line says."""
    here.add("Account", 3, Name="in {n}", Industry="Energy")
    here.add("Account", 3, Name="out {n}", Industry="Media")
    words = (
        "sync",
        "Account",
        "--to",
        LAKE,
        "--table",
        "t",
        "--where",
        "Industry = 'Energy'",
        "--exclude",
        "Description",
        "--json",
    )

    def said(*more: str) -> tuple[str, int]:
        (document,) = shell.run(*words, *more).documents
        return document["sync_method"], document["actual_records"]

    assert said("--bulk-threshold", "3") == ("bulk_api_full", 3)
    assert said("--use-stage", "--key", "Id") == ("bulk_api_stage_incremental", 0)
    assert said("--full", "--bulk-threshold", "2", "--stage-threshold", "3") == ("bulk_api_stage_full", 3)
    assert said("--deletes", "hard") == ("regular_api_full", 3), "another setting for deletes reads all again"
    with duckdb.connect(str(shell.folder / "lake.duckdb"), read_only=True) as lake:
        columns = [name for (name,) in lake.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = 't'").fetchall()]
    assert "Name" in columns
    assert "Description" not in columns


def test_plan_says_what_a_sync_would_do_and_does_it_not(here: Laptop, shell: Shell) -> None:
    """The decision with reasons and query, for people and for programs; no table, no job and no run is there afterwards."""
    here.add("Account", 3, Name="{n}")
    told = shell.run("plan", "Account", "--to", LAKE, "--bulk-threshold", "2", "--fields", "Name")
    assert told.code == 0, told.err
    assert re.search(r"^method\s+bulk_api_full\s*$", told.out, re.MULTILINE)
    assert "  - About 3 rows, from 2 and below 50,000: Bulk API 2.0." in told.out
    assert "SELECT Id, IsDeleted, Name, SystemModstamp FROM Account" in told.out
    (document,) = shell.run("plan", "Account", "--to", LAKE, "--bulk-threshold", "2", "--json").documents
    assert (document["method"], document["mode"], document["expected_rows"]) == ("bulk_api_full", "replace", 3)
    assert (document["success"], document["key"], document["deletes"]) == (True, ["Id"], "soft")
    assert document["reasons"]
    assert "bulk.create" not in here.kinds()
    with duckdb.connect(str(shell.folder / "lake.duckdb")) as lake:
        assert lake.execute("SELECT table_name FROM duckdb_tables()").fetchall() == []
    assert "No runs yet" in shell.run("runs").out


def test_runs_shows_what_ran_and_how_it_ended(here: Laptop, shell: Shell) -> None:
    """Newest first; a failed run keeps its reason; one run is found by the beginning of its name, with plan and reasons."""
    here.add("Account", 3, Name="{n}")
    shell.run("sync", "Account", "--to", LAKE)
    shell.run("sync", "Account", "--to", LAKE, "--where", "Nope = 1")
    failed, done = shell.run("runs", "--json").documents
    assert (failed["state"], done["state"]) == ("failed", "done")
    assert "No such column 'Nope'" in failed["error"]
    assert (done["method"], done["rows_read"], done["counts"]["inserted"]) == ("regular_api_full", 3, 3)
    assert done["finished"] >= done["started"]
    lines = shell.run("runs").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [failed["run"][:8], done["run"][:8]]
    one = shell.run("runs", done["run"][:8])
    assert "because    First sync:" in one.out
    assert [document["run"] for document in shell.run("runs", done["run"], "--json").documents] == [done["run"]]
    assert [document["run"] for document in shell.run("runs", "--limit", "1", "--json").documents] == [failed["run"]]
    nothing = shell.run("runs", "no-such-run")
    assert (nothing.code, nothing.out) == (2, "")
    assert "no run begins with 'no-such-run'. `halocline runs` lists them." in " ".join(nothing.err.split())


def test_emulator_announces_itself_serves_and_stops(tmp_path: Path, nursed: Nursery) -> None:
    """One JSON line with address and login once it answers; SIGTERM ends it with code 0 and nothing to read."""
    shell = Shell(tmp_path, {}, nursed)
    with shell.start("emulator", "--port", "0", "--seed", "Account=7", "--json") as process:
        assert process.stdout is not None
        door = json.loads(process.stdout.readline())
        login = {"SF_LOGIN_URL": door["url"], "SF_CLIENT_ID": door["client_id"], "SF_CLIENT_SECRET": door["client_secret"]}
        synced = shell.run("sync", "Account", "--to", LAKE, "--json", **login)
        assert [document["actual_records"] for document in synced.documents] == [7]
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, "Traceback" in err) == (0, "", False)


@pytest.mark.parametrize("ending", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_emulator_told_to_stop_while_it_makes_records_stops(tmp_path: Path, ending: signal.Signals) -> None:
    """It makes them, says where it is and ends, with code 0 and nothing more to read; no library takes the signal for itself."""
    with Shell(tmp_path, {}).start("emulator", "--port", "0", "--seed", "Account=5000", "--json") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "Making 5,000 Account ...\n"
        process.send_signal(ending)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["url"].startswith("http://127.0.0.1:")


def test_emulator_tells_people_what_to_type(tmp_path: Path) -> None:
    """Without --json the words to paste into another terminal come out; SIGINT ends it with code 0 and no more words."""
    shell = Shell(tmp_path, {})
    with shell.start("emulator", "--port", "0") as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, "Traceback" in err) == (0, "", False)
    exports = dict(re.findall(r"export (SF_\w+)=(\S+)", "".join(lines)))
    assert exports.keys() == {"SF_LOGIN_URL", "SF_CLIENT_ID", "SF_CLIENT_SECRET"}
    assert "halocline sync Account --to duckdb:///lake.duckdb" in "".join(lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--seed", "Acount=3"), "sObject 'Acount' is unknown; did you mean Account"),
        (("--seed", "Account"), "--seed wants Object=count, not 'Account'"),
        (("--schema", "missing.yaml"), "missing.yaml"),
    ],
)
def test_emulator_is_used_wrongly(tmp_path: Path, nursed: Nursery, words: tuple[str, ...], said: str) -> None:
    """A misspelt object, a bad count, a file that is not there: code 2, and what is wrong."""
    done = Shell(tmp_path, {}, nursed).run("emulator", "--port", "0", *words)
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize("verb", ["sync", "plan", "verify"])
def test_a_place_by_a_variable_that_is_not_set(shell: Shell, verb: str) -> None:
    """`--to env:NAME` without such a variable: it is named; code 2, for people and for programs."""
    told(shell.run(verb, "Account", "--to", "env:NO_SUCH_PLACE"), 2, "the environment variable NO_SUCH_PLACE is not set")
    (document,) = shell.run(verb, "Account", "--to", "env:NO_SUCH_PLACE", "--json").documents
    assert (document["success"], document["exit_code"], document["kind"]) == (False, 2, "FixConfig")


# ---- the ten most likely mistakes


def told(done: Done, code: int, *words: str) -> None:
    """A failure: this exit code, nothing on standard output, and one paragraph with these words."""
    assert (done.code, done.out) == (code, "")
    paragraph = done.err.strip()
    assert paragraph
    assert "\n\n" not in paragraph
    flat = " ".join(paragraph.split())
    assert flat.startswith({1: "Failed: ", 2: "Please check: ", 75: "Try again later: "}[code])
    for word in words:
        assert word in flat, f"{word!r} is not in {flat!r}"


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("https://login.salesforce.com", ("does not work at https://login.salesforce.com", "https://<name>.my.salesforce.com")),
        ("https://acme.lightning.force.com", ("is the browser's address and has no API", "https://acme.my.salesforce.com")),
        ("http://salesforce.example", ("would carry the access token unencrypted", "Use https://")),
    ],
)
def test_a_wrong_login_host(shell: Shell, host: str, words: tuple[str, ...]) -> None:
    """Mistake 1: the shared host, the browser's address, an address in the clear. Each says which address is wanted; code 2."""
    told(shell.run("sync", "Account", "--to", LAKE, SF_LOGIN_URL=host), 2, *words)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_an_address_without_its_scheme(here: Laptop, shell: Shell, name: str) -> None:
    """Mistake 1, otherwise: https is taken for granted, and who speaks http alone is told apart from one that is down; code 2."""
    host = f"{name}:{here.org.url.rpartition(':')[2]}"
    done = shell.run("sync", "Account", "--to", LAKE, SF_LOGIN_URL=host)
    told(done, 2, f"{host} does not speak https", "write http:// in front")


def test_a_certificate_that_nobody_trusts(tmp_path: Path, nursed: Nursery) -> None:
    """Mistake 1, otherwise: the certificate is refused at once, code 2, and the variable named is the one that mends it."""
    with laptop(tmp_path, https=True) as here:
        here.add("Account", 1, Name="{n}")
        shell = shell_to(here, tmp_path, nursed)
        address = {"SF_LOGIN_URL": here.org.https_url, "SSL_CERT_FILE": None, "SSL_CERT_DIR": None}
        told(shell.run("sync", "Account", "--to", LAKE, **address), 2, "does not trust", "Let SSL_CERT_FILE name a PEM file")
        trusting = {**address, "SSL_CERT_FILE": str(here.org.ca_file)}
        assert shell.run("sync", "Account", "--to", LAKE, **trusting).code == 0


def typed(*short: str) -> pytest.MarkDecorator:
    """The words of ways to answer, each of which every law here meets with `--long`, and in the short run those that it names."""
    answers = ("version", "version --json", "runs", "--help")
    marked = [pytest.param(one.split(), id=one, marks=() if one in short else pytest.mark.long) for one in answers]
    return pytest.mark.parametrize("words", marked)


@typed("runs", "--help")
def test_an_answer_that_cannot_be_written_is_one_line_and_code_1(shell: Shell, words: list[str]) -> None:
    """A full disk behind standard output: no traceback; the line says what the system says."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "halocline", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=shell.environment({}))
    assert done.returncode == 1
    assert done.stderr == "Failed: Writing the answer: No space left on device. `halocline runs` tells what was done.\n"


@typed("version --json")
def test_a_reader_that_has_gone_is_no_failure_to_tell(shell: Shell, words: list[str]) -> None:
    """Nothing is said, and the code is that of a program which SIGPIPE ended."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "halocline", *words]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, env=shell.environment({}))
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_expired_secret(shell: Shell) -> None:
    """Mistake 2: the secret was rotated. The variable to look at is named, the value is not shown; code 2."""
    done = shell.run("sync", "Account", "--to", LAKE, SF_CLIENT_SECRET=f"{SECRET}-of-last-year")
    told(done, 2, "invalid client credentials", "SF_CLIENT_SECRET", "wrong, expired or was rotated")


def test_an_expired_session_id(here: Laptop, shell: Shell) -> None:
    """Mistake 2, otherwise: a session id that has run out says that it cannot be renewed, and which logins can; code 2."""
    login = {"SF_ACCESS_TOKEN": "00D5g0000000000!AQ.expired", "SF_INSTANCE_URL": here.org.url}
    told(shell.run("sync", "Account", "--to", LAKE, **login), 2, "has expired", "renew themselves")


@pytest.mark.parametrize("verb", ["sync", "plan"])
def test_an_object_misspelt(shell: Shell, verb: str) -> None:
    """Mistake 3: the object's name. The near one is suggested, to programs in a field of its own; code 2."""
    told(shell.run(verb, "Acount", "--to", LAKE), 2, "Describing Acount", "Did you mean Account")
    (document,) = shell.run(verb, "Acount", "--to", LAKE, "--json").documents
    assert (document["success"], document["exit_code"]) == (False, 2)
    assert "Did you mean Account" in document["error"]


def test_a_field_misspelt(shell: Shell) -> None:
    """Mistake 4: a field's name, among the columns or in the condition. The near one is suggested; code 2."""
    told(shell.run("sync", "Account", "--to", LAKE, "--fields", "Name,Indutsry"), 2, "'Indutsry'", "Did you mean Industry?")
    told(shell.run("sync", "Account", "--to", LAKE, "--exclude", "Descripton"), 2, "'Descripton'", "Did you mean Description")
    told(shell.run("sync", "Account", "--to", LAKE, "--where", "Indutsry = 'x'"), 2, "'Indutsry'", "Did you mean Industry?")
    told(shell.run("sync", "Account", "--to", LAKE, "--key", "Ids"), 2, "the key Ids", "unique and never empty")


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("API_DISABLED_FOR_ORG", "The REST API is not enabled for this Organization.", "needs the permission 'API Enabled'"),
        ("INSUFFICIENT_ACCESS", "insufficient access rights", "Ask an administrator for the right to read this object."),
    ],
)
def test_no_permission(here: Laptop, shell: Shell, code: str, message: str, hint: str) -> None:
    """Mistake 5: the user may not. Salesforce's words, and which right is wanted; code 2."""
    body = json.dumps([{"errorCode": code, "message": message}])
    here.org.faults.add("answer", path="/describe$", status=403, body=body)
    told(shell.run("sync", "Account", "--to", LAKE), 2, code, message, hint)


def test_hidden_things_say_that_they_may_be_hidden(here: Laptop, shell: Shell) -> None:
    """Mistake 5, otherwise: Salesforce says of a hidden object or field that it is not there; we add that it may be a right."""
    here.org.org.hide(["Contact", "Account.Rating"])
    told(shell.run("sync", "Contact", "--to", LAKE), 2, "that the user may see it")
    told(shell.run("sync", "Account", "--to", LAKE, "--fields", "Rating"), 2, "that the user may see it")


def test_no_network(shell: Shell) -> None:
    """Mistake 6: nobody answers at the address. It is named; code 75, for it may be over soon."""
    with socket.socket() as taken:  # bound, so that nobody else gets the port, and not listening
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        done = shell.run("sync", "Account", "--to", LAKE, SF_LOGIN_URL=f"http://127.0.0.1:{port}")
    told(done, 75, f"127.0.0.1:{port} refused the connection", "Check the address and port")


def test_a_locked_database(shell: Shell) -> None:
    """Mistake 7: another process has the file open. It is named with its id, and what to do; code 75, the file as it was."""
    with duckdb.connect(str(shell.folder / "lake.duckdb")) as lake:
        lake.execute("CREATE TABLE theirs AS SELECT 1 AS x")
        told(shell.run("sync", "Account", "--to", LAKE), 75, "the file is locked", f"PID {os.getpid()}", "or close it")
        assert lake.execute("SELECT table_name FROM duckdb_tables()").fetchall() == [("theirs",)]


def test_a_missing_environment(shell: Shell) -> None:
    """Mistake 8: no login in the environment, or half of one. The variables that are missing are named; code 2."""
    nothing: dict[str, str | None] = dict.fromkeys(shell.login)
    told(shell.run("sync", "Account", "--to", LAKE, **nothing), 2, "Set SF_CLIENT_ID, SF_CLIENT_SECRET and SF_LOGIN_URL")
    half = {**nothing, "SF_CLIENT_SECRET": SECRET}
    told(shell.run("sync", "Account", "--to", LAKE, **half), 2, "the client credentials flow needs SF_CLIENT_ID, SF_LOGIN_URL")
    keyless = {"SF_PRIVATE_KEY_PATH": "missing.pem", "SF_USERNAME": "me@example.com"}
    told(shell.run("sync", "Account", "--to", LAKE, **keyless), 2, "missing.pem: No such file", "SF_PRIVATE_KEY_PATH")


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        (f"oracle://scott:{SECRET}@db/x", ("how to write to oracle://.", "duckdb:///lake.duckdb")),
        ("lake.duckdb", ("how to write to 'lake.duckdb'.", "duckdb:///lake.duckdb")),
        ("duckdb:///no/such/folder/lake.duckdb", ("No such file or directory", "Make the folder first")),
        ("duckdb://", ("names no database file", "Write duckdb:///lake.duckdb")),
    ],
)
def test_an_unknown_destination(shell: Shell, uri: str, words: tuple[str, ...]) -> None:
    """Mistake 9: a URI that nobody knows, or that leads nowhere. The right form is shown, a password in it is warned of and not
    shown; code 2.
    """
    done = shell.run("sync", "Account", "--to", uri)
    warning, failure, more = done.err.partition("Please check: ")
    assert ("--to holds a password" in warning, bool(warning), SECRET in done.err) == (SECRET in uri, SECRET in uri, False)
    told(replace(done, err=failure + more), 2, *words)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("Industry = ", ("MALFORMED_QUERY", "unexpected token", "Look at the where clause")),
        ("(Industry = 'x'", ("the parentheses do not balance",)),
        ("Industry = 'it's'", ("a quote is not closed",)),
        ("WHERE Industry = 'x'", ("it starts with WHERE", "Give one condition")),
        ("Name != null) OR (Name = null LIMIT 5", ("do not balance",)),
        ("Industry = 'x' LIMIT 5", ("LIMIT, which would leave rows out by chance",)),
        ("Industry > 5", ("Look at the where clause",)),
    ],
)
def test_a_bad_where_clause(shell: Shell, where: str, words: tuple[str, ...]) -> None:
    """Mistake 10: a condition that is none. Ours or Salesforce's words say what is wrong with it; code 2, and no table."""
    told(shell.run("sync", "Account", "--to", LAKE, "--where", where), 2, *words)
    with duckdb.connect(str(shell.folder / "lake.duckdb")) as lake:
        assert lake.execute("SELECT table_name FROM duckdb_tables() WHERE table_name <> '_halocline_positions'").fetchall() == []


# ---- other ends


@pytest.mark.parametrize(
    "line",
    [
        *("", "sync", "sync Account", f"sync --to {LAKE}", "synk", f"sync Account --to {LAKE} --bogus", "runs --limit 0"),
        f"sync Account --to {LAKE} --bulk-threshold -1",
    ],
)
def test_wrong_use_is_code_2(shell: Shell, line: str) -> None:
    """No verb, no object, no destination, an unknown verb or option: code 2 and how it is used."""
    done = shell.run(*line.split())
    assert done.code == 2
    assert "Usage" in done.out + done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--deletes", "maybe"), ("deletes='maybe' is unknown", "soft, hard or ignore")),
        (("--numbers", "maybe"), ("numbers='maybe' is unknown", "decimal or double")),
        (("--bulk-threshold", "9", "--stage-threshold", "5"), ("BULK_API_THRESHOLD (9) is above STAGE_THRESHOLD (5)",)),
    ],
)
def test_options_that_cannot_be(shell: Shell, options: tuple[str, ...], words: tuple[str, ...]) -> None:
    """A value that an option does not know: code 2, and those that it knows."""
    told(shell.run("sync", "Account", "--to", LAKE, *options), 2, *words)


def test_a_used_up_quota_is_code_75(here: Laptop, shell: Shell) -> None:
    """The org's daily calls are used up: nothing is wrong here, so a scheduler is told to come again."""
    here.org.org.limits.set_max("DailyApiRequests", 0)
    told(shell.run("sync", "Account", "--to", LAKE), 75, "REQUEST_LIMIT_EXCEEDED", "try again later")


def test_several_objects_end_with_the_gravest_code(here: Laptop, shell: Shell) -> None:
    """One bad object among good ones: the good are synced, the bad is told, the code is the bad one's."""
    here.add("Account", 2, Name="{n}")
    here.add("Contact", 2, LastName="{n}")
    done = shell.run("sync", "Account", "Acount", "Contact", "--to", LAKE, "--json")
    assert done.code == 2
    assert [(one["sobject"], one["success"], one["exit_code"]) for one in done.documents] == [
        ("Account", True, 0),
        ("Acount", False, 2),
        ("Contact", True, 0),
    ]


def test_an_interrupt_is_code_130_and_leaves_nothing(tmp_path: Path, nursed: Nursery) -> None:
    """Ctrl-C in the middle of a job: code 130, one sentence, no table, and the next sync does it all."""
    with laptop(tmp_path, job_ms=500_000) as here:
        here.add("Account", 2, Name="{n}")
        shell = shell_to(here, tmp_path, nursed)
        with shell.start("sync", "Account", "--to", LAKE, "--bulk-threshold", "1") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stderr.readline() == "Account -> main.Account: bulk_api_full\n"
            process.send_signal(signal.SIGINT)
            out, err = process.stdout.read(), process.stderr.read()
            assert (process.wait(PATIENCE_S), out) == (130, "")
        assert "Interrupted; what was not committed is not visible anywhere." in err
        assert "Traceback" not in err
        assert shell.run("sync", "Account", "--to", LAKE, "--json").documents[0]["actual_records"] == 2
        states = [document["state"] for document in shell.run("runs", "--json").documents]
        assert states == ["done", "failed"]


def test_nothing_that_is_kept_holds_a_secret(here: Laptop, shell: Shell) -> None:
    """After syncs that went well and ill, neither database nor ledger nor anything else in the folder holds secret or token."""
    here.add("Account", 2, Name="{n}")
    token = here.access_info["access_token"]
    session = {"SF_ACCESS_TOKEN": token, "SF_INSTANCE_URL": here.org.url}
    shell.run("sync", "Account", "Acount", "--to", LAKE, "--bulk-threshold", "1")
    for words in (("Account", "Acount"), ("Account", "--where", "Nope = 1")):
        shell.run("sync", *words, "--to", LAKE, **session)
    files = [path for path in shell.folder.rglob("*") if path.is_file()]
    assert {"lake.duckdb", "ledger.sqlite"} <= {path.name for path in files}
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path
        assert token.encode() not in path.read_bytes(), path


@pytest.mark.timeout(120)
@pytest.mark.parametrize("share", [20, pytest.param(1, marks=pytest.mark.long)], ids=["a twentieth", "whole"])
def test_the_demo_shows_the_whole_and_holds_itself_to_account(
    share: int, tmp_path: Path, nursed: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three objects by three methods, the edits and nothing else, both sides equal, rows pushed back; all stays in its folder.

    In a short run a share of its records, and thresholds that choose the same methods.
    """
    shell = Shell(tmp_path, {"SF_LOGIN_URL": "https://never.my.salesforce.com"}, nursed)
    accounts = demo.SEED["Account"] // share
    if share > 1:
        monkeypatch.setattr(demo, "SEED", {"Account": accounts, "Contact": 100, "Opportunity": 50})  # more than it edits
        monkeypatch.setattr(sync, "BULK_API_THRESHOLD", 80)
        monkeypatch.setattr(sync, "STAGE_THRESHOLD", 2_000)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["demo", "--folder", "here"], env=shell.environment({}))
    assert done.exit_code == 0, done.stderr
    for sobject, method in (("Account", "bulk_api_stage"), ("Contact", "bulk_api"), ("Opportunity", "regular_api")):
        assert re.search(rf"^ +{sobject} +{method}_full ", done.stdout, re.MULTILINE)
        summary = rf"^{sobject} +{method}_full +regular_api_incremental +7 +40 +5 +([\d,]+) +\1\s*$"
        assert re.search(summary, done.stdout, re.MULTILINE), done.stdout
    assert str(tmp_path / "here" / "lake.duckdb") in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here"]
    with duckdb.connect(str(tmp_path / "here" / "lake.duckdb"), read_only=True) as lake:
        assert lake.execute('SELECT count(*) FROM "Account" WHERE NOT "IsDeleted"').fetchall() == [(accounts + 7 - 5,)]
    home = str(tmp_path / "here")
    assert len(shell.run("runs", "--json", HALOCLINE_HOME=home).documents) == 8
    assert "300 created, 0 updated, 0 refused, 0 unchanged" in done.stdout
    assert "0 created, 39 updated, 1 refused, 260 unchanged" in done.stdout
    (refused,) = shell.run("errors", "last", "--json", HALOCLINE_HOME=home).documents
    assert (refused["row"], refused["code"], refused["record"]["Name"]) == (17, "REQUIRED_FIELD_MISSING", None)
    assert "row 17: REQUIRED_FIELD_MISSING" in done.stdout


def test_the_demo_clears_only_what_a_demo_made(tmp_path: Path, nursed: Nursery) -> None:
    """A folder with something else in it is left alone, and the words say how to name another; code 1."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", encoding="utf-8")
    told(Shell(tmp_path, {}, nursed).run("demo", "--folder", "mine"), 1, "is not a demo's", "--folder")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]
