"""Process: which process carries a run, and whether it is gone."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_STATE, _STARTED = 0, 19  # fields 3 and 22 of the line, counted behind the name; Source: proc_pid_stat(5), read 2026-11-21


@dataclass(frozen=True, slots=True)
class Process:
    """A process by number and host; `born` tells it from a later one of the same number (None: the system does not say)."""

    pid: int
    host: str
    born: str | None = None

    @classmethod
    def of(cls, pid: int, host: str) -> Process:
        """The process that has this number now."""
        return cls(pid, host, _born(pid) if host == socket.gethostname() else None)

    def gone(self) -> bool:
        """Whether the process has certainly ended; False for one of another host, which cannot be looked at."""
        if self.host != socket.gethostname():
            return False
        if not _exists(self.pid):
            return True
        return self.born is not None and self.born != _born(self.pid)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it lives, under another user
        return True
    return True


def _born(pid: int) -> str | None:
    """The boot and the clock tick in which a process started; "" for one that ended but was not yet reaped."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # no /proc here (macOS), or the process ended this instant
        return None
    fields = line.rpartition(")")[2].split()  # a process name may hold blanks and brackets
    return "" if fields[_STATE] in "ZX" else f"{boot}:{fields[_STARTED]}"
