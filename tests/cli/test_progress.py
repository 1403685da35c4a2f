"""Laws of the progress display: what a person should know is shown wherever they look."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from halocline.cli.progress import ProgressBar
from halocline.events import Event, Noticed, PushPlanned, RowsStaged, RowsTold, RunFailed, RunFinished, RunStarted, Waiting
from halocline.outcome import Counts
from halocline.push.destination import WritePlan
from halocline.push.order import Api


@pytest.mark.parametrize("terminal", [True, False])
def test_notices_and_waits_are_shown_on_a_terminal_and_in_a_log(terminal: bool) -> None:
    """A bar does not hide a notice or a wait; --json, which is quiet, does."""
    for quiet in (False, True):
        seen = StringIO()
        with ProgressBar(Console(file=seen, force_terminal=terminal, width=120, highlight=False), quiet=quiet) as bar:
            bar.sink(Noticed("the flow is retired in February 2027"))
            bar.sink(Waiting("UNABLE_TO_LOCK_ROW", 1.5))
        for words in ("retired in February 2027", "waiting 1.5 s - UNABLE_TO_LOCK_ROW"):
            assert (words in seen.getvalue()) is not quiet


@pytest.mark.parametrize("end", [RunFinished("r", Counts(), 1, 0.1), RunFailed("r", "no", 0)])
def test_what_is_told_between_two_runs_is_of_neither(end: Event) -> None:
    """A notice of the next file has nothing to do with the one before it."""
    seen = StringIO()
    with ProgressBar(Console(file=seen, width=160, highlight=False)) as bar:
        bar.sink(RunStarted("r", "f", "1good.csv", "Account"))
        bar.sink(Noticed("of the first"))
        bar.sink(end)
        bar.sink(Noticed("2bad.csv -> Account: a finding"))
        bar.sink(Waiting("a lock", 1.5))
    lines = seen.getvalue().splitlines()
    assert "1good.csv -> Account: of the first" in lines
    assert lines[-2:] == ["2bad.csv -> Account: a finding", "waiting 1.5 s - a lock"]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_push_shows_how_it_goes(terminal: bool) -> None:
    """A log has a line with rows, API and calls; a terminal has rows staged, then rows known, with their rate."""
    seen = StringIO()
    plan = WritePlan(Api.BULK, (), rows=900, folded=100, chunks=1, calls=6, digest="")
    with ProgressBar(Console(file=seen, force_terminal=terminal, width=160, highlight=False)) as bar:
        bar.sink(RunStarted("r", "f", "a.csv", "Account"))
        bar.sink(RowsStaged("r", 1_000))
        assert not bar.run, "nothing is sent yet that could be resumed"
        bar.sink(PushPlanned("r", plan))
        bar.sink(RowsTold("r", written=600, others=10))
        assert bar.run == "r"
    expected = (
        ("a.csv -> Account: sending", "610 rows ·") if terminal else ("a.csv -> Account: 900 rows by bulk, 6 API calls expected",)
    )
    for words in expected:
        assert words in seen.getvalue()
