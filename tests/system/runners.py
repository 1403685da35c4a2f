"""Runners: `halocline sync` processes that start at the same instant, forked from one process that has imported everything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.system.shell import ROOT

# Each child stands at a pipe until all of its company are there. A `stop` is a point at which it sends itself a SIGSTOP, once;
# `shift_s` puts the clock of its Halocline forward.
_DRIVER = """
import json, os, signal, sys, threading, time
from datetime import datetime, timedelta
from pathlib import Path
import pyarrow, pyarrow.csv
import halocline.cli.main, halocline.cli.sync, halocline.connectors.postgres, halocline.connectors.salesforce, halocline.sync
import halocline.cli.progress, halocline.ledger.postgres, halocline.run
from halocline.connectors.postgres.destination import PostgresUnit
from tests.system.forks import fork, learn, prepare

beating = threading.Lock()
told = {}  # where each process says what it loaded

def between_beats(kind):
    inner = kind.renew
    def renew(self, lease):
        with beating:
            return inner(self, lease)
    kind.renew = renew

class Stop:
    # Not in the middle of a heartbeat: whoever is stopped while it writes to a file keeps the file's lock.
    def __init__(self):
        self.done = False
        between_beats(halocline.ledger.SqliteLedger)
        between_beats(halocline.ledger.postgres.PostgresLedger)
    def __call__(self):
        if not self.done:
            self.done = True
            with beating:
                os.kill(os.getpid(), signal.SIGSTOP)

def stopping(holder, name, stop, *, after):
    inner = getattr(holder, name)
    def watched(*args, **kwargs):
        if not after:
            stop()
        answer = inner(*args, **kwargs)
        if after:
            stop()
        return answer
    setattr(holder, name, watched)

def shifted(seconds):
    class Shifted(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=seconds)
    real = time.time
    time.time = lambda: real() + seconds
    for name, module in list(sys.modules.items()):
        if name.startswith("halocline") and getattr(module, "datetime", None) is datetime:
            module.datetime = Shifted

def child(order, gate):
    for number, path in ((1, order["out"]), (2, order["err"])):
        os.dup2(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
    os.environ.update(order["env"])
    if order["shift_s"]:
        shifted(order["shift_s"])
    points = {"survey": (halocline.run, "survey_and_plan", True), "open": (PostgresUnit, "open", True),
              "commit": (PostgresUnit, "commit", False)}
    if order["stop"]:
        holder, name, after = points[order["stop"]]
        stopping(holder, name, Stop(), after=after)
    os.read(gate, 1)
    sys.argv = ["halocline", *order["words"]]
    halocline.cli.main.run()

def start(orders):
    gate, go = os.pipe()
    pids = []
    for order in orders:
        pid = fork()
        modules = Path(order["out"] + ".modules")
        if pid == 0:
            code = 99
            try:
                os.close(go)
                child(order, gate)
                code = 0
            except SystemExit as end:
                code = end.code or 0
            finally:
                sys.stdout.flush()
                modules.write_text(json.dumps([*sys.modules]))
                os._exit(code)
        pids.append(pid)
        told[pid] = modules
    os.close(gate)
    os.close(go)
    return pids

def wait(pid):
    status = os.waitpid(pid, os.WUNTRACED)[1]
    if os.WIFSTOPPED(status):
        return {"stopped": True}
    modules = told.pop(pid)
    learn(json.loads(modules.read_text()) if modules.exists() else ())  # else the next ones load it all again
    return {"code": os.waitstatus_to_exitcode(status)}

prepare()
for line in sys.stdin:
    deed, argument = json.loads(line)
    print(json.dumps({"start": start, "wait": wait}[deed](argument)), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Runner:
    """A process; `out` and `err` take what it says."""

    pid: int
    out: Path
    err: Path
    driver: Driver

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        told: int = self.driver.ask("wait", self.pid)["code"]
        return told

    def stopped(self) -> None:
        """Come back when it stands still."""
        assert self.driver.ask("wait", self.pid) == {"stopped": True}, self.said()

    def go_on(self) -> None:
        """Wake it up."""
        os.kill(self.pid, signal.SIGCONT)

    def said(self) -> str:
        """All that it wrote."""
        return self.out.read_text() + self.err.read_text()

    def answer(self) -> dict[str, Any]:
        """What it answered in JSON."""
        told: dict[str, Any] = json.loads(self.out.read_text().splitlines()[-1])
        return told


class Driver:
    """The process that forks the others."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._made = 0

    def ask(self, deed: str, argument: object) -> Any:
        """One order, and what came of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([deed, argument]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def order(self, *words: str, env: Mapping[str, str], stop: str = "", shift_s: float = 0.0) -> dict[str, Any]:
        """What one process is to do, with these variables more than the driver has."""
        self._made += 1
        out, err = (str(self._folder / f"{self._made}.{kind}") for kind in ("out", "err"))
        return {"words": words, "stop": stop, "shift_s": shift_s, "env": dict(env), "out": out, "err": err}

    def start(self, orders: Sequence[dict[str, Any]]) -> list[Runner]:
        """One process for each order, all let go at once."""
        pids = self.ask("start", orders)
        return [Runner(pid, Path(o["out"]), Path(o["err"]), self) for pid, o in zip(pids, orders, strict=True)]


@contextmanager
def driver(folder: Path) -> Iterator[Driver]:
    """A driver until the block ends; the folder takes what its processes say."""
    command = [sys.executable, "-c", _DRIVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield Driver(process, folder)
        assert process.stdin is not None
        process.stdin.close()
