"""The org's data: one SQLite table per sObject, with Salesforce's ids, audit stamps, recycle bin and late commits.

Copies of a store (`copy.copy`) with another `catalog` are views of the same data.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from halocline.emulator import formulas, ids, tables
from halocline.emulator.clock import Clock, stamp
from halocline.emulator.database import Database, Write
from halocline.emulator.derived import Derivation, Save, derivations, derived
from halocline.emulator.objects import Catalog, Field, SObject
from halocline.emulator.recycle_bin import RecycleBin
from halocline.emulator.tables import quoted
from halocline.emulator.transactions import Transactions, taken

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class _Form:
    """What every record of one object has in common: its columns with their defaults, and the statements made of them."""

    sobject: SObject
    names: tuple[str, ...]
    blank: Mapping[str, object]
    auto_numbers: tuple[Field, ...]
    unique: tuple[Field, ...]
    named_by_id: str | None  # the name field of a custom object, if it is a text
    derivations: tuple[Derivation, ...]
    insert: str
    select: str


_OUTSIDE: AbstractContextManager[None] = nullcontext()

Check: TypeAlias = Callable[[Mapping[str, object], Collection[str]], None]


class Store:
    """An org's records. Values go in and come out as stored values: text, bool, int, float, stamps as `...T08:30:00.000Z`.

    `path` None means a private temporary file, deleted by `close`. Names of fields are taken in any case. A `check` given to a
    write sees the whole row and the names that change; what it raises undoes the write.
    """

    def __init__(self, catalog: Catalog, path: Path | None = None, *, clock: Clock | None = None) -> None:
        self.catalog = formulas.bound(catalog)
        self.clock = clock or Clock()
        self.database = Database(path)
        self.path = self.database.path
        self.transactions = Transactions(self.database, self.clock)
        self._indexes: set[str] = set()
        self._forms: dict[str, _Form] = {}
        self.bin = RecycleBin(self)
        try:
            self.database.apply([self._lay_out])
        except BaseException:
            self.database.close()
            raise

    # -- records -------------------------------------------------------------------------------------------------------

    def insert(
        self,
        sobject: SObject,
        values: Mapping[str, object],
        *,
        user_id: str,
        stamp: str | None = None,
        transaction: str | None = None,
        check: Check | None = None,
    ) -> str:
        """Add a record and return its id.

        Id, audit fields, IsDeleted, defaults, auto-numbers, OwnerId, a custom object's name and what follows from other fields
        are filled in where `values` has none. Inside a `transaction` the row gets its stamp now; others see it after the commit.
        Raises: KeyError for a field that the object does not have; sqlite3.IntegrityError for an id that exists.
        """
        form = self._form(sobject)
        with self.inside(transaction), self.database.block():
            row = self._new_row(form, _columns_of(form, values), user_id, stamp or self.stamp())
            if check is not None:
                check(row, values.keys())
            self.run(form.insert, tuple(row.values()))
            if self.transactions.is_at_work:
                again = partial(self.run, form.insert, tuple(row.values()))
                self.transactions.note(again, taken(sobject, form.unique, row=row))
        return str(row["Id"])

    def update(
        self,
        sobject: SObject,
        record_id: str,
        values: Mapping[str, object],
        *,
        user_id: str,
        stamp: str | None = None,
        transaction: str | None = None,
        check: Check | None = None,
    ) -> None:
        """Change a record's fields and move its LastModified fields and SystemModstamp; what follows from the fields follows.

        Raises: KeyError for an unknown field or an unknown id.
        """
        at, form = stamp or self.stamp(), self._form(sobject)
        changes = {**_touched(sobject, user_id, at), **_columns_of(form, values)}
        with self.inside(transaction), self.database.block():
            self._change(sobject, record_id, changes, given=values.keys(), at=at, check=check)
            if self.transactions.is_at_work:
                # Nothing is checked again at the commit: what a transaction holds is refused to others meanwhile.
                again = partial(self._change, sobject, record_id, changes, given=values.keys(), at=at, check=None)
                self.transactions.note(again, taken(sobject, form.unique, row={"Id": record_id, **changes}))

    def delete(
        self, sobject: SObject, record_id: str, *, user_id: str, stamp: str | None = None, transaction: str | None = None
    ) -> None:
        """Move a record to the recycle bin, with its children by cascading references; other references to it are cleared.

        Raises: KeyError for an unknown id.
        """
        self.bin.prepare(sobject)
        with self.inside(transaction), self.database.together():
            touched = _touched(sobject, user_id, stamp or self.stamp())
            self._write(lambda: self.bin.put(sobject, record_id, touched=touched))

    def undelete(self, sobject: SObject, record_id: str, *, user_id: str, stamp: str | None = None) -> None:
        """Take a record out of the recycle bin, with the children that went there with it; references to it come back.

        Raises: KeyError for an unknown id.
        """
        self.bin.prepare(sobject)
        with self.database.together():
            touched = _touched(sobject, user_id, stamp or self.stamp())
            self._write(lambda: self.bin.take(sobject, record_id, touched=touched))

    def purge(self, sobject: SObject, record_id: str) -> None:
        """Remove a record for good, with its children by cascading references; `deleted_between` still lists them.

        An unknown id is left alone.
        """
        self.bin.prepare(sobject)
        with self.database.together():
            self._write(lambda: self.bin.purge(sobject, record_id))

    def empty_bin(self) -> int:
        """Purge every deleted record and return how many there were."""
        found = [(s, one) for s in self.catalog if s.field("IsDeleted") for one in self._deleted_ids(s)]
        with self.database.together():
            for sobject, record_id in found:
                self.purge(sobject, record_id)
        return len(found)

    def presence(self, sobject: SObject, record_id: str) -> bool | None:
        """Whether the record is live: True, in the recycle bin: False, or nowhere: None."""
        deleted = "IsDeleted" if sobject.field("IsDeleted") else "0"
        found = self.read(f"SELECT {deleted} FROM {quoted(sobject.name)} WHERE Id = ?", (record_id,))
        return not found[0][0] if found else None

    def ids_with(self, sobject: SObject, field: Field, *, value: object) -> list[str]:
        """Ids of live records that a value finds, which is not null; the case of letters counts as `is_caseless_key` says."""
        live = " AND IsDeleted = 0" if sobject.field("IsDeleted") else ""
        found = tables.key_condition(field, quoted(field.name), value="?1")
        sql = f"SELECT Id FROM {quoted(sobject.name)} WHERE {found}{live} ORDER BY rowid"
        return [row[0] for row in self.read(sql, (_stored(value),))]

    def get(self, sobject: SObject, record_id: str) -> dict[str, object] | None:
        """The record's stored values under canonical names, formulas computed, deleted rows too; None if there is none."""
        found = self._select(sobject, "Id = ?", (record_id,))
        return found[0] if found else None

    def find(self, sobject: SObject, field: str, value: object) -> list[dict[str, object]]:
        """Live records whose field has that value (None for null); text is matched as SOQL's `=` does, case aside.

        Raises: KeyError for an unknown field.
        """
        column = tables.expression(sobject, _field(sobject, field), "t")
        live = " AND t.IsDeleted = 0" if sobject.field("IsDeleted") else ""
        return self._select(sobject, f"{column} IS ?{live} ORDER BY t.rowid", (_stored(value),))

    def count(self, sobject: SObject, *, all_rows: bool = False) -> int:
        """How many records there are, with those in the recycle bin if `all_rows`."""
        where = "" if all_rows or not sobject.field("IsDeleted") else " WHERE IsDeleted = 0"
        return int(self.read(f"SELECT COUNT(*) FROM {quoted(sobject.name)}{where}")[0][0])

    def deleted_between(self, sobject: SObject, start: str, end: str) -> list[tuple[str, str]]:
        """(id, deletion stamp) of records deleted at or after `start` and before `end`, purged ones included, oldest first."""
        sql = "SELECT Id, DeletedDate FROM _purged WHERE SObject = ?1 AND DeletedDate >= ?2 AND DeletedDate < ?3"
        moved = tables.stamp_field(sobject)
        if sobject.field("IsDeleted") and moved:
            binned = f"SELECT Id, {moved} FROM {quoted(sobject.name)} WHERE IsDeleted = 1 AND {moved} >= ?2 AND {moved} < ?3"
            sql = f"{sql} UNION ALL {binned}"
        return [(str(r[0]), str(r[1])) for r in self.read(f"{sql} ORDER BY 2, 1", (sobject.name, start, end))]

    def updated_between(self, sobject: SObject, start: str, end: str) -> list[str]:
        """Ids of live records whose stamp is at or after `start` and before `end`, oldest first; none if there are no stamps."""
        moved = tables.stamp_field(sobject)
        if moved is None:
            return []
        live = " AND IsDeleted = 0" if sobject.field("IsDeleted") else ""
        sql = f"SELECT Id FROM {quoted(sobject.name)} WHERE {moved} >= ? AND {moved} < ?{live}"
        return [str(r[0]) for r in self.read(sql + f" ORDER BY {moved}, Id", (start, end))]

    # -- transactions ---------------------------------------------------------------------------------------------------

    def begin(self) -> str:
        """Open a transaction: its writes are stamped when made and seen by others only after `commit`."""
        return self.transactions.begin()

    def inside(self, transaction: str | None) -> AbstractContextManager[None]:
        """What this thread reads and writes until the block ends is part of an open transaction; None is no transaction.

        Raises: KeyError for a transaction that is not open.
        """
        # An index that was made inside goes with the rest.
        return _OUTSIDE if transaction is None else self.transactions.inside(transaction, undone=self._indexes.clear)

    def commit(self, transaction: str) -> None:
        """Make a transaction's writes visible, all or none. A write on a record that was purged meanwhile has no effect.

        Raises: KeyError for a transaction that is not open.
        """
        self.transactions.commit(transaction)

    def rollback(self, transaction: str) -> None:
        """Forget a transaction's writes. Raises: KeyError for a transaction that is not open."""
        self.transactions.rollback(transaction)

    def forget_open_work(self) -> None:
        """Roll every open transaction back, and look at the file again before an index is taken for granted."""
        with self.database.lock:
            self.transactions.clear()
            self._indexes.clear()

    def latest_date_covered(self) -> str:
        """The stamp before which nothing will appear any more: the start of the oldest open transaction, else now.

        Source: SOAP API Developer Guide, getUpdated(), `latestDateCovered`.
        """
        return stamp(self.transactions.oldest() or self.clock.now())

    # -- serials and seeding ----------------------------------------------------------------------------------------------

    def next_serial(self, sobject: SObject, count: int = 1) -> int:
        """The first of `count` serials for record ids, which no other call will return."""
        with self.database.lock:
            return self._next(sobject.name, count)

    def bulk_insert(self, sobject: SObject, batches: Iterable[pa.RecordBatch]) -> int:
        """Add many complete rows (Id and audit fields included; columns named as fields) and return how many.

        The serial counters move past the ids and auto-numbers that come in. Formula columns are ignored, missing ones stay null.
        Raises: KeyError for a column that is no field; sqlite3.IntegrityError for an id that exists (nothing is kept then).
        """
        from halocline.emulator.arrow import load  # pyarrow and ADBC are only wanted on the bulk paths

        with self.database.lock, tempfile.TemporaryDirectory(prefix="halocline-load-", dir=self.path.parent) as folder:
            side = Path(folder) / "load.sqlite"
            names = load(side, batches)
            return self._take_over(sobject, side, names) if names else 0

    # -- reading, for the query engine ------------------------------------------------------------------------------------

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a SELECT, seen as one state of the data."""
        return self.database.read(sql, values)

    def ensure_index(self, sobject: SObject, field: Field) -> None:
        """Make the index on `field` that a query or a cascade is about to use, unless it exists."""
        name, statement = tables.lazy_index_statement(sobject, field)
        if name not in self._indexes:
            self.database.apply([lambda: self.run(statement)])
            self._indexes.add(name)

    def stamp(self) -> str:
        """The org's time, as audit fields keep it."""
        return stamp(self.clock.now())

    def run(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run a statement as part of a write that is under way."""
        return self.database.writer.execute(sql, values)

    def close(self) -> None:
        """Close every connection; a temporary file is deleted. May be repeated."""
        self.database.close()

    # -- private: layout ----------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.run("CREATE TABLE IF NOT EXISTS _serials (Name TEXT PRIMARY KEY, Next INTEGER NOT NULL)")
        self.run("CREATE TABLE IF NOT EXISTS _purged (SObject TEXT NOT NULL, Id TEXT NOT NULL, DeletedDate TEXT NOT NULL)")
        self.run("CREATE INDEX IF NOT EXISTS _purged_by_date ON _purged (SObject, DeletedDate)")
        self.bin.lay_out()
        for sobject in self.catalog:
            self._lay_out_table(sobject)
        for child, link in formulas.roll_up_links(self.catalog):
            self.run(tables.lazy_index_statement(child, link)[1])
        self._try_computed()

    def _lay_out_table(self, sobject: SObject) -> None:
        present = {str(r[1]).lower() for r in self.run(f"PRAGMA table_info({quoted(sobject.name)})")}
        if not present:
            self.run(tables.table_statement(sobject))
        for field in tables.columns(sobject) if present else ():
            if field.name.lower() not in present:
                self.run(f"ALTER TABLE {quoted(sobject.name)} ADD COLUMN {tables.column_definition(field)}")
        self._make_indexes(sobject)

    def _try_computed(self) -> None:
        """Raises: ValueError for a formula that SQLite does not understand."""
        for sobject in self.catalog:
            for field in sobject.stored_fields():
                if not tables.has_column(field):
                    try:
                        self.run(f"SELECT {tables.expression(sobject, field, 't')} FROM {quoted(sobject.name)} AS t LIMIT 0")
                    except sqlite3.Error as reason:
                        raise ValueError(f"{sobject.name}.{field.name}: {reason}") from reason

    def _make_indexes(self, sobject: SObject) -> None:
        for _, statement in tables.index_statements(sobject):
            self.run(statement)

    # -- private: writing -------------------------------------------------------------------------------------------------

    def _write(self, write: Write) -> None:
        write()
        if self.transactions.is_at_work:
            self.transactions.note(write, {})

    def _form(self, sobject: SObject) -> _Form:
        form = self._forms.get(sobject.name)
        if form is None or form.sobject is not sobject:
            form = self._forms[sobject.name] = _form_of(sobject)
        return form

    def _new_row(self, form: _Form, given: dict[str, object], user_id: str, at: str) -> dict[str, object]:
        sobject = form.sobject
        row = {**form.blank, **_audit(form.blank, user_id, at), **given}
        if row["Id"] is None:
            row["Id"] = ids.record_id(sobject.key_prefix, self.next_serial(sobject))
        else:
            self._pass_id(sobject, str(row["Id"]))
        for field in form.auto_numbers:
            if row[field.name] is None:
                row[field.name] = _numbered(field.auto_number or "", self._next(f"{sobject.name}.{field.name}", 1) + 1)
        if form.named_by_id is not None and row[form.named_by_id] is None:
            row[form.named_by_id] = id_as_name(str(row["Id"]))
        if form.derivations:
            row |= derived(sobject, Save(row, None, given.keys(), at, self._any_row), by=form.derivations)
        return row

    def _change(
        self,
        sobject: SObject,
        record_id: str,
        changes: dict[str, object],
        *,
        given: Collection[str],
        at: str,
        check: Check | None,
    ) -> None:
        form, before = self._form(sobject), self.row(sobject, record_id)
        if before is None:
            raise KeyError(f"{sobject.name} {record_id} does not exist")
        changes = {**changes, **_not_backwards(before, changes)}
        row = {**before, **changes}
        if form.derivations:
            follows = derived(sobject, Save(row, before, changes.keys(), at, self._any_row), by=form.derivations)
            changes, row = {**changes, **follows}, {**row, **follows}
        if check is not None:
            check(row, given)
        self.set(sobject, record_id, changes=changes)

    def set(self, sobject: SObject, record_id: str, *, changes: Mapping[str, object]) -> None:
        """Write these columns of a record, nothing else; part of a write that is under way."""
        settings = ", ".join(f"{quoted(n)} = ?" for n in changes)
        self.run(f"UPDATE {quoted(sobject.name)} SET {settings} WHERE Id = ?", (*changes.values(), record_id))

    def row(self, sobject: SObject, record_id: str) -> dict[str, object] | None:
        """A record's columns as the write that is under way sees them; None if there is none."""
        form = self._form(sobject)
        found = self.run(form.select, (record_id,)).fetchone()
        return None if found is None else dict(zip(form.names, found, strict=True))

    def _deleted_ids(self, sobject: SObject) -> list[str]:
        return [row[0] for row in self.read(f"SELECT Id FROM {quoted(sobject.name)} WHERE IsDeleted = 1")]

    def _any_row(self, record_id: str) -> dict[str, object] | None:
        sobject = self.catalog.by_prefix(record_id)
        return None if sobject is None else self.row(sobject, record_id)

    def _select(self, sobject: SObject, where: str, values: Sequence[object]) -> list[dict[str, object]]:
        fields = list(sobject.stored_fields())
        listed = ", ".join(tables.expression(sobject, f, "t") for f in fields)
        rows = self.read(f"SELECT {listed} FROM {quoted(sobject.name)} AS t WHERE {where}", values)
        return [{f.name: _python(f, v) for f, v in zip(fields, row, strict=True)} for row in rows]

    # -- private: counters and bulk -----------------------------------------------------------------------------------------

    def _next(self, name: str, count: int) -> int:
        sql = "INSERT INTO _serials VALUES (?1, ?2) ON CONFLICT (Name) DO UPDATE SET Next = Next + ?2 RETURNING Next - ?2"
        return int(self.run(sql, (name, count)).fetchone()[0])

    def _pass_id(self, sobject: SObject, record_id: str) -> None:
        serial = ids.serial_of(record_id)
        if serial is not None:
            sql = "INSERT INTO _serials VALUES (?1, ?2) ON CONFLICT (Name) DO UPDATE SET Next = MAX(Next, ?2)"
            self.run(sql, (sobject.name, serial + 1))

    def _take_over(self, sobject: SObject, side: Path, names: Sequence[str]) -> int:
        wanted = [f for f in (_field(sobject, n) for n in names) if tables.has_column(f)]
        listed = ", ".join(quoted(f.name) for f in wanted)
        self.run("ATTACH ? AS side", (str(side),))
        try:
            rows = self._copy_side(sobject, f"INSERT INTO main.{quoted(sobject.name)} ({listed}) SELECT {listed} FROM side.load")
            self.database.fold()
            return rows
        finally:
            self.run("DETACH side")

    def _copy_side(self, sobject: SObject, statement: str) -> int:
        # Building the indexes afterwards is a quarter faster than keeping them while a million rows arrive.
        empty = self.run(f"SELECT 1 FROM {quoted(sobject.name)} LIMIT 1").fetchone() is None
        counted: list[int] = []

        def copy() -> None:
            for name, _ in tables.index_statements(sobject) if empty else ():
                self.run(f"DROP INDEX IF EXISTS {quoted(name)}")
            counted.append(self.run(statement).rowcount)
            self._make_indexes(sobject)
            self._pass_loaded(sobject, counted[0])

        self.database.apply([copy])
        return counted[0]

    def _pass_loaded(self, sobject: SObject, rows: int) -> None:
        highest = self.run(
            f"SELECT MAX(Id) FROM {quoted(sobject.name)} WHERE Id < ?", (f"{sobject.key_prefix}{ids.POD}~",)
        ).fetchone()[0]
        if highest is not None:
            self._pass_id(sobject, str(highest))
        for field in tables.columns(sobject):
            if field.auto_number:
                self._next(f"{sobject.name}.{field.name}", rows)


def _field(sobject: SObject, name: str) -> Field:
    found = sobject.field(name)
    if found is None or found.is_compound:
        raise KeyError(f"{sobject.name} has no stored field {name!r}")
    return found


def _columns_of(form: _Form, values: Mapping[str, object]) -> dict[str, object]:
    """The values by column; names in other case than the field's, formulas and unknown fields take the slower way."""
    if form.blank.keys() >= values.keys():
        return {name: _stored(value) for name, value in values.items()}
    named = ((_field(form.sobject, name), value) for name, value in values.items())
    return {f.name: _stored(value) for f, value in named if tables.has_column(f)}


def _stored(value: object) -> object:
    # Salesforce keeps no empty strings: they are null.
    if value == "" and isinstance(value, str):
        return None
    return int(value) if isinstance(value, bool) else value


def _python(field: Field, value: object) -> object:
    return bool(value) if field.type == "boolean" else value


def _form_of(sobject: SObject) -> _Form:
    blank = _defaults(sobject)
    listed, marks = ", ".join(map(quoted, blank)), ", ".join("?" * len(blank))
    return _Form(
        sobject=sobject,
        names=tuple(blank),
        blank=blank,
        auto_numbers=tuple(f for f in tables.columns(sobject) if f.auto_number),
        unique=tuple(f for f in tables.columns(sobject) if f.unique),
        named_by_id=named_by_id(sobject),
        derivations=derivations(sobject),
        insert=f"INSERT INTO {quoted(sobject.name)} ({listed}) VALUES ({marks})",
        select=f"SELECT {listed} FROM {quoted(sobject.name)} WHERE Id = ?",
    )


def named_by_id(sobject: SObject) -> str | None:
    """The field that takes a new record's id where it is empty: the name of a custom object, if it is a text.

    Source: Object Reference, "Custom Objects": "If you use the API to create a custom object record that doesn't have a name, the
    record's ID is used as its name."
    """
    texts = (f.name for f in tables.columns(sobject) if f.name_field and f.type == "string" and not f.auto_number)
    return next(texts, None) if sobject.custom else None


def id_as_name(record_id: str) -> str:
    """The name that an id makes: its 15 characters. Source: as seen in salesforce.stackexchange.com/questions/139392."""
    return record_id[: ids.SHORT]


def _known(blank: Mapping[str, object], values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name in blank}


def _touched(sobject: SObject, user_id: str, at: str) -> dict[str, object]:
    stamps = {"LastModifiedDate": at, "LastModifiedById": user_id, "SystemModstamp": at}
    return {name: value for name, value in stamps.items() if sobject.field(name)}


def _audit(blank: Mapping[str, object], user_id: str, at: str) -> dict[str, object]:
    created = {"CreatedDate": at, "CreatedById": user_id, "IsDeleted": 0, "OwnerId": user_id}
    return _known(blank, {**created, "LastModifiedDate": at, "LastModifiedById": user_id, "SystemModstamp": at})


def _defaults(sobject: SObject) -> dict[str, object]:
    usual = {f.name: _stored(_default(f)) for f in tables.columns(sobject)}
    record_type = next((one.id for one in sobject.record_types if one.default), None)
    return {**usual, "RecordTypeId": record_type} if "RecordTypeId" in usual else usual


def _default(field: Field) -> object:
    if field.default is not None:
        return field.default
    if field.type == "boolean":
        return False
    return next((p.value for p in field.picklist if p.default), None) if field.type == "picklist" else None


def _numbered(template: str, number: int) -> str:
    """`A-{0000}` and 7 make `A-0007`."""
    head, _, rest = template.partition("{")
    digits, _, tail = rest.partition("}")
    return f"{head}{number:0{len(digits)}d}{tail}"


def _not_backwards(before: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """The stamps of a late commit, where a later one is there already: a record's stamps never move back."""
    stamps = [n for n in ("LastModifiedDate", "SystemModstamp") if changes.get(n) and before.get(n)]
    return {n: max(str(before[n]), str(changes[n])) for n in stamps}
