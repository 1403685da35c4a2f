"""Compare: the rows of one bucket, source against table, by key and then value by value; no Python object is made for a row.

    missing    the source has it, the table has not
    extra      the table has it, the source has not (deleted there for good, or no longer within the condition)
    stale      both have it, with another stamp or another flag
    different  both have it with one stamp, and a value differs
    doubled    rows of the table that share their key with another one, or have none

Left out on both sides: what the next sync will bring, and rows that only the table has because the setting for deletes says so.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import MAX_PREC, Decimal, localcontext
from enum import StrEnum
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connector import Deletes, Plan
from halocline.identity import repeated
from halocline.schema import Column, Kind


class Kinds(StrEnum):
    """How a row can differ."""

    MISSING = "missing"
    EXTRA = "extra"
    STALE = "stale"
    DIFFERENT = "different"
    DOUBLED = "doubled"


@dataclass(frozen=True, slots=True)
class Rules:
    """What rows mean, in the plan's names. Stamps from `since` (None: none) to `until` are not due yet; `gone` are the keys
    that the source says it deleted since then.
    """

    plan: Plan
    since: pa.Scalar | None = None
    until: pa.Scalar | None = None
    gone: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))

    @property
    def key(self) -> str:
        """The column that rows are matched by."""
        return self.plan.key[0]

    @property
    def decisive(self) -> tuple[str, ...]:
        """The columns that tell one state of a row from another without looking at its values: stamp and flag."""
        return (*self.plan.cursor_columns, *self.plan.flag_columns)

    @property
    def others(self) -> tuple[Column, ...]:
        """The columns that are compared value by value."""
        known = {name.lower() for name in (self.key, *self.decisive)}
        return tuple(column for column in self.plan.schema if column.name.lower() not in known)


@dataclass(slots=True)
class Compared:
    """What came of a bucket: the keys of rows that differ, by kind, and how many rows were compared, or left out and why.

    `alike` are the keys of rows whose stamp and flag are the same on both sides; `columns` counts the different values.
    """

    keys: dict[Kinds, pa.Array] = field(default_factory=dict)
    alike: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))
    columns: Counter[str] = field(default_factory=Counter)
    not_due: int = 0
    kept: int = 0


def compare(source: pa.Table, table: pa.Table, *, rules: Rules) -> Compared:
    """Hold one bucket's rows against each other. Both tables have the key, stamp and flag; values that both have are compared."""
    found = Compared()
    source = _newest(source, rules)
    table, doubled = _first(table, rules.key)
    found.keys[Kinds.DOUBLED] = doubled
    expected, table, found.not_due = _due(source, table, rules)
    if rules.plan.deletes is Deletes.HARD:
        expected = expected.filter(pc.invert(_flagged(expected, rules)))
    at = pc.index_in(_keys(table, rules), value_set=_keys(expected, rules))
    extra = table.filter(pc.is_null(at))
    kept = _kept(extra, rules)
    found.kept = pc.sum(kept).as_py() or 0
    found.keys[Kinds.EXTRA] = _keys(extra.filter(pc.invert(kept)), rules)
    there = pc.is_in(_keys(expected, rules), value_set=_keys(table, rules))
    found.keys[Kinds.MISSING] = _keys(expected, rules).filter(pc.invert(there))
    _compare_pairs(expected.take(at.drop_null()), table.filter(pc.is_valid(at)), rules, found=found)
    return found


def _compare_pairs(source: pa.Table, table: pa.Table, rules: Rules, *, found: Compared) -> None:
    """Compare rows that lie at the same place in both tables."""
    keys = _keys(table, rules)
    stale = _any([_differs(source, table, name) for name in rules.decisive], len(keys))
    found.keys[Kinds.STALE] = keys.filter(stale)
    alike = pc.invert(stale)
    found.alike = keys.filter(alike)
    present = [column for column in rules.others if column.name in source.schema.names and column.name in table.schema.names]
    if not present:
        return
    source, table = source.filter(alike), table.filter(alike)
    masks = {column.name: _differs(source, table, column.name, spell=_SPELLED.get(column.kind)) for column in present}
    found.columns.update({name: count for name, mask in masks.items() if (count := pc.sum(mask).as_py())})
    found.keys[Kinds.DIFFERENT] = found.alike.filter(_any(list(masks.values()), len(found.alike)))


def _newest(rows: pa.Table, rules: Rules) -> pa.Table:
    """One row of each key, as a load leaves it: the newest stamp, of equal ones the one that is not flagged.

    Rows without a key go: a load refuses them. Raises: Truncated for a record that came twice where each is promised once.
    """
    keys = _keys(rows, rules)
    own = rows.column(rules.plan.schema.key[0] if rules.plan.schema.key else rules.key)
    if rules.plan.once and (twice := len(own) - pc.count_distinct(own, mode="all").as_py()):
        raise repeated(rules.plan, twice)
    if pc.count_distinct(keys).as_py() == len(keys):
        return rows
    order = [(name, "descending") for name in rules.plan.cursor_columns]
    order += [(name, "ascending") for name in rules.plan.flag_columns]
    ordered = rows.take(pc.sort_indices(rows, sort_keys=order)) if order else rows
    keys = _keys(ordered, rules)
    return ordered.take(pc.index_in(pc.unique(keys).drop_null(), value_set=keys))


def _first(rows: pa.Table, key: str) -> tuple[pa.Table, pa.Array]:
    """One row of each key, and the keys of the rows beyond: those that come again, and nulls."""
    keys = rows.column(key).combine_chunks()
    distinct = pc.unique(keys).drop_null()
    if len(distinct) == len(keys):
        return rows, keys.slice(0, 0)
    firsts = pc.index_in(distinct, value_set=keys)
    beyond = pc.invert(pc.is_in(pa.array(range(len(keys)), firsts.type), value_set=firsts))
    return rows.take(firsts), keys.filter(beyond)


def _due(source: pa.Table, table: pa.Table, rules: Rules) -> tuple[pa.Table, pa.Table, int]:
    """The rows of both sides that the next sync will not look at, and how many records it will."""
    if rules.since is None:
        return source, table, 0
    late_here = _within(source, rules.plan.cursor_columns, rules.since, None)
    late_there = _within(table, rules.plan.cursor_columns, rules.since, rules.until)
    gone = rules.gone.cast(source.schema.field(rules.key).type)
    late = pa.concat_arrays([_keys(source, rules).filter(late_here), _keys(table, rules).filter(late_there)])
    late = pc.unique(pa.concat_arrays([late, _keys(table, rules).filter(pc.is_in(_keys(table, rules), value_set=gone))]))
    due_here, due_there = (pc.invert(pc.is_in(_keys(rows, rules), value_set=late)) for rows in (source, table))
    return source.filter(due_here), table.filter(due_there), len(late)


def _within(rows: pa.Table, names: Sequence[str], low: pa.Scalar, high: pa.Scalar | None) -> pa.Array:
    if not names:
        return _none(rows.num_rows)
    stamps = rows.column(names[0]).combine_chunks()
    inside = pc.greater_equal(stamps, low)
    if high is not None:
        inside = pc.and_(inside, pc.less_equal(stamps, high))
    return pc.fill_null(inside, fill_value=False)


def _kept(extra: pa.Table, rules: Rules) -> pa.Array:
    """Which rows that only the table has are there because the setting for deletes says so."""
    if rules.plan.deletes is Deletes.IGNORE:
        return pc.invert(_none(extra.num_rows))
    return _flagged(extra, rules) if rules.plan.deletes is Deletes.SOFT else _none(extra.num_rows)


def _flagged(rows: pa.Table, rules: Rules) -> pa.Array:
    for name in rules.plan.flag_columns:
        return pc.fill_null(rows.column(name).combine_chunks(), fill_value=False)
    return _none(rows.num_rows)


def _differs(source: pa.Table, table: pa.Table, name: str, *, spell: Callable[[pa.Array], pa.Array] | None = None) -> pa.Array:
    """Where two columns differ; null is like null, and like nothing else."""
    here, there = (side.column(name).combine_chunks() for side in (source, table))
    if spell is not None:
        here, there = spell(here), spell(there)
    unequal = pc.fill_null(pc.not_equal(here, there), fill_value=False)
    return pc.or_(unequal, pc.xor(pc.is_null(here), pc.is_null(there)))


def _json(texts: pa.Array) -> pa.Array:
    """JSON in one spelling: databases order keys and space them as they like. Few objects have such columns."""
    return pa.array([None if text is None else _respelled(text) for text in texts.to_pylist()], pa.string())


def _respelled(text: str) -> str:
    try:
        value = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    except ValueError:
        return text
    return json.dumps(value, sort_keys=True, default=_number)


def _number(number: Decimal) -> dict[str, str]:
    """A number in one spelling, with all its digits, and told from a text that spells it: no object of JSON has such a name."""
    with localcontext(prec=MAX_PREC):
        return {"\0": str((number + 0).normalize())}


_SPELLED: Mapping[Kind, Callable[[pa.Array], pa.Array]] = {Kind.JSON: _json}


def _keys(rows: pa.Table, rules: Rules) -> pa.Array:
    return rows.column(rules.key).combine_chunks()


def _any(masks: Sequence[pa.Array], length: int) -> pa.Array:
    return reduce(pc.or_, masks, _none(length))


def _none(length: int) -> pa.Array:
    return pa.repeat(pa.scalar(value=False), length)
