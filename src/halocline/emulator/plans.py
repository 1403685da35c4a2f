"""`GET /query?explain=...`: how a query would be run, cheapest way first.

Source: REST API Developer Guide, "Query Performance Feedback (Beta)" and its example. Costs and thresholds follow Salesforce's
"Query & Search Optimization Cheat Sheet" for indexes; the cost of a table scan is fitted to answers that users published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from halocline.emulator.errors import ApiError
from halocline.emulator.ids import is_valid
from halocline.emulator.objects import Field, SObject
from halocline.emulator.query import PreparedQuery
from halocline.emulator.soql.ast import Call, Comparison, Condition, FieldPath, Item, Junction, Membership, Query
from halocline.emulator.soql.compile import Request, compiled
from halocline.emulator.soql.parser import parse
from halocline.emulator.store import Store

MILLION = 1_000_000
# Of the first million rows, of those beyond it, and at most: above that many rows an index is not selective. Same cheat sheet.
STANDARD_INDEX = (0.30, 0.15, MILLION)
CUSTOM_INDEX = (0.10, 0.05, 333_333)
SCAN_COST, SCAN_COST_OF_ALL = 1.0, 2.6  # of a scan that finds nothing, and what finding every row adds
STANDARD_INDEXES = frozenset({"id", "name", "ownerid", "createddate", "lastmodifieddate", "systemmodstamp", "recordtypeid"})
_UNINDEXED = "Not considering filter for optimization because unindexed"


@dataclass(frozen=True, slots=True)
class _Filter:
    """One condition of WHERE on a field of the object itself."""

    condition: Condition
    field: Field

    @property
    def indexed(self) -> bool:
        """Whether an index can find the rows. Source: same cheat sheet: no negations, no LIKE that begins with a wildcard."""
        condition = self.condition
        if isinstance(condition, Comparison):
            leading = condition.operator == "like" and condition.value.value.startswith(("%", "_"))
            fits = condition.operator != "!=" and condition.value.kind != "null" and not leading
        else:
            fits = isinstance(condition, Membership) and condition.operator == "in"
        return fits and (self.standard or self.field.external_id or self.field.unique)

    @property
    def standard(self) -> bool:
        """Whether the index is one that every org has."""
        return self.field.name.lower() in STANDARD_INDEXES or (self.field.type == "reference" and not self.field.custom)


def explained(store: Store, soql: str, *, version: str, user_id: str) -> dict[str, object]:
    """The plans of a query, and the query.

    Raises: ApiError as the query itself, and INVALID_ID for the id of a report or list view: there are none here.
    """
    if is_valid(soql.strip()):
        raise ApiError(400, "INVALID_ID", f"Invalid report or list view id: {soql.strip()}")
    number = int(version.partition(".")[0])
    request = Request(store.catalog, soql, store.clock.now(), all_rows=False, user_id=user_id, version=number)
    query = parse(soql)
    sobject = compiled(request, query).sobject
    filters = list(_filters(query.where, sobject))
    planner = _Planner(store, request, query, sobject, store.count(sobject), _notes(filters, sobject))
    plans = [planner.scan(), *(planner.index(one) for one in filters if one.indexed)]
    return {"plans": sorted(plans, key=lambda plan: float(str(plan["relativeCost"]))), "sourceQuery": soql}


@dataclass(frozen=True, slots=True)
class _Planner:
    """What all plans of one query share; `rows` is how many records the object has."""

    store: Store
    request: Request
    query: Query
    sobject: SObject
    rows: int
    notes: list[dict[str, object]]

    def scan(self) -> dict[str, object]:
        """Reading every record."""
        found = self._matching(self.query.where)
        cost = SCAN_COST + (SCAN_COST_OF_ALL * found / self.rows if self.rows else 0)
        return self._plan("TableScan", [], found, cost)

    def index(self, one: _Filter) -> dict[str, object]:
        """Reading what the index of one filter finds."""
        first, beyond, most = STANDARD_INDEX if one.standard else CUSTOM_INDEX
        threshold = min(first * min(self.rows, MILLION) + beyond * max(0, self.rows - MILLION), most)
        found = self._matching(one.condition)
        return self._plan("Index", [one.field.name], found, found / threshold if threshold else 0.0)

    def _plan(self, kind: str, fields: list[str], found: int, cost: float) -> dict[str, object]:
        return {
            "cardinality": found,
            "fields": fields,
            "leadingOperationType": kind,
            "notes": self.notes,
            "relativeCost": round(cost, 4),
            "sobjectCardinality": self.rows,
            "sobjectType": self.sobject.name,
        }

    def _matching(self, where: Condition | None) -> int:
        query = self.query
        counted = Query((Item(Call("count", (), query.at), None),), query.source, query.at)
        counted = replace(counted, alias=query.alias, aliases=query.aliases, scope=query.scope, where=where)
        return PreparedQuery(self.store, compiled(self.request, counted)).total_size()


def _filters(where: Condition | None, sobject: SObject) -> Iterator[_Filter]:
    """The conditions that all must hold, where they are on one own field."""
    conditions = where.operands if isinstance(where, Junction) and where.operator == "and" else (where,)
    for condition in conditions:
        left = condition.left if isinstance(condition, Comparison | Membership) else None
        field = sobject.field(left.parts[-1]) if isinstance(left, FieldPath) and len(left.parts) == 1 else None
        if condition is not None and field is not None:
            yield _Filter(condition, field)


def _notes(filters: list[_Filter], sobject: SObject) -> list[dict[str, object]]:
    names = ["IsDeleted"] * bool(sobject.field("IsDeleted")) + [one.field.name for one in filters if not one.indexed]
    return [{"description": _UNINDEXED, "fields": [name], "tableEnumOrId": sobject.name} for name in dict.fromkeys(names)]
