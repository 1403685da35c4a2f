"""Killer: two workers of a consumer, one of which is killed again and again and replaced at once."""

from __future__ import annotations

import json
import os
import random
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from typing import Any

from tests.system.torture.load import Load

_PROGRAM = Path(__file__).with_name("nursery.py")
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Consumer:
    """A script as `tests.system.torture` says, the Python that runs it, and options for it."""

    name: str
    script: Path
    python: str
    options: Mapping[str, Any] = field(default_factory=dict)


class Nursery:
    """The process that forks workers of a consumer, and kills them."""

    def __init__(self, consumer: Consumer, wanted: Mapping[str, Any], *, env: Mapping[str, str]) -> None:
        self._name = consumer.name
        self._process = subprocess.Popen(
            [consumer.python, str(_PROGRAM), str(consumer.script), json.dumps({**wanted, **consumer.options})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
        )

    def ready(self) -> None:
        """Wait until everything is imported."""
        assert self._answer() == {"ready": True}

    def fork(self) -> int:
        """Let a worker begin: its number."""
        return int(self._order("fork")["pid"])

    def kill(self, worker: int) -> None:
        """Kill a worker. It must not have ended by itself."""
        code = self._order(f"kill {worker}")["code"]
        assert code == -SIGKILL, f"a worker of {self._name} ended with code {code}; its words are above"

    def close(self) -> None:
        """End all workers, and the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _order(self, order: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                told: dict[str, Any] = json.loads(line)
                return told
        raise AssertionError(f"the forking process of {self._name} is gone; its words are above")


class Killer:
    """Two workers at work, one of which is killed again and again and replaced at once."""

    def __init__(self, nursery: Nursery, load: Load) -> None:
        self._nursery = nursery
        self._load = load
        self._dice = random.Random(load.seed)
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="killer")
        self.kills = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Workers are killed while the block runs.

        Raises: what stopped it before.
        """
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()
        self.check()

    def check(self) -> None:
        """Raises: what stopped it."""
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        try:
            workers, victim = [self._nursery.fork() for _ in range(WORKERS)], 0
            while not self._over.wait(self._dice.uniform(*self._load.kills_s)):
                if self._dice.randrange(self._load.steady) == 0:
                    victim = (victim + 1) % WORKERS
                self._nursery.kill(workers[victim])
                self.kills += 1
                workers[victim] = self._nursery.fork()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._failure = error


@contextmanager
def nursery(consumer: Consumer, wanted: Mapping[str, Any], *, env: Mapping[str, str]) -> Iterator[Nursery]:
    """A nursery that is ready, until the block ends, and its workers with it."""
    made = Nursery(consumer, wanted, env=env)
    try:
        made.ready()
        yield made
    finally:
        made.close()
