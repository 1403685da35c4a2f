"""Judge: staged rows meet the table's by key; of the rules the first that holds tells the verdict (`halocline.verdicts`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connector import Deletes, Plan
from halocline.connectors.files.buckets import GONE
from halocline.connectors.files.keys import KEY, key_of
from halocline.connectors.files.settle import flagged, with_columns
from halocline.connectors.files.table import FULL_SYNC, Table
from halocline.errors import SchemaConflict
from halocline.identity import moved_keys, taken_keys
from halocline.schema import Kind, Schema
from halocline.verdicts import Tally

HOME = "_halocline_home"  # the number of the data file that holds a row; -1 for none
_VERDICTS = ("same", "remove", "mark", "flag", "insert", "update")


@dataclass(frozen=True, slots=True)
class Judged:
    """What follows for some staged rows: `drops` are the keys (`KEY`, `HOME`) whose rows go; `writes` the rows to write.

    `writes` have the table's columns, `KEY` and `HOME`: the file in whose place they belong.
    """

    tally: Tally
    drops: pa.Table
    writes: pa.Table


def judge(rows: pa.Table, table: Table, *, plan: Plan, schema: Schema) -> Judged:
    """The verdicts of settled rows against the table, whose columns will be `schema`.

    Raises: SchemaConflict for a key that the table holds several times, or that is another record's.
    """
    there = _there(rows, table, plan=plan, schema=schema)
    place = pc.index_in(rows.column(KEY), value_set=there.column(KEY).combine_chunks())
    old = there.take(place)  # null in all columns where the table has no such row
    _refuse_shared(rows, old, plan)
    masks = _masks(rows, old, plan)
    tally = Tally(**{name: pc.sum(mask).as_py() or 0 for name, mask in masks.items()})
    replaced = pc.or_(masks["update"], masks["flag"])
    dropped = pc.or_(pc.or_(replaced, masks["mark"]), masks["remove"])
    written = pc.or_(replaced, masks["insert"])
    new = _new_rows(rows.filter(written), old.filter(written), plan=plan, schema=schema)
    marked = _marked(old.filter(masks["mark"]), rows.filter(masks["mark"]), plan)
    writes = pa.concat_tables([new, marked.select(new.schema.names).cast(new.schema)])
    return Judged(tally, old.filter(dropped).select([KEY, HOME]), writes)


def refuse_moved_keys(rows: pa.Table, table: Table, *, plan: Plan) -> None:
    """Hold staged rows against the table by the source's own key, before they are merged by one that the user chose.

    Raises: SchemaConflict when a record's chosen key is another than in the table.
    """
    own = list(plan.schema.select(plan.own_key).names)
    if not own or any(table.commit.schema.column(name) is None for name in own):
        return
    live = rows.filter(pc.invert(rows.column(GONE)))
    records = key_of(live, own).combine_chunks()
    wanted = records.take(pc.sort_indices(records))
    key = list(plan.schema.select(plan.key).names)
    schema = table.commit.schema.select([*key, *own])
    moved = 0
    for file in table.commit.files:
        for found in table.hits(file, schema, key=own, keys=wanted):
            now = live.column(KEY).take(pc.index_in(found.column(KEY), value_set=records))
            moved += pc.sum(pc.fill_null(pc.not_equal(key_of(found, key), now), fill_value=False)).as_py() or 0
    if moved:
        raise moved_keys(plan, moved)


def _there(rows: pa.Table, table: Table, *, plan: Plan, schema: Schema) -> pa.Table:
    """The table's rows of these keys, each with the number of its file.

    Raises: SchemaConflict when a key is there twice.
    """
    found = list(_found(rows, table, plan=plan, schema=schema))
    empty = schema.arrow.append(pa.field(KEY, pa.string())).append(pa.field(HOME, pa.int32())).empty_table()
    whole = pa.concat_tables([empty, *found])
    if whole.num_rows > rows.num_rows or pc.count_distinct(whole.column(KEY)).as_py() != whole.num_rows:
        cause = f"the table holds several rows of one key ({', '.join(plan.key)})"
        raise SchemaConflict(f"Merging into {table.target}", cause, hint=FULL_SYNC)
    return whole


def _found(rows: pa.Table, table: Table, *, plan: Plan, schema: Schema) -> Iterator[pa.Table]:
    keys = rows.column(KEY).combine_chunks()
    key = list(plan.schema.select(plan.key).names)
    for number in range(len(table.commit.files)):
        for some in table.hits_by_key(number, schema, key=key, keys=keys):
            yield some.append_column(HOME, pa.repeat(pa.scalar(number, pa.int32()), some.num_rows))


def _masks(rows: pa.Table, old: pa.Table, plan: Plan) -> dict[str, pa.ChunkedArray]:
    """Which rows get which verdict: of the rules in order, the first that holds decides."""
    left = pc.is_valid(rows.column(KEY))
    masks = {name: pc.and_(left, pc.invert(left)) for name in _VERDICTS}
    for verdict, condition in _rules(rows, old, plan):
        mine = pc.and_(left, condition)
        masks[verdict] = pc.or_(masks[verdict], mine)
        left = pc.and_(left, pc.invert(condition))
    masks["same"] = pc.or_(masks["same"], left)
    return masks


def _rules(rows: pa.Table, old: pa.Table, plan: Plan) -> Iterator[tuple[str, pa.ChunkedArray]]:
    absent, gone = pc.is_null(old.column(KEY)), rows.column(GONE)
    flag, marked = flagged(rows, plan), flagged(old, plan)
    if plan.deletes is Deletes.IGNORE:
        yield "same", pc.or_(gone, flag)
    else:
        yield "same", pc.and_(gone, pc.or_(absent, _older(rows, old, plan)))
    if plan.deletes is Deletes.HARD:
        yield "same", pc.and_(flag, absent)
        yield "remove", pc.or_(gone, flag)
    if plan.deletes is Deletes.SOFT:
        yield "same", pc.and_(gone, marked)
        yield "mark", gone
        yield "flag", pc.and_(pc.invert(absent), pc.and_(flag, pc.invert(marked)))
    yield "insert", absent
    yield "update", _differs(rows, old, plan)


def _older(rows: pa.Table, old: pa.Table, plan: Plan) -> pa.ChunkedArray:
    for name in plan.cursor_columns:
        return pc.fill_null(pc.less(rows.column(name), old.column(name)), fill_value=False)
    return pc.is_null(rows.column(KEY))


def _differs(rows: pa.Table, old: pa.Table, plan: Plan) -> pa.ChunkedArray:
    """Whether some column holds another value; two nulls are the same, and so are two NaNs."""
    differs = pc.is_null(rows.column(KEY))
    for column in plan.schema:
        ours, theirs = rows.column(column.name), old.column(column.name)
        other = pc.fill_null(pc.not_equal(ours, theirs), fill_value=False)
        if column.kind is Kind.DOUBLE:
            other = pc.and_(other, pc.invert(pc.fill_null(pc.and_(pc.is_nan(ours), pc.is_nan(theirs)), fill_value=False)))
        differs = pc.or_(differs, pc.or_(other, pc.xor(pc.is_null(ours), pc.is_null(theirs))))
    return differs


def _new_rows(rows: pa.Table, old: pa.Table, *, plan: Plan, schema: Schema) -> pa.Table:
    """The rows to write: the source's values, and the table's own in columns that the source does not have."""
    values = [(rows if plan.schema.column(c.name) is not None else old).column(c.name) for c in schema]
    homes = pc.fill_null(old.column(HOME), fill_value=-1)
    fields = [*schema.arrow, pa.field(KEY, pa.string()), pa.field(HOME, pa.int32())]
    return pa.Table.from_arrays([*values, rows.column(KEY), homes], schema=pa.schema(fields))


def _marked(old: pa.Table, rows: pa.Table, plan: Plan) -> pa.Table:
    """The table's rows with their flag set, and their stamp raised to the deletion's."""
    if not old.num_rows:
        return old
    changed = {name: pa.chunked_array([pa.repeat(pa.scalar(value=True), old.num_rows)]) for name in plan.flag_columns}
    changed |= {name: _later(old.column(name), rows.column(name)) for name in plan.cursor_columns}
    return with_columns(old, changed)


def _later(old: pa.ChunkedArray, new: pa.ChunkedArray) -> pa.ChunkedArray:
    """The greater of two values; of a null and a value the value."""
    return pc.if_else(pc.or_(pc.is_null(old), pc.fill_null(pc.less(old, new), fill_value=False)), new, old)


def _refuse_shared(rows: pa.Table, old: pa.Table, plan: Plan) -> None:
    """A live record of the table must not be overwritten by another one that has its key."""
    own = list(plan.schema.select(plan.own_key).names)
    if not own:
        return
    alive = pc.invert(pc.or_(flagged(rows, plan), flagged(old, plan)))
    other = pc.fill_null(pc.not_equal(key_of(rows, own), key_of(old, own)), fill_value=False)
    if shared := pc.sum(pc.and_(alive, other)).as_py():
        raise taken_keys(plan, shared)
