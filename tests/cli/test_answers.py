"""Laws of answers in JSON: whatever a command is asked, an answer has one shape, and so has what goes wrong."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from halocline.cli.answer import told
from halocline.cli.sync import tell
from halocline.cli.verify import _one
from halocline.errors import FixConfig
from halocline.flows.tables import TablesDone
from halocline.outcome import Counts
from halocline.run import Run
from halocline.several import Ended
from halocline.sync import SobjectSync
from halocline.tables import TableCopy
from halocline.verify import Level, Verification
from tests.command_line import app

FAILED = {"success", "error", "kind", "code", "exit_code"}
JOB = SobjectSync("Account", "raw", "Account")
MISTAKE = FixConfig("Looking", "there is no such thing")
REFUSED = [
    ("push", "x.csv", "--to", "Account"),
    ("push", "x.csv", "--to", "sap:Account", "--key", "Id__c"),
    ("run",),
    ("run", "--all", "--file", "s3://b/k"),
    ("plan",),
    ("sync", "--to", "duckdb:///x.duckdb"),
    ("verify", "--to", "duckdb:///x.duckdb"),
    ("listen",),
    ("runs", "prune"),
    ("errors", "last", "--csv", "a", "--jsonl", "b"),
    ("dlq", "purge", "orders"),
    ("errors", "last"),
    ("check",),
]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HALOCLINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_is_refused_with_json_is_one_document(words: tuple[str, ...]) -> None:
    """Wrong use is answered like any other error: on standard output, with the exit code in it."""
    done = CliRunner().invoke(app, [*words, "--json"])
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert set(found) >= FAILED
    assert (found["success"], found["exit_code"], done.exit_code) == (False, 2, 2)


MISREAD = [
    (("sync", "Account", "--to", "duckdb:///x.duckdb", "--fulll"), "No such option: --fulll", "sync"),
    (("push",), "Missing argument 'SOURCE'", "push"),
    (("sync", "Account"), "Missing option '--to'", "sync"),
    (("sync", "--to", "duckdb:///x.duckdb", "Account", "--parallel", "0"), "Reading --parallel: it takes a whole number", "sync"),
    (("snyc",), "No such command 'snyc'", ""),
    (("dlq", "lst"), "No such command 'lst'", "dlq"),
    (("--fool",), "No such option: --fool", ""),
]


@pytest.mark.parametrize(("words", "says", "where"), MISREAD, ids=[" ".join(words) for words, _, _ in MISREAD])
def test_what_typer_refuses_with_json_is_one_document(words: tuple[str, ...], says: str, where: str) -> None:
    """As what we refuse ourselves, wherever --json stands; without it, it is told to people alone."""
    verb = 2 if where == "dlq" else 1
    for typed in ([*words, "--json"], [*words[:verb], "--json", *words[verb:]]):
        done = CliRunner().invoke(app, typed)
        (line,) = done.stdout.splitlines()
        found = json.loads(line)
        assert set(found) == FAILED
        assert (found["kind"], found["exit_code"], done.exit_code, done.stderr) == ("Usage", 2, 2, "")
        assert found["error"].startswith(says), found
        assert f"{f'halocline {where}'.strip()} --help` tells" in found["error"]
    for typed in (list(words), [*words, "--", "--json"]):
        done = CliRunner().invoke(app, typed)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr


SYNC = "sync Account --to duckdb:///x.duckdb"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (f"{SYNC} --parallel 0", "--parallel: it takes a whole number from 1 up, not '0'"),
        (f"{SYNC} --parallel 1.5", "--parallel: it takes a whole number from 1 up, not '1.5'"),
        (f"{SYNC} --wait nan", "--wait: it takes a number from 0 up, not 'nan'"),
        (f"{SYNC} --quota-share 2", "--quota-share: it takes a number from 0 to 1, not '2'"),
        (f"{SYNC} --bulk-threshold=-1", "--bulk-threshold: it takes a whole number from 0 up"),
        ("push x.csv --to Account --batch-size 0", "--batch-size: it takes a whole number from 1 to 200, not '0'"),
        ("emulator --port 99999", "--port: it takes a whole number from 0 to 65,535, not '99999'"),
    ],
)
def test_a_number_that_an_option_does_not_take_is_told_in_our_words(words: str, says: str) -> None:
    """What was read, what came, and what it takes, on one line; with the exit code of wrong use."""
    done = CliRunner().invoke(app, words.split())
    (line,) = done.stderr.splitlines()
    assert (done.exit_code, done.stdout, says in line) == (2, "", True), line
    assert f"`halocline {words.partition(' ')[0]} --help` tells" in line


BUILT = """
flows:
  first: &flow
    kind: tables
    from: sqlite:///app.sqlite
    to: sqlite:///lake.sqlite
    tables: [{from: people, to: first, build: 'ending_functions:build', schema: {id: integer}, max_rejected: 1}]
  second: {<<: *flow, tables: [{from: people, to: second, build: 'ending_module:build', schema: {id: integer}}]}
  third: {<<: *flow, tables: [{from: people, to: third}]}
"""


def test_code_of_ones_own_ends_no_command() -> None:
    """Neither a builder that calls `sys.exit` nor a module: each is told of its item or flow, and the flows behind it are run."""
    Path("ending_functions.py").write_text("import sys\ndef build(item):\n    return sys.exit(0) if item['id'] == 2 else item\n")
    Path("ending_module.py").write_text("import sys\nsys.exit(0)\n")
    Path("halocline.yaml").write_text(BUILT)
    with closing(sqlite3.connect("app.sqlite")) as there:
        there.executescript("CREATE TABLE people (id INTEGER PRIMARY KEY); INSERT INTO people VALUES (1), (2), (3);")
    done = CliRunner().invoke(app, ["run", "--all", "--json"])
    told = {one["flow"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert [(name, one["exit_code"]) for name, one in told.items()] == [("first", 3), ("second", 2), ("third", 0)]
    assert (told["first"]["counts"]["inserted"], told["first"]["counts"]["rejected"]) == (2, 1)
    assert "importing ending_module failed: SystemExit: 0" in told["second"]["error"]
    assert done.exit_code == 2


def test_an_exit_that_nobody_caught_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """Told with its place, whatever code it gives: of 0, whoever started the command would think that all is done."""
    with pytest.raises(typer.Exit) as ended, told(as_json=True):
        sys.exit(0)
    assert ended.value.exit_code == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["success"], found["exit_code"]) == (False, 1)
    assert "would end the process (SystemExit: 0 (" in found["error"]
    assert "test_answers.py" in found["error"]


def test_a_reader_that_has_gone_is_nobodys_exit(capsys: pytest.CaptureFixture[str]) -> None:
    """Rich ends with SystemExit where a pipe is closed (`halocline errors last | head`): nothing is told of it."""
    reading, writing = os.pipe()
    os.close(reading)

    def answered() -> None:
        try:
            os.write(writing, b"an answer")
        except BrokenPipeError:
            sys.exit(1)

    with pytest.raises(SystemExit) as ended, told(as_json=False):
        answered()
    os.close(writing)
    assert isinstance(ended.value.__context__, BrokenPipeError)
    assert capsys.readouterr() == ("", "")


def test_without_json_what_is_refused_is_a_sentence() -> None:
    """Also right after a command that was asked for JSON."""
    CliRunner().invoke(app, ["run", "--json"])
    done = CliRunner().invoke(app, ["run"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "name flows" in done.stderr


def test_an_object_that_fails_is_told_as_an_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """By sync with the documented keys besides, by verify with both sides' names."""

    def fails(*_: object, **__: object) -> None:
        raise MISTAKE

    monkeypatch.setattr("halocline.verify.verify_with", fails)
    codes = [tell(Ended(JOB, Run.new(), MISTAKE), {}, as_json=True)]
    codes.append(_one(None, JOB, {}, type("Bar", (), {"sink": None})(), as_json=True))  # type: ignore[arg-type]  # none is asked
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert codes == [2, 2]
    assert [set(one) >= FAILED for one in told] == [True, True]
    assert [(one["kind"], one["sobject"]) for one in told] == [("FixConfig", "Account")] * 2


def test_a_verification_has_the_names_of_every_answer() -> None:
    """Its own, older ones stay beside them."""
    told = Verification("Account", "raw.Account", Level.KEYS, 1, 1, 1, 0, elapsed_s=0.25).to_json()
    assert (told["sobject"], told["elapsed_seconds"]) == (told["object"], told["elapsed_s"]) == ("Account", 0.25)


def test_tables_of_which_rows_were_rejected_are_no_success() -> None:
    """As a push and a file of which rows were refused; what became of all rows is in `counts`."""
    run = Run.new()
    run.counts = Counts(inserted=9, rejected=1)
    told = TablesDone("demand", [TableCopy("names")], run).to_json()
    assert told["success"] is False
    assert told["counts"] == run.counts.to_json()


TYPED = [
    (("sync", "Account", "--to"), "postgresql://etl:{}@127.0.0.1:1/lake", "PGPASSWORD"),
    (("verify", "Account", "--to"), "snowflake://etl:{}@account/lake", "SNOWFLAKE_PASSWORD"),
    (("plan", "Account", "--to"), "postgresql://127.0.0.1:1/lake?password={}", "PGPASSWORD"),
    (("push", "SELECT 1", "--to", "Account", "--mode", "insert", "--from"), "postgresql://etl:{}@127.0.0.1:1/lake", "PGPASSWORD"),
    (("dlq", "redrive", "file:///nowhere", "--store"), "redis://:{}@127.0.0.1:1/0", ""),
]


@pytest.mark.parametrize(("words", "uri", "instead"), TYPED, ids=[words[0] for words, _, _ in TYPED])
def test_a_password_that_is_typed_is_warned_of(
    words: tuple[str, ...], uri: str, instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, with what to write in its place, never with the password: on standard error, or in `notices` of each JSON answer."""
    typed = uri.format("0pen-sesame")
    done = CliRunner().invoke(app, [*words, typed])
    assert done.stderr.count("every user of this machine can see it") == 1, done.stderr
    assert (f"{words[-1]} env:" in done.stderr, f"set {instead}." in done.stderr) == (True, bool(instead))
    assert "0pen-sesame" not in done.stdout + done.stderr
    monkeypatch.setenv("WAREHOUSE", typed)
    for written in (uri.replace(":{}@", "@").replace("?password={}", ""), "env:WAREHOUSE"):
        assert "every user of this machine" not in CliRunner().invoke(app, [*words, written]).stderr
        if words[0] != "dlq":
            assert "notices" not in json.loads(CliRunner().invoke(app, [*words, written, "--json"]).stdout.splitlines()[0])
    if words[0] != "dlq":
        told = CliRunner().invoke(app, [*words, typed, "--json"])
        assert "every user of this machine" not in told.stderr
        for line in told.stdout.splitlines():
            (notice,) = json.loads(line)["notices"]
            assert "every user of this machine can see it" in notice
        assert "0pen-sesame" not in told.stdout
