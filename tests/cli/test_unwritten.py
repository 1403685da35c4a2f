"""Laws of answers that nobody gets: a full log stops no flow, and where nothing was to be done that is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from tests.command_line import app

FLOWS = """
flows:
  first: {kind: tables, from: "duckdb:///lake.duckdb", to: "duckdb:///lake.duckdb", tables: [{from: src, to: one}]}
  wrong: {kind: tables, from: "duckdb:///lake.duckdb", to: "duckdb:///lake.duckdb", tables: [{from: nothing}]}
  last: {kind: tables, from: "duckdb:///lake.duckdb", to: "duckdb:///lake.duckdb", tables: [{from: src, to: two}]}
"""
LISTENING = "flows: {orders: {kind: listen, queue: orders, handlers: 'orders:handlers'}}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("way", [[], ["--json"]], ids=["text", "json"])
def test_a_full_log_stops_no_flow(folder: Path, way: list[str]) -> None:
    """All are run; that their answers are lost is told once, by code 1."""
    (folder / "halocline.yaml").write_text(FLOWS)
    with duckdb.connect("lake.duckdb") as lake:
        lake.execute("CREATE TABLE src AS SELECT 1 AS id")
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "halocline", "run", "--all", *way]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 1
    assert done.stderr.endswith("Failed: Writing the answer: No space left on device. `halocline runs` tells what was done.\n")
    assert "Traceback" not in done.stderr
    with duckdb.connect("lake.duckdb") as lake:
        assert lake.execute("SELECT * FROM one UNION ALL SELECT * FROM two").fetchall() == [(1,), (1,)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("both", [True, False], ids=["both", "errors"])
def test_progress_that_cannot_be_written_stops_no_flow(folder: Path, *, both: bool) -> None:
    """As a log of both streams; where the answers alone are written, the code is that of the flows."""
    (folder / "halocline.yaml").write_text(FLOWS)
    with duckdb.connect("lake.duckdb") as lake:
        lake.execute("CREATE TABLE src AS SELECT 1 AS id")
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "halocline", "run", "--all"]
        answers = full if both else subprocess.PIPE
        done = subprocess.run(command, stdout=answers, stderr=full, text=True, check=False, env=dict(os.environ))
    assert done.returncode == (1 if both else 2)
    assert both or done.stdout.count("1 row read") == 2
    with duckdb.connect("lake.duckdb") as lake:
        assert lake.execute("SELECT * FROM one UNION ALL SELECT * FROM two").fetchall() == [(1,), (1,)]


@pytest.mark.parametrize("way", [[], ["--json"]], ids=["text", "json"])
def test_a_reader_that_has_gone_ends_the_flows_without_a_word(folder: Path, way: list[str]) -> None:
    """As it ends any other answer."""
    (folder / "halocline.yaml").write_text(FLOWS)
    with duckdb.connect("lake.duckdb") as lake:
        lake.execute("CREATE TABLE src AS SELECT 1 AS id")
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "halocline", "run", "first", *way]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, env=dict(os.environ))
    os.close(writing)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("file", "words", "told"),
    [
        (LISTENING, ["run", "--all"], "1 flow of the kind listen"),
        ("flows: {}", ["run", "--all"], "the file has none"),
        ("flows: {}", ["resume"], "Nothing is left to do"),
    ],
)
def test_that_nothing_was_done_is_said(folder: Path, file: str, words: list[str], told: str) -> None:
    """In words, and in one JSON document."""
    (folder / "halocline.yaml").write_text(file)
    shown = CliRunner().invoke(app, words)
    assert (shown.exit_code, told in shown.stdout) == (0, True), shown.output
    (answer,) = map(json.loads, CliRunner().invoke(app, [*words, "--json"]).stdout.splitlines())
    assert (answer["success"], answer["exit_code"]) == (True, 0)
    assert told in answer["notices"][0]


def typed(folder: Path, *words: str, shell: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """What a shell gets of a command."""
    env = {**os.environ, "SF_ACCESS_TOKEN": "t", "SF_INSTANCE_URL": "http://127.0.0.1:9", **more}
    line = f'exec "$@" {shell}'
    command = ["sh", "-c", line, "sh", sys.executable, "-m", "halocline", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)


def test_standard_input_that_is_closed_is_told(folder: Path) -> None:
    """As of a service that was started without one; it was a traceback."""
    done = typed(folder, "push", "-", "--to", "Account", "--mode", "insert", shell="<&-")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Please check: Reading standard input: it is closed."), done.stderr


def test_what_an_encoding_cannot_say_is_spelled_out(folder: Path) -> None:
    """An answer in the encoding of an old terminal comes to its end."""
    (folder / "halocline.yaml").write_text(FLOWS.replace("first:", "Łódź:"))
    with duckdb.connect(str(folder / "lake.duckdb")) as lake:
        lake.execute("CREATE TABLE src AS SELECT 1 AS id")
    done = typed(folder, "run", "Łódź", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C.UTF-8")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert done.stdout.startswith("\\u0141\\xf3d\\u017a: src -> one: 1 row read"), done.stdout
