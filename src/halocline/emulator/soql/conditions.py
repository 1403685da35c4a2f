"""WHERE and HAVING -> SQL.

A comparison is true or false, never unknown. Where the field is null, `=`, `<`, `LIKE` and `IN` are false, `!=`, `NOT IN` and
`EXCLUDES` true, and NOT turns one into the other. A boolean that is null counts as false, an empty string as null.
Source: SOQL and SOSL Reference, "Comparison Operators" (`!=` is true if the value "doesn't equal the specified value"),
"Logical Operators" (NOT is "true if fieldExpressionX is false"), "Use null in WHERE" and "null Values in Lookup Relationships and
Outer Joins". That NOT IN, EXCLUDES and NOT of a `<` or LIKE are true for null follows from these pages; unverified on an org.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias

from halocline.emulator.errors import ApiError
from halocline.emulator.soql.ast import (
    Comparison,
    Condition,
    Expression,
    FieldPath,
    Item,
    Junction,
    Literal,
    Membership,
    Not,
    Query,
    SemiJoin,
)
from halocline.emulator.soql.dates import day_range
from halocline.emulator.soql.fragment import Fragment, joined, marks
from halocline.emulator.soql.lexer import plain_text
from halocline.emulator.soql.literals import DAY_TYPES, ID_TYPES, NUMBER_TYPES, bound, wrong_type
from halocline.emulator.soql.refusal import refusal
from halocline.emulator.soql.scope import Scope
from halocline.emulator.soql.values import Value, allows, evaluated

_RANGES = {"=": "({x} >= ? AND {x} < ?)", "<": "{x} < ?", "<=": "{x} < ?", ">": "{x} >= ?", ">=": "{x} >= ?"}
_PATTERN = re.compile(r"\\(.)|(.)", re.DOTALL)
_WILDCARDS = {"%": "*", "_": "?"}

SubSelect: TypeAlias = Callable[[Query], Fragment]


class Conditions:
    """Turns conditions into SQL within one scope; `sub_select` compiles the query of a semi-join."""

    def __init__(self, scope: Scope, *, now: datetime, sub_select: SubSelect, aggregates: bool = False) -> None:
        self._scope = scope
        self._now = now
        self._sub_select = sub_select
        self._aggregates = aggregates

    def sql(self, condition: Condition) -> Fragment:
        """The condition in SQL, where null counts as false.

        Raises: ApiError with the place: INVALID_FIELD, INVALID_QUERY_FILTER_OPERATOR or MALFORMED_QUERY.
        """
        match condition:
            case Junction(operator, operands):
                return "(" + joined(f" {operator.upper()} ", map(self.sql, operands)) + ")"
            case Not(operand):
                return "(" + self.sql(operand) + " IS NOT TRUE)"
            case Comparison():
                return self._compared(self._left(condition.left), condition.operator, condition.value)
            case Membership():
                return self._membership(condition)
            case SemiJoin():
                return self._semi_join(condition)

    def _left(self, expression: Expression) -> Value:
        value = evaluated(self._scope, expression)
        if value.aggregate and not self._aggregates:
            raise refusal(self._scope.soql, expression.at, f"Grouped field should not be aggregated: {value.name}")
        if value.field is not None and not allows(value.field, "filterable"):
            message = f"field '{value.name}' can not be filtered in a query call"
            raise refusal(self._scope.soql, expression.at, message, code="INVALID_FIELD")
        return value

    def _compared(self, value: Value, operator: str, literal: Literal) -> Fragment:
        if literal.kind == "relative":
            return self._in_range(value, operator, literal)
        if operator == "like":
            return self._like(value, literal)
        wanted = bound(literal, value.type, soql=self._scope.soql, name=value.name)
        if value.type == "boolean":
            return self._boolean(value, operator, wanted, literal)
        if wanted is None and operator not in ("=", "!="):
            raise self._bad_operator(literal, operator, "null")
        if operator == "!=":
            return _different(value, wanted)
        return _equal(value, wanted) if operator == "=" else value.fragment + f"{_collation(value)} {operator} " + marks([wanted])

    def _boolean(self, value: Value, operator: str, wanted: object, literal: Literal) -> Fragment:
        if operator not in ("=", "!="):
            raise self._bad_operator(literal, operator, "boolean")
        is_true = bool(wanted) == (operator == "=")
        return value.fragment + (" IS 1" if is_true else " IS NOT 1")

    def _like(self, value: Value, literal: Literal) -> Fragment:
        if value.type in NUMBER_TYPES | DAY_TYPES | ID_TYPES | {"boolean", "time", "multipicklist"}:
            raise self._bad_operator(literal, "like", value.type)
        if literal.kind != "string":
            raise wrong_type(literal, value.type, soql=self._scope.soql, name=value.name)
        return value.fragment + " GLOB " + marks([glob(literal.value, caseless=value.caseless)])

    def _in_range(self, value: Value, operator: str, literal: Literal) -> Fragment:
        if value.type not in DAY_TYPES or operator == "like":
            raise wrong_type(literal, value.type, soql=self._scope.soql, name=value.name)
        try:
            first, after = day_range(literal.value, literal.count, self._now)
        except ValueError as reason:
            raise refusal(self._scope.soql, literal.at, str(reason)) from reason
        tail = "T00:00:00.000Z" if value.type == "datetime" else ""
        edges = (first, after) if operator in ("=", "!=") else (first,) if operator in ("<", ">=") else (after,)
        sql = _RANGES["=" if operator == "!=" else operator].format(x=value.fragment.sql)
        found = Fragment(sql, tuple(f"{edge.isoformat()}{tail}" for edge in edges))
        return "(" + found + " IS NOT TRUE)" if operator == "!=" else found

    def _membership(self, condition: Membership) -> Fragment:
        value = self._left(condition.left)
        if condition.operator in ("in", "not in"):
            found = self._among(value, condition.values)
        else:
            found = self._included(value, condition.values)
        return "(" + found + " IS NOT TRUE)" if condition.operator in ("not in", "excludes") else found

    def _among(self, value: Value, literals: Sequence[Literal]) -> Fragment:
        plain, alternatives = [], []
        for literal in literals:
            if literal.kind == "relative" or value.type == "boolean":
                alternatives.append(self._compared(value, "=", literal))
                continue
            wanted = bound(literal, value.type, soql=self._scope.soql, name=value.name)
            if wanted is None or _needs_glob(value, wanted):
                alternatives.append(_equal(value, wanted))
            else:
                plain.append(wanted)
        if plain:
            alternatives.append(value.fragment + f"{_collation(value)} IN (" + marks(plain) + ")")
        return "(" + joined(" OR ", alternatives) + ")"

    def _included(self, value: Value, literals: Sequence[Literal]) -> Fragment:
        if value.type != "multipicklist":
            raise self._bad_operator(literals[0], "includes", value.type)
        return "(" + joined(" OR ", (self._all_of(value, literal) for literal in literals)) + ")"

    def _all_of(self, value: Value, literal: Literal) -> Fragment:
        if literal.kind != "string":
            raise wrong_type(literal, value.type, soql=self._scope.soql, name=value.name)
        wanted = [f"*;{_exactly(entry.strip(), caseless=True)};*" for entry in plain_text(literal.value).split(";")]
        padded = "(';' || " + value.fragment + " || ';') GLOB "
        return "(" + joined(" AND ", (padded + marks([pattern]) for pattern in wanted)) + ")"

    def _semi_join(self, condition: SemiJoin) -> Fragment:
        left = self._left(condition.left)
        chosen = condition.query.items[0] if len(condition.query.items) == 1 else None
        one_field = isinstance(chosen, Item) and isinstance(chosen.expression, FieldPath)
        if left.type not in ID_TYPES or not one_field:
            raise refusal(self._scope.soql, condition.query.at, "Semi join sub-selects can only query and compare id fields")
        found = left.fragment + " IN (" + self._sub_select(condition.query) + ")"
        return "(" + found + " IS NOT TRUE)" if condition.negated else found

    def _bad_operator(self, literal: Literal, operator: str, what: str) -> ApiError:
        message = f"invalid operator {operator} on {what} field"
        return refusal(self._scope.soql, literal.at, message, code="INVALID_QUERY_FILTER_OPERATOR")


def glob(pattern: str, *, caseless: bool) -> str:
    """A LIKE pattern of SOQL as a GLOB pattern of SQLite, which knows the case of all letters, not only of ASCII ones."""
    pieces = []
    for escaped, plain in _PATTERN.findall(pattern):
        pieces.append(_WILDCARDS.get(plain) or _one(escaped or plain, caseless=caseless))
    return "".join(pieces)


def _exactly(text: str, *, caseless: bool) -> str:
    return "".join(_one(character, caseless=caseless) for character in text)


def _one(character: str, *, caseless: bool) -> str:
    forms = {character, character.lower(), character.upper()} if caseless else {character}
    single = sorted(form for form in forms if len(form) == 1)
    return f"[{''.join(single)}]" if len(single) > 1 or character in "*?[" else character


def _collation(value: Value) -> str:
    return " COLLATE NOCASE" if value.caseless else ""


def _needs_glob(value: Value, wanted: object) -> bool:
    # SQLite's NOCASE folds ASCII letters only.
    return value.caseless and isinstance(wanted, str) and any(c > "\x7f" and c.lower() != c.upper() for c in wanted)


def _equal(value: Value, wanted: object) -> Fragment:
    if wanted is None:
        return value.fragment + " IS NULL"
    if _needs_glob(value, wanted):
        return value.fragment + " GLOB " + marks([_exactly(str(wanted), caseless=True)])
    return value.fragment + f"{_collation(value)} = " + marks([wanted])


def _different(value: Value, wanted: object) -> Fragment:
    if wanted is None:
        return value.fragment + " IS NOT NULL"
    return "((" + _equal(value, wanted) + ") IS NOT TRUE)"
