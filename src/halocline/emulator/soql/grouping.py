"""GROUP BY, ROLLUP and CUBE: which keys there are, which of them a row totals, and what an expression is worth there.

Source: SOQL and SOSL Reference, "GROUP BY", "GROUP BY ROLLUP", "GROUP BY CUBE", "GROUPING(fieldName)".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import TypeAlias

from halocline.emulator.soql.ast import Call, Expression, FieldPath, Query
from halocline.emulator.soql.fragment import Fragment
from halocline.emulator.soql.refusal import refusal
from halocline.emulator.soql.scope import Scope
from halocline.emulator.soql.values import Value, allows, evaluated

Key: TypeAlias = tuple[str, ...]


class Groups:
    """The keys of a query and, in one of the groupings of ROLLUP or CUBE, those that are totalled."""

    def __init__(self, scope: Scope, query: Query, totalled: frozenset[Key] = frozenset()) -> None:
        self._scope = scope
        self._query = query
        self._totalled = totalled
        self._keys = {key(scope, expression) for expression in query.group_by}

    def value(self, expression: Expression) -> Value:
        """The expression in SQL, where a key that is totalled is null.

        Raises: ApiError MALFORMED_QUERY for what is neither grouped nor aggregated.
        """
        return self._value(expression, "Field")

    def ordered(self, expression: Expression) -> Value:
        """The same for an entry of ORDER BY."""
        return self._value(expression, "Ordered field")

    def _value(self, expression: Expression, what: str) -> Value:
        if isinstance(expression, Call) and expression.name == "grouping":
            return self._grouping(expression)
        if isinstance(expression, Call) and expression.name == "fields":
            raise refusal(self._scope.soql, expression.at, f"{what} must be grouped or aggregated: {expression.text}")
        value = evaluated(self._scope, expression)
        if value.aggregate:
            self._check_aggregated(expression)
            return value
        own = self._key(expression)
        if own is None:
            raise refusal(self._scope.soql, expression.at, f"{what} must be grouped or aggregated: {value.name}")
        return replace(value, fragment=Fragment("NULL")) if own in self._totalled else value

    def _check_aggregated(self, call: Expression) -> None:
        """Source: recorded answers of real orgs."""
        for argument in call.arguments if isinstance(call, Call) else ():
            if isinstance(argument, FieldPath) and key(self._scope, argument) in self._keys:
                raise refusal(self._scope.soql, argument.at, f"Grouped field should not be aggregated: {argument.text}")
            self._check_aggregated(argument)

    def _key(self, expression: Expression) -> Key | None:
        """The key that the expression is, or shows in another way: its label, its year; None if it depends on none."""
        own = key(self._scope, expression)
        if own in self._keys:
            return own
        inner = expression.arguments if isinstance(expression, Call) else ()
        return self._key(inner[0]) if len(inner) == 1 else None

    def keys(self) -> tuple[Fragment, ...]:
        """What SQL groups by.

        Raises: ApiError MALFORMED_QUERY for a field that cannot be grouped.
        """
        listed = [e for e in self._query.group_by if key(self._scope, e) not in self._totalled]
        found = tuple(self._key_sql(expression) for expression in listed)
        # A grand total is one group of all rows; without GROUP BY and aggregates it would be every row.
        return found or (Fragment("NULL"),) * bool(self._query.group_by)

    def _key_sql(self, expression: Expression) -> Fragment:
        value = evaluated(self._scope, expression)
        fixed = value.aggregate or value.formatted
        if fixed or (value.field is not None and not allows(value.field, "groupable")):
            raise refusal(self._scope.soql, expression.at, f"field '{value.name}' can not be grouped in a query call")
        # For users with an English locale groups take no notice of case; SQLite's NOCASE folds ASCII only. No page says so:
        # the tracker of octoberswimmer/aer-dist has a trial on a real org.
        return value.fragment + (" COLLATE NOCASE" if value.caseless else "")

    def _grouping(self, call: Call) -> Value:
        """1 where the key is totalled, else 0. The words of the refusals are unverified."""
        if self._query.subtotals is None:
            raise refusal(self._scope.soql, call.at, "GROUPING is only supported with GROUP BY ROLLUP or GROUP BY CUBE")
        if len(call.arguments) != 1:
            raise refusal(self._scope.soql, call.at, "Incorrect number of parameters for function 'GROUPING'")
        own = key(self._scope, call.arguments[0])
        if own not in self._keys:
            raise refusal(self._scope.soql, call.at, f"Field must be grouped or aggregated: {call.arguments[0].text}")
        return Value(Fragment(str(int(own in self._totalled))), "int", call.text, aggregate=True)


def groupings(scope: Scope, query: Query) -> Iterator[Groups]:
    """The groupings of a query: one for GROUP BY; for ROLLUP and CUBE the details first and the grand total last."""
    keys = list(dict.fromkeys(key(scope, expression) for expression in query.group_by))
    for count in range(len(keys) + 1 if query.subtotals else 1):
        if query.subtotals == "cube":
            yield from (Groups(scope, query, frozenset(chosen)) for chosen in combinations(keys, count))
        else:
            yield Groups(scope, query, frozenset(keys[len(keys) - count :]))


def key(scope: Scope, expression: Expression) -> Key:
    """The same for two spellings of one expression."""
    if isinstance(expression, FieldPath):
        return tuple(part.lower() for part in scope.column(expression).path)
    return (expression.name, *(part for argument in expression.arguments for part in key(scope, argument)))
