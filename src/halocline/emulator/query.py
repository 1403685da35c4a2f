"""SOQL in, records out: nested records for REST, columns of text for Bulk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from halocline.emulator import tables
from halocline.emulator.objects import SObject
from halocline.emulator.soql.compile import Children, Compound, Output, Plan, Request, compiled
from halocline.emulator.soql.display import displayed
from halocline.emulator.soql.fragment import Fragment, joined
from halocline.emulator.soql.parser import parse
from halocline.emulator.soql.values import Value
from halocline.emulator.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

Row: TypeAlias = tuple[Any, ...]
Record: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Page:
    """What a row needs besides itself to become a record: the API version, and each sub-query's records by parent id."""

    version: str
    children: dict[str, dict[object, list[Record]]] = field(default_factory=dict)


Reader: TypeAlias = Callable[[Row, _Page], object]


def prepare(store: Store, soql: str, *, all_rows: bool, bulk: bool = False, user_id: str | None = None) -> PreparedQuery:
    """A query, checked and ready to run; `all_rows` sees the recycle bin, `bulk` refuses what Bulk query refuses.

    Raises: ApiError as Salesforce answers it: MALFORMED_QUERY, INVALID_FIELD, INVALID_TYPE, INVALIDENTITY, API_ERROR ...
    """
    request = Request(store.catalog, soql, store.clock.now(), all_rows, bulk, user_id)
    plan = compiled(request, parse(soql))
    _ensure_indexes(store, plan)
    return PreparedQuery(store, plan)


class PreparedQuery:
    """A query that has been understood. The first look at its size or records fixes which records it returns, in what order."""

    def __init__(self, store: Store, plan: Plan) -> None:
        self._store = store
        self._plan = plan
        self._snapshot: Sequence[int] | list[Row] | None = None
        self.sobject: SObject = plan.sobject
        self.columns: tuple[str, ...] = tuple(".".join(o.path) for o in plan.outputs)
        self.is_count: bool = plan.is_count

    def total_size(self) -> int:
        """How many records the query returns; for `COUNT()` the count itself."""
        if self.is_count:
            return self._count()
        return len(self._group_rows() if self._plan.is_aggregate else self.snapshot_ids())

    def records(self, version: str, offset: int, limit: int) -> list[Record]:
        """Records `offset` to `offset + limit` as the REST API of that version answers them.

        Membership and order are those of the first call; values are those of now. A record purged since is left out.
        """
        if self.is_count:
            return []
        if self._plan.is_aggregate:
            rows = self._group_rows()[offset : offset + limit]
            return [_aggregate_record(self._plan, row) for row in rows]
        return _read_page(self._store, self._plan, self.snapshot_ids()[offset : offset + limit], version)

    def snapshot_ids(self) -> Sequence[int]:
        """The internal row numbers of the records, fixed at the first call."""
        if self._snapshot is None:
            plan = self._plan
            sql = f"SELECT {plan.scope.row}.rowid FROM {plan.scope.from_sql()}" + plan.tail()
            found = [int(r[0]) for r in self._store.read(sql.sql, sql.values)]
            # Without ORDER BY an index may give any order; records then come as they were made.
            self._snapshot = found if plan.order_by else sorted(found)
        return self._snapshot  # type: ignore[return-value]  # of this kind unless the plan is an aggregate

    def batches(self, rows_per_batch: int = 50_000) -> Iterator[pa.RecordBatch]:
        """The records as columns of text, as Bulk's CSV writes them, streamed from one state of the data; null where null.

        Numbers are `1000.0` and `5`, booleans `true`, datetimes `2026-11-20T08:30:00.000Z`.
        """
        from halocline.emulator.arrow import stream  # pyarrow and ADBC are only wanted on the bulk paths

        plan = self._plan
        outputs = [o for o in plan.outputs if isinstance(o, Output)]
        tail = plan.tail()

        def sql(number: Callable[[str], str]) -> str:
            listed = joined(", ", (_as_text(o, number) for o in outputs))
            return f"SELECT {listed.sql} FROM {plan.scope.from_sql()}{tail.sql}"

        values = (*(v for o in outputs for v in o.value.fragment.values), *tail.values)
        return stream(self._store.database, sql, values, names=self.columns, rows=rows_per_batch)

    def _count(self) -> int:
        plan = self._plan
        counted = f"SELECT 1 FROM {plan.scope.from_sql()}" + plan.tail()
        if not plan.window().sql:
            sql = f"SELECT COUNT(*) FROM {plan.scope.from_sql()}" + plan.tail()
        else:
            sql = "SELECT COUNT(*) FROM (" + counted + ")"
        return int(self._store.read(sql.sql, sql.values)[0][0])

    def _group_rows(self) -> list[Row]:
        if self._snapshot is None:
            plan = self._plan
            listed = joined(", ", (o.value.fragment for o in plan.outputs if isinstance(o, Output)))
            sql = "SELECT " + listed + f" FROM {plan.scope.from_sql()}" + plan.tail()
            self._snapshot = self._store.read(sql.sql, sql.values)
        return self._snapshot  # type: ignore[return-value]  # of this kind if the plan is an aggregate


# -- reading a page


class _Shape:
    """The columns that a page reads and how a row of them becomes a record."""

    def __init__(self, plan: Plan) -> None:
        self.columns: list[Fragment] = [Fragment(f"{plan.scope.row}.rowid"), Fragment(f"{plan.scope.row}.Id")]
        self._plan = plan
        self._readers: dict[str, Reader] = {}
        for output in plan.outputs:
            self._place(output)

    def record(self, row: Row, page: _Page) -> Record:
        """The record that a row is."""
        name = self._plan.sobject.name
        record: Record = {"attributes": _attributes(name, row[1], page.version)}
        record.update((key, read(row, page)) for key, read in self._readers.items())
        return record

    def _place(self, output: Output | Compound | Children) -> None:
        if isinstance(output, Children):
            self._readers[output.path[0]] = _children_reader(output.path[0])
        elif isinstance(output, Compound):
            self._readers[output.path[0]] = self._compound_reader(output)
        else:
            self._place_value(output)

    def _place_value(self, output: Output) -> None:
        readers = self._readers
        for depth in range(1, len(output.path)):
            node = readers.setdefault(output.path[depth - 1], self._parent_node(output.path[:depth]))
            readers = node.readers  # type: ignore[attr-defined]  # the path before a field is made of parents
        readers[output.path[-1]] = self._value_reader(output.value)

    def _parent_node(self, path: tuple[str, ...]) -> _ParentNode:
        parent = self._plan.scope.parent(path)
        return _ParentNode(self._add(Fragment(parent.id_sql)), self._add(Fragment(parent.type_sql)))

    def _value_reader(self, value: Value) -> Reader:
        at = self._add(value.fragment)
        if value.type == "base64" and value.field is not None:
            return _blob_reader(self._plan.sobject.name, value.field.name, at)
        convert = displayed(value.type) if value.formatted else wire(value.type)
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


def _read_page(store: Store, plan: Plan, row_ids: Sequence[int], version: str) -> list[Record]:
    shape = _Shape(plan)
    source = f" FROM {plan.scope.from_sql()} WHERE {plan.scope.row}.rowid IN (SELECT value FROM json_each(?))"
    sql = "SELECT " + joined(", ", shape.columns) + Fragment(source, (json.dumps(list(row_ids)),))
    rows = {row[0]: row for row in store.read(sql.sql, sql.values)}
    present = [rows[row_id] for row_id in row_ids if row_id in rows]
    page = _Page(version, _read_children(store, plan, [row[1] for row in present], version))
    return [shape.record(row, page) for row in present]


def _read_children(store: Store, plan: Plan, parents: list[object], version: str) -> dict[str, dict[object, list[Record]]]:
    return {
        children.path[0]: _children_by_parent(store, children, parents, version)
        for children in plan.outputs
        if isinstance(children, Children)
    }


def _children_by_parent(store: Store, children: Children, parents: list[object], version: str) -> dict[object, list[Record]]:
    plan, shape = children.plan, _Shape(children.plan)
    columns = "SELECT " + joined(", ", [*shape.columns, Fragment(children.parent_sql)])
    among = Fragment(f" AND {children.parent_sql} IN (SELECT value FROM json_each(?))", (json.dumps(parents),))
    order = " ORDER BY " + joined(", ", plan.order_by) if plan.order_by else Fragment(f" ORDER BY {plan.scope.row}.rowid")
    sql = columns + f" FROM {plan.scope.from_sql()} WHERE " + plan.where + among + order
    groups: dict[object, list[Row]] = {}
    for row in store.read(sql.sql, sql.values):
        groups.setdefault(row[-1], []).append(row)
    start, stop = plan.offset or 0, None if plan.limit is None else (plan.offset or 0) + plan.limit
    chosen = {parent: rows[start:stop] for parent, rows in groups.items()}
    page = _Page(version, _read_children(store, plan, [row[1] for rows in chosen.values() for row in rows], version))
    return {parent: [shape.record(row, page) for row in rows] for parent, rows in chosen.items()}


def _children_reader(name: str) -> Reader:
    def read(row: Row, page: _Page) -> object:
        records = page.children[name].get(row[1])
        return {"totalSize": len(records), "done": True, "records": records} if records else None

    return read


def _blob_reader(sobject: str, name: str, at: int) -> Reader:
    def read(row: Row, page: _Page) -> object:
        return None if row[at] is None else f"/services/data/v{page.version}/sobjects/{sobject}/{row[1]}/{name}"

    return read


def _aggregate_record(plan: Plan, row: Row) -> Record:
    record: Record = {"attributes": {"type": "AggregateResult"}}
    for output, value in zip(plan.outputs, row, strict=True):
        if isinstance(output, Output):
            convert = displayed(output.value.type) if output.value.formatted else wire(output.value.type)
            record[output.path[0]] = convert(value)
    return record


def _attributes(sobject: str, record_id: object, version: str) -> Record:
    return {"type": sobject, "url": f"/services/data/v{version}/sobjects/{sobject}/{record_id}"}


def wire(kind: str) -> Callable[[object], object]:
    """How the REST API writes a stored value of that type: `...+0000` for datetimes, true and false, everything else as it is."""
    if kind == "datetime":
        return lambda value: None if value is None else str(value).replace("Z", "+0000")
    return bool if kind == "boolean" else lambda value: value


def _as_text(output: Output, number: Callable[[str], str]) -> Fragment:
    value = output.value
    if value.type == "boolean":
        # A parent that is absent has no boolean; a boolean of the record itself is never null.
        other = "WHEN " + value.fragment + " = 0 THEN 'false' " if len(output.path) > 1 else Fragment("ELSE 'false' ")
        return "CASE WHEN " + value.fragment + " = 1 THEN 'true' " + other + "END"
    if value.type in tables.REAL_TYPES:
        return Fragment(number(value.fragment.sql), value.fragment.values)
    return "CAST(" + value.fragment + " AS TEXT)" if value.type in tables.INTEGER_TYPES else value.fragment


def _ensure_indexes(store: Store, plan: Plan) -> None:
    """Make the indexes that the query will want and that seeding leaves out: audit dates and references."""
    for name in plan.compared:
        found = plan.sobject.field(name)
        if found is not None and tables.has_column(found) and (found.name in tables.LAZY_INDEXES or found.type == "reference"):
            store.ensure_index(plan.sobject, found)
    for children in plan.outputs:
        if isinstance(children, Children):
            _ensure_indexes(store, children.plan)
