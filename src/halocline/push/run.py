"""PushRun: how far one push has come."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from halocline.outcome import Counts, Fate, RowResult
from halocline.push.destination import Told, WritePlan
from halocline.push.order import SyncMode

NOT_ATTEMPTED = "NOT_ATTEMPTED"
"""The code of rows that nobody tried because the push stopped at an earlier one."""


@dataclass(slots=True)
class PushRun:
    """One execution of a push, counted in rows; it changes with every Told.

    `created`, `updated` and `deleted` are those of the written rows of which that is known. `unstaged` of the `not_sent` rows are
    not in the run's folder, so nothing there can send them; `not_attempted` of them stand behind an error at which to stop.
    `continues` is the dead run whose work this one has taken up; `folder` is then that run's. `worst` is the first row in the
    source's order that went wrong.
    """

    id: str
    folder: Path | None = None
    plan: WritePlan | None = None
    total: int = 0
    written: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    refused: int = 0
    in_doubt: int = 0
    not_sent: int = 0
    unstaged: int = 0
    not_attempted: int = 0
    unchanged: int = 0
    elapsed_s: float = 0.0
    api_calls: int = 0
    continues: str | None = None
    worst: RowResult | None = None

    @classmethod
    def new(cls) -> Self:
        """A run that has not begun, under a name of its own."""
        return cls(uuid.uuid4().hex)

    @property
    def folded(self) -> int:
        """Rows that travel in a later row with the same key; they are counted with its fate."""
        return 0 if self.plan is None else self.plan.folded

    @property
    def accounted(self) -> int:
        """Rows of which it is known what became of them, be it doubt; at the end all."""
        return self.written + self.refused + self.in_doubt + self.not_sent + self.unchanged

    @property
    def clean(self) -> bool:
        """Whether every staged row was written."""
        return self.refused + self.in_doubt + self.not_sent == self.unstaged

    @property
    def counts(self) -> Counts:
        """The run as the ledger books it. Rows of an upsert of which nobody says whether they are new count as updated."""
        return Counts(
            inserted=self.created,
            updated=self.written - self.created - self.deleted,
            deleted=self.deleted,
            unchanged=self.unchanged,
            rejected=self.refused,
            in_doubt=self.in_doubt,
            not_sent=self.not_sent,
        )

    def count(self, told: Told, mode: SyncMode) -> None:
        """Add what was told."""
        if told.written is not None:
            self._count_written(told, mode)
        for row in told.others:
            self._count_other(row)

    def _count_written(self, told: Told, mode: SyncMode) -> None:
        assert told.written is not None, "the caller has just asked"
        rows = int(told.written.num_rows)
        self.written += rows
        if mode is SyncMode.INSERT:
            self.created += rows
        elif mode is SyncMode.UPDATE:
            self.updated += rows
        elif mode is SyncMode.UPSERT:
            created = told.written.column("created")
            self.created += created.true_count
            self.updated += created.false_count
        else:
            self.deleted += rows

    def _count_other(self, row: RowResult) -> None:
        if row.fate is Fate.REFUSED:
            self.refused += 1
        elif row.fate is Fate.IN_DOUBT:
            self.in_doubt += 1
        elif row.fate is Fate.NOT_SENT:
            self.not_sent += 1
            self.not_attempted += row.code == NOT_ATTEMPTED
        if row.code != NOT_ATTEMPTED and (self.worst is None or _at(row) < _at(self.worst)):
            self.worst = row


def _at(row: RowResult) -> int:
    return -1 if row.row is None else row.row
