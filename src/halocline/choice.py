"""Choice: the member of an enumeration that somebody names by its word."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from halocline.errors import FixConfig
from halocline.mapping.near import near

C = TypeVar("C", bound=StrEnum)


def chosen(kind: type[C], value: object, *, name: str, doing: str) -> C:
    """The member that a text names, in any case; `name` is what the option is called.

    Raises: FixConfig for any other, with words that are near.
    """
    try:
        return kind(str(value).lower())
    except ValueError:
        meant = near(str(value), list(kind))
        hint = f"Did you mean {' or '.join(meant)}?" if meant else f"Use {', '.join(kind)}."
        raise FixConfig(doing, f"{name}={value!r} is unknown", hint=hint) from None
