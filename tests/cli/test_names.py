"""Laws of names: what a user called something is shown as it is, whatever it would mean to the library that prints."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from halocline.cli.progress import ProgressBar
from halocline.cli.system import the_run
from halocline.emulator.server import Emulator
from halocline.errors import NotFound
from halocline.events import RowsStaged, RunStarted
from halocline.ledger import MemoryLedger
from halocline.outcome import RunRecord
from tests.system.push_desk import PushDesk, desk_at, push_org

NAMES = ["x[/a]", "leads[new]", "[bold]loud[/bold]", "a :warning: b", "back[/]slash\\"]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with push_org(tmp_path_factory.mktemp("org")) as running:
        yield running


@pytest.fixture
def desk(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PushDesk:
    return desk_at(emulator, tmp_path, monkeypatch)


@pytest.mark.system
@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_flow_is_shown_as_it_is(desk: PushDesk, name: str) -> None:
    """By push, runs, errors and retry: none of them fails, none leaves a part out."""
    told = desk.push(desk.file("some.csv", "Ext__c,Name\na,\nb,B\n"), "--flow", name)
    assert (told.exit_code, told.out.startswith(f"{name} -> Account: upsert")) == (3, True), told
    for words in (("runs",), ("runs", "last"), ("retry", "last")):
        assert name in desk.type(*words).out, words
    assert "REQUIRED_FIELD_MISSING" in desk.type("errors", "last").out


@pytest.mark.system
@pytest.mark.parametrize("name", ["leads[new]", "a :warning: b", "[bold]"])
def test_the_names_of_files_and_columns_are_shown_as_they_are(desk: PushDesk, name: str) -> None:
    """Also in a dry run, and where the file is not there."""
    source = desk.file(f"{name}.csv", f"Ext__c,{name}\na,[/b]\n")
    told = desk.push(source, "--dry-run")
    assert (told.exit_code, told.out) == (2, ""), "there is no such field"
    assert name in told.err
    source = desk.file(f"{name}.csv", "Ext__c,Name\na,[/b]\n")
    shown = desk.push(source, "--dry-run").out
    assert (f"1 row of {name}.csv;" in shown, "[/b]" in shown) == (True, True), shown
    assert f"{name}.csv -> Account" in desk.push(source).out
    assert f"there is no file {name}.tsv" in desk.push(f"{name}.tsv").err


@pytest.mark.system
def test_a_condition_is_shown_as_it_is(desk: PushDesk) -> None:
    """A plan repeats what was typed."""
    where = "Name = '[/bold] :warning:'"
    told = desk.type("plan", "Account", "--to", f"duckdb:///{desk.folder}/[x].duckdb", "--schema", "s[/]", "--where", where)
    assert told.exit_code == 0, told
    assert where in told.out
    assert "s[/].Account" in told.out


@pytest.mark.parametrize("name", NAMES)
def test_a_bar_shows_a_name_as_it_is(name: str) -> None:
    """What is on its way has its own name on a terminal too."""
    seen = StringIO()
    console = Console(file=seen, force_terminal=True, width=160, highlight=False)
    with ProgressBar(console) as bar:
        bar.sink(RunStarted("r", "f", f"{name}.csv", "Account"))
        bar.sink(RowsStaged("r", 1_000))
    assert f"{name}.csv -> Account: staging" in seen.getvalue()


# ---- names of runs


class Counted(MemoryLedger):
    """A ledger that notes how many runs it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def runs(self, flow: str | None = None, *, limit: int = 50) -> list[RunRecord]:
        """See `Ledger`."""
        self.asked.append(limit)
        return super().runs(flow, limit=limit)


def test_a_run_is_looked_up_without_reading_them_all() -> None:
    """`last` reads one, a whole name none; the beginning of a name is compared with many."""
    ledger = Counted()
    for name in ("abc", "abd", "ab"):
        ledger.start("flow", run=name, pid=1, host="elsewhere")
    assert (the_run(ledger, "last").run, ledger.asked) == ("ab", [1])
    assert (the_run(ledger, "ab").run, ledger.asked) == ("ab", [1]), "also one that others begin with"
    assert (the_run(ledger, "abc").run, the_run(ledger, "abd").run, ledger.asked) == ("abc", "abd", [1])
    with pytest.raises(NotFound, match="3 runs begin with 'a'"):
        the_run(ledger, "a")
    with pytest.raises(NotFound, match="there are none"):
        the_run(MemoryLedger(), "last")
