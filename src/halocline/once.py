"""Once: a piece of work that may be asked for several times, by several processes, and is done to its end one time."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from halocline.errors import HaloclineError
from halocline.events import Sink
from halocline.heartbeat import Turn, held

if TYPE_CHECKING:
    from halocline.ledger import Ledger


@contextmanager
def once(ledger: Ledger, name: str, *, turn: Turn, sink: Sink) -> Iterator[bool]:
    """The block is given whether there is anything to do: not when the work of that name was done to its end before.

    It is done when the block ends, and may be done again when the block raises or its process dies. Processes know of each
    other's work as far as they share the ledger.
    Raises: LeaseHeld when another process is at it; what the block raises.
    """
    run = uuid.uuid4().hex
    with held(ledger, name, owner=run, turn=turn, sink=sink) as lease:
        ledger.abandon_dead(name)
        if any(one.state == "done" for one in ledger.runs(name)):
            yield False
            return
        ledger.start(name, run=run, pid=os.getpid(), host=socket.gethostname(), lease=lease)
        try:
            yield True
        except BaseException as error:
            told = f"{type(error).__name__}: {error}".removesuffix(": ")
            with suppress(HaloclineError):  # the failure at hand is the one to tell; without its end the run is taken for dead
                ledger.finish(run, state="failed", error=told)
            raise
        ledger.finish(run, state="done")
