"""Sieve: rows that need not be sent, because the other side has them as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from halocline.push.destination import RowBatch, Told

if TYPE_CHECKING:
    from halocline.ledger import Ledger


class Sieve(Protocol):
    """Lets through, of mapped rows, what changed since it was last written. It learns from every push what the other side has.

    A run that died is settled before the rows of the next one are sifted: `begin(dead)`, `told` of it, then `begin(run)`. Else
    rows that the dead run wrote would be sent again, and an insert would make them twice.
    """

    @property
    def deletes(self) -> tuple[str, Sieve] | None:
        """The flow that deletes what this one wrote, if there is one, and what learns of its runs: those that died are settled
        before any row is sifted, for a row that comes back must be sent.
        """
        return None

    def knows(self, run: str) -> bool:  # noqa: ARG002 - a sieve of which there is only one
        """Whether the rows of `run` were held against this sieve: one of another home would not learn here how its run ended."""
        return True

    def catch_up(self, ledger: Ledger, run: str) -> Sequence[str]:  # noqa: ARG002 - a sieve of which there is only one
        """Before the rows of `run` are sifted: what was sent past this sieve is no longer taken to be there as it is.

        It answers what a person should know of that. Raises: FixConfig where records would be made twice, or left behind.
        """
        return ()

    def refuse_others(self, ledger: Ledger, run: str) -> None:  # noqa: ARG002 - as `catch_up`
        """Before the rows of `run` are sent, and after its note.

        Raises: LeaseHeld where another push of the flow is, or since `catch_up` was, at work past this sieve.
        """
        return

    def begin(self, run: str) -> None:
        """The rows that are sifted and told from here on are those of this run, which may be one that died.

        Rows that are sent once more wait under the run in which they were sifted, so it is that run's name.
        """

    def sift(self, batch: RowBatch) -> tuple[RowBatch, Sequence[int]]:
        """The rows to send, and the numbers of those that are there already."""

    def sifted(self) -> Sequence[str]:
        """All rows are sifted, and may be sent from here on: what was put aside for them is on disk before this returns.

        It answers what a person should know of the rows that are sent.
        """

    def told(self, told: Told) -> None:
        """Learn durably what became of rows that were sent; hearing it twice is harmless."""
