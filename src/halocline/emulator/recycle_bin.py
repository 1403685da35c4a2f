"""The recycle bin: what a deleted record takes along, what it leaves empty, what comes back with it, and what keeps it.

Source: SOAP API Developer Guide, delete() and undelete(); Salesforce Help, "Object Relationships Overview": "Clear the value of
this field", "Don't allow deletion of the lookup record that's part of a lookup relationship", "Delete this record also".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from halocline.emulator import tables
from halocline.emulator.tables import quoted

if TYPE_CHECKING:
    from halocline.emulator.objects import Field, SObject
    from halocline.emulator.store import Store

_MOST_NAMED = 5  # records that a refusal names; ours
_CLEARED = "_cleared (Parent TEXT NOT NULL, SObject TEXT NOT NULL, Field TEXT NOT NULL, Id TEXT NOT NULL)"

Link: TypeAlias = "tuple[SObject, Field]"


@dataclass(frozen=True, slots=True)
class _Links:
    """The references to one object: those whose records go with it, those that are cleared, and those that keep it."""

    taking: tuple[Link, ...]
    clearing: tuple[Link, ...]
    keeping: tuple[Link, ...]


class RecycleBin:
    """The deleted records of one store. `put`, `take` and `purge` are parts of a write that is under way."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._links: dict[str, _Links] = {}

    def lay_out(self) -> None:
        """Make the table of the references that deletions have cleared."""
        self._store.run(f"CREATE TABLE IF NOT EXISTS {_CLEARED}")
        self._store.run("CREATE INDEX IF NOT EXISTS _cleared_by_parent ON _cleared (Parent)")

    def prepare(self, sobject: SObject) -> None:
        """Make the indexes that a deletion looks children up by. Not part of a write."""
        self._prepare(sobject, set())

    def put(self, sobject: SObject, record_id: str, *, touched: Mapping[str, object]) -> None:
        """Move a live record to the bin with its cascading children, and clear the other references to each.

        A reference is cleared without moving the stamps of its record (unverified; no trigger or flow sees it either). What knows
        no bin, such as a group, is gone for good.
        Raises: KeyError for an unknown id.
        """
        if self._row(sobject, record_id).get("IsDeleted"):
            return
        if not sobject.field("IsDeleted"):
            self.purge(sobject, record_id)
            return
        self._store.set(sobject, record_id, changes={**_of(sobject, touched), "IsDeleted": 1})
        links = self._to(sobject)
        for child, field in (*links.taking, *links.keeping):
            self._purge_earlier(child, field, record_id, touched)
        for child, field in links.taking:
            for child_id in self._pointing(child, field, record_id, _live(child)):
                self.put(child, child_id, touched=touched)
        for child, field in links.clearing:
            self._clear(child, field, record_id)

    def take(self, sobject: SObject, record_id: str, *, touched: Mapping[str, object]) -> None:
        """Take a record out of the bin with the children that went there with it, and restore references that are still empty.

        Raises: KeyError for an unknown id.
        """
        before = self._row(sobject, record_id)
        if not before.get("IsDeleted"):
            return
        self._store.set(sobject, record_id, changes={**_of(sobject, touched), "IsDeleted": 0})
        for child, child_id in self._companions(sobject, record_id, before.get(tables.stamp_field(sobject) or "")):
            self.take(child, child_id, touched=touched)
        self._restore(record_id)

    def returning(self, sobject: SObject, record_id: str) -> Mapping[str, SObject]:
        """The record, and the children that `take` brings back with it, by their ids."""
        coming, due = {record_id: sobject}, [record_id]
        while due:
            parent_id = due.pop()
            parent = coming[parent_id]
            went = self._row(parent, parent_id).get(tables.stamp_field(parent) or "")
            found = {one: child for child, one in self._companions(parent, parent_id, went) if one not in coming}
            coming |= found
            due += found
        return coming

    def deleted_master(self, sobject: SObject, record_id: str) -> str | None:
        """The master of a detail, if it is in the bin itself."""
        row = self._row(sobject, record_id)
        links = (field for field in sobject.fields.values() if field.type == "reference" and _is_master(field))
        given = (str(row[field.name]) for field in links if row.get(field.name))
        masters = ((self._store.catalog.by_prefix(one), one) for one in given)
        return next((one for master, one in masters if master and self._store.presence(master, one) is False), None)

    def purge(self, sobject: SObject, record_id: str) -> None:
        """Remove a record for good with its cascading children, live or not; an unknown id is left alone."""
        row = self._store.row(sobject, record_id)
        if row is None:
            return
        deleted_at = row.get(tables.stamp_field(sobject) or "") if row.get("IsDeleted") else None
        self._store.run("INSERT INTO _purged VALUES (?, ?, ?)", (sobject.name, record_id, deleted_at or self._store.stamp()))
        self._store.run(f"DELETE FROM {quoted(sobject.name)} WHERE Id = ?", (record_id,))
        links = self._to(sobject)
        for child, field in links.taking:
            for child_id in self._pointing(child, field, record_id, "1"):
                self.purge(child, child_id)
        for child, field in links.clearing:
            self._clear(child, field, record_id)
        self._store.run("DELETE FROM _cleared WHERE Parent = ?", (record_id,))

    def keepers(self, sobject: SObject, record_id: str) -> Iterator[tuple[SObject, list[str]]]:
        """The live children, by object, that forbid this record's deletion or that of a child which would go with it."""
        if not self._is_ever_kept(sobject, set()):
            return
        going: dict[str, SObject] = {record_id: sobject}
        self._gather(sobject, record_id, going)
        for parent_id, parent in going.items():
            for child, field in self._to(parent).keeping:
                staying = [one for one in self._pointing(child, field, parent_id, _live(child)) if one not in going]
                if staying:
                    yield child, staying[:_MOST_NAMED]

    def _purge_earlier(self, child: SObject, field: Field, record_id: str, touched: Mapping[str, object]) -> None:
        """Details that lie in the bin already are gone for good when their master follows; what goes with it now is not.

        Source: Salesforce Help, knowledge article 000330862 ("UNDELETE_FAILED Entity is not in the recycle bin").
        """
        moved = tables.stamp_field(child)
        if field.nillable or moved is None or not child.field("IsDeleted"):
            return
        for child_id in self._pointing(child, field, record_id, f"IsDeleted = 1 AND {moved} IS NOT ?2", touched.get(moved)):
            self.purge(child, child_id)

    def _companions(self, sobject: SObject, record_id: str, went: object) -> Iterator[tuple[SObject, str]]:
        """What went into the bin together carries one stamp; only that comes out again together."""
        for child, field in (link for link in self._to(sobject).taking if link[0].field("IsDeleted")):
            together = f"IsDeleted = 1 AND {tables.stamp_field(child) or '?2'} IS ?2"
            for child_id in self._pointing(child, field, record_id, together, went):
                yield child, child_id

    def _is_ever_kept(self, sobject: SObject, seen: set[str]) -> bool:
        seen.add(sobject.name)
        links = self._to(sobject)
        return bool(links.keeping) or any(c.name not in seen and self._is_ever_kept(c, seen) for c, _ in links.taking)

    def _gather(self, sobject: SObject, record_id: str, going: dict[str, SObject]) -> None:
        for child, field in self._to(sobject).taking:
            for child_id in self._pointing(child, field, record_id, _live(child)):
                if child_id not in going:
                    going[child_id] = child
                    self._gather(child, child_id, going)

    def _prepare(self, sobject: SObject, seen: set[str]) -> None:
        seen.add(sobject.name)
        links = self._to(sobject)
        for child, field in (*links.taking, *links.clearing, *links.keeping):
            self._store.ensure_index(child, field)
        for child, _ in links.taking:
            if child.name not in seen:
                self._prepare(child, seen)

    def _to(self, sobject: SObject) -> _Links:
        if sobject.name not in self._links:
            found = [*self._references(sobject)]
            taking = tuple((child, field) for child, field in found if field.cascade_delete)
            # A required lookup cannot be cleared. Source: Salesforce Help, "Lookup Relationship" ("Always require a value").
            rest = [(child, field) for child, field in found if not field.cascade_delete]
            keeping = tuple((child, field) for child, field in rest if field.restricted_delete or not field.nillable)
            clearing = tuple(one for one in rest if one not in keeping)
            self._links[sobject.name] = _Links(taking, clearing, keeping)
        return self._links[sobject.name]

    def _references(self, sobject: SObject) -> Iterator[Link]:
        for link in self._store.catalog.children(sobject.name):
            child = self._store.catalog.get(link.child_sobject)
            field = child.field(link.field) if child else None
            if child and field and tables.has_column(field):
                yield child, field

    def _pointing(self, child: SObject, field: Field, record_id: str, condition: str, *values: object) -> list[str]:
        sql = f"SELECT Id FROM {quoted(child.name)} WHERE {quoted(field.name)} = ?1 AND {condition}"
        return [row[0] for row in self._store.run(sql, (record_id, *values)).fetchall()]

    def _clear(self, child: SObject, field: Field, record_id: str) -> None:
        table, column = quoted(child.name), quoted(field.name)
        noted = self._store.run(
            f"INSERT INTO _cleared SELECT ?1, ?2, ?3, Id FROM {table} WHERE {column} = ?1", (record_id, child.name, field.name)
        )
        if noted.rowcount:
            self._store.run(f"UPDATE {table} SET {column} = NULL WHERE {column} = ?", (record_id,))

    def _restore(self, record_id: str) -> None:
        noted = self._store.run("SELECT SObject, Field, Id FROM _cleared WHERE Parent = ?", (record_id,)).fetchall()
        for table, column, child_id in noted:
            sql = f"UPDATE {quoted(table)} SET {quoted(column)} = ? WHERE Id = ? AND {quoted(column)} IS NULL"
            self._store.run(sql, (record_id, child_id))
        self._store.run("DELETE FROM _cleared WHERE Parent = ?", (record_id,))

    def _row(self, sobject: SObject, record_id: str) -> dict[str, object]:
        found = self._store.row(sobject, record_id)
        if found is None:
            raise KeyError(f"{sobject.name} {record_id} does not exist")
        return found


def _of(sobject: SObject, touched: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in touched.items() if sobject.field(name)}


def _is_master(field: Field) -> bool:
    return field.cascade_delete and not field.nillable


def _live(child: SObject) -> str:
    return "IsDeleted = 0" if child.field("IsDeleted") else "1"
