"""What one environment lends another: packages of the same version, as links."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)


def pinned(locks: Iterable[Path]) -> list[tuple[str, str]]:
    """Name and version of what the locks pin and this environment has; pip takes them as installed."""
    wanted = {pin for lock in locks if lock.suffix == ".txt" for pin in _PIN.findall(lock.read_text(encoding="utf-8"))}
    return sorted((name, version) for name, version in wanted if (found := _installed(name)) and found.version == version)


def lend(packages: Iterable[tuple[str, str]], folder: Path) -> None:
    """Link them into the environment in the folder. Nothing else of this one is seen there."""
    ours = Path(sysconfig.get_path("purelib"))
    (theirs,) = folder.glob("lib/python*/site-packages")
    for name, _ in packages:
        found = _installed(name)
        files = (found.files if found else None) or []
        for path in sorted({Path(*_top(file.parts, ours)) for file in files if ".." not in file.parts}):
            (theirs / path).parent.mkdir(parents=True, exist_ok=True)
            (theirs / path).symlink_to(ours / path)


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _top(parts: tuple[str, ...], ours: Path) -> tuple[str, ...]:
    """The highest folder of a file that is its package's alone: one that is no package may hold several, as `snowflake` does."""
    if parts[0].endswith((".dist-info", ".libs")):
        return parts[:1]
    depths = range(1, len(parts))
    return parts[: next((depth for depth in depths if ours.joinpath(*parts[:depth], "__init__.py").exists()), len(parts))]
