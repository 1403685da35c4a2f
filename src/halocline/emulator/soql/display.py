"""How FORMAT() shows a value: in the running user's locale, which is en_US here.

Source: SOQL and SOSL Reference, "FORMAT ()". The exact spelling is unverified; only the simple forms are done.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime


def displayed(kind: str) -> Callable[[object], object]:
    """The function that turns a stored value of that type into text for people; null stays null."""
    convert = _FORMS.get(kind, str)
    return lambda value: None if value is None else convert(value)


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{float(str(value)):,.3f}".rstrip("0").rstrip(".")


def _day(value: object) -> str:
    moment = datetime.fromisoformat(str(value))
    return f"{moment.month}/{moment.day}/{moment.year}"


def _moment(value: object) -> str:
    moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    half = "AM" if moment.hour < 12 else "PM"
    return f"{moment.month}/{moment.day}/{moment.year}, {moment.hour % 12 or 12}:{moment.minute:02d} {half}"


_FORMS: dict[str, Callable[[object], str]] = {
    **dict.fromkeys(("int", "long", "double", "percent"), _number),
    "currency": lambda value: f"${float(str(value)):,.2f}",
    "date": _day,
    "datetime": _moment,
}
