"""Laws of `halocline emulator aws`: it says when it is ready, leads clients to it, and ends without a trace."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from typer.testing import CliRunner

from tests.command_line import app

pytestmark = pytest.mark.timeout(120)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    return tmp_path


def env(*words: str) -> tuple[int, dict[str, str]]:
    """What `halocline emulator aws env` exports."""
    done = CliRunner().invoke(app, ["emulator", "aws", "env", *words])
    pairs = [shlex.split(line.removeprefix("export "))[0].split("=", 1) for line in done.stdout.splitlines()]
    return done.exit_code, dict(pairs)


def test_it_is_found_used_and_ended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ready line holds all that clients need, and so does `env`; Ctrl-C ends it with 0, and nothing of it is left."""
    command = [
        sys.executable,
        "-m",
        "halocline",
        "emulator",
        "aws",
        "--port",
        "0",
        "--json",
        "--fault",
        "refuse: service=sns code=No",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        ready = json.loads(running.stdout.readline())
        assert ready["url"] == ready["environment"]["AWS_ENDPOINT_URL"]
        port = ready["url"].rpartition(":")[2]
        assert env() == env("--port", port) == (0, ready["environment"])
        assert env("--port", "1")[0] == 2
        for name, value in ready["environment"].items():
            monkeypatch.setenv(name, value)
        assert boto3.client("sqs").create_queue(QueueName="orders")["QueueUrl"].endswith("/orders")
        with pytest.raises(Exception, match="No"):
            boto3.client("sns").list_topics()
        monkeypatch.setenv("HALOCLINE_HOME", str(home / "other"))
        for words in ((), ("--port", port)):
            told = CliRunner().invoke(app, ["emulator", "aws", "env", *words]).stderr
            says = f"none that runs{' on port ' * bool(words)}{port * bool(words)} has a note in {home / 'other' / 'aws'}"
            assert (says in told, "with another HALOCLINE_HOME is found" in told) == (True, True), told
        monkeypatch.setenv("HALOCLINE_HOME", str(home))
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
    assert (env()[0], list((home / "aws").iterdir())) == (2, [])


def test_what_the_variables_do_not_reach_is_told(home: Path) -> None:
    """AWS CLI 1 sends `aws sqs` to the real AWS in spite of them: whoever starts one is told, and no page shows it so."""
    command = [sys.executable, "-m", "halocline", "emulator", "aws", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        lines = iter(running.stdout.readline, "")
        started = next(line for line in lines if "Ctrl-C" in line)
        assert 'eval "$(halocline emulator aws env)"' in started
        assert '--endpoint-url "$AWS_ENDPOINT_URL"' in next(lines)
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
    pages = [path for folder in ("docs", "examples") for path in (ROOT / folder).rglob("*.md")]
    shown = [line for path in pages for line in path.read_text().splitlines() if line.startswith("$ aws sqs")]
    assert shown
    assert [line for line in shown if "--endpoint-url" not in line] == []


def test_a_port_that_is_taken_is_told(home: Path) -> None:
    """With what to do; and a rule that makes no sense, before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = CliRunner().invoke(app, ["emulator", "aws", "--port", str(taken.getsockname()[1])])
    assert (done.exit_code, "Choose another port" in done.stderr) == (1, True)
    done = CliRunner().invoke(app, ["emulator", "aws", "--fault", "explode"])
    assert (done.exit_code, "--fault 'explode'" in done.stderr) == (2, True)
