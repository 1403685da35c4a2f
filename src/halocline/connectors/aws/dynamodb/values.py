"""Values: what DynamoDB calls an attribute value (`{"N": "1"}`), as Python values, as plain JSON text, and back; numbers exact.

Types as boto3 has them: S str, N Decimal, B bytes, BOOL bool, NULL None, M dict, L list, SS, NS and BS sets.
Source: "AttributeValue", https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html; "Supported data
types and naming rules", https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, DecimalException, Inexact, Rounded
from json.encoder import encode_basestring
from typing import Any

from halocline.errors import RejectRecord, Stop

Tagged = Mapping[str, Any]
"""An attribute value as it is on the wire: one tag, and what it holds."""
TAGS = ("S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS")
DIGITS = 38  # significant digits of a number; HowItWorks.NamingRulesDataTypes.html
_EXACT = Context(prec=DIGITS, Emin=-130, Emax=125, traps=[Inexact, Rounded])
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SHOWN = 40  # characters of a value in a message


def malformed(cause: str) -> Stop:
    """The error for what DynamoDB would not have sent: nothing of it may be loaded."""
    hint = "Read it again; if it stays, what answers is not DynamoDB, or the file is damaged."
    return Stop("Reading items of DynamoDB", cause, hint=hint, code="Malformed")


def items(page: bytes) -> list[dict[str, Any]]:
    """The items of an answer to Scan or Query as Python values, as boto3's Table has them (bytes instead of its Binary).

    An attribute that an item lacks is not in its dict; NULL is None.
    Raises: Stop for what DynamoDB would not have sent.
    """
    return [item(one) for one in tagged_items(page)]


def item(one: Tagged) -> dict[str, Any]:
    """The attributes of an item as Python values.

    Raises: Stop for what DynamoDB would not have sent.
    """
    try:
        return _map(one)
    except _BROKEN as error:
        raise malformed(f"{type(error).__name__}: {error}") from error


def plain(value: Tagged) -> Any:
    """One attribute value as a Python value.

    Raises: Stop for what DynamoDB would not have sent.
    """
    try:
        return _plain(value)
    except _BROKEN as error:
        raise malformed(f"{type(error).__name__}: {error}") from error


def tagged(value: object) -> dict[str, Any]:
    """A Python value as it goes over the wire.

    Raises: RejectRecord for what DynamoDB has no type for, floats (they are not exact) and numbers of more than 38 digits.
    """
    return _tagged(value)


def json_text(value: Tagged) -> str:
    """An attribute value as plain JSON: numbers with all digits, sets as sorted arrays, bytes as base64, NULL as null.

    Raises: Stop for what DynamoDB would not have sent.
    """
    try:
        return _text(value)
    except _BROKEN as error:
        raise malformed(f"{type(error).__name__}: {error}") from error


def json_number(text: str) -> str:
    """A number of DynamoDB as JSON writes it: as it came, where JSON allows that.

    Raises: ValueError for a text that is no number.
    """
    return text if _JSON_NUMBER.fullmatch(text) else str(number(text))


def number(text: str) -> Decimal:
    """The exact value of a number's text.

    Raises: ValueError for a text that is no number.
    """
    if not _NUMBER.fullmatch(text):  # Decimal also takes NaN, 1_000 and blanks
        raise ValueError(f"{shown(text)} is no number of DynamoDB")
    try:
        return Decimal(text)
    except DecimalException as error:
        raise ValueError(f"{shown(text)} is no number") from error


def shown(value: object) -> str:
    """A value in a message, cut short."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def tagged_items(page: bytes) -> list[dict[str, dict[str, Any]]]:
    """The items of an answer as they are on the wire.

    Raises: Stop for what DynamoDB would not have sent.
    """
    answer = _loaded(page)
    found = answer.get("Items") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise malformed("the answer has no list 'Items'")
    return found


def tagged_lines(lines: bytes) -> list[dict[str, dict[str, Any]]]:
    """The items of a piece of an exported file, one object on each line, as they are on the wire.

    Raises: Stop for what DynamoDB would not have sent.
    """
    found = [_loaded(line) for line in lines.splitlines() if line.strip()]
    if not all(isinstance(one, dict) and isinstance(one.get("Item"), dict) for one in found):
        raise malformed("a line of the exported file has no 'Item'")
    return [one["Item"] for one in found]


def _loaded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise malformed(f"it is no JSON: {error}") from error


_BROKEN = (ValueError, TypeError, AttributeError, KeyError, RecursionError, DecimalException, binascii.Error)


def _map(attributes: Tagged) -> dict[str, Any]:
    """Written out for speed: texts, numbers and flags are most of what there is."""
    made: dict[str, Any] = {}
    for name, value in attributes.items():
        ((tag, held),) = value.items()
        if tag == "S":
            if held.__class__ is not str:
                raise ValueError(f"{name!r} is an S that holds no text")
            made[name] = held
        elif tag == "N":
            made[name] = number(held)
        else:
            made[name] = _READ[tag](held)
    return made


def _plain(value: Tagged) -> Any:
    ((tag, held),) = value.items()
    return _READ[tag](held)


def _list(values: list[Tagged]) -> list[Any]:
    return [_plain(value) for value in values]


def _str(held: object) -> str:
    if not isinstance(held, str):
        raise TypeError("an S holds no text")
    return held


def _bool(held: object) -> bool:
    if not isinstance(held, bool):
        raise TypeError("a BOOL holds neither true nor false")
    return held


def _bytes(held: str) -> bytes:
    return base64.b64decode(held, validate=True)


_READ: dict[str, Callable[[Any], Any]] = {
    "S": _str,
    "N": number,
    "B": _bytes,
    "BOOL": _bool,
    "NULL": lambda _: None,
    "M": _map,
    "L": _list,
    "SS": lambda held: {_str(one) for one in held},
    "NS": lambda held: {number(one) for one in held},
    "BS": lambda held: {_bytes(one) for one in held},
}


def _text(value: Tagged) -> str:
    ((tag, held),) = value.items()
    return _WRITE[tag](held)


def _object(attributes: Tagged) -> str:
    return "{" + ",".join([f"{encode_basestring(name)}:{_text(value)}" for name, value in attributes.items()]) + "}"


def _joined(texts: list[str]) -> str:
    return f"[{','.join(texts)}]"


_WRITE: dict[str, Callable[[Any], str]] = {
    "S": lambda held: encode_basestring(_str(held)),
    "N": json_number,
    "B": lambda held: f'"{_str(held)}"',
    "BOOL": lambda held: "true" if _bool(held) else "false",
    "NULL": lambda _: "null",
    "M": _object,
    "L": lambda held: _joined([_text(one) for one in held]),
    "SS": lambda held: _joined([encode_basestring(_str(one)) for one in sorted(held)]),
    "NS": lambda held: _joined([json_number(one) for one in sorted(held, key=set_order)]),
    "BS": lambda held: _joined([f'"{_str(one)}"' for one in sorted(held)]),
}


def set_order(text: str) -> tuple[float, str]:
    """Where a number stands in a set; numbers closer than a float can tell apart stand in the order of their texts."""
    return float(text), text


def _tagged(value: object) -> dict[str, Any]:
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, (int, Decimal)):
        return {"N": _number_text(value)}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"B": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {"M": {str(name): _tagged(inner) for name, inner in value.items()}}
    if isinstance(value, (list, tuple)):
        return {"L": [_tagged(inner) for inner in value]}
    if isinstance(value, (set, frozenset)):
        return _tagged_set(value)
    raise _refused(f"{type(value).__name__} has no type there", "Give a text, int, Decimal, bytes, bool, dict, list or set.")


def _tagged_set(values: set[object] | frozenset[object]) -> dict[str, Any]:
    found = [_tagged(value) for value in values]
    tags = {tag for one in found for tag in one}
    if len(tags) != 1 or not tags <= {"S", "N", "B"}:
        raise _refused("a set holds only texts, only numbers or only bytes, and at least one", "Give a list in its place.")
    (tag,) = tags
    return {f"{tag}S": sorted(one[tag] for one in found)}


def _number_text(value: int | Decimal) -> str:
    try:
        found = _EXACT.create_decimal(value)
    except DecimalException:
        found = Decimal("NaN")
    if not found.is_finite() or (found and found.adjusted() < _EXACT.Emin):
        hint = f"Numbers have up to {DIGITS} digits, between 1E-130 and 9.9E+125; send others as text."
        raise _refused(f"{shown(str(value))} is no number that DynamoDB can hold", hint)
    return str(found)


def _refused(cause: str, hint: str) -> RejectRecord:
    return RejectRecord("Writing a value for DynamoDB", cause, row=0, hint=hint)
