"""How many of what, as people say it."""

from __future__ import annotations

MOST = 10**12  # of what an option counts: more than there are of anything here, and a number that any database takes
_VERBS = {"is": "are", "was": "were", "has": "have", "stays": "stay", "goes": "go", "shares": "share", "differs": "differ"}
_HISSES = ("s", "x", "ch")


def quantity(count: int, what: str) -> str:
    """`1 row`, `2,000 rows`; with a verb, `1 row was`, `3 rows were`. `what` is how one of it is called."""
    if count != 1:
        noun, _, verb = what.rpartition(" ")
        what = f"{_many(noun)} {_VERBS[verb]}" if verb in _VERBS else _many(what)
    return f"{count:,} {what}"


def quantity_of(count: int, total: int, *, what: str) -> str:
    """`1 of 2 rows was`, `2 of 3 rows were`, `1 of 1 row was`: of how many there are in all. `what` has a verb."""
    noun, _, verb = what.rpartition(" ")
    return f"{count:,} of {quantity(total, noun)} {verb if count == 1 else _VERBS[verb]}"


def _many(noun: str) -> str:
    return f"{noun}es" if noun.endswith(_HISSES) else f"{noun}s"
