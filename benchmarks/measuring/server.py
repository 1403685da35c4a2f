"""Server: a PostgreSQL for a benchmark, whose CPU is counted over all its processes, and whose tables are compared."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from measuring.process import Cost, Failed, run

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the tests' way to start a server is in tests/

from tests.samples.postgres import Postgres, postgres

# As in a server that somebody runs: what is committed is on disk. Autovacuum would start at moments of its own.
SETTINGS = ("shared_buffers=1GB", "max_wal_size=8GB", "autovacuum=off", "timezone=UTC", "listen_addresses=127.0.0.1")
WORD = "bench"
QUIET_S = 30.0  # until the processes of a contender's sessions must have ended
_TICKS = os.sysconf("SC_CLK_TCK")
_CANONICAL = {
    "boolean": "boolean",
    "int": "bigint",
    "date": "date",
    "datetime": "timestamptz",
    "currency": "double precision",
}


class Server:
    """A running server; everybody reaches it as the same user by TCP."""

    def __init__(self, started: Postgres, port: int) -> None:
        self._port = port
        self._admin = Postgres(started.folder, port).admin
        self._pid = int((started.folder / "postmaster.pid").read_text().split()[0])
        self.sql(f"CREATE ROLE bench SUPERUSER LOGIN PASSWORD '{WORD}'")

    def uri(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql://bench:{WORD}@127.0.0.1:{self._port}/{database}"

    def make(self, database: str, *, like: str = "template0") -> None:
        """A database, empty or a copy of another one."""
        self.sql(f"DROP DATABASE IF EXISTS {database}")
        self.sql(f"CREATE DATABASE {database} TEMPLATE {like} STRATEGY FILE_COPY")

    def drop(self, database: str) -> None:
        """Drop a database, and who is still connected with it."""
        self.sql(f"DROP DATABASE {database} WITH (FORCE)")

    def sql(self, statement: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """What a statement answers."""
        connection = self._admin(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def copy_out(self, statement: str, file: BinaryIO, *, header: str = "", database: str = "postgres") -> None:
        """What a COPY gives, after a line where there is one."""
        file.write(f"{header}\n".encode() if header else b"")
        connection = self._admin(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET TimeZone = 'UTC'")
                cursor.copy_expert(statement, file)
        finally:
            connection.close()

    def measured(self, command: Sequence[str], wanted: Mapping[str, Any], *, env: Mapping[str, str] | None = None) -> Cost:
        """What a contender took: CPU of its own processes and of the server's together, and each in `told`.

        Before, everything dirty is written, so that nobody pays for another's; after, its sessions have ended.
        Raises: Failed.
        """
        self.sql("CHECKPOINT")
        before = self._cpu_s()
        cost = run(command, wanted, env=env)
        self._wait()
        server_s = self._cpu_s() - before
        told = {**cost.told, "client_cpu_s": cost.cpu_s, "server_cpu_s": server_s}
        return Cost(cost.wall_s, cost.cpu_s + server_s, cost.peak_mb, told)

    def content(self, database: str, table: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """How many rows a table has, and a hash of all values, whatever the order of rows, the case of names, or the types."""
        schema, name = table.split(".")
        found = self.sql(
            f"SELECT column_name FROM information_schema.columns WHERE table_schema = '{schema}' AND table_name = '{name}'",
            database=database,
        )
        names = {column.replace("_", "").lower(): column for (column,) in found}
        missing = [field for field in fields if field.lower() not in names]
        if missing:
            raise Failed(f"{table} lacks {', '.join(missing)}; it has {', '.join(names)}")
        values = ", ".join(f'"{names[field.lower()]}"::{_CANONICAL.get(kind, "text")}' for field, kind in sorted(fields.items()))
        rows, content = self.sql(
            f"SELECT count(*), sum(hashtextextended(ROW({values})::text, 0)::numeric)::text FROM {schema}.{name}",
            database=database,
        )[0]
        return {"rows": rows, "content": content}

    def _wait(self) -> None:
        """Until no session is left but the administrator's: a process that ended is counted with the postmaster's."""
        deadline = time.monotonic() + QUIET_S
        asked = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        while self.sql(asked)[0][0]:
            if time.monotonic() > deadline:
                raise Failed("a contender's session with the server did not end")
            time.sleep(0.05)

    def _cpu_s(self) -> float:
        """Seconds of CPU of the postmaster, of its processes, and of those that have ended."""
        pids = [self._pid, *(int(word) for word in Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text().split())]
        return sum(map(_ticks, pids)) / _TICKS


def _ticks(pid: int) -> int:
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has just ended, and is counted with its parent's
    return sum(int(word) for word in words[11:15])  # utime, stime, cutime, cstime; Source: man 5 proc_pid_stat


@contextmanager
def server() -> Iterator[Server]:
    """A server until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with postgres((*SETTINGS, f"port={port}")) as started:
        yield Server(started, port)
