"""Note: what the ledger keeps of a push, enough to take it up without its caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from halocline.batch import JSON
from halocline.push.destination import WritePlan
from halocline.push.order import BATCH_ROWS, Api, SyncMode, WriteOrder


@dataclass(frozen=True, slots=True)
class Note:
    """A run's order, plan and place. `staged` rows lie in `folder`.

    `continues` names the run that the folder was made by, `retries` the run whose rows are sent once more; `results` is the
    schema of the result tables that the push filled, and that nobody can open who has only the note.
    """

    order: WriteOrder
    org: str
    plan: WritePlan
    folder: Path
    total: int
    staged: int
    unchanged: int = 0
    mapping: str | None = None
    sieved: bool = False
    continues: str | None = None
    retries: str | None = None
    results: str | None = None

    def same_work(self, other: Note) -> bool:
        """Whether two runs do the same to the same rows of the same org.

        How rows are packed makes no difference. For an insert neither does the API, nor whether it stops at errors: whoever asks
        for the same records in another way does not want them twice.
        """
        mine, theirs = (_essence(note.order) for note in (self, other))
        return (mine, self.org, self.plan.digest, self.staged) == (theirs, other.org, other.plan.digest, other.staged)

    def to_json(self) -> dict[str, JSON]:
        """The note as plain JSON data: the plan's own names, and `push` with all else."""
        values: dict[str, JSON] = {name: getattr(self, name) for name in self.__slots__ if name != "plan"}
        return {**self.plan.to_json(), "push": {**values, "order": self.order.to_json(), "folder": str(self.folder)}}

    @classmethod
    def from_json(cls, data: Mapping[str, JSON] | None) -> Self | None:
        """The note that `to_json` wrote; None for what is no note of a push."""
        plan: dict[str, Any] = dict(data or {})
        values: dict[str, Any] | None = plan.pop("push", None)
        if values is None:
            return None
        place = {"order": WriteOrder.from_json(values["order"]), "folder": Path(values["folder"])}
        return cls(**{**values, **place, "plan": WritePlan.from_json(plan)})


def _essence(order: WriteOrder) -> WriteOrder:
    if order.mode is SyncMode.INSERT:
        return replace(order, batch_size=BATCH_ROWS, api=Api.AUTO, stop_on_error=False)
    return replace(order, batch_size=BATCH_ROWS)
