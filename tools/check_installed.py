"""Install the wheel into empty environments, with no extra, with each, and with all, and check that what should work there does.

usage: check_installed.py WHEEL [ENVIRONMENT ...]

An environment is named for its extras: `none`, `redis`, `duckdb,emulator`, `all`. What they need comes from requirements/dev.txt,
by hash. Then every module is imported: one may fail only for a driver of an extra that is not there. In `duckdb,emulator`, which
the README tells to install, `halocline demo` runs as pipx would run it: from elsewhere, with no variables of yours.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from importlib import metadata
from pathlib import Path

from locked import ROOT, extras, needed, pins, wanted
from packaging.utils import canonicalize_name

from halocline._version import __version__

DEMO = "duckdb,emulator"
ENVIRONMENTS = ("none", *sorted(extras()), DEMO, "all")
FOLDER = ROOT / "build" / "release"
_OF_TESTS = {"pytest"}  # what a fixture, or a suite for connectors, needs is there where it is asked for
_IMPORTS = """
import importlib, json, pkgutil
import halocline

missing, broken, number = {}, {}, 0
for found in pkgutil.walk_packages(halocline.__path__, "halocline.", onerror=lambda name: None):
    number += 1
    try:
        importlib.import_module(found.name)
    except Exception as error:
        cause = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        if isinstance(cause, ModuleNotFoundError):
            missing.setdefault(cause.name.split(".")[0], found.name)
        else:
            broken[found.name] = repr(error)
print(json.dumps([number, missing, broken]))
"""


def main(arguments: list[str]) -> int:
    """Check one environment after the other; return 1 if anything failed."""
    wheel, names = Path(arguments[0]).resolve(), arguments[1:] or list(ENVIRONMENTS)
    failed = 0
    for name in names:
        faults = list(check(wheel, name))
        print(f"installed {name}: {'; '.join(faults) or 'fine'}", flush=True)
        failed |= bool(faults)
    return failed


def check(wheel: Path, name: str) -> Iterator[str]:
    """What is wrong in one environment, which is made, and deleted again."""
    chosen = {"none": [], "all": sorted(extras())}.get(name) or [one for one in name.split(",") if one not in {"none", "all"}]
    home = FOLDER / name.replace(",", "-")
    shutil.rmtree(home, ignore_errors=True)
    try:
        yield from _installed(home, f"{wheel}[{name}]" if chosen else str(wheel), chosen)
        yield from _imported(home, chosen)
        yield from _answers(home)
        if name == DEMO:
            yield from _demo(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def lock_of(chosen: Collection[str]) -> str:
    """The entries of requirements/dev.txt that the package with these extras needs here, as a lock of their own."""
    locked, names = pins(ROOT / "requirements" / "dev.txt"), needed(wanted(chosen))
    return "\n".join(locked[name].lines for name in sorted(names) if name) + "\n"


def _installed(home: Path, asked: str, chosen: Collection[str]) -> Iterator[str]:
    home.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    lock = home / "lock.txt"
    lock.write_text(lock_of(chosen))
    pip = [str(home / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    for words in (
        ["install", "--require-hashes", "--only-binary", ":all:", "--requirement", str(lock)],
        ["install", "--no-index", "--isolated", asked],  # finds all that it needs, or fails
        ["check"],
    ):
        done = subprocess.run([*pip, *words], capture_output=True, text=True, check=False, env=_bare(home, pip=True))
        if done.returncode:
            yield f"pip {words[0]}: {(done.stderr or done.stdout).strip().splitlines()[-1]}"


def _imported(home: Path, chosen: Collection[str]) -> Iterator[str]:
    """Modules that fail to import for anything else than a driver of an extra that is not there."""
    done = _ran(home, "python", "-c", _IMPORTS)
    if done.returncode:
        yield f"its modules cannot be looked at: {done.stderr.strip()[-300:]}"
        return
    number, missing, broken = json.loads(done.stdout.splitlines()[-1])
    yield from (f"{module} fails: {error}" for module, error in broken.items())
    there, of_extras = set(needed(wanted(chosen))), set(needed(wanted(extras())))
    providers = metadata.packages_distributions()
    for driver, module in missing.items():
        by = {canonicalize_name(one) for one in providers.get(driver, ())}
        if driver not in _OF_TESTS and (not by & of_extras or by & there):
            yield f"{module} finds no {driver}"
    if number < 100:
        yield f"there are {number} modules alone"


def _answers(home: Path) -> Iterator[str]:
    done = _ran(home, "halocline", "--version")
    if done.stdout.strip() != f"halocline {__version__}":
        yield f"`halocline --version` says {done.stdout.strip()!r} {done.stderr.strip()[-200:]}"


def _demo(home: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="halocline-pipx-") as elsewhere:
        done = _ran(home, "halocline", "demo", cwd=elsewhere)
    if done.returncode:
        yield f"`halocline demo` ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}"


def _ran(home: Path, program: str, *words: str, cwd: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(home / "bin" / program), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd or home, env=_bare(home))


def _bare(home: Path, *, pip: bool = False) -> dict[str, str]:
    """The variables of a new user; pip is left what it needs to reach an index."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.lower().endswith("_proxy")}
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": os.environ["HOME"] if pip else str(home), **(kept if pip else {})}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
