"""A nursery: commands that are born with our modules loaded (`births.py`), for tests that type many and look at none's start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.system.shell import ROOT, plain_env


@dataclass(frozen=True, slots=True)
class Done:
    """What a command said, and how its process ended."""

    code: int
    out: str
    err: str


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
        order = {"words": words, "script": script, "env": dict(env), "cwd": str(cwd), **told}
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        self.program.stdin.write(json.dumps(order) + "\n")
        self.program.stdin.flush()
        code = self.program.stdout.readline()
        assert code, "the nursery is gone"
        return Done(int(code), files["out"].read_text(encoding="utf-8"), files["err"].read_text(encoding="utf-8"))


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
