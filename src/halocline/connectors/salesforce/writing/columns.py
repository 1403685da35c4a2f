"""Rows as staged batches: every value as the text that Bulk takes, and what JSON makes of that text.

    dicts     a missing key leaves the field; names are the same in any case, and columns grow as new names appear
    Arrow     whole columns at a time
    prepared  rows that were staged before and come back, as `Prepared.rows` hands them out

Nulls and empty texts clear the field or leave it, as the order says; both mean the same in dicts and in Arrow.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.salesforce import results
from halocline.connectors.salesforce.cells import flat_batch, is_text, spelled_column
from halocline.connectors.salesforce.results import not_sent
from halocline.connectors.salesforce.spelling import CLEARED, CannotSpell, cell, flat_record, json_record, number
from halocline.connectors.salesforce.writing.frames import FRAME_BYTES, FRAME_ROWS, KIND, ROW, fields_of, rows_for
from halocline.errors import FixConfig
from halocline.outcome import RowResult
from halocline.push.destination import RowBatch
from halocline.push.order import Nulls, SyncMode, WriteOrder

TEXT, LITERAL, DECIMAL, BYTES = range(4)  # a JSON string; JSON as it stands; a number or a string, see `number`; base64
PREPARED = {b"halocline": b"prepared"}  # the schema metadata of rows that were staged before
_SHAPES = 4_096  # sets of names that are remembered; rows that all differ must not fill the memory

Doubts: TypeAlias = dict[int, RowResult]
"""Rows of a batch that cannot be sent, by their place in it."""


class _Missing:
    """A key that a row does not have."""


_MISSING = _Missing()
_TEXTS = {str, type(None), _Missing}
_INTS = {int, type(None), _Missing}


class Columns:
    """The columns of one load: it turns rows into staged batches and remembers the fields' names as first spelled."""

    def __init__(self, order: WriteOrder) -> None:
        self.names: dict[str, str] = {}  # lower case -> as first spelled
        self.kinds: set[str] = set()  # the fields, as spelled, that ever had a value that is no text in JSON
        self._order = order
        self._only = order.needed if order.mode in (SyncMode.DELETE, SyncMode.HARD_DELETE) else None
        self._null = "" if order.nulls is Nulls.CLEAR else None
        self._shapes: dict[tuple[Any, ...], tuple[str, ...]] = {}

    def staged(self, batch: RowBatch) -> Iterator[tuple[pa.RecordBatch, Doubts]]:
        """The rows, some at a time, and which of them cannot be sent; those still have a place in the batch.

        Raises: FixConfig for a table with columns that cannot be sent at all.
        """
        rows = batch.rows
        if isinstance(rows, pa.RecordBatch):
            size = rows_for(FRAME_BYTES, rows, most=FRAME_ROWS)
            make: Callable[[Any, Sequence[int]], tuple[pa.RecordBatch, Doubts]] = self._of_arrow
        else:
            size, make = FRAME_ROWS, self._of_records
        for start in range(0, len(batch.numbers), size):
            part = rows.slice(start, size) if isinstance(rows, pa.RecordBatch) else rows[start : start + size]
            yield make(part, batch.numbers[start : start + size])

    # ---- Arrow

    def _of_arrow(self, batch: pa.RecordBatch, numbers: Sequence[int]) -> tuple[pa.RecordBatch, Doubts]:
        if (batch.schema.metadata or {}).get(b"halocline") == b"prepared":
            return self._of_prepared(batch, numbers), {}
        flat, doubts = flat_batch(batch), Doubts()
        columns: dict[str, pa.Array] = {ROW: pa.array(numbers, pa.int64())}
        for given, column in zip(flat.schema.names, flat.columns, strict=True):
            if self._only is not None and given.lower() != self._only.lower():
                continue
            name = self._named(given)
            decoded = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
            texts, bad = _texts_of(name, decoded)
            for index, message in bad:
                doubts.setdefault(index, _doubt(numbers[index], name, message))
            texts = self._judged(texts) if is_text(decoded.type) else texts
            columns[name] = texts if self._null is None else pc.fill_null(texts, self._null)
            self._mark(columns, name, kinds=_kind_of(decoded.type))
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns)), doubts

    def _of_prepared(self, batch: pa.RecordBatch, numbers: Sequence[int]) -> pa.RecordBatch:
        names = {name: self._named(name) for name in fields_of(batch.schema)}
        names |= {f"{given}{KIND}": f"{name}{KIND}" for given, name in names.items()}
        self.kinds |= {names[name].removesuffix(KIND) for name in batch.schema.names if name.endswith(KIND)}
        columns = [pa.array(numbers, pa.int64()), *batch.columns]
        return pa.RecordBatch.from_arrays(columns, names=[ROW, *(names[name] for name in batch.schema.names)])

    def _named(self, name: str) -> str:
        """The name as it was first spelled. Raises: FixConfig for what is no field's name."""
        try:
            _check_name(name)
        except CannotSpell as error:
            raise FixConfig("Reading the table", f"the column {name!r} cannot be sent: {error}") from error
        return self.names.setdefault(name.lower(), name)

    # ---- dicts

    def _of_records(self, rows: Sequence[Any], numbers: Sequence[int]) -> tuple[pa.RecordBatch, Doubts]:
        doubts = Doubts()
        values = self._by_field(rows, numbers, doubts=doubts)
        columns: dict[str, pa.Array] = {ROW: pa.array(numbers, pa.int64())}
        for key, column in values.items():
            name = self.names[key]
            texts, kinds, bad = self._column(name, column)
            for index, message in bad:
                doubts.setdefault(index, _doubt(numbers[index], name, message))
            columns[name] = texts
            self._mark(columns, name, kinds=kinds)
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns)), doubts

    def _by_field(self, rows: Sequence[Any], numbers: Sequence[int], *, doubts: Doubts) -> dict[str, Sequence[object]]:
        """The values of each field, by its name in lower case; `_MISSING` where a row does not have it."""
        first = rows[0] if rows else {}
        if self._only is None and type(first) is dict and (names := self._shape(tuple(first))) is not None:
            shape = tuple(first)
            if len(names) == len(shape) and all(type(row) is dict and tuple(row) == shape for row in rows):
                columns = list(zip(*[row.values() for row in rows], strict=True))
                if not any(issubclass(kind, Mapping) for column in columns for kind in set(map(type, column))):
                    return dict(zip(names, columns, strict=True))
        flats, seen = list[Mapping[str, object]](), dict[str, None]()
        for index, row in enumerate(rows):
            try:
                flats.append(self._flat(row))
            except CannotSpell as error:
                flats.append({})
                doubts[index] = _doubt(numbers[index], error.field, str(error))
            seen.update(dict.fromkeys(flats[-1]))
        return {key: [flat.get(key, _MISSING) for flat in flats] for key in seen}

    def _flat(self, row: object) -> Mapping[str, object]:
        """The row under lower-case names.

        Raises: CannotSpell for what is no row, a name that comes twice or is none, a lookup by several keys.
        """
        if self._only is not None:
            return self._bare(row, self._only)
        if not isinstance(row, Mapping):
            raise CannotSpell("", f"a {type(row).__name__} is no row; a row is a mapping from names to values")
        values = tuple(row.values())
        names = self._shape(tuple(row))
        if names is not None and len(names) == len(values) and not any(isinstance(value, Mapping) for value in values):
            return dict(zip(names, values, strict=True))
        for name in row:
            if not isinstance(name, str):
                raise CannotSpell(str(name), f"{name!r} is no name of a field")
        flat = flat_record(row)
        for name in flat:
            _check_name(name)
        for name in flat:
            self.names.setdefault(name.lower(), name)
        return {name.lower(): value for name, value in flat.items()}

    def _bare(self, row: object, needed: str) -> Mapping[str, object]:
        """Only the id, which a row for a delete may also just be."""
        self.names.setdefault(needed.lower(), needed)
        if isinstance(row, str):
            return {needed.lower(): row}
        if not isinstance(row, Mapping):
            raise CannotSpell("", f"a {type(row).__name__} is no row; a row is a mapping with an {needed}, or a bare id")
        found = [value for name, value in row.items() if isinstance(name, str) and name.lower() == needed.lower()]
        if len(found) > 1:
            raise CannotSpell(needed, f"the field {needed} is given twice (names are the same in any case)")
        return {needed.lower(): found[0]} if found else {}

    def _shape(self, names: tuple[Any, ...]) -> tuple[str, ...] | None:
        """Rows with the same names are looked at once: the names in lower case, or None where each row needs a look."""
        known = self._shapes.get(names)
        if known is not None:
            return known
        try:
            told = tuple(flat_record(dict.fromkeys(names)))
            for name in told:
                _check_name(name)
        except (CannotSpell, AttributeError, TypeError):  # a name that is no text has no lower case
            return None
        for name in told:
            self.names.setdefault(name.lower(), name)
        if len(self._shapes) >= _SHAPES:
            self._shapes.clear()
        lower = self._shapes[names] = tuple(name.lower() for name in told)
        return lower

    def _column(self, name: str, values: Sequence[object]) -> tuple[pa.Array, int | pa.Array, list[tuple[int, str]]]:
        """The texts of one field, their kinds, and the rows whose value cannot be sent."""
        found = set(map(type, values))
        try:
            if found <= _TEXTS:
                return self._judged(self._array(values, found)), TEXT, []
            if found <= _INTS:
                texts = [int.__repr__(value) if type(value) is int else value for value in values]
                return self._array(texts, found), LITERAL, []
        except ValueError:  # half a character, or a number of thousands of digits: find the row
            pass
        return self._one_by_one(name, values)

    def _array(self, values: Sequence[object], found: set[type]) -> pa.Array:
        if type(None) in found or _Missing in found:
            values = [self._null if value is None else None if value is _MISSING else value for value in values]
        return pa.array(values, pa.string())

    def _one_by_one(self, name: str, values: Sequence[object]) -> tuple[pa.Array, int | pa.Array, list[tuple[int, str]]]:
        texts, kinds, bad = list[str | None](), bytearray(), list[tuple[int, str]]()
        for index, value in enumerate(values):
            text, kind = None, TEXT
            if value is None:
                text = self._null
            elif value is not _MISSING:
                try:
                    text, kind = _spelled(name, value)
                except ValueError as error:
                    bad.append((index, str(error)))
            if text is not None and kind == TEXT and isinstance(value, str):
                text = self._judged_text(text)
            texts.append(self._null if text == "" and kind == BYTES else text)
            kinds.append(kind)
        marks = pa.Array.from_buffers(pa.int8(), len(kinds), [None, pa.py_buffer(bytes(kinds))])
        return pa.array(texts, pa.string()), marks if any(kinds) else TEXT, bad

    # ---- what empty values mean

    def _judged(self, texts: pa.Array) -> pa.Array:
        """Texts of the source: the empty one is as null, that of `clears` is the order to clear."""
        clears = self._order.clears
        if self._null is None and clears != "" and pc.any(pc.equal(texts, "")).as_py():
            texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        return pc.if_else(pc.equal(texts, clears), "", texts) if clears else texts

    def _judged_text(self, text: str) -> str | None:
        if text == self._order.clears:
            return ""
        return self._null if text == "" else text

    def _mark(self, columns: dict[str, pa.Array], name: str, *, kinds: int | pa.Array) -> None:
        if isinstance(kinds, int) and kinds == TEXT:
            return
        columns[f"{name}{KIND}"] = pa.repeat(pa.scalar(kinds, pa.int8()), len(columns[ROW])) if isinstance(kinds, int) else kinds
        self.kinds.add(name)


def json_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Staged rows as JSON carries them: what is null is left out, what is empty is null."""
    found = []
    for name in fields_of(batch.schema):
        texts = batch.column(name).to_pylist()
        marks = batch.column(f"{name}{KIND}").to_pylist() if f"{name}{KIND}" in batch.schema.names else [TEXT] * len(texts)
        found.append([None if text is None else (name, _json(text, kind)) for text, kind in zip(texts, marks, strict=True)])
    return [json_record(dict(filter(None, row))) for row in zip(*found, strict=True)] if found else []


def _json(text: str, kind: int | None) -> object:
    if text == "":
        return None
    if kind == LITERAL:
        return json.loads(text)
    return number(Decimal(text)) if kind == DECIMAL else text


def _spelled(name: str, value: object) -> tuple[str, int]:
    """The text of a value and its kind. Raises: CannotSpell, or ValueError for a number of thousands of digits."""
    if isinstance(value, str):
        value.encode()
        return str.__str__(value), TEXT
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode(), BYTES
    kind = DECIMAL if isinstance(value, Decimal) else LITERAL if isinstance(value, (int, float)) else TEXT
    return cell(name, value), kind


def _texts_of(name: str, column: pa.Array) -> tuple[pa.Array, list[tuple[int, str]]]:
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type) or pa.types.is_fixed_size_binary(column.type):
        texts = [None if one is None else base64.b64encode(one).decode() or None for one in column.to_pylist()]
        return pa.array(texts, pa.string()), []
    return spelled_column(name, column)


def _kind_of(kind: pa.DataType) -> int:
    if pa.types.is_decimal(kind):
        return DECIMAL
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return BYTES
    return LITERAL if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind) else TEXT


def _check_name(name: str) -> None:
    """Raises: CannotSpell for what cannot be a field's name or a lookup by a key, and would spoil a whole sheet."""
    path, dot, key = name.partition(".")
    if not name or "\0" in name or not name.isprintable():
        raise CannotSpell(name, f"{name!r} is no name of a field")
    if dot and (not path.rpartition(":")[2] or not key or "." in key):
        raise CannotSpell(name, f"{name} is no lookup by a key; it looks like Account.Ext__c or User:Owner.Username")


def _doubt(row: int, name: str, message: str) -> RowResult:
    told = f"{name}: {message}" if name else message
    return not_sent(row, results.CANNOT_BE_SENT, message=told, fields=(name,) if name else ())


def not_in_bulk(batch: pa.RecordBatch, *, most_chars: int) -> pa.Array:
    """Which staged rows hold what no cell can: the text `#N/A`, a file, or a text of more than `most_chars` characters."""
    held = pa.repeat(pa.scalar(value=False), batch.num_rows)
    for name in fields_of(batch.schema):
        texts = batch.column(name)
        held = pc.or_(held, pc.fill_null(pc.equal(texts, CLEARED), fill_value=False))
        if (pc.max(pc.binary_length(texts)).as_py() or 0) > most_chars:
            held = pc.or_(held, pc.fill_null(pc.greater(pc.utf8_length(texts), most_chars), fill_value=False))
        if f"{name}{KIND}" in batch.schema.names:
            files = pc.equal(batch.column(f"{name}{KIND}"), BYTES)
            held = pc.or_(held, pc.fill_null(pc.and_(files, pc.not_equal(texts, "")), fill_value=False))
    return held
