"""Values as clients send them, turned into stored values: one conversion for each type of field."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from halocline.emulator.errors import ApiError, malformed_id, malformed_json
from halocline.emulator.ids import is_valid, to_18

if TYPE_CHECKING:
    from halocline.emulator.objects import Field

_EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>.]+")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d(:?\d\d)?)", re.IGNORECASE)
_BLANKS = " \t\n\v\f\r"
_WORDS = frozenset({"picklist", "multipicklist", "email"})
_INT_RANGE = range(-(2**31), 2**31)
# Source: SOAP API Developer Guide, "Primitive Data Types", `dateTime`: from 1700-01-01 to 4000-12-31.
_FIRST_DAY, _LAST_DAY = "1700-01-01", "4000-12-31"
_T = TypeVar("_T")

Conversion: TypeAlias = Callable[["Field", object], object]


def trimmed(text: str) -> str:
    """A text as it is kept: without blanks before and after it, and a non-breaking space is none.

    Source: Apex Developer Guide, "Primitive Data Types": "sObject String field values follow the same rules as in the SOAP API:
    they can never be empty (only null), and they can never include leading and trailing whitespace. These conventions are
    necessary for database storage." Change Data Capture Developer Guide, "Considerations for ... the SHA-256 Hash": "Salesforce
    trims leading and trailing white spaces in field values." Bulk API's "Field values aren't trimmed" is said of reading the
    CSV. Which control characters count as blanks is unverified; U+00A0 is kept: salesforcedan.com.
    """
    return text.strip(_BLANKS)


def converter(field: Field) -> Callable[[object], object]:
    """What turns a value of this field that is neither null nor empty text into the stored one; text of blanks alone is null.

    It raises ApiError(400) in Salesforce's words. Dependent picklists do not look at the field that they depend on: the API lets
    any value of their own list pass. Source: Salesforce Help, "Dependent Picklist Considerations".
    """
    convert = partial(_CONVERSIONS.get(field.type, _text), field)
    return partial(_trimmed, convert) if field.type in _WORDS or field.type not in _CONVERSIONS else convert


def _trimmed(convert: Callable[[object], object], value: object) -> object:
    if isinstance(value, str):
        value = trimmed(value)
    return None if value == "" else convert(value)


def record_id(field: Field, value: object) -> str:
    """The id in 18 characters.
    Raises: ApiError(400, MALFORMED_ID).
    """
    if not isinstance(value, str) or not is_valid(value):
        raise malformed_id(field.label, value, field=field.name)
    return to_18(value)


_TOKENS = {str: "VALUE_STRING", int: "VALUE_NUMBER_INT", float: "VALUE_NUMBER_FLOAT", list: "START_ARRAY"}


def cannot_read(kind: str, value: object) -> ApiError:
    """The refusal of a JSON value that is not of the type wanted. The tokens are those of Jackson, whose words these are."""
    token = f"VALUE_{str(value).upper()}" if isinstance(value, bool) else _TOKENS.get(type(value), "START_OBJECT")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return malformed_json(
        f"Cannot deserialize instance of {kind} from {token} value {text} or request may be missing a required field"
    )


def _text(field: Field, value: object) -> str:
    text = value if isinstance(value, str) else _as_text(field, value)
    if field.length and len(text) > field.length:
        message = f"{field.label}: data value too large: {text} (max length={field.length})"
        raise ApiError(400, "STRING_TOO_LONG", message, fields=(field.name,))
    if not text.isascii() and _HALF_CHARACTER.search(text):
        raise malformed_json("Unexpected character: a surrogate without its pair is no text")
    return text


def _as_text(field: Field, value: object) -> str:
    if isinstance(value, (Mapping, list)):
        raise cannot_read(field.type, value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _picklist(field: Field, value: object) -> str:
    text = _text(field, value)
    if field.restricted_picklist and not _offered(field).issuperset((text,)):
        raise _not_offered(field, text)
    return text


def _multipicklist(field: Field, value: object) -> str:
    text = _text(field, value)
    if field.restricted_picklist and not _offered(field).issuperset(part for part in text.split(";") if part):
        raise _not_offered(field, text)
    return text


def _offered(field: Field) -> frozenset[str]:
    return frozenset(one.value for one in field.picklist if one.active)


def _not_offered(field: Field, text: str) -> ApiError:
    message = f"{field.label}: bad value for restricted picklist field: {text}"
    return ApiError(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, fields=(field.name,))


def _email(field: Field, value: object) -> str:
    text = _text(field, value)
    if not _EMAIL.fullmatch(text):
        raise ApiError(400, "INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {text}", fields=(field.name,))
    return text


def _base64(field: Field, value: object) -> str:
    text = _text(field, value)
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as reason:
        raise cannot_read("base64Binary", value) from reason
    return text


def _boolean(_field: Field, value: object) -> bool:
    known = {True: True, False: False, "true": True, "false": False}
    folded = value.lower() if isinstance(value, str) else value
    if not isinstance(folded, (bool, str)) or folded not in known:
        raise cannot_read("boolean", value)
    return known[folded]


def _double(field: Field, value: object) -> float:
    number = _number(value, "double")
    if field.precision and abs(number) >= 10.0 ** (field.precision - field.scale):
        message = f"{field.label}: value outside of valid range on numeric field: {value}"
        raise ApiError(400, "NUMBER_OUTSIDE_VALID_RANGE", message, fields=(field.name,))
    return number


def _int(_field: Field, value: object) -> int:
    number = _number(value, "int")
    if not number.is_integer() or int(number) not in _INT_RANGE:
        raise cannot_read("int", value)
    return int(number)


def _number(value: object, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise cannot_read(kind, value)
    try:
        number = float(value)
    except (ValueError, OverflowError) as reason:
        raise cannot_read(kind, value) from reason
    if not math.isfinite(number) or (isinstance(value, str) and "_" in value):
        raise cannot_read(kind, value)
    return number


def _datetime(field: Field, value: object) -> str:
    if not _MOMENT.fullmatch(str(value)):
        raise cannot_read("datetime", value)
    try:
        moment = _parsed(datetime.fromisoformat, value, "datetime").astimezone(UTC)
    except OverflowError as reason:
        raise _bad_day(field, value) from reason
    return _in_calendar(field, moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"))


def _date(field: Field, value: object) -> str:
    """A date; a datetime is cut to its date in UTC, the API user's zone here."""
    if isinstance(value, str) and "T" in value:
        return _datetime(field, value)[:10]
    if not _DAY.fullmatch(str(value)):
        raise cannot_read("date", value)
    return _in_calendar(field, _parsed(date.fromisoformat, value, "date").isoformat())


def _in_calendar(field: Field, moment: str) -> str:
    if not _FIRST_DAY <= moment[:10] <= _LAST_DAY:
        raise _bad_day(field, moment)
    return moment


def _bad_day(field: Field, value: object) -> ApiError:
    """The words are those of public reports; code unverified."""
    return ApiError(400, "FIELD_INTEGRITY_EXCEPTION", f"{field.label}: invalid date: {value}", fields=(field.name,))


def _time(_field: Field, value: object) -> str:
    return _parsed(time.fromisoformat, value, "time").replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _parsed(parse: Callable[[str], _T], value: object, kind: str) -> _T:
    try:
        return parse(str(value))
    except ValueError as reason:
        raise cannot_read(kind, value) from reason


_CONVERSIONS: Mapping[str, Conversion] = {
    "id": record_id,
    "reference": record_id,
    "boolean": _boolean,
    "int": _int,
    "long": _int,
    "double": _double,
    "currency": _double,
    "percent": _double,
    "date": _date,
    "datetime": _datetime,
    "time": _time,
    "picklist": _picklist,
    "multipicklist": _multipicklist,
    "email": _email,
    "base64": _base64,
}
