"""Staging: rows are put aside on disk as texts, each value as Bulk takes it, but for the rows that can never be sent.

    dicts     a missing key leaves the field; names are the same in any case, and columns grow as new names appear
    Arrow     whole columns at a time
    prepared  rows that were staged before and come back, as `Prepared.rows` hands them out

Nulls and empty texts clear the field or leave it, as the order says; both mean the same in dicts and in Arrow. A row can never
be sent without its key, with an id that is none, with nothing to say, or saying two things, nor with a text that its field does
not hold (typed.py). Memory holds two numbers for each row and a few thousand rows, however many there are. What follows when all
rows are there is planning.py.
"""

from __future__ import annotations

import base64
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.salesforce import results
from halocline.connectors.salesforce.cells import (
    anywhere,
    flat_batch,
    is_text,
    places,
    refuse_strange_records,
    spelled_column,
    without_strange_structs,
)
from halocline.connectors.salesforce.collections import AN_ID
from halocline.connectors.salesforce.results import not_sent
from halocline.connectors.salesforce.spelling import CannotSpell, cell, flat_record
from halocline.connectors.salesforce.writing import parents
from halocline.connectors.salesforce.writing.cargo import PLAN_FILE, Prepared
from halocline.connectors.salesforce.writing.folding import column_of, hashed
from halocline.connectors.salesforce.writing.frames import (
    BYTES,
    DAY,
    DECIMAL,
    FRAME_BYTES,
    FRAME_ROWS,
    KIND,
    LITERAL,
    ROW,
    TEXT,
    Digest,
    Frames,
    fields_of,
    joined,
    rows_for,
    type_of,
)
from halocline.connectors.salesforce.writing.parents import relationship, sharing
from halocline.connectors.salesforce.writing.planning import STAGED, Planning
from halocline.connectors.salesforce.writing.typed import typed, types_of
from halocline.errors import FixConfig, StorageFailed
from halocline.outcome import RowResult
from halocline.push.destination import RowBatch
from halocline.push.keys import alike
from halocline.push.order import DELETES, Nulls, SyncMode, WriteOrder
from halocline.push.texts import text_fields
from halocline.spool import IN_HOME, storage

_SHAPES = 4_096  # sets of names that are remembered; rows that all differ must not fill the memory
NOTHING_TO_SEND = "NOTHING_TO_SEND"  # ours: the row changes nothing
_ONLY_AN_ID = rf"\A{AN_ID}\z"
_SHOWN_CHARS = 40


class Staging:
    """Rows on their way into a folder. `describe` is the object's describe, for types and references ({} where it is not known).

    Raises: StorageFailed for a folder that holds a plan already: what is planned there may have been sent.
    """

    def __init__(self, order: WriteOrder, folder: Path, *, describe: Mapping[str, Any]) -> None:
        if (folder / PLAN_FILE).exists():
            raise StorageFailed(f"Staging rows in {folder}", "there is a plan already", hint="Open it, or take another folder.")
        self._order, self._folder, self._describe = order, folder, describe
        with storage(f"Making the folder {folder}", room=IN_HOME):
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            for sheet in folder.glob("sheet-*.csv"):  # of a planning that died
                sheet.unlink()
        self._columns = _Columns(order, parents.Nesting(describe))
        self._types, self._texts = types_of(describe), text_fields(describe)
        self._alike = alike(describe, order.needed)
        self._prefix = str(describe.get("keyPrefix") or "") if order.mode in DELETES else ""
        self._filled: dict[str, None] = {}  # the fields, in order, that any staged row has
        self._staged = Frames(folder / STAGED)
        self._waiting: list[pa.RecordBatch] = []
        self._digest = Digest()
        self._hashes = array("q")

    def stage(self, batch: RowBatch) -> Sequence[RowResult]:
        """Put rows aside; the answer tells those that can never be sent, and they are not put aside.

        Raises: FixConfig for a table with columns that cannot be sent at all; StorageFailed.
        """
        refused: list[RowResult] = []
        for spelled, unspelled in self._columns.staged(batch):
            judged, mistyped = typed(spelled, self._types, texts=self._texts)
            staged = _settled(judged, parents.targets(fields_of(spelled.schema), self._describe))
            doubts = {**mistyped, **_doubts_of(staged, self._order, prefix=self._prefix), **unspelled}
            refused += (doubts[place] for place in sorted(doubts))
            self._put(_without(staged, doubts))
        return refused

    def finish(self) -> Prepared:
        """Plan the rows that are staged, and make that durable. Called once, after the last `stage`.

        Raises: StorageFailed.
        """
        self._flush()
        self._staged.finish()
        names = list(self._filled)
        marks = [f"{name}{KIND}" for name in names if name in self._columns.kinds]
        schema = pa.schema([(name, type_of(name)) for name in (ROW, *names, *marks)])
        planning = Planning(self._order, self._staged, describe=self._describe, schema=schema)
        hashes, self._hashes = self._hashes, array("q")
        planning.run(column_of(hashes), digest=self._digest.text())
        prepared = Prepared.open(self._folder)
        assert prepared is not None, "the plan was just written"
        return prepared

    def _put(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        self._waiting.append(batch)
        held = sum(one.num_rows for one in self._waiting)
        if held >= FRAME_ROWS or sum(one.nbytes for one in self._waiting) >= FRAME_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Write the rows that wait: few large batches are read faster than many small ones."""
        if not self._waiting:
            return
        batch = joined(self._waiting)
        self._waiting = []
        self._digest.add(batch)
        for name in fields_of(batch.schema):
            if name not in self._filled and batch.column(name).null_count < batch.num_rows:
                self._filled[name] = None
        if self._order.needed is not None:
            key = self._columns.names[self._order.needed.lower()]
            self._hashes += hashed(self._alike.common(batch.column(key)))
        self._staged.append(batch)


_Doubts: TypeAlias = dict[int, RowResult]
"""Rows of a batch that cannot be sent, by their place in it."""


class _Missing:
    """A key that a row does not have."""


_MISSING = _Missing()
_TEXTS = {str, type(None), _Missing}
_INTS = {int, type(None), _Missing}


class _Columns:
    """The columns of one load: it turns rows into staged batches and remembers the fields' names as first spelled."""

    def __init__(self, order: WriteOrder, nesting: parents.Nesting) -> None:
        self.names: dict[str, str] = {}  # lower case -> as first spelled
        self.kinds: set[str] = set()  # the fields, as spelled, that ever had a value that is no text in JSON
        self._order = order
        self._nesting = nesting
        self._only = order.needed if order.mode in (SyncMode.DELETE, SyncMode.HARD_DELETE) else None
        self._null = "" if order.nulls is Nulls.CLEAR else None
        self._shapes: dict[tuple[Any, ...], tuple[str, ...]] = {}

    def staged(self, batch: RowBatch) -> Iterator[tuple[pa.RecordBatch, _Doubts]]:
        """The rows, some at a time, and which of them cannot be sent; those still have a place in the batch.

        Raises: FixConfig for a table with columns that cannot be sent at all.
        """
        rows = batch.rows
        if isinstance(rows, pa.RecordBatch):
            size = rows_for(FRAME_BYTES, rows, most=FRAME_ROWS)
            make: Callable[[Any, Sequence[int]], tuple[pa.RecordBatch, _Doubts]] = self._of_arrow
        else:
            size, make = FRAME_ROWS, self._of_records
        for start in range(0, len(batch.numbers), size):
            part = rows.slice(start, size) if isinstance(rows, pa.RecordBatch) else rows[start : start + size]
            yield make(part, batch.numbers[start : start + size])

    # ---- Arrow

    def _of_arrow(self, batch: pa.RecordBatch, numbers: Sequence[int]) -> tuple[pa.RecordBatch, _Doubts]:
        if (batch.schema.metadata or {}).get(b"halocline") == b"prepared":
            return self._of_prepared(batch, numbers), {}
        flat, doubts = flat_batch(self._nested(batch)), _Doubts()
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

    def _nested(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch without the `attributes` of rows that were queried. Raises: FixConfig for a struct that is no lookup."""
        return without_strange_structs(batch, self._nesting.refusal if self._only is None else anywhere)

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

    def _of_records(self, rows: Sequence[Any], numbers: Sequence[int]) -> tuple[pa.RecordBatch, _Doubts]:
        doubts = _Doubts()
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

    def _by_field(self, rows: Sequence[Any], numbers: Sequence[int], *, doubts: _Doubts) -> dict[str, Sequence[object]]:
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
        refuse_strange_records(row, self._nesting.refusal)
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


def _spelled(name: str, value: object) -> tuple[str, int]:
    """The text of a value and its kind. Raises: CannotSpell, or ValueError for a number of thousands of digits."""
    if isinstance(value, str):
        value.encode()
        return str.__str__(value), TEXT
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode(), BYTES
    if isinstance(value, date) and not isinstance(value, datetime):
        return cell(name, value), DAY
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
    if pa.types.is_date(kind):
        return DAY
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


def _doubts_of(batch: pa.RecordBatch, order: WriteOrder, *, prefix: str) -> dict[int, RowResult]:
    """The rows that can never be sent, by their place in the batch, each with the first reason found.

    `prefix`: how ids of records to delete begin, "" where any may.
    """
    found: dict[int, RowResult] = {}
    needed = order.needed
    key = None if needed is None else next((name for name in fields_of(batch.schema) if name.lower() == needed.lower()), None)
    numbers = batch.column(ROW)
    checks = [
        _without_key(batch, needed, key=key),
        _no_ids(batch, key),
        _others(batch, key, prefix=prefix),
        _says_nothing(batch, order, key=key),
        _says_two(batch),
    ]
    for index, code, message, fields in (told for check in checks for told in check):
        if index not in found:
            found[index] = not_sent(numbers[index].as_py(), code, message=message, fields=fields)
    return found


def _without(batch: pa.RecordBatch, doubts: Iterable[int]) -> pa.RecordBatch:
    """The batch less the rows at these places."""
    bad = set(doubts)
    return batch.take(pa.array([n for n in range(batch.num_rows) if n not in bad], pa.int64())) if bad else batch


def _settled(batch: pa.RecordBatch, targets: Mapping[str, str]) -> pa.RecordBatch:
    """The batch without orders to clear what another column of the row sets: a null in `AccountId` beside an `Account.Ext__c`.

    `targets` says which field each column sets.
    """
    for names in sharing({name: targets[name] for name in fields_of(batch.schema)}):
        some = pa.repeat(pa.scalar(value=False), batch.num_rows)
        for name in names:
            some = pc.or_(some, _is_set(batch.column(name)))
        for name in names:
            texts = batch.column(name)
            idle = pc.and_(some, pc.fill_null(pc.equal(texts, ""), fill_value=False))
            kept = pc.if_else(idle, pa.scalar(None, pa.string()), texts)
            batch = batch.set_column(batch.schema.get_field_index(name), name, kept)
    return batch


_Told = tuple[int, str, str, tuple[str, ...]]  # place, code, message, fields


def _without_key(batch: pa.RecordBatch, needed: str | None, *, key: str | None) -> Iterator[_Told]:
    if needed is None:
        return
    bad = range(batch.num_rows) if key is None else places(pc.fill_null(pc.equal(batch.column(key), ""), fill_value=True))
    for index in bad:
        yield index, results.MISSING_KEY, f"{needed} is missing or empty; the row was not sent", (needed,)


def _no_ids(batch: pa.RecordBatch, key: str | None) -> Iterator[_Told]:
    if key is None or key.lower() != "id":
        return
    ids = batch.column(key)
    for index in places(pc.invert(pc.match_substring_regex(ids, _ONLY_AN_ID))):
        shown = ids[index].as_py()[:_SHOWN_CHARS]
        yield index, results.CANNOT_BE_SENT, f"{shown!r} is no id of a record", (key,)


def _others(batch: pa.RecordBatch, key: str | None, *, prefix: str) -> Iterator[_Told]:
    """A call that deletes names no object: Salesforce deletes whatever the ids are of, where a job of Bulk refuses them.

    Source: REST API Developer Guide, "Delete Multiple Records": the records may be of different objects. Read November 2026.
    """
    if key is None or not prefix:
        return
    ids = batch.column(key)
    for index in places(pc.invert(pc.fill_null(pc.starts_with(ids, prefix), fill_value=True))):
        shown = ids[index].as_py()[:_SHOWN_CHARS]
        yield (
            index,
            results.CANNOT_BE_SENT,
            f"{shown!r} is a record of another object: ids of this one begin with {prefix}",
            (key,),
        )


def _says_nothing(batch: pa.RecordBatch, order: WriteOrder, *, key: str | None) -> Iterator[_Told]:
    """An update needs a field beside its id, an insert any; an upsert's key alone makes sure that the record is there."""
    if order.mode not in (SyncMode.INSERT, SyncMode.UPDATE):
        return
    said = [batch.column(name) for name in fields_of(batch.schema) if name != key]
    some = pa.repeat(pa.scalar(value=False), batch.num_rows)
    for column in said:
        some = pc.or_(some, pc.is_valid(column))
    what = "create a record with" if order.mode is SyncMode.INSERT else "change"
    for index in places(pc.invert(some)):
        yield index, NOTHING_TO_SEND, f"the row has no values to {what}; nothing was sent for it", ()


def _says_two(batch: pa.RecordBatch) -> Iterator[_Told]:
    """A record can look its parent up by one key only: in JSON the two would stand in one place."""
    for names in sharing({name: relationship(name) or name.lower() for name in fields_of(batch.schema)}):
        count = pa.repeat(pa.scalar(0, pa.int8()), batch.num_rows)
        for name in names:
            count = pc.add(count, _is_set(batch.column(name)).cast(pa.int8()))
        for index in places(pc.greater(count, 1)):
            message = f"{' and '.join(names)} are given; a lookup names one key of the other object"
            yield index, results.CANNOT_BE_SENT, message, tuple(names)


def _is_set(texts: pa.Array) -> pa.Array:
    return pc.fill_null(pc.not_equal(texts, ""), fill_value=False)
