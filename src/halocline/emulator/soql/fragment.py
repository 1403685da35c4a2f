"""A piece of SQL with the values bound inside it, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fragment:
    """`sql` with one `?` for each of `values`."""

    sql: str
    values: tuple[object, ...] = ()

    def __add__(self, other: Fragment | str) -> Fragment:
        """Both, one after the other."""
        more = other if isinstance(other, Fragment) else Fragment(other)
        return Fragment(self.sql + more.sql, self.values + more.values)

    def __radd__(self, other: str) -> Fragment:
        """Text before a fragment."""
        return Fragment(other + self.sql, self.values)


def joined(separator: str, pieces: Iterable[Fragment]) -> Fragment:
    """The pieces with `separator` between them."""
    listed = list(pieces)
    return Fragment(separator.join(p.sql for p in listed), tuple(v for p in listed for v in p.values))


def marks(values: Iterable[object]) -> Fragment:
    """A comma-separated list of bound values."""
    listed = tuple(values)
    return Fragment(", ".join("?" * len(listed)), listed)
