"""Watch: who hears what becomes of the rows of a push, while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from halocline.push.destination import Told, WritePlan


class Watch(Protocol):
    """Called in the thread that pushes, in this order; an exception ends the push as any other failure does.

    What `told` brings is durable in the ledger already. Rows that are refused before anything is sent come as a Told of the chunk
    `staging`, between `begun` and `planned`. The rows of a run that is taken up are all told, those known before as `again`.
    """

    def begun(self, total: int) -> None:
        """So many rows are there."""

    def planned(self, plan: WritePlan) -> None:
        """All rows lie staged; this is how they will be sent."""

    def sending(self, numbers: Sequence[int]) -> None:
        """These rows are about to go."""

    def told(self, told: Told) -> None:
        """This became of some rows; the `others` have their source records where the source is at hand."""


class Unwatched:
    """The watch that hears nothing."""

    def begun(self, total: int) -> None:
        """Nothing."""

    def planned(self, plan: WritePlan) -> None:
        """Nothing."""

    def sending(self, numbers: Sequence[int]) -> None:
        """Nothing."""

    def told(self, told: Told) -> None:
        """Nothing."""


UNWATCHED: Watch = Unwatched()
