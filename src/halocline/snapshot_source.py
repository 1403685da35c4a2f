"""Snapshot source: what sources do alike that read what is `wanted` of a database as it was at one instant."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Generic, Self, TypeVar

from halocline.batch import JSON
from halocline.connector import Journal, Manifest, Part, Plan, Unfinished
from halocline.errors import BadQuery, FixConfig
from halocline.halt import Halt
from halocline.wanted import Wanted, refuse_fewer


class Instant:
    """What snapshots are alike in: who reads one may share it."""

    def view(self, *, halt: Halt | None = None) -> Self:  # noqa: ARG002 - a read ends between two batches by itself
        """The same snapshot: who uses it calls nothing that would wait for long."""
        return self


S = TypeVar("S", bound=Instant)


class SnapshotSource(Generic[S]):
    """The part of `connector.Source` that is the same for all of them; what is read, and how, is a connector's own.

    A snapshot does not outlive its run: nothing is begun at the other side, gone on with, or let go of there.
    """

    def __init__(self, snapshot: S, wanted: Wanted) -> None:
        self._snapshot = snapshot
        self._wanted = wanted
        self._calls = 0
        self._sent: dict[str, int] = {}  # rows by part
        self._lock = threading.Lock()

    @property
    def calls(self) -> int:
        """Statements that were sent so far, but for those about the catalog."""
        return self._calls

    def take_up(self, plan: Plan, *, journal: Journal, left: Sequence[Unfinished]) -> Plan:  # noqa: ARG002 - the contract's
        """`plan`: nothing is gone on with."""
        return plan

    def parts(self, plan: Plan) -> Iterator[Part]:  # noqa: ARG002 - the contract's
        """The one part."""
        yield Part("all")

    def check(self, plan: Plan, manifests: Sequence[Manifest]) -> None:
        """Hold what was staged against what was read.

        Raises: Truncated when they differ.
        """
        refuse_fewer(plan, manifests, sent=sum(self._sent.values()))

    def ack(self, receipts: Sequence[JSON]) -> None:
        """Nothing: nothing is kept for us at the other side."""

    def _was_read(self, part: Part, *, rows: int) -> None:
        """Remember that a part was read to its end; reading it again says it anew."""
        with self._lock:
            self._calls += 1
            self._sent[part.id] = rows


def one_key(plan: Plan) -> str:
    """The one column that rows are asked for by.

    Raises: FixConfig where the key has none, or several.
    """
    if len(plan.key) != 1:
        raise FixConfig(f"Reading rows of {plan.object} again", "its key has not just one column", hint="Run it anew.")
    return plan.key[0]


def refuse_twins(names: Sequence[str], *, doing: str) -> None:
    """Hold the columns that a query answers to having names of their own.

    Raises: BadQuery.
    """
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise BadQuery(doing, f"several columns are called {twice!r}", hint="Give each column a name of its own (AS).")
