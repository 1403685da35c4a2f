"""Reverse ETL: the rows of a warehouse query into Salesforce by Bulk API 2.0, with the answers that LHT gives.

    from halocline import retl
    retl.upsert("duckdb:///lake.duckdb", access_info, "Account", 'SELECT ext AS "Ext__c", name AS "Name" FROM accounts', "Ext__c")

The query is read once, all its rows are put aside before the first is sent, and every row's fate is in the ledger: a call that
died is gone on with by the same call, or by `halocline resume`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from halocline import registry
from halocline.config import Settings
from halocline.errors import FixConfig, HaloclineError
from halocline.events import Noticed, Sink, silent
from halocline.ledger import Ledger
from halocline.outcome import Fate, RowResult
from halocline.push.destination import Told, WritePlan
from halocline.push.fields import checked
from halocline.push.intake import STAGING
from halocline.push.order import Api, Nulls, SyncMode, WriteOrder
from halocline.push.push import Push, execute
from halocline.push.run import PushRun
from halocline.push.tables import TableWatch, key_of
from halocline.push.watch import UNWATCHED, Watch
from halocline.rows.of import rows_of
from halocline.rows.query import Query
from halocline.rows.rows import Rows
from halocline.several import company
from halocline.spool import Spool

if TYPE_CHECKING:
    from halocline.push.destination import RowDestination

BATCH_ROWS = 25_000  # rows of a job; lht 3.0.0, retl.upsert
FIRST_ERRORS = 10  # errors that are told in an answer; all of them are in the ledger
_READING = "Reading the options"
LOGS = "LOGS"  # the schema beside the source in which LHT keeps its tables


def upsert(
    session: object,
    access_info: object,
    sobject: str,
    query: str,
    field: str,
    batch_size: int = BATCH_ROWS,
    clear_nulls: bool = False,  # noqa: FBT001, FBT002 - the documented signature
    log_schema: str | None = LOGS,
    *,
    settings: Settings | None = None,
    ledger: Ledger | None = None,
    sink: Sink = silent,
) -> dict[str, object] | None:
    """Upsert what `query` answers by the external id `field`; None when it answers no rows, and then nobody is asked.

    `session` is a DuckDB connection or URI, `access_info` a dict with `access_token` and `instance_url`, or anything that
    describes a login. The names of the query's columns are Salesforce's. A null leaves its field as it is, unless `clear_nulls`.
    A job holds `batch_size` rows. The tables JOB_INFO, SUCCESS and FAILURE in `log_schema` beside the source tell of every row;
    with None there are none.

    The answer has the keys `total_records` (rows of the query), `records_processed` (rows that Salesforce wrote or refused),
    `total_batches`, `successful_batches` (jobs of which every row was written), `failed_batches`, `batch_results` (for each job
    `batch_number`, `job_id`, `records_processed`, `success`, `job_info`, and `error` where a row failed; rows that could not be
    sent are a failed batch of their own, the last one, without a job), and ours:
    `records_failed` (rows that were not written, or may not have been), `errors` (the first of them) and `run`.
    Raises: an error of `halocline.errors` for what ends the push as a whole; its `facts["result"]` is the answer by then.
    """
    order = _order(sobject, SyncMode.UPSERT, batch_size=batch_size, clear_nulls=clear_nulls, key=field)
    return _Call(session, access_info, order, log_schema, settings, ledger, sink).carry(query)


def update(
    session: object,
    access_info: object,
    sobject: str,
    query: str,
    clear_nulls: bool = False,  # noqa: FBT001, FBT002 - the documented signature
    log_schema: str | None = LOGS,
    *,
    batch_size: int = BATCH_ROWS,
    settings: Settings | None = None,
    ledger: Ledger | None = None,
    sink: Sink = silent,
) -> dict[str, object] | None:
    """Update the records whose `Id` the query answers; otherwise as `upsert`."""
    order = _order(sobject, SyncMode.UPDATE, batch_size=batch_size, clear_nulls=clear_nulls)
    return _Call(session, access_info, order, log_schema, settings, ledger, sink).carry(query)


def insert(
    session: object,
    access_info: object,
    sobject: str,
    query: str,
    log_schema: str | None = LOGS,
    *,
    batch_size: int = BATCH_ROWS,
    settings: Settings | None = None,
    ledger: Ledger | None = None,
    sink: Sink = silent,
) -> dict[str, object] | None:
    """Insert what the query answers; otherwise as `upsert`."""
    order = _order(sobject, SyncMode.INSERT, batch_size=batch_size)
    return _Call(session, access_info, order, log_schema, settings, ledger, sink).carry(query)


def delete(
    session: object,
    access_info: object,
    sobject: str,
    query: str,
    field: str | None = None,  # noqa: ARG001 - the documented signature; records are deleted by Id only
    log_schema: str | None = LOGS,
    *,
    batch_size: int = BATCH_ROWS,
    settings: Settings | None = None,
    ledger: Ledger | None = None,
    sink: Sink = silent,
) -> dict[str, object] | None:
    """Delete the records whose `Id` the query answers, into the recycle bin; otherwise as `upsert`. `field` means nothing."""
    order = _order(sobject, SyncMode.DELETE, batch_size=batch_size)
    return _Call(session, access_info, order, log_schema, settings, ledger, sink).carry(query)


def _order(sobject: str, mode: SyncMode, *, batch_size: int, clear_nulls: bool = False, key: str | None = None) -> WriteOrder:
    told: object = batch_size
    if not isinstance(told, int) or isinstance(told, bool):
        raise FixConfig(_READING, f"batch_size={told!r} is no whole number", hint="It counts rows, from 1 up.")
    if clear_nulls not in (True, False, None):
        hint = "Give True or False; a text such as 'no' would count as true, and empty fields."
        raise FixConfig(_READING, f"clear_nulls={clear_nulls!r} is neither True nor False", hint=hint)
    nulls = Nulls.CLEAR if clear_nulls else Nulls.KEEP
    return WriteOrder(sobject, mode, key, Api.BULK, batch_size=batch_size, nulls=nulls, job_rows=batch_size)


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a function above."""

    session: object
    access_info: object
    order: WriteOrder
    log_schema: str | None
    settings: Settings | None
    ledger: Ledger | None
    sink: Sink

    def carry(self, query: str) -> dict[str, object] | None:
        """Read the query, send its rows, and tell what became of them."""
        settings = self.settings or Settings.from_env()
        with ExitStack() as stack:
            spool = Spool(uuid.uuid4().hex, settings.spool)
            stack.callback(spool.close)
            rows = rows_of(Query(self.session, query), folder=spool.path, memory_limit=settings.duckdb_memory)
            stack.callback(rows.close)
            if not len(rows):
                return None
            shared = stack.enter_context(company(self.ledger, settings))
            ledger, destination = shared.books, registry.open_rows(self.access_info, sink=self.sink, spend=shared.spend)
            stack.callback(destination.close)
            run = PushRun.new()
            batches = _Batches(self.order, run, self._tables(rows, run, stack, memory_limit=settings.duckdb_memory))
            try:
                execute(self._push(rows, destination), run, ledger=ledger, home=settings.home, sink=self.sink, watch=batches)
            except HaloclineError as error:
                error.facts["result"] = batches.answer(error)
                raise
        return batches.answer()

    def _push(self, rows: Rows, destination: RowDestination) -> Push:
        looked_at, findings = checked(rows, self.order, mapper=None, destination=destination)
        for finding in findings:
            self.sink(Noticed(str(finding)))
        flow = f"{rows.name}->salesforce:{self.order.sobject}:{self.order.mode}".lower()
        return Push(self.order, looked_at, destination, flow, results=self.log_schema)

    def _tables(self, rows: Rows, run: PushRun, stack: ExitStack, *, memory_limit: str | None) -> Watch:
        if self.log_schema is None:
            return UNWATCHED
        tables = registry.open_results(self.session, self.log_schema, memory_limit=memory_limit)
        stack.callback(tables.close)
        return TableWatch(tables, run, self.order, key_of(rows, self.order.needed or ""))


@dataclass(slots=True)
class _Batch:
    """What became of the rows of one job, of one call where rows could not travel by Bulk, or of those that were never sent."""

    job_id: str | None = None
    processed: int = 0
    failed: int = 0
    error: str | None = None


@dataclass(slots=True)
class _Batches:
    """A `Watch` that counts by jobs, and passes on what it hears."""

    order: WriteOrder
    run: PushRun
    beside: Watch
    found: dict[str, _Batch] = field(default_factory=dict)
    errors: list[dict[str, object]] = field(default_factory=list)
    failed: int = 0

    def begun(self, total: int) -> None:
        self.beside.begun(total)

    def planned(self, plan: WritePlan) -> None:
        self.beside.planned(plan)

    def sending(self, numbers: Sequence[int]) -> None:
        self.beside.sending(numbers)

    def told(self, told: Told) -> None:
        self.failed += len(told.others)
        if told.rows:
            batch = self.found.setdefault(told.chunk, _Batch())
            batch.job_id = batch.job_id or told.job_id
            batch.processed += told.rows - sum(row.fate is Fate.NOT_SENT for row in told.others)
            batch.failed += len(told.others)
            if told.others and batch.error is None:
                batch.error = _said(told.others[0])
        self.errors += [_error(row) for row in told.others[: FIRST_ERRORS - len(self.errors)]]
        self.beside.told(told)

    def answer(self, error: HaloclineError | None = None) -> dict[str, object]:
        """What is known by now, in the documented shape."""
        in_order = [self.found[chunk] for chunk in sorted(self.found, key=lambda chunk: (chunk == STAGING, chunk))]
        results = [self._result(number, batch) for number, batch in enumerate(in_order, start=1)]
        succeeded = sum(bool(result["success"]) for result in results)
        planned = 0 if self.run.plan is None else self.run.plan.chunks
        total = max(len(results), planned + (STAGING in self.found))
        told: dict[str, object] = {
            "total_records": self.run.total,
            "records_processed": sum(batch.processed for batch in in_order),
            "total_batches": total,
            "successful_batches": succeeded,
            "failed_batches": total - succeeded,
            "batch_results": results,
            "records_failed": self.failed,
            "errors": list(self.errors),
            "run": self.run.id,
        }
        return told if error is None else {**told, "error": str(error)}

    def _result(self, number: int, batch: _Batch) -> dict[str, object]:
        told: dict[str, object] = {
            "batch_number": number,
            "job_id": batch.job_id,
            "records_processed": batch.processed,
            "success": not batch.failed,
        }
        info = {"id": batch.job_id, "object": self.order.sobject, "operation": self.order.mode.value}
        failed = {"records_failed": batch.failed, "error": batch.error}
        return told | ({"job_info": info} if not batch.failed else {"job_info": info, **failed})


def _said(row: RowResult) -> str:
    place = "a row" if row.row is None else f"row {row.row}"
    return f"{place}: {row.code}: {row.message}" if row.code else f"{place}: {row.message or row.fate.value}"


def _error(row: RowResult) -> dict[str, object]:
    keys = {"row": row.row, "fate": row.fate.value, "code": row.code, "message": row.message, "fields": list(row.fields)}
    return {**keys, "record": row.record}
