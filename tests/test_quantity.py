"""How many of what is said as people say it."""

from __future__ import annotations

import pytest

from halocline.quantity import quantity


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
    ],
)
def test_one_alone_is_singular(count: int, what: str, said: str) -> None:
    """Nothing and many have an s, one has none; and the verb goes with it."""
    assert quantity(count, what) == said
