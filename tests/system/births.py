"""A program that has our modules loaded and bears commands: each is a process of its own that runs `python -m halocline`, or
a script of the folder that it is run in.

Loading the modules is most of a command's time. Orders are lines of JSON on standard input: the `words`, the `script` (none: an
empty text), the `env`, the folder `cwd`, and the files `out` and `err` that take what the command says. The `deed` is to `run`
it, which is answered by a line with how its process ended; or to `begin` it, answered by its number, with which later orders
ask how it ended (`poll`; null: not yet).
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn

from tests.system.forks import fork, learn, prepare

ADDING = os.O_WRONLY | os.O_APPEND


def live(order: dict[str, Any]) -> None:
    """Become the command: its words, variables, folder and standard streams."""
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    for number, name, flags in ((0, os.devnull, os.O_RDONLY), (1, order["out"], ADDING), (2, order["err"], ADDING)):
        file = os.open(name, flags)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - the process's own
    sys.argv = [order["script"] or "halocline", *order["words"]]
    if order["script"]:
        sys.path.insert(0, order["cwd"])  # as Python does
        runpy.run_path(order["script"], run_name="__main__")
    else:
        runpy.run_module("halocline", run_name="__main__", alter_sys=True)


def end(order: dict[str, Any], code: object) -> NoReturn:
    """End as Python does, but for the taking apart of every module, which takes longer than most commands."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    Path(order["modules"]).write_text(json.dumps([*sys.modules]), encoding="utf-8")
    os._exit(code if isinstance(code, int) else int(code is not None))


def begin(order: dict[str, Any]) -> int:
    """The number of a process that becomes the command."""
    if (pid := fork()) == 0:
        try:
            live(order)
        except SystemExit as told:
            end(order, told.code)
        except BaseException:  # noqa: BLE001 - nothing of the parent may run in the child
            traceback.print_exc()
            end(order, 1)
        end(order, 0)
    return pid


def poll(order: dict[str, Any], flags: int = os.WNOHANG) -> int | None:
    """How the process ended; None while it has not."""
    pid, status = os.waitpid(order["pid"], flags)
    if not pid:
        return None
    loaded = Path(order["modules"]).read_text(encoding="utf-8")
    learn(json.loads(loaded) if loaded else ())  # a process that was killed told nothing
    return os.waitstatus_to_exitcode(status)


def run(order: dict[str, Any]) -> int | None:
    """How a process that became the command ended."""
    return poll({**order, "pid": begin(order)}, 0)


DEEDS = {"begin": begin, "poll": poll, "run": run}


def main() -> None:
    """Carry out orders until there are no more."""
    prepare()
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(DEEDS[order["deed"]](order)), flush=True)


if __name__ == "__main__":
    main()
