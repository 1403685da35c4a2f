"""The runs that can be taken up: those that ended before every row was told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from halocline.push.elsewhere import LOOKED_BACK, WAY_OUT, abandon_dead
from halocline.push.note import Note
from halocline.push.past import unsettled

if TYPE_CHECKING:
    from halocline.ledger import Ledger


def open_runs(ledger: Ledger, *, home: Path) -> list[str]:
    """The pushes, oldest first, that are not at work any more and of which something is left to do: `resume` takes them up."""
    records = [record for record in reversed(ledger.runs(limit=LOOKED_BACK)) if Note.from_json(record.plan) is not None]
    for flow in dict.fromkeys(record.flow for record in records if record.state == "running"):
        abandon_dead(flow, ledger=ledger, home=home)
    left = [record.run for record in records if ledger.get(record.run).state != "running"]
    return [run for run in left if unsettled(run, ledger)]


def still_running(ledger: Ledger) -> str:
    """The pushes that are booked as running, in words, with the way out for those from elsewhere; "" where there is none."""
    told, far = [], False
    for run, process in ledger.running().items():
        record = ledger.get(run)
        if Note.from_json(record.plan) is not None:
            told.append(f"{run[:8]} on {process.host}, begun {record.started}")
            far = far or process.elsewhere
    lines = [f"Nothing can be taken up here. Booked as running: {', '.join(told)}."] if told else []
    if far:
        lines.append(f"What died on another host, or in another container, is taken up where its folder is. {WAY_OUT}")
    return " ".join(lines)
