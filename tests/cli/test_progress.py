"""Laws of the progress display: what a person should know is shown wherever they look."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from halocline.cli.progress import ProgressBar
from halocline.events import Noticed, Waiting


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
