"""Salesforce object -> warehouse table, the method chosen by volume, incremental, merged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from dataclasses import fields as fields_of
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Self

from halocline import refresh, registry
from halocline.aliases import also_named, own_names
from halocline.config import Settings, secret
from halocline.connector import OVERLAP_S, Contract, Deletes, Destination, ObjectChoice, Plan, Source, Survey, Target, make
from halocline.errors import FixConfig, HaloclineError, StorageFailed
from halocline.events import Noticed, Sink, silent
from halocline.halt import Halt
from halocline.heartbeat import Turn
from halocline.ledger import Ledger
from halocline.place import place_of, within
from halocline.plan import BULK_API_THRESHOLD, STAGE_THRESHOLD, Thresholds, Wish, decide
from halocline.run import Flow, Run, execute, survey_and_plan
from halocline.several import PARALLEL, Company, Ended, Looked, check_parallel, company, in_order, relations
from halocline.shaping import ShapedSource, Shaping
from halocline.spool import Spool, sweep
from halocline.sync_options import check_seconds, sound
from halocline.unfinished import is_spoilt

JOB_DEADLINE_S = 3_600.0  # seconds to wait for one Bulk job before giving up (the job itself goes on)
ALSO = {"where": "where_clause", "key": "match_field", "full": "force_full_sync", "lookback": "lookback_s"}
"""What the command line and halocline.yaml call an option of a sync, and what `SobjectSync` does."""
_A_SYNC = "a sync"


@also_named(_A_SYNC, ALSO)
@dataclass(frozen=True, slots=True)
class SobjectSync:
    """What to carry where: the arguments of one sync, as the documented functions take them.

    It can be made with their names on the command line and in halocline.yaml too: `where`, `key`, `full`, `lookback`.
    `match_field` is the key, in any case. `use_stage` stages at any size; `stage_name` is for destinations with stages.
    `where_clause` is SOQL without the WHERE. `fields` and `exclude` choose columns (None: all that can be carried), a list of
    names or a text that has them by comma.
    `deletes` is `soft` (rows stay, flagged by IsDeleted), `hard` (rows go) or `ignore`. `numbers` is `decimal` or `double`.
    `lookback_s` is read again before the position (None: the system's OVERLAP_S). `rename` gives columns other names (old ->
    new), `mask` hides values (column -> `hash` or `null`). `soql` is a whole SELECT in the place of `where_clause`, `fields` and
    `exclude`. `contract` is `evolve` (new columns are added), `freeze` (columns that differ from the last read are an error) or
    `discard` (new columns are left out). `formula_refresh` is how often calculated columns are read for all rows: `never`,
    `always` or a time such as `24h`. `history` keeps every version of a row, with `valid_from` and `valid_to`.
    """

    sobject: str
    schema: str | None
    table: str
    match_field: str = "ID"
    use_stage: bool = False
    stage_name: str | None = None
    force_full_sync: bool = False
    where_clause: str | None = None
    fields: Sequence[str] | str | None = None
    exclude: Sequence[str] | str = ()
    deletes: str = "soft"
    numbers: str = "decimal"
    allow_empty: bool = False
    max_delete_share: float = 0.5
    lookback_s: float | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    mask: Mapping[str, str] = field(default_factory=dict)
    soql: str | None = None
    contract: str = "evolve"
    formula_refresh: str = "never"
    history: bool = False

    @property
    def target(self) -> Target:
        """The table, with its schema."""
        return Target(self.schema, self.table)

    @property
    def flow(self) -> str:
        """The name under which position, lease and ledger know this sync."""
        return f"salesforce:{self.sobject}->{self.target}".lower()


@dataclass(frozen=True, slots=True)
class Opened:
    """A sync's two sides in a flow, the ledger, a folder for files of its user's own, and how long a run of it may wait."""

    flow: Flow
    ledger: Ledger
    spool: Spool
    turn: Turn


class IntelligentSync:
    """Syncs sObjects from one org into one destination, choosing REST, Bulk 2.0 or staged Bulk 2.0 by volume.

    `session` is a DuckDB connection or a destination URI; `access_info` a dict with `access_token` and `instance_url`,
    an authenticator, or a session. Thresholds count rows and may be set on the instance before a sync. `wait_s` is how long a
    sync waits for another run of the same flow to end; without it, it is refused at once.
    Raises: FixConfig for a `wait_s` that is no number of seconds.
    """

    def __init__(
        self,
        session: object,
        access_info: object,
        *,
        ledger: Ledger | None = None,
        settings: Settings | None = None,
        sink: Sink = silent,
        wait_s: float = 0.0,
    ) -> None:
        self._connection: registry.Connection | None = None  # first, for a system that could not be made is closed as well
        self._connecting = threading.Lock()
        check_seconds("wait_s", wait_s, endless=True)
        self.BULK_API_THRESHOLD = BULK_API_THRESHOLD
        self.STAGE_THRESHOLD = STAGE_THRESHOLD
        self.OVERLAP_S = OVERLAP_S
        self.JOB_DEADLINE_S = JOB_DEADLINE_S
        self._session = session
        self._access_info = access_info
        self._settings = settings or Settings.from_env()
        self._ledger = ledger
        self._sink = sink
        self._wait_s = wait_s

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

        `options` are the further fields of `SobjectSync`, also by their names on the command line and in halocline.yaml: `where`,
        `key`, `full`, `lookback`. The answer has the keys `sobject`, `target_table`,
        `sync_method`, `estimated_records` (rows in the window, overlap included), `actual_records` (inserted + updated +
        deleted), `sync_duration_seconds`, `last_modified_date` (greatest stamp loaded), `sync_timestamp` (start, by the
        server's clock), `success`, `error`; on failure also `records_processed` (rows that became durable).
        What is not known is None.

        Raises: TypeError for an option that does not exist.
        """
        stage = {"use_stage": use_stage, "stage_name": stage_name}
        told = {"match_field": match_field, **stage, "force_full_sync": force_full_sync, **_named(options)}
        job = SobjectSync(sobject, schema, table, **told)  # type: ignore[arg-type]  # checked by the dataclass's own signature
        run = Run.new()
        try:
            self.run_to_now(job, run)
        except Exception as error:  # noqa: BLE001 - the documented contract: every failure is in the answer
            return answer(job, run, error=error)
        return answer(job, run, error=None)

    def sync_objects(
        self,
        objects: Iterable[str | SobjectSync] = (),
        schema: str | None = None,
        *,
        exclude_objects: Sequence[str] = (),
        everything: bool = False,
        parallel: int = PARALLEL,
        **options: object,
    ) -> list[dict[str, object]]:
        """Sync several objects, up to `parallel` at a time, and tell of each what `sync_sobject` tells; a failure stops no other.

        `objects` are names, patterns (`Acc*`) or whole jobs; with `everything` all objects of the org, less those that a pattern
        of `exclude_objects` matches. A name goes into the table of the same name in `schema`, with the `options` of
        `SobjectSync`, as of `sync_sobject`. An answer has two more keys: `refers_to` and `not_in_run`, object -> the columns that
        refer to it, of objects that are part of this call and of others.
        Raises: an error of `halocline.errors` where it cannot be said which objects are meant.
        """
        given = list(objects)
        jobs = [one for one in given if isinstance(one, SobjectSync)]
        names = [one for one in given if isinstance(one, str)]
        if names or everything:
            chosen = self.choose(names, exclude=exclude_objects, everything=everything).objects
            jobs += [SobjectSync(name, schema, name, **_named(options)) for name in chosen]  # type: ignore[arg-type]  # as above
        among = [job.sobject for job in jobs]
        ended = self.run_all(jobs, parallel=parallel)
        return [{**answer(one.job, one.run, error=one.error), **relations(one.run.survey, among)} for one in ended]

    def choose(self, names: Sequence[str], *, exclude: Sequence[str] = (), everything: bool = False) -> ObjectChoice:
        """The objects of the org that names and patterns stand for, and those that cannot be read, with the reasons.

        Raises: NotFound for a pattern that no object matches; FixConfig when nothing is left; what asking the org raises.
        """
        with company(self._ledger, self._settings, looking=True) as shared:
            asked = {"exclude": exclude, "everything": everything, "spend": shared.spend}
            return registry.choose_objects("salesforce", self._connected(), names=names, **asked)

    def run_all(
        self,
        jobs: Sequence[SobjectSync],
        *,
        parallel: int = PARALLEL,
        watch: Callable[[SobjectSync], Sink] | None = None,
        halt: Halt | None = None,
    ) -> Iterator[Ended]:
        """Sync objects side by side, and yield what became of each in their order; a failure is in what is yielded.

        `watch` gives each its own sink. Leaving the loop early ends those that are running, before their commits; so does
        `halt`, when it is called.
        """
        check_parallel(parallel)
        several, halt = len(jobs) > 1 or halt is not None, halt or Halt()

        def work(job: SobjectSync) -> Ended:
            run = Run.new()
            try:
                self.run_to_now(job, run, sink=watch(job) if watch else None, beside=shared)
            except Exception as error:  # noqa: BLE001 - one failing stops no other; the caller is told of each
                return Ended(job, run, error)
            return Ended(job, run)

        with ExitStack() as stack:
            shared = stack.enter_context(company(self._ledger, self._settings, halt=halt if several else None))
            if len(jobs) > 1 and not self._may_share(stack):
                parallel = min(parallel, 1)
                self._sink(Noticed("One connection serves one object at a time; a URI in its place serves several."))
            yield from in_order(work, jobs, parallel=parallel, halt=halt)

    def plan_all(self, jobs: Sequence[SobjectSync], *, parallel: int = PARALLEL) -> Iterator[Looked]:
        """What `run_all` would do now with each object, in their order; nothing is read or changed."""
        check_parallel(parallel)
        halt = Halt()

        def work(job: SobjectSync) -> Looked:
            try:
                return Looked(job, *self._plan(job, shared))
            except Exception as error:  # noqa: BLE001 - likewise
                return Looked(job, error=error)

        with ExitStack() as stack:
            shared = stack.enter_context(
                company(self._ledger, self._settings, halt=halt if len(jobs) > 1 else None, looking=True)
            )
            if len(jobs) > 1 and not self._may_share(stack, read_only=True):
                parallel = min(parallel, 1)
            yield from in_order(work, jobs, parallel=parallel, halt=halt)

    def run(self, job: SobjectSync, run: Run | None = None, *, sink: Sink | None = None, beside: Company | None = None) -> Run:
        """Sync one object; `run` shows how far it came, also when this raises. `beside` are the other runs of one call.

        Raises: an error of `halocline.errors`.
        """
        run, started = run or Run.new(), time.monotonic()
        sweep(self._settings.spool)
        try:
            with ExitStack() as stack:
                shared = beside or stack.enter_context(company(self._ledger, self._settings))
                flow = self._open(job, run, stack=stack, shared=shared, sink=sink)
                turn = Turn(self._settings.lease_s, self._wait_s, shared.halt)
                return execute(flow, run, ledger=shared.books, sink=sink or self._sink, turn=turn)
        finally:
            run.elapsed_s = time.monotonic() - started  # login, opening and closing included

    def run_to_now(
        self, job: SobjectSync, run: Run | None = None, *, sink: Sink | None = None, beside: Company | None = None
    ) -> Run:
        """As `run`; after a run that went on with an earlier one's work, another brings what changed since that one looked.

        `run` then counts the rows, the calls and the seconds of both.
        Raises: an error of `halocline.errors`; the rows of a first of two runs are in the table then.
        """
        run = self.run(job, run, sink=sink, beside=beside)
        if run.plan is not None and run.plan.continues is not None:
            told = f"What run {run.plan.continues[:8]} had begun is in the table; now what changed since."
            (sink or self._sink)(Noticed(told))
            run.add(self.run(replace(job, force_full_sync=False), sink=sink, beside=beside))
        return run

    def plan(self, job: SobjectSync) -> tuple[Survey, Plan]:
        """What `run` would do now, and why; nothing is read or changed.

        Raises: an error of `halocline.errors`.
        """
        with company(self._ledger, self._settings, looking=True) as shared:
            return self._plan(job, shared)

    @contextmanager
    def opened(self, job: SobjectSync, run: Run, *, sink: Sink | None = None, read_only: bool = False) -> Iterator[Opened]:
        """Both sides of a sync, connected while the block lasts, for who does something else with them than `run`.

        `read_only` makes no file, and takes no lock against readers.
        """
        with ExitStack() as stack:
            shared = stack.enter_context(company(self._ledger, self._settings))
            spool = Spool(f"{run.id}-beside", self._settings.spool)
            stack.callback(spool.close)
            flow = self._open(job, run, stack=stack, shared=shared, sink=sink, read_only=read_only)
            yield Opened(flow, shared.books, spool, Turn(self._settings.lease_s, self._wait_s, shared.halt))

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
        with self._connecting:
            if self._connection is None:
                self._connection = registry.connect("salesforce", self._access_info, sink=self._sink)
            return self._connection

    def _plan(self, job: SobjectSync, shared: Company) -> tuple[Survey, Plan]:
        with ExitStack() as stack:
            return survey_and_plan(self._open(job, Run.new(), stack=stack, shared=shared, read_only=True))

    def _may_share(self, stack: ExitStack, *, read_only: bool = False) -> bool:
        """Whether several runs may write to the destination at the same time: behind a URI each has connections of its own.

        Where one file serves all of them it is kept open until the stack is closed, so that it is not closed in between. A
        destination that cannot be opened is told by each run.
        """
        with suppress(HaloclineError):
            destination, _ = self._destination(Run.new(), stack=stack, read_only=read_only)
            if not destination.abilities.one_writer:
                destination.close()
            elif not read_only:
                make(destination)
            return isinstance(self._session, str) or destination.abilities.shared
        return True

    def _destination(
        self, run: Run, *, stack: ExitStack, sink: Sink | None = None, read_only: bool = False
    ) -> tuple[Destination, Spool]:
        spool = Spool(run.id, self._settings.spool)
        stack.push(partial(_put_away, spool))
        memory_limit = self._settings.duckdb_memory
        destination = registry.open_destination(
            self._session, spool=spool, memory_limit=memory_limit, read_only=read_only, sink=sink or self._sink
        )
        stack.callback(destination.close)
        return destination, spool

    def _open(
        self,
        job: SobjectSync,
        run: Run,
        *,
        stack: ExitStack,
        shared: Company,
        sink: Sink | None = None,
        read_only: bool = False,
    ) -> Flow:
        job = sound(job)
        check_seconds("OVERLAP_S", self.OVERLAP_S)
        check_seconds("JOB_DEADLINE_S", self.JOB_DEADLINE_S, endless=True)
        shaping = self._shaping(job)
        wish = self._wish(job, shaping)
        destination, spool = self._destination(run, stack=stack, sink=sink, read_only=read_only)
        place = getattr(destination, "place", "") or place_of(self._session)  # of a connection of DuckDB only it can tell
        source: Source = registry.open_source(
            "salesforce",
            self._connected(),
            sobject=job.sobject,
            fields=job.fields,
            exclude=job.exclude,
            where=job.where_clause,
            deletes=wish.deletes,
            numbers=job.numbers,
            query=job.soql,
            contract=_contract(job),
            shape=shaping.scope,
            history=job.history,
            flow=within(job.flow, place),
            keep_pages=not shaping.masks,  # what is masked does not outlive the run
            formula_refresh_s=refresh.seconds(job.formula_refresh),
            overlap_s=self.OVERLAP_S if job.lookback_s is None else job.lookback_s,
            deadline_s=self.JOB_DEADLINE_S,
            spool=spool,
            spend=shared.spend,
            halt=shared.halt,
            sink=sink or self._sink,
        )
        if shaping or job.soql:
            source = ShapedSource(source, shaping)
        decision = partial(decide, wish=wish)
        served = shared.served(destination)
        return Flow(job.flow, job.sobject, source, served, job.target, decision, fresh=job.force_full_sync, place=place)

    def _shaping(self, job: SobjectSync) -> Shaping:
        key = self._settings.mask_key
        return Shaping(dict(job.rename), dict(job.mask), key=job.match_field, secret=secret(key) if key and job.mask else None)

    def _wish(self, job: SobjectSync, shaping: Shaping) -> Wish:
        if job.deletes not in list(Deletes):
            raise FixConfig("Reading the options", f"deletes={job.deletes!r} is unknown", hint="Use soft, hard or ignore.")
        return Wish(
            flow=job.flow,
            key=(shaping.renamed(job.match_field),),
            use_stage=job.use_stage,
            stage_name=job.stage_name,
            force_full=job.force_full_sync,
            deletes=Deletes(job.deletes),
            allow_empty=job.allow_empty,
            max_delete_share=job.max_delete_share,
            thresholds=Thresholds(self.BULK_API_THRESHOLD, self.STAGE_THRESHOLD),
            history=job.history,
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


def _named(options: Mapping[str, object]) -> dict[str, object]:
    """The options by the names of `SobjectSync`. Raises: TypeError as `own_names`."""
    return own_names(_A_SYNC, options, known=[one.name for one in fields_of(SobjectSync)], also=ALSO)


def _put_away(spool: Spool, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:  # noqa: ARG001  # an exit's
    """Delete a run's files; also what a later run might use, where it will not, or where that would keep a full disk full."""
    spool.close(everything=error is not None and (isinstance(error, StorageFailed) or is_spoilt(error)))


def _contract(job: SobjectSync) -> Contract:
    if job.contract not in list(Contract):
        hint = "Use evolve, freeze or discard."
        raise FixConfig("Reading the options", f"contract={job.contract!r} is unknown", hint=hint)
    return Contract(job.contract)


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
