"""Option values: what a file or a program gives for the options of a source, held to what each of them can be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real

from halocline.errors import FixConfig


@dataclass(frozen=True, slots=True)
class Kind:
    """What an option takes, in words, and whether a value is such."""

    told: str
    holds: Callable[[object], bool]


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, (Real, Decimal)) and math.isfinite(value)


def _are_texts(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and all(isinstance(one, str) for one in value)


def _is_named(value: object, holds: Callable[[object], bool]) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) and holds(one) for name, one in value.items())


TRUTH = Kind("true or false", lambda value: isinstance(value, bool))
WHOLE = Kind("a whole number", lambda value: isinstance(value, Integral) and not isinstance(value, bool))
NUMBER = Kind("a number", _is_number)
TEXT = Kind("a text", lambda value: isinstance(value, str))
TEXTS = Kind("a list of texts", _are_texts)
NAMED = Kind("a map with texts for names", lambda value: _is_named(value, lambda _: True))
NAMED_TEXT = Kind("a map of names to texts", lambda value: _is_named(value, TEXT.holds))
NAMED_TEXTS = Kind("a map of names to lists of texts", lambda value: _is_named(value, _are_texts))


def refuse_others(options: Mapping[str, object], kinds: Mapping[str, Kind], *, doing: str) -> None:
    """Hold each option that is given, and is not None, to its kind.

    Raises: FixConfig, with the option's name as `facts["option"]`.
    """
    for name, kind in kinds.items():
        value = options.get(name)
        if value is not None and not kind.holds(value):
            is_quoted = isinstance(value, str) and kind in (TRUTH, WHOLE, NUMBER)
            hint = "Write it without quotes." if is_quoted else ""
            raise FixConfig(doing, f"{name}={value!r:.80} is not {kind.told}", hint=hint, option=name)
