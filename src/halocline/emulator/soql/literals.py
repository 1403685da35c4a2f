"""Literals of a condition -> values to bind, checked against the field's type.

Source: SOQL and SOSL Reference, "fieldExpression Syntax": the value's type must match the field's. The words of the refusals
are those that users quote from real orgs; their error codes are unverified except INVALID_FIELD.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from halocline.emulator import ids
from halocline.emulator.errors import ApiError
from halocline.emulator.soql.ast import Literal
from halocline.emulator.soql.lexer import plain_text
from halocline.emulator.soql.refusal import refusal, unreadable

NUMBER_TYPES = frozenset({"int", "long", "double", "currency", "percent"})
DAY_TYPES = frozenset({"date", "datetime"})
ID_TYPES = frozenset({"id", "reference"})

_FRACTION = re.compile(r"\.(\d+)")
_NAMES = {"datetime": "dateTime", "reference": "id", "long": "int", "currency": "double", "percent": "double"}
_SAME_NAMES = frozenset({"boolean", "double", "int", "date", "time", "id"})


def bound(literal: Literal, kind: str, *, soql: str, name: str, at: int) -> object:
    """The value that SQL compares with a field called `name` of type `kind` that stands `at`; None for null and for no text.

    Raises: ApiError INVALID_FIELD if the literal is of another type, INVALID_QUERY_FILTER_OPERATOR for a text that is no id.
    """
    if literal.kind == "null":
        return None
    if kind in NUMBER_TYPES and literal.kind == "number":
        is_int = re.fullmatch(r"[+-]?[0-9]{1,18}", literal.value)  # SQLite's integers have 64 bits
        return int(literal.value) if is_int else float(literal.value)
    if kind == "boolean" and literal.kind == "boolean":
        return int(literal.value == "true")
    if kind in ("date", "datetime", "time") and literal.kind == kind:
        return _moment(literal, soql)
    if kind in ID_TYPES and literal.kind == "string":
        return _id(literal, soql, at)
    if kind not in NUMBER_TYPES | DAY_TYPES | ID_TYPES | {"boolean", "time"} and literal.kind == "string":
        return plain_text(literal.value) or None
    raise wrong_type(kind, soql=soql, name=name, at=at)


def wrong_type(kind: str, *, soql: str, name: str, at: int) -> ApiError:
    """The refusal of a literal that does not fit the field, which is where the caret stands."""
    shown = _NAMES.get(kind, kind if kind in _SAME_NAMES else "string")
    quotes = "should be" if shown in ("string", "id") else "should not be"
    message = f"value of filter criterion for field '{name}' must be of type {shown} and {quotes} enclosed in quotes"
    return refusal(soql, at, message, code="INVALID_FIELD")


def _id(literal: Literal, soql: str, at: int) -> str | None:
    text = plain_text(literal.value)
    if text and not ids.is_valid(text):
        raise refusal(soql, at, f"invalid ID field: {text}", code="INVALID_QUERY_FILTER_OPERATOR")
    return ids.to_18(text) if text else None


def _moment(literal: Literal, soql: str) -> str:
    try:
        return _stored(literal)
    except (ValueError, OverflowError) as reason:
        raise unreadable(soql, literal.at, problem=f"no viable alternative at '{literal.value}'") from reason


def _stored(literal: Literal) -> str:
    text = literal.value.upper().replace("Z", "+00:00")
    if literal.kind == "date":
        return date.fromisoformat(text).isoformat()
    text = _FRACTION.sub(lambda m: "." + m[1][:6].ljust(6, "0"), text)
    whole = datetime.fromisoformat(text if literal.kind == "datetime" else f"2000-01-01T{text}").astimezone(UTC)
    shown = whole.strftime("%Y-%m-%dT%H:%M:%S" if literal.kind == "datetime" else "%H:%M:%S")
    return f"{shown}.{whole.microsecond // 1000:03d}Z"
