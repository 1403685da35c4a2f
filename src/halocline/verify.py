"""Verify: both sides of a sync read and compared, and set right on request.

    survey    where the last sync ended: what came later is not due yet
    source    one complete read - keys and stamps, or all columns - into buckets
    table     likewise
    compare   bucket by bucket; a sample is read again by key, with all columns
    repair    a run of its own, through the one loop, of what differs

A sync that commits in between makes the comparison worthless, so it is refused then, to be made again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from halocline import engine
from halocline.batch import JSON, Batch, Op, Position
from halocline.config import Settings
from halocline.connector import Abilities, Deletes, Manifest, Mode, Part, Plan, Survey
from halocline.errors import FixConfig, HaloclineError, NotSupported, Refused, RetryLater
from halocline.events import Sink, silent
from halocline.guards import refuse_mass_delete
from halocline.ledger import Ledger
from halocline.outcome import Counts
from halocline.quantity import quantity
from halocline.run import Flow, Run, execute, lost_columns
from halocline.schema import Schema
from halocline.spool import Spool, discard
from halocline.sync import IntelligentSync, Opened, SobjectSync
from halocline.verifying.buckets import Buckets, how_many
from halocline.verifying.compare import Compared, Kinds, Rules, compare
from halocline.verifying.findings import Findings
from halocline.verifying.repair import AGAIN, RepairSource, removal_plan, repair_plan
from halocline.verifying.sample import Sample
from halocline.verifying.verification import Level, Repair, Verification
from halocline.versions import VALID_FROM, VALID_TO

__all__ = ["Level", "Verification", "verify", "verify_with"]

CLOCKS_S = 60.0  # seconds by which a stamp may lie after the server's clock as we know it
_DOING = "Verifying"
_LOSES_ALL = (
    "Look whether the login may still see these records; if it is truly empty, allow it (--allow-empty, allow_empty=True)."
)


def verify(
    session: object,
    access_info: object,
    job: SobjectSync,
    *,
    sample: int = 0,
    full: bool = False,
    repair: bool = False,
    ledger: Ledger | None = None,
    settings: Settings | None = None,
    sink: Sink = silent,
) -> Verification:
    """Compare an object with its table; `session`, `access_info` and `job` are those of the sync that fills it.

    Without more, keys, stamps and flags of all rows; `sample` rows besides, chosen by chance, value by value; with `full` all
    values of all rows. `repair` reads rows that differ again and merges them, and deletes those that only the table has.
    Raises: NotFound where there is no table; RetryLater when a sync committed meanwhile; Refused for a repair that would empty
    or gut the table, or that a sync does anyway; other errors of `halocline.errors`.
    """
    with IntelligentSync(session, access_info, ledger=ledger, settings=settings, sink=sink) as system:
        return verify_with(system, job, sample=sample, full=full, repair=repair, sink=sink)


def verify_with(
    system: IntelligentSync, job: SobjectSync, *, sample: int = 0, full: bool = False, repair: bool = False, sink: Sink = silent
) -> Verification:
    """As `verify`, with a system that knows both sides."""
    _refuse_odd(sample, full=full)
    started, run = time.monotonic(), Run.new()
    level = Level.FULL if full else Level.SAMPLE if sample else Level.KEYS
    with system.opened(replace(job, force_full_sync=False), run, sink=sink, read_only=not repair) as both:
        sides = _survey(both.flow)
        found = _Found(Findings(both.spool, key=_key_type(sides.plan)))
        try:
            sides = _compare(sides, both.spool, level=level, sample=Sample(sample), found=found)
            found.findings.close()
            told = _told(sides, found, level=level, elapsed_s=time.monotonic() - started)
            if repair and not told.equal:
                told = replace(told, repair=_repair(both, sides, found, run, job, sink))
        finally:
            found.findings.close()
        return replace(told, api_calls=both.flow.source.calls)


@dataclass(frozen=True, slots=True)
class _Sides:
    """What is compared: `plan` reads all rows of the source with all columns; `now` is what the source said at first."""

    flow: Flow
    position: Position | None
    now: Survey
    plan: Plan
    surveyed: float

    @property
    def since(self) -> pa.Scalar | None:
        """The instant from which on changes are the next sync's."""
        return _instant(datetime.fromisoformat(self.now.carried_until)) if self.now.carried_until else None

    @property
    def latest(self) -> pa.Scalar:
        """The latest instant that a stamp written until now can have."""
        passed = timedelta(seconds=time.monotonic() - self.surveyed + CLOCKS_S)
        return _instant(datetime.fromisoformat(self.now.server_time) + passed)


@dataclass(slots=True)
class _Found:
    """What was read and found so far; `gone` are deletions that the source told of."""

    findings: Findings
    gone: list[pa.RecordBatch] = field(default_factory=list)
    source_rows: int = 0
    table_rows: int = 0
    compared: int = 0
    looked_at: int = 0
    not_due: int = 0
    kept: int = 0
    columns: Counter[str] = field(default_factory=Counter)

    def add(self, some: Compared) -> None:
        """Book what came of a bucket."""
        for kind, keys in some.keys.items():
            self.findings.add(kind, keys)
        self.compared += len(some.alike) + len(some.keys[Kinds.STALE])
        self.not_due += some.not_due
        self.kept += some.kept
        self.columns.update(some.columns)


def _refuse_odd(sample: int, *, full: bool) -> None:
    if sample < 0:
        raise FixConfig("Reading the options", f"a sample of {quantity(sample, 'row')} is none", hint="Give a number from 1 up.")
    if sample and full:
        raise FixConfig("Reading the options", "a sample and a full comparison are asked for", hint="Choose one of them.")


def _survey(flow: Flow) -> _Sides:
    """Look at both sides: the position first, then the source, which is told of it last, for it remembers."""
    position = flow.destination.position(flow.name, flow.target)
    whole, surveyed = flow.source.survey(None), time.monotonic()
    now = whole if position is None else flow.source.survey(position)
    lost = None if position is None else lost_columns(flow, flow.decide(now, flow.destination.abilities), fresh=now.fresh)
    now = now if lost is None else replace(now, full_reason=lost)
    every = replace(now, estimated_rows=whole.estimated_rows, full_reason=None, refresh=None, window=(None, now.window[1]))
    plan = flow.decide(every, flow.destination.abilities)
    # Merged, so that deletions since the position are told as well; never staged, for the rows are wanted as Arrow.
    method = plan.method.replace("bulk_api_stage", "bulk_api")
    plan = replace(plan, method=method, mode=Mode.MERGE, complete=False, expected_rows=whole.estimated_rows)
    return _Sides(flow, position, replace(now, server_time=whole.server_time), plan, surveyed)


def _compare(sides: _Sides, spool: Spool, *, level: Level, sample: Sample, found: _Found) -> _Sides:
    """Read both sides and compare them; the sides, with the way that the source took in the end."""
    plan = sides.plan if level is Level.FULL else replace(sides.plan, schema=_narrow(sides.plan))
    schema, count = plan.schema.arrow, how_many(plan.expected_rows, len(plan.schema))
    source, table = (Buckets(spool, side, schema=schema, key=plan.key[0], count=count) for side in ("source", "table"))
    try:
        plan = _read_source(sides.flow, plan, into=source, gone=found.gone)
        source.close()  # its files, before those of the table are opened
        _read_table(sides.flow, plan, into=table)
    finally:
        source.close()
        table.close()
    if sides.flow.destination.position(sides.flow.name, sides.flow.target) != sides.position:
        cause = "a sync filled the table meanwhile, so the two sides are of different times"
        raise RetryLater(f"{_DOING} {sides.flow.target}", cause, hint="Run it again when no sync is under way.")
    rules = Rules(plan, sides.since, sides.latest, _gone(plan, found.gone, since=sides.since))
    for number in range(count):
        some = compare(source.read(number), table.read(number), rules=rules)
        found.add(some)
        sample.offer(some.alike)
        source.forget(number)
        table.forget(number)
    found.source_rows, found.table_rows = source.rows, table.rows
    found.looked_at = found.compared - found.findings.counts[Kinds.STALE] if level is Level.FULL else 0
    sides = replace(sides, plan=replace(sides.plan, method=plan.method, once=plan.once))
    if level is Level.SAMPLE:
        _look_at_sample(sides, sample.keys, rules, found=found)
    return sides


def _read_source(flow: Flow, plan: Plan, *, into: Buckets, gone: list[pa.RecordBatch]) -> Plan:
    """Read all rows; the plan by which they came, which is another one where Bulk refused."""
    manifests: list[Manifest] = []
    try:
        try:
            manifests.extend(_parts_read(flow, plan, into, gone))
        except NotSupported as refusal:
            if refusal.ability != "bulk" or plan.api == "rest" or into.rows:
                raise
            plan = replace(plan, method="regular_api_full", once=False)
            gone.clear()
            manifests[:] = _parts_read(flow, plan, into, gone)
        flow.source.check(plan, manifests)
    finally:  # the rows serve nobody else, whatever became of the comparison
        receipts = list({str(receipt): receipt for manifest in manifests for receipt in manifest.receipts}.values())
        if receipts:
            with suppress(HaloclineError):  # a job that cannot be deleted now is dropped by Salesforce in seven days
                flow.source.ack(receipts)
    return plan


def _parts_read(flow: Flow, plan: Plan, into: Buckets, gone: list[pa.RecordBatch]) -> Iterator[Manifest]:
    def work(part: Part) -> Manifest:
        counts: Counter[Op] = Counter()
        receipts: list[JSON] = []
        for batch in flow.source.read(part):
            receipts.extend(batch.receipts)
            counts[batch.op] += batch.count
            for some in _drawn(batch):
                if batch.op is Op.DELETE:
                    gone.append(some)
                else:
                    into.add(some)
        return Manifest(part.id, rows=counts[Op.UPSERT], deletes=counts[Op.DELETE], receipts=tuple(receipts))

    with engine.threads() as executor:
        yield from engine.each(executor, flow.source.parts(plan), work=work)


def _drawn(batch: Batch) -> Iterator[pa.RecordBatch]:
    """The rows of a batch; a file as received is of no more use then."""
    try:
        yield from batch.arrow()
    finally:
        if batch.raw is not None:
            discard(batch.raw.path)


def _read_table(flow: Flow, plan: Plan, *, into: Buckets) -> None:
    for rows in flow.destination.rows(flow.target, plan):
        into.add(rows)


def _look_at_sample(sides: _Sides, keys: list[object], rules: Rules, *, found: _Found) -> None:
    """Compare the values of some rows. What came or went since the keys were read is not looked at."""
    plan, flow = sides.plan, sides.flow
    wanted = pa.array(keys, _key_type(plan))
    here = [rows for batch in flow.source.again(plan, keys) for rows in batch.arrow()]
    there = [_chosen(rows, plan, wanted) for rows in flow.destination.rows(flow.target, plan, keys=keys)]
    source, table = (pa.Table.from_batches(some, plan.schema.arrow) for some in (here, there))
    some = compare(source, table, rules=replace(rules, plan=replace(plan, once=False), until=sides.latest))
    found.looked_at = len(some.alike)
    found.columns.update(some.columns)
    found.findings.add(Kinds.DIFFERENT, some.keys.get(Kinds.DIFFERENT, wanted.slice(0, 0)))


def _chosen(rows: pa.RecordBatch, plan: Plan, wanted: pa.Array) -> pa.RecordBatch:
    return rows.filter(pc.is_in(rows.column(plan.key[0]), value_set=wanted))


def _narrow(plan: Plan) -> Schema:
    """Keys - the chosen one, and the source's own, by which it reads on -, stamp and flag."""
    instants = [column.name for column in plan.schema if column.name.lower() in (VALID_FROM, VALID_TO)]  # they make no history
    names = (*plan.key, *plan.own_key, *plan.cursor_columns, *plan.flag_columns, *instants)
    return plan.schema.select(list(dict.fromkeys(names)))


def _gone(plan: Plan, told: list[pa.RecordBatch], *, since: pa.Scalar | None) -> pa.Array:
    """The keys of records that the source says were deleted since then."""
    found = [pa.array([], _key_type(plan))]
    for rows in told:
        stamps = [name for name in plan.cursor_columns if name in rows.schema.names and since is not None]
        late = rows.filter(pc.greater_equal(rows.column(stamps[0]), since)) if stamps else rows
        found.append(late.column(plan.key[0]))
    return pa.concat_arrays(found)


def _told(sides: _Sides, found: _Found, *, level: Level, elapsed_s: float) -> Verification:
    counts = found.findings.counts
    return Verification(
        object=sides.plan.object,
        target=str(sides.flow.target),
        level=level,
        source_rows=found.source_rows,
        table_rows=found.table_rows,
        compared=found.compared,
        looked_at=found.looked_at,
        missing=counts[Kinds.MISSING],
        extra=counts[Kinds.EXTRA],
        stale=counts[Kinds.STALE],
        different=counts[Kinds.DIFFERENT],
        doubled=counts[Kinds.DOUBLED],
        not_due=found.not_due,
        kept=found.kept,
        examples={str(kind): tuple(keys) for kind, keys in found.findings.shown.items() if keys},
        columns=dict(found.columns.most_common()),
        notes=tuple(_notes(sides, found)),
        carried_until=sides.now.carried_until,
        elapsed_s=elapsed_s,
        due_in_full=sides.position is None or bool(sides.now.full_reason),
    )


def _notes(sides: _Sides, found: _Found) -> Iterator[str]:
    if sides.position is None:
        yield "No sync of this flow has filled the table, or it was emptied since: every row is due."
    else:
        left_out = "1 was" if found.not_due == 1 else f"{found.not_due:,} were"
        yield f"Rows that changed from {sides.now.carried_until} on are the next sync's: {left_out} left out."
    if sides.now.full_reason:
        yield f"The next sync reads everything: {sides.now.full_reason}."
    if found.kept:
        why = "flagged, and kept" if sides.plan.deletes is Deletes.SOFT else "kept, because deletes are ignored"
        yield f"Only the table has {quantity(found.kept, 'row')}: {why}."
    formulas = [column.name for column in sides.plan.schema if column.calculated and column.name in found.columns]
    if formulas:
        yield f"Calculated, and so changed without a stamp: {', '.join(formulas)}; `--formula-refresh` keeps them up to date."
    if found.findings.counts[Kinds.DOUBLED]:
        yield "Rows that share a key, or have none, no merge can tell apart; a full sync (--full) replaces the table."


def _repair(both: Opened, sides: _Sides, found: _Found, run: Run, job: SobjectSync, sink: Sink) -> Repair | None:
    """Set right what can be, as a run of the sync's own flow."""
    flow, findings = sides.flow, found.findings
    wanted = findings.total(*AGAIN, Kinds.EXTRA)
    if not wanted:
        return None
    if not found.source_rows and findings.counts[Kinds.EXTRA] and not job.allow_empty:
        cause = f"the source has no rows, and the table has {found.table_rows:,}"
        raise Refused(f"Repairing {flow.target}", cause, hint=_LOSES_ALL, rows=found.table_rows)
    if sides.plan.conditional:  # rows may go by two runs, each of which sees its own alone
        refuse_mass_delete(str(flow.target), sides.plan, deletions=findings.counts[Kinds.EXTRA], there=found.table_rows)
    source = RepairSource(flow.source, findings, read_all=sides.plan, rows=found.source_rows)

    def decide(survey: Survey, abilities: Abilities) -> Plan:
        return repair_plan(flow.decide(survey, abilities), source, findings=findings, bulk=survey.abilities.bulk)

    execute(replace(flow, source=source, decide=decide), run, ledger=both.ledger, sink=sink, turn=both.turn)
    if source.outside:
        run.add(_remove(both, sides, source.outside, sink))
    return Repair(run.id, run.counts or Counts(), left=max(wanted - run.rows_read, 0))


def _remove(both: Opened, sides: _Sides, keys: list[JSON], sink: Sink) -> Run:
    """Remove rows whose records live, and no longer meet the condition, by a run that flags nothing as deleted."""
    flow, later = both.flow, Run.new()
    findings = Findings(both.spool, key=_key_type(sides.plan))
    findings.add(Kinds.EXTRA, pa.array(keys, _key_type(sides.plan)))
    findings.close()
    source = RepairSource(flow.source, findings, read_all=sides.plan, rows=0)

    def decide(survey: Survey, abilities: Abilities) -> Plan:
        plan = repair_plan(flow.decide(survey, abilities), source, findings=findings, bulk=False)
        return removal_plan(plan, rows=len(keys))

    return execute(replace(flow, source=source, decide=decide), later, ledger=both.ledger, sink=sink, turn=both.turn)


def _key_type(plan: Plan) -> pa.DataType:
    return plan.schema.select(plan.key).arrow.types[0]


def _instant(moment: datetime) -> pa.Scalar:
    return pa.scalar(moment, pa.timestamp("us", "UTC"))
