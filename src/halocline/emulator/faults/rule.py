"""A rule: what goes wrong, at which requests, how often."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from halocline.emulator.faults.target import Target
from halocline.emulator.wire import JSON_TYPE

Where = Literal["before", "during", "after"]
FOREVER = 0  # for `times`


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule. `action` is what happens (`actions.ACTIONS` says what each does and which of the last settings it reads).

    Which requests: `method`; `path`, a regular expression searched for in the path in any case of letters; `kind` as the call log
    names it (`record.*`, `bulk.results`); `object` that the request is about; `operation` (insert, update, upsert, delete, query,
    queryAll, ...). Which of those: from the `nth` on (counted from 1), `every` so-and-so-many, each with `probability` by dice
    that `seed` makes the same each time, until it has struck `times` times - without `times` once, and without end for rules
    with `every` or `probability`. `where` is the moment: before the work, in the middle of the answer, or after the work.
    """

    action: str
    path: str = ""
    method: str | None = None
    kind: str | None = None
    object: str | None = None
    operation: str | None = None
    nth: int = 1
    times: int | None = None
    every: int | None = None
    probability: float | None = None
    seed: int = 0
    where: Where | None = None
    status: int = 500
    body: str = ""
    content_type: str | None = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    after_bytes: int | None = None
    bytes_per_s: int = 1_000
    rows: int | None = None
    header: str = ""
    message: str = ""
    after_batches: int = 0
    id: str = ""

    def fits(self, method: str, path: str, *, target: Target) -> bool:
        """Whether a request is one of those that this rule counts, if its action can strike it at all."""
        return (
            self.method in (None, method)
            and re.search(self.path, path, re.IGNORECASE) is not None
            and (self.kind is None or fnmatchcase(target.kind, self.kind))
            and (self.object is None or self.object.lower() in target.objects)
            and (self.operation is None or self.operation.lower() == target.operation.lower())
        )

    @property
    def most_strikes(self) -> int:
        """How often it strikes; `FOREVER` without end."""
        if self.times is not None:
            return self.times
        return 1 if self.every is None and self.probability is None else FOREVER

    def is_due(self, seen: int) -> bool:
        """Whether its `seen`-th request is one at which it may strike."""
        return seen >= self.nth and (seen - self.nth) % (self.every or 1) == 0
