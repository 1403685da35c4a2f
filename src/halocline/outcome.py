"""What became of records: counts, rejections, and the row-level truth of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Fate(StrEnum):
    """What became of a row. IN_DOUBT: it was sent, and no answer told what became of it. NOT_SENT: nobody tried to write it."""

    WRITTEN = "written"
    REFUSED = "refused"
    IN_DOUBT = "in_doubt"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One record refused: its `row` number in the part (from 0), the refusal's code and message, the fields it names.

    In a push also a record that was never sent; `fate` tells the two apart.
    """

    part: str
    row: int
    code: str
    message: str
    fields: tuple[str, ...] = ()
    record: Mapping[str, object] | None = None
    fate: Fate = Fate.REFUSED


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one chunk: ids of accepted rows, rejections, and rows whose fate cannot be known (`in_doubt`)."""

    chunk: str
    accepted: tuple[str, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    in_doubt: tuple[int, ...] = ()
    doubts: tuple[Rejection, ...] = ()
    """What is known of rows `in_doubt` beside their numbers, by which they are told apart; of some, or of none."""


@dataclass(frozen=True, slots=True)
class RowResult:
    """One row: its number in the input (from 0; None where a result could not be matched to it), its fate, its id.

    `created` is None where Salesforce does not tell. `record` is the row as Bulk echoes it: texts, None where empty;
    for a row of a push it is the source's own.
    """

    row: int | None
    fate: Fate
    id: str | None = None
    created: bool | None = None
    code: str = ""
    message: str = ""
    fields: tuple[str, ...] = ()
    record: Mapping[str, object] | None = None

    @property
    def success(self) -> bool:
        """Whether Salesforce says that the row is written."""
        return self.fate is Fate.WRITTEN


@dataclass(frozen=True, slots=True)
class Counts:
    """What a commit did, in rows."""

    inserted: int = 0
    """Rows that were not there."""
    updated: int = 0
    """Rows that were there, and differed."""
    deleted: int = 0
    """Rows removed, and rows newly marked as deleted by a flag column."""
    unchanged: int = 0
    """Rows that were there as they are."""
    rejected: int = 0
    """Records refused; of a push, those that the other side refused."""
    filtered: int = 0
    """Rows read that were not meant: left out on purpose."""
    highest: str | None = None
    """The greatest cursor value among the rows staged (ISO 8601, UTC), None when no row had one."""
    in_doubt: int = 0
    """Rows of a push that were sent without an answer."""
    not_sent: int = 0
    """Rows of a push that were never sent."""
    vanished: int = 0
    """Rows that were closed or flagged because a complete read lacked them (`Plan.complete`): they changed, but were not read."""

    @classmethod
    def total(cls, many: Sequence[Counts]) -> Counts:
        """The counts of several tables as one; `highest` is the greatest of theirs."""
        stamps = [counts.highest for counts in many if counts.highest is not None]
        names = [name for name in cls.__slots__ if name != "highest"]
        return cls(**{name: sum(getattr(counts, name) for counts in many) for name in names}, highest=max(stamps, default=None))

    @property
    def changed(self) -> int:
        """Rows inserted, updated or deleted, and rows that vanished."""
        return self.inserted + self.updated + self.deleted + self.vanished

    @property
    def accounted(self) -> int:
        """Rows whose fate is told, be it doubt; a run's rows read must equal it."""
        kept = self.unchanged + self.rejected + self.filtered + self.in_doubt + self.not_sent
        return self.inserted + self.updated + self.deleted + kept

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
