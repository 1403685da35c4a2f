"""Mirror: what was written once and is not in the source any more is deleted in Salesforce, behind a guard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from halocline.batch import JSON
from halocline.errors import Refused
from halocline.events import Sink, silent
from halocline.push.diff.gone import GoneRows
from halocline.push.diff.sent import SentRows, memory_of
from halocline.push.diff.store import Line
from halocline.push.order import SyncMode, WriteOrder
from halocline.push.past import MIRROR
from halocline.push.push import Push, execute
from halocline.push.run import PushRun
from halocline.push.sieve import Sieve
from halocline.push.watch import UNWATCHED, Watch
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.ledger import Ledger

_SHOWN = 5
_ALLOW_EMPTY = (
    "Look at the source first. allow_empty=True with max_delete_share=1.0 (--allow-empty --max-delete-share 1) allows it."
)
_ALLOW = "Look at the source first. max_delete_share=1.0 allows it (--max-delete-share 1)."


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What a mirror did: `gone` records were written once and are not in the source; of them `run` deleted those it wrote.

    `already_gone` others had deleted before. `without_id` cannot be deleted, for no id was told when they were written;
    `examples` are the first of their keys.
    """

    run: PushRun
    gone: int
    already_gone: int
    without_id: int
    examples: tuple[str, ...]

    @property
    def remaining(self) -> int:
        """Records that are gone from the source and still there."""
        return self.gone - self.run.written - self.already_gone

    def to_json(self) -> dict[str, JSON]:
        """The numbers as plain JSON data."""
        return {
            "run": self.run.id,
            "gone": self.gone,
            "deleted": self.run.written,
            "already_gone": self.already_gone,
            "without_id": self.without_id,
            "remaining": self.remaining,
            "examples": list(self.examples),
        }


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a mirror would do: of the `known` records that the flow wrote, `gone` are not in the source; `refusal` says why they
    would not be deleted (empty: they would), or why neither number can be told yet (then they are None).
    """

    gone: int | None
    known: int | None
    refusal: str = ""

    def to_json(self) -> dict[str, JSON]:
        """As plain JSON data."""
        return {"gone": self.gone, "known": self.known, "refusal": self.refusal}


@dataclass(frozen=True, slots=True)
class Mirror:
    """Deletes by Id what `sent` remembers and the load just sent did not have; only records that this flow wrote itself.

    It refuses to delete more than `max_delete_share` of them, and to follow an empty source unless `allow_empty`.
    """

    sent: SentRows
    max_delete_share: float = 0.5
    allow_empty: bool = False

    def execute(
        self, push: Push, run: PushRun, *, ledger: Ledger, home: Path, sink: Sink = silent, watch: Watch = UNWATCHED
    ) -> Mirrored:
        """Delete what is gone after `run`, which has just executed `push` with `sent` as its sieve, in a run of its own.

        Raises: Refused by the guard, or when rows of the source were not sent; else as `halocline.push.push.execute`.
        """
        gone = self._gone(push, run)
        order = WriteOrder(push.order.sobject, SyncMode.DELETE, batch_size=push.order.batch_size)
        rows = GoneRows(gone.count, self.sent.store, self.sent)
        deleting = replace(push, order=order, rows=rows, flow=push.flow + MIRROR, mapper=None, sieve=rows, results=None)
        done = execute(deleting, PushRun.new(), ledger=ledger, home=home, sink=sink, watch=watch)
        return Mirrored(done, gone.count + gone.without_id, rows.already_gone, gone.without_id, gone.examples)

    def foresee(self, push: Push, *, not_sent: int) -> Foreseen:
        """What `execute` would delete, where the rows were only looked at and `not_sent` of them refused; nothing is deleted.

        A record that came under another spelling of its key counts as gone here, for only the answer to its row names it.
        """
        gone = sum(len(lines) for lines in self.sent.gone())
        try:
            self._guard_source(_doing(push), not_sent=not_sent)
            self._guard_share(_doing(push), gone)
        except Refused as refused:
            return Foreseen(gone, self.sent.known, refused.cause)
        return Foreseen(gone, self.sent.known)

    def _gone(self, push: Push, run: PushRun) -> _Gone:
        """The records to delete, put aside.

        Raises: Refused.
        """
        self._guard_source(_doing(push), not_sent=run.not_sent, run=run.id)
        gone = _Gone()
        gone.put(self.sent)
        self._guard_share(_doing(push), gone.count + gone.without_id)
        return gone

    def _guard_source(self, doing: str, *, not_sent: int, run: str | None = None) -> None:
        """Raises: Refused for a source of which not all is known, or that is empty."""
        if not_sent:
            were = "was" if not_sent == 1 else "were"
            cause = f"{quantity(not_sent, 'row')} of the source {were} not sent, so nobody knows which records are gone"
            which = "" if run is None else f" (`halocline errors {run[:8]}`)"
            raise Refused(doing, cause, hint=f"Mend those rows{which}, or leave mirror out.", run=run)
        known = self.sent.known
        if known and not self.sent.rows and not self.allow_empty:
            every = "the only record" if known == 1 else f"all {known:,} records"
            cause = f"the source is empty, and {every} written from it would be deleted"
            raise Refused(doing, cause, hint=_ALLOW_EMPTY)

    def _guard_share(self, doing: str, total: int) -> None:
        """Raises: Refused for more than may be deleted."""
        known = self.sent.known
        if total > known * self.max_delete_share:
            cause = f"{total:,} of the {quantity(known, 'record')} written from it would be deleted ({total / known:.0%})"
            raise Refused(doing, cause, hint=_ALLOW, gone=total, known=known)


def _doing(push: Push) -> str:
    return f"Deleting from {push.order.sobject} what is gone from {push.rows.name}"


@contextmanager
def of_mirror(home: Path, *, flow: str, org: str) -> Iterator[Sieve]:
    """What a flow of deletes, made by a mirror, learns with: it forgets what was deleted.

    Raises: LeaseHeld while somebody else is at work with that memory; StorageFailed.
    """
    store = memory_of(home, flow=flow.removesuffix(MIRROR), org=org, alone=True)
    try:
        yield GoneRows(0, store)
    finally:
        store.close()


@dataclass(slots=True)
class _Gone:
    """How many records are gone, and of how many of them no id is known."""

    count: int = 0
    without_id: int = 0
    examples: tuple[str, ...] = ()

    def put(self, sent: SentRows) -> None:
        self.count = sent.store.put_gone(self._with_ids(lines) for lines in sent.gone())

    def _with_ids(self, lines: Sequence[Line]) -> list[Line]:
        strays = [key for _, key, record_id in lines if record_id is None]
        self.without_id += len(strays)
        self.examples = (*self.examples, *strays)[:_SHOWN]
        return [line for line in lines if line[2] is not None]
