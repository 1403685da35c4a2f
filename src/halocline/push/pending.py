"""Pending: the pushes of a flow whose rows are not all told when somebody looks ahead; nothing is booked, nobody is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from halocline.push.elsewhere import LOOKED_BACK, death, place
from halocline.push.note import Note
from halocline.push.order import SyncMode
from halocline.push.past import unsettled

if TYPE_CHECKING:
    from halocline.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Pending:
    """A push that was `cut_off` (killed, or failed half-way), or else has not ended as far as can be told from here.

    `lost`: its folder is gone, so nobody will ever tell what became of its rows; an insert of the same rows is `refused` then,
    until a person ends that run.
    """

    run: str
    cut_off: bool
    lost: bool = False
    refused: bool = False

    def __str__(self) -> str:
        if self.cut_off and self.lost:
            told = f"run {self.run[:8]} was cut off, and its folder is gone: nobody can say what became of its rows"
            way = f"`halocline resume {self.run[:8]} --discard --anyway` ends it; before that the same rows are refused"
            return f"{told}. {way}" if self.refused else told
        if self.cut_off:
            return f"run {self.run[:8]} was cut off: the push first finds out what became of its rows, which is not known here"
        return f"run {self.run[:8]} has not ended: what becomes of its rows is not known here"


def pending(flow: str, *, org: str, ledger: Ledger, home: Path) -> tuple[Pending, ...]:
    """The pushes of a flow into `org`, oldest first, of which not every row is told."""
    open_runs = []
    for record in reversed(ledger.runs(flow, limit=LOOKED_BACK)):
        note = Note.from_json(record.plan)
        # of those that are done every row is told, and they are many
        if record.state != "done" and note is not None and note.org == org and unsettled(record.run, ledger):
            open_runs.append((record, note))
    if not open_runs:
        return ()
    dead, at_work = ledger.dead(), ledger.running(flow)
    found = []
    for record, note in open_runs:
        process = at_work.get(record.run)
        cut_off = process is None or record.run in dead or death(record, process, home=home) is not None
        lost = not place(note, run=record.run, home=home).marks.exists()
        found.append(Pending(record.run, cut_off, lost, refused=lost and note.order.mode is SyncMode.INSERT))
    return tuple(found)
