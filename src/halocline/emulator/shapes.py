"""Rows of a plan -> nested records as the REST API answers them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from halocline.emulator.errors import ApiError
from halocline.emulator.soql.display import displayed
from halocline.emulator.soql.fragment import Fragment, joined
from halocline.emulator.soql.plan import Children, Compound, Output, Plan, Polymorph
from halocline.emulator.soql.values import Value
from halocline.emulator.store import Store

Row: TypeAlias = tuple[Any, ...]
Record: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class ChildPages:
    """What a long result of a sub-query needs: its rows on a page, and a place to keep all of them, which gives a locator id."""

    rows: int
    keep: Callable[[Sequence[Record]], str]


@dataclass(frozen=True, slots=True)
class _Page:
    """What a row needs besides itself to become a record: the API version, and each sub-query's records by parent id."""

    version: str
    pages: ChildPages | None = None
    children: dict[str, dict[object, list[Record]]] = field(default_factory=dict)


Reader: TypeAlias = Callable[[Row, _Page], object]


# How SQLite says that a statement is beyond its limits, which are those of its authors' build.
_BEYOND = ("too many SQL variables", "parser stack overflow", "Expression tree is too large", "at most 64 tables")


def rows_of(store: Store, sql: Fragment) -> list[Row]:
    """All rows of a SELECT.

    Raises: ApiError QUERY_TOO_COMPLICATED where SQLite cannot take the statement; real orgs have limits of their own there.
    """
    try:
        return store.read(sql.sql, sql.values)
    except sqlite3.OperationalError as reason:
        if not str(reason).startswith(_BEYOND):
            raise
        message = "Query is either selecting too many fields or the filter conditions are too complicated."
        raise ApiError(400, "QUERY_TOO_COMPLICATED", message) from reason


def read_page(store: Store, plan: Plan, *, row_ids: Sequence[int], version: str, pages: ChildPages | None = None) -> list[Record]:
    """The records of these internal row numbers, in that order; one that is gone is left out."""
    shape = _Shape(plan)
    source = f" FROM {plan.scope.from_sql()} WHERE {plan.scope.row}.rowid IN (SELECT value FROM json_each(?))"
    sql = "SELECT " + joined(", ", shape.columns) + Fragment(source, (json.dumps(list(row_ids)),))
    rows = {row[0]: row for row in rows_of(store, sql)}
    present = [rows[row_id] for row_id in row_ids if row_id in rows]
    page = _with_children(store, plan, present, _Page(version, pages))
    return [shape.record(row, page) for row in present]


def aggregate_record(plan: Plan, row: Row) -> Record:
    """One group of an aggregate."""
    record: Record = {"attributes": {"type": "AggregateResult"}}
    for output, value in zip(plan.outputs, row, strict=True):
        if isinstance(output, Output):
            record[output.path[0]] = _converter(output.value, nullable=True)(value)
    return record


def wire(kind: str) -> Callable[[object], object]:
    """How the REST API writes a stored value of that type: `...+0000` for datetimes, true and false, everything else as it is."""
    if kind == "datetime":
        return lambda value: None if value is None else str(value).replace("Z", "+0000")
    return bool if kind == "boolean" else lambda value: value


class _Shape:
    """The columns that a page reads and how a row of them becomes a record."""

    def __init__(self, plan: Plan) -> None:
        self.columns: list[Fragment] = [Fragment(f"{plan.scope.row}.rowid"), Fragment(f"{plan.scope.row}.Id")]
        self._plan = plan
        self._readers: dict[str, Reader] = {}
        for output in plan.outputs:
            self._put(self._readers, output.path, self._reader(output))

    def record(self, row: Row, page: _Page) -> Record:
        """The record that a row is."""
        name = self._plan.sobject.name
        record: Record = {"attributes": _attributes(name, row[1], page.version)}
        record.update((key, read(row, page)) for key, read in self._readers.items())
        return record

    def _put(self, readers: dict[str, Reader], path: tuple[str, ...], reader: Reader, *, start: int = 0) -> None:
        """Place a reader under the parents that its path goes through from `start` on."""
        for depth in range(start + 1, len(path)):
            node = readers.get(path[depth - 1])
            if node is None:
                node = readers[path[depth - 1]] = self._parent_node(path[:depth])
            readers = node.readers  # type: ignore[attr-defined]  # the path before a field is made of parents
        readers[path[-1]] = reader

    def _reader(self, output: Output | Compound | Polymorph | Children) -> Reader:
        if isinstance(output, Children):
            return _children_reader(output.path[0])
        if isinstance(output, Polymorph):
            return self._polymorph_reader(output)
        return self._compound_reader(output) if isinstance(output, Compound) else self._value_reader(output)

    def _parent_node(self, path: tuple[str, ...]) -> _ParentNode:
        parent = self._plan.scope.parent(path)
        return _ParentNode(self._add(Fragment(parent.id_sql)), self._add(Fragment(parent.type_sql)))

    def _polymorph_reader(self, output: Polymorph) -> Reader:
        start = len(output.path)
        ids, types = self._add(Fragment(output.parent.id_sql)), self._add(Fragment(output.parent.type_sql))
        other = _ParentNode(ids, types)
        for shown in output.otherwise:
            self._put(other.readers, shown.path, self._reader(shown), start=start)
        nodes = {}
        for kind, outputs in output.cases:
            nodes[kind] = _ParentNode(ids, types)
            for shown in outputs:
                self._put(nodes[kind].readers, shown.path, self._reader(shown), start=start + 1)

        def read(row: Row, page: _Page) -> object:
            node = nodes.get(str(row[types]), other)
            return node(row, page) if node.readers else None

        return read

    def _value_reader(self, output: Output) -> Reader:
        value = output.value
        at = self._add(value.fragment)
        if value.type == "base64" and value.column is not None and len(value.column.path) == 1:
            return _blob_reader(self._plan.sobject.name, value.column.field.name, at)
        convert = _converter(value, nullable=len(output.path) > 1)
        return lambda row, _: convert(row[at])

    def _compound_reader(self, compound: Compound) -> Reader:
        placed = [(key, self._add(Fragment(column.sql))) for key, column in compound.components]

        def read(row: Row, _: _Page) -> object:
            parts = {key: row[at] for key, at in placed}
            return parts if any(v is not None for v in parts.values()) else None

        return read

    def _add(self, fragment: Fragment) -> int:
        self.columns.append(fragment)
        return len(self.columns) - 1


class _ParentNode:
    """Reads a parent record: null when there is none."""

    def __init__(self, id_at: int, type_at: int) -> None:
        self._id_at = id_at
        self._type_at = type_at
        self.readers: dict[str, Reader] = {}

    def __call__(self, row: Row, page: _Page) -> object:
        if row[self._id_at] is None:
            return None
        record: Record = {"attributes": _attributes(str(row[self._type_at]), row[self._id_at], page.version)}
        record.update((key, read(row, page)) for key, read in self.readers.items())
        return record


def _with_children(store: Store, plan: Plan, rows: Sequence[Row], page: _Page) -> _Page:
    """The same page with the records of the plan's sub-queries for these parents."""
    found = {
        children.path[0]: _children_by_parent(store, children, [row[1] for row in rows], page)
        for children in plan.outputs
        if isinstance(children, Children)
    }
    return _Page(page.version, page.pages, found)


def _children_by_parent(store: Store, children: Children, parents: list[object], page: _Page) -> dict[object, list[Record]]:
    plan, shape = children.plan, _Shape(children.plan)
    columns = "SELECT " + joined(", ", [*shape.columns, Fragment(children.parent_sql)])
    among = Fragment(f" AND {children.parent_sql} IN (SELECT value FROM json_each(?))", (json.dumps(parents),))
    sorts = [sort.sql for sort in plan.order_by] or [Fragment(f"{plan.scope.row}.rowid")]
    sql = columns + f" FROM {plan.scope.from_sql()} WHERE " + plan.where + among + " ORDER BY " + joined(", ", sorts)
    groups: dict[object, list[Row]] = {}
    for row in rows_of(store, sql):
        groups.setdefault(row[-1], []).append(row)
    start, stop = plan.offset or 0, None if plan.limit is None else (plan.offset or 0) + plan.limit
    chosen = {parent: rows[start:stop] for parent, rows in groups.items()}
    below = _with_children(store, plan, [row for rows in chosen.values() for row in rows], page)
    return {parent: [shape.record(row, below) for row in rows] for parent, rows in chosen.items()}


def _children_reader(name: str) -> Reader:
    def read(row: Row, page: _Page) -> object:
        records = page.children[name].get(row[1])
        if not records:
            return None
        if page.pages is None or len(records) <= page.pages.rows:
            return {"totalSize": len(records), "done": True, "records": records}
        following = f"/services/data/v{page.version}/query/{page.pages.keep(records)}-{page.pages.rows}"
        first = records[: page.pages.rows]
        return {"totalSize": len(records), "done": False, "nextRecordsUrl": following, "records": first}

    return read


def _blob_reader(sobject: str, name: str, at: int) -> Reader:
    def read(row: Row, page: _Page) -> object:
        return None if row[at] is None else f"/services/data/v{page.version}/sobjects/{sobject}/{row[1]}/{name}"

    return read


def _converter(value: Value, *, nullable: bool) -> Callable[[object], object]:
    convert = displayed(value.type) if value.formatted else wire(value.type)
    # A subtotal has no boolean, nor has a record of another kind.
    return (lambda found: None if found is None else convert(found)) if nullable else convert


def _attributes(sobject: str, record_id: object, version: str) -> Record:
    return {"type": sobject, "url": f"/services/data/v{version}/sobjects/{sobject}/{record_id}"}
