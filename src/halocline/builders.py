"""Builders: plain functions that make rows of items, and a source in their coat.

    def build_case(item):            an item as a dict of Python values
        return {...}                 one row; or several, as a list or a generator; or None for an item that is to become none

An item becomes all of its rows or none: what a builder raises, and a row that does not fit its table, is a rejection with the
reason and the item (as the builder left it, should it change what it is given). Nothing else about an item is thrown away.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import pyarrow as pa

from halocline.batch import JSON, Batch, Items, Op, Position
from halocline.connector import Journal, Manifest, Part, Plan, Source, Survey, Unfinished
from halocline.errors import BadMessage, FixConfig, HaloclineError, RejectRecord
from halocline.fitting import Misfit, arrays, fitted_row
from halocline.located import function_at
from halocline.moments import rows_of
from halocline.outcome import Rejection
from halocline.schema import Kind, Schema

Item: TypeAlias = dict[str, Any]
Builder: TypeAlias = Callable[[Item], object]
"""`item -> row | rows | None`; a row is a mapping from column to value."""

_Row = TypeVar("_Row")
_Item = TypeVar("_Item", bound=Mapping[str, object])
_ROWS = 2_000  # of one batch
_NUMBERS = {"numeric", "decimal", "hugeint", "uhugeint", "bignum"}  # the databases' words for those that travel as text
_DOING = "Looking for the builder"
_EXAMPLE = "builders.case_builder:build_case"


def builder_at(place: str | Builder, *, folder: Path | None = None) -> Builder:
    """The function at `module:function`, the module looked for in `folder` too; a function is returned as it is.

    Raises: FixConfig for a module or a function that is not there, and for a module that cannot be imported.
    """
    if not isinstance(place, str):
        return place
    return function_at(place, doing=f"{_DOING} {place}", folder=folder or Path(), example=_EXAMPLE)


@dataclass(frozen=True, slots=True)
class Built:
    """What some items became: the rows in their types, and what could not."""

    rows: pa.RecordBatch
    rejections: tuple[Rejection, ...] = ()
    filtered: int = 0


@dataclass(slots=True)
class Drawn(Generic[_Row]):
    """What a builder made of some items: rows with the number of their item, and why which items became none."""

    rows: list[tuple[int, _Row]] = field(default_factory=list)
    misfits: dict[int, Misfit] = field(default_factory=dict)
    filtered: int = 0

    def refuse(self, odd: Mapping[int, Misfit]) -> None:
        """Take an item out with all of its rows, for the first row that does not fit; `odd` is by the row's place."""
        for place in sorted(odd):
            self.misfits.setdefault(self.rows[place][0], odd[place])

    def rejections(self, items: Sequence[Mapping[str, object]], *, part: str = "", first: int = 0) -> tuple[Rejection, ...]:
        """What is to be told of the items that became none."""
        return tuple(
            Rejection(part, first + number, misfit.code, str(misfit), misfit.fields, items[number])
            for number, misfit in sorted(self.misfits.items())
        )


def _told(error: BaseException) -> str:
    """What was raised and where, in a line."""
    trace, line = error.__traceback__, ""
    while trace is not None:
        line = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error}{line}"


def draw(
    items: Iterable[_Item],
    builder: Callable[[_Item], object],
    *,
    take: Callable[[Mapping[object, object]], _Row],
    told: Callable[[BaseException], str] = _told,
) -> Drawn[_Row]:
    """Have rows made of items, and take each of them before the next one is made: a generator may fill one dict again and again.

    `told` is what is said of an item for which the builder raised what is no error of ours.
    Raises: an error of `halocline.errors` that a builder raised and that is about no one item (Stop, RetryLater, FixConfig).
    """
    drawn: Drawn[_Row] = Drawn()
    for number, item in enumerate(items):
        try:
            rows = [take(row) for row in _rows_of(builder(item))]
        except Misfit as misfit:
            drawn.misfits[number] = misfit
        except HaloclineError as error:
            if not isinstance(error, (RejectRecord, BadMessage)):
                raise
            drawn.misfits[number] = Misfit(str(error), code=error.code or type(error).__name__)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a user's function raises is said of its item
            drawn.misfits[number] = Misfit(told(error), code=type(error).__name__)
        else:
            drawn.filtered += not rows
            drawn.rows += [(number, row) for row in rows]
    return drawn


def build(items: Sequence[Item], builder: Builder, *, schema: Schema, part: str = "", first: int = 0) -> Built:
    """The rows of some items; `first` is the number of the first in its part.

    Raises: as `draw`.
    """
    names = {column.name.lower(): column for column in schema}
    drawn = draw(items, builder, take=lambda row: fitted_row(row, names))
    columns, odd = arrays([row for _, row in drawn.rows], schema)
    drawn.refuse(odd)
    batch = pa.RecordBatch.from_arrays(columns, schema=schema.arrow)
    if drawn.misfits and drawn.rows:
        batch = batch.filter(pa.array([number not in drawn.misfits for number, _ in drawn.rows], pa.bool_()))
    return Built(batch, drawn.rejections(items, part=part, first=first), drawn.filtered)


def _rows_of(answer: object) -> Iterator[Mapping[object, object]]:
    """The rows that a builder's answer is, one by one; those that are made one by one with copies of what they hold."""
    if answer is None:
        return
    if isinstance(answer, Mapping):
        yield answer
        return
    if isinstance(answer, (str, bytes)) or not isinstance(answer, Iterable):
        raise Misfit(f"the builder returned {type(answer).__name__}, which is neither a row, nor rows, nor None", code="NO_ROW")
    for row in answer:
        if not isinstance(row, Mapping):
            raise Misfit(f"a row of the builder is {type(row).__name__}, and no mapping of columns to values", code="NO_ROW")
        yield row if isinstance(answer, (list, tuple)) else {name: _kept(value) for name, value in row.items()}


def _kept(value: object) -> object:
    """A value that does not change when what is inside of this one does."""
    if isinstance(value, Mapping):
        return {name: _kept(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_kept(one) for one in value]
    return set(value) if isinstance(value, set) else bytes(value) if isinstance(value, bytearray) else value


class BuiltSource:
    """`inner`, with each of its items made into rows of `schema` by a builder. Implements `connector.Source`.

    A source that can read items as they are (`items(part, resume)`) is asked for those; of any other the rows are the items.
    """

    def __init__(self, inner: Source, builder: Builder, schema: Schema) -> None:
        self._inner = inner
        self._builder = builder
        self._schema = schema
        self._read: Schema | None = None
        self._items: dict[str, int] = {}  # by part

    @property
    def calls(self) -> int:
        """Calls made to the other side so far."""
        return self._inner.calls

    def survey(self, since: Position | None) -> Survey:
        """The inner source's survey, with the columns that are built."""
        found = self._inner.survey(since)
        self._read = found.schema
        named = {column.name.lower() for column in self._schema}
        cursor = found.cursor if found.cursor and found.cursor.lower() in named else None
        flag = found.delete_flag if found.delete_flag and found.delete_flag.lower() in named else None
        return replace(found, schema=self._schema, cursor=cursor, delete_flag=flag, fresh=())

    def take_up(self, plan: Plan, *, journal: Journal, left: Sequence[Unfinished]) -> Plan:
        """See `Source.take_up`."""
        own = self._own(plan)
        works = [replace(work, plan=None if work.plan is None else self._own(work.plan)) for work in left]
        taken = self._inner.take_up(own, journal=journal, left=works)
        return plan if taken is own else replace(taken, schema=plan.schema, cursor=plan.cursor, delete_flag=plan.delete_flag)

    def parts(self, plan: Plan) -> Iterator[Part]:
        """See `Source.parts`."""
        return self._inner.parts(self._own(plan))

    def read(self, part: Part, resume: Position | None = None) -> Iterator[Batch]:
        """The rows that the items of a part become, and what could not become rows."""
        items = getattr(self._inner, "items", None)
        batches: Iterator[Batch | Items] = self._inner.read(part, resume) if items is None else items(part, resume)
        self._items[part.id] = 0
        try:
            for batch in batches:
                if isinstance(batch, Batch) and batch.op is Op.DELETE:
                    self._items[part.id] += batch.count
                    yield batch
                else:
                    yield from self._built(batch, part)
        finally:
            if isinstance(batches, Generator):
                batches.close()

    def again(self, plan: Plan, keys: Sequence[JSON]) -> Iterator[Batch]:  # noqa: ARG002 - the contract's
        """Raises: FixConfig: which items made a row nobody knows."""
        raise FixConfig(f"Reading rows of {plan.object} again", "its rows are built, and lead to no item", hint="Run it anew.")

    def check(self, plan: Plan, manifests: Sequence[Manifest]) -> None:
        """See `Source.check`; what the source counts are items."""
        read = [replace(one, rows=self._items.get(one.part, 0), deletes=0) for one in manifests]
        self._inner.check(self._own(plan), read)

    def ack(self, receipts: Sequence[JSON]) -> None:
        """See `Source.ack`."""
        self._inner.ack(receipts)

    def _own(self, plan: Plan) -> Plan:
        """The plan in the inner source's columns."""
        return plan if self._read is None else replace(plan, schema=self._read)

    def _builder_of(self, part: Part) -> Builder:  # noqa: ARG002 - all parts have the same, but in changes
        """Who makes the rows of a part."""
        return self._builder

    def _built(self, batch: Batch | Items, part: Part) -> Iterator[Batch]:
        """The batches that one becomes; the first of them says all that was said of the whole."""
        number, rejections, receipts = batch.first_row, batch.rejections, batch.receipts
        filtered = batch.filtered if isinstance(batch, Batch) else 0
        for items in _items_of(batch, self._read):
            made = build(items, self._builder_of(part), schema=self._schema, part=part.id, first=number)
            yield Batch(
                rows=made.rows,
                first_row=number,
                receipts=receipts,
                rejections=(*rejections, *made.rejections),
                filtered=filtered + made.filtered,
            )
            number, rejections, receipts, filtered = number + len(items), (), (), 0
            self._items[part.id] += len(items)
        if rejections or receipts or filtered:
            none = pa.RecordBatch.from_pylist([], schema=self._schema.arrow)
            yield Batch(rows=none, first_row=number, receipts=receipts, rejections=rejections, filtered=filtered)


def _items_of(batch: Batch | Items, schema: Schema | None) -> Iterator[Sequence[Item]]:
    """The items of a batch, some at a time; what a column of JSON holds, as values."""
    if isinstance(batch, Items):
        for start in range(0, len(batch.values), _ROWS):
            yield batch.values[start : start + _ROWS]
        return
    held = [column.name for column in schema or () if column.kind is Kind.JSON]
    numbers = [one.name for one in schema or () if one.kind is Kind.STRING and one.source_type.partition("(")[0] in _NUMBERS]
    for rows in batch.arrow():
        for start in range(0, rows.num_rows, _ROWS):
            items = rows_of(rows.slice(start, _ROWS))
            for name in held:
                for item in items:
                    text = item.get(name)
                    item[name] = None if text is None else json.loads(text, parse_float=Decimal)
            for name in numbers:
                for item in items:
                    item[name] = _number_of(item.get(name))
            yield items


def _number_of(text: str | None) -> Decimal | str | None:
    """The number that travels as text because no neutral type has all its digits; NaN and the infinities stay text."""
    if text is None or text.strip("+-")[:1].isalpha():
        return text
    return Decimal(text)
