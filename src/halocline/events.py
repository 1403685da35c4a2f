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
    """The run's id, by which the ledger knows it; the same in every event of a run."""
    flow: str
    """The flow's name."""
    object: str
    """What is read: the object, table, file or query."""
    target: str
    """What is written, by the name that the destination gives it."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The decision was made."""

    run: str
    plan: Plan
    """Method, query, window and parts, with the reasons."""


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A remote job was looked at."""

    job_id: str
    """The other side's own id."""
    state: str
    """In the other side's words: `InProgress`, `JobComplete`, ..."""
    records: int
    """Records that it has processed so far."""


@dataclass(frozen=True, slots=True)
class PartStaged:
    """A part is complete in the destination's staging; rows and bytes are that part's own."""

    run: str
    part: str
    """The part's name, unique in its run."""
    rows: int
    """Rows of this part, deleted ones among them."""
    bytes: int
    """Bytes that were staged for it."""


@dataclass(frozen=True, slots=True)
class ApiUsage:
    """Calls made over this connection so far, and the org's own count of the day where it says so. Told from any thread."""

    calls: int
    """Calls since the connection was made."""
    used: int | None = None
    """Calls that the org counts for the last 24 hours, everybody's; None where it does not say."""
    allowed: int | None = None
    """Calls that the org allows in 24 hours; None likewise."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call failed, and will be repeated."""

    reason: str
    """What came back."""
    after_s: float
    """Seconds until the next try."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something that a person should know and that stops nothing."""

    message: str
    """A sentence, without secrets."""


@dataclass(frozen=True, slots=True)
class RowsStaged:
    """Some rows of a push were looked at: they lie staged, or were refused, or need not be sent."""

    run: str
    rows: int
    """Rows since the last event of this kind."""


@dataclass(frozen=True, slots=True)
class PushPlanned:
    """All rows of a push lie staged, and it was decided how they will be sent."""

    run: str
    plan: WritePlan
    """API, chunks, calls and order, with the reasons."""


@dataclass(frozen=True, slots=True)
class RowsTold:
    """It became known what became of some rows of a push, all now durable in the ledger."""

    run: str
    written: int
    """Rows that are written, since the last event of this kind."""
    others: int
    """Rows that were refused, are in doubt or were not sent, likewise."""


@dataclass(frozen=True, slots=True)
class Committed:
    """Rows and position are visible in the destination."""

    run: str
    counts: Counts
    """Rows inserted, updated, deleted, unchanged, ... by this commit."""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run ended well."""

    run: str
    counts: Counts
    """Rows by what became of them."""
    rows_read: int
    """Rows of the source."""
    elapsed_s: float
    """Seconds since the run began."""


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The run ended without a commit, or with one whose aftermath failed, or half-way through a push."""

    run: str
    error: str
    """The error's text."""
    durable_rows: int
    """Rows that a reader of the destination sees all the same."""


_OfRows = PartStaged | RowsStaged | PushPlanned | RowsTold
Event = RunStarted | Planned | JobProgress | _OfRows | ApiUsage | Waiting | Noticed | Committed | RunFinished | RunFailed
Sink = Callable[[Event], None]


def silent(event: Event) -> None:
    """The sink that watches nothing."""
