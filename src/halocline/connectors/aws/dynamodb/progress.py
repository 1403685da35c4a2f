"""Progress: a scan in a run's journal, so that the run after one that was killed goes on with its pages.

    intend -> [pages on the shelf] -> all parts given out -> commit -> ack: the shelf is cleared
         [the run dies] -> look: the same question, not too long ago, pages there? -> its hand-over and position are this run's
                           no -> its shelf is cleared

Why the pages of the dead run may be published: a scan that stood still is a scan that took longer, and promises the same; the
marks of the stream are those from before its first page.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from halocline.batch import JSON, Position
from halocline.connector import Plan, Unfinished
from halocline.connectors.aws.dynamodb.hand_over import HandOver
from halocline.connectors.aws.dynamodb.scan import Asked
from halocline.noted import Noted
from halocline.quantity import quantity
from halocline.spool import Spool

CHUNK = "scan"
GIVEN = "given out"
"""The name of the work at the other side once all its parts were given out: from then on its rows may be in the table."""
PATIENCE_S = 12 * 3_600.0  # pages older than that are not gone on with


@dataclass(frozen=True, slots=True)
class Begun(Noted):
    """A scan as it is begun: its name, what it asks, when (seconds since 1970), whether all was forced to be read anew."""

    scan: str
    asked: JSON
    at: float
    forced: bool
    hand_over: JSON = None


@dataclass(frozen=True, slots=True)
class Found:
    """A scan that an earlier run left. `against` says why it is not gone on with ("": it is)."""

    work: Unfinished
    begun: Begun | None
    against: str = ""
    asked: Asked | None = None


def look(
    work: Unfinished, asked: Asked, *, plan: Plan, since: Position | None, now: float, streamed: bool, segmented: bool
) -> Found:
    """What is left of some work, and whether it answers what is asked; in other segments too, unless these are `segmented` so."""
    begun = Begun.read(work.detail)
    then = None if begun is None else Asked.read(begun.asked)
    if begun is None or then is None:
        return Found(work, None, "another version of Halocline began it")
    now_asked = asked if segmented else replace(asked, segments=then.segments)
    checks = (
        (not (work.plan is None and work.remote == GIVEN), "its rows are in the table already"),
        ((since or {}).get("scan") != begun.scan, "its rows are in the table already"),
        (then == now_asked, "it asked for something else"),
        (begun.forced or not plan.allow_replace, "a full read is forced, and the scan is from before that"),
        (now - begun.at < PATIENCE_S, f"it began {quantity(round((now - begun.at) / 3_600), 'hour')} ago"),
        (not streamed or HandOver.read(begun.hand_over) is not None, "it began without the stream"),
    )
    return Found(work, begun, next((told for good, told in checks if not good), ""), then)


def folder(spool: Spool, scan: str) -> Spool:
    """Where the pages of a scan are."""
    return spool.beside(f"dynamodb-{scan}")


def has_pages(place: Spool) -> bool:
    """Whether something is there to go on with."""
    return any(place.path.glob("*.log"))


def gone_on(plan: Plan, found: Found, *, pages: int) -> Plan:
    """The plan that goes on with what was found."""
    told = f"The scan of run {found.work.run} is gone on with: {quantity(pages, 'page is')} on this disk."
    return replace(plan, continues=found.work.run, reasons=(told, *plan.reasons))


def pages_in(place: Spool) -> int:
    """How many pages are there."""
    return sum(path.read_bytes().count(b"\n") for path in place.path.glob("*.log"))
