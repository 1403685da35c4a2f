"""A nursery: commands that are born with our modules loaded (`births.py`), for tests that type many and look at none's start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.system.shell import ROOT, plain_env


@dataclass(frozen=True, slots=True)
class Done:
    """What a command said, and how its process ended."""

    code: int
    out: str
    err: str


@dataclass(slots=True)
class Living:
    """A command that goes on; it has said `out` so far, and ended with `code` or not yet."""

    pid: int
    out: Path
    modules: Path
    nursery: Nursery
    code: int | None = None

    def poll(self) -> int | None:
        """How it ended; None while it has not."""
        if self.code is None:
            self.code = self.nursery.ask("poll", pid=self.pid, modules=str(self.modules))
        return self.code

    def ended(self, *, within_s: float) -> int:
        """How it ends.

        Raises: AssertionError where it does not, within so many seconds.
        """
        ends = time.monotonic() + within_s
        while (code := self.poll()) is None:
            assert time.monotonic() < ends, f"the process {self.pid} has not ended"
            time.sleep(0.01)  # another process is looked at; nothing tells when
        return code

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended: its number may be another's then."""
        if self.poll() is None:
            os.kill(self.pid, number)


@dataclass(frozen=True, slots=True)
class Nursery:
    """The program, and the folder for what its commands say."""

    program: subprocess.Popen[str]
    folder: Path

    def run(self, *words: str, env: Mapping[str, str], cwd: Path, script: str = "") -> Done:
        """Run `halocline` and these words to the end, in a process of its own that sees this environment and no other.

        With the name of a `script` in the folder `cwd`, run that instead.
        """
        files = {name: self.folder / name for name in ("out", "err", "modules")}
        for file in files.values():
            file.write_bytes(b"")
        told = {name: str(file) for name, file in files.items()}
        code = self.ask("run", words=words, script=script, env=dict(env), cwd=str(cwd), **told)
        return Done(code, files["out"].read_text(encoding="utf-8"), files["err"].read_text(encoding="utf-8"))

    def begin(self, *words: str, env: Mapping[str, str], cwd: Path, err: Path) -> Living:
        """Run `halocline` and these words, going on; what it says of errors is added to a file."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        files = {"out": folder / "out", "modules": folder / "modules", "err": err}
        for file in files.values():
            file.touch()
        told = {name: str(file) for name, file in files.items()}
        pid = self.ask("begin", words=words, script="", env=dict(env), cwd=str(cwd), **told)
        return Living(pid, files["out"], files["modules"], self)

    def ask(self, deed: str, **order: object) -> Any:
        """What the program answers to an order."""
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        self.program.stdin.write(json.dumps({"deed": deed, **order}) + "\n")
        self.program.stdin.flush()
        answer = self.program.stdout.readline()
        assert answer, "the nursery is gone"
        return json.loads(answer)


@contextmanager
def nursery(folder: Path) -> Iterator[Nursery]:
    """A nursery until the block ends."""
    env = plain_env() | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    command = [sys.executable, "-m", "tests.system.births"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT) as program:
        try:
            yield Nursery(program, folder)
        finally:
            assert program.stdin is not None
            program.stdin.close()  # it ends when there are no more orders
            try:
                program.wait(timeout=30)
            except subprocess.TimeoutExpired:
                program.kill()
