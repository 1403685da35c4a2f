"""The page about mappings is true."""

from __future__ import annotations

import re

import pytest
from tests.test_docs import DOCS, run_page

from halocline.mapping import TRANSFORMS

PAGE = DOCS / "mapping.md"


def test_the_page_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    """Every Python block, in order; the last one prints what the page says."""
    run_page(PAGE)
    printed = re.search(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert printed is not None
    assert capsys.readouterr().out == printed[1]


def test_the_page_names_every_transform() -> None:
    """And none that there is not."""
    table = PAGE.read_text().partition("## Transforms by name")[2].partition("##")[0]
    named = {
        name for line in table.splitlines()[4:] if line.startswith("|") for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert named == set(TRANSFORMS)
