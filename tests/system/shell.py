"""A shell in which `halocline` is typed: each command is a process of its own, which can be killed or made to die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halocline.emulator.server import Emulator

ROOT = Path(__file__).resolve().parents[2]
KILLED = -signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Typed:
    """How a command ended (`code`: of the process), what it said, its deeds and what each left where that was asked for.

    Who was killed said nothing.
    """

    code: int
    exit_code: int = -1
    out: str = ""
    err: str = ""
    deeds: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    @property
    def killed(self) -> bool:
        return self.code == KILLED


@dataclass(frozen=True, slots=True)
class Shell:
    """A program that forks (`forks.py`), and the folder for its answers."""

    forks: subprocess.Popen[str]
    folder: Path

    @contextmanager
    def typing(
        self,
        *words: str,
        env: Mapping[str, str],
        kinds: tuple[str, ...] = (),
        at: int = 0,
        marks: bool = False,
        job_rows: int = 100_000,
        kill_after_s: float = 0.0,
    ) -> Iterator[tuple[int, Callable[[], Typed]]]:
        """Type `halocline` and these words, to die at the `at`-th deed of these kinds: the process, and how it ends.

        With `marks` it tells what a death at each of its deeds would leave.
        With `kill_after_s` it is killed then, if it has not ended.
        """
        answer = self.folder / "answer.json"
        answer.unlink(missing_ok=True)
        order: dict[str, Any] = {"words": words, "env": dict(env), "answer": str(answer), "job_rows": job_rows}
        order |= {"die": {"kinds": kinds, "at": at, "marks": marks}, "kill_after_s": kill_after_s}
        assert self.forks.stdin is not None
        self.forks.stdin.write(json.dumps(order) + "\n")
        self.forks.stdin.flush()
        told = False

        def ended() -> Typed:
            nonlocal told
            told = True
            code = self._line()["ended"]
            return Typed(code, **_read(answer)) if code == 0 else Typed(code)

        yield self._line()["pid"], ended
        assert told, "the story waits for the end of its process"

    def _line(self) -> dict[str, Any]:
        assert self.forks.stdout is not None
        line = self.forks.stdout.readline()
        assert line, "the forking program is gone"
        told: dict[str, Any] = json.loads(line)
        return told


def _read(answer: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return {name: told[name] for name in ("exit_code", "out", "err")} | {name: tuple(told[name]) for name in ("deeds", "marks")}


def env_of(emulator: Emulator, home: Path) -> dict[str, str]:
    """The variables of a command that logs in to this org and keeps its things in this folder."""
    config = emulator.config
    login = {"SF_LOGIN_URL": emulator.url, "SF_CLIENT_ID": config.consumer_key, "SF_CLIENT_SECRET": config.consumer_secret}
    return login | {"HALOCLINE_HOME": str(home), "HALOCLINE_SPOOL": str(home / "spool")}


def plain_env() -> dict[str, str]:
    """This process's variables without those that say something to us."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SF_", "HALOCLINE_"))}


@contextmanager
def shell(folder: Path) -> Iterator[Shell]:
    """A shell until the block ends."""
    program = [sys.executable, "-W", "error", "-m", "tests.system.forks"]
    env = plain_env() | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT) as forks:
        try:
            yield Shell(forks, folder)
        finally:
            assert forks.stdin is not None
            forks.stdin.close()
            try:
                forks.wait(timeout=30)
            except subprocess.TimeoutExpired:
                forks.kill()
