"""A flow by its name, run once: what became of each thing that it carries."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from halocline.errors import FixConfig
from halocline.flows.configuration import Configuration
from halocline.flows.connected import Connected
from halocline.flows.files import FileDone, FileFlow
from halocline.flows.listen import ListenFlow
from halocline.flows.owners import Owners
from halocline.flows.push import PushDone
from halocline.flows.sync import SyncDone
from halocline.flows.tables import TablesDone
from halocline.landed import Landed

Done = SyncDone | PushDone | FileDone | TablesDone


def run_flow(
    name: str, configuration: Configuration, *, around: Connected, files: Iterable[Landed] | None = None
) -> Iterator[Done]:
    """Run a flow, and yield what became of each object, push, file or set of tables; a failure of one is in what is yielded.

    `files` are those to take care of (None: all that lie there).
    Raises: NotFound for a flow that is not there; FixConfig for one that goes on for ever; an error of `halocline.errors` where
    nothing could be begun.
    """
    flow = configuration.flow(name)
    if isinstance(flow, ListenFlow):
        hint = f"Let it listen: halocline listen {name}"
        raise FixConfig(f"Running the flow {name}", "it is of the kind listen, which has no end", hint=hint)
    with _in_time(around):
        if isinstance(flow, FileFlow):
            yield from flow.run(name, around, owners=Owners.among(configuration, around), files=files)
        elif files is None:
            yield from flow.run(name, around)
        else:
            raise FixConfig(f"Running the flow {name}", "it takes no files", hint="Name a flow of the kind file.")


@contextmanager
def _in_time(around: Connected) -> Iterator[None]:
    """The halt of these surroundings is called at their instant, should the block last so long."""
    if around.ends_at is None:
        yield
        return
    timer = threading.Timer(max(around.ends_at - time.monotonic(), 0.0), around.halt.call)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
