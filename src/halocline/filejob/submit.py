"""Submit: the rows of one file into Salesforce, by a push of their own that a later delivery takes up, and never a second one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halocline import registry
from halocline.config import Settings
from halocline.errors import StillRunning, Stop
from halocline.events import Noticed, Sink
from halocline.filejob.job import FileJob, FileState
from halocline.filejob.journal import Noted
from halocline.filejob.names import push_flow_of
from halocline.halt import Halt
from halocline.outcome import RunRecord
from halocline.push.elsewhere import place
from halocline.push.fields import checked
from halocline.push.note import Note
from halocline.push.order import SyncMode
from halocline.push.past import unsettled
from halocline.push.push import Push, execute
from halocline.push.resume import resume
from halocline.push.run import PushRun
from halocline.report import rejections_of
from halocline.several import company

if TYPE_CHECKING:
    from halocline.ledger import Ledger
    from halocline.rows.rows import Rows


@dataclass(frozen=True, slots=True)
class Deadline:
    """The instant of `time.monotonic()` by which to stop, without half a deed; None: there is all the time of the world."""

    at: float | None = None

    def check(self, doing: str) -> None:
        """Go on, if there is time.

        Raises: StillRunning.
        """
        if self.at is not None and time.monotonic() >= self.at:
            raise self.over(doing)

    def over(self, doing: str) -> StillRunning:
        """The error of work that ran out of time."""
        hint = "Deliver the file again: what is done is not done twice, and the rest is."
        return StillRunning(doing, "the time that it was given is over", after_s=0.0, hint=hint, job_id=None)

    @contextmanager
    def halting(self, client: Any, doing: str) -> Iterator[Any]:
        """A view of the client whose calls and waits end when the time is over.

        Raises: StillRunning.
        """
        if self.at is None or not callable(getattr(client, "view", None)):
            yield client
            return
        halt = Halt()
        timer = threading.Timer(max(self.at - time.monotonic(), 0.0), halt.call)
        timer.daemon = True
        timer.start()
        try:
            yield client.view(halt=halt)
        except Stop as error:
            if type(error) is Stop and time.monotonic() >= self.at:
                raise self.over(doing) from error
            raise
        finally:
            timer.cancel()


@dataclass(frozen=True, slots=True)
class Submit:
    """The push of the rows of file run `run`. Whoever calls holds the lease of the file, so no other push of them is at work."""

    job: FileJob
    run: str
    client: Any
    ledger: Ledger
    settings: Settings
    sink: Sink
    deadline: Deadline

    @property
    def flow(self) -> str:
        """The flow of this push."""
        return push_flow_of(self.job.name, self.run)

    def done(self) -> Noted | None:
        """What came of a push that has ended: every row is told, and its fate in the ledger."""
        ended = next((one for one in self.ledger.runs(self.flow) if one.state == "done"), None)
        return None if ended is None else _noted(ended)

    def send(self, rows: Rows) -> Noted:
        """Push the rows, going on where an earlier push of them was cut off.

        Raises: what `push.execute` raises; Stop for an insert of which nobody can say any more what it has written.
        """
        self._bury_the_dead()
        doing = f"Sending the rows of {rows.name} to {self.job.sobject}"
        with company(self.ledger, self.settings) as shared, self.deadline.halting(self.client, doing) as client:
            destination = registry.open_rows(client, sink=self.sink, spend=shared.spend)
            try:
                order = self.job.order(rows.nulls, rows.clears)
                looked_at, findings = checked(rows, order, mapper=self.job.mapper, destination=destination)
                for finding in findings:
                    self.sink(Noticed(f"{rows.name} -> {self.job.sobject}: {finding}"))  # its run has not begun
                push = Push(order, looked_at, destination, self.flow, self.job.mapper, self.job.strict)
                run = execute(push, PushRun.new(), ledger=shared.books, home=self.settings.home, sink=self.sink)
            finally:
                destination.close()
        return _noted(self.ledger.get(run.id))

    def left(self) -> Noted | None:
        """What came of the newest push that may have sent rows, which is not gone on with; None where none was sent."""
        self._bury_the_dead()
        begun = may_have_sent(self.flow, self.ledger)
        if begun is None:
            return None
        return {**_noted(begun), "errors": sum(1 for _ in rejections_of(self.ledger, begun.run))}  # what is told of them

    def go_on(self) -> Noted | None:
        """Send what an earlier push of the file had put aside and did not send; None where there is none. The file is not needed.

        Raises: what `resume` raises.
        """
        self._bury_the_dead()
        pushes = (one.run for one in self.ledger.runs(self.flow) if Note.from_json(one.plan) is not None)
        dead = next((run for run in pushes if unsettled(run, self.ledger)), None)
        if dead is None:
            return None
        doing = f"Sending the rest of the rows of run {dead} to {self.job.sobject}"
        with company(self.ledger, self.settings) as shared, self.deadline.halting(self.client, doing) as client:
            destination = registry.open_rows(client, sink=self.sink, spend=shared.spend)
            try:
                run = resume(dead, destination=destination, ledger=shared.books, home=self.settings.home, sink=self.sink)
            finally:
                destination.close()
        return _noted(self.ledger.get(run.id))

    def _bury_the_dead(self) -> None:
        """A push that is booked as running is none: its process lost the lease of the file, here or on another host.

        An insert whose folder is on another host can be neither taken up nor repeated.
        """
        for past in self.ledger.runs(self.flow):
            if past.state == "running":
                self.ledger.finish(past.run, state="failed", error="its process ended, or lost the lease of the file")
            note = Note.from_json(past.plan)
            if note is None or note.order.mode is not SyncMode.INSERT or note.continues or not unsettled(past.run, self.ledger):
                continue
            if not place(note, run=past.run, home=self.settings.home).marks.exists():
                cause = f"run {past.run} was inserting them when it died, and its folder {note.folder} is not here"
                hint = (
                    "Repeat the event where that folder is, or compare both sides; an upsert by an external id may be repeated."
                )
                raise Stop(f"Sending the rows again to {note.order.sobject}", cause, hint=hint, run=past.run)


def may_have_sent(flow: str, ledger: Ledger) -> RunRecord | None:
    """The newest push of the flow that came so far as to send rows: its note is written right before the first."""
    return next((one for one in ledger.runs(flow) if Note.from_json(one.plan) is not None), None)


def may_go_on(flow: str, ledger: Ledger) -> bool:
    """Whether a push of the flow has ended or can be gone on with, so that the file itself is not needed."""
    pushes = (one for one in ledger.runs(flow) if Note.from_json(one.plan) is not None)
    return any(one.state == "done" or unsettled(one.run, ledger) for one in pushes)


def _noted(record: RunRecord) -> Noted:
    counts = record.counts
    errors = counts.rejected + counts.in_doubt + counts.not_sent
    return {
        "state": FileState.DONE.value,
        "push": record.run,
        "rows": record.rows_read,
        "written": counts.changed,
        "created": counts.inserted,
        "updated": counts.updated,
        "unchanged": counts.unchanged,
        "errors": errors,
        "in_doubt": counts.in_doubt,
        "not_sent": counts.not_sent,
    }
