"""What became of records: counts, rejections, and the row-level truth of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rejection:
    """One record refused: its `row` number in the part (from 0), the refusal's code and message, the fields it names."""

    part: str
    row: int
    code: str
    message: str
    fields: tuple[str, ...] = ()
    record: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one chunk: ids of accepted rows, rejections, and rows whose fate cannot be known (`in_doubt`)."""

    chunk: str
    accepted: tuple[str, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    in_doubt: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """What a commit did, in rows. `deleted` counts rows removed, and rows newly marked as deleted by a flag column.

    `highest` is the greatest cursor value among the rows staged (ISO 8601, UTC), None when no row had one.
    """

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    rejected: int = 0
    filtered: int = 0
    highest: str | None = None

    @property
    def changed(self) -> int:
        """Rows inserted, updated or deleted."""
        return self.inserted + self.updated + self.deleted

    @property
    def accounted(self) -> int:
        """Rows whose fate is known; a run's rows read must equal it."""
        return self.changed + self.unchanged + self.rejected + self.filtered

    def to_json(self) -> dict[str, int | str | None]:
        """The counts as plain JSON data."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as the ledger remembers it. Times are ISO 8601 in UTC; `state` is running, done, failed or abandoned."""

    run: str
    flow: str
    state: str
    started: str
    finished: str | None = None
    method: str | None = None
    rows_read: int = 0
    counts: Counts = field(default_factory=Counts)
    api_calls: int = 0
    error: str | None = None
    plan: Mapping[str, object] | None = None
