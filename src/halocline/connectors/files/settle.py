"""Settle: of several staged rows of one key, which one counts; and what the chosen key must not do to records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connector import Deletes, Plan
from halocline.connectors.files.buckets import GONE
from halocline.connectors.files.keys import KEY, key_of
from halocline.identity import repeated, shared_key
from halocline.schema import Kind

_RANK = "_halocline_rank"


@dataclass(frozen=True, slots=True)
class Settled:
    """Rows with one key each, sorted by key; how many `staged` rows they were, and the greatest cursor value of those read."""

    rows: pa.Table
    staged: int
    highest: str | None


def for_merge(bucket: pa.Table, plan: Plan) -> Settled:
    """One staged row or deletion of each key: the newest; at equal stamps a row wins over a deletion.

    A row that is flagged as deleted says all that its deletion says, and more, whichever of their stamps is newer.
    Raises: SchemaConflict, Truncated.
    """
    rows = bucket
    if _has_repeats(rows):
        _refuse(rows, plan)
        told = rows.filter(pc.and_(flagged(rows, plan), pc.invert(rows.column(GONE)))).column(KEY)
        rows = rows.filter(pc.invert(pc.and_(rows.column(GONE), pc.is_in(rows.column(KEY), value_set=told.combine_chunks()))))
        rows = _newest(rows, plan)
    return Settled(rows, bucket.num_rows, _highest(bucket, plan))


def for_replace(bucket: pa.Table, plan: Plan) -> Settled:
    """The rows to publish: the newest of each key, with deletions applied that are newer than the row that was read.

    Raises: SchemaConflict, Truncated.
    """
    gone = bucket.column(GONE)
    rows = bucket.filter(pc.invert(gone)) if pc.any(gone).as_py() else bucket
    if _has_repeats(rows):
        _refuse(rows, plan)
        rows = _newest(rows, plan)
    if plan.flag_columns and plan.deletes is not Deletes.SOFT:
        rows = rows.filter(pc.invert(flagged(rows, plan)))
    if rows.num_rows and plan.deletes is not Deletes.IGNORE:
        for stamp in plan.cursor_columns:  # without a stamp, the row that was read wins
            rows = _delete_older(rows, bucket.filter(gone), plan=plan, stamp=stamp)
    return Settled(rows, bucket.num_rows, _highest(bucket, plan))


def flagged(rows: pa.Table, plan: Plan) -> pa.ChunkedArray:
    """Which rows are marked as deleted at the source."""
    for name in plan.flag_columns:
        return pc.fill_null(rows.column(name), fill_value=False)
    return pa.chunked_array([pa.repeat(pa.scalar(value=False), rows.num_rows)])


def with_columns(rows: pa.Table, changed: dict[str, pa.ChunkedArray]) -> pa.Table:
    """The table with some columns' values replaced."""
    for name, values in changed.items():
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)
    return rows


def _has_repeats(rows: pa.Table) -> bool:
    keys = rows.column(KEY)
    return bool(rows.num_rows > 1 and pc.any(pc.equal(keys[:-1], keys[1:])).as_py())


def _newest(rows: pa.Table, plan: Plan) -> pa.Table:
    """The first row of each key, when the newest stamp comes first, then rows before deletions, then those without a flag."""
    ranks = pc.cast(rows.column(GONE), pa.int8())
    for name in plan.flag_columns:
        flags = pc.fill_null(pc.add(pc.cast(rows.column(name), pa.int8()), 1), fill_value=0)
        ranks = pc.add(pc.multiply(ranks, 4), pc.cast(flags, pa.int8()))
    order = [(KEY, "ascending"), *((name, "descending") for name in plan.cursor_columns), (_RANK, "ascending")]
    ranked = rows.append_column(_RANK, ranks)
    rows = rows.take(pc.sort_indices(ranked, sort_keys=order))
    keys = rows.column(KEY)
    begins = pc.not_equal(keys[1:], keys[:-1])
    return rows.filter(pa.chunked_array([pa.array([True]), *begins.chunks]))


def _delete_older(rows: pa.Table, gone: pa.Table, *, plan: Plan, stamp: str) -> pa.Table:
    if not gone.num_rows:
        return rows
    latest = gone.group_by(KEY).aggregate([(stamp, "max")])
    place = pc.index_in(rows.column(KEY), value_set=latest.column(KEY).combine_chunks())
    stamps = latest.column(f"{stamp}_max").take(place)
    hit = pc.fill_null(pc.greater(stamps, rows.column(stamp)), fill_value=False)
    if plan.deletes is Deletes.HARD:
        return rows.filter(pc.invert(hit))
    hit = pc.and_(hit, pc.invert(flagged(rows, plan)))
    for flag in plan.flag_columns:
        marks = pc.if_else(hit, pa.scalar(value=True), rows.column(flag))
        rows = with_columns(rows, {flag: marks, stamp: pc.if_else(hit, stamps, rows.column(stamp))})
    return rows


def _refuse(rows: pa.Table, plan: Plan) -> None:
    """Hold staged rows of one key against what the source promised, and against the records that they are."""
    live = rows.filter(pc.invert(rows.column(GONE)))
    if plan.once and plan.schema.key:
        own = key_of(live, _spelled(plan, plan.schema.key))
        if more := len(own) - pc.count_distinct(own, mode="all").as_py():
            raise repeated(plan, more)
    if plan.own_key:
        _refuse_shared_keys(live.filter(pc.invert(flagged(live, plan))), plan)


def _refuse_shared_keys(alive: pa.Table, plan: Plan) -> None:
    """Several live records of one key would become one row."""
    pairs = pa.table({"key": alive.column(KEY), "own": key_of(alive, _spelled(plan, plan.own_key))})
    shared = pairs.group_by("key").aggregate([("own", "count_distinct")])
    shared = shared.filter(pc.greater(shared.column("own_count_distinct"), 1))
    for worst in shared.sort_by([("own_count_distinct", "descending"), ("key", "ascending")]).slice(0, 1).to_pylist():
        row = alive.filter(pc.equal(alive.column(KEY), worst["key"])).select(_spelled(plan, plan.key)).slice(0, 1).to_pylist()[0]
        raise shared_key(plan, row.values(), records=worst["own_count_distinct"])


def _spelled(plan: Plan, names: Sequence[str]) -> list[str]:
    """Names as the plan's schema spells them."""
    return list(plan.schema.select(names).names)


def _highest(bucket: pa.Table, plan: Plan) -> str | None:
    for name in plan.cursor_columns:
        column = plan.schema.column(name)
        values = bucket.column(name).filter(pc.invert(bucket.column(GONE)))
        greatest = pc.max(values).as_py()
        if greatest is None:
            return None
        if column is not None and column.kind is Kind.DATETIME:
            return str(greatest.isoformat(timespec="microseconds")).replace("+00:00", "Z")
        return str(greatest)
    return None
