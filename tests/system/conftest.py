"""What reliability tests share: the books of their runs, and the shell in which commands die."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.figures import Books, Says, auditing
from tests.system.shell import Shell, shell


@pytest.fixture
def conserved(record_property: Says) -> Iterator[Books]:
    """Each run of the test, as its ledger has it, balances: rows read = rows accounted for; a failed run has changed nothing."""
    books = Books()
    with auditing(books):
        yield books
    books.say(record_property)
    assert books.unaccounted == 0


@pytest.fixture(scope="session")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One shell for all tests of this process: to load the modules takes longer than most commands."""
    with shell(tmp_path_factory.mktemp("shell")) as running:
        yield running
