"""Books: what became of the rows of a push, counted, made durable, and told to whoever listens - in that order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from halocline.errors import Stop
from halocline.events import RowsTold, Sink, silent
from halocline.outcome import Fate, Outcome, Rejection, RowResult
from halocline.push.destination import RowDestination, Told
from halocline.push.marks import Marks
from halocline.push.order import SyncMode
from halocline.push.run import PushRun
from halocline.push.sieve import Sieve
from halocline.push.watch import UNWATCHED, Watch
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.ledger import Ledger

Finder = Callable[[Sequence[int]], list[Mapping[str, object]]]


@dataclass(slots=True)
class Books:
    """Keeps the books of `run` in the ledger under the run's own name.

    `records` gives the source's rows by number; without it, results have none. `reopened`: the ledger may hold outcomes of this
    very run from before. `stops`: the push ends at the first error. Without a ledger nothing is durable: that is enough for a
    look. `calls` counts the destination's from now on; `calls_before` were booked for the run before it was reopened.
    """

    run: PushRun
    mode: SyncMode
    ledger: Ledger | None
    sink: Sink = silent
    marks: Marks = field(default_factory=Marks)
    watch: Watch = UNWATCHED
    sieve: Sieve | None = None
    records: Finder | None = None
    reopened: bool = False
    stops: bool = False
    calls: Callable[[], int] = lambda: 0
    calls_before: int = 0
    _began_s: float = field(default_factory=time.monotonic)

    def hear(self, told: Told) -> None:
        """Book rows that were staged."""
        told = self._with_records(told)
        self.run.count(told, self.mode)
        self.marks.tell(_numbers(told))
        self._record(told)
        if self.sieve is not None:
            self.sieve.told(told)
        self._pass_on(told)

    def hear_unstaged(self, told: Told) -> None:
        """Book rows that never came into the folder; `again`: the ledger holds them already."""
        told = self._with_records(told)
        self.run.count(told, self.mode)
        self.run.unstaged += len(told.others)
        if not told.again:
            self._record(told)
        self._pass_on(told)

    def hear_all(self, tolds: Iterable[Told]) -> None:
        """Book all that comes."""
        for told in tolds:
            self.hear(told)

    def balance(self) -> None:
        """Check that every row is in the books once.

        Raises: Stop when it is not.
        """
        run, marks = self.run, self.marks
        if run.accounted == run.total and not marks.untold and not marks.wrong:
            return
        told = f"{marks.untold:,} untold and {marks.wrong:,} told wrongly"
        cause = f"of {quantity(run.total, 'row')} {run.accounted:,} {'is' if run.accounted == 1 else 'are'} accounted for, {told}"
        hint = "Compare both sides before the next run, and report this as a defect of Halocline."
        raise Stop(f"Closing run {run.id}", f"{cause} ({run.counts})", hint=hint)

    def close(self, state: Literal["done", "failed"], error: str | None = None) -> None:
        """Book how the run ended."""
        run = self.run
        run.elapsed_s, run.api_calls = time.monotonic() - self._began_s, self.calls()
        if self.ledger is not None:
            self.ledger.finish(
                run.id,
                state=state,
                method=None if run.plan is None else f"{run.plan.api}_{self.mode}",
                rows_read=run.total,
                counts=run.counts,
                api_calls=self.calls_before + run.api_calls,
                error=error,
            )

    def _with_records(self, told: Told) -> Told:
        numbers = [row.row for row in told.others if row.row is not None]
        if self.records is None or not numbers:
            return told
        found = dict(zip(numbers, self.records(numbers), strict=True))
        others = (row if row.row is None else replace(row, record=found[row.row]) for row in told.others)
        return replace(told, others=tuple(others))

    def _record(self, told: Told) -> None:
        outcome = outcome_of(told)
        # A chunk without trouble costs no write of its own: its journal says that it is settled.
        if self.ledger is not None and (self.reopened or outcome.rejections or outcome.in_doubt):
            self.ledger.record(self.run.id, outcome)

    def _pass_on(self, told: Told) -> None:
        self.watch.told(told)
        others = len(told.others)
        self.sink(RowsTold(self.run.id, told.rows - others, others))


def calls_since_now(destination: RowDestination) -> Callable[[], int]:
    """Counts the calls that a destination makes from now on."""
    before = destination.calls
    return lambda: destination.calls - before


def outcome_of(told: Told) -> Outcome:
    """What the ledger keeps of a Told: rows refused and rows not sent as rejections, and the rows in doubt, as they were."""
    doubts = tuple(_rejection(told, row) for row in told.others if row.fate is Fate.IN_DOUBT)
    return Outcome(
        f"{told.chunk}#{told.piece}",
        rejections=tuple(_rejection(told, row) for row in told.others if row.fate in {Fate.REFUSED, Fate.NOT_SENT}),
        in_doubt=tuple(one.row for one in doubts),
        doubts=doubts,
    )


def result_of(rejection: Rejection) -> RowResult:
    """The row of a rejection that `outcome_of` made."""
    return RowResult(
        rejection.row,
        rejection.fate,
        code=rejection.code,
        message=rejection.message,
        fields=rejection.fields,
        record=rejection.record,
    )


def _rejection(told: Told, row: RowResult) -> Rejection:
    record = row.record if isinstance(row.record, Mapping) else None  # what is no record at all is shown by its message
    number = -1 if row.row is None else row.row
    return Rejection(told.chunk, number, row.code, row.message, row.fields, record, row.fate)


def _numbers(told: Told) -> list[int]:
    written: list[int] = [] if told.written is None else told.written.column("row").to_pylist()
    return [*written, *(-1 if row.row is None else row.row for row in told.others)]
