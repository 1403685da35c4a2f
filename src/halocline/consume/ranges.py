"""Ranges: what a setting may be, and the error that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from halocline.errors import FixConfig


@dataclass(frozen=True, slots=True)
class Range:
    """A number from `least` to `most`; `int` takes whole numbers only. `why` tells of the bound."""

    name: str
    kind: type[int] | type[float]
    least: float
    most: float = inf
    why: str = ""
    may_be_none: bool = False

    def takes(self, value: object) -> bool:
        """Whether it may be this."""
        if value is None:
            return self.may_be_none
        if isinstance(value, bool) or not isinstance(value, int if self.kind is int else (int, float)):
            return False
        return self.least <= value <= self.most  # a number that is none compares false

    def __str__(self) -> str:
        kind = "a whole number" if self.kind is int else "a number"
        most = "" if self.most == inf else f" and at most {self.most:g}"
        return f"{kind}, at least {self.least:g}{most}" + (f" ({self.why})" if self.why else "")


def refuse_wrong(settings: object, ranges: Sequence[Range], *, doing: str) -> None:
    """Look at the settings of that name.

    Raises: FixConfig for the first that is out of its range.
    """
    for one in ranges:
        value = getattr(settings, one.name)
        if not one.takes(value):
            raise refused(one.name, value, wanted=str(one), doing=doing)


def refused(name: str, value: object, *, wanted: str, doing: str) -> FixConfig:
    """The error for a setting that cannot be."""
    return FixConfig(doing, f"{name} is {value!r}; it has to be {wanted}", hint=f"Change {name}.")
