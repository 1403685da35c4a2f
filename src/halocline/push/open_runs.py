"""The runs that can be taken up: those that ended before every row was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.push.note import Note
from halocline.push.past import LOOKED_BACK, unsettled

if TYPE_CHECKING:
    from halocline.ledger import Ledger


def open_runs(ledger: Ledger) -> list[str]:
    """The pushes, oldest first, that are not at work any more and of which something is left to do: `resume` takes them up."""
    records = [record for record in reversed(ledger.runs(limit=LOOKED_BACK)) if Note.from_json(record.plan) is not None]
    for flow in dict.fromkeys(record.flow for record in records if record.state == "running"):
        ledger.abandon_dead(flow)
    left = [record.run for record in records if ledger.get(record.run).state != "running"]
    return [run for run in left if unsettled(run, ledger)]
