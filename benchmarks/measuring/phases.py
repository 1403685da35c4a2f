"""Phases: send, receive, delete - what contenders of a queue do when they are told to, and what each took.

Nothing but the standard library is loaded here: peers run it in environments of their own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

PHASES = ("send", "receive", "delete")
WARMING = 3  # messages that go all the way before the clocks start, so that nobody pays for what is loaded at the first call
_NOTE = (
    "Came by on a rainy day, asked for the usual prescription and left a note for the nurse on duty; "
    "she is to call back before the end of the month. "
)


def fields(number: int) -> dict[str, Any]:
    """A message of about 490 bytes as JSON; `number` tells it from the others."""
    return {
        "number": number,
        "first_name": "Zoë",
        "last_name": f"Doe-{number}",
        "age": 20 + number % 60,
        "email": f"patient.{number}@example.com",
        "street": f"Mill Lane {number % 97}",
        "city": ("Zürich", "Seattle", "Αθήνα")[number % 3],
        "is_insured": number % 2 == 0,
        "balance": number % 1000 + 0.25,
        "visits": [number % 28 + 1, number % 12 + 1, 2026],
        "notes": _NOTE * 2,
    }


class Told:
    """How many messages a phase was done with, and the sum of their numbers, where it knows them."""

    def __init__(self, done: int, total: int) -> None:
        self.done = done
        self.total = total


def serve(steps: dict[str, Callable[[], Told]]) -> None:
    """Say that all is ready; then do the phases whose names are read, and tell wall clock and CPU of each."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        began, cpu = time.perf_counter(), time.process_time()
        told = steps[line.strip()]()
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        print(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s, "done": told.done, "sum": told.total}), flush=True)
