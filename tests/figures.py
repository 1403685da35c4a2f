"""Figures: what tests count, told in one section at the end of a run, and the books that every run of theirs has to balance.

A test says a line with the property `says`, and figures that are summed over many tests with `add`; `tests/conftest.py` prints
what passed tests have said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from unittest import mock

from halocline import run as loop

Says = Callable[[str, object], None]
"""pytest's `record_property`."""

SAYS, SUMS = "says", "sums"  # a line as it is; figures that are added up


def add(record: Says, what: str, /, **figures: int) -> None:
    """Figures by name (`_` is a blank) that are added to those that other tests tell of the same."""
    record(SUMS, [what, figures])


def lines(properties: Iterable[tuple[str, Any]]) -> list[str]:
    """What all properties say, in order."""
    told: list[str] = []
    sums: dict[str, Counter[str]] = {}
    for name, value in properties:
        if name == SAYS:
            told.append(str(value))
        elif name == SUMS:
            what, figures = value
            sums.setdefault(what, Counter()).update(figures)
    for what, counts in sums.items():
        told.append(f"{what}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()).replace("_", " "))
    return sorted(told)


@dataclass(slots=True)
class Books:
    """Runs whose ledger was looked at after their end; `failed` ended with an error, `unaccounted` rows have no fate."""

    runs: int = 0
    failed: int = 0
    rows: int = 0
    unaccounted: int = 0

    def audit(self, record: Any) -> None:
        """Look at one run as the ledger remembers it: what was read is accounted for, and what failed has changed nothing."""
        self.runs += 1
        self.rows += record.rows_read
        if record.state == "done":
            self.unaccounted += abs(record.rows_read - record.counts.accounted)
        else:
            self.failed += 1
            self.unaccounted += record.counts.accounted

    def say(self, record: Says) -> None:
        """Add these books to those of other tests."""
        add(record, "T23 conservation, in their ledgers", **asdict(self))


@contextmanager
def auditing(books: Books) -> Iterator[None]:
    """Every run of this process that ends inside the block is looked up in its ledger."""
    close = loop._close_books

    def closed(flow: Any, run: Any, ledger: Any, *rest: Any) -> None:
        close(flow, run, ledger, *rest)
        books.audit(ledger.get(run.id))

    with mock.patch.object(loop, "_close_books", closed):
        yield
