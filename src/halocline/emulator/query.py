"""SOQL in, records out: nested records for REST, columns of text for Bulk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from halocline.emulator import tables
from halocline.emulator.objects import SObject
from halocline.emulator.shapes import ChildPages, Record, Row, aggregate_record, read_page, rows_of
from halocline.emulator.soql.compile import Request, compiled
from halocline.emulator.soql.fragment import Fragment, joined
from halocline.emulator.soql.parser import parse
from halocline.emulator.soql.plan import Children, Output, Plan
from halocline.emulator.soql.restrictions import NEWEST
from halocline.emulator.store import Store

if TYPE_CHECKING:
    import pyarrow as pa


def prepare(
    store: Store, soql: str, *, all_rows: bool, bulk: bool = False, user_id: str | None = None, version: str | None = None
) -> PreparedQuery:
    """A query, checked and ready to run; `all_rows` sees the recycle bin, `bulk` refuses what Bulk query refuses.

    `version` is the API version (`67.0`) whose SOQL it is, None the newest.
    Raises: ApiError as Salesforce answers it: MALFORMED_QUERY, INVALID_FIELD, INVALID_TYPE, INVALIDENTITY, API_ERROR ...
    """
    number = NEWEST if version is None else int(version.partition(".")[0])
    request = Request(store.catalog, soql, store.clock.now(), all_rows, bulk, user_id, number)
    plan = compiled(request, parse(soql))
    _ensure_indexes(store, plan)
    if bulk:  # a job tells what is wrong when it is created, not when its rows are read
        rows_of(store, f"EXPLAIN SELECT 1 FROM {plan.scope.from_sql()}" + plan.tail())
    return PreparedQuery(store, plan)


class PreparedQuery:
    """A query that has been understood. The first look at its size or records fixes which records it returns, in what order."""

    def __init__(self, store: Store, plan: Plan) -> None:
        self._store = store
        self.plan = plan
        self._snapshot: Sequence[int] | list[Row] | None = None
        self.sobject: SObject = plan.sobject
        self.columns: tuple[str, ...] = tuple(".".join(o.path) for o in plan.outputs)
        self.is_count: bool = plan.is_count

    def total_size(self) -> int:
        """How many records the query returns; for `COUNT()` the count itself."""
        if self.is_count:
            return self._count()
        return len(self._group_rows() if self.plan.is_aggregate else self.snapshot_ids())

    def records(self, version: str, offset: int, limit: int, *, pages: ChildPages | None = None) -> list[Record]:
        """Records `offset` to `offset + limit` as the REST API of that version answers them.

        Membership and order are those of the first call; values are those of now. A record purged since is left out. Without
        `pages` the result of a sub-query is never cut.
        """
        if self.is_count:
            return []
        if self.plan.is_aggregate:
            rows = self._group_rows()[offset : offset + limit]
            return [aggregate_record(self.plan, row) for row in rows]
        row_ids = self.snapshot_ids()[offset : offset + limit]
        return read_page(self._store, self.plan, row_ids=row_ids, version=version, pages=pages)

    def snapshot_ids(self) -> Sequence[int]:
        """The internal row numbers of the records, fixed at the first call."""
        if self._snapshot is None:
            plan = self.plan
            sql = f"SELECT {plan.scope.row}.rowid FROM {plan.scope.from_sql()}" + plan.tail()
            found = [int(r[0]) for r in rows_of(self._store, sql)]
            # Without ORDER BY an index may give any order; records then come as they were made.
            self._snapshot = found if plan.order_by else sorted(found)
        return self._snapshot  # type: ignore[return-value]  # of this kind unless the plan is an aggregate

    def batches(self, rows_per_batch: int = 50_000) -> Iterator[pa.RecordBatch]:
        """The records as columns of text, as Bulk's CSV writes them, streamed from one state of the data; null where null.

        Numbers are `1000.0` and `5`, booleans `true`, datetimes `2026-11-20T08:30:00.000Z`.
        """
        from halocline.emulator.arrow import stream  # pyarrow and ADBC are only wanted on the bulk paths

        plan = self.plan
        outputs = [o for o in plan.outputs if isinstance(o, Output)]
        tail = plan.tail()

        def sql(number: Callable[[str], str]) -> str:
            listed = joined(", ", (_as_text(o, number) for o in outputs))
            return f"SELECT {listed.sql} FROM {plan.scope.from_sql()}{tail.sql}"

        values = (*(v for o in outputs for v in o.value.fragment.values), *tail.values)
        return stream(self._store.database, sql, values, names=self.columns, rows=rows_per_batch)

    def _count(self) -> int:
        plan = self.plan
        counted = f"SELECT 1 FROM {plan.scope.from_sql()}" + plan.tail()
        if not plan.window().sql:
            sql = f"SELECT COUNT(*) FROM {plan.scope.from_sql()}" + plan.tail()
        else:
            sql = "SELECT COUNT(*) FROM (" + counted + ")"
        return int(rows_of(self._store, sql)[0][0])

    def _group_rows(self) -> list[Row]:
        if self._snapshot is None:
            sql = self.plan.groups()
            self._snapshot = rows_of(self._store, sql)
        return self._snapshot  # type: ignore[return-value]  # of this kind if the plan is an aggregate


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
