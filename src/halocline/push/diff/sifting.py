"""Sifting: whether a push sends only what changed, and deletes what is gone; the choice, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from halocline.events import Noticed, Sink, silent
from halocline.push.destination import RowBatch, Told
from halocline.push.diff.mirror import Foreseen, Mirror, Mirrored, of_mirror
from halocline.push.diff.sent import SentRows
from halocline.push.keys import Alike, alike
from halocline.push.order import DELETES, WriteOrder
from halocline.push.past import MIRROR
from halocline.push.pending import Pending, pending
from halocline.push.push import Push
from halocline.push.run import PushRun
from halocline.push.sieve import Sieve
from halocline.push.texts import text_fields
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Sifting:
    """What a user asked for; the names are those of `SentRows` and `Mirror`."""

    diff: bool = False
    diff_key: str | None = None
    mirror: bool = False
    max_delete_share: float = 0.5
    allow_empty: bool = False

    def of(self, push: Push, *, home: Path, stack: ExitStack, looking: bool = False) -> Push:
        """The push with a sieve, if one was asked for, open until the stack is closed.

        Raises: as SentRows.
        """
        if not self.diff:
            return push
        order, org = push.order, push.destination.org

        def known_by() -> Alike:
            return Alike.EXACT if order.needed is None else alike(push.destination.describe(order.sobject), order.needed)

        def texts_by() -> frozenset[str]:
            return text_fields(push.destination.describe(order.sobject))

        sent = SentRows(
            home,
            flow=push.flow,
            org=org,
            order=order,
            diff_key=self.diff_key,
            known_by=known_by,
            texts_by=texts_by,
            mirror=self.mirror,
            looking=looking,
        )
        stack.callback(sent.close)
        return replace(push, sieve=sent)

    def mirrored(self, push: Push, run: PushRun, *, ledger: Ledger, home: Path, sink: Sink = silent) -> Mirrored | None:
        """Delete what is gone, if that was asked for, after `run` has executed the push that `of` made.

        Raises: as Mirror.execute.
        """
        if not self.mirror or not isinstance(push.sieve, SentRows):
            return None
        done = self._mirror(push.sieve).execute(push, run, ledger=ledger, home=home, sink=sink)
        if done.remaining:
            still = "is still" if done.remaining == 1 else "are still"
            told = f"{done.remaining:,} of the {quantity(done.gone, 'record')} gone from the source {still} there"
            sink(
                Noticed(f"{told} ({done.without_id:,} without an id that is known); `halocline errors {done.run.id}` tells more.")
            )
        return done

    def pending(self, push: Push, *, ledger: Ledger, home: Path) -> tuple[Pending, ...]:
        """The earlier pushes of the flow, and deletes of its mirror, of which not all is known that `push` will know.

        Raises: FixConfig where `push` would, for a push that was made with another memory.
        """
        flows: tuple[str, ...] = (push.flow,)
        if push.sieve is not None:
            push.sieve.catch_up(ledger, "")  # no run yet
            flows = (push.flow, push.flow + MIRROR)
        return tuple(one for flow in flows for one in pending(flow, org=push.destination.org, ledger=ledger, home=home))

    def looked(self, push: Push, *, not_sent: int, before: Sequence[Pending] = ()) -> Foreseen | None:
        """What `mirrored` would delete after `push`, which `of` made for looking; `not_sent` of its rows are refused.

        Which records the flow wrote is not known while any are pending `before` it.
        """
        if not self.mirror or not isinstance(push.sieve, SentRows):
            return None
        if before:
            return Foreseen(None, None, "; ".join(map(str, before)))
        return self._mirror(push.sieve).foresee(push, not_sent=not_sent)

    def _mirror(self, sent: SentRows) -> Mirror:
        return Mirror(sent, self.max_delete_share, self.allow_empty)


@contextmanager
def learning(home: Path, *, flow: str, org: str, order: WriteOrder) -> Iterator[Sieve]:
    """The memory of a flow, for rows that were sifted once already: all are let through, and what becomes of them is learnt.

    For runs that are resumed, tried again or discarded, those of a mirror too.
    Raises: as SentRows.
    """
    if order.mode in DELETES:
        with of_mirror(home, flow=flow, org=org) as deleted:
            yield _Learning(deleted)
    else:
        with SentRows(home, flow=flow, org=org, order=order, diff_key="") as sent:
            yield _Learning(sent)


@dataclass(frozen=True, slots=True)
class _Learning(Sieve):
    """A sieve that holds nothing back; `retry` and `resume` look for later runs themselves."""

    memory: Sieve

    def knows(self, run: str) -> bool:
        return self.memory.knows(run)

    def begin(self, run: str) -> None:
        # rows that another memory let through must not count as sifted with this one, which knows nothing of what came before
        self.memory.begin(run if self.memory.knows(run) else f"{run} of another home")

    def sift(self, batch: RowBatch) -> tuple[RowBatch, Sequence[int]]:
        return batch, ()

    def sifted(self) -> Sequence[str]:
        self.memory.sifted()
        return ()  # whoever sends rows once more has chosen which

    def told(self, told: Told) -> None:
        self.memory.told(told)
