"""How many examples are looked at: a fifth of those that hypothesis is to draw, of two lists each value of both at least once.

With `--long` it is all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import TypeVar

First = TypeVar("First")
Second = TypeVar("Second")

SHARE, FEWEST = 5, 4
_all = False


def draw_all() -> None:
    """From now on, in this process: before the modules of tests are imported."""
    global _all  # noqa: PLW0603 - decorators read it while modules are imported, where there is no configuration to ask
    _all = True


def examples(count: int, *, least: int = FEWEST) -> int:
    """How many are drawn of so many: new ones in each run, so that runs add up."""
    return count if _all else max(least, count // SHARE)


def stride(short: int) -> int:
    """How far it is from one point at which a process may die to the next that is tried: so far, and with `--long` one.

    Where points come in pairs, before a deed and after it, an odd number meets either.
    """
    return 1 if _all else short


def in_turn(first: Iterable[First], second: Iterable[Second]) -> list[tuple[First, Second]]:
    """Each of the longer one with one of the shorter, in turn, and with `--long` all pairs: for laws whose point no pair is."""
    ones, others = [*first], [*second]
    if _all:
        return [*product(ones, others)]
    return [(ones[at % len(ones)], others[at % len(others)]) for at in range(max(len(ones), len(others)))]
