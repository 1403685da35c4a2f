"""Arguments that go by two names: their own, and what the command line and halocline.yaml call them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

from halocline.mapping.near import near

T = TypeVar("T")

_FEW = 8  # options that are all named where none is near


def own_names(what: str, given: Mapping[str, object], *, known: Collection[str], also: Mapping[str, str]) -> dict[str, object]:
    """The arguments of `what` by their own names; `also` leads from the second names to those.

    Raises: TypeError for one that does not exist, with what may have been meant, and for one that is given by both names.
    """
    few = f"; there are {', '.join(known)}" if len(known) <= _FEW else ""
    for name in given:
        if name in also and also[name] in given:
            raise TypeError(f"{name} and {also[name]} are one option; give one of them")
        if name not in known and name not in also:
            meant = near(name, [*known, *also])
            told = f"; did you mean {' or '.join(meant)}?" if meant else few
            raise TypeError(f"{what} has no option {name!r}{told}")
    return {also.get(name, name): value for name, value in given.items()}


def also_named(what: str, also: Mapping[str, str]) -> Callable[[type[T]], type[T]]:
    """Let a dataclass, called `what` in errors, be made with the second names of its fields too. Raises: as `own_names`."""

    def take_both(cls: type[T]) -> type[T]:
        known = [one.name for one in fields(cls)]  # type: ignore[arg-type]  # it is for dataclasses
        make = cls.__init__

        @wraps(make)
        def made(self: T, *args: Any, **given: Any) -> None:
            make(self, *args, **own_names(what, given, known=known, also=also))

        cls.__init__ = made  # type: ignore[method-assign, assignment]  # its own arguments, and no others
        return cls

    return take_both
