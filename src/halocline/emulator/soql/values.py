"""Expressions of a query -> SQL: fields, date functions, aggregates, toLabel and FORMAT.

Source: SOQL and SOSL Reference, "Date Functions", "Aggregate Functions", "toLabel()", "FORMAT ()".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from halocline.emulator import tables
from halocline.emulator.objects import Field
from halocline.emulator.soql.ast import Call, Expression, FieldPath
from halocline.emulator.soql.fragment import Fragment, joined
from halocline.emulator.soql.literals import NUMBER_TYPES
from halocline.emulator.soql.refusal import refusal
from halocline.emulator.soql.scope import Column, Scope

AGGREGATES = frozenset({"count", "count_distinct", "sum", "avg", "min", "max"})
_LONG_TEXT = 255  # a longer text area is a CLOB: not filtered, sorted or grouped
_OPAQUE_TYPES = frozenset({"base64", "encryptedstring", "complexvalue", "anyType"})
_UNGROUPED_TYPES = frozenset({"combobox", "datetime", "time", "double", "currency", "percent", "multipicklist"})
_SUMMED_TYPES = NUMBER_TYPES
_NEVER_AGGREGATED = frozenset({"boolean", "multipicklist", "time"})

_MONTH = "CAST(substr({x}, 6, 2) AS INTEGER)"
_DAY = "CAST(substr({x}, 9, 2) AS INTEGER)"
# What each date function makes of the text `{x}` of a date or datetime; fiscal years are those of the calendar.
DATE_FUNCTIONS = {
    "calendar_year": "CAST(substr({x}, 1, 4) AS INTEGER)",
    "calendar_quarter": f"({_MONTH} + 2) / 3",
    "calendar_month": _MONTH,
    "day_in_month": _DAY,
    "day_in_week": "CAST(strftime('%w', {x}) AS INTEGER) + 1",
    "day_in_year": "CAST(strftime('%j', {x}) AS INTEGER)",
    "day_only": "substr({x}, 1, 10)",
    "fiscal_year": "CAST(substr({x}, 1, 4) AS INTEGER)",
    "fiscal_quarter": f"({_MONTH} + 2) / 3",
    "fiscal_month": _MONTH,
    "hour_in_day": "CAST(substr({x}, 12, 2) AS INTEGER)",
    "week_in_month": f"({_DAY} + 6) / 7",
    "week_in_year": "(CAST(strftime('%j', {x}) AS INTEGER) + 6) / 7",
}
# Functions that need another place or another kind of org; the words are unverified.
REFUSED_FUNCTIONS = {
    "converttimezone": "convertTimezone() is only supported inside date functions",
    "convertcurrency": "convertCurrency() is only supported in organizations with multiple currencies",
    "fields": "FIELDS() is only supported as an entry of the SELECT list",
}
# `A;B` -> `Label A;Label B`: what stands around the labels (a JSON object) and around the value.
_LABELS = (
    "(SELECT group_concat(COALESCE((SELECT l.value FROM json_each(",
    ") AS l WHERE l.key = p.value), p.value), ';') FROM json_each('[' || replace(json_quote(",
    "), ';', '\",\"') || ']') AS p)",
)
_DATETIME_ONLY = frozenset({"day_only", "hour_in_day"})


@dataclass(frozen=True, slots=True)
class Value:
    """An expression in SQL: its Salesforce type, its name in messages and answers, and the field it is, if it is just one.

    `at` is where a condition names it: a value that does not fit is refused there.
    """

    fragment: Fragment
    type: str
    name: str
    column: Column | None = None
    aggregate: bool = False
    formatted: bool = False
    at: int = 0

    @property
    def field(self) -> Field | None:
        """The field that the expression is, or None."""
        return self.column.field if self.column else None

    @property
    def caseless(self) -> bool:
        """Whether its text is compared without regard to case."""
        return tables.is_caseless(self.column.field) if self.column else False


def allows(field: Field, flag: str) -> bool:
    """Whether the field is `filterable`, `sortable`, `groupable` or `aggregatable`: as overridden, else by its type."""
    if field.is_compound:
        # Describe calls addresses filterable, but only DISTANCE() can compare one.
        return False
    told = field.overrides.get(flag)
    if told is not None:
        return bool(told)
    if field.type in _OPAQUE_TYPES or (field.type == "textarea" and field.length > _LONG_TEXT):
        return False
    if flag == "groupable":
        return field.type not in _UNGROUPED_TYPES
    if flag == "aggregatable":
        return field.type not in _NEVER_AGGREGATED
    return not (flag == "sortable" and field.type == "multipicklist")


def evaluated(scope: Scope, expression: Expression) -> Value:
    """The expression in SQL, names looked up.

    Raises: ApiError INVALID_FIELD for unknown names, MALFORMED_QUERY for unknown functions or arguments that do not fit.
    """
    if isinstance(expression, FieldPath):
        column = scope.column(expression)
        return Value(Fragment(column.sql), column.field.type, ".".join(column.path), column)
    if expression.name in AGGREGATES:
        return _aggregate(scope, expression)
    if expression.name in DATE_FUNCTIONS:
        return _date_function(scope, expression)
    if expression.name in SHOWING_FUNCTIONS:
        return SHOWING_FUNCTIONS[expression.name](scope, expression)
    if expression.name in REFUSED_FUNCTIONS:
        raise refusal(scope.soql, expression.at, REFUSED_FUNCTIONS[expression.name])
    raise refusal(scope.soql, expression.at, f"Invalid function name: {expression.name.upper()}")


def listed_position(value: Value) -> Fragment:
    """The place of a picklist's value among its values, those that are not listed last; null where it is null."""
    entries = value.field.picklist if value.field else ()
    cases = joined("", (Fragment(" WHEN ? THEN ?", (entry.value, n)) for n, entry in enumerate(entries)))
    chosen = "CASE WHEN " + value.fragment + " IS NULL THEN NULL ELSE CASE " + value.fragment + cases
    return chosen + f" ELSE {len(entries)} END END"


def makes_groups(expression: Expression) -> bool:
    """Whether selecting the expression makes the answer one of groups, with or without GROUP BY: aggregates, date functions.

    Source: SOQL and SOSL Reference, "Aggregate Functions"; for date functions, refusals that users of real orgs quote: with
    `CALENDAR_YEAR(CloseDate)` selected, `ORDER BY AccountId` is an ordered field that "must be grouped or aggregated".
    """
    return is_aggregate(expression) or (isinstance(expression, Call) and expression.name in DATE_FUNCTIONS)


def is_aggregate(expression: Expression) -> bool:
    """Whether the expression is a call of an aggregate function."""
    return isinstance(expression, Call) and (
        expression.name in AGGREGATES or (expression.name == "format" and any(map(is_aggregate, expression.arguments)))
    )


def _argument(scope: Scope, call: Call) -> Expression:
    if len(call.arguments) != 1:
        raise refusal(scope.soql, call.at, f"Incorrect number of parameters for function '{call.name.upper()}'")
    return call.arguments[0]


def _field_argument(scope: Scope, call: Call) -> Value:
    argument = _argument(scope, call)
    if not isinstance(argument, FieldPath):
        raise refusal(scope.soql, argument.at, f"Invalid parameter for function '{call.name.upper()}'")
    return evaluated(scope, argument)


def _aggregate(scope: Scope, call: Call) -> Value:
    if call.name == "count" and not call.arguments:
        # Source: "COUNT()": the only entry of a SELECT list, without ORDER BY and GROUP BY. The words are unverified.
        raise refusal(scope.soql, call.at, "COUNT() must be the only element in the SELECT list; use COUNT(fieldName) instead")
    argument = _argument(scope, call)
    inner = evaluated(scope, argument)
    field = inner.field
    if field is None or not _aggregates(call.name, field):
        raise refusal(scope.soql, argument.at, f"field {inner.name} does not support aggregate operator {call.name.upper()}")
    counted = call.name in ("count", "count_distinct")
    kind = "int" if counted else "double" if call.name == "avg" else inner.type
    distinct = "DISTINCT " if call.name == "count_distinct" else ""
    function = "COUNT" if counted else call.name.upper()
    collate = " COLLATE NOCASE" if inner.caseless else ""
    if function in ("MIN", "MAX") and field.type == "picklist" and field.picklist:
        # Picklists are compared as their values are listed. Source: "Support for Field Types in Aggregate Functions".
        listed = "printf('%05d', " + listed_position(inner) + ") || " + inner.fragment
        return Value(f"substr({function}(" + listed + "), 6)", kind, call.text, aggregate=True)
    return Value(f"{function}({distinct}" + inner.fragment + f"{collate})", kind, call.text, aggregate=True)


def _aggregates(function: str, field: Field) -> bool:
    if function in ("sum", "avg"):
        return field.type in _SUMMED_TYPES and allows(field, "aggregatable")
    return allows(field, "aggregatable")


def _date_function(scope: Scope, call: Call) -> Value:
    argument = _argument(scope, call)
    converted = isinstance(argument, Call) and argument.name == "converttimezone"
    # The running user's time zone is UTC here, so convertTimezone() moves nothing.
    inner = _field_argument(scope, argument if converted and isinstance(argument, Call) else call)
    if converted and inner.type != "datetime":
        raise refusal(scope.soql, argument.at, f"Invalid parameter type for function 'convertTimezone': {inner.name}")
    fits = inner.type == "datetime" or (inner.type == "date" and call.name not in _DATETIME_ONLY)
    if not fits:
        raise refusal(scope.soql, call.at, f"Invalid parameter type for function '{call.name.upper()}': {inner.name}")
    kind = "date" if call.name == "day_only" else "int"
    return Value(Fragment(DATE_FUNCTIONS[call.name].format(x=inner.fragment.sql)), kind, call.text)


def _label(scope: Scope, call: Call) -> Value:
    inner = _field_argument(scope, call)
    field = inner.field
    if field is None or not field.picklist:
        return inner
    if field.type == "multipicklist":
        labels = Fragment("?", (json.dumps({p.value: p.label for p in field.picklist}),))
        return Value(_LABELS[0] + labels + _LABELS[1] + inner.fragment + _LABELS[2], "string", inner.name, inner.column)
    cases = [Fragment(" WHEN ? THEN ?", (p.value, p.label)) for p in field.picklist]
    labelled = "CASE " + inner.fragment + joined("", cases) + " ELSE " + inner.fragment + " END"
    return Value(labelled, "string", inner.name, inner.column)


def _format(scope: Scope, call: Call) -> Value:
    inner = evaluated(scope, _argument(scope, call))
    return Value(inner.fragment, inner.type, inner.name, inner.column, inner.aggregate, formatted=True)


# Functions that show a value in another way.
SHOWING_FUNCTIONS: dict[str, Callable[[Scope, Call], Value]] = {"tolabel": _label, "format": _format}
