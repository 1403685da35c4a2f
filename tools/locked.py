"""Locked: what the locks in requirements/ pin, and which of it the package needs, by the metadata that is installed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Pin:
    """One entry of a lock: its name (normalised), version, marker (empty: everywhere), and its lines as they are."""

    name: str
    version: str
    marker: str
    lines: str


def pins(lock: Path) -> dict[str, Pin]:
    """The entries of a lock, by name."""
    found = {}
    for lines in re.split(r"\n(?=[A-Za-z0-9])", lock.read_text().strip()):
        match = re.match(r"(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\]+?))? *\\?\n", lines + "\n")
        if match is None:
            raise ValueError(f"{lock.name} has an entry that pins nothing: {lines[:80]!r}")
        name = canonicalize_name(match["name"])
        found[name] = Pin(name, match["version"], match["marker"] or "", lines)
    return found


@cache
def project() -> dict[str, object]:
    """The table [project] of pyproject.toml."""
    table: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def extras() -> dict[str, list[str]]:
    """The requirements of each extra but `all`, which is all of them."""
    table: dict[str, list[str]] = dict(project()["optional-dependencies"])  # type: ignore[call-overload]
    return {name: wanted for name, wanted in table.items() if name != "all"}


def wanted(chosen: Iterable[str] = ()) -> list[str]:
    """The requirements of the package itself and of these extras."""
    return [*project()["dependencies"], *(one for name in chosen for one in extras()[name])]  # type: ignore[misc]


def needed(wanted: Iterable[str], *, without: Collection[str] = (), worlds: Iterable[Mapping[str, str]] = ({},)) -> Edges:
    """What requirements ask for, and what those ask for, and so on: each name with the names that it needs.

    `worlds` are environments of markers, each a difference from this one; what any of them needs is needed. What is not
    installed here is named, and needs nothing.
    """
    found: Edges = {}
    seen: set[tuple[str, str]] = set()
    left = [("", one, "") for one in wanted]
    environments = [{**default_environment(), **world} for world in worlds]
    while left:
        parent, text, extra = left.pop()
        asked = Requirement(text)
        name = canonicalize_name(asked.name)
        if name in without or not _holds(asked.marker, environments, extra):
            continue
        found.setdefault(name, set())
        found.setdefault(parent, set()).add(name)
        for one in {"", *asked.extras} - {one for other, one in seen if other == name}:
            seen.add((name, one))
            left += [(name, inner, one) for inner in _requires(name)]
    return found


Edges = dict[str, set[str]]
"""Names, with the names of what each needs; the empty name is the package itself."""


def distributions(wanted: Iterable[str], *, without: Collection[str] = ()) -> Iterator[metadata.Distribution]:
    """The installed distributions that requirements ask for, and what those ask for."""
    return (metadata.distribution(name) for name in needed(wanted, without=without) if name)


def _holds(marker: Marker | None, environments: Iterable[dict[str, str]], extra: str) -> bool:
    return marker is None or any(marker.evaluate({**environment, "extra": extra}) for environment in environments)


def _requires(name: str) -> list[str]:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
