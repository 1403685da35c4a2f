"""One consumer under torture, from the first message to the empty queue."""

from __future__ import annotations

import re
import time
from dataclasses import astuple

from halocline.testing.aws import FakeAWS
from tests.system.torture.effects import Outcome, make_table, outcome
from tests.system.torture.killer import Consumer, Killer, nursery
from tests.system.torture.load import Load, fill
from tests.system.torture.world import World

_LOOK_S = 0.05


def run(consumer: Consumer, world: World, load: Load, *, most_s: float = 3_600.0) -> Outcome:
    """What comes of the load. Handlers that still run when the queue is empty are waited for: they may have effects.

    Raises: AssertionError where the queue is not empty after `most_s`, or a worker ends by itself.
    """
    name = re.sub(r"[^a-z0-9]+", "-", consumer.name.lower())
    queue = fill(world.aws, name, load=load)
    with world.server.place(world.folder / name) as place:
        make_table(place.admin)
        wanted = {"queue": queue, "database": place.uri(), "redis": world.redis}
        wanted |= {"threads": load.threads, "visibility_s": load.visibility_s, "longest_s": load.longest_s}
        with nursery(consumer, wanted, env=world.aws.environment()) as made:
            killer, began = Killer(made, load), time.monotonic()
            with killer.at_work():
                _drained(world.aws, name, killer=killer, most_s=most_s)
            seconds = time.monotonic() - began
            time.sleep(load.longest_s)
        return outcome(place.admin, messages=load.messages, kills=killer.kills, seconds=seconds)


def _drained(aws: FakeAWS, name: str, *, killer: Killer, most_s: float) -> None:
    """Until no message is in the queue, handed out or not."""
    deadline = time.monotonic() + most_s
    while any(astuple(aws.counts(name))):
        killer.check()
        assert time.monotonic() < deadline, f"after {most_s:g} s the queue holds {aws.counts(name)}"
        time.sleep(_LOOK_S)
