"""A Snowflake for a test: fakesnow's server on a free port of this machine, and the ways into it."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import snowflake.connector
from tests.ports import free_port
from tests.system.clients.environments import ENVIRONMENTS

READY_S = 60  # seconds until it answers; it takes one or two where nothing else runs
STOP_S = 10
SCRIPT = Path(__file__).with_name("fakesnow_server.py")
WORD = "a-word/that@nobody:may?see"
_QUOTED_WORD = "a-word%2Fthat%40nobody%3Amay%3Fsee"
_QUICK = {
    "query_timeout": 30,
    "login_timeout": 20,
    "enable_server_session_keep_alive_auto_detection": False,
    "platform_detection_timeout_seconds": 0,
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, in which each folder has a database of its own."""

    port: int

    def database(self, folder: Path) -> str:
        """The database of a folder, made when somebody first connects to it."""
        return "T" + hashlib.sha256(str(folder).encode()).hexdigest()[:20].upper()

    def uri(self, database: str, **options: str) -> str:
        """The URI of a database."""
        said = {"host": "127.0.0.1", "port": str(self.port), "protocol": "http", "network_timeout": "30", **options}
        return f"snowflake://etl:{_QUOTED_WORD}@fake/{database}/PUBLIC?" + "&".join(f"{name}={said[name]}" for name in said)

    def connect(self, database: str | None, **options: Any) -> Any:
        """A connection of the driver to a database."""
        place = {"account": "fake", "user": "etl", "password": WORD, "database": database, "schema": "PUBLIC"}
        said = {**place, "host": "127.0.0.1", "port": self.port, "protocol": "http", **_QUICK, **options}
        return snowflake.connector.connect(**{name: value for name, value in said.items() if value is not None})


@contextmanager
def snowflake_server() -> Iterator[Server]:
    """A server that ends with the block."""
    python = ENVIRONMENTS["fakesnow"].ready() / "bin" / "python"
    port = free_port()
    with subprocess.Popen([str(python), str(SCRIPT), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(process, port)
            yield Server(port)
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        assert process.poll() is None, f"fakesnow ended with code {process.returncode}"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "fakesnow does not answer"
            time.sleep(0.05)
        else:
            return
