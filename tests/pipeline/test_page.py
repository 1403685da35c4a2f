"""The page about pushing is true."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from tests.test_docs import DOCS, run_page

from halocline.pipeline import SyncPipeline
from halocline.push.callbacks import NAMES

PAGE = DOCS / "pushing.md"


@pytest.mark.system
def test_the_page_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every Python block, in order; they print what the page says."""
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    run_page(PAGE)
    assert capsys.readouterr().out == "".join(re.findall(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL))


def test_the_page_names_every_argument_and_callback() -> None:
    """And none that there is not."""
    text = PAGE.read_text()

    def first_cells(heading: str) -> list[str]:
        body = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        cells = [line.split("|")[1] for line in body.splitlines() if line.startswith("|")][2:]
        return [name for cell in cells for name in re.findall(r"`(\w+)", cell)]

    parameters = [name for name in inspect.signature(SyncPipeline.__init__).parameters if name != "self"]
    assert sorted(first_cells("What it is made of")) == sorted(parameters)
    assert first_cells("While it goes on") == list(NAMES)
