"""Verification: what came of a comparison of both sides, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from halocline.batch import JSON
from halocline.outcome import Counts


class Level(StrEnum):
    """How much is compared: KEYS and stamps of all rows, besides the values of a SAMPLE, or all values of all rows (FULL)."""

    KEYS = "keys"
    SAMPLE = "sample"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair did: its run, and its counts. `left` are rows that had changed or gone meanwhile."""

    run: str
    counts: Counts
    left: int = 0

    def to_json(self) -> dict[str, object]:
        """The repair as plain JSON data."""
        return {"run": self.run, "counts": self.counts.to_json(), "left": self.left}


@dataclass(frozen=True, slots=True)
class Verification:
    """Both sides of a sync, held against each other.

    `source_rows` and `table_rows` were read; of those, `compared` rows are on both sides and due, and the values of `looked_at`
    were compared. Rows differ as `compare` says: `missing`, `extra`, `stale`, `different`, `doubled`; `examples` has the first
    keys of each, `columns` how many of the values compared differ in each column. Left out: `not_due`, which the next sync
    brings, and `kept`, which only the table has because the setting for deletes says so. `due_in_full`: the next sync reads
    everything, and so sets right what differs; a repair is refused then.
    """

    object: str
    target: str
    level: Level
    source_rows: int
    table_rows: int
    compared: int
    looked_at: int
    missing: int = 0
    extra: int = 0
    stale: int = 0
    different: int = 0
    doubled: int = 0
    not_due: int = 0
    kept: int = 0
    examples: Mapping[str, tuple[JSON, ...]] = field(default_factory=dict)
    columns: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    carried_until: str | None = None
    api_calls: int = 0
    elapsed_s: float = 0.0
    repair: Repair | None = None
    due_in_full: bool = False

    @property
    def differences(self) -> int:
        """Rows that differ."""
        return self.missing + self.extra + self.stale + self.different + self.doubled

    @property
    def equal(self) -> bool:
        """Whether both sides were the same."""
        return not self.differences

    @property
    def good(self) -> bool:
        """Whether both sides are the same now: they were, or all that differed was repaired."""
        return self.equal or (self.repair is not None and not self.repair.left and not self.doubled)

    @property
    def rows_per_s(self) -> float:
        """Rows of both sides read and compared in a second."""
        return (self.source_rows + self.table_rows) / self.elapsed_s if self.elapsed_s else 0.0

    def to_json(self) -> dict[str, JSON]:
        """The verification as plain JSON data; keys that JSON does not know are text.

        `sobject` and `elapsed_seconds` are `object` and `elapsed_s` once more, by the names that every answer has.
        """
        told = {name: getattr(self, name) for name in self.__slots__}
        examples = {kind: [_plain(key) for key in keys] for kind, keys in self.examples.items()}
        whole = {"level": str(self.level), "examples": examples, "columns": dict(self.columns), "notes": list(self.notes)}
        repair = None if self.repair is None else self.repair.to_json()
        summary = {"equal": self.equal, "good": self.good, "rows_per_s": round(self.rows_per_s), "repair": repair}
        lasted = round(self.elapsed_s, 3)
        return {**told, **whole, **summary, "sobject": self.object, "elapsed_s": lasted, "elapsed_seconds": lasted}


def _plain(key: object) -> object:
    return key if key is None or isinstance(key, (str, int, float)) else str(key)
