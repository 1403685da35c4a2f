"""Pushes that were begun on another host: its processes cannot be looked at, but a folder that lies here too tells of them.

A container has a host name of its own each time, and its folders on one volume. The lock of a folder is held as long as the
process lives, whatever its host is called.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from halocline.errors import LeaseHeld
from halocline.outcome import RunRecord
from halocline.push.folder import RunFolder
from halocline.push.note import Note

if TYPE_CHECKING:
    from halocline.ledger import Ledger

LOOKED_BACK = 1_000  # runs; a run that is further back counts as overtaken

WAY_OUT = "Where that host is gone for good: `halocline resume RUN --discard --anyway`."


def place(note: Note, *, run: str, home: Path) -> RunFolder:
    """Where the folder of a run is, also after the home was moved."""
    noted = RunFolder(note.folder)
    return noted if noted.path.exists() else RunFolder.of(run, home)


def is_elsewhere(run: str, ledger: Ledger) -> bool:
    """Whether a run was begun on another host."""
    return ledger.process(run).host != socket.gethostname()


def death(record: RunRecord, *, ledger: Ledger, home: Path) -> str | None:
    """Why a push that is booked as running on another host is dead; None where it may be alive, or is no such push."""
    if record.state != "running" or (note := Note.from_json(record.plan)) is None or not is_elsewhere(record.run, ledger):
        return None
    folder = place(note, run=record.run, home=home)
    if not folder.path.is_dir():
        return None
    try:
        with folder.held():
            process = ledger.process(record.run)
            return f"process {process.pid} of {process.host} is gone: nobody holds {folder.path}"
    except LeaseHeld:
        return None


def abandon_dead(flow: str, *, ledger: Ledger, home: Path) -> list[str]:
    """As `Ledger.abandon_dead`, and of pushes that were begun elsewhere those whose folder tells that they are dead.

    Raises: StorageFailed where a folder cannot be looked at.
    """
    for record in ledger.runs(flow, limit=LOOKED_BACK):
        if (error := death(record, ledger=ledger, home=home)) is not None:
            ledger.abandon(record.run, error=error)
    return ledger.abandon_dead(flow)


def told_of(records: Sequence[RunRecord], *, ledger: Ledger) -> str:
    """Runs that are booked as running elsewhere, in words: which, on which host, since when."""
    return ", ".join(f"{one.run[:8]} on {ledger.process(one.run).host}, begun {one.started}" for one in records)
