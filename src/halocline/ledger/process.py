"""Process: which process carries a run, in which world of processes, and whether it is gone."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from halocline.config import environment

_STATE, _STARTED = 0, 19  # fields 3 and 22 of the line, counted behind the name; Source: proc_pid_stat(5), read 2026-11-21
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")
_LAMBDA = "lambda:"  # how the world of a function of AWS Lambda begins
_FUNCTION_S = 900
"""How long a call of a function of AWS Lambda lasts at most; then its process is ended.

Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, "Function timeout", read 2026-11-23.
"""
_CLOCKS_S = 300  # by how much the clocks of two hosts may differ here


@dataclass(frozen=True, slots=True)
class Process:
    """A process by number and host; `born` tells it from a later one of the same number (None: the system does not say).

    `world` is where the number means this process: a boot of a machine and, of its PID namespaces, one. Containers, cloned
    machines and a machine before and after a restart may share a host name, and have the same numbers. None: an earlier version
    noted the process, or the system does not say.
    """

    pid: int
    host: str
    born: str | None = None
    world: str | None = None

    @classmethod
    def of(cls, pid: int, host: str) -> Process:
        """The process that has this number now."""
        return cls(pid, host, _born(pid), _world()) if host == socket.gethostname() else cls(pid, host)

    @property
    def elsewhere(self) -> bool:
        """Whether it cannot be looked at from here: it is, or may be, one of another host, boot or container."""
        if self.host != socket.gethostname():
            return True
        here = _world()
        if self.world is not None or here is None:
            return self.world != here
        return self.born is None or self.born.partition(":")[0] != here.partition(":")[0]

    def outlasted(self, started: str) -> bool:
        """Whether it is of a function of AWS Lambda, none of which lasts as long as it has been since `started`, ISO 8601."""
        if self.world is None or not self.world.startswith(_LAMBDA):
            return False
        return (datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds() > _FUNCTION_S + _CLOCKS_S

    def gone(self) -> bool:
        """Whether the process has certainly ended; False for one that is elsewhere."""
        if self.elsewhere:
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
        boot = _BOOT.read_text().strip()
    except OSError:  # no /proc here (macOS), or the process ended this instant
        return None
    fields = line.rpartition(")")[2].split()  # a process name may hold blanks and brackets
    return "" if fields[_STATE] in "ZX" else f"{boot}:{fields[_STARTED]}"


def _world() -> str | None:
    """The boot and the PID namespace of this process.

    Source: random(4) for the boot, pid_namespaces(7) and namespaces(7) for the link, read 2026-11-22.
    """
    try:
        boot = _BOOT.read_text().strip()
    except OSError:
        boot = _boot_session()
    if not boot:
        return None
    boot = f"{_LAMBDA}{boot}" if environment().get("AWS_LAMBDA_FUNCTION_NAME") else boot
    try:
        return f"{boot}:{_NAMESPACE.readlink()}"
    except OSError:  # a kernel without such namespaces has one world
        return f"{boot}:"


def _boot_session() -> str:
    """What macOS calls a boot; "" elsewhere. Source: kern.bootsessionuuid, read by sysctlbyname(3); not tried on a Mac."""
    import ctypes

    try:
        ask = ctypes.CDLL(None).sysctlbyname
    except (OSError, AttributeError):
        return ""
    text = ctypes.create_string_buffer(64)
    size = ctypes.c_size_t(len(text))
    return text.value.decode() if ask(b"kern.bootsessionuuid", text, ctypes.byref(size), None, 0) == 0 else ""
