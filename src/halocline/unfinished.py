"""Unfinished: what a run began at its source and has not brought to its end, as its journal knows it.

It is intended, gets the name that the other side gives it, and is settled: its rows are durable, nobody wants it any more, or a
later run has taken it up and has it in its own journal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from halocline.batch import JSON
from halocline.connector import Journal, Plan, Unfinished
from halocline.errors import HaloclineError, JobFailed, Refused, SchemaConflict, Truncated
from halocline.outcome import Outcome

if TYPE_CHECKING:
    from halocline.ledger import Ledger

_MARK = "source:"  # of a source's chunks in a journal that it shares with the destination
_OF_TABLE = " | "
_SPOILT = (JobFailed, Refused, SchemaConflict, Truncated)


class SourceJournal:
    """The part of a run's journal that is its source's. Implements `connector.Journal`.

    `table` tells the source of one table from those of others that are loaded together with it.
    """

    def __init__(self, journal: Journal, table: str = "") -> None:
        self._journal = journal
        self._mark = _MARK + belonging(table)

    def intend(self, chunk: str, detail: JSON = None) -> None:
        """See `Journal.intend`."""
        self._journal.intend(self._mark + chunk, detail)

    def remote(self, chunk: str, job_id: str) -> None:
        """See `Journal.remote`."""
        self._journal.remote(self._mark + chunk, job_id)

    def settle(self, chunk: str, outcome: Outcome) -> None:
        """See `Journal.settle`."""
        self._journal.settle(self._mark + chunk, replace(outcome, chunk=self._mark + chunk))

    def open(self) -> Sequence[tuple[str, JSON, str | None]]:
        """See `Journal.open`."""
        found = self._journal.open()
        return [(chunk.removeprefix(self._mark), detail, job) for chunk, detail, job in found if chunk.startswith(self._mark)]


def belonging(table: str) -> str:
    """How the names of chunks begin that belong to one of several tables."""
    return f"{table}{_OF_TABLE}" if table else ""


def left_by(runs: Sequence[str], ledger: Ledger) -> list[Unfinished]:
    """The unfinished work of `runs` (oldest first), that of the newest first; a run that is done has none, whatever is open."""
    return [work for run in reversed(runs) for work in _of(run, ledger)]


def settle(run: str, ledger: Ledger, *, chunks: Sequence[str] | None = None) -> None:
    """Book that nothing is left to be done of these chunks of a run's source; None for all that are open. Idempotent."""
    journal = SourceJournal(ledger.journal(run))
    for chunk, _, _ in journal.open():
        if chunks is None or chunk in chunks:
            journal.settle(chunk, Outcome(chunk))


def is_spoilt(error: BaseException) -> bool:
    """Whether what was read is to blame, so that the same work would fail in the same way again: the next run begins anew.

    After a lost connection, a full disk, a missing right or an interrupt the work is as good as before.
    """
    return isinstance(error, _SPOILT) or (isinstance(error, Exception) and not isinstance(error, HaloclineError))


def _of(run: str, ledger: Ledger) -> Iterator[Unfinished]:
    record = ledger.get(run)
    if record.state == "done":  # its rows are durable: it only waits to be acknowledged
        return
    for chunk, detail, job in SourceJournal(ledger.journal(run)).open():
        yield Unfinished(run, chunk, detail, job, _plan(record.plan, chunk))


def _plan(data: object, chunk: str) -> Plan | None:
    """The plan as booked, of several the one of the chunk's table; None where there is none, or another version wrote it."""
    try:
        if isinstance(data, Mapping) and "tables" in data:
            data = next(one["plan"] for one in data["tables"] if chunk.startswith(belonging(one["flow"])))
        return Plan.from_json(data)  # type: ignore[arg-type]  # what is no plan fails
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError):
        return None
