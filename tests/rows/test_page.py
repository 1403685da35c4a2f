"""The page about sources is true."""

from __future__ import annotations

import re

import pytest
from tests.test_docs import DOCS, run_page

from halocline.rows.files import kind_of

PAGE = DOCS / "sources.md"


def test_the_page_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    """Every Python block, in order; they print nothing."""
    run_page(PAGE)
    assert capsys.readouterr().out == ""


def test_the_page_names_the_kinds_of_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each ending that it names is read; another is not."""
    line = next(line for line in PAGE.read_text().splitlines() if line.startswith("| a file:"))
    endings = [one for one in re.findall(r"`(\.\w+)`", line) if one != ".gz"]
    folder = tmp_path_factory.mktemp("kinds")
    assert [kind_of(folder / f"a{one}") for one in endings] == endings
    assert [kind_of(folder / f"a{one}.gz") for one in endings] == [*endings[:-1], None]
    assert kind_of(folder / "a.xlsx") is None
