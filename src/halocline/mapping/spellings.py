"""Transforms that are told how a text is spelled: `date(%d.%m.%Y)`, `datetime(%d.%m.%Y %H:%M, Europe/Berlin)`, `decimal(,)`.

    date(FORMAT)              a day; FORMAT as Python's strptime reads it
    datetime(FORMAT)          an instant, by a FORMAT that has the offset (%z)
    datetime(FORMAT, ZONE)    an instant by the clock of a time zone of IANA; an hour that comes twice, or never, is refused
    decimal(,) decimal(.)     a number with that mark before its fraction; the other mark, spaces and apostrophes part thousands

Other values are turned as by `date_iso`, `datetime_iso` and `decimal`. What is spelled in another way is a ValueError.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from halocline.mapping.transforms import TRANSFORMS, Function
from halocline.schema import Kind

_CALLED = re.compile(r"(\w+)\((.*)\)", re.DOTALL)
_SPACES = "\u0020\u00a0\u202f\u2009"  # what stands between thousands: a space, one that does not break, narrow ones
_DATE, _INSTANT = "date_iso", "datetime_iso"
_INSTANTS = (datetime(2026, 11, 23, 13, 14, 15, 160_000, UTC), datetime(2031, 2, 5, 7, 8, 9, 100_000, UTC))

FORMS: Final = ("date(%d.%m.%Y)", "datetime(%d.%m.%Y %H:%M, Europe/Berlin)", "decimal(,)")
"""One of each, to be shown."""


def is_spelling(name: str) -> bool:
    """Whether the name of a transform is one of these: a word, and what stands between parentheses behind it."""
    return _CALLED.fullmatch(name) is not None


def spelling(name: str) -> Function:
    """The function that the name tells; it can be pickled.

    Raises: ValueError saying what is wrong with the name.
    """
    matched = _CALLED.fullmatch(name)
    make = _MAKERS.get(matched[1]) if matched else None
    if matched is None or make is None:
        raise ValueError(f"{name!r} is none of {', '.join(FORMS)}")
    return make(matched[2])


def kind_of_spelling(function: object) -> Kind | None:
    """The kind of value that such a function gives; None for another function."""
    return _KINDS.get(function.func) if isinstance(function, partial) else None


def _date_maker(form: str) -> Function:
    if not form.strip():
        raise ValueError("date() lacks a format, such as date(%d.%m.%Y)")
    days = {one.date() for one in _read_again(form.strip(), like="date(%d.%m.%Y)")}
    if len(days) == 1:
        raise ValueError(f"{form.strip()!r} tells no day: write it as in date(%d.%m.%Y)")
    return partial(_date, form.strip())


def _datetime_maker(told: str) -> Function:
    form, comma, zone = (part.strip() for part in told.rpartition(","))
    if not comma:
        form, zone = zone, ""
    if not form:
        raise ValueError("datetime() lacks a format, such as datetime(%d.%m.%Y %H:%M, Europe/Berlin)")
    if ("%z" in form) == bool(zone):
        raise ValueError("datetime() is told either a zone, behind a comma (Europe/Berlin), or that values have an offset (%z)")
    if zone:
        try:
            ZoneInfo(zone)
        except (OSError, KeyError, ValueError) as error:  # a folder, a name that is not there, a path
            raise ValueError(f"{zone!r} is no time zone that this machine knows, such as Europe/Berlin") from error
    instants = set(_read_again(form, like="datetime(%d.%m.%Y %H:%M, Europe/Berlin)"))
    if len(instants) == 1:
        raise ValueError(f"{form!r} tells no instant: write it as in datetime(%d.%m.%Y %H:%M, Europe/Berlin)")
    return partial(_datetime, form, zone)


def _decimal_maker(mark: str) -> Function:
    if mark not in (",", "."):
        raise ValueError("decimal() is told the mark before the fraction: decimal(,) or decimal(.)")
    return partial(_decimal, mark)


def _read_again(form: str, *, like: str) -> list[datetime]:
    """Two instants that have nothing in common, written in a form and read again.

    Raises: ValueError for a form that strptime does not know: it would refuse every value.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.13 warns of a day without its year
            return [datetime.strptime(one.strftime(form), form) for one in _INSTANTS]  # noqa: DTZ007 - the form is tried
    except (ValueError, re.error) as error:  # the latter where a directive comes twice
        raise ValueError(f"{form!r} is no form that can be read ({error}), such as {like}") from error


def _date(form: str, value: object) -> object:
    told = datetime.strptime(value.strip(), form).date() if isinstance(value, str) else value  # noqa: DTZ007 - a day has no zone
    return TRANSFORMS[_DATE](told)


def _datetime(form: str, zone: str, value: object) -> object:
    if isinstance(value, str):
        read = datetime.strptime(value.strip(), form)  # noqa: DTZ007 - the zone follows, or the form has %z
        value = _placed(read, ZoneInfo(zone)) if zone else read
    return TRANSFORMS[_INSTANT](value)


def _placed(read: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which the clock of the zone shows that. Raises: ValueError where it does so twice, or never."""
    first, second = (read.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        gap = (first.utcoffset() or timedelta()) < (second.utcoffset() or timedelta())
        raise ValueError(f"the clocks of {zone.key} show {read.isoformat(' ')} {'never' if gap else 'twice'}")
    return first


def _decimal(mark: str, value: object) -> Decimal:
    if isinstance(value, str):
        other = r"\." if mark == "," else ","
        digits = rf"[+-]?(\d+|\d{{1,3}}(?:([{_SPACES}'’]|{other})\d{{3}}(?:\2\d{{3}})*))({re.escape(mark)}\d+)?"
        matched = re.fullmatch(digits, value.strip(), re.ASCII)
        if matched is None:
            raise ValueError(f"{value!r} is no number with {mark!r} before its fraction")
        whole, fraction = matched[1], (matched[3] or "").replace(mark, ".")
        sign = value.strip()[0] if value.strip()[0] in "+-" else ""
        value = f"{sign}{re.sub(r'[^0-9]', '', whole)}{fraction}"
    told = TRANSFORMS["decimal"](value)
    assert isinstance(told, Decimal)
    return told


_MAKERS: dict[str, Callable[[str], Function]] = {"date": _date_maker, "datetime": _datetime_maker, "decimal": _decimal_maker}
_KINDS: dict[object, Kind] = {_date: Kind.DATE, _datetime: Kind.DATETIME, _decimal: Kind.DECIMAL}
