"""The loop: read, map, intend, write, commit, ack - in that order - and nothing else.

A record enters at a source's `read`, is staged, and becomes visible at the destination's commit together with the
position after it. What became of it stays in the ledger.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from halocline import engine
from halocline.batch import JSON, Batch
from halocline.connector import (
    Abilities,
    Deletes,
    Destination,
    Lease,
    Load,
    Manifest,
    Part,
    Plan,
    Source,
    Survey,
    Target,
    Unfinished,
    emptied,
    ending_of,
    lacking,
    survey_of_all,
)
from halocline.errors import HaloclineError, NotSupported, Stop
from halocline.events import Committed, Noticed, PartStaged, Planned, RunFailed, RunFinished, RunStarted, Sink, silent
from halocline.guards import refuse_exposed, refuse_own_names, refuse_rejections
from halocline.heartbeat import Turn, explained, held
from halocline.outcome import Counts, Outcome
from halocline.place import within
from halocline.quantity import quantity
from halocline.unfinished import SourceJournal, belonging, is_spoilt, left_by, settle
from halocline.versions import table_schema

if TYPE_CHECKING:
    from halocline.ledger import Ledger

_AT_ONCE = Turn()


@dataclass(frozen=True, slots=True)
class Flow:
    """A named source, a destination table, and how to decide between them. `fresh` ignores the stored position.

    `place` tells the destination from others into which flows of the same name go.
    """

    name: str
    object: str
    source: Source
    destination: Destination
    target: Target
    decide: Callable[[Survey, Abilities], Plan]
    fresh: bool = False
    place: str = ""

    @property
    def right(self) -> str:
        """The name of the lease without which this flow is not run, and of what its runs leave."""
        return within(self.name, self.place)

    @property
    def flows(self) -> tuple[Flow, ...]:
        """Itself: the one table that it fills."""
        return (self,)


@dataclass(frozen=True, slots=True)
class Together:
    """Flows into several tables of one destination that are run as one: all tables become visible together, or none.

    Each of `flows` has a name of its own, under which its table keeps its position.
    """

    name: str
    flows: tuple[Flow, ...]
    place: str = ""

    @property
    def destination(self) -> Destination:
        """Where all of them go."""
        return self.flows[0].destination

    @property
    def object(self) -> str:
        """What is read, in one line."""
        return ", ".join(one.object for one in self.flows)

    @property
    def target(self) -> str:
        """The tables, in one line."""
        return ", ".join(str(one.target) for one in self.flows)

    @property
    def right(self) -> str:
        """The name of the lease, as of `Flow.right`."""
        return within(self.name, self.place)


@dataclass(slots=True)
class Run:
    """One execution of a flow, as far as it has come; the loop sets a field when it has passed that point.

    Of flows that go together `tables` are the executions of each, in their order; what is counted here is then their sum.
    """

    id: str
    survey: Survey | None = None
    plan: Plan | None = None
    manifests: list[Manifest] = field(default_factory=list)
    counts: Counts | None = None
    elapsed_s: float = 0.0
    api_calls: int = 0
    rejected: int = 0
    filtered: int = 0
    tables: list[Run] = field(default_factory=list)

    @classmethod
    def new(cls) -> Run:
        """A run that has not begun, under a name of its own."""
        return cls(uuid.uuid4().hex)

    @property
    def rows_read(self) -> int:
        """Rows and deletions staged so far, and what was read and did not become rows."""
        own = sum(m.rows + m.deletes for m in self.manifests) + self.rejected + self.filtered
        return own + sum(table.rows_read for table in self.tables)

    @property
    def durable_rows(self) -> int:
        """Rows inserted, updated or deleted for every reader of the destination to see: none before the commit."""
        return 0 if self.counts is None else self.counts.changed

    def add(self, later: Run) -> None:
        """Count the rows, calls and seconds of a run that followed at once as this one's too."""
        self.manifests.extend(later.manifests)
        self.rejected += later.rejected
        self.filtered += later.filtered
        self.counts = Counts.total([counts for counts in (self.counts, later.counts) if counts is not None])
        self.api_calls += later.api_calls
        self.elapsed_s += later.elapsed_s

    @property
    def receipts(self) -> list[JSON]:
        """What the source gets back once the rows are durable: each once, in the order of staging."""
        found: list[JSON] = []
        for manifest in self.manifests:
            found.extend(r for r in manifest.receipts if r not in found)
        return found

    def begin_again(self) -> None:
        """Forget what was staged: it is to be read in another way."""
        self.manifests, self.rejected, self.filtered = [], 0, 0


def execute(
    flow: Flow | Together,
    run: Run,
    *,
    ledger: Ledger,
    sink: Sink = silent,
    executor: Executor | None = None,
    turn: Turn = _AT_ONCE,
) -> Run:
    """Run `flow` once; `run` shows how far it came, also when this raises.

    Parts run on `executor`, which must share this process's memory (threads), or on `engine.WIDTH` threads of the run's own.
    Raises: LeaseHeld while another run has this flow, after the wait that `turn` allows; LeaseLost when one took it over, which
    happens to a run that stood still; whatever else stopped it, as an error of `halocline.errors`; before the commit nothing
    became visible.
    """
    started = time.monotonic()
    with held(ledger, flow.right, owner=_owner(run), turn=turn, sink=sink) as right:
        left = left_by(_settle_the_past(flow, ledger, sink), ledger)
        ledger.start(flow.name, run=run.id, pid=os.getpid(), host=socket.gethostname(), lease=right)
        try:
            sink(RunStarted(run.id, flow.name, flow.object, str(flow.target)))
            run.tables = [Run(run.id) for _ in flow.flows] if isinstance(flow, Together) else []
            _carry(flow, run, ledger, sink, executor, right=right, left=left)
            _conserve(run)
        except BaseException as failure:
            error = failure if run.counts else explained(failure, ledger=ledger, lease=right)
            _close_books(flow, run, ledger, started, error)
            if is_spoilt(error):
                settle(run.id, ledger)
            sink(RunFailed(run.id, str(error), run.durable_rows))
            if error is not failure:
                raise error from failure
            raise
        _close_books(flow, run, ledger, started, None)
        _let_go(flow, run.id, _receipts(flow, run), ledger, sink)
    counts = run.counts or Counts()
    sink(RunFinished(run.id, counts, run.rows_read, run.elapsed_s))
    return run


def _owner(run: Run) -> str:
    """Who a run is, for people who look at a lease."""
    return f"{socket.gethostname()}:{os.getpid()}:{run.id}"


def survey_and_plan(flow: Flow, *, sink: Sink = silent) -> tuple[Survey, Plan]:
    """Look and decide, without reading a row or changing anything.

    A table that has lost a column since its last load is read for anew: else all its old rows would have nulls there.
    Columns that a load of everything does not fill are among the plan's reasons, and `sink` is told of them.
    Raises: FixConfig for a column that is called as those which loads need for themselves; SchemaConflict for one that is to be
    masked, and whose values of before would stay.
    """
    position = None if flow.fresh else flow.destination.position(flow.name, flow.target)
    survey = _surveyed_anew(flow) if position is None else flow.source.survey(position)
    plan = flow.decide(survey, flow.destination.abilities)
    refuse_own_names(flow.target, plan.schema)
    if survey.masked_anew:
        refuse_exposed(flow.destination.columns(flow.target), survey, plan=plan)
    reason = lost_columns(flow, plan, fresh=survey.fresh) if position is not None else None
    if position is not None and reason is not None:
        survey = replace(survey_of_all(flow.source, position), full_reason=reason)
        plan = flow.decide(survey, flow.destination.abilities)
    note = _left_as_they_were(flow, plan)
    if note is not None:
        sink(Noticed(note))
        plan = replace(plan, reasons=(*plan.reasons, note))
    return survey, plan


def _surveyed_anew(flow: Flow) -> Survey:
    """The survey of everything: of a table whose rows are all gone by its columns of before, which a contract may hold."""
    before = None if flow.fresh else emptied(flow.destination, flow.name, target=flow.target)
    return flow.source.survey(None) if before is None else replace(survey_of_all(flow.source, before), emptied=True)


def _left_as_they_were(flow: Flow, plan: Plan) -> str | None:
    """What is to be told of the columns which a table keeps with their values although all of its rows are loaded."""
    there = flow.destination.columns(flow.target) if plan.whole else None
    known = table_schema(plan)
    kept = [column.name for column in there or () if known.column(column.name) is None]
    if not kept:
        return None
    told = f"{flow.target} has columns that this load does not fill, and that keep their values"
    return f"{told}: {', '.join(kept)}. Drop those that nobody is to see."


def lost_columns(flow: Flow, plan: Plan, *, fresh: Sequence[str]) -> str | None:
    """Why everything is to be read, where a plan that reads what changed has columns that the table lacks.

    The source planned so because it carried all of them before, but for those that are `fresh` (`Survey.fresh`).
    """
    missing = () if plan.full else lacking(flow.destination, flow.target, schema=plan.schema)
    lost = [name for name in missing if name not in fresh]
    return f"the table has lost {'columns' if len(lost) > 1 else 'the column'} {', '.join(lost)}" if lost else None


def _legs(flow: Flow | Together, run: Run) -> list[tuple[Flow, Run]]:
    """Each table's flow with what becomes of it."""
    return [(flow, run)] if isinstance(flow, Flow) else list(zip(flow.flows, run.tables, strict=True))


def _carry(
    flow: Flow | Together,
    run: Run,
    ledger: Ledger,
    sink: Sink,
    executor: Executor | None,
    *,
    right: Lease,
    left: Sequence[Unfinished],
) -> None:
    plans = []
    for one, leg in _legs(flow, run):
        leg.survey, plan = survey_and_plan(one, sink=sink)
        plans.append(plan)
    ledger.renew(right)  # one that stood still must not let go of a job that whoever took over reads by now
    _go_on(flow, run, plans, ledger, left=left)
    ledger.renew(right)  # one that stood still while it surveyed must not fence off whoever took over
    # Only now: a run that cannot even be planned must not fence off one that is at work.
    lease = flow.destination.claim(flow.name, _owner(run))
    try:
        _load(flow, run, lease, ledger, sink, executor)
    except NotSupported as refusal:
        _go_on(flow, run, _planned_without(flow, run, refusal), ledger, left=())
        _load(flow, run, lease, ledger, sink, executor)


def _planned_without(flow: Flow | Together, run: Run, refusal: NotSupported) -> list[Plan]:
    """The plans anew, without an ability that a source turned out to lack.

    Raises: `refusal` where no survey has it.
    """
    surveys = [leg.survey for _, leg in _legs(flow, run) if leg.survey is not None]
    if not any(getattr(survey.abilities, refusal.ability) for survey in surveys):
        raise refusal
    plans = []
    for (one, leg), survey in zip(_legs(flow, run), surveys, strict=True):
        leg.begin_again()
        leg.survey = _without(survey, refusal) if getattr(survey.abilities, refusal.ability) else survey
        plans.append(one.decide(leg.survey, flow.destination.abilities))
    return plans


def _go_on(flow: Flow | Together, run: Run, plans: Sequence[Plan], ledger: Ledger, *, left: Sequence[Unfinished]) -> None:
    """Set the plans, or those that go on with what earlier runs left at a source; either way nothing of theirs is open then."""
    journal = ledger.journal(run.id)
    for (one, leg), plan in zip(_legs(flow, run), plans, strict=True):
        mark = "" if one is flow else one.name
        found = [work for work in left if work.chunk.startswith(belonging(mark))]
        its = [replace(work, chunk=work.chunk.removeprefix(belonging(mark))) for work in found]
        leg.plan = one.source.take_up(plan, journal=SourceJournal(journal, mark), left=_without_published(one, its))
    ledger.note(run.id, plan=_noted(flow, run))  # before anything of theirs is settled: only with its plan can work be taken up
    for work in left:
        settle(work.run, ledger, chunks=[work.chunk])


def _noted(flow: Flow | Together, run: Run) -> dict[str, JSON]:
    """The plan as it is booked; of several tables that of each, with its counts once they are known."""
    if run.plan is not None:
        return run.plan.to_json()
    tables: list[JSON] = []
    for one, leg in _legs(flow, run):
        counts = None if leg.counts is None else leg.counts.to_json()
        told: dict[str, JSON] = {"flow": one.name, "target": str(one.target), "read": leg.rows_read, "counts": counts}
        tables.append({**told, "plan": None if leg.plan is None else leg.plan.to_json()})
    return {"tables": tables}


def _without_published(flow: Flow, left: Sequence[Unfinished]) -> list[Unfinished]:
    """What is left, without the plan of what is in the table already: a run died between its commit and its end.

    Any other run than a fresh one sees by the position before it that the table has moved on.
    """
    held = flow.destination.position(flow.name, flow.target) if flow.fresh and left else None
    return [replace(work, plan=None) if work.plan and work.plan.next_position == held else work for work in left]


def _without(survey: Survey, refusal: NotSupported) -> Survey:
    """The survey as it would have been, had the source known that it lacks the ability."""
    fewer = {refusal.ability: False, f"{refusal.ability}_reason": refusal.cause}
    return replace(survey, abilities=replace(survey.abilities, **fewer))  # type: ignore[arg-type]  # names of Abilities


def _load(flow: Flow | Together, run: Run, lease: Lease, ledger: Ledger, sink: Sink, executor: Executor | None) -> None:
    legs = _legs(flow, run)
    unit = flow.destination.begin(lease)
    try:
        journal = ledger.journal(run.id)
        loads = []
        for one, leg in legs:
            assert leg.plan is not None, "the caller has just set it"
            sink(Planned(run.id, leg.plan))
            loads.append(unit.open(one.target, leg.plan, journal))
        for (one, leg), load in zip(legs, loads, strict=True):
            _fill(one, leg, load, ledger, sink, executor, is_one=one is not flow)
        counts = unit.commit(
            {one.name: leg.plan.next_position for one, leg in legs if leg.plan is not None},
            [manifest for _, leg in legs for manifest in leg.manifests],
        )
        for one, leg in legs:
            own = counts if one is flow else unit.counts_of(one.target)
            leg.counts = replace(own, rejected=own.rejected + leg.rejected, filtered=own.filtered + leg.filtered)
            _tell_vanished(one, leg, sink)
        run.counts = Counts.total([leg.counts for _, leg in legs if leg.counts is not None])
    finally:
        unit.close()
    sink(Committed(run.id, run.counts))


def _tell_vanished(flow: Flow, leg: Run, sink: Sink) -> None:
    """Tell of rows that nobody deleted by name: a read of everything lacked them."""
    plan, gone = leg.plan, leg.counts.vanished if leg.counts else 0
    assert plan is not None, "the caller has carried it out"
    if not gone:
        return
    told = f"{quantity(gone, 'row was')} flagged as deleted and kept"
    if plan.history and (plan.conditional or plan.deletes is Deletes.HARD):
        told = f"{quantity(gone, 'current version')} ended"
    why = f"the source no longer has {'it' if gone == 1 else 'them'}"
    if plan.conditional:
        why = (
            "their records no longer meet the condition, or are gone"
            if gone > 1
            else "its record no longer meets the condition, or is gone"
        )
    sink(Noticed(f"{flow.target}: {told}; {why}."))


def _fill(flow: Flow, leg: Run, load: Load, ledger: Ledger, sink: Sink, executor: Executor | None, *, is_one: bool) -> None:
    """Stage a table's parts, and hold them against what its source and its plan say; `is_one` of several that go together.

    Raises: also Refused where more of what was read could not become rows than the plan allows.
    """
    plan = leg.plan
    assert plan is not None, "the caller has just set it"
    tally = _Tally(flow, leg, ledger, is_one=is_one)
    for manifest in _staged(flow.source, plan, load, executor, tally=tally):
        leg.manifests.append(manifest)
        sink(PartStaged(leg.id, manifest.part, manifest.rows + manifest.deletes, manifest.bytes))
    for outcome in load.outcomes():
        ledger.record(leg.id, outcome)
    flow.source.check(plan, leg.manifests)
    ending = ending_of(flow.source, plan)  # only now is it known what came to nothing, and has to be read again
    refuse_rejections(str(flow.target), plan, rejected=leg.rejected - ending.known, read=leg.rows_read - ending.known)
    leg.plan = replace(plan, next_position=ending.position)


class _Tally:
    """What a source could not make rows of, booked and counted as it comes. Threads may share it."""

    def __init__(self, flow: Flow, leg: Run, ledger: Ledger, *, is_one: bool) -> None:
        self._flow = flow
        self._called = f"{flow.target}: " if is_one else ""
        self._leg = leg
        self._ledger = ledger
        self._lock = threading.Lock()
        self._chunks = 0

    def count(self, part: Part, batch: Batch) -> None:
        """Book what a batch says of records that are not among its rows."""
        with self._lock:
            self._leg.filtered += batch.filtered
            self._leg.rejected += len(batch.rejections)
            self._chunks += bool(batch.rejections)
            chunk = f"{self._flow.name}: {part.id}, {self._chunks}"
        if batch.rejections:
            told = tuple(replace(one, message=f"{self._called}{one.message}") for one in batch.rejections)
            self._ledger.record(self._leg.id, Outcome(chunk, rejections=told))


def _staged(source: Source, plan: Plan, load: Load, executor: Executor | None, *, tally: _Tally) -> Iterator[Manifest]:
    left = threading.Event()

    def work(part: Part) -> Manifest:
        batches = source.read(part)
        try:
            return load.stage(part, _until(left, batches, part=part, tally=tally))
        finally:
            if isinstance(batches, Generator):  # left half-way it would keep its files open until it is collected
                batches.close()

    with engine.threads() if executor is None else nullcontext(executor) as chosen:
        try:
            yield from engine.each(chosen, source.parts(plan), work=work)
        finally:
            left.set()  # else an interrupt would wait for the last page of a long part


def _until(left: threading.Event, batches: Iterable[Batch], *, part: Part, tally: _Tally) -> Iterator[Batch]:
    """The batches, as long as anybody wants them; what they say of records without rows is counted."""
    for batch in batches:
        if left.is_set():
            raise Stop("Reading a part", "the run has ended without it")
        tally.count(part, batch)
        yield batch


def _conserve(run: Run) -> None:
    """Read = written + unchanged + rejected + filtered, or the books do not balance."""
    counts = run.counts or Counts()
    if run.rows_read != counts.accounted:
        raise Stop(
            f"Closing run {run.id}",
            f"{quantity(run.rows_read, 'row was')} read but {quantity(counts.accounted, 'row is')} accounted for ({counts})",
            hint="The commit was made; compare both sides before the next run, and report this as a defect of Halocline.",
        )


def _close_books(flow: Flow | Together, run: Run, ledger: Ledger, started: float, error: BaseException | None) -> None:
    run.elapsed_s, run.api_calls = time.monotonic() - started, sum(one.source.calls for one in flow.flows)
    for one, leg in _legs(flow, run) if run.tables else ():
        leg.elapsed_s, leg.api_calls = run.elapsed_s, one.source.calls
    methods = dict.fromkeys(leg.plan.method for _, leg in _legs(flow, run) if leg.plan is not None)
    if run.tables and methods:
        ledger.note(run.id, plan=_noted(flow, run))
    ledger.finish(
        run.id,
        state="done" if error is None else "failed",
        method=", ".join(methods) or None,
        rows_read=run.rows_read,
        counts=run.counts or Counts(),
        api_calls=run.api_calls,
        receipts=_receipts(flow, run) if error is None else [],
        error=None if error is None else str(error) or type(error).__name__,
    )


def _receipts(flow: Flow | Together, run: Run) -> list[JSON]:
    """What the sources get back; of several tables each with the name of its flow."""
    if not isinstance(flow, Together):
        return run.receipts
    return [{"flow": one.name, "receipt": receipt} for one, leg in _legs(flow, run) for receipt in leg.receipts]


def _settle_the_past(flow: Flow | Together, ledger: Ledger, sink: Sink) -> list[str]:
    """Ask what became of dead runs' open intents, and give back what finished runs could not; the runs with open intents."""
    ended = ledger.abandon_dead(flow.right)
    for dead in ended:
        for outcome in flow.destination.recover(ledger.journal(dead)):
            ledger.record(dead, outcome)
    done: dict[str, list[JSON]] = {run_id: [] for run_id in ended if ledger.get(run_id).state == "done"}
    for run_id, receipts in {**done, **dict(ledger.unacked(flow.right))}.items():
        _let_go(flow, run_id, receipts, ledger, sink)
    return ended


def _let_go(flow: Flow | Together, run_id: str, receipts: Sequence[JSON], ledger: Ledger, sink: Sink) -> None:
    """Acknowledge durable rows. A failure costs nothing but tidiness: the ledger keeps the receipts for the next run."""
    try:
        for one in flow.flows:
            its = [r for r in receipts if one is flow] or [
                r["receipt"] for r in receipts if isinstance(r, dict) and r.get("flow") == one.name and "receipt" in r
            ]
            if its:
                one.source.ack(its)
    except HaloclineError as error:
        sink(Noticed(f"The rows are safe, but the source could not be told yet; the next run will. {error}"))
    else:
        settle(run_id, ledger)
        ledger.acked(run_id)
