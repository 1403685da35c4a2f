"""What reliability tests share: the books of their runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.figures import Books, Says, auditing


@pytest.fixture
def conserved(record_property: Says) -> Iterator[Books]:
    """Each run of the test, as its ledger has it, balances: rows read = rows accounted for; a failed run has changed nothing."""
    books = Books()
    with auditing(books):
        yield books
    books.say(record_property)
    assert books.unaccounted == 0
