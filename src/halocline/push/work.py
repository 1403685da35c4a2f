"""Work: the rows of a push lie staged and are sent; what ends well or badly is booked, and the folder put in order."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from halocline.connector import Journal
from halocline.errors import HaloclineError, Stopped
from halocline.events import Noticed, PushPlanned, RunFailed, RunFinished
from halocline.outcome import Outcome
from halocline.push.books import Books
from halocline.push.destination import RowLoad
from halocline.push.folder import RunFolder
from halocline.push.order import WriteOrder
from halocline.quantity import quantity

WHOLE = "whole"
"""The intent that is open from before the first row is sent until every row is told and booked."""


@dataclass(slots=True)
class Work:
    """A staged push: its books, its open load, its folder, and the run `maker` in whose journal it is `intended`."""

    books: Books
    load: RowLoad
    folder: RunFolder
    maker: str
    intended: bool = False

    def send(self) -> None:
        """Send what is not sent yet, until every row is told, and close the books.

        Raises: whatever ends the push as a whole.
        """
        run, books = self.books.run, self.books
        assert run.plan is not None, "nothing is sent without a plan"
        run.folder = self.folder.path
        books.sink(PushPlanned(run.id, run.plan))
        books.watch.planned(run.plan)
        self.folder.settled.unlink(missing_ok=True)
        tolds = self.load.outcomes(sending=books.watch.sending)
        try:
            books.hear_all(tolds)
        finally:
            if isinstance(tolds, Generator):  # left half-way it would go on holding connections until it is collected
                tolds.close()
        books.balance()
        self.finish()

    def finish(self) -> None:
        """Close books in which every row is, and let the folder go or shrink it."""
        # In this order: a run that dies between the two is heard again, and sends nothing, rather than being forgotten.
        self.books.close("done", _stopped(self.books))
        self.settle()
        self._tidy()

    def fail(self, error: BaseException) -> None:
        """Close the books on a failure; unless all rows are told, the run may be taken up again."""
        run = self.books.run
        told = run.accounted >= run.total and not self.books.marks.untold
        to_do = self.intended and not told
        close_failed(self.books, error, hint=f"`halocline resume {self.maker}` sends the rest." if to_do else "")
        if not self.intended:
            self.folder.delete()
        elif told:
            self.settle()
            self._tidy()

    def settle(self) -> None:
        """Nobody need come back to this run."""
        if self.books.ledger is not None:
            settle_all(self.books.ledger.journal(self.maker))

    def _tidy(self) -> None:
        run = self.books.run
        if run.clean:
            self.folder.delete()
            run.folder = None
            return
        try:
            self.load.left()
        except HaloclineError as error:
            self.books.sink(Noticed(f"All rows are booked, but the folder of the run could not be put in order. {error}"))


def settle_all(journal: Journal) -> None:
    """Settle what is open in the journal of a run that nobody will take up; the whole last, for it is what keeps the run."""
    for chunk in [chunk for chunk, _, _ in journal.open() if chunk != WHOLE]:
        journal.settle(chunk, Outcome(chunk))
    journal.settle(WHOLE, Outcome(WHOLE))


def close_failed(books: Books, error: BaseException, *, hint: str = "") -> None:
    """Book a failure, and tell the error what a person needs: the run, and what to do about it."""
    run = books.run
    if isinstance(error, HaloclineError):
        error.facts.setdefault("run", run.id)
        error.hint = f"{error.hint} {hint}".strip()
    try:
        books.close("failed", str(error) or type(error).__name__)
    except HaloclineError as broken:  # the first failure is the one to tell; an open intent says the rest
        error.add_note(f"Neither could the failure be booked: {broken}")
    books.sink(RunFailed(run.id, str(error) or type(error).__name__, run.written))


def _stopped(books: Books) -> str | None:
    """Where a push ended that was to end at the first error; None where it went to its end."""
    row = books.run.worst
    return None if row is None or not books.stops else f"stopped at the first error: row {row.row}: {row.code}: {row.message}"


def announce(books: Books, order: WriteOrder) -> None:
    """Tell the end of a push that went well.

    Raises: Stopped when it was to stop at the first error and there was one.
    """
    run = books.run
    books.sink(RunFinished(run.id, run.counts, run.total, run.elapsed_s))
    row, cause = run.worst, _stopped(books)
    if row is not None and cause is not None:
        hint = f"{quantity(run.written, 'row is')} written, which stays so; {run.not_attempted:,} not attempted."
        doing = f"Pushing into {order.sobject}"
        raise Stopped(doing, cause, hint=hint, code=row.code, run=run.id, row=row.row, counts=run.counts.to_json())
