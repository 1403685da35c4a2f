"""Pending: the pushes of a flow whose rows are not all told when somebody looks ahead; nothing is booked, nobody is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from halocline.push.elsewhere import LOOKED_BACK, death
from halocline.push.note import Note
from halocline.push.past import unsettled

if TYPE_CHECKING:
    from halocline.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Pending:
    """A push that was `cut_off` (killed, or failed half-way), or else has not ended as far as can be told from here."""

    run: str
    cut_off: bool

    def __str__(self) -> str:
        if self.cut_off:
            return f"run {self.run[:8]} was cut off: the push first finds out what became of its rows, which is not known here"
        return f"run {self.run[:8]} has not ended: what becomes of its rows is not known here"


def pending(flow: str, *, org: str, ledger: Ledger, home: Path) -> tuple[Pending, ...]:
    """The pushes of a flow into `org`, oldest first, of which not every row is told."""
    found = []
    for record in reversed(ledger.runs(flow, limit=LOOKED_BACK)):
        note = Note.from_json(record.plan)
        if note is not None and note.org == org and unsettled(record.run, ledger):
            found.append(record)
    if not found:
        return ()
    dead, at_work = ledger.dead(), ledger.running(flow)
    return tuple(
        Pending(
            record.run,
            record.run not in at_work or record.run in dead or death(record, at_work[record.run], home=home) is not None,
        )
        for record in found
    )
