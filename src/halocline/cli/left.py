"""Left: the rows of a push that ended before all of them were told; `halocline resume` takes them up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.ledger import Ledger
    from halocline.outcome import RunRecord

_ENDED_BADLY = ("failed", "abandoned")


@dataclass(frozen=True, slots=True)
class Left:
    """So many `rows` are to be sent or asked about, by resuming `run`; not `exact`: perhaps fewer, for a process was killed.

    `results` is the schema of the result tables that only the push itself fills.
    """

    run: str
    rows: int
    exact: bool
    results: str | None = None

    @property
    def count(self) -> str:
        """`100`, or `up to 100`."""
        return f"{self.rows:,}" if self.exact else f"up to {self.rows:,}"

    def __str__(self) -> str:
        rows, them = quantity(self.rows, "row is"), "it" if self.rows == 1 else "them"
        resume = f"`halocline resume {self.run[:8]}`"
        up = f"{resume} takes {them} up"
        if self.results is not None:
            up = f"the same push again takes {them} up; {resume} does, too, and tells the tables in {self.results} nothing"
        return f"{'' if self.exact else 'up to '}{rows} left: {up}"


def left_of(record: RunRecord, ledger: Ledger) -> Left | None:
    """What is left to do of a run, or of the dead run that it took up; None where there is nothing, or it has not ended."""
    from halocline.push.elsewhere import LOOKED_BACK
    from halocline.push.note import Note
    from halocline.push.past import unsettled

    note = Note.from_json(record.plan)
    if note is None or record.state not in _ENDED_BADLY:
        return None
    maker = note.continues or record.run
    if not unsettled(maker, ledger):
        return None
    tries = []
    for one in ledger.runs(record.flow, limit=LOOKED_BACK):
        other = Note.from_json(one.plan)
        if other is not None and maker in {one.run, other.continues}:
            tries.append(one)
    # Each try hears what the one before knew, but may have failed before that; a killed one has counted nothing.
    known = [one.rows_read - one.counts.accounted for one in tries if one.state == "failed"]
    return Left(maker, min(known, default=note.staged), exact=bool(known) and len(known) == len(tries), results=note.results)


def standing(record: RunRecord, ledger: Ledger) -> str:
    """What is to be said, beside what was refused, of a push of which not every row is told; else nothing."""
    if record.state == "running" and record.plan is not None:
        name = record.run[:8]
        return f"Run {name} has not ended. If its process is gone, `halocline resume {name}` takes it up."
    left = left_of(record, ledger)
    return "" if left is None else f"{left}."
