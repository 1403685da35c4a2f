"""Salesforce object -> warehouse table, the method chosen by volume, incremental, merged."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Self

from halocline import registry
from halocline.config import Settings
from halocline.connector import Deletes, Plan, Survey, Target
from halocline.errors import FixConfig
from halocline.events import Sink, silent
from halocline.ledger import Ledger, open_ledger
from halocline.plan import BULK_API_THRESHOLD, STAGE_THRESHOLD, Thresholds, Wish, decide
from halocline.run import Flow, Run, execute, survey_and_plan
from halocline.spool import Spool, sweep

OVERLAP_S = 600.0  # seconds re-read before the position: rows may become visible late, with an older stamp
JOB_DEADLINE_S = 3_600.0  # seconds to wait for one Bulk job before giving up (the job itself goes on)


@dataclass(frozen=True, slots=True)
class SobjectSync:
    """What to carry where: the arguments of one sync, as the documented functions take them.

    `match_field` is the key, in any case. `use_stage` stages at any size; `stage_name` is for destinations with stages.
    `where_clause` is SOQL without the WHERE. `fields` and `exclude` choose columns (None: all that can be carried).
    `deletes` is `soft` (rows stay, flagged by IsDeleted), `hard` (rows go) or `ignore`. `numbers` is `decimal` or `double`.
    """

    sobject: str
    schema: str | None
    table: str
    match_field: str = "ID"
    use_stage: bool = False
    stage_name: str | None = None
    force_full_sync: bool = False
    where_clause: str | None = None
    fields: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    deletes: str = "soft"
    numbers: str = "decimal"
    allow_empty: bool = False
    max_delete_share: float = 0.5

    @property
    def target(self) -> Target:
        """The table, with its schema."""
        return Target(self.schema, self.table)

    @property
    def flow(self) -> str:
        """The name under which position, lease and ledger know this sync."""
        return f"salesforce:{self.sobject}->{self.target}".lower()


class IntelligentSync:
    """Syncs sObjects from one org into one destination, choosing REST, Bulk 2.0 or staged Bulk 2.0 by volume.

    `session` is a DuckDB connection or a destination URI; `access_info` a dict with `access_token` and `instance_url`,
    an authenticator, or a session. Thresholds count rows and may be set on the instance before a sync.
    """

    def __init__(
        self,
        session: object,
        access_info: object,
        *,
        ledger: Ledger | None = None,
        settings: Settings | None = None,
        sink: Sink = silent,
    ) -> None:
        self._connection: registry.Connection | None = None
        self.BULK_API_THRESHOLD = BULK_API_THRESHOLD
        self.STAGE_THRESHOLD = STAGE_THRESHOLD
        self.OVERLAP_S = OVERLAP_S
        self.JOB_DEADLINE_S = JOB_DEADLINE_S
        self._session = session
        self._access_info = access_info
        self._settings = settings or Settings.from_env()
        self._ledger = ledger
        self._sink = sink

    @property
    def REGULAR_API_THRESHOLD(self) -> int:  # noqa: N802 - the documented name
        """Another name of BULK_API_THRESHOLD: below it the regular API is used."""
        return self.BULK_API_THRESHOLD

    @REGULAR_API_THRESHOLD.setter
    def REGULAR_API_THRESHOLD(self, rows: int) -> None:  # noqa: N802 - the documented name
        self.BULK_API_THRESHOLD = rows

    def sync_sobject(
        self,
        sobject: str,
        schema: str,
        table: str,
        match_field: str = "ID",
        use_stage: bool = False,
        stage_name: str | None = None,
        force_full_sync: bool = False,
        **options: object,
    ) -> dict[str, object]:
        """Sync one object and tell what happened; a failure of any kind is in the answer, never raised.

        `options` are the further fields of `SobjectSync`. The answer has the keys `sobject`, `target_table`,
        `sync_method`, `estimated_records` (rows in the window, overlap included), `actual_records` (inserted + updated +
        deleted), `sync_duration_seconds`, `last_modified_date` (greatest stamp loaded), `sync_timestamp` (start, by the
        server's clock), `success`, `error`; on failure also `records_processed` (rows that became durable).
        What is not known is None.

        Raises: TypeError for an option that does not exist.
        """
        job = SobjectSync(sobject, schema, table, match_field, use_stage, stage_name, force_full_sync, **options)  # type: ignore[arg-type]  # checked by the dataclass's own signature
        run = Run.new()
        try:
            self.run(job, run)
        except Exception as error:  # noqa: BLE001 - the documented contract: every failure is in the answer
            return answer(job, run, error=error)
        return answer(job, run, error=None)

    def run(self, job: SobjectSync, run: Run | None = None) -> Run:
        """Sync one object; `run` shows how far it came, also when this raises.

        Raises: an error of `halocline.errors`.
        """
        run, started = run or Run.new(), time.monotonic()
        sweep(self._settings.spool)
        try:
            with ExitStack() as stack:
                flow = self._open(job, run, stack=stack)
                ledger = self._ledger or stack.enter_context(open_ledger(self._settings.ledger))
                return execute(flow, run, ledger=ledger, sink=self._sink)
        finally:
            run.elapsed_s = time.monotonic() - started  # login, opening and closing included

    def plan(self, job: SobjectSync) -> tuple[Survey, Plan]:
        """What `run` would do now, and why; nothing is read or changed.

        Raises: an error of `halocline.errors`.
        """
        with ExitStack() as stack:
            return survey_and_plan(self._open(job, Run.new(), stack=stack, read_only=True))

    def close(self) -> None:
        """Let go of the connection to Salesforce; the next sync opens a new one. Idempotent."""
        if self._connection is not None and self._connection is not self._access_info:
            self._connection.close()
        self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        # The documented samples never close; their sockets go with the last reference.
        self.close()

    def _connected(self) -> registry.Connection:
        if self._connection is None:
            self._connection = registry.connect("salesforce", self._access_info, sink=self._sink)
        return self._connection

    def _open(self, job: SobjectSync, run: Run, *, stack: ExitStack, read_only: bool = False) -> Flow:
        wish = self._wish(job)
        spool = Spool(run.id, self._settings.spool)
        stack.callback(spool.close)
        memory_limit = self._settings.duckdb_memory
        destination = registry.open_destination(
            self._session, spool=spool, memory_limit=memory_limit, read_only=read_only, sink=self._sink
        )
        stack.callback(destination.close)
        source = registry.open_source(
            "salesforce",
            self._connected(),
            sobject=job.sobject,
            fields=job.fields,
            exclude=job.exclude,
            where=job.where_clause,
            deletes=wish.deletes,
            numbers=job.numbers,
            overlap_s=self.OVERLAP_S,
            deadline_s=self.JOB_DEADLINE_S,
            spool=spool,
            sink=self._sink,
        )
        return Flow(job.flow, job.sobject, source, destination, job.target, partial(decide, wish=wish), fresh=job.force_full_sync)

    def _wish(self, job: SobjectSync) -> Wish:
        if job.deletes not in list(Deletes):
            raise FixConfig("Reading the options", f"deletes={job.deletes!r} is unknown", hint="Use soft, hard or ignore.")
        return Wish(
            flow=job.flow,
            key=(job.match_field,),
            use_stage=job.use_stage,
            stage_name=job.stage_name,
            force_full=job.force_full_sync,
            deletes=Deletes(job.deletes),
            allow_empty=job.allow_empty,
            max_delete_share=job.max_delete_share,
            thresholds=Thresholds(self.BULK_API_THRESHOLD, self.STAGE_THRESHOLD),
        )


def sync_sobject_intelligent(
    session: object,
    access_info: object,
    sobject: str,
    schema: str,
    table: str,
    match_field: str = "ID",
    use_stage: bool = False,
    stage_name: str | None = None,
    force_full_sync: bool = False,
    **options: object,
) -> dict[str, object]:
    """Sync one object with the default thresholds; arguments and answer as in `IntelligentSync.sync_sobject`."""
    with IntelligentSync(session, access_info) as system:
        return system.sync_sobject(sobject, schema, table, match_field, use_stage, stage_name, force_full_sync, **options)


def answer(job: SobjectSync, run: Run, *, error: Exception | None) -> dict[str, object]:
    """The documented return value for a run of `job` that ended well (`error` None) or did not."""
    told: dict[str, object] = {
        "sobject": job.sobject,
        "target_table": str(job.target),
        "sync_method": run.plan.method if run.plan else None,
        "estimated_records": run.survey.estimated_rows if run.survey else None,
        "actual_records": run.durable_rows,
        "sync_duration_seconds": round(run.elapsed_s, 3),
        "last_modified_date": _instant(run.counts.highest if run.counts else None),
        "sync_timestamp": _instant(run.survey.server_time if run.survey else None),
        "success": error is None,
        "error": None if error is None else str(error) or type(error).__name__,
    }
    if error is not None:
        told["records_processed"] = run.durable_rows
    return told


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
