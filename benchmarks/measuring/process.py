"""Process: a contender as a process of its own, and what it cost. Nothing but the standard library is loaded here: a child's peak
memory starts at that of its parent."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took: wall clock, CPU of user and system together, greatest resident memory (MiB), and what it said itself."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def waited_s(self) -> float:
        """Seconds of the wall clock in which the org worked on the job and the contender waited."""
        return float(self.told.get("waited_s", 0.0))


class Failed(Exception):
    """A contender that did not finish; its own words are on the screen."""


class Process:
    """A running contender: it got one JSON argument, and answers with JSON lines, one for each thing it was asked."""

    def __init__(self, command: Sequence[str], wanted: Mapping[str, Any], *, env: Mapping[str, str] | None = None) -> None:
        self._name = command[-1]
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            [*command, json.dumps(wanted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )

    def answer(self) -> dict[str, Any]:
        """The next JSON line; what a peer prints besides is passed over."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                told: dict[str, Any] = json.loads(line)
                return told
        raise Failed(f"{self._name} ended without an answer")

    def ask(self, text: str = "") -> None:
        """Say one line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()

    def end(self, told: Mapping[str, Any]) -> Cost:
        """Wait for its end, and count."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.monotonic() - self._began
        if self._process.returncode:
            raise Failed(f"{self._name} ended with code {self._process.returncode}")
        return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, told)

    def close(self) -> None:
        """End it at once, if it has not ended, and let go of it. Idempotent."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def run(command: Sequence[str], wanted: Mapping[str, Any], *, env: Mapping[str, str] | None = None) -> Cost:
    """Run a contender from its start to its end.

    Raises: Failed.
    """
    process = Process(command, wanted, env=env)
    try:
        return process.end(process.answer())
    finally:
        process.close()


def typical(costs: Sequence[Cost]) -> Cost:
    """The median of each figure, and the greatest memory; what the last one said."""
    return Cost(
        median(cost.wall_s for cost in costs),
        median(cost.cpu_s for cost in costs),
        max(cost.peak_mb for cost in costs),
        costs[-1].told,
    )
