"""Invalid: a message of a queue of one type that is not of that type."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Invalid:
    """A message whose body is not what was expected: `body` as it came, `error` says why. `message_id` and `receives` (how often
    it was handed out) are the queue's.
    """

    body: str
    error: str
    message_id: str = ""
    receives: int = 1
