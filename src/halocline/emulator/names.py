"""Names that the maker of a test gives: one that nothing has is refused, for with it the test would pass for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

_ALL = 100  # names that it lists where none is near


def unknown(what: str, name: object, *, known: Iterable[str]) -> ValueError:
    """The refusal of a name, with the nearest one that there is, or a list of all; `what` says what it should name."""
    by_fold = {one.lower(): one for one in known}
    near = [by_fold[one] for one in get_close_matches(str(name).lower(), by_fold, n=1)]
    listed = f"; there are {', '.join(by_fold.values())}" if len(by_fold) <= _ALL else ""
    return ValueError(f"{what} {name!r} is unknown" + (f"; did you mean {near[0]}?" if near else listed))


def check_settings(what: str, given: Mapping[str, object], *, known: Iterable[str]) -> None:
    """Raises: ValueError for a setting that `what` does not have."""
    names = tuple(known)
    for name in given:
        if name not in names:
            raise ValueError(f"{what} has no setting {name!r}; it has {', '.join(names)}")


def several(names: Iterable[object]) -> list[str]:
    """The names.
    Raises: ValueError for one alone, whose letters would be taken for names, and for what is no text.
    """
    if isinstance(names, str):
        raise ValueError(f"a list of names is wanted, such as [{names!r}]")  # noqa: TRY004  # one kind of error for the caller
    given = list(names)
    found = [one for one in given if isinstance(one, str)]
    if len(found) < len(given):
        raise ValueError(f"a list of names is wanted, not {given!r}")
    return found
