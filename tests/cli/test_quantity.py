"""How many of what is said as people say it."""

from __future__ import annotations

import pytest

from halocline.cli.quantity import quantity


@pytest.mark.parametrize(("count", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (2_000, "2,000 rows")])
def test_one_alone_is_singular(count: int, said: str) -> None:
    """Nothing and many have an s, one has none."""
    assert quantity(count, "row") == said
