"""The journal of a file job: which of its steps are done, and what came of them, in the ledger.

A step is intended before it does anything that the world sees, noted with what came of it, then settled. When the file of a run
that died is delivered again, the steps that are noted are not done a second time, and the first that is not is begun with.
Without the ledger that they were noted in (a Lambda that keeps none) the bucket says which are done: see `run`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from halocline.batch import JSON
from halocline.connector import Lease
from halocline.errors import NotFound
from halocline.outcome import Counts, Outcome, RunRecord

if TYPE_CHECKING:
    from halocline.ledger import Ledger

Noted = dict[str, Any]
"""What came of a step, as plain JSON data."""


@dataclass(slots=True)
class StepBook:
    """The steps of one run, noted in its ledger under its lease. `fresh`: the ledger had never heard of the run."""

    run: str
    ledger: Ledger
    lease: Lease | None
    about: Mapping[str, JSON]
    steps: dict[str, Noted] = field(default_factory=dict)
    fresh: bool = True

    @classmethod
    def open(cls, run: str, flow: str, *, ledger: Ledger, lease: Lease | None, about: Mapping[str, JSON]) -> StepBook:
        """The book of a run: a new one, or the one that was begun."""
        record = known(run, ledger)
        if record is not None:
            return cls(run, ledger, lease, about, steps_of(record), fresh=False)
        book = cls(run, ledger, lease, about)
        ledger.start(flow, run=run, plan=book.plan, pid=os.getpid(), host=socket.gethostname(), lease=lease)
        return book

    @property
    def plan(self) -> dict[str, JSON]:
        """What the ledger keeps of it."""
        return {"file": dict(self.about), "steps": self.steps}

    def once(self, step: str, act: Callable[[], Noted]) -> Noted:
        """What came of a step, which is done now if it was not done before.

        Raises: LeaseLost when another run has taken the file over; what the step raises.
        """
        if step not in self.steps:
            self.still_ours()
            journal = self.ledger.journal(self.run)
            if step not in {chunk for chunk, _, _ in journal.open()}:
                journal.intend(step)
            self.note(step, act())
            journal.settle(step, Outcome(step))
        return self.steps[step]

    def intended(self, step: str) -> Any:
        """The detail with which a step was intended that was not settled; None where there is none."""
        return next((detail for chunk, detail, _ in self.ledger.journal(self.run).open() if chunk == step), None)

    def intend(self, step: str, detail: JSON) -> None:
        """Remember what the step is about to do."""
        self.ledger.journal(self.run).intend(step, detail)

    def note(self, step: str, found: Noted) -> None:
        """Remember that a step is done.

        Raises: LeaseLost when another run has taken the file over: what that one noted stays.
        """
        self.note_all({step: found})

    def note_all(self, steps: Mapping[str, Noted]) -> None:
        """Remember several steps at once: all of them or, where the process dies, none.

        Raises: as `note`.
        """
        self.steps.update(steps)
        self.ledger.note(self.run, plan=self.plan, lease=self.lease)

    def still_ours(self) -> None:
        """Raises: LeaseLost when another run has taken the file over."""
        if self.lease is not None:
            self.ledger.renew(self.lease)

    def finish(self, counts: Counts, *, rows: int, error: str | None = None) -> None:
        """Book that all is done; `error` says of a file that could not be read why."""
        self.ledger.finish(self.run, state="done", method="file_job", rows_read=rows, counts=counts, error=error)

    def fail(self, error: BaseException) -> None:
        """Book what stopped the run; the next delivery goes on."""
        self.ledger.finish(self.run, state="failed", method="file_job", error=str(error) or type(error).__name__)


def known(run: str, ledger: Ledger) -> RunRecord | None:
    """What the ledger knows of a run."""
    try:
        return ledger.get(run)
    except NotFound:
        return None


def steps_of(record: RunRecord) -> dict[str, Noted]:
    """The steps that a run has noted."""
    steps: Any = (record.plan or {}).get("steps") or {}
    return dict(steps)
