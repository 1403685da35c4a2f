"""Whole batches at once, for jobs whose records have nothing unusual: the same outcome as one write after the other, much sooner.

Values are read a column at a time, keys are looked up with one statement, rows are written with one statement for each set of
fields. A row that is odd in any way - a value that is refused, a key that comes twice, a record that is not found - is left to
the careful writer, and so is a whole batch in which rows could influence each other. `quick_of` says for which jobs it is enough.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from halocline.emulator import ids
from halocline.emulator.bulk2.header import NULL, Column
from halocline.emulator.bulk2.writes import TRANSACTION_ROWS, Plan, write_transaction
from halocline.emulator.conversions import converter, trimmed
from halocline.emulator.derived import derivations
from halocline.emulator.errors import ApiError
from halocline.emulator.lookups import Lookups
from halocline.emulator.rules import Insistence
from halocline.emulator.store import id_as_name, named_by_id
from halocline.emulator.tables import columns, key_condition, quoted
from halocline.emulator.writing import Saved, Writer

if TYPE_CHECKING:
    from halocline.emulator.database import Database
    from halocline.emulator.objects import Field, SObject

PLAIN_TEXT = frozenset({"string", "textarea", "phone", "url"})  # kept as given but for blanks around it, up to their length
REMEMBERED = 50_000  # conversions of one column; then it starts anew, so that memory stays flat
STAMPS = ("LastModifiedDate", "SystemModstamp")
FEW_IDS = 1_000  # are made one by one sooner than pyarrow is loaded
_ABSENT: Final = object()  # an empty cell: the field is not mentioned
_ODD: Final = object()  # a value that is refused


class _Memo(dict[str, object]):
    """The stored values of one column's texts, each worked out once."""

    def __init__(self, column: Column, convert: Callable[[object], object]) -> None:
        super().__init__()
        self.looks_up = column.field.type == "reference"
        self._column = column
        self._convert = convert
        self.forget()

    def __missing__(self, text: str) -> object:
        self[text] = value = self._stored(text)
        return value

    def forget(self) -> None:
        """Start anew: what a lookup found may have changed since."""
        self.clear()
        self[""], self[NULL] = _ABSENT, None

    def _stored(self, text: str) -> object:
        try:
            value = self._convert(self._column.entry(text)[1])
        except ApiError:
            return _ODD
        return int(value) if isinstance(value, bool) else value


@dataclass(slots=True)
class _Batch:
    """The rows of one batch by column: stored values, `_ABSENT` for what is not mentioned. `odd` rows are for the careful writer.

    `targets` are the records that rows change: rowid, id and the key as stored.
    """

    rows: Sequence[Sequence[str]]
    values: dict[str, list[Any]]
    odd: set[int]
    targets: dict[int, tuple[int, str, object]] = field(default_factory=dict)

    def inserts(self) -> list[int]:
        """The rows that become new records."""
        return [at for at in range(len(self.rows)) if at not in self.odd and at not in self.targets]

    def mark(self, name: str, unwanted: object, *, rows: Iterable[int]) -> None:
        """Rows that have this value in a column are odd."""
        values = self.values[name]
        if unwanted in values:
            self.odd.update(at for at in rows if values[at] is unwanted)


class _InfluenceError(Exception):
    """Rows of the batch could influence each other, so that their order counts, or cannot be looked up together."""


class Quick:
    """Writes the batches of one job."""

    def __init__(self, writer: Writer, plan: Plan, *, whole: SObject, required: frozenset[str], unique: tuple[str, ...]) -> None:
        self._writer = writer
        self._store = writer.org.store
        self._plan = plan
        self._whole = whole
        self._required = required
        self._unique = unique
        self._memos = [_memo(writer, plan, column) for column in plan.columns]
        self._names = [column.field.name for column in plan.columns]
        self._key = {"insert": None, "update": "Id"}.get(plan.operation, plan.key)

    def write(self, rows: Sequence[Sequence[str]]) -> list[Saved] | None:
        """Write a batch and say of each row what became of it; None, and nothing is done, if it needs the careful writer."""
        if self._writer.org.locks or self._store.transactions:  # which may hold the values of unique fields
            return None
        try:
            with self._writer.alone(), self._store.database.together():
                batch = self._read(rows)
                self._find_targets(batch)
                self._check_unique(batch)
                return self._written(batch)
        except _InfluenceError:
            return None

    # -- reading ----------------------------------------------------------------------------------------------------------

    def _read(self, rows: Sequence[Sequence[str]]) -> _Batch:
        batch = _Batch(rows, {}, set())
        for column, memo, texts in zip(self._plan.columns, self._memos, zip(*rows, strict=True), strict=True):
            if memo is None:
                batch.values[column.field.name] = _texts(column.field, texts, batch.odd)
            else:
                batch.values[column.field.name] = _converted(memo, texts, batch.odd)
            if not column.field.nillable:
                batch.mark(column.field.name, None, rows=range(len(rows)))  # refused, or the default: not null in any case
        return batch

    def _find_targets(self, batch: _Batch) -> None:
        if self._key is None:
            self._check_required(batch, batch.inserts())
            return
        if self._key not in batch.values:
            raise _InfluenceError
        self._mark_doubles(batch, self._key)
        at_now = self._store.stamp()
        for at, rowid, record_id, stored, *stamps in self._found(self._key, batch.values[self._key]):
            if at in batch.targets or any(one is not None and one > at_now for one in stamps):
                batch.odd.add(at)
            batch.targets[at] = (rowid, record_id, stored)
        for at in batch.inserts():
            if not self._may_insert(batch.values[self._key][at]):
                batch.odd.add(at)
        self._check_required(batch, batch.inserts())

    def _may_insert(self, key: object) -> bool:
        """Whether a row whose key found nothing becomes a new record."""
        if self._plan.operation == "update":
            return False
        if self._key == "Id":
            return key is _ABSENT
        return key is not _ABSENT and key is not None

    def _check_required(self, batch: _Batch, inserts: list[int]) -> None:
        for name in self._required:
            if name in batch.values:
                batch.mark(name, None, rows=range(len(batch.rows)))
                batch.mark(name, _ABSENT, rows=inserts)
            else:
                batch.odd.update(inserts)

    def _check_unique(self, batch: _Batch) -> None:
        """Raises: _InfluenceError if a row wants a value that another record has now: a row before it may free it."""
        for name in self._unique:
            if name not in batch.values or name == self._key:
                continue
            self._mark_doubles(batch, name)
            for at, _, record_id, *_ in self._found(name, batch.values[name]):
                if self._key is None:
                    batch.odd.add(at)
                elif at not in batch.targets or batch.targets[at][1] != record_id:
                    raise _InfluenceError

    def _mark_doubles(self, batch: _Batch, name: str) -> None:
        """Rows that share a value are odd, as alike as a search may find them."""
        at = self._names.index(name)
        folded = [_folded(name, value, row[at]) for value, row in zip(batch.values[name], batch.rows, strict=True)]
        counted = Counter(folded)
        counted.pop(None, None)
        if len(counted) + folded.count(None) < len(folded):
            batch.odd.update(at for at, one in enumerate(folded) if one is not None and counted[one] > 1)

    def _found(self, name: str, values: list[Any]) -> list[tuple[Any, ...]]:
        """Live records by the value of a field: (index of the value, rowid, id, value as stored, stamps)."""
        field = next(column.field for column in self._plan.columns if column.field.name == name)
        found = key_condition(field, f"t.{quoted(name)}", value="j.value")
        stamps = "".join(f", t.{quoted(one)}" for one in STAMPS if self._whole.field(one))
        live = " WHERE t.IsDeleted = 0" if self._whole.field("IsDeleted") else ""
        sql = (
            f"SELECT j.key, t.rowid, t.Id, t.{quoted(name)}{stamps} FROM json_each(?) AS j "
            f"CROSS JOIN {quoted(self._whole.name)} AS t ON {found}{live}"
        )
        wanted = json.dumps([None if one is _ABSENT or one is _ODD else one for one in values], ensure_ascii=False)
        if "\\u0000" in wanted:  # a zero character ends a text in SQLite's JSON
            raise _InfluenceError
        return self._store.read(sql, (wanted,))

    # -- writing ----------------------------------------------------------------------------------------------------------

    def _written(self, batch: _Batch) -> list[Saved]:
        saved: list[Saved] = [_NOT_YET] * len(batch.rows)
        inserts = batch.inserts()
        for at, record_id in zip(inserts, self._insert(batch, inserts), strict=True):
            saved[at] = Saved(record_id, created=True)
        updates = [at for at in batch.targets if at not in batch.odd]
        self._update(batch, updates)
        for at in updates:
            saved[at] = Saved(batch.targets[at][1])
        for chunk in _by_transaction(batch.odd):
            outcomes = write_transaction(self._writer, self._plan, rows=[batch.rows[at] for at in chunk])
            for at, outcome in zip(chunk, outcomes, strict=True):
                saved[at] = outcome
        return saved

    def _insert(self, batch: _Batch, inserts: list[int]) -> list[str]:
        if not inserts:
            return []
        blank = self._blank()
        given = [name for name in self._names if name != "Id"]
        constants = {name: value for name, value in blank.items() if value is not None and name not in (*given, "Id")}
        serial = self._store.next_serial(self._whole, len(inserts))
        new_ids = _record_ids(self._whole.key_prefix, range(serial, serial + len(inserts)))
        filled = {name: _filled(_picked(batch.values[name], inserts), blank[name]) for name in given}
        if (named := named_by_id(self._whole)) is not None:
            filled[named] = _names_of(filled.get(named, repeat(None)), new_ids)
        names = ["Id", *filled, *constants]
        sql = f"INSERT INTO {quoted(self._whole.name)} ({', '.join(map(quoted, names))}) VALUES ({', '.join('?' * len(names))})"
        rows = zip(new_ids, *filled.values(), *map(repeat, constants.values()))  # noqa: B905 - the constants have no end
        self._store.database.writer.executemany(sql, rows)
        return new_ids

    def _blank(self) -> dict[str, object]:
        """What the store makes of a record that says nothing: defaults, audit fields. It is asked, and the record undone."""
        with _undone(self._store.database):
            record_id = self._store.insert(self._whole, {}, user_id=self._writer.user_id)
            row = self._store.row(self._whole, record_id) or {}
        named = named_by_id(self._whole)
        return row if named is None else {**row, named: None}

    def _update(self, batch: _Batch, updates: list[int]) -> None:
        at_now = self._store.stamp()
        touched = {"LastModifiedById": self._writer.user_id, **dict.fromkeys(STAMPS, at_now)}
        touched = {name: value for name, value in touched.items() if self._whole.field(name)}
        for names, chosen in self._by_fields(batch, updates):
            rowids = [batch.targets[at][0] for at in chosen]
            picked = [_picked(batch.values[name], chosen) for name in names]
            settings = ", ".join(f"{quoted(name)} = ?" for name in (*names, *touched))
            sql = f"UPDATE {quoted(self._whole.name)} SET {settings} WHERE rowid = ?"
            rows = zip(*picked, *map(repeat, touched.values()), rowids)  # noqa: B905 - the constants have no end
            self._store.database.writer.executemany(sql, rows)

    def _by_fields(self, batch: _Batch, updates: list[int]) -> Iterable[tuple[list[str], list[int]]]:
        """Rows to change, together with those that mention the same fields. A key that stays what it is need not be written."""
        key = batch.values[self._key] if self._key else []
        same = all(key[at] == batch.targets[at][2] for at in updates)
        names = [name for name in self._names if name != "Id" and not (same and name == self._key)]
        partial = [name for name in names if _ABSENT in batch.values[name]]
        groups: dict[tuple[bool, ...], list[int]] = {}
        for at in updates:
            groups.setdefault(tuple(batch.values[name][at] is _ABSENT for name in partial), []).append(at)
        for absent, chosen in groups.items():
            left_out = {name for name, is_absent in zip(partial, absent, strict=True) if is_absent}
            yield [name for name in names if name not in left_out], chosen


@contextmanager
def _undone(database: Database) -> Iterator[None]:
    """What is written in the block, which is inside another one, is undone at its end."""
    database.writer.execute("SAVEPOINT undone")
    try:
        yield
    finally:
        database.writer.execute("ROLLBACK TO undone")
        database.writer.execute("RELEASE undone")


_NOT_YET: Final = Saved(None)


def quick_of(writer: Writer, plan: Plan) -> Quick | None:
    """What writes a job's batches quickly; None for a job that needs the careful writer throughout.

    That is every job that deletes, and every object whose records are numbered, derived, or looked at by rules when saved.
    """
    org, sobject = writer.org, plan.sobject
    whole = org.store.catalog.get(sobject.name)
    if whole is None or plan.operation not in _FLAGS or not all(_is_plain(column, plan, whole) for column in plan.columns):
        return None
    allowed = all(sobject.overrides.get(flag) is not False for flag in _FLAGS[plan.operation])
    numbered = any(one.auto_number for one in columns(whole))
    if not allowed or numbered or whole.validation_rules or whole.duplicate_rules or derivations(whole) or writer.transaction:
        return None
    checked = org.rules.check(whole, record_id=None, insistence=Insistence()) is not None
    unique = tuple(one.name for one in columns(whole) if one.unique) if checked else ()
    return Quick(writer, plan, whole=whole, required=_required(writer, sobject), unique=unique)


_FLAGS = {"insert": ("createable",), "update": ("updateable",), "upsert": ("createable", "updateable")}


def _is_plain(column: Column, plan: Plan, whole: SObject) -> bool:
    """Whether the field may be written in every way that the job may have to, and what it looks up is not what the job writes."""
    one = column.field
    if one.type == "id":
        return plan.operation == "update" or (plan.operation == "upsert" and plan.key == "Id")
    if one.is_compound or one.calculated or (column.parent is not None and column.parent == whole.name):
        return False
    return all(getattr(one, flag) for flag in _FLAGS[plan.operation])


def _required(writer: Writer, sobject: SObject) -> frozenset[str]:
    """The fields without which no record is saved: those that a record without any is said to lack."""
    try:
        writer.org.checks.stored(sobject, {}, new=True)
    except ApiError as refusal:
        return frozenset(refusal.fields or ())
    return frozenset()


def _memo(writer: Writer, plan: Plan, column: Column) -> _Memo | None:
    """How a column's texts become stored values; None for those that are stored as they are."""
    one = column.field
    lookups = Lookups(writer.org.store)
    if column.parent is not None:
        return _Memo(column, lookups.by_key(plan.sobject, one))
    if one.type == "reference":
        return _Memo(column, lookups.by_id(plan.sobject, one))
    if one.type == "id":
        return _Memo(column, lambda value: value)
    return None if one.type in PLAIN_TEXT else _Memo(column, converter(one))


def _texts(one: Field, texts: Sequence[str], odd: set[int]) -> list[object]:
    kept = [trimmed(text) for text in texts]
    if one.length and max(map(len, kept), default=0) > one.length:
        odd.update(at for at, text in enumerate(kept) if len(text) > one.length)
    if "" in kept or NULL in texts:
        return [_ABSENT if not text else None if text == NULL else word or None for text, word in zip(texts, kept, strict=True)]
    return list(kept)


def _converted(memo: _Memo, texts: Sequence[str], odd: set[int]) -> list[object]:
    if memo.looks_up or len(memo) > REMEMBERED:
        memo.forget()
    values = [memo[text] for text in texts]
    if _ODD in values:
        odd.update(at for at, value in enumerate(values) if value is _ODD)
    return values


def _folded(name: str, value: object, text: str) -> object:
    """What is alike for all values that a search for one of them may find; None for what no search finds."""
    if value is _ABSENT or value is None:
        return None
    if name == "Id":
        return text[:15]
    return trimmed(text).lower() if value is _ODD or isinstance(value, str) else value


def _filled(values: Sequence[object], default: object) -> Sequence[object]:
    return [default if value is _ABSENT else value for value in values] if _ABSENT in values else values


def _names_of(given: Iterable[object], new_ids: Sequence[str]) -> list[object]:
    return [id_as_name(one) if name is None else name for one, name in zip(new_ids, given, strict=False)]


def _picked(values: list[object], rows: list[int]) -> list[object]:
    return values if len(rows) == len(values) else [values[at] for at in rows]


def _by_transaction(rows: Iterable[int]) -> list[list[int]]:
    """Rows in order, those of one transaction together."""
    chunks: dict[int, list[int]] = {}
    for at in sorted(rows):
        chunks.setdefault(at // TRANSACTION_ROWS, []).append(at)
    return list(chunks.values())


def _record_ids(prefix: str, serials: range) -> list[str]:
    if len(serials) < FEW_IDS:
        return [ids.record_id(prefix, serial) for serial in serials]
    import pyarrow as pa  # it is only wanted where there is much

    from halocline.emulator.seeding.id_columns import record_ids

    found: list[str] = record_ids(prefix, pa.array(serials)).to_pylist()
    return found
