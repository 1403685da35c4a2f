"""Pages: answers of DynamoDB as rows of a shape's columns, and what could not be such a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import DecimalException
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.aws.dynamodb.columns import Marks, column, either
from halocline.connectors.aws.dynamodb.nested import objects
from halocline.connectors.aws.dynamodb.reader import Frame, Page, Reader
from halocline.connectors.aws.dynamodb.shape import Path, Shape
from halocline.connectors.aws.dynamodb.values import item, malformed, shown
from halocline.outcome import Rejection
from halocline.schema import Column, Kind

_CODE = "DOES_NOT_FIT"


@dataclass(frozen=True, slots=True)
class DecodedPage:
    """A page as rows, with the items of which a value does not fit its column (`row` counts the page's items from 0).

    `batch` and `rejected` together are all items. `unknown` are attributes on the page that no column comes from. `last_key`,
    `scanned` and `consumed` are those of Page.
    """

    batch: pa.RecordBatch
    rejected: tuple[Rejection, ...]
    unknown: tuple[str, ...]
    last_key: dict[str, Any] | None
    scanned: int
    consumed: float | None


class Pages:
    """Decodes pages of one table. Threads may share it. `reader` knows already what its pages are made of."""

    def __init__(self, shape: Shape, *, frame: Frame = Frame.PAGE, reader: Reader | None = None) -> None:
        self._shape = shape
        only = shape.layout()
        self._all = Reader(frame=frame) if reader is None else reader
        self._reader = self._all if only is None else Reader(only, frame=frame)

    @property
    def shape(self) -> Shape:
        """The columns that pages become."""
        return self._shape

    def decode(self, data: bytes, *, part: str = "") -> DecodedPage:
        """The rows of a page; its rejections name the part.

        Raises: Stop for bytes that are no such page.
        """
        return _decoded(self._reader.read(data), self._shape, part=part)

    def items(self, data: bytes) -> list[dict[str, Any]]:
        """The items of a page as Python values, whatever the columns are: as `values.items` has them, and several times as fast.

        Raises: Stop for what DynamoDB would not have sent.
        """
        if self._all.is_crowded:
            return [item(one) for one in self._all.tagged(data)]
        page = self._all.read(data)
        if page.layout.wild:
            return [item(one) for one in page.tagged]
        try:
            return objects(page.items)
        except (ValueError, DecimalException) as error:
            raise malformed(f"a value is not of its type: {error!r}") from error

    def widen(self, data: bytes) -> Shape:
        """Make the inferred shape wide enough for this page too, from the next `decode` on.

        Raises: Stop for what is no page; FixConfig for a declared shape.
        """
        self._shape = self._shape.widened(self._reader.read(data))
        return self._shape


def _decoded(page: Page, shape: Shape, *, part: str) -> DecodedPage:
    arrays: list[pa.Array] = []
    odd: list[tuple[Column, Marks]] = []
    for wanted in shape.schema:
        path = shape.path(wanted.name)
        values, marks = column(page.cells(path), wanted)
        for end in range(1, len(path)):
            marks = either(marks, _no_maps(page.cells(path[:end])))
        arrays.append(values)
        if marks is not None:
            odd.append((wanted, marks))
    batch = pa.RecordBatch.from_arrays(arrays, schema=shape.schema.arrow)
    rejected = _rejected(page, shape, odd, part=part)
    if rejected:
        bad = pa.array([one.row for one in rejected], pa.int64())
        batch = batch.filter(pc.invert(pc.is_in(pa.array(range(len(batch)), pa.int64()), bad)))
    return DecodedPage(batch, rejected, _unknown(page, shape), page.last_key, page.scanned, page.consumed)


def _no_maps(cells: pa.StructArray) -> Marks:
    """The rows in which something that is no map stands where a path goes on."""
    marks: Marks = None
    for index, held in enumerate(cells.type):
        if held.name not in ("M", "NULL"):
            marks = either(marks, pc.struct_field(cells, [index]).is_valid())
    return marks


def _unknown(page: Page, shape: Shape) -> tuple[str, ...]:
    if shape.only:
        return ()
    known = set(shape.attributes)
    fields = enumerate(page.items.type)
    tame = [held.name for index, held in fields if held.name not in known and page.items.field(index).is_valid().true_count]
    wild = {name for item in page.tagged for name in item if name in page.layout.wild and name not in known}
    return (*tame, *sorted(wild))


class _Came:
    """Attribute values of some items as they came; each path is read once for all of them."""

    def __init__(self, page: Page, rows: Sequence[int]) -> None:
        self._page = page
        self._rows = rows
        self._read: dict[Path, dict[int, Any]] = {}

    def value(self, path: Path, row: int) -> dict[str, Any] | None:
        """The attribute value at the end of a path; None: there is none."""
        if path not in self._read:
            found = self._page.cells(path).take(pa.array(self._rows, pa.int64())).to_pylist()
            self._read[path] = dict(zip(self._rows, found, strict=True))
        value = self._read[path][row]
        return None if value is None else _stripped(value)

    def told(self, path: Path, row: int) -> str:
        """What stands there, in words."""
        for end in range(1, len(path) + 1):
            value = self.value(path[:end], row)
            if value is None:
                break
            ((tag, held),) = value.items()
            if tag == "NULL":
                return "NULL"
            if end == len(path) or tag != "M":
                return f"{tag} {shown(held)}"
        return "missing"


def _rejected(page: Page, shape: Shape, odd: Sequence[tuple[Column, Marks]], *, part: str) -> tuple[Rejection, ...]:
    """One rejection for each item, whichever many of its values do not fit."""
    found: dict[int, list[Column]] = {}
    for wanted, marks in odd:
        for row in pc.indices_nonzero(marks).to_pylist():
            found.setdefault(row, []).append(wanted)
    came = _Came(page, sorted(found))
    return tuple(_rejection(came, shape, row, found[row], part=part) for row in sorted(found))


def _rejection(came: _Came, shape: Shape, row: int, odd: Sequence[Column], *, part: str) -> Rejection:
    """`record` has the item's values as they came, by column; what it lacks is left out."""
    values = {wanted.name: came.value(shape.path(wanted.name), row) for wanted in shape.schema}
    record = {name: _bare(value) for name, value in values.items() if value is not None}
    key = ", ".join(f"{name} = {shown(record.get(name))}" for name in shape.schema.key) or f"number {row} of the page"
    told = [f"{'.'.join(path)} is {came.told(path, row)}, its column is {_words(one)}" for one, path in _with_paths(odd, shape)]
    return Rejection(part, row, _CODE, f"Item {key}: {'; '.join(told)}.", tuple(one.name for one in odd), record)


def _with_paths(columns: Sequence[Column], shape: Shape) -> list[tuple[Column, Path]]:
    return [(one, shape.path(one.name)) for one in columns]


def _bare(value: Mapping[str, Any]) -> object:
    ((tag, held),) = value.items()
    return None if tag == "NULL" else held


def _stripped(value: dict[str, Any]) -> dict[str, Any]:
    """A value with only the tag that it has: Arrow gives them all."""
    return {tag: _inside(tag, held) for tag, held in value.items() if held is not None}


def _inside(tag: str, held: Any) -> Any:
    if tag == "M" and isinstance(held, dict):
        return {name: _stripped(one) for name, one in held.items() if one is not None}
    if tag == "L" and isinstance(held, list):
        return [_stripped(one) for one in held]
    return held


def _words(wanted: Column) -> str:
    size = (
        f"({wanted.precision},{wanted.scale})" if wanted.kind is Kind.DECIMAL else f"({wanted.length})" if wanted.length else ""
    )
    return f"{wanted.kind}{size}{'' if wanted.nullable else ' and must be there'}"
