"""Ledger: the durable memory of runs, intents, rejections and leases, as contracts. Positions are in the destinations.

A run's states, until it is pruned:

    start ──> running ──finish──> done ──acked──> done, acknowledged        (done stays done)
                 │   └──finish──> failed
                 └──abandon*──> abandoned ──finish──> done | failed       (it lived after all: its own word counts)

What a method has returned from is durable. Every method may be called from any thread, and by several processes at once
where the ledger is a file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol, Self

from halocline.batch import JSON
from halocline.connector import Journal, Lease
from halocline.errors import LeaseHeld, LeaseLost, NotFound, QuotaExhausted, StorageFailed
from halocline.ledger.process import Process
from halocline.ledger.retention import Pruned
from halocline.outcome import Counts, Fate, Outcome, Rejection, RunRecord
from halocline.quantity import quantity

_SKEW_S = 5.0  # by which a sign of life may be dated ahead before two clocks are said to differ

Clock = Callable[[], datetime]
"""Gives the present instant, aware and in UTC."""

Ending = Literal["done", "failed"]


class Runs(Protocol):
    """What ran, and how it ended."""

    def start(
        self,
        flow: str,
        *,
        run: str,
        plan: Mapping[str, JSON] | None = None,
        pid: int,
        host: str,
        lease: Lease | None = None,
    ) -> None:
        """Book a run as running in process `pid` of `host`; `lease` is given where this ledger's lease guards the flow.

        Raises: ValueError when the run was started before.
        """

    def note(self, run: str, *, plan: Mapping[str, JSON], lease: Lease | None = None) -> None:
        """Book the plan of a run; a later plan takes its place. With a lease, only while that lease is the newest.

        Raises: NotFound for an unknown run; LeaseLost when a newer claim fenced the lease off; the plan is then as it was.
        """

    def finish(
        self,
        run: str,
        *,
        state: Ending,
        method: str | None = None,
        rows_read: int = 0,
        counts: Counts | None = None,
        api_calls: int = 0,
        receipts: Sequence[JSON] = (),
        error: str | None = None,
    ) -> None:
        """Book how a run ended. The first `done` stands: what is finished after it changes nothing.

        Raises: NotFound for an unknown run.
        """

    def get(self, run: str) -> RunRecord:
        """One run.

        Raises: NotFound for an unknown run.
        """

    def runs(self, flow: str | None = None, *, limit: int = 50) -> list[RunRecord]:
        """The runs of a flow, or of all, newest first."""


class Aftermath(Protocol):
    """What earlier runs left to be done; looked at before a run starts.

    `right` is the name of their lease, so that whoever may run sees what those left who might: of a flow into several places
    each place has its own. Runs that started without a lease have the flow's name.
    """

    def abandon_dead(self, right: str) -> list[str]:
        """Book as abandoned the runs that can no longer end by themselves; name the ended runs whose intents are open.

        A running run is dead when its process, of this host, boot and container, is gone, or when the lease it started with has
        run out, was released or was claimed anew. One from elsewhere that started without a lease is never judged dead. The lease
        of an abandoned run is free at once. Named, oldest first: the runs abandoned now, and every ended run with an open
        intent, again and again until its journal is settled; so dying while recovering loses nothing.
        """

    def abandon(self, run: str, *, error: str) -> None:
        """Book a running run as abandoned, for whoever knows by other means that it is dead; its lease is free at once.

        A run that has ended stays as it is.

        Raises: NotFound for an unknown run.
        """

    def running(self, flow: str | None = None) -> Mapping[str, Process]:
        """The runs of a flow, or of all, that are booked as running, oldest first, with the process that each was started in."""

    def dead(self) -> Mapping[str, str]:
        """The runs of all flows that `abandon_dead` would book as abandoned, each with the reason; nothing is booked."""

    def acked(self, run: str) -> None:
        """Book that the source has let go of the receipts of a run. Idempotent.

        Raises: NotFound for an unknown run.
        """

    def unacked(self, right: str) -> list[tuple[str, list[JSON]]]:
        """The runs that are done but whose receipts the source still holds, oldest first: (run, receipts)."""

    def journal(self, run: str) -> Journal:
        """The intents of a run, running or dead. Its methods raise ValueError for a chunk that was never intended.

        Intending an open chunk again keeps its remote job; intending a settled one opens it anew. `settle` also records
        the outcome, as `Outcomes.record` does.

        Raises: NotFound for an unknown run.
        """


class Outcomes(Protocol):
    """What became of records, one by one, where they were not simply written."""

    def record(self, run: str, outcome: Outcome) -> None:
        """Book the rejections and doubts of a chunk; the latest record of a chunk takes the place of earlier ones.

        Values in a rejected record that JSON does not know are kept as text.

        Raises: NotFound for an unknown run.
        """

    def rejections(self, run: str, *, limit: int = 1000, offset: int = 0) -> list[Rejection]:
        """The rejections of a run, in the order in which they were recorded."""

    def each_rejection(self, run: str) -> Iterator[Rejection]:
        """All rejections of a run in the same order, in flat memory; the ledger may be used between two of them."""

    def in_doubt(self, run: str) -> list[tuple[str, int]]:
        """The rows of a run whose fate cannot be known: (chunk, row), in the order in which they were recorded."""

    def each_doubt(self, run: str) -> Iterator[Rejection]:
        """The same rows in the same order with what `Outcome.doubts` told of them, in flat memory. One of which nothing was told
        has its chunk for its part, the code IN_DOUBT, no message and no record.
        """


class Leases(Protocol):
    """The right to run a flow. Fences only grow, also over releases and restarts."""

    def claim(self, flow: str, owner: str, *, ttl_s: float, process: Process | None = None) -> Lease:
        """Take the lease of a flow for `ttl_s` seconds; an owner who holds it already gets a new fence.

        `process` carries the owner's work (None: the one that calls). A lease whose process has ended on this host is free.
        Raises: LeaseHeld while another owner holds it: `after_s` says for how long if it shows no sign of life, `facts` has
        its `owner`, `since` and `silent_s`.
        """

    def renew(self, lease: Lease) -> None:
        """Hold a lease for its `ttl_s` from now on; also one that ran out, if nobody claimed it since.

        Raises: LeaseLost when it was released or a newer claim fenced it off.
        """

    def release(self, lease: Lease) -> None:
        """Give a lease back. Idempotent, and without effect on a newer one."""


class Usages(Protocol):
    """How many calls were made to each org on each day of UTC, by all who share this ledger."""

    def spend(self, org: str, calls: int, *, most: int | None = None, doing: str = "") -> int:
        """Add `calls` to those of today, and return their sum; `doing` opens the error's message.

        Raises: QuotaExhausted when the sum would be more than `most`; then nothing is added.
        """

    def spent(self, org: str) -> int:
        """The calls of today."""


class Retention(Protocol):
    """What is forgotten."""

    def prune(
        self, *, older_than_s: float, keep_failed: bool = False, dry_run: bool = False, every_s: float = 0.0
    ) -> Pruned | None:
        """Forget runs that ended longer ago than that, with their plans and refused rows, and make the file smaller.

        What stays all the same says `halocline.ledger.retention`; `keep_failed` keeps all that did not end well. `dry_run` only
        says what would go. With `every_s` nothing is done, and None returned, where this was done less than so many seconds ago.
        """


class Ledger(Runs, Aftermath, Outcomes, Leases, Usages, Retention, Protocol):
    """The whole memory; a context manager that closes itself."""

    def close(self) -> None:
        """Let go of the file or connection. Idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *raised: object) -> None: ...


def utc_now() -> datetime:
    """The present instant by this host's clock."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """An instant as ISO 8601 in UTC, always with microseconds, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def seconds_left(until: str, now: datetime) -> float:
    """Seconds from `now` to the instant written by `stamp`; negative once it has passed."""
    return (datetime.fromisoformat(until) - now).total_seconds()


def unknown_run(run: str) -> NotFound:
    """The error for a run that the ledger does not know."""
    return NotFound("Looking up a run", f"the ledger knows no run {run!r}", hint="`halocline runs` lists them.", run=run)


def held(flow: str, owner: str, *, now: datetime, until: str, since: str | None, seen: str | None) -> LeaseHeld:
    """The error for a lease that another owner holds; ledgers of older versions do not know `since` and `seen`."""
    left_s, ahead_s = seconds_left(until, now), 0.0 if seen is None else seconds_left(seen, now)
    silent_s = max(-ahead_s, 0.0)
    sign = f"is dated {ahead_s:.0f} s ahead of this clock" if ahead_s >= _SKEW_S else f"was {silent_s:.0f} s ago"
    told = "" if since is None else f" since {since[:19]}Z, its last sign of life {sign}"
    wait = "Wait for that run to end (`halocline sync` does, by --wait SECONDS)"
    hint = f"{wait}; without a sign of life of it the lease is free in {left_s:.0f} s."
    if ahead_s >= _SKEW_S:
        hint += " Where the clocks of its host and of this one differ, set them right: leases in a file go by them."
    doing, cause = f"Claiming the lease of {flow}", f"{owner} holds it{told}"
    return LeaseHeld(doing, cause, after_s=left_s, hint=hint, owner=owner, since=since, silent_s=silent_s)


def lost(lease: Lease, *, newest: tuple[int, str | None] | None) -> LeaseLost:
    """The error for a lease that was released or is not the newest of its flow, whose fence and owner are `newest`."""
    doing, (fence, owner) = f"Using the lease of {lease.flow}", newest or (lease.fence, None)
    if fence == lease.fence:
        return LeaseLost(doing, f"the lease {lease.fence} was released", fence=lease.fence, owner=None)
    hint = "This one had given no sign of life for longer than its lease; it publishes nothing any more."
    return LeaseLost(doing, f"a newer run ({owner}) took it over", hint=hint, fence=lease.fence, owner=owner)


def overspent(org: str, *, used: int, most: int, now: datetime, doing: str = "") -> QuotaExhausted:
    """The error for calls that would go beyond the budget of the day; no waiting inside of a run is meant to outlast it."""
    resets = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    cause = f"{used:,} of the budget of {quantity(most, 'call')} a day to {org} {'is' if used == 1 else 'are'} used"
    hint = f"It begins anew at {resets:%Y-%m-%dT%H:%M}Z; then, or with a larger --api-budget (HALOCLINE_API_BUDGET), it goes on."
    return QuotaExhausted(
        doing or f"Calling {org}",
        cause,
        hint=hint,
        after_s=(resets - now).total_seconds(),
        org=org,
        used=used,
        budget=most,
        resets=resets.isoformat(),
        permanent=True,
        in_doubt=False,
    )


def printable(text: str) -> str:
    """The text with what UTF-8 (lone surrogates of a damaged answer) or a database (NUL) cannot carry spelt as escapes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


PAGE = 1_000
"""How many rejections are read at a time where all are wanted."""


def rejection_json(rejection: Rejection) -> str:
    """A rejection as JSON text; keys and values that JSON does not know become text."""
    values = {name: getattr(rejection, name) for name in rejection.__slots__}
    record = None if rejection.record is None else {str(key): value for key, value in rejection.record.items()}
    try:
        return json.dumps({**values, "record": record}, default=str)
    except (TypeError, ValueError):  # keys below the top, or a value that holds itself: one odd row must not stop the books
        odd = None if record is None else {key: repr(value) for key, value in record.items()}
        return json.dumps({**values, "record": odd}, default=str)


def rejection_from(text: str) -> Rejection:
    """The rejection that `rejection_json` wrote.

    Raises: StorageFailed for one that is damaged.
    """
    with legible("a row that was refused"):
        values = json.loads(text)
        fate = Fate(values.get("fate", Fate.REFUSED))  # ledgers written before pushes existed do not say
        return Rejection(**{**values, "fields": tuple(values["fields"]), "fate": fate})


def doubt_bodies(outcome: Outcome) -> Iterator[tuple[int, str | None]]:
    """The number of each row in doubt, with what is known of it as `rejection_json` writes it; None where nothing is."""
    known = {one.row: one for one in outcome.doubts}
    for row in outcome.in_doubt:
        yield row, rejection_json(known[row]) if row in known else None


def doubt_from(body: str | None, *, chunk: str, row: int) -> Rejection:
    """The row in doubt that `doubt_bodies` wrote; ledgers of older versions kept nothing but its number.

    Raises: StorageFailed for one that is damaged.
    """
    return Rejection(chunk, row, "IN_DOUBT", "", fate=Fate.IN_DOUBT) if body is None else rejection_from(body)


@contextmanager
def legible(what: str) -> Iterator[None]:
    """Turn a text of a ledger that is not as it was written into StorageFailed: its database keeps no checksums, disks err."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        hint = "Restore it from a copy, or move it away: a new one is made. Positions that a destination holds are not lost."
        raise StorageFailed("Reading the ledger", f"{what} is damaged ({error})", hint=hint) from error
