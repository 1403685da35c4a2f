"""RepairSource: what a verification found, as a source of its own, so that a repair is a run like every other.

    again   rows that are missing, stale or different: as they are now, by key; of very many, picked out of a whole read by Bulk
    gone    deletions of rows that only the table has, each looked up once more: what has come in meanwhile is not deleted

A record that the source still has, and that only left its condition, is not to be flagged: a second run removes its row.

The position stays as it is: what is not due yet is the next sync's.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halocline.batch import JSON, Batch, Op, Position
from halocline.connector import Deletes, Journal, Manifest, Mode, Part, Plan, Source, Survey, Unfinished, again_of_all
from halocline.errors import Refused, Stop
from halocline.quantity import quantity
from halocline.verifying.compare import Kinds
from halocline.verifying.findings import Findings

AGAIN = (Kinds.MISSING, Kinds.STALE, Kinds.DIFFERENT)
KEYS_AT_ONCE = 2_000  # in one part
BULK_FROM, BULK_SHARE = 10_000, 0.02  # keys, and share of all rows, from which a whole read costs less than asking by key
_DOING = "Repairing"


class RepairSource:
    """What `findings` say, read again from `inner`, of whose rows `rows` are there. Implements `connector.Source`.

    `read_all` is the plan of a complete read, as the comparison made it, with all columns. Where deletes are soft, rows whose
    records live outside the source's condition are left alone, and are `outside` once it was read.
    """

    def __init__(self, inner: Source, findings: Findings, *, read_all: Plan, rows: int) -> None:
        self._inner = inner
        self._findings = findings
        self._read_all = read_all
        self._wanted = findings.total(*AGAIN)
        self.by_bulk = read_all.api != "rest" and self._wanted >= max(BULK_FROM, BULK_SHARE * rows)
        self._plan: Plan | None = None
        self._keys = pa.array([])
        self._came: dict[str, Manifest] = {}
        self._outside: dict[str, list[JSON]] = {}

    @property
    def calls(self) -> int:
        """Calls made to the other side so far."""
        return self._inner.calls

    @property
    def outside(self) -> list[JSON]:
        """The keys of rows whose records live, and no longer meet the condition."""
        return [key for keys in self._outside.values() for key in keys]

    def survey(self, since: Position | None) -> Survey:
        """The inner source's survey; the position after it is the one before it.

        Raises: Refused where the next sync reads everything anyway, or there was none yet.
        """
        found = self._inner.survey(since)
        reason = "no sync has filled the table, or it has lost columns since" if since is None else found.full_reason
        if since is None or reason:
            hint = "Run `halocline sync` with the same options; it reads everything, and so repairs everything."
            raise Refused(f"{_DOING} the rows of {found.object}", f"the next sync would read everything ({reason})", hint=hint)
        expected = self._wanted + self._findings.total(Kinds.EXTRA)
        return replace(found, next_position=since, estimated_rows=expected, refresh=None)

    def take_up(self, plan: Plan, *, journal: Journal, left: Sequence[Unfinished]) -> Plan:
        """The plan; work that a sync left answers another question, and is let go of."""
        self._inner.take_up(plan, journal=journal, left=[replace(work, plan=None) for work in left])
        return plan

    def parts(self, plan: Plan) -> Iterator[Part]:
        """Deletions first, so that a key can come back under another record; then the rows."""
        self._plan, self._came, self._outside = plan, {}, {}
        for number, keys in enumerate(self._findings.keys(Kinds.EXTRA, at_once=KEYS_AT_ONCE), start=1):
            yield Part(f"gone-{number:05}", {"gone": keys.to_pylist()})
        if self.by_bulk:
            self._keys = pa.concat_arrays(list(self._findings.keys(*AGAIN, at_once=KEYS_AT_ONCE)))
            yield from self._inner.parts(self._read_all)
            return
        for number, keys in enumerate(self._findings.keys(*AGAIN, at_once=KEYS_AT_ONCE), start=1):
            yield Part(f"again-{number:05}", {"again": keys.to_pylist()})

    def read(self, part: Part, resume: Position | None = None) -> Iterator[Batch]:
        """The rows of one part. `resume` is not used."""
        spec: dict[str, Any] = dict(part.spec)
        if "gone" in spec:
            yield self._deletions(part.id, spec["gone"])
        elif "again" in spec:
            yield from self._inner.again(self._surely(), spec["again"])
        else:
            yield from self._picked(part, resume)

    def again(self, plan: Plan, keys: Sequence[JSON]) -> Iterator[Batch]:
        """See `Source.again`."""
        return self._inner.again(plan, keys)

    def check(self, plan: Plan, manifests: Sequence[Manifest]) -> None:  # noqa: ARG002  # what was staged is a choice of what came
        """Hold what came of a whole read against what the other side says it sent.

        Raises: Truncated when they differ.
        """
        if self.by_bulk:
            self._inner.check(self._read_all, list(self._came.values()))

    def ack(self, receipts: Sequence[JSON]) -> None:
        """See `Source.ack`."""
        self._inner.ack(receipts)

    def _surely(self) -> Plan:
        if self._plan is None:
            raise Stop(_DOING, "a part is read before the parts are listed")
        return self._plan

    def _deletions(self, part: str, keys: Sequence[JSON]) -> Batch:
        """Deletions of those keys that the source, asked once more, does not have."""
        plan = self._surely()
        names = [*plan.key, *plan.own_key, *plan.cursor_columns, *plan.flag_columns]
        looked = replace(plan, schema=plan.schema.select(names))
        there = [rows for batch in self._inner.again(looked, keys) for rows in batch.arrow()]
        live = [key for rows in there for key in rows.filter(pc.invert(_dead(rows, plan))).column(plan.key[0]).to_pylist()]
        field = plan.schema.select(plan.key).arrow
        gone = pa.array(keys, field.types[0])
        gone = gone.filter(pc.invert(pc.is_in(gone, value_set=pa.array(live, gone.type))))
        if plan.conditional and plan.deletes is Deletes.SOFT and len(gone):
            outside = self._without_condition(looked, gone)
            self._outside[part] = outside.to_pylist()
            gone = gone.filter(pc.invert(pc.is_in(gone, value_set=outside)))
        return Batch(rows=pa.RecordBatch.from_arrays([gone], schema=field), op=Op.DELETE)

    def _without_condition(self, plan: Plan, keys: pa.Array) -> pa.Array:
        """Which of the keys are of records that live; all, where nobody can ask for them without the condition."""
        found = again_of_all(self._inner, plan, keys=keys.to_pylist())
        if found is None:
            return keys
        there = [rows for batch in found for rows in batch.arrow()]
        live = [rows.filter(pc.invert(_flagged(rows, plan))).column(plan.key[0]).cast(keys.type) for rows in there]
        return pa.concat_arrays([keys.slice(0, 0), *live])

    def _picked(self, part: Part, resume: Position | None) -> Iterator[Batch]:
        """Of a part of a whole read the rows that are wanted; deletions are the next sync's."""
        plan, batches = self._surely(), self._inner.read(part, resume)
        rows = deletes = 0
        try:
            for batch in batches:
                if batch.op is Op.DELETE:
                    deletes += batch.count
                    continue
                for some in batch.arrow():
                    rows += some.num_rows
                    mask = pc.is_in(some.column(plan.key[0]), value_set=self._keys)
                    yield replace(batch, rows=some.filter(mask), raw=None)
        finally:
            if isinstance(batches, Generator):
                batches.close()
        self._came[part.id] = Manifest(part.id, rows=rows, deletes=deletes)


def repair_plan(plan: Plan, source: RepairSource, *, findings: Findings, bulk: bool) -> Plan:
    """The plan of a repair: `plan` as it was decided for the rows that differ, merged by key.

    Where it was decided again because Bulk refuses, the rows are read by key.
    """
    source.by_bulk = source.by_bulk and bulk
    told = ", ".join(f"{findings.counts[kind]:,} {kind}" for kind in (*AGAIN, Kinds.EXTRA))
    way = "picked out of a complete read by Bulk" if source.by_bulk else "read again by key"
    return replace(
        plan,
        method="bulk_api_incremental" if source.by_bulk else "regular_api_incremental",
        mode=Mode.MERGE,
        once=source.by_bulk and plan.once,
        reasons=(f"Repair of what a verification found ({told}): {way}; the position stays.",),
    )


def removal_plan(plan: Plan, *, rows: int) -> Plan:
    """The plan of what follows a repair: rows of records that live, and no longer meet the condition, go unflagged."""
    what = "the versions of these records end" if plan.history else "the rows of these records go"
    told = f"{quantity(rows, 'record')} of what a verification found only left the condition: {what}; the position stays."
    return replace(plan, deletes=Deletes.HARD, reasons=(told,))


def _dead(rows: pa.RecordBatch, plan: Plan) -> pa.Array:
    """Which rows are flagged as deleted, and so do not save a row of the table where deletions are to go."""
    return _flagged(rows, plan) if plan.deletes is Deletes.HARD else _none(rows)


def _flagged(rows: pa.RecordBatch, plan: Plan) -> pa.Array:
    for name in plan.flag_columns:
        return pc.fill_null(rows.column(name), fill_value=False)
    return _none(rows)


def _none(rows: pa.RecordBatch) -> pa.Array:
    return pa.repeat(pa.scalar(value=False), rows.num_rows)
