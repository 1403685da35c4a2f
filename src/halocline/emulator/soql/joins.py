"""What semi-joins and anti-joins may be: `Id IN (SELECT AccountId FROM Contact)`.

Source: SOQL and SOSL Reference, "Comparison Operators", sections on semi-joins and anti-joins. The words of most refusals are
those that users quote from real orgs; where that is not so, the refusal says "unverified" beside it.
"""

from __future__ import annotations

from collections.abc import Iterator

from halocline.emulator.soql.ast import Condition, FieldPath, Item, Junction, Not, Query, SemiJoin
from halocline.emulator.soql.refusal import refusal
from halocline.emulator.soql.scope import Column

MAX_SEMI_JOINS = 2  # of one WHERE clause; same page

_NESTED = "Semi join sub-selects are only allowed at the top level WHERE expressions and not in nested WHERE expressions."


def check_places(soql: str, where: Condition) -> None:
    """Refuse semi-joins beyond the second, beside OR, under NOT and in inner parentheses.

    Raises: ApiError MALFORMED_QUERY with the place.
    """
    found = list(_semi_joins(where))
    if len(found) > MAX_SEMI_JOINS:
        message = f"Maximum {MAX_SEMI_JOINS} semi join sub-selects are allowed"
        raise refusal(soql, found[MAX_SEMI_JOINS].query.at, message)
    at_top = where.operands if isinstance(where, Junction) else (where,)
    for join in found:
        if join not in at_top:
            raise refusal(soql, join.query.at, _NESTED)
    if found and isinstance(where, Junction) and where.operator == "or":
        raise refusal(soql, found[0].query.at, "Semi join sub-selects are not allowed with the 'OR' operator")


# Source: same page. The words are those that users quote.
_NOT_INSIDE = frozenset(
    {"activityhistory", "attachment", "event", "eventattendee", "note", "openactivity", "task"}  # and the objects of tags
)


def chosen_field(soql: str, query: Query) -> FieldPath:
    """The one field that a sub-select chooses.

    Raises: ApiError MALFORMED_QUERY (some words unverified) for another list, and for clauses that sub-selects do not have.
    """
    if query.source.text.lower() in _NOT_INSIDE or query.source.text.lower().endswith("tag"):
        raise refusal(soql, query.source.at, f"Entity '{query.source.text}' is not supported for semi join inner selects")
    only = query.items[0] if len(query.items) == 1 else None
    if not isinstance(only, Item) or not isinstance(only.expression, FieldPath):
        raise refusal(soql, query.at, "Semi join sub-selects can only query id fields")
    if query.limit is not None or query.offset is not None or query.order_by or query.group_by:
        raise refusal(soql, query.at, "Semi join sub-selects cannot use ORDER BY, LIMIT, OFFSET or GROUP BY")
    return only.expression


def check_fields(soql: str, join: SemiJoin, *, outer: Column, inner: Column) -> None:
    """Refuse fields that are no ids, that are reached over relationships, or that point to different objects.

    Raises: ApiError MALFORMED_QUERY with the place.
    """
    if len(outer.path) > 1:
        raise refusal(soql, join.left.at, "The left operand cannot have more than one level of relationships")
    if not _targets(outer):
        message = "The left operand field in the where expression for outer query should be an id field, cannot use: "
        raise refusal(soql, join.left.at, f"{message}'{outer.field.name}'")
    if len(inner.path) > 1:
        message = f"The inner select field '{'.'.join(inner.path)}' cannot have more than one level of relationships"
        raise refusal(soql, join.query.at, message)
    if not _targets(inner):
        raise refusal(soql, join.query.at, f"Semi join sub-selects can only query id fields, cannot use: '{inner.field.name}'")
    if outer.sobject.name == inner.sobject.name:
        raise refusal(soql, join.query.at, "The inner and outer selects should not be on the same object type")
    if not _targets(outer) & _targets(inner):
        message = (
            f"The selected field '{inner.field.name}' in the subquery and the left operand field in the where expression in the "
            f"outer query '{outer.field.name}' should point to the same object type"
        )
        raise refusal(soql, join.query.at, message)


def _semi_joins(condition: Condition) -> Iterator[SemiJoin]:
    if isinstance(condition, SemiJoin):
        yield condition
    for operand in getattr(condition, "operands", ()):
        yield from _semi_joins(operand)
    if isinstance(condition, Not):
        yield from _semi_joins(condition.operand)


def _targets(column: Column) -> frozenset[str]:
    if column.field.type == "id":
        return frozenset({column.sobject.name.lower()})
    return frozenset(name.lower() for name in column.field.reference_to) if column.field.type == "reference" else frozenset()
