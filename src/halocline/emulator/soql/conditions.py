"""WHERE and HAVING -> SQL.

A comparison is true or false, never unknown. Where the field is null, `=`, `<`, `LIKE` and `IN` are false, `!=`, `NOT IN` and
`EXCLUDES` true, and NOT turns one into the other. A boolean that is null counts as false, an empty string as null.
Source: SOQL and SOSL Reference, "Comparison Operators" (`!=` is true if the value "doesn't equal the specified value"),
"Logical Operators" (NOT is "true if fieldExpressionX is false"), "Use null in WHERE" and "null Values in Lookup Relationships and
Outer Joins". That NOT IN, EXCLUDES and NOT of a `<` or LIKE are true for null follows from these pages; unverified on an org.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias

from halocline.emulator import ids
from halocline.emulator.errors import ApiError
from halocline.emulator.soql.ast import Comparison, Condition, Expression, Junction, Literal, Membership, Not, SemiJoin
from halocline.emulator.soql.dates import day_range
from halocline.emulator.soql.fragment import Fragment, balanced, marks
from halocline.emulator.soql.lexer import plain_text
from halocline.emulator.soql.literals import DAY_TYPES, ID_TYPES, NUMBER_TYPES, bound, wrong_type
from halocline.emulator.soql.refusal import refusal
from halocline.emulator.soql.values import Value, allows

_RANGES = {"=": "({x} >= ? AND {x} < ?)", "<": "{x} < ?", "<=": "{x} < ?", ">": "{x} >= ?", ">=": "{x} >= ?"}
_PATTERN = re.compile(r"\\(.)|(.)", re.DOTALL)
_WILDCARDS = {"%": "*", "_": "?"}
_ADDRESS = "Address fields can only be filtered using Distance expressions"

Evaluate: TypeAlias = Callable[[Expression], Value]
SubSelect: TypeAlias = Callable[[SemiJoin], Fragment]


class Conditions:
    """Turns conditions into SQL: `evaluate` knows what names mean there, `sub_select` compiles the query of a semi-join."""

    def __init__(self, soql: str, *, now: datetime, evaluate: Evaluate, sub_select: SubSelect) -> None:
        self._soql = soql
        self._now = now
        self._evaluate = evaluate
        self._sub_select = sub_select

    def sql(self, condition: Condition) -> Fragment:
        """The condition in SQL, where null counts as false.

        Raises: ApiError with the place: INVALID_FIELD, INVALID_QUERY_FILTER_OPERATOR or MALFORMED_QUERY.
        """
        match condition:
            case Junction(operator):
                return balanced(f" {operator.upper()} ", [self.sql(operand) for operand in _flat(condition, operator)])
            case Not(operand):
                return "(" + self.sql(operand) + " IS NOT TRUE)"
            case Comparison():
                return self._compared(self._left(condition.left), condition.operator, condition.value)
            case Membership():
                return self._membership(condition)
            case SemiJoin():
                return self._semi_join(condition)

    def _left(self, expression: Expression) -> Value:
        """What is compared. Ids that are longer than a record's are names, as those of the Tooling API: texts."""
        value = self._evaluate(expression)
        if value.field is not None and not allows(value.field, "filterable"):
            address = value.field.type == "address"
            message = _ADDRESS if address else f"field '{value.name}' can not be filtered in a query call"
            raise refusal(self._soql, expression.at, message, code="INVALID_FIELD")
        is_name = value.type in ID_TYPES and value.field is not None and value.field.length > ids.LONG
        return replace(value, at=expression.at, type="string" if is_name else value.type)

    def _compared(self, value: Value, operator: str, literal: Literal) -> Fragment:
        if literal.kind == "relative":
            return self._in_range(value, operator, literal)
        if operator == "like":
            return self._like(value, literal)
        wanted = bound(literal, value.type, soql=self._soql, name=value.name, at=value.at)
        if value.type == "boolean":
            return self._boolean(value, operator, wanted)
        if wanted is None and operator not in ("=", "!="):
            raise self._bad_operator(value)
        if operator == "!=":
            return _different(value, wanted)
        return _equal(value, wanted) if operator == "=" else _ordered(value, operator, wanted)

    def _boolean(self, value: Value, operator: str, wanted: object) -> Fragment:
        if operator not in ("=", "!="):
            raise self._bad_operator(value)
        is_true = bool(wanted) == (operator == "=")
        return value.fragment + (" IS 1" if is_true else " IS NOT 1")

    def _like(self, value: Value, literal: Literal) -> Fragment:
        if value.type in NUMBER_TYPES | DAY_TYPES | ID_TYPES | {"boolean", "time", "multipicklist"}:
            raise self._bad_operator(value)
        if literal.kind != "string":
            raise wrong_type(value.type, soql=self._soql, name=value.name, at=value.at)
        return value.fragment + " GLOB " + marks([glob(literal.value, caseless=value.caseless)])

    def _in_range(self, value: Value, operator: str, literal: Literal) -> Fragment:
        if value.type not in DAY_TYPES or operator == "like":
            raise wrong_type(value.type, soql=self._soql, name=value.name, at=value.at)
        try:
            first, after = day_range(literal.value, literal.count, self._now)
        except ValueError as reason:
            raise refusal(self._soql, literal.at, str(reason)) from reason
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
            wanted = bound(literal, value.type, soql=self._soql, name=value.name, at=value.at)
            if wanted is None or _needs_glob(value, wanted):
                alternatives.append(_equal(value, wanted))
            else:
                plain.append(wanted)
        if plain:
            alternatives.append(value.fragment + f"{_collation(value)} IN (" + marks(plain) + ")")
        return balanced(" OR ", alternatives)

    def _included(self, value: Value, literals: Sequence[Literal]) -> Fragment:
        if value.type != "multipicklist":
            raise self._bad_operator(value)
        return balanced(" OR ", [self._all_of(value, literal) for literal in literals])

    def _all_of(self, value: Value, literal: Literal) -> Fragment:
        if literal.kind != "string":
            raise wrong_type(value.type, soql=self._soql, name=value.name, at=value.at)
        wanted = [f"*;{_exactly(entry.strip(), caseless=True)};*" for entry in plain_text(literal.value).split(";")]
        padded = "(';' || " + value.fragment + " || ';') GLOB "
        return balanced(" AND ", [padded + marks([pattern]) for pattern in wanted])

    def _semi_join(self, condition: SemiJoin) -> Fragment:
        left = self._left(condition.left)
        found = left.fragment + " IN (" + self._sub_select(condition) + ")"
        return "(" + found + " IS NOT TRUE)" if condition.negated else found

    def _bad_operator(self, value: Value) -> ApiError:
        return refusal(self._soql, value.at, f"invalid operator on {value.type} field", code="INVALID_QUERY_FILTER_OPERATOR")


def _flat(condition: Condition, operator: str) -> Iterator[Condition]:
    """The operands, those of inner parentheses with the same operator among them: SQLite nests less deep than SOQL."""
    if isinstance(condition, Junction) and condition.operator == operator:
        for operand in condition.operands:
            yield from _flat(operand, operator)
    else:
        yield condition


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


def _ordered(value: Value, operator: str, wanted: object) -> Fragment:
    """`<` and its kin in the order of ORDER BY, which for texts is that of their capitals: `_` comes behind every letter.

    SQLite knows the capitals of ASCII only; what differs in the case of other letters alone is at least equal.
    """
    if not value.caseless or not isinstance(wanted, str):
        return value.fragment + f" {operator} " + marks([wanted])
    ordered = "upper(" + value.fragment + f") {operator} " + marks([_capitals(wanted)])
    if not _needs_glob(value, wanted):
        return ordered
    same = _equal(value, wanted)
    return "(" + ordered + " OR " + same + ")" if operator.endswith("=") else "(" + ordered + " AND NOT " + same + ")"


def _capitals(text: str) -> str:
    return "".join(upper if len(upper := character.upper()) == 1 else character for character in text)


def _different(value: Value, wanted: object) -> Fragment:
    if wanted is None:
        return value.fragment + " IS NOT NULL"
    return "((" + _equal(value, wanted) + ") IS NOT TRUE)"
