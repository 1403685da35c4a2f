"""How many of what is said as people say it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import halocline
from halocline.quantity import quantity, quantity_of


@pytest.mark.parametrize(
    ("count", "what", "said"),
    [
        (0, "row", "0 rows"),
        (1, "row", "1 row"),
        (2_000, "row", "2,000 rows"),
        (1, "row was", "1 row was"),
        (3, "row was", "3 rows were"),
        (0, "API call is", "0 API calls are"),
        (2, "batch", "2 batches"),
        (1, "file differs", "1 file differs"),
        (2, "file differs", "2 files differ"),
    ],
)
def test_one_alone_is_singular(count: int, what: str, said: str) -> None:
    """Nothing and many have an s, one has none; and the verb goes with it."""
    assert quantity(count, what) == said


@pytest.mark.parametrize(
    ("count", "total", "said"),
    [(1, 1, "1 of 1 row was"), (1, 2_000, "1 of 2,000 rows was"), (0, 1, "0 of 1 row were"), (2, 3, "2 of 3 rows were")],
)
def test_a_part_has_the_verb_of_its_own_number(count: int, total: int, said: str) -> None:
    """And the noun has that of the whole."""
    assert quantity_of(count, total, what="row was") == said


def test_no_text_says_one_rows() -> None:
    """What a user reads counts by `quantity`: in an f-string no number but a constant stands right before what we count."""
    counted = "rows|files|records|messages|columns|items|objects|values|lines|deletions|digits|calls|times|errors|jobs|parts"
    plural = re.compile(rf"\{{[^{{}}A-Z]*:,\}} (?:{counted})\b")  # constants, in capitals, are never one
    package = Path(halocline.__file__).parent
    found = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in sorted(package.rglob("*.py"))
        if not path.is_relative_to(package / "emulator") and not path.is_relative_to(package / "testing")
        for line in path.read_text().splitlines()
        if plural.search(line) and " if " not in line
    ]
    assert found == []
