"""Laws of the command line's verbs."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from halocline.cli.verbs import VERBS, Verb, program, typed
from halocline.config import Settings
from halocline.errors import FixConfig
from tests.command_line import app

MODULES = {verb.place.partition(":")[0] for verb in VERBS}

# The console script with one word, and then which of the modules above it has loaded.
ONE_WORD = """
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from halocline.cli.main import run
with redirect_stdout(StringIO()), redirect_stderr(StringIO()), suppress(SystemExit):
    run()
print(*(name.removeprefix("halocline.cli.") for name in sys.modules if name.startswith("halocline.cli.")))
"""


EARLY = """
import halocline.cli.main as main
def interrupted(_): raise KeyboardInterrupt
main.program = interrupted
main.run()
"""


def test_an_interrupt_while_verbs_are_loaded_ends_it_with_a_word() -> None:
    """Not with a traceback; its code is that of any interrupt."""
    done = subprocess.run([sys.executable, "-c", EARLY, "version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def loaded(word: str) -> set[str]:
    """The modules of verbs that a process has loaded that was given this word."""
    done = subprocess.run([sys.executable, "-c", ONE_WORD, word], capture_output=True, text=True, check=True)
    return MODULES & set(done.stdout.split())


@cache
def all_verbs() -> Typer:
    return program(VERBS)


def test_a_verb_waits_for_no_other() -> None:
    """The module of the verb that was typed is loaded alone; whoever asks for all, as a word that is no verb does, loads all."""
    assert loaded("version") == {"version"}
    assert loaded("--help") == MODULES


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_verb_alone_is_as_among_the_others(verb: Verb) -> None:
    """Its help is the same to the letter whether the others are there or not."""
    name = verb.name
    alone, among = (CliRunner().invoke(one, [name, "--help"]) for one in (program(typed([name, "--json"])), all_verbs()))
    assert alone.exit_code == 0, alone.output
    assert alone.output == among.output


def test_what_is_no_verb_is_told_with_what_was_meant() -> None:
    """All verbs are held against it, and each is shown by --help."""
    assert typed([]) == typed(["--version"]) == typed(["sycn"]) == VERBS
    told = CliRunner().invoke(program(), ["sycn"])
    assert told.exit_code == 2
    assert "'sync'" in told.output
    shown = CliRunner().invoke(program(), ["--help"]).output
    assert [verb.name for verb in VERBS if f" {verb.name} " not in shown] == []


def test_a_module_without_its_handlers_is_told_how_it_is_written() -> None:
    """`listen shop.events --queue orders`: module:name was meant."""
    told = CliRunner().invoke(app, ["listen", "shop.events", "--queue", "orders"])
    assert (told.exit_code, told.stdout) == (2, "")
    assert "Did you mean shop.events:handlers?" in " ".join(told.stderr.split())


def test_a_demo_whose_folder_cannot_be_made_says_so(tmp_path: Path) -> None:
    """In one line, with the option that names another; the file in the way stays."""
    (tmp_path / "file").write_text("mine")
    done = CliRunner().invoke(app, ["demo", "--folder", str(tmp_path / "file" / "demo")])
    assert (done.exit_code, done.exception is None or isinstance(done.exception, SystemExit)) == (1, True)
    assert "Name another with --folder" in done.output
    assert (tmp_path / "file").read_text() == "mine"


SYNC = ("sync", "Account", "--to", "duckdb:///lake.duckdb")


@pytest.mark.parametrize(
    "words",
    [
        *((*SYNC, "--lookback", value) for value in ("-1", "99999999999", "1e300")),
        (*SYNC, "--api-budget", "9" * 30),
        ("runs", "--limit", "9" * 23),
        ("errors", "last", "--limit", "9" * 23),
        ("runs", "prune", "--older-than", "99999999999d"),
        ("dlq", "ls", "orders", "--limit", "9" * 23),
    ],
    ids=" ".join,
)
def test_a_number_that_nobody_can_mean_is_bad_use(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option is named as it was typed, and with --json that is one document; no traceback of a date or a database."""
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, words[-2] in done.output) == (2, True)
    document = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert (document["exit_code"], words[-2] in document["error"]) == (2, True)


@pytest.mark.parametrize("calls", ["0", "-1", "many", "9" * 30, "9" * 5_000])
def test_a_budget_is_a_number_of_calls(calls: str) -> None:
    """That a ledger can count; another is refused when the settings are read."""
    with pytest.raises(FixConfig, match=r"HALOCLINE_API_BUDGET.*is no number of calls"):
        Settings.from_env({"HALOCLINE_API_BUDGET": calls})
