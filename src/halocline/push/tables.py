"""Result tables: what became of every row, in three tables beside the source, named and begun as LHT's are.

    JOB_INFO   a line for each Bulk job, or call of the collections API: object, operation, rows processed and failed
    SUCCESS    a line for each written row: its number, its Salesforce id, whether it was created, its key
    FAILURE    a line for each other row: its fate, Salesforce's code, message and fields, and the source's record as JSON

Source of the first columns of each: lht 3.0.0, `warehouse/base.py` (JOB_INFO_COLUMNS, SUCCESS_COLUMNS, FAILURE_COLUMNS).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import pyarrow as pa

from halocline.outcome import Fate, RowResult
from halocline.push.destination import Told, WritePlan
from halocline.push.order import WriteOrder
from halocline.push.run import PushRun
from halocline.push.watch import UNWATCHED, Watch
from halocline.rows.rows import Rows

JOB_INFO, SUCCESS, FAILURE = "JOB_INFO", "SUCCESS", "FAILURE"
_TEXT, _WHOLE, _FLAG, _MOMENT = pa.string(), pa.int64(), pa.bool_(), pa.timestamp("us", "UTC")
TABLES: Mapping[str, pa.Schema] = {
    JOB_INFO: pa.schema(
        {
            "ID": _TEXT,
            "OPERATION": _TEXT,
            "OBJECT": _TEXT,
            "STATE": _TEXT,
            "JOB_TYPE": _TEXT,
            "NUMBER_RECORDS_PROCESSED": _WHOLE,
            "NUMBER_RECORDS_FAILED": _WHOLE,
            "CREATED_AT": _MOMENT,
            "RUN": _TEXT,
            "CHUNK": _TEXT,
        }
    ),
    SUCCESS: pa.schema(
        {
            "JOB_ID": _TEXT,
            "SF_ID": _TEXT,
            "CREATED": _FLAG,
            "SUCCESS": _FLAG,
            "ERRORS": _TEXT,
            "MATCH_FIELD": _TEXT,
            "MATCH_ID": _TEXT,
            "CREATED_AT": _MOMENT,
            "RUN": _TEXT,
            "ROW": _WHOLE,
        }
    ),
    FAILURE: pa.schema(
        {
            "JOB_ID": _TEXT,
            "SF_ID": _TEXT,
            "SF_ERROR": _TEXT,
            "MATCH_FIELD": _TEXT,
            "MATCH_ID": _TEXT,
            "CREATED_AT": _MOMENT,
            "RUN": _TEXT,
            "ROW": _WHOLE,
            "FATE": _TEXT,
            "CODE": _TEXT,
            "MESSAGE": _TEXT,
            "FIELDS": _TEXT,
            "RECORD": _TEXT,
        }
    ),
}
"""The columns of each table. A column that a table lacks is added to it; columns that only it has stay empty."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one Told adds: a line of JOB_INFO in place of earlier ones of its chunk, and lines of the others.

    `instead_of` names the runs whose lines about the same rows are to go; none where the rows are told for the first time.
    """

    chunk: str
    runs: tuple[str, ...]
    instead_of: tuple[str, ...]
    tables: Mapping[str, pa.Table]

    @property
    def told_again(self) -> list[int]:
        """The numbers of the rows that an earlier run, or this one before it died, may have told of already."""
        numbers = [number for name in (SUCCESS, FAILURE) for number in self.tables[name].column("ROW").to_pylist()]
        return numbers if self.instead_of else []


class ResultTables(Protocol):
    """Where the tables are; made, with their schema, when it was opened. One thread uses it."""

    def put(self, part: Part) -> None:
        """Write a part in one transaction.

        Raises: StorageFailed; Truncated when the other side took in other lines than it was given.
        """

    def close(self) -> None:
        """Let go of the connection if it was opened here. Idempotent."""


@dataclass(slots=True)
class _Job:
    """What is known of one job so far."""

    id: str | None
    processed: int = 0
    failed: int = 0
    unsent: int = 0


@dataclass(slots=True)
class TableWatch:
    """A `Watch` that writes what it hears into result tables, and passes it on to `beside`.

    `match` gives the values of the order's key by row numbers; memory stays flat, but for a few numbers for each chunk.
    """

    tables: ResultTables
    run: PushRun
    order: WriteOrder
    match: Callable[[Sequence[int]], list[str | None]] | None = None
    beside: Watch = UNWATCHED
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _jobs: dict[str, _Job] = field(default_factory=dict)

    def begun(self, total: int) -> None:
        """See `Watch.begun`."""
        self.beside.begun(total)

    def planned(self, plan: WritePlan) -> None:
        """See `Watch.planned`."""
        self.beside.planned(plan)

    def sending(self, numbers: Sequence[int]) -> None:
        """See `Watch.sending`."""
        self.beside.sending(numbers)

    def told(self, told: Told) -> None:
        """See `Watch.told`; what it brings is in the tables before it is passed on."""
        now = self.clock()
        tables = {JOB_INFO: self._job_info(told, now), SUCCESS: self._successes(told, now), FAILURE: self._failures(told, now)}
        runs = (self.run.id,) if self.run.continues is None else (self.run.id, self.run.continues)
        # A run that is taken up may tell rows for the first time that the one before it had just written here.
        again = told.again or self.run.continues is not None
        self.tables.put(Part(told.chunk, runs, runs if again else (), tables))
        self.beside.told(told)

    def _job_info(self, told: Told, now: datetime) -> pa.Table:
        job = self._jobs.setdefault(told.chunk, _Job(told.job_id))
        job.id = job.id or told.job_id
        unsent = sum(row.fate is Fate.NOT_SENT for row in told.others)
        job.processed += told.rows - unsent
        job.failed += len(told.others) - unsent
        job.unsent += unsent
        line = {
            "ID": job.id,
            "OPERATION": self.order.mode.value,
            "OBJECT": self.order.sobject,
            "STATE": "JobComplete" if job.processed else "Failed",
            "JOB_TYPE": "Collections" if job.id is None else "V2Ingest",
            "NUMBER_RECORDS_PROCESSED": job.processed,
            "NUMBER_RECORDS_FAILED": job.failed,
            "CREATED_AT": now,
            "RUN": self.run.id,
            "CHUNK": told.chunk,
        }
        # Rows that were refused before anything was sent belong to no job.
        return pa.Table.from_pylist([line] if job.processed or job.id is not None else [], schema=TABLES[JOB_INFO])

    def _successes(self, told: Told, now: datetime) -> pa.Table:
        schema = TABLES[SUCCESS]
        if told.written is None or not told.written.num_rows:
            return schema.empty_table()
        numbers: list[int] = told.written.column("row").to_pylist()
        columns = {
            **self._shared(told, numbers, now),
            "SF_ID": told.written.column("id"),
            "CREATED": told.written.column("created"),
            "SUCCESS": pa.repeat(pa.scalar(value=True), len(numbers)),
            "ERRORS": pa.nulls(len(numbers), _TEXT),
        }
        return pa.Table.from_pydict({name: columns[name] for name in schema.names}, schema=schema)

    def _failures(self, told: Told, now: datetime) -> pa.Table:
        schema, rows = TABLES[FAILURE], told.others
        columns = {
            **self._shared(told, [row.row for row in rows], now),
            "SF_ID": [row.id for row in rows],
            "SF_ERROR": [f"{row.code}:{row.message}:{','.join(row.fields) or '--'}" for row in rows],
            "FATE": [row.fate.value for row in rows],
            "CODE": [row.code for row in rows],
            "MESSAGE": [row.message for row in rows],
            "FIELDS": [",".join(row.fields) for row in rows],
            "RECORD": [_json(row) for row in rows],
        }
        return pa.Table.from_pydict({name: columns[name] for name in schema.names}, schema=schema)

    def _shared(self, told: Told, numbers: Sequence[int | None], now: datetime) -> dict[str, object]:
        count = len(numbers)
        return {
            "JOB_ID": pa.array([told.job_id] * count, _TEXT),
            "MATCH_FIELD": pa.array([self.order.needed] * count, _TEXT),
            "MATCH_ID": pa.array(self._matches(numbers), _TEXT),
            "CREATED_AT": pa.array([now] * count, _MOMENT),
            "RUN": pa.array([self.run.id] * count, _TEXT),
            "ROW": pa.array(numbers, _WHOLE),
        }

    def _matches(self, numbers: Sequence[int | None]) -> list[str | None]:
        if self.match is None or self.order.needed is None:
            return [None] * len(numbers)
        known = [number for number in numbers if number is not None]
        found = dict(zip(known, self.match(known), strict=True))
        return [None if number is None else found[number] for number in numbers]


def key_of(rows: Rows, key: str) -> Callable[[Sequence[int]], list[str | None]]:
    """Gives the values that rows have under the name `key`, in any case; for rows that no mapper renames."""

    def found(numbers: Sequence[int]) -> list[str | None]:
        return [_value(record, key.lower()) for record in rows.records(numbers)]

    return found


def _value(record: object, key: str) -> str | None:
    if not isinstance(record, Mapping):
        return None
    value = next((value for name, value in record.items() if str(name).lower() == key), None)
    return None if value is None else str(value)


def _json(row: RowResult) -> str | None:
    return None if row.record is None else json.dumps(row.record, default=str, ensure_ascii=False)
