"""Whether values can fit a field: defaults that a mapping states, and the kinds of value that a column or a function gives.

Source: SOAP API Developer Guide, "Field Types" and "Primitive Data Types"; Bulk API 2.0 and Bulk API Developer Guide, "Valid Date
Format in Records". Read November 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from halocline.mapping.finding import Finding
from halocline.mapping.paths import Absent
from halocline.mapping.spellings import kind_of_spelling
from halocline.mapping.steps import Step
from halocline.mapping.transforms import kind_of
from halocline.quantity import quantity
from halocline.schema import Kind, Schema

_NUMBERS = frozenset({Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE, Kind.STRING})
_TEXTS = frozenset(Kind) - {Kind.BINARY, Kind.JSON}

# The kinds that can be right for a field of a type; text can be right for any. Types that are not here take any kind.
_TAKES: Mapping[str, frozenset[Kind]] = {
    **dict.fromkeys(("int", "long", "double", "currency", "percent"), _NUMBERS),
    **dict.fromkeys(("string", "textarea", "combobox", "encryptedstring", "phone"), _TEXTS),
    **dict.fromkeys(("id", "reference", "email", "url"), frozenset({Kind.STRING})),
    **dict.fromkeys(("picklist", "multipicklist"), _TEXTS - {Kind.BOOLEAN}),
    "boolean": frozenset({Kind.BOOLEAN, Kind.STRING}),
    "date": frozenset({Kind.DATE, Kind.DATETIME, Kind.STRING}),
    "datetime": frozenset({Kind.DATETIME, Kind.DATE, Kind.STRING}),
    "time": frozenset({Kind.TIME, Kind.STRING}),
    "base64": frozenset({Kind.BINARY, Kind.STRING}),
}
_SHORTER = {("date", Kind.DATETIME): "its time of day is cut, and the day may be another one in the user's time zone"}


def of_default(step: Step, field: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong with the step's default for the field; what a function makes of it is not known here."""
    if isinstance(step.default, Absent) or step.function is not None:
        return
    problem = _refusal(step.default, field)
    if problem:
        yield Finding(step.target, f"the default {step.default!r} {problem}")


def of_kind(step: Step, field: Mapping[str, Any], *, source: Schema | None) -> Iterator[Finding]:
    """What is wrong with the kind of value that the step's function, or else its source column, gives."""
    column = source.column(step.source) if source else None
    kind = kind_of(step.function) or kind_of_spelling(step.function) if step.function else column.kind if column else None
    if kind is None:
        return
    told = str(field["type"])
    if kind not in _TAKES.get(told, frozenset(Kind)):
        hint = "Map it with a function that gives such a value."
        yield Finding(step.target, f"values of kind {kind.value} do not fit a field of type {told}", hint=hint)
    elif (told, kind) in _SHORTER:
        yield Finding(step.target, f"values of kind {kind.value} in a field of type {told}: {_SHORTER[told, kind]}", fatal=False)


def _refusal(value: object, field: Mapping[str, Any]) -> str:
    """Why the field cannot hold the value, or nothing."""
    if value is None or (isinstance(value, str) and not value):
        return "" if field.get("nillable", True) else "would clear a field that must have a value"
    told = str(field["type"])
    if told in ("int", "long", "double", "currency", "percent"):
        return _number_refusal(value, whole=told in ("int", "long"))
    if told == "boolean":
        return "" if str(value).lower() in ("true", "false") else "is neither true nor false"
    if told in ("date", "datetime"):
        return _moment_refusal(value, told)
    if told in ("picklist", "multipicklist") and field.get("restrictedPicklist"):
        return _choice_refusal(str(value), field, several=told == "multipicklist")
    length = int(field.get("length") or 0)
    if isinstance(value, str) and 0 < length < len(value):
        return f"has {quantity(len(value), 'character')}, and {field['name']} holds {length}"
    return ""


def _number_refusal(value: object, *, whole: bool) -> str:
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return "is no number"
    if not number.is_finite():
        return "is no number that can be stored"
    return "is no whole number" if whole and number % 1 else ""


def _moment_refusal(value: object, told: str) -> str:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return f"is no {told}"
    return "" if isinstance(value, date) else f"is no {told}"  # a datetime is a date, too


def _choice_refusal(value: str, field: Mapping[str, Any], *, several: bool) -> str:
    choices = [str(item["value"]) for item in field.get("picklistValues") or () if item.get("active")]
    known = {choice.lower() for choice in choices}
    wrong = [one for one in (value.split(";") if several else [value]) if one.lower() not in known]
    return f"is not among the choices of {field['name']} ({', '.join(choices[:20])})" if wrong else ""
