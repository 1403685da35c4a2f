"""Record ids: three characters of key prefix, three of instance, nine of serial, and three that check the letters' case.

Source: Salesforce Object Reference, "ID Field Type".
"""

from __future__ import annotations

import functools
import re

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CHECK_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
POD = "5g0"  # instance characters that real orgs use, so that ids look familiar
SERIAL_LENGTH = 9
SHORT = 15  # characters of an id without its check characters
LONG = 18  # with them

_SERIALS = len(ALPHABET) ** SERIAL_LENGTH
_SHAPE = re.compile(r"[A-Za-z0-9]{15}(?:[A-Z0-5]{3})?")


def record_id(prefix: str, serial: int) -> str:
    """The 18-character id of the `serial`-th record (from 0) of the object with that key prefix; greater serials sort later.

    Raises: ValueError if the prefix is not three alphanumeric characters or the serial does not fit nine digits of base 62.
    """
    if len(prefix) != len(POD) or not (prefix.isascii() and prefix.isalnum()):
        raise ValueError(f"a key prefix has three letters or digits, not {prefix!r}")
    if not 0 <= serial < _SERIALS:
        raise ValueError(f"serial {serial} does not fit {SERIAL_LENGTH} characters")
    head = prefix + POD + _base62(serial)
    return head + _check(head)


def serial_of(record_id: str) -> int | None:
    """The serial that `record_id` was made from, or None for an id of another instance."""
    if not is_valid(record_id) or record_id[3:6] != POD:
        return None
    serial = 0
    for character in record_id[6:15]:
        serial = serial * len(ALPHABET) + ALPHABET.index(character)
    return serial


def to_18(record_id: str) -> str:
    """The 18-character form of a 15-character id; an 18-character id comes back as it is.

    Raises: ValueError if it is not an id, or its check characters are wrong.
    """
    if not is_valid(record_id):
        raise ValueError(f"{record_id!r} is not a record id")
    return record_id if len(record_id) == 18 else record_id + _check(record_id)


def is_valid(record_id: str) -> bool:
    """Whether `record_id` is 15 characters, or 18 whose last three agree with the others' case."""
    if not _SHAPE.fullmatch(record_id):
        return False
    return len(record_id) == 15 or record_id[15:] == _check(record_id[:15])


def _base62(serial: int) -> str:
    upper, low = divmod(serial, _CHUNK)
    high, middle = divmod(upper, _CHUNK)
    return _three_digits(high) + _three_digits(middle) + _three_digits(low)


_CHUNK = len(ALPHABET) ** 3


# Most serials share all but their last digits with others; loads of a hundred thousand ids a second rest on these two.
@functools.lru_cache(maxsize=4_096)
def _three_digits(number: int) -> str:
    upper, low = divmod(number, len(ALPHABET))
    high, middle = divmod(upper, len(ALPHABET))
    return ALPHABET[high] + ALPHABET[middle] + ALPHABET[low]


@functools.lru_cache(maxsize=16_384)
def _check_character(chunk: str) -> str:
    return CHECK_ALPHABET[sum("A" <= c <= "Z" and 1 << bit for bit, c in enumerate(chunk))]


def _check(head: str) -> str:
    return _check_character(head[:5]) + _check_character(head[5:10]) + _check_character(head[10:])
