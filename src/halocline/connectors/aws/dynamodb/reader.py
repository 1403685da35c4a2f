"""Reader: the bytes of one answer of DynamoDB (or of a file that it exported) as Arrow, nothing converted and nothing lost.

The tagged JSON is an Arrow struct as it stands: `{"Items": [{"a": {"N": "1"}}]}` is a list of struct<a: struct<N: string>>. It is
parsed with exactly the types that were seen so far. Whatever else comes is an error of the parser, upon which the page is looked
at in Python once, and parsed again with what was learned.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from halocline.connectors.aws.dynamodb.layout import MANY, Layout
from halocline.connectors.aws.dynamodb.nested import check
from halocline.connectors.aws.dynamodb.values import Tagged, json_text, malformed, tagged_items, tagged_lines
from halocline.errors import Stop
from halocline.quantity import quantity

_DEEP = ("M", "L")
_KEY = "LastEvaluatedKey"
_SAMPLES: Mapping[str, tuple[Any, ...]] = {_KEY: (), "ConsumedCapacity": ({"CapacityUnits": 0.5},)}
_KEY_VALUE = pa.struct([(tag, pa.string()) for tag in ("S", "N", "B")])  # what a key may be


class Frame(StrEnum):
    """Where the items are: in the answer to a Scan or Query, or one on each line of an exported file."""

    PAGE = "Items"
    EXPORT = "Item"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: its items in Arrow, and what it says besides. `tagged` are the items of a page with wild attributes.

    `last_key` is where the next page starts, as it goes over the wire (None: this was the last page); `scanned` counts the items
    that DynamoDB looked at, those included that its filter left out; `consumed` is in capacity units (None: not asked for).
    """

    items: pa.StructArray
    layout: Layout
    last_key: dict[str, Any] | None = None
    scanned: int = 0
    consumed: float | None = None
    tagged: Sequence[Mapping[str, Tagged]] = ()

    def cells(self, path: Sequence[str]) -> pa.StructArray:
        """The attribute values at the end of a path, null where an item has none. What is no map on the way counts as none."""
        if path[0] in self.layout.wild:
            return _wild([_at(item, path) for item in self.tagged])
        found = self.items
        for step, name in enumerate(path):
            if step:
                found = _inside(found)
            if found is None or found.type.get_field_index(name) < 0:
                return pa.nulls(len(self.items), pa.struct([]))
            found = pc.struct_field(found, [found.type.get_field_index(name)])
        return found

    def names(self, path: Sequence[str]) -> Sequence[str]:
        """The names in the maps at the end of a path; of a tame attribute also those that only other pages have."""
        if path[0] not in self.layout.wild:
            cells = self.cells(path)
            return [held.name for held in cells.type.field("M").type] if cells.type.get_field_index("M") >= 0 else ()
        found = (_at(item, path) for item in self.tagged)
        return sorted({name for one in found if one is not None for name in one.get("M", ())})


@dataclass(frozen=True, slots=True)
class _Known:
    """What pages are parsed with; `samples` are other things that answers said, by name."""

    layout: Layout
    samples: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: dict(_SAMPLES))

    def schema(self, frame: Frame) -> pa.Schema:
        item = self.layout.arrow()
        if frame is Frame.EXPORT:
            return pa.schema([(frame.value, item)])
        told = [(name, _told(name, samples)) for name, samples in self.samples.items()]
        return pa.schema([(frame.value, pa.list_(item)), ("Count", pa.int64()), ("ScannedCount", pa.int64()), *told])


class Reader:
    """Reads pages, and remembers what they are made of. Threads may share it, and learn one at a time.

    To learn takes ten times as long as to parse, and all of a table's first pages lack the same.
    """

    def __init__(self, layout: Layout | None = None, *, frame: Frame = Frame.PAGE) -> None:
        self._frame = frame
        self._known = _Known(Layout() if layout is None else layout)
        self._learning = threading.Lock()

    def read(self, data: bytes) -> Page:
        """The page.

        Raises: Stop for what DynamoDB would not have sent.
        """
        known = self._known
        _see_utf8(data)
        with suppress(pa.ArrowInvalid, Stop):
            return self._parsed(data, known)
        with self._learning:
            if self._known is not known:  # what another thread has learned meanwhile may be what this page lacked
                with suppress(pa.ArrowInvalid, Stop):
                    return self._parsed(data, self._known)
            known = self._learned(data, self._known)
            try:
                page = self._parsed(data, known)
            except pa.ArrowInvalid as error:
                raise malformed(str(error)) from error
            self._known = known
        return page

    @property
    def is_crowded(self) -> bool:
        """Whether pages have so many attributes that item by item they are read for less."""
        return len(self._known.layout.nodes) > MANY

    def _parsed(self, data: bytes, known: _Known) -> Page:
        layout = known.layout
        tagged = self.tagged(data) if layout.wild else []
        if not layout.covers(tagged):
            raise malformed("it holds attributes or types that are not known")
        table = pj.read_json(
            pa.BufferReader(data),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(data) + 1),  # one block: pages are read side by side
            parse_options=pj.ParseOptions(
                explicit_schema=known.schema(self._frame),
                newlines_in_values=self._frame is Frame.PAGE,
                unexpected_field_behavior="ignore" if layout.wild or layout.only else "error",
            ),
        )
        items = table.column(self._frame.value).combine_chunks()
        export = self._frame is Frame.EXPORT
        page = Page(items, layout, scanned=len(items), tagged=tagged) if export else _page(table, items, layout, tagged)
        if page.items.null_count:
            raise malformed("an item is null")
        for name in layout.only:  # what was passed over left a value without a type
            check(page.cells([name]))
        return page

    def _learned(self, data: bytes, known: _Known) -> _Known:
        """What is known once this page was looked at, in Python."""
        items = self.tagged(data)
        samples = dict(known.samples)
        told = json.loads(data) if self._frame is Frame.PAGE else {}
        for name in told.keys() - {self._frame.value, "Count", "ScannedCount"}:
            more = (*samples.get(name, ()), told[name])
            if name not in samples or _told(name, more) != _told(name, samples[name]):
                samples[name] = more
        return _Known(known.layout.learned(items), samples)

    def tagged(self, data: bytes) -> list[dict[str, dict[str, Any]]]:
        """The items as they are on the wire, not looked at any closer.

        Raises: Stop for what DynamoDB would not have sent.
        """
        if self._frame is Frame.PAGE:
            return tagged_items(data)
        return tagged_lines(data)


def _see_utf8(data: bytes) -> None:
    """Arrow's parser takes what is no UTF-8; its cast to text, which needs no copy here, does not.

    Raises: Stop for what DynamoDB would not have sent.
    """
    offsets = pa.array([0, len(data)], pa.int64()).buffers()[1]
    try:
        pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(data)]).cast(pa.large_string())
    except pa.ArrowInvalid as error:
        raise malformed(f"the answer is no UTF-8: {error}") from error


def _page(table: pa.Table, items: pa.ListArray, layout: Layout, tagged: Sequence[Mapping[str, Tagged]]) -> Page:
    if table.num_rows != 1:
        raise malformed(f"it holds {table.num_rows} answers, not one")
    if not items[0].is_valid:
        raise malformed("the answer has no list 'Items'")
    told = table.drop_columns(["Items"]).to_pylist()[0]
    last = None if told[_KEY] is None else {name: _present(value) for name, value in told[_KEY].items() if value}
    if last is not None and not (last and all(last.values())):
        raise malformed("the key that it ends with has names or types that are not known")
    found = items.flatten()
    if told["Count"] is not None and told["Count"] != len(found):
        raise malformed(f"it announces {quantity(told['Count'], 'item')} and holds {len(found)}")
    return Page(
        found,
        layout,
        last_key=last,
        scanned=len(found) if told["ScannedCount"] is None else told["ScannedCount"],
        consumed=_units(told["ConsumedCapacity"]),
        tagged=tagged,
    )


def _told(name: str, samples: tuple[Any, ...]) -> pa.DataType:
    if name == _KEY:
        return pa.struct([(one, _KEY_VALUE) for one in dict.fromkeys(one for sample in samples for one in sample)])
    return pa.infer_type(samples)


def _present(value: Mapping[str, Any]) -> dict[str, Any]:
    return {tag: held for tag, held in value.items() if held is not None}


def _units(told: Mapping[str, Any] | None) -> float | None:
    units = None if told is None else told.get("CapacityUnits")
    return None if units is None else float(units)


def _inside(cells: pa.StructArray) -> pa.StructArray | None:
    index = cells.type.get_field_index("M")
    return None if index < 0 else pc.struct_field(cells, [index])


def _at(item: Mapping[str, Tagged], path: Sequence[str]) -> Tagged | None:
    found: Any = item
    for step, name in enumerate(path):
        found = (found.get("M", {}) if step else found).get(name)
        if found is None:
            return None
    return found  # type: ignore[no-any-return]  # JSON


def _wild(values: Sequence[Tagged | None]) -> pa.StructArray:
    """Values whose maps and lists are JSON text already."""
    shallow = [None if one is None else _shallow(one) for one in values]
    tags = dict.fromkeys(tag for one in shallow if one is not None for tag in one)
    known = Layout({"value": dict.fromkeys(tag for tag in tags if tag not in _DEEP)}).arrow().field("value").type
    try:
        return pa.array(shallow, pa.struct([*known, *((tag, pa.string()) for tag in tags if tag in _DEEP)]))
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError) as error:
        raise malformed(str(error)) from error


def _shallow(value: Tagged) -> dict[str, Any]:
    return {tag: json_text(value) if tag in _DEEP else held for tag, held in value.items()}
