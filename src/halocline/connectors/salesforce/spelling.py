"""How the values of a record are spelled: as JSON for REST, as texts for Bulk's CSV. One policy for both.

    a key that is missing      the field stays as it is          (in CSV: an empty cell)
    None, and the empty text   the field is cleared              (null; in CSV: #N/A)
    anything else              the field is set

Salesforce keeps no empty text: REST takes "" for null, where Bulk takes an empty cell for "leave it"; so "" is spelled as null.
A lookup by another object's key is a name with a dot (`Account.Ext__c`, `User:Owner.Username`), or a dict in a field's place.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Valid CSV Record Rows" and "Relationship Fields in a Header Row"; REST API
Developer Guide, "Insert or Update (Upsert) a Record Using an External ID" (relationships). Read November 2026.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

CLEARED = "#N/A"  # a cell of this text clears the field, so no field can be set to it by Bulk
ATTRIBUTES = "attributes"  # what Salesforce says of a record beside its fields; it is not sent back
_LEAST_POWER = -6  # of ten, of a double that a column tells without an exponent, as JavaScript does
_MOST_DIGITS = 400  # ours: no double is longer, and a Decimal may stand for more digits than there is memory


class CannotSpell(ValueError):
    """A value that cannot be sent; `field` is where it stands."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def json_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record as REST takes it: dotted names nested, `attributes` of an earlier query left out.

    Raises: CannotSpell naming the first field whose value cannot be sent, or that is given twice.
    """
    told: dict[str, Any] = {}
    seen: set[str] = set()
    for name, value in record.items():
        if name == ATTRIBUTES:
            continue
        _once(name, seen)
        if "." in name:
            place, parent = _lookup(name, value)
            told[place] = parent
        else:
            told[name] = _json(name, value)
    return told


def flat_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with dicts in a field's place turned into dotted names, as CSV's header takes them.

    Raises: CannotSpell for a lookup by more than one key, or a name given twice in any case.
    """
    flat: dict[str, Any] = {}
    seen: set[str] = set()
    for name, value in record.items():
        if name == ATTRIBUTES:
            continue
        spelled, inner = _flattened(name, value) if isinstance(value, Mapping) else (name, value)
        _once(spelled, seen)
        flat[spelled] = inner
    return flat


def cell(field: str, value: object) -> str:
    """A value as a cell of CSV.

    Raises: CannotSpell, also for the text `#N/A`, which Bulk would take as the order to clear the field.
    """
    if _is_empty(value):
        return CLEARED
    if isinstance(value, str) and value == CLEARED:
        raise CannotSpell(field, f"the text {CLEARED} cannot be sent by Bulk, where it clears the field; REST can send it")
    if isinstance(value, (bytes, bytearray)):
        raise CannotSpell(field, "Bulk takes no files in a cell; REST can send it")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _digits(float.__repr__(_finite(field, value)))  # a subclass, such as numpy's, may show itself in another way
    if isinstance(value, Decimal):
        number = _finite_decimal(field, value)
        return format(number if number else abs(number), "f")  # a decimal of a column has no zero below zero
    return int.__repr__(value) if isinstance(value, int) else _text(field, value)


def _digits(shown: str) -> str:
    """A double as a column of a table is spelled, from what `repr` shows: in a field of text `5` and `5.0` are two keys.

    It has all digits from 0.000001 up to 1e16, and no `.0`; what is smaller or larger has an exponent of as few digits as may be.
    """
    mantissa, _, exponent = shown.removesuffix(".0").partition("e")
    if not exponent:
        return mantissa
    power = int(exponent)
    return format(Decimal(shown), "f") if _LEAST_POWER <= power < 0 else f"{mantissa}e{power:+d}"


def moment(field: str, value: datetime) -> str:
    """`2026-11-21T10:20:30.000Z`; Salesforce keeps no finer part than a millisecond, and what is finer is cut.

    Raises: CannotSpell for a datetime without a time zone: nobody knows which instant it means.
    """
    if value.tzinfo is None:
        raise CannotSpell(field, "a datetime without a time zone; say which instant it is, as in datetime(..., tzinfo=UTC)")
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _once(name: str, seen: set[str]) -> None:
    if name.lower() in seen:
        raise CannotSpell(name, f"the field {name} is given twice (names are the same in any case)")
    seen.add(name.lower())


def _lookup(name: str, value: object) -> tuple[str, dict[str, Any] | None]:
    """The place and the value of a dotted name. That null clears a relationship over REST is unverified."""
    path, _, key = name.partition(".")
    kind, _, relationship = path.rpartition(":")
    if "." in key or not relationship or not key:
        raise CannotSpell(name, f"{name} is no lookup by a key; it looks like Account.Ext__c or User:Owner.Username")
    told = _json(name, value)
    if told is None:
        return relationship, None
    return relationship, {**({ATTRIBUTES: {"type": kind}} if kind else {}), key: told}


def _flattened(name: str, value: Mapping[str, Any]) -> tuple[str, Any]:
    keys = [key for key in value if key != ATTRIBUTES]
    if len(keys) != 1:
        raise CannotSpell(name, f"a lookup names one key of the other object, and {name} names {len(keys)}")
    attributes = value.get(ATTRIBUTES)
    kind = attributes.get("type") if isinstance(attributes, Mapping) else None
    return f"{f'{kind}:' if kind else ''}{name}.{keys[0]}", value[keys[0]]


def _json(field: str, value: object) -> Any:
    if _is_empty(value):
        return None
    if isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return _finite(field, value)
    if isinstance(value, Decimal):
        return number(_finite_decimal(field, value))
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()  # REST API Developer Guide, "Insert or Update Blob Data"
    if isinstance(value, Mapping):
        return {key: inner if key == ATTRIBUTES else _json(f"{field}.{key}", inner) for key, inner in value.items()}
    return _text(field, value)


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value)  # what else has an opinion on == may answer anything


def number(value: Decimal) -> int | float | str:
    """A JSON number where that is exact, else the digits as text; that Salesforce reads those exactly is unverified."""
    if value == value.to_integral_value() and abs(value) < 10**18:
        return int(value)
    near = float(value)
    return near if Decimal(repr(near)) == value else format(value, "f")


def _finite(field: str, value: float) -> float:
    if not math.isfinite(value):
        raise CannotSpell(field, f"{value} is no number that Salesforce has; None clears the field")
    return value


def _finite_decimal(field: str, value: Decimal) -> Decimal:
    if not value.is_finite() or abs(value.adjusted()) > _MOST_DIGITS:
        raise CannotSpell(field, f"{value} is no number that Salesforce has; None clears the field")
    return value


def _text(field: str, value: object) -> str:
    spell = next((spell for kind, spell in _TEXTS.items() if isinstance(value, kind)), None)
    if spell is None:
        raise CannotSpell(field, f"a {type(value).__name__} is no value of a field; send text, a number, a date or None")
    return spell(field, value)


def _checked(field: str, value: str) -> str:
    """The text, once it is sure that it can be written as UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise CannotSpell(field, "the text holds half a character (a surrogate without its pair)") from error
    return value


_TEXTS: Mapping[type, Callable[[str, Any], str]] = {
    str: _checked,
    datetime: moment,  # before date: a datetime is one
    date: lambda _, value: str(value.isoformat()),
    time: lambda _, value: f"{value.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z",
    UUID: lambda _, value: str(value),
}
