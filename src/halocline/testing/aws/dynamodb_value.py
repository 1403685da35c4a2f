"""Values of DynamoDB: one tag and what is under it, checked, counted and put in order.

Source: "AttributeValue", https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html; "Naming
rules and data types", https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html;
sizes by "DynamoDB item sizes and formats",
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html.
The words of refusals are the service's as https://github.com/architect/dynalite has recorded them from it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any

from halocline.testing.aws.dynamodb_reply import one_or_more, refused
from halocline.testing.aws.errors import AWSError

Value = dict[str, Any]
Item = dict[str, Value]

ITEM_BYTES = 400 << 10  # Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
DEEPEST = 32  # levels; the same page
_DIGITS = 38  # the same page
_LARGEST, _SMALLEST = 125, -130  # powers of ten; the same page
_CONTAINER_BYTES = 3
_EXACT = Context(prec=_DIGITS)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
_SETTLED = re.compile(r"-?[1-9]\d{0,37}|0", re.ASCII)  # an integer that is stored as it is written

_EMPTY = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
_MANY = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
_NOT_A_NUMBER = "The parameter cannot be converted to a numeric value"
_TOO_DEEP = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"


def checked(value: object, depth: int = 1) -> tuple[Value, int]:
    """A value as DynamoDB keeps it (numbers without needless zeros) and its size in bytes.
    Raises: AWSError for what is no value.
    """
    if not isinstance(value, dict) or not value:
        raise refused(_EMPTY)
    if len(value) > 1:
        raise refused(_MANY)
    kind, content = next(iter(value.items()))
    check = _CHECKS.get(kind)
    if check is None:
        raise refused(_EMPTY)
    made, size = check(content, depth)
    return (value if made is content else {kind: made}), size


def checked_item(item: object) -> tuple[Item, int]:
    """An item as DynamoDB keeps it and its size in bytes: names and values.
    Raises: AWSError for what is no item, one of more than 400 KB, and one with an attribute that has no name ("Naming rules"
        above: at least one character; the words of that refusal, and what becomes of nameless entries of maps, are unverified).
    """
    made, size = _map(item, 0)
    if "" in made:
        raise one_or_more("An attribute must have a name of at least one character")
    size -= _CONTAINER_BYTES + len(made)
    if size > ITEM_BYTES:
        raise refused("Item size has exceeded the maximum allowed size")
    return made, size


def kind_of(value: Mapping[str, Any]) -> str:
    """The tag of a value."""
    return next(iter(value))


def equal(one: Value, other: Value) -> bool:
    """Whether two values are the same; a set has no order."""
    return one == other or _plain(one) == _plain(other)


def ordered(value: Value) -> str | bytes | Decimal | None:
    """What a value of an ordered type (S, N, B) is compared by; texts by their UTF-8, as code points sort too."""
    kind, content = next(iter(value.items()))
    if kind == "S":
        return str(content)
    if kind == "N":
        return Decimal(content)
    return decoded(content) if kind == "B" else None


@lru_cache(maxsize=4096)
def number(text: str) -> str:
    """A number as DynamoDB writes it.
    Raises: AWSError for a text that is none, and for one out of range.
    """
    if _SETTLED.fullmatch(text):
        return text
    if not _NUMBER.fullmatch(text):
        raise refused(f"{_NOT_A_NUMBER}: {text}" if text else _NOT_A_NUMBER)
    found = Decimal(text)
    if not found:
        return "0"
    power = found.adjusted()
    if power > _LARGEST:
        raise refused("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if power < _SMALLEST:
        raise refused("Number underflow. Attempting to store a number with magnitude smaller than supported range")
    if len("".join(map(str, found.as_tuple().digits)).strip("0")) > _DIGITS:
        raise refused("Attempting to store more than 38 significant digits in a Number")
    return format(_EXACT.normalize(found), "f")


def decoded(text: str) -> bytes:
    """The bytes of a binary.
    Raises: AWSError (SerializationException) for what is no base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as reason:
        why = f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(str(text))}"
        raise AWSError("SerializationException", why) from reason


def sortable(value: Value) -> bytes:
    """Bytes that are in the order of the values of one key: texts and binaries by their bytes, numbers by their size."""
    kind, content = next(iter(value.items()))
    if kind == "S":
        return str(content).encode()
    return decoded(content) if kind == "B" else _sortable_number(Decimal(content))


def _sortable_number(found: Decimal) -> bytes:
    """Sign, power of ten, digits; of negative ones the complement."""
    if not found:
        return b"\x80"
    digits = "".join(map(str, found.as_tuple().digits)).rstrip("0").encode()
    made = (found.adjusted() + 1000).to_bytes(2, "big") + digits
    if found > 0:
        return b"\xc0" + made
    return b"\x40" + bytes(255 - byte for byte in made) + b"\xff"


def _plain(value: Value) -> Any:
    """Something that is equal where two values are the same."""
    kind, content = next(iter(value.items()))
    if kind in ("SS", "NS", "BS"):
        return kind, frozenset(content)
    if kind == "L":
        return kind, [_plain(one) for one in content]
    if kind == "M":
        return kind, {name: _plain(one) for name, one in content.items()}
    return kind, content


def _of(content: object, kind: type, *, told: str) -> Any:
    if not isinstance(content, kind):
        raise AWSError("SerializationException", f"{type(content).__name__} cannot be converted to {told}")
    return content


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _text(content: object, _depth: int) -> tuple[str, int]:
    text = _of(content, str, told="String")
    return text, _length(text)


def _number(content: object, _depth: int) -> tuple[str, int]:
    text = _of(content, str, told="String")
    made = number(text)
    digits = len(made.lstrip("-").replace(".", "").strip("0"))
    return (text if made == text else made), (digits + 1) // 2 + 1 + (made[0] == "-")


def _binary(content: object, _depth: int) -> tuple[str, int]:
    text = _of(content, str, told="Blob")
    return text, len(decoded(text))


def _bool(content: object, _depth: int) -> tuple[bool, int]:
    return _of(content, bool, told="Boolean"), 1


def _null(content: object, _depth: int) -> tuple[bool, int]:
    if _of(content, bool, told="Boolean") is not True:
        raise one_or_more("Null attribute value types must have the value of true")
    return True, 1


def _set(check: Callable[[object, int], tuple[str, int]], empty: str) -> Callable[[object, int], tuple[list[str], int]]:
    def checked_set(content: object, depth: int) -> tuple[list[str], int]:
        found = [check(one, depth) for one in _of(content, list, told="List")]
        if not found:
            raise one_or_more(empty)
        made = [one for one, _ in found]
        if len(set(made)) < len(made):
            raise one_or_more(f"Input collection [{', '.join(made)}] contains duplicates.")
        return made, sum(size for _, size in found)

    return checked_set


def _list(content: object, depth: int) -> tuple[list[Value], int]:
    if depth > DEEPEST:
        raise refused(_TOO_DEEP)
    found = [checked(one, depth + 1) for one in _of(content, list, told="List")]
    return [one for one, _ in found], _CONTAINER_BYTES + sum(size + 1 for _, size in found)


def _map(content: object, depth: int) -> tuple[Item, int]:
    if depth > DEEPEST:
        raise refused(_TOO_DEEP)
    made, total = {}, _CONTAINER_BYTES
    for name, value in _of(content, dict, told="Map").items():
        text = value.get("S") if type(value) is dict and len(value) == 1 else None
        if type(text) is str:  # the commonest by far, without a call
            made[name], size = value, _length(text)
        else:
            made[name], size = checked(value, depth + 1)
        total += size + 1 + _length(name)
    return made, total


_CHECKS: Mapping[str, Callable[[object, int], tuple[Any, int]]] = {
    "S": _text,
    "N": _number,
    "B": _binary,
    "BOOL": _bool,
    "NULL": _null,
    "SS": _set(_text, "An string set  may not be empty"),
    "NS": _set(_number, "An number set  may not be empty"),
    "BS": _set(_binary, "Binary sets should not be empty"),
    "L": _list,
    "M": _map,
}
KINDS = tuple(_CHECKS)
