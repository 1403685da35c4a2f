"""The functions that a mapping may name in YAML or a dict, and what kind of value each gives.

Each takes a value that is not null, and raises ValueError or TypeError for one that it cannot turn; it never guesses or rounds.

    lowercase, uppercase, strip     of text; other values stay as they are
    text                            of text, numbers, booleans, dates
    int, float, decimal             of numbers and of text that is one; int refuses 1.5
    bool                            true/false, yes/no, t/f, y/n, on/off, 1/0 in any case
    date_iso                        YYYY-MM-DD of dates, datetimes and ISO text
    datetime_iso                    YYYY-MM-DDTHH:MM:SS.mmmZ of datetimes and ISO text that say their time zone
    none_if_empty                   null for text that is empty or all spaces; other values stay as they are
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from halocline.schema import Kind

Function = Callable[[Any], object]

_MAX_EXPONENT = 400  # more than a double has; `1e999999999` as an int would fill the memory
_TRUE = frozenset({"true", "yes", "t", "y", "on", "1"})
_FALSE = frozenset({"false", "no", "f", "n", "off", "0"})


def kind_of(function: Function | None) -> Kind | None:
    """The kind of value that the function gives, None where nobody can say."""
    return next((kind for known, kind in _KINDS if known is function), None)


def _lowercase(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _uppercase(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _strip(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _none_if_empty(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (str, int, float, Decimal)):
        return str(value)
    raise TypeError(f"a {type(value).__name__} is no text")


def _decimal(value: object) -> Decimal:
    """The number exactly as written; a float is what its shortest spelling says."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise TypeError(f"a {type(value).__name__} is no number")
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(f"{value!r} is no number") from None
    if not number.is_finite() or abs(number.adjusted()) > _MAX_EXPONENT:
        raise ValueError(f"{value!r} is no number that can be stored")
    return number


def _int(value: object) -> int:
    number = _decimal(value)
    if number != number.to_integral_value():
        raise ValueError(f"{value!r} is no whole number, and nothing is rounded silently")
    return int(number)


def _float(value: object) -> float:
    return float(_decimal(value))


def _bool(value: object) -> bool:
    spelled = str(value).strip().lower()
    if not isinstance(value, (str, bool, int)) or spelled not in _TRUE | _FALSE:
        raise ValueError(f"{value!r} is neither true nor false")
    return spelled in _TRUE


def _date_iso(value: object) -> str:
    """A datetime's date is that of its own time zone."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    if isinstance(value, datetime):
        value = value.date()
    if not isinstance(value, date):
        raise TypeError(f"a {type(value).__name__} is no date")
    return value.isoformat()


def _datetime_iso(value: object) -> str:
    """Salesforce keeps no finer part than a millisecond; what is finer is cut."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    if not isinstance(value, datetime):
        raise TypeError(f"a {type(value).__name__} is no datetime")
    if value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no time zone, so nobody knows which instant it is")
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


TRANSFORMS: Final[Mapping[str, Function]] = {
    "bool": _bool,
    "date_iso": _date_iso,
    "datetime_iso": _datetime_iso,
    "decimal": _decimal,
    "float": _float,
    "int": _int,
    "lowercase": _lowercase,
    "none_if_empty": _none_if_empty,
    "strip": _strip,
    "text": _text,
    "uppercase": _uppercase,
}
"""The functions by the names that a mapping may use for them."""

# Python's own conversions say as much as ours of what they give.
_KINDS: tuple[tuple[Function, Kind], ...] = (
    *((_bool, Kind.BOOLEAN), (bool, Kind.BOOLEAN)),
    *((_int, Kind.INTEGER), (int, Kind.INTEGER)),
    *((_float, Kind.DOUBLE), (float, Kind.DOUBLE)),
    *((_decimal, Kind.DECIMAL), (Decimal, Kind.DECIMAL)),
    *((_text, Kind.STRING), (str, Kind.STRING)),
    *((_date_iso, Kind.DATE), (_datetime_iso, Kind.DATETIME)),
)
