"""Exact JSON: Python values as JSON text with all their digits, and JSON text looked at as a database will look at it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any
from uuid import UUID

_quoted: Callable[[str], str] = encode_basestring  # what json.dumps would come to, four times as fast
_PLAIN = range(-19, 40)  # places of the first digit with which a number is written without an exponent
_SHORT = 19  # characters of a number that has so few decimals and digits for certain
_MOST_WHOLE, _MOST_DECIMALS = 131_072, 16_383
"""Digits before and behind the point of the longest number that a database keeps in JSON.

Source: "Numeric Types", https://www.postgresql.org/docs/18/datatype-numeric.html, read November 2026.
"""
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


class NoJSON(ValueError):
    """Why a value has no form in JSON, or a text is none that a database takes; to be read behind the value."""


class Digits(str):
    """A number as it is written."""

    __slots__ = ()


def json_text(value: object) -> str:
    """The value as JSON: numbers exact, a set as a sorted list, bytes as base64.

    Raises: NoJSON for what JSON has no form for.
    """
    written = _WRITTEN.get(type(value))
    if written is not None:
        return written(value)
    for kind, write in _WRITTEN.items():
        if isinstance(value, kind):
            return write(value)
    if isinstance(value, Mapping):
        return _object(value)
    raise NoJSON(f"holds {type(value).__name__}, for which JSON has no form")


def whole(text: str) -> str:
    """The text, when a database takes it for JSON.

    Raises: NoJSON for a NUL character, or half of one.
    """
    if "\\u" in text and _NUL.search(text):
        raise NoJSON("holds a NUL character")
    try:
        text.encode()
        if "\\u" in text and _HALF.search(text):
            json.dumps(json.loads(text, parse_float=Digits, parse_int=Digits), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise NoJSON("holds half a character") from None
    return text


def see_json(text: str) -> None:
    """Hold a text to being JSON, as `value_of` does; where no number is long or has an exponent, in half the time.

    Raises: NoJSON.
    """
    try:
        (value_of if _LONG_NUMBER.search(text) else _decode_plainly)(text)
    except NoJSON:
        raise
    except (ValueError, RecursionError):
        raise NoJSON("is no JSON text") from None


def value_of(text: str) -> object:
    """What a JSON text holds; numbers are `Digits`.

    Raises: NoJSON for a text that is none, such as NaN, and for one that is nested too deeply.
    """
    try:
        return _decode(text)
    except NoJSON:
        raise
    except (ValueError, RecursionError):
        raise NoJSON("is no JSON text") from None


def _no_constant(word: str) -> object:
    raise NoJSON(f"holds {word}, which is no JSON")


def _digits(text: str) -> Digits:
    if len(text) > 100 or "e" in text or "E" in text:
        held_to_limits(Decimal(text))
    return Digits(text)


_decode = json.JSONDecoder(parse_float=_digits, parse_int=_digits, parse_constant=_no_constant).decode
_decode_plainly = json.JSONDecoder(parse_constant=_no_constant).decode
_LONG_NUMBER = re.compile(r"[0-9](?:[eE]|[0-9]{99})")


def held_to_limits(number: Decimal) -> None:
    """Hold a number to what a database keeps.

    Raises: NoJSON for one with more digits, and for one that is not finite.
    """
    _, digits, exponent = number.as_tuple()
    if isinstance(exponent, str):
        raise NoJSON("is no finite number")
    if (number and len(digits) + exponent > _MOST_WHOLE) or -exponent > _MOST_DECIMALS:
        raise NoJSON("is a number with too many digits")


def _number(number: Decimal) -> str:
    text = str(number)
    if len(text) <= _SHORT and "E" not in text and number.is_finite():
        return text
    held_to_limits(number)
    return format(number, "f") if number.adjusted() in _PLAIN else str(number)


def _whole_number(number: int) -> str:
    return int.__repr__(number) if number.bit_length() < 10_000 else _number(Decimal(number))


def _object(value: Mapping[Any, object]) -> str:
    if set(map(type, value)) - {str}:
        told = {name if isinstance(name, str) else str(name): one for name, one in value.items()}
        if len(told) != len(value):
            raise NoJSON("has two keys that are one and the same in JSON")
        value = told
    return "{" + ", ".join([f"{_quoted(name)}: {_WRITTEN.get(type(one), json_text)(one)}" for name, one in value.items()]) + "}"


def _list(value: list[object]) -> str:
    return "[" + ", ".join([_WRITTEN.get(type(one), json_text)(one) for one in value]) + "]"


_WRITTEN: dict[type, Callable[..., str]] = {
    type(None): lambda _: "null",
    bool: lambda value: "true" if value else "false",
    Digits: str.__str__,
    str: _quoted,
    int: _whole_number,
    Decimal: _number,
    float: lambda value: _number(Decimal(float.__repr__(value))),
    dict: _object,
    list: _list,
    tuple: _list,
    **dict.fromkeys((set, frozenset), lambda value: _list(sorted(value, key=lambda one: (str(type(one)), one)))),
    **dict.fromkeys((bytes, bytearray), lambda value: _quoted(base64.b64encode(value).decode())),
    **dict.fromkeys((datetime, date, time), lambda value: _quoted(value.isoformat())),
    UUID: lambda value: _quoted(str(value)),
}
"""By type, and for types that derive from these the first that fits."""
