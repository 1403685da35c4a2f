"""Backoff: how long a message that failed is hidden before it is handed out again."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from halocline.consume.ranges import Range, refuse_wrong

MOST_S = 43_200
"""The longest that a message can be hidden from when it was handed out. Source: "Amazon SQS visibility
timeout", read November 2026, https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html"""

_RANGES = (
    Range("first_s", float, 0, MOST_S),
    Range("factor", float, 1, 1_000),
    Range("most_s", float, 0, MOST_S),
    Range("jitter", float, 0, 1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """`first_s` after the first failure, `factor` times as long after each further one, `most_s` at most.

    `jitter` is the share of the wait that is left to chance: 1 spreads messages that failed together best, 0 makes tests plain.
    """

    first_s: float = 5.0
    factor: float = 2.0
    most_s: float = 900.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        refuse_wrong(self, _RANGES, doing="Setting up the waits of a worker")

    def seconds(self, failures: int, *, chance: float) -> int:
        """Whole seconds to hide a message that failed for the `failures`-th time; `chance` is drawn evenly from [0, 1)."""
        ceiling = min(self.most_s, self.first_s * self.factor ** min(max(failures, 1) - 1, 60), MOST_S)
        return ceil(ceiling * (1.0 - self.jitter * chance))
