"""What SOQL, its versions and Bulk queries forbid beyond the grammar."""

from __future__ import annotations

from halocline.emulator.errors import ApiError
from halocline.emulator.objects import SObject
from halocline.emulator.soql.ast import (
    Call,
    Comparison,
    Condition,
    FieldPath,
    Item,
    Junction,
    Literal,
    Membership,
    Query,
    TypeOf,
)
from halocline.emulator.soql.plan import Children, Plan
from halocline.emulator.soql.refusal import refusal
from halocline.emulator.soql.scope import Scope
from halocline.emulator.soql.values import AGGREGATES

NEWEST = 67  # the API version that a query without one is written for
TYPEOF_SINCE = 46  # API version. Source: SOQL and SOSL Reference, "TYPEOF"
FIELDS_SINCE = 51  # API version. Source: SOQL and SOSL Reference, "FIELDS()"; what earlier versions say to it is unverified
# Source for these: SOQL and SOSL Reference, "Understanding Relationship Query Limitations".
MAX_PARENTS = 55  # child-to-parent relationships of a query
MAX_CHILDREN = 20  # parent-to-child relationships of a query
MAX_CHILD_LEVELS, MAX_CHILD_LEVELS_BEFORE = 5, 2  # of parents and children, the outermost object counted
FIVE_LEVELS_SINCE = 58  # API version
MAX_JOINS = 60  # kinds of parents that one query reads; SQLite joins 64 tables


def check_level(soql: str, query: Query, *, level: int, version: int) -> None:
    """Refuse a sub-query that is too many levels below the query's object. The words are those of API versions before 58.

    Raises: ApiError MALFORMED_QUERY with the place.
    """
    most = MAX_CHILD_LEVELS if version >= FIVE_LEVELS_SINCE else MAX_CHILD_LEVELS_BEFORE
    if level > most:
        levels = "1 level" if most == MAX_CHILD_LEVELS_BEFORE else f"{most - 1} levels"
        message = f"SOQL statements cannot query aggregate relationships more than {levels} away from the root entity object."
        raise refusal(soql, query.at, message)


def check_relationships(soql: str, plan: Plan) -> None:
    """Refuse a query with too many relationships. Those of semi-joins are not counted; the words are unverified.

    Raises: ApiError MALFORMED_QUERY.
    """
    parents, children = _relationships(plan)
    if parents > MAX_PARENTS:
        raise refusal(soql, 0, f"The query has {parents} child-to-parent relationships; {MAX_PARENTS} are allowed")
    if children > MAX_CHILDREN:
        raise refusal(soql, 0, f"The query has {children} parent-to-child relationships; {MAX_CHILDREN} are allowed")


def check_joins(query: Query, scope: Scope) -> None:
    """Refuse a query whose parents, every possible kind of a polymorphic one counted, are too many. The words are unverified.

    Source: SOQL and SOSL Reference, "Understanding Relationship Query Limitations": a polymorphic field can count several times.
    Raises: ApiError MALFORMED_QUERY.
    """
    if scope.joins > MAX_JOINS:
        raise refusal(scope.soql, query.at, f"The query reads {scope.joins} kinds of parents; {MAX_JOINS} are allowed")


def check_clauses(soql: str, query: Query, *, sobject: SObject, grouped: bool, is_count: bool) -> None:
    """Refuse clauses that do not go together. The words are unverified but for LIMIT and COUNT().

    Source: SOQL and SOSL Reference, "Considerations When Using GROUP BY", "COUNT()", "UPDATE VIEWSTAT".
    Raises: ApiError MALFORMED_QUERY with the place.
    """
    if grouped and not query.group_by and query.limit is not None:
        message = "Non-grouped query that uses overall aggregate functions cannot also use LIMIT"
        raise refusal(soql, query.at, message)
    if is_count and query.order_by:
        raise refusal(soql, query.order_by[0].expression.at, "COUNT() and ORDER BY may not be used together")
    if query.update is not None and not sobject.name.lower().endswith("__kav"):
        raise refusal(soql, query.at, f"UPDATE {query.update.upper()} is only supported for knowledge articles")


def names_ids(where: Condition | None, *, most: int) -> bool:
    """Whether the condition lets at most so many named ids through. Source: SOQL and SOSL Reference, "FIELDS()"."""
    counted = _named_ids(where)
    return counted is not None and counted <= most


def _named_ids(condition: Condition | None) -> int | None:
    match condition:
        case Comparison(FieldPath((name,)), "=", Literal("string")) if name.lower() == "id":
            return 1
        case Membership(FieldPath((name,)), "in", values) if name.lower() == "id":
            return len(values)
        case Junction(operator, operands):
            counts = [_named_ids(operand) for operand in operands]
            known = [count for count in counts if count is not None]
            if operator == "and":
                return min(known, default=None)
            return sum(known) if len(known) == len(counts) else None
    return None


def check_whose(query: Query, sobject: SObject) -> None:
    """Refuse a query of an object whose rows are made while they are read, if it does not say whose rows it wants.

    Source: the refusal as recorded of FieldDefinition and its kin, and salesforce.stackexchange.com/questions/73572. That `=` and
    IN of one of these columns, or of a field of EntityDefinition, are enough and a sub-select is not, is unverified.
    Raises: ApiError MALFORMED_QUERY.
    """
    columns = _WHOSE.get(sobject.name.lower())
    if columns is not None and not _says_whose(query.where, frozenset(name.lower() for name in columns)):
        message = f"{sobject.name}: a filter on a reified column is required [{','.join(columns)}]"
        raise ApiError(400, "MALFORMED_QUERY", message)


_WHOSE = {"fielddefinition": ("EntityDefinitionId", "DurableId")}


def _says_whose(condition: Condition | None, columns: frozenset[str]) -> bool:
    match condition:
        case Comparison(FieldPath(parts), "=") | Membership(FieldPath(parts), "in"):
            return any(part.lower() in columns or f"{part.lower()}id" in columns for part in parts)
        case Junction(operator, operands):
            return (any if operator == "and" else all)(_says_whose(operand, columns) for operand in operands)
    return False


def check_bulk(query: Query, scope: Scope) -> None:
    """Refuse what Bulk query refuses.

    Source: Bulk API 2.0 and Bulk API Developer Guide, "Query limitations": no GROUP BY, OFFSET, TYPEOF, aggregate functions,
    compound fields, parent-to-child relationships. Code API_ERROR as recorded; the words for GROUP BY, OFFSET, TYPEOF and
    aggregates are unverified.
    Raises: ApiError API_ERROR.
    """
    if any(isinstance(item, Query) for item in query.items):
        raise ApiError(400, "API_ERROR", "Aggregate Relationships not supported in Bulk Query")
    calls = [i.expression.name for i in query.items if isinstance(i, Item) and isinstance(i.expression, Call)]
    used = [name.upper() for name in calls if name in AGGREGATES or name == "format"]
    used += ["TYPEOF"] * any(isinstance(item, TypeOf) for item in query.items)
    used += ["GROUP BY"] * bool(query.group_by) + ["OFFSET"] * (query.offset is not None)
    if used:
        raise ApiError(400, "API_ERROR", f"Implementation restriction: {used[0]} is not supported in Bulk Query")
    for item in query.items:
        path = item.expression if isinstance(item, Item) else None
        if isinstance(path, FieldPath) and scope.column(path).field.is_compound:
            raise ApiError(400, "API_ERROR", "Selecting compound data not supported in Bulk Query")


def _relationships(plan: Plan) -> tuple[int, int]:
    parents, children = plan.scope.relationships, 0
    for output in plan.outputs:
        if isinstance(output, Children):
            above, below = _relationships(output.plan)
            parents, children = parents + above, children + below + 1
    return parents, children
