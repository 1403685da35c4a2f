"""Laws of the progress display: what a person should know is shown wherever they look."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from halocline.cli.progress import ProgressBar
from halocline.events import Noticed, PushPlanned, RowsStaged, RowsTold, RunStarted, Waiting
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
