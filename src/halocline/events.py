"""What happened, as frozen values, for watching: progress bars, logs, callbacks. For truth there is the ledger.

A sink may be called from several threads at once: parts are read side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from halocline.connector import Plan
from halocline.outcome import Counts
from halocline.push.destination import WritePlan


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run began to look at its source."""

    run: str
    flow: str
    object: str
    target: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The decision was made."""

    run: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A remote job was looked at; `records` is what it has processed so far."""

    job_id: str
    state: str
    records: int


@dataclass(frozen=True, slots=True)
class PartStaged:
    """A part is complete in the destination's staging; rows and bytes are that part's own."""

    run: str
    part: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ApiUsage:
    """Calls made over this connection so far, and the org's own count of the day where it says so. Told from any thread."""

    calls: int
    used: int | None = None
    allowed: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call is repeated after `after_s` seconds because of `reason`."""

    reason: str
    after_s: float


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something that a person should know and that stops nothing."""

    message: str


@dataclass(frozen=True, slots=True)
class RowsStaged:
    """Some rows of a push were looked at: they lie staged, or were refused, or need not be sent."""

    run: str
    rows: int


@dataclass(frozen=True, slots=True)
class PushPlanned:
    """All rows of a push lie staged, and it was decided how they will be sent."""

    run: str
    plan: WritePlan


@dataclass(frozen=True, slots=True)
class RowsTold:
    """It became known what became of some rows of a push, all now durable in the ledger: `written`, and those that were not."""

    run: str
    written: int
    others: int


@dataclass(frozen=True, slots=True)
class Committed:
    """Rows and position are visible in the destination."""

    run: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run ended well."""

    run: str
    counts: Counts
    rows_read: int
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The run ended without a commit, or with one whose aftermath failed, or half-way through a push; `durable_rows` are seen."""

    run: str
    error: str
    durable_rows: int


_OfRows = PartStaged | RowsStaged | PushPlanned | RowsTold
Event = RunStarted | Planned | JobProgress | _OfRows | ApiUsage | Waiting | Noticed | Committed | RunFinished | RunFailed
Sink = Callable[[Event], None]


def silent(event: Event) -> None:
    """The sink that watches nothing."""
