"""Pushes that were begun elsewhere: their processes cannot be looked at, but a folder that lies here too tells of them.

Elsewhere is another host, another container and the same machine before it was restarted, whatever each of them is called. The
lock of a folder is held as long as the process lives.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from halocline.errors import LeaseHeld, StorageFailed
from halocline.outcome import RunRecord
from halocline.push.folder import RunFolder
from halocline.push.note import Note

if TYPE_CHECKING:
    from halocline.ledger import Ledger
    from halocline.ledger.process import Process

LOOKED_BACK = 1_000  # runs; a run that is further back counts as overtaken

WAY_OUT = "Where that host or container is gone for good: `halocline resume RUN --discard --anyway`."


def place(note: Note, *, run: str, home: Path) -> RunFolder:
    """Where the folder of a run is, also after the home was moved."""
    noted = RunFolder(note.folder)
    return noted if is_there(noted) else RunFolder.of(run, home)


def is_there(folder: RunFolder) -> bool:
    """Whether the folder of a run can be seen here: a path that another host noted may be somebody else's."""
    try:
        return folder.path.exists()
    except OSError:
        return False


def death(record: RunRecord, process: Process, *, home: Path) -> str | None:
    """Why a push that is booked as running elsewhere is dead; None where it may be alive, or is no such push."""
    if not process.elsewhere:
        return None
    note = Note.from_json(record.plan)
    folder = RunFolder.of(record.run, home) if note is None else place(note, run=record.run, home=home)
    if not is_there(folder) or (note is None and not folder.was_locked()):
        return _outlasted(record, process)
    try:
        with folder.held():
            return f"process {process.pid} of {process.host} is gone: nobody holds {folder.path}"
    except (LeaseHeld, StorageFailed):  # it lives; or nobody can tell, as of a folder that one may not write to
        return None


def _outlasted(record: RunRecord, process: Process) -> str | None:
    if process.outlasted(record.started):
        return f"process {process.pid} of {process.host} is gone: no call of a function of AWS Lambda lasts as long"
    return None


def abandon_dead(flow: str, *, ledger: Ledger, home: Path) -> list[str]:
    """As `Ledger.abandon_dead`, and of pushes that were begun elsewhere those whose folder tells that they are dead."""
    for run, process in ledger.running(flow).items():
        if (error := death(ledger.get(run), process, home=home)) is not None:
            ledger.abandon(run, error=error)
    return ledger.abandon_dead(flow)
