"""Consuming: a consumer that begins when it is told to, and tells at its end what its handlers saw.

Nothing but the standard library is loaded here: peers run it in environments of their own.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable

NAME = "messages"  # of the queue


def serve(run: Callable[[], None], numbers: list[int]) -> None:
    """Say that all is ready; at `go` run the consumer, which need not return; at the next line tell of the `numbers` of the
    messages that handlers saw, and end the process, whatever the consumer does.
    """
    _say({"ready": True, "pid": os.getpid()})
    if sys.stdin.readline().strip() == "go":
        threading.Thread(target=_end, args=(numbers,), daemon=True).start()
        run()
        threading.Event().wait()


def _end(numbers: list[int]) -> None:
    sys.stdin.readline()
    _say({"done": len(numbers), "sum": sum(numbers)})
    os._exit(0)


def _say(told: dict[str, object]) -> None:
    """To the real standard output: some peers put a log in its place."""
    stream = sys.__stdout__
    assert stream is not None
    stream.write(json.dumps(told) + "\n")
    stream.flush()
