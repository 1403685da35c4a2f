"""Laws of `halocline runs prune`: old runs go with the rows that they refused, and what is still wanted stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from halocline.config import Settings
from halocline.emulator.server import Emulator
from halocline.errors import FixConfig
from tests.cli.test_left import short
from tests.system.push_desk import PushDesk, desk_at, push_org

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

NOW = ("--older-than", "0.001s")
SECRET = "a-name-that-nobody-is-to-read"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with push_org(tmp_path_factory.mktemp("org")) as running:
        yield running


@pytest.fixture
def desk(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PushDesk:
    return desk_at(emulator, tmp_path, monkeypatch)


def refused(desk: PushDesk) -> str:
    """The run of a push of two rows of which one is refused."""
    source = desk.file("rows.csv", f"Ext__c,Name\na,A\nb,{SECRET * 20}\n")
    assert desk.push(source).exit_code == 3
    return str(desk.runs()[0]["run"])


def test_a_run_is_forgotten_with_the_values_of_its_rows(desk: PushDesk) -> None:
    """First it is only said; then the run is not known any more, and no byte of a row's values is left in the ledger."""
    run = refused(desk)
    assert SECRET.encode() in (desk.home / "ledger.sqlite").read_bytes()
    told = desk.type("runs", "prune", *NOW, "--dry-run")
    assert (told.exit_code, told.out) == (0, "1 run would be forgotten, with 1 row refused or in doubt.\n")
    assert SECRET in desk.type("errors", run, "--jsonl", "-").out
    told = desk.type("runs", "prune", *NOW)
    assert told.out.startswith("1 run forgotten, with 1 row refused or in doubt. The ledger's file has ")
    assert desk.type("errors", run).exit_code == 2
    assert all(SECRET.encode() not in file.read_bytes() for file in desk.home.glob("ledger.sqlite*"))


def test_what_is_left_to_do_stays_and_is_told(desk: PushDesk) -> None:
    """A push of which rows are left can be taken up after it; then it may go."""
    desk.type(*short(desk))
    run = desk.runs()[0]["run"]
    told = desk.type("runs", "prune", *NOW)
    assert told.out.startswith("0 runs forgotten, with 0 rows")
    assert told.err.startswith(f"1 old run stays, open: {run[:8]}. ")
    desk.emulator.faults.clear()
    assert desk.type("resume").exit_code == 0
    assert desk.documents("runs", "prune", *NOW)[0]["runs"] == 1


def test_the_age_has_to_be_said(desk: PushDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the option or the variable."""
    assert desk.type("runs", "prune").exit_code == 2
    assert "'soon' is no time" in desk.type("runs", "prune", "--older-than", "soon").err
    monkeypatch.setitem(desk.env, "HALOCLINE_LEDGER_KEEP", "90d")
    assert desk.type("runs", "prune").exit_code == 0
    assert desk.type("runs", "prune", "--older-than", "36525d").exit_code == 0


def test_with_the_setting_a_run_prunes_what_is_old(desk: PushDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a day, when it begins."""
    first = refused(desk)
    monkeypatch.setitem(desk.env, "HALOCLINE_LEDGER_KEEP", "0.001s")
    time.sleep(0.002)
    second = refused(desk)
    assert first not in {one["run"] for one in desk.runs()}
    refused(desk)
    assert second in {one["run"] for one in desk.runs()}


def test_a_verb_in_the_place_of_a_run_is_no_run(desk: PushDesk) -> None:
    """`runs` lists, `runs RUN` shows one, `runs list RUN` too."""
    run = refused(desk)
    assert desk.type("runs").out == desk.type("runs", "list").out
    assert desk.type("runs", run[:6]).out == desk.type("runs", "list", "last").out
    assert "prune" in desk.type("runs", "--help").out


def test_the_setting_is_a_time() -> None:
    """In days, weeks, hours; anything else is refused."""
    assert Settings.from_env({"HALOCLINE_LEDGER_KEEP": "2w"}).keep_s == 14 * 86_400.0
    for text in ("90", "0d", "36526d", "99999999999d", f"{'9' * 400}d"):
        with pytest.raises(FixConfig, match=r"HALOCLINE_LEDGER_KEEP.*at most 36525d"):
            Settings.from_env({"HALOCLINE_LEDGER_KEEP": text})
