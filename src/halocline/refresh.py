"""How often columns that change without a stamp are read for all rows: `never`, `always`, or after a time such as `24h`."""

from __future__ import annotations

import re

from halocline.errors import FixConfig

LONGEST_S = 36_525 * 86_400  # a hundred years: what is counted back from now stays a date
_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_TIME = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", re.IGNORECASE)


def seconds(wanted: str) -> float | None:
    """The seconds after which such columns are due; None for never, 0 for always.

    Raises: FixConfig for a text that says no time.
    """
    if wanted.strip().lower() == "never":
        return None
    if wanted.strip().lower() == "always":
        return 0.0
    found = time_of(wanted)
    if found is None:
        hint = "Write never, always, or a time: 30m, 24h, 7d; at most 36525d."
        raise FixConfig("Reading the options", f"formula_refresh={wanted!r} is no time", hint=hint)
    return found


def time_of(text: str) -> float | None:
    """The seconds of `30m`, `24h`, `7d` or `2w`; None for a text that says no time, none at all, or more than LONGEST_S."""
    found = _TIME.fullmatch(text)
    time_s = 0.0 if found is None else float(found[1]) * _UNITS[found[2].lower()]
    return time_s if 0 < time_s <= LONGEST_S else None


def words(time_s: float) -> str:
    """A time as people write it, in the largest unit that it is a whole number of: `24h` is `1d`."""
    for unit, length in reversed(_UNITS.items()):
        if time_s >= length and time_s % length == 0:
            return f"{time_s / length:.0f}{unit}"
    return f"{time_s:g}s"
