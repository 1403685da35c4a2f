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
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from halocline import engine
from halocline.batch import JSON, Batch
from halocline.connector import Abilities, Destination, Lease, Load, Manifest, Part, Plan, Source, Survey, Target, Unfinished
from halocline.errors import HaloclineError, LeaseLost, NotSupported, Stop
from halocline.events import Committed, Noticed, PartStaged, Planned, RunFailed, RunFinished, RunStarted, Sink, silent
from halocline.heartbeat import Turn, explained, held
from halocline.outcome import Counts
from halocline.place import within
from halocline.unfinished import SourceJournal, is_spoilt, left_by, settle

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


@dataclass(slots=True)
class Run:
    """One execution of a flow, as far as it has come; the loop sets a field when it has passed that point."""

    id: str
    survey: Survey | None = None
    plan: Plan | None = None
    manifests: list[Manifest] = field(default_factory=list)
    counts: Counts | None = None
    elapsed_s: float = 0.0
    api_calls: int = 0

    @classmethod
    def new(cls) -> Run:
        """A run that has not begun, under a name of its own."""
        return cls(uuid.uuid4().hex)

    @property
    def rows_read(self) -> int:
        """Rows and deletions staged so far."""
        return sum(m.rows + m.deletes for m in self.manifests)

    @property
    def durable_rows(self) -> int:
        """Rows inserted, updated or deleted for every reader of the destination to see: none before the commit."""
        return 0 if self.counts is None else self.counts.changed

    def add(self, later: Run) -> None:
        """Count the rows, calls and seconds of a run that followed at once as this one's too."""
        self.manifests.extend(later.manifests)
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


def execute(
    flow: Flow, run: Run, *, ledger: Ledger, sink: Sink = silent, executor: Executor | None = None, turn: Turn = _AT_ONCE
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
        if run.plan is not None:
            with suppress(LeaseLost):  # it stood still after its commit, and whoever runs now knows a later position
                ledger.save_position(flow.right, run.plan.next_position, lease=right)
        _close_books(flow, run, ledger, started, None)
        _let_go(flow.source, run.id, run.receipts, ledger, sink)
    counts = run.counts or Counts()
    sink(RunFinished(run.id, counts, run.rows_read, run.elapsed_s))
    return run


def _owner(run: Run) -> str:
    """Who a run is, for people who look at a lease."""
    return f"{socket.gethostname()}:{os.getpid()}:{run.id}"


def survey_and_plan(flow: Flow) -> tuple[Survey, Plan]:
    """Look and decide, without reading a row or changing anything."""
    position = None if flow.fresh else flow.destination.position(flow.name, flow.target)
    survey = flow.source.survey(position)
    return survey, flow.decide(survey, flow.destination.abilities)


def _carry(
    flow: Flow,
    run: Run,
    ledger: Ledger,
    sink: Sink,
    executor: Executor | None,
    *,
    right: Lease,
    left: Sequence[Unfinished],
) -> None:
    run.survey, plan = survey_and_plan(flow)
    ledger.renew(right)  # one that stood still must not let go of a job that whoever took over reads by now
    run.plan = _gone_on(flow, run, plan, ledger, left=left)
    ledger.renew(right)  # one that stood still while it surveyed must not fence off whoever took over
    # Only now: a run that cannot even be planned must not fence off one that is at work.
    lease = flow.destination.claim(flow.name, _owner(run))
    try:
        _load(flow, run, lease, ledger, sink, executor)
    except NotSupported as refusal:
        if not getattr(run.survey.abilities, refusal.ability):
            raise
        run.survey = _without(run.survey, refusal)
        plan, run.manifests = flow.decide(run.survey, flow.destination.abilities), []
        run.plan = _gone_on(flow, run, plan, ledger, left=())
        _load(flow, run, lease, ledger, sink, executor)


def _gone_on(flow: Flow, run: Run, plan: Plan, ledger: Ledger, *, left: Sequence[Unfinished]) -> Plan:
    """The plan, or one that goes on with what earlier runs left at the source; either way nothing of theirs is open then."""
    left = _without_published(flow, left)
    chosen = flow.source.take_up(plan, journal=SourceJournal(ledger.journal(run.id)), left=left)
    ledger.note(run.id, plan=chosen.to_json())  # before anything of theirs is settled: only with its plan can work be taken up
    for work in left:
        settle(work.run, ledger, chunks=[work.chunk])
    return chosen


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


def _load(flow: Flow, run: Run, lease: Lease, ledger: Ledger, sink: Sink, executor: Executor | None) -> None:
    plan = run.plan
    assert plan is not None, "the caller has just set it"
    sink(Planned(run.id, plan))
    unit = flow.destination.begin(lease)
    try:
        load = unit.open(flow.target, plan, ledger.journal(run.id))
        for manifest in _staged(flow.source, plan, load, executor):
            run.manifests.append(manifest)
            sink(PartStaged(run.id, manifest.part, manifest.rows + manifest.deletes, manifest.bytes))
        for outcome in load.outcomes():
            ledger.record(run.id, outcome)
        flow.source.check(plan, run.manifests)
        run.counts = unit.commit({flow.name: plan.next_position}, run.manifests)
    finally:
        unit.close()
    sink(Committed(run.id, run.counts))


def _staged(source: Source, plan: Plan, load: Load, executor: Executor | None) -> Iterator[Manifest]:
    left = threading.Event()

    def work(part: Part) -> Manifest:
        batches = source.read(part)
        try:
            return load.stage(part, _until(left, batches))
        finally:
            if isinstance(batches, Generator):  # left half-way it would keep its files open until it is collected
                batches.close()

    with engine.threads() if executor is None else nullcontext(executor) as chosen:
        try:
            yield from engine.each(chosen, source.parts(plan), work=work)
        finally:
            left.set()  # else an interrupt would wait for the last page of a long part


def _until(left: threading.Event, batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches, as long as anybody wants them."""
    for batch in batches:
        if left.is_set():
            raise Stop("Reading a part", "the run has ended without it")
        yield batch


def _conserve(run: Run) -> None:
    """Read = written + unchanged + rejected + filtered, or the books do not balance."""
    counts = run.counts or Counts()
    if run.rows_read != counts.accounted:
        raise Stop(
            f"Closing run {run.id}",
            f"{run.rows_read:,} rows were read but {counts.accounted:,} are accounted for ({counts})",
            hint="The commit was made; compare both sides before the next run, and report this as a defect of Halocline.",
        )


def _close_books(flow: Flow, run: Run, ledger: Ledger, started: float, error: BaseException | None) -> None:
    run.elapsed_s, run.api_calls = time.monotonic() - started, flow.source.calls
    ledger.finish(
        run.id,
        state="done" if error is None else "failed",
        method=run.plan.method if run.plan else None,
        rows_read=run.rows_read,
        counts=run.counts or Counts(),
        api_calls=run.api_calls,
        receipts=run.receipts if error is None else [],
        error=None if error is None else str(error) or type(error).__name__,
    )


def _settle_the_past(flow: Flow, ledger: Ledger, sink: Sink) -> list[str]:
    """Ask what became of dead runs' open intents, and give back what finished runs could not; the runs with open intents."""
    ended = ledger.abandon_dead(flow.right)
    for dead in ended:
        for outcome in flow.destination.recover(ledger.journal(dead)):
            ledger.record(dead, outcome)
    done: dict[str, list[JSON]] = {run_id: [] for run_id in ended if ledger.get(run_id).state == "done"}
    for run_id, receipts in {**done, **dict(ledger.unacked(flow.right))}.items():
        _let_go(flow.source, run_id, receipts, ledger, sink)
    return ended


def _let_go(source: Source, run_id: str, receipts: Sequence[JSON], ledger: Ledger, sink: Sink) -> None:
    """Acknowledge durable rows. A failure costs nothing but tidiness: the ledger keeps the receipts for the next run."""
    try:
        if receipts:
            source.ack(receipts)
    except HaloclineError as error:
        sink(Noticed(f"The rows are safe, but the source could not be told yet; the next run will. {error}"))
    else:
        settle(run_id, ledger)
        ledger.acked(run_id)
