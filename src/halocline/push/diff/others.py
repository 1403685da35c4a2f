"""Others: the pushes of a flow that the memory at hand knows nothing of, as the ledger tells of them.

A memory lies in one HALOCLINE_HOME; a ledger may be shared by several hosts and containers. What another of them sent, or a push
that was not in diff mode, makes a memory say of rows that they are there as they are, when they are not any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import TYPE_CHECKING

from halocline.errors import LeaseHeld
from halocline.outcome import RunRecord
from halocline.push.diff.store import Store
from halocline.push.elsewhere import LOOKED_BACK, WAY_OUT
from halocline.push.note import Note
from halocline.push.order import WriteOrder
from halocline.push.past import MIRROR, sifted_in, was_sent

if TYPE_CHECKING:
    from halocline.ledger import Ledger

_FIRST_LOOK = 50  # runs: the one that is looked for is mostly the newest


@dataclass(frozen=True, slots=True)
class Later:
    """The newest runs that sent rows behind the back of a memory: in diff mode with `another` one, and without any (`plain`).

    `newest` is the newest in diff mode, whatever memory it had.
    """

    newest: str | None = None
    another: str | None = None
    plain: str | None = None


@dataclass(frozen=True, slots=True)
class Others:
    """Looks for the runs of `flow` that wrote into the object of `order` in `org`, and that `store` does not know."""

    flow: str
    org: str
    order: WriteOrder
    store: Store

    def later(self, ledger: Ledger, *, but: str) -> Later:
        """What was sent since the last run that the memory knows; `but` is the run that asks."""
        plain: str | None = None
        newest: str | None = None
        for record, note in self._newest(ledger, but=but):
            if record.state != "running" and not was_sent(record, note, ledger=ledger):
                continue
            if not note.sieved:
                plain = plain or record.run
                continue
            newest = newest or record.run
            if not self.store.knows(sifted_in(record.run, ledger, retries=note.retries)):
                return Later(newest, record.run, plain)
            if note.retries is None:  # rows that were tried once more say nothing of what came between
                break
        return Later(newest, None, plain)

    def refuse_at_work(self, ledger: Ledger, *, but: str, doing: str) -> None:
        """Raises: LeaseHeld while another run of the flow, or its mirror's deletes, are at work in diff mode elsewhere.

        Both have noted their work before they look for the other, so at least one of two sees its twin; it may be both.
        """
        at_work = [*ledger.running(self.flow).items(), *ledger.running(self.flow + MIRROR).items()]
        for run, process in at_work:
            record = ledger.get(run)
            note = Note.from_json(record.plan) if run != but else None
            if note is not None and note.sieved and self._is_mine(note):
                cause = f"run {run} of the same flow is at work: process {process.pid} of {process.host}, since {record.started}"
                hint = "Wait until it has ended; this run sent nothing."
                hint += f" {WAY_OUT.replace('RUN', run)}" if process.elsewhere else ""
                raise LeaseHeld(doing, cause, hint=hint, other=run)

    def _newest(self, ledger: Ledger, *, but: str) -> Iterator[tuple[RunRecord, Note]]:
        """The pushes and the mirror's deletes, newest first, each with its note; those that noted nothing sent nothing."""
        seen = {but}
        for limit in (_FIRST_LOOK, LOOKED_BACK):
            flows = [ledger.runs(flow, limit=limit) for flow in (self.flow, self.flow + MIRROR)]
            for _, record in sorted(chain.from_iterable(map(_timed, flows)), key=lambda one: one[0], reverse=True):
                note = None if record.run in seen else Note.from_json(record.plan)
                seen.add(record.run)
                if note is not None and self._is_mine(note):
                    yield record, note
            if all(len(runs) < limit for runs in flows):
                return

    def _is_mine(self, note: Note) -> bool:
        return note.org == self.org and note.order.sobject.casefold() == self.order.sobject.casefold()


def _timed(runs: Sequence[RunRecord]) -> list[tuple[str, RunRecord]]:
    """The runs of a flow, newest first, each with its instant: never before that of an earlier one, if a clock was set back."""
    instants = accumulate((one.started for one in reversed(runs)), max)
    return list(zip(instants, reversed(runs), strict=True))[::-1]
