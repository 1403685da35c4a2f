"""A piece of SQL with the values bound inside it, in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def balanced(operator: str, pieces: Sequence[Fragment]) -> Fragment:
    """The pieces, at least one, with the operator between them, in parentheses that keep the expression flat.

    SQLite refuses expressions more than 1,000 levels deep, and reads `a OR b OR c` as two levels.
    """
    if len(pieces) == 1:
        return pieces[0]
    middle = len(pieces) // 2
    return "(" + balanced(operator, pieces[:middle]) + operator + balanced(operator, pieces[middle:]) + ")"


def marks(values: Iterable[object]) -> Fragment:
    """A comma-separated list of bound values."""
    listed = tuple(values)
    return Fragment(", ".join("?" * len(listed)), listed)
