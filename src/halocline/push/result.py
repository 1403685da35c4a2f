"""SyncResult: what became of the records of one sync, for whoever called it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Self

from halocline.errors import FixConfig
from halocline.outcome import Fate, RowResult
from halocline.push.destination import Told
from halocline.push.ids import WrittenIds
from halocline.push.order import SyncMode
from halocline.push.run import NOT_ATTEMPTED, PushRun
from halocline.quantity import quantity


class SyncStatus(StrEnum):
    """How far a sync is. PARTIAL: some records are written (or need not be) and some are not."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILED = "failed"
    PARTIAL = "partial"


class SyncResult:
    """The records of one sync, counted and, where they were not written, one by one.

    `total_records` is known when the sync has begun; `success_count` records are written, `error_count` are not, those in doubt
    among them; `not_attempted_count` more were not tried, for the sync stopped before them. Records that a sync need not
    send, because they have not changed, are in `metadata["unchanged"]`. `metadata` is filled as the sync goes on.
    """

    def __init__(
        self,
        total_records: int = 0,
        *,
        status: SyncStatus = SyncStatus.PENDING,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.status = status
        self.total_records = total_records
        self.success_count = 0
        self.error_count = 0
        self.in_doubt_count = 0
        self.not_attempted_count = 0
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.retrying: Callable[[], SyncResult] | None = None
        self._written = WrittenIds()
        self._others: list[RowResult] = []
        self._added_ids: list[str] = []
        self._added_errors: list[dict[str, Any]] = []
        self._ids: list[str] | None = None
        self._errors: list[dict[str, Any]] | None = None

    @property
    def success_rate(self) -> float:
        """Written records in percent of all; 0.0 when there are none."""
        return 100.0 * self.success_count / self.total_records if self.total_records else 0.0

    @property
    def salesforce_ids(self) -> list[str]:
        """The ids of the written records, in the order of the source; made anew when more are known, so take it once.

        Records with one key travel together and have one id, which then comes once for each.
        """
        if self._ids is None:
            self._ids = [*self._written.in_order(), *self._added_ids]
        return self._ids

    def written(self) -> Iterator[tuple[int, str]]:
        """The number of each written record in the source, from 0, with its id, in the order of the source."""
        return self._written.by_row()

    @property
    def errors(self) -> list[dict[str, Any]]:
        """What went wrong, in the order of the source, with the keys `record` (as the source has it), `error` ("CODE: message"),
        `row` (its number, from 0), `code`, `message` and `fields`. Made anew when more are known, so take it once.
        """
        if self._errors is None:
            wrong = (row for row in self._others if row.code != NOT_ATTEMPTED)
            self._errors = [*map(_error, sorted(wrong, key=_place)), *self._added_errors]
        return self._errors

    @property
    def failed_records(self) -> list[Any]:
        """The source's records that may be sent again, in its order: refused or not sent, but not in doubt."""
        again = sorted((row for row in self._others if row.fate is not Fate.IN_DOUBT), key=_place)
        return [row.record for row in again] + [error["record"] for error in self._added_errors]

    def add_success(self, salesforce_id: str) -> None:
        """Count one written record."""
        self.success_count += 1
        self._added_ids.append(salesforce_id)
        self._ids = None

    def add_error(self, record_data: Any, error: object) -> None:
        """Count one record that was not written; `error` is a text or an exception."""
        self.error_count += 1
        told = {"record": record_data, "error": str(error), "row": None, "code": "", "message": str(error), "fields": ()}
        self._added_errors.append(told)
        self._errors = None

    def add(self, told: Told) -> None:
        """Take in what became known of some records."""
        if told.written is not None and told.written.num_rows:
            self.success_count += int(told.written.num_rows)
            self._written.add(told.written)
            self._ids = None
        for row in told.others:
            self._others.append(row)
            self.not_attempted_count += row.code == NOT_ATTEMPTED
            self.error_count += row.code != NOT_ATTEMPTED
            self.in_doubt_count += row.fate is Fate.IN_DOUBT
            self._errors = None

    def refresh(self, run: PushRun, mode: SyncMode, *, sobject: str, elapsed_s: float) -> Self:
        """Bring total, status while it goes on, and metadata up to the moment."""
        done = self.success_count + self.error_count
        self.total_records, self.status = run.total, SyncStatus.IN_PROGRESS
        self.metadata.update(
            elapsed_seconds=elapsed_s,
            records_per_second=done / elapsed_s if elapsed_s > 0 else 0.0,
            mode=mode.value,
            sobject=sobject,
            run=run.id,
            api=None if run.plan is None else run.plan.api.value,
            api_calls=run.api_calls,
            created=run.created,
            updated=run.updated,
            folded=run.folded,
            unchanged=run.unchanged,
        )
        return self

    def finish(self) -> Self:
        """Say how it ended: SUCCESS when nothing is missing, FAILED when nothing was reached."""
        settled = self.success_count + int(self.metadata.get("unchanged") or 0)
        if settled >= self.total_records and not self.error_count:
            self.status = SyncStatus.SUCCESS
        else:
            self.status = SyncStatus.PARTIAL if settled else SyncStatus.FAILED
        return self

    def retry(self) -> SyncResult:
        """Send the failed records again, in the same way; the answer is a result of its own.

        Raises: FixConfig for a result that no sync of this process has made; else as the sync.
        """
        if self.retrying is None:
            hint = "Pass result.failed_records to sync()."
            raise FixConfig("Trying failed records again", "nobody knows how they were sent", hint=hint)
        return self.retrying()

    def __getstate__(self) -> dict[str, Any]:
        # Results, and the errors that hold one, come back from worker processes; what sends again stays with its pipeline.
        return {**self.__dict__, "retrying": None}

    def __repr__(self) -> str:
        counts = f"{self.success_count:,} of {self.total_records:,} written, {quantity(self.error_count, 'error')}"
        return f"<SyncResult {self.status.value}: {counts}>"


def _error(row: RowResult) -> dict[str, Any]:
    text = f"{row.code}: {row.message}" if row.code else row.message
    keys = {"row": row.row, "code": row.code, "message": row.message, "fields": row.fields}
    return {"record": row.record, "error": text, **keys}


def _place(row: RowResult) -> int:
    return -1 if row.row is None else row.row
