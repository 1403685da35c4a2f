"""A program that types `halocline` in processes that it forks, each of which may be made to die at any of its operations.

Orders are lines of JSON on standard input: `words` to type, the `env`, where to put the `answer`, and `die`: the `kinds` of
operations whose moments are counted (none: nothing is), the one `at` which the process ends by SIGKILL (0: none), and whether
what a death would leave is told of each (`marks`, see `told_apart`), which takes longer than the command. Each order is
answered by two lines: the number of the process, and once it is gone how it ended. Waits are cut short, and a Bulk job takes
`job_rows` at most. With `kill_after_s` the process is killed then, if it is still there (0: never).
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpcore2
from typer import testing

from halocline import retry
from halocline.connectors.salesforce import sheets
from tests.command_line import app
from tests.made_once import make_once
from tests.system.fault_seams import watching_all
from tests.system.told_apart import Marking, counting

LONGEST_WAIT_S = 0.03


def prepare() -> None:
    """Make what is made once before any process is forked, so that each has it."""
    make_once()
    testing._get_command(app)
    httpcore2.default_ssl_context()


def hurry(job_rows: int) -> None:
    """Cut waits short, and jobs small."""
    object.__setattr__(retry.PACE, "sleep", lambda seconds: time.sleep(min(seconds, LONGEST_WAIT_S)))
    sheets.MAX_ROWS = job_rows


def live(order: dict[str, Any]) -> None:
    """Type the words, and leave what was said in the answer's file."""
    os.environ.update(order["env"])
    operations = counting(order["die"], Path(order["env"]["HALOCLINE_HOME"]))
    hurry(order["job_rows"])
    with ExitStack() as stack:
        if order["die"]["kinds"]:
            stack.enter_context(watching_all(operations))
        done = testing.CliRunner().invoke(app, order["words"])
    deeds = [f"{moment.kind} {moment}" for moment in operations.seen]
    marks = operations.marks if isinstance(operations, Marking) else []
    told: dict[str, Any] = {"exit_code": done.exit_code, "out": done.stdout, "err": done.stderr, "deeds": deeds, "marks": marks}
    told["modules"] = [*sys.modules]
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        told["err"] += "".join(traceback.format_exception(done.exception))
    partial = Path(f"{order['answer']}.new")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(told, file)
    partial.replace(order["answer"])


def fork() -> int:
    """As `os.fork`; the child's collector leaves alone what was there before, for what it looks at is copied."""
    gc.freeze()
    pid = os.fork()
    if pid:
        gc.unfreeze()
    return pid


def born(order: dict[str, Any]) -> int:
    """A process that carries out the order."""
    pid = fork()
    if pid:
        return pid
    try:
        live(order)
        os._exit(0)
    except BaseException:  # noqa: BLE001 - nothing of the parent may run in the child
        traceback.print_exc()
        os._exit(1)


def ended(pid: int, *, kill_after_s: float) -> int:
    """How a process of ours ended; it is killed only while it is ours, so that its number is nobody else's."""
    deadline = time.monotonic() + kill_after_s
    while kill_after_s:
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.001)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def learn(modules: Sequence[str]) -> None:
    """Load what a child had to load, so that the next one has it; most of a command's time is that."""
    for name in modules:
        if name not in sys.modules:
            with suppress(ImportError):  # made up by a compiler, or a part of what is no package
                importlib.import_module(name)


def main() -> None:
    """Carry out orders until there are no more."""
    prepare()
    for line in sys.stdin:
        order = json.loads(line)
        pid = born(order)
        print(json.dumps({"pid": pid}), flush=True)
        code = ended(pid, kill_after_s=order["kill_after_s"])
        if code == 0:
            learn(json.loads(Path(order["answer"]).read_text(encoding="utf-8"))["modules"])
        print(json.dumps({"ended": code}), flush=True)


if __name__ == "__main__":
    assert shutil.rmtree.avoids_symlink_attacks  # it deletes by os.unlink and os.rmdir, which are watched
    main()
