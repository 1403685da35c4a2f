"""Claiming: keys that nobody has claimed before, and what it took a contender to claim them.

Nothing but the standard library is loaded here: peers run it in environments of their own.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable

BATCH = 10
WARMING = 50  # keys before the clocks start


def serve(claim: Callable[[list[str]], int], records: int) -> None:
    """Have fresh keys claimed, and tell wall clock, CPU, and how many claims succeeded."""
    claim(_keys(WARMING))
    keys = _keys(records)
    began, cpu = time.perf_counter(), time.process_time()
    done = claim(keys)
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    print(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s, "done": done}), flush=True)


def _keys(count: int) -> list[str]:
    """As they are for messages: the queue's name and a UUID."""
    return [f"messages/{uuid.uuid4()}" for _ in range(count)]
