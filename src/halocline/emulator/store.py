"""The org's data: one SQLite table per sObject, with Salesforce's ids, audit stamps, recycle bin and late commits.

Copies of a store (`copy.copy`) with another `catalog` are views of the same data.
"""

from __future__ import annotations

import dataclasses
import itertools
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halocline.emulator import ids, tables
from halocline.emulator.clock import Clock, stamp
from halocline.emulator.database import Database, Write
from halocline.emulator.objects import Catalog, Field, SObject
from halocline.emulator.tables import quoted

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class _OpenTransaction:
    """Writes that have their stamps already and wait for the commit."""

    begun: datetime
    writes: list[Write] = dataclasses.field(default_factory=list)


class Store:
    """An org's records. Values go in and come out as stored values: text, bool, int, float, stamps as `...T08:30:00.000Z`.

    `path` None means a private temporary file, deleted by `close`. Names of fields are taken in any case.
    """

    def __init__(self, catalog: Catalog, path: Path | None = None, *, clock: Clock | None = None) -> None:
        self.catalog = catalog
        self.clock = clock or Clock()
        self.database = Database(path)
        self.path = self.database.path
        self._transactions: dict[str, _OpenTransaction] = {}
        self._transaction_serials = itertools.count(1)
        self._indexes: set[str] = set()
        self.database.apply([self._lay_out])

    # -- records -------------------------------------------------------------------------------------------------------

    def insert(
        self,
        sobject: SObject,
        values: Mapping[str, object],
        *,
        user_id: str,
        stamp: str | None = None,
        transaction: str | None = None,
    ) -> str:
        """Add a record and return its id.

        Id, audit fields, IsDeleted, defaults, auto-numbers, OwnerId and a person's Name are filled in where `values` has none.
        Inside a `transaction` the row gets its stamp now and is seen after the commit.
        Raises: KeyError for a field that the object does not have; sqlite3.IntegrityError for an id that exists.
        """
        with self.database.lock:
            row = _columns_of(sobject, values)
            row = self._new_row(sobject, row, user_id, stamp or self._stamp())
            self._write(transaction, lambda: self._insert_row(sobject, row))
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
    ) -> None:
        """Change a record's fields and move its LastModified fields and SystemModstamp.

        Raises: KeyError for an unknown field or (outside a transaction at once, inside it at the commit) an unknown id.
        """
        with self.database.lock:
            changes = {**_touched(sobject, user_id, stamp or self._stamp()), **_columns_of(sobject, values)}
            self._write(transaction, lambda: self._update_row(sobject, record_id, changes))

    def delete(
        self, sobject: SObject, record_id: str, *, user_id: str, stamp: str | None = None, transaction: str | None = None
    ) -> None:
        """Move a record to the recycle bin, and its children by cascading references with it.

        Raises: KeyError for an unknown id.
        """
        self._index_cascades(sobject, set())
        with self.database.lock:
            changes: dict[str, object] = {**_touched(sobject, user_id, stamp or self._stamp()), "IsDeleted": 1}
            self._write(transaction, lambda: self._cascade(sobject, [record_id], changes, to_bin=True))

    def undelete(self, sobject: SObject, record_id: str, *, user_id: str, stamp: str | None = None) -> None:
        """Take a record out of the recycle bin, with the children that went there with it.

        Raises: KeyError for an unknown id.
        """
        self._index_cascades(sobject, set())
        with self.database.lock:
            changes: dict[str, object] = {**_touched(sobject, user_id, stamp or self._stamp()), "IsDeleted": 0}
            self._write(None, lambda: self._cascade(sobject, [record_id], changes, to_bin=False))

    def purge(self, sobject: SObject, record_id: str) -> None:
        """Remove a record for good; `deleted_between` still lists it. An unknown id is left alone."""
        with self.database.lock:
            self._write(None, lambda: self._purge_row(sobject, record_id))

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
        purged = "SELECT Id, DeletedDate FROM _purged WHERE SObject = ?1 AND DeletedDate >= ?2 AND DeletedDate < ?3"
        binned = (
            f"SELECT Id, SystemModstamp FROM {quoted(sobject.name)} "
            "WHERE IsDeleted = 1 AND SystemModstamp >= ?2 AND SystemModstamp < ?3"
        )
        sql = f"{purged} UNION ALL {binned}" if sobject.field("IsDeleted") else purged
        return [(str(r[0]), str(r[1])) for r in self.read(f"{sql} ORDER BY 2, 1", (sobject.name, start, end))]

    def updated_between(self, sobject: SObject, start: str, end: str) -> list[str]:
        """Ids of live records whose SystemModstamp is at or after `start` and before `end`, oldest first."""
        live = " AND IsDeleted = 0" if sobject.field("IsDeleted") else ""
        sql = f"SELECT Id FROM {quoted(sobject.name)} WHERE SystemModstamp >= ? AND SystemModstamp < ?{live}"
        return [str(r[0]) for r in self.read(sql + " ORDER BY SystemModstamp, Id", (start, end))]

    # -- transactions ---------------------------------------------------------------------------------------------------

    def begin(self) -> str:
        """Open a transaction: its writes are stamped when made and seen only after `commit`."""
        with self.database.lock:
            name = f"transaction-{next(self._transaction_serials)}"
            self._transactions[name] = _OpenTransaction(self.clock.now())
            return name

    def commit(self, transaction: str) -> None:
        """Make a transaction's writes visible, all or none.

        Raises: KeyError for a transaction that is not open, or a write on a record that is gone (nothing is kept then).
        """
        with self.database.lock:
            self.database.apply(self._transactions.pop(transaction).writes)

    def rollback(self, transaction: str) -> None:
        """Forget a transaction's writes. Raises: KeyError for a transaction that is not open."""
        with self.database.lock:
            del self._transactions[transaction]

    def latest_date_covered(self) -> str:
        """The stamp before which nothing will appear any more: the start of the oldest open transaction, else now.

        Source: SOAP API Developer Guide, getUpdated(), `latestDateCovered`.
        """
        with self.database.lock:
            return stamp(min((t.begun for t in self._transactions.values()), default=self.clock.now()))

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
            self.database.apply([lambda: self._run(statement)])
            self._indexes.add(name)

    def close(self) -> None:
        """Close every connection; a temporary file is deleted. May be repeated."""
        self.database.close()

    # -- private: layout ----------------------------------------------------------------------------------------------------

    def _run(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self.database.writer.execute(sql, values)

    def _lay_out(self) -> None:
        self._run("CREATE TABLE IF NOT EXISTS _serials (Name TEXT PRIMARY KEY, Next INTEGER NOT NULL)")
        self._run("CREATE TABLE IF NOT EXISTS _purged (SObject TEXT NOT NULL, Id TEXT NOT NULL, DeletedDate TEXT NOT NULL)")
        self._run("CREATE INDEX IF NOT EXISTS _purged_by_date ON _purged (SObject, DeletedDate)")
        for sobject in self.catalog:
            self._lay_out_table(sobject)

    def _lay_out_table(self, sobject: SObject) -> None:
        present = {str(r[1]).lower() for r in self._run(f"PRAGMA table_info({quoted(sobject.name)})")}
        if not present:
            self._run(tables.table_statement(sobject))
        for field in tables.columns(sobject) if present else ():
            if field.name.lower() not in present:
                self._run(f"ALTER TABLE {quoted(sobject.name)} ADD COLUMN {tables.column_definition(field)}")
        self._make_indexes(sobject)

    def _make_indexes(self, sobject: SObject) -> None:
        for _, statement in tables.index_statements(sobject):
            self._run(statement)

    # -- private: writing -------------------------------------------------------------------------------------------------

    def _stamp(self) -> str:
        return stamp(self.clock.now())

    def _write(self, transaction: str | None, write: Write) -> None:
        if transaction is None:
            self.database.apply([write])
        else:
            self._transactions[transaction].writes.append(write)

    def _new_row(self, sobject: SObject, given: dict[str, object], user_id: str, at: str) -> dict[str, object]:
        row = {**_defaults(sobject), **_audit(sobject, user_id, at), **given}
        if row.get("Id") is None:
            row["Id"] = ids.record_id(sobject.key_prefix, self.next_serial(sobject))
        else:
            self._pass_id(sobject, str(row["Id"]))
        for field in tables.columns(sobject):
            if field.auto_number and row.get(field.name) is None:
                row[field.name] = _numbered(field.auto_number, self._next(f"{sobject.name}.{field.name}", 1) + 1)
        return {**row, **_person_name(sobject, row)}

    def _insert_row(self, sobject: SObject, row: Mapping[str, object]) -> None:
        names = ", ".join(quoted(n) for n in row)
        marks = ", ".join("?" * len(row))
        self._run(f"INSERT INTO {quoted(sobject.name)} ({names}) VALUES ({marks})", tuple(row.values()))

    def _update_row(self, sobject: SObject, record_id: str, changes: Mapping[str, object]) -> None:
        before = self._row(sobject, record_id)
        if before is None:
            raise KeyError(f"{sobject.name} {record_id} does not exist")
        changes = {**changes, **_person_name(sobject, {**before, **changes}), **_not_backwards(before, changes)}
        settings = ", ".join(f"{quoted(n)} = ?" for n in changes)
        sql = f"UPDATE {quoted(sobject.name)} SET {settings} WHERE Id = ?"
        self._run(sql, (*changes.values(), record_id))

    def _cascade(self, sobject: SObject, record_ids: list[str], changes: Mapping[str, object], *, to_bin: bool) -> None:
        for record_id in record_ids:
            before = self._row(sobject, record_id)
            if before is None:
                raise KeyError(f"{sobject.name} {record_id} does not exist")
            if bool(before.get("IsDeleted")) != to_bin:
                self._update_row(sobject, record_id, _known(sobject, changes))
                self._cascade_to_children(sobject, record_id, changes, went=before["SystemModstamp"], to_bin=to_bin)

    def _cascade_to_children(
        self, sobject: SObject, record_id: str, changes: Mapping[str, object], *, went: object, to_bin: bool
    ) -> None:
        # What went into the bin together carries one stamp; only that comes out again together.
        together = "IsDeleted = 0" if to_bin else "IsDeleted = 1 AND SystemModstamp = ?"
        values = (record_id,) if to_bin else (record_id, went)
        for child, field in self._cascades(sobject):
            rows = self._run(f"SELECT Id FROM {quoted(child.name)} WHERE {quoted(field.name)} = ? AND {together}", values)
            self._cascade(child, [str(r[0]) for r in rows.fetchall()], changes, to_bin=to_bin)

    def _cascades(self, sobject: SObject) -> Iterator[tuple[SObject, Field]]:
        for link in self.catalog.children(sobject.name):
            child = self.catalog.get(link.child_sobject)
            field = child.field(link.field) if child else None
            if link.cascade_delete and child and field and child.field("IsDeleted"):
                yield child, field

    def _index_cascades(self, sobject: SObject, seen: set[str]) -> None:
        seen.add(sobject.name)
        for child, field in self._cascades(sobject):
            self.ensure_index(child, field)
            if child.name not in seen:
                self._index_cascades(child, seen)

    def _purge_row(self, sobject: SObject, record_id: str) -> None:
        row = self._row(sobject, record_id)
        if row is not None:
            gone = row["SystemModstamp"] if row.get("IsDeleted") else self._stamp()
            self._run("INSERT INTO _purged VALUES (?, ?, ?)", (sobject.name, record_id, str(gone)))
            self._run(f"DELETE FROM {quoted(sobject.name)} WHERE Id = ?", (record_id,))

    def _row(self, sobject: SObject, record_id: str) -> dict[str, object] | None:
        names = [f.name for f in tables.columns(sobject)]
        sql = f"SELECT {', '.join(quoted(n) for n in names)} FROM {quoted(sobject.name)} WHERE Id = ?"
        found = self._run(sql, (record_id,)).fetchone()
        return None if found is None else dict(zip(names, found, strict=True))

    def _select(self, sobject: SObject, where: str, values: Sequence[object]) -> list[dict[str, object]]:
        fields = list(sobject.stored_fields())
        listed = ", ".join(tables.expression(sobject, f, "t") for f in fields)
        rows = self.read(f"SELECT {listed} FROM {quoted(sobject.name)} AS t WHERE {where}", values)
        return [{f.name: _python(f, v) for f, v in zip(fields, row, strict=True)} for row in rows]

    # -- private: counters and bulk -----------------------------------------------------------------------------------------

    def _next(self, name: str, count: int) -> int:
        sql = "INSERT INTO _serials VALUES (?1, ?2) ON CONFLICT (Name) DO UPDATE SET Next = Next + ?2 RETURNING Next - ?2"
        return int(self._run(sql, (name, count)).fetchone()[0])

    def _pass_id(self, sobject: SObject, record_id: str) -> None:
        serial = ids.serial_of(record_id)
        if serial is not None:
            sql = "INSERT INTO _serials VALUES (?1, ?2) ON CONFLICT (Name) DO UPDATE SET Next = MAX(Next, ?2)"
            self._run(sql, (sobject.name, serial + 1))

    def _take_over(self, sobject: SObject, side: Path, names: Sequence[str]) -> int:
        wanted = [f for f in (_field(sobject, n) for n in names) if tables.has_column(f)]
        listed = ", ".join(quoted(f.name) for f in wanted)
        self._run("ATTACH ? AS side", (str(side),))
        try:
            rows = self._copy_side(sobject, f"INSERT INTO main.{quoted(sobject.name)} ({listed}) SELECT {listed} FROM side.load")
            self.database.fold()
            return rows
        finally:
            self._run("DETACH side")

    def _copy_side(self, sobject: SObject, statement: str) -> int:
        # Building the indexes afterwards is a quarter faster than keeping them while a million rows arrive.
        empty = self._run(f"SELECT 1 FROM {quoted(sobject.name)} LIMIT 1").fetchone() is None
        counted: list[int] = []

        def copy() -> None:
            for name, _ in tables.index_statements(sobject) if empty else ():
                self._run(f"DROP INDEX IF EXISTS {quoted(name)}")
            counted.append(self._run(statement).rowcount)
            self._make_indexes(sobject)
            self._pass_loaded(sobject, counted[0])

        self.database.apply([copy])
        return counted[0]

    def _pass_loaded(self, sobject: SObject, rows: int) -> None:
        highest = self._run(
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


def _columns_of(sobject: SObject, values: Mapping[str, object]) -> dict[str, object]:
    named = ((_field(sobject, name), value) for name, value in values.items())
    return {f.name: _stored(value) for f, value in named if tables.has_column(f)}


def _stored(value: object) -> object:
    # Salesforce keeps no empty strings: they are null.
    if value == "" and isinstance(value, str):
        return None
    return int(value) if isinstance(value, bool) else value


def _python(field: Field, value: object) -> object:
    return bool(value) if field.type == "boolean" else value


def _known(sobject: SObject, values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if sobject.field(name)}


def _touched(sobject: SObject, user_id: str, at: str) -> dict[str, object]:
    return _known(sobject, {"LastModifiedDate": at, "LastModifiedById": user_id, "SystemModstamp": at})


def _audit(sobject: SObject, user_id: str, at: str) -> dict[str, object]:
    created = {"CreatedDate": at, "CreatedById": user_id, "IsDeleted": 0, "OwnerId": user_id}
    return {**_known(sobject, created), **_touched(sobject, user_id, at)}


def _defaults(sobject: SObject) -> dict[str, object]:
    return {f.name: _stored(_default(f)) for f in tables.columns(sobject)}


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


def _person_name(sobject: SObject, row: Mapping[str, object]) -> dict[str, object]:
    """The Name of a Contact, Lead or User, which Salesforce makes of the first and last name."""
    first, last = sobject.field("FirstName"), sobject.field("LastName")
    if first is None or last is None or sobject.field("Name") is None:
        return {}
    return {"Name": " ".join(str(row[n]) for n in ("FirstName", "LastName") if row.get(n)) or None}


def _not_backwards(before: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """The stamps of a late commit, where a later one is there already: a record's stamps never move back."""
    stamps = [n for n in ("LastModifiedDate", "SystemModstamp") if changes.get(n) and before.get(n)]
    return {n: max(str(before[n]), str(changes[n])) for n in stamps}
