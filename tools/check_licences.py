"""Check what each locked dependency is licensed under, by its installed metadata, against requirements/licences.toml.

usage: check_licences.py [LOCK]

Every entry of the lock (requirements/dev.txt: all extras, the build, the tools) is looked at. Not looked at is what
requirements/clients, requirements/servers and benchmarks/peers pin: other people's programs, which tests and benchmarks start in
environments of their own.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from locked import ROOT, Pin, pins
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

_CLASSIFIER = "License :: OSI Approved :: "


@dataclass(frozen=True, slots=True)
class Policy:
    """requirements/licences.toml."""

    allow: frozenset[str]
    texts: Mapping[str, str]
    read: Mapping[str, str]
    exceptions: Mapping[str, Mapping[str, str]]


def policy(file: Path = ROOT / "requirements" / "licences.toml") -> Policy:
    """The policy that a file holds."""
    found = tomllib.loads(file.read_text())
    return Policy(frozenset(found["allow"]), found["texts"], found["read"], found["exceptions"])


def main(lock: Path) -> int:
    """Print every fault, one a line; return 1 if there is one."""
    known, names = policy(), pins(lock)
    faults = [*_faults(names, known), *_stale(names, known)]
    fine = len(names) - len(known.exceptions)
    total = f"{len(names)} locked: {fine} under licences of the list, {len(known.exceptions)} exceptions with a reason"
    print("\n".join(f"licences: {fault}" for fault in faults) or f"licences: {total}")
    return 1 if faults else 0


def licence_of(name: str, known: Policy) -> str | None:
    """The SPDX expression of what a package is licensed under; None where nobody knows."""
    return known.read.get(name) or stated(name, known.texts)


def stated(name: str, texts: Mapping[str, str]) -> str | None:
    """The SPDX expression that the installed package itself states without doubt, in one of the places for that."""
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    classifiers = [line.removeprefix(_CLASSIFIER) for line in said.get_all("Classifier") or [] if line.startswith(_CLASSIFIER)]
    classified = classifiers[0] if len(classifiers) == 1 else None
    found = (_spdx(text, texts) for text in (said.get("License-Expression"), said.get("License"), classified) if text)
    return next((one for one in found if one), None)


def is_allowed(expression: str, allow: Iterable[str]) -> bool:
    """Whether one may choose licences of the list: of `A OR B` one, of `A AND B` both; anything with parentheses is not."""
    return any(all(one.strip() in allow for one in choice.split(" AND ")) for choice in expression.split(" OR "))


def _faults(names: Iterable[str], known: Policy) -> Iterator[str]:
    for name in sorted(names):
        found, exception = licence_of(name, known), known.exceptions.get(name)
        if found is None:
            yield f"{name} does not say what it is licensed under: read it, and add it to [read]"
        elif exception is None and not is_allowed(found, known.allow):
            yield f"{name} is under {found}, which is not on the list: take another, or add it to [exceptions] with a reason"
        elif exception is not None and (exception["licence"] != found or not exception["reason"]):
            yield f"{name} is under {found}, and its exception is for {exception['licence']}: look again"


def _stale(names: Mapping[str, Pin], known: Policy) -> Iterator[str]:
    """What licences.toml says for nothing."""
    for name in sorted({*known.read, *known.exceptions} - set(names)):
        yield f"{name} is not locked any more: delete its line"
    for name in sorted(set(known.read) & set(names)):
        said = stated(name, known.texts)
        if said is not None and not names[name].marker:
            yield f"{name} says itself that it is under {said}: delete its line of [read]"
    for name, exception in known.exceptions.items():
        if is_allowed(exception["licence"], known.allow):
            yield f"{name} needs no exception: {exception['licence']} is on the list"


def _spdx(text: str, texts: Mapping[str, str]) -> str | None:
    try:
        return str(canonicalize_license_expression(texts.get(text.strip(), text.strip())))
    except InvalidLicenseExpression:
        return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "requirements" / "dev.txt"))
