"""Verdicts: what becomes of a staged row that meets a table by key; what is done, and what is counted.

insert   the table has no row of that key
update   the table's row differs in some column, and is replaced
flag     as update, and the row is newly marked as deleted at the source
mark     a deletion without its row: the table's row gets its flag set and its stamp raised
remove   the table's row goes
same     nothing to do
absent   a current row that a complete read lacked
"""

from __future__ import annotations

from dataclasses import dataclass

from halocline.connector import Deletes, Plan
from halocline.identity import Spelling
from halocline.outcome import Counts


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows by verdict."""

    insert: int = 0
    update: int = 0
    flag: int = 0
    mark: int = 0
    remove: int = 0
    same: int = 0
    absent: int = 0

    @property
    def deletions(self) -> int:
        """Rows that go, or are newly marked."""
        return self.flag + self.mark + self.remove

    @property
    def touched(self) -> int:
        """Rows that were staged, and change something."""
        return self.insert + self.update + self.deletions

    def counts(self, *, unchanged: int, highest: str | None) -> Counts:
        """The counts of a commit in which so many rows stayed as they were, and that is the greatest stamp."""
        return Counts(self.insert, self.update, self.deletions, unchanged, highest=highest, vanished=self.absent)

    def __add__(self, other: Tally) -> Tally:
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


def rules(plan: Plan, listed: Spelling, *, gone: str, absent: str, differs: str) -> list[tuple[str, str]]:
    """SQL conditions on s (the staged row) and t (the table's), each with its verdict; the first that holds decides.

    `gone` is the condition that the staged row is a deletion, `absent` that the table has no row of its key, `differs` that the
    rows have other values.
    """
    flagged, marked = (" OR ".join(listed([name], side) for name in plan.flag_columns) or "false" for side in "st")
    older = " OR ".join(f"{listed([name], 's')} < {listed([name], 't')}" for name in plan.cursor_columns) or "false"
    stale = (f"{gone} AND ({absent} OR {older})", "same")
    deletions = {
        Deletes.IGNORE: [(f"{gone} OR {flagged}", "same")],
        Deletes.HARD: [stale, (f"({flagged}) AND {absent}", "same"), (f"{gone} OR {flagged}", "remove")],
        Deletes.SOFT: [
            stale,
            (f"{gone} AND ({marked})", "same"),
            (gone, "mark"),
            (f"NOT ({absent}) AND ({flagged}) AND ({marked}) IS NOT TRUE", "flag"),
        ],
    }
    return [*deletions[plan.deletes], (absent, "insert"), (differs, "update")]
