"""A program that forks workers of one consumer from a process that has imported everything.

Its arguments are the path of the consumer's script and one JSON argument for it. Orders are lines: `fork` is answered by the
number of a new worker's process, `kill` and such a number by how it ended, which is by SIGKILL unless it ended before. Nothing
but the standard library is needed.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any


def main() -> None:
    """Carry out orders until there are no more; no worker outlives this."""
    script, wanted = Path(sys.argv[1]), json.loads(sys.argv[2])
    sys.path.insert(0, str(Path(__file__).resolve().parent))  # `effects`, which is a package's module nowhere else
    consumer = _loaded(script)
    queue = consumer.prepare(wanted)
    gc.freeze()
    alive = set[int]()
    print(json.dumps({"ready": True}), flush=True)
    try:
        for line in sys.stdin:
            order, _, number = line.strip().partition(" ")
            if order == "fork":
                pid = _born(consumer, wanted, queue=queue)
                alive.add(pid)
                told = {"pid": pid}
            else:
                alive.remove(int(number))
                told = {"code": _ended(int(number))}
            print(json.dumps(told), flush=True)
    finally:
        for pid in alive:
            _ended(pid)


def _loaded(script: Path) -> Any:
    found = importlib.util.spec_from_file_location(script.stem, script)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _born(consumer: Any, wanted: dict[str, Any], *, queue: Any) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        consumer.consume(wanted, queue)
    except BaseException:  # noqa: BLE001 - nothing of the parent may run in the child
        traceback.print_exc()
    os._exit(1)


def _ended(pid: int) -> int:
    """Kill a worker that is not waited for yet, so that its number is nobody else's."""
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
