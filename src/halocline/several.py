"""Several objects in one run: side by side, one login, one ledger and one budget; one that fails stops no other.

in_order   work on each, some at a time, results in the order they were asked for; an interrupt ends all of it
company    what they share
relations  which of them refer to which
Columns    which columns are meant of which
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from halocline.batch import JSON, Position
from halocline.budget import Budget, Spend
from halocline.connector import (
    Abilities,
    Destination,
    Journal,
    Lease,
    Load,
    Manifest,
    Plan,
    Survey,
    Target,
    Unit,
    emptied,
    lacking,
)
from halocline.errors import FixConfig
from halocline.halt import Halt
from halocline.ledger import Ledger, open_ledger
from halocline.outcome import Counts, Outcome
from halocline.schema import Schema

if TYPE_CHECKING:
    import pyarrow as pa

    from halocline.config import Settings
    from halocline.run import Run
    from halocline.sync import SobjectSync

PARALLEL = 4  # objects at a time; each may have four result pages on their way, and an org serves 25 long calls at once
_SHOWN = 5  # names in a line for people; programs get all of them
_LOOK_S = 0.25  # seconds between two looks at whether waiting for a turn makes sense still
T = TypeVar("T")
J = TypeVar("J")


@dataclass(frozen=True, slots=True)
class Ended:
    """One object of several, done or failed."""

    job: SobjectSync
    run: Run
    error: Exception | None = None

    @property
    def survey(self) -> Survey | None:
        """What the source said of it; None where it was not asked."""
        return self.run.survey


@dataclass(frozen=True, slots=True)
class Looked:
    """One object of several, looked at or not."""

    job: SobjectSync
    survey: Survey | None = None
    plan: Plan | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Company:
    """What runs beside each other share. `halt` ends all of them; `turn` is held while a destination of one writer is written."""

    ledger: Ledger | None = None
    spend: Spend | None = None
    halt: Halt | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def books(self) -> Ledger:
        """The ledger; who only looks has none."""
        if self.ledger is None:
            raise ValueError("nothing is booked while looking")
        return self.ledger

    def served(self, destination: Destination) -> Destination:
        """The destination, taking turns with the others' where it must."""
        if self.halt is None or not destination.abilities.one_writer:
            return destination
        return _TakingTurns(destination, self)

    @contextmanager
    def in_turn(self, doing: str) -> Iterator[None]:
        """Alone, as far as this company goes.

        Raises: Stop when all is to end.
        """
        while not self.turn.acquire(timeout=_LOOK_S):
            if self.halt is not None:
                self.halt.check(doing)
        try:
            yield
        finally:
            self.turn.release()


@contextmanager
def company(ledger: Ledger | None, settings: Settings, *, halt: Halt | None = None, looking: bool = False) -> Iterator[Company]:
    """Ledger (the one given, or the settings' own) and budget while the block lasts; `looking` opens none without a budget."""
    with ExitStack() as stack:
        if looking and settings.api_budget is None:
            yield Company(halt=halt)
            return
        books = ledger or stack.enter_context(open_ledger(settings.ledger, keep_s=settings.keep_s))
        budget = stack.enter_context(Budget(books, settings.api_budget))
        yield Company(books, budget.spend, halt)


def check_parallel(parallel: object) -> None:
    """Raises: FixConfig for fewer than one at a time, and for what is no whole number."""
    if isinstance(parallel, bool) or not isinstance(parallel, int) or parallel < 1:
        raise FixConfig("Reading the options", f"parallel={parallel!r} lets nothing run", hint="Give a whole number from 1 up.")


def in_order(work: Callable[[J], T], jobs: Sequence[J], *, parallel: int, halt: Halt) -> Iterator[T]:
    """What `work` returns for each job, in the jobs' order, up to `parallel` of them at a time.

    Whatever ends the caller's loop early - an interrupt, too - calls a halt, drops what has not begun and waits for the rest.
    Raises: FixConfig as `check_parallel`; the first error that `work` raises.
    """
    check_parallel(parallel)
    if parallel == 1 or len(jobs) < 2:
        yield from map(work, jobs)
        return
    executor = ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="halocline-object")
    try:
        for future in [executor.submit(work, job) for job in jobs]:
            yield future.result()
    except BaseException:
        halt.call()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def relations(survey: Survey | None, among: Collection[str]) -> dict[str, dict[str, list[str]]]:
    """The objects that a surveyed one refers to, with the columns that do: those `among` the run's (`refers_to`), and others."""
    run = {name.lower(): name for name in among}
    found: dict[str, dict[str, list[str]]] = {"refers_to": {}, "not_in_run": {}}
    for reference in survey.references if survey else ():
        for name in reference.objects:
            where = "refers_to" if name.lower() in run else "not_in_run"
            found[where].setdefault(run.get(name.lower(), name), []).append(reference.column)
    return {where: dict(sorted(objects.items())) for where, objects in found.items()}


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of several objects are carried, left out, renamed and masked; `Account.Email` means one object's only.

    `paths`: a query says which columns there are, and a point in a name leads to a parent.
    """

    fields: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    mask: Mapping[str, str] = field(default_factory=dict)
    paths: bool = False

    def check(self, objects: Sequence[str]) -> None:
        """Every column with an object is of one of these: a mask of another would hide nothing. None is chosen and left out
        at once.

        Raises: FixConfig.
        """
        known = {name.lower() for name in objects}
        for column in (*(self.fields or ()), *self.exclude, *self.rename, *self.mask):
            owner, dot, _ = column.partition(".")
            if dot and not self.paths and owner.lower() not in known:
                cause = f"{column} names a column of {owner}, which is not among the objects ({listed(objects)})"
                raise FixConfig("Reading the columns", cause, hint="Write OBJECT.COLUMN, or a column alone for all of them.")
        idle = [field for field in self.fields or () if self._is_idle(field, objects)]
        if idle:
            are = "is" if len(idle) == 1 else "are"
            cause = f"{listed(idle)} {are} to be carried (fields) and to be left out (exclude)"
            raise FixConfig("Reading the columns", cause, hint="Name each column in one of them.")

    def of(self, sobject: str) -> dict[str, Any]:
        """What they say of that object, as fields of `SobjectSync`."""
        fields = None if self.fields is None else self._meant(sobject, self.fields)
        return {
            "fields": fields if fields or not self.fields else None,
            "exclude": self._meant(sobject, self.exclude),
            "rename": {meant: new for old, new in self.rename.items() for meant in self._meant(sobject, [old])},
            "mask": {meant: mask for old, mask in self.mask.items() for meant in self._meant(sobject, [old])},
        }

    def _is_idle(self, field: str, objects: Sequence[str]) -> bool:
        """Whether a chosen column is left out of every object of which it is meant."""
        meant = [(name.lower(), one) for one in objects for name in self._meant(one, [field])]
        return bool(meant) and all(
            name in {other.lower() for other in self._meant(sobject, self.exclude)} for name, sobject in meant
        )

    def _meant(self, sobject: str, columns: Sequence[str]) -> list[str]:
        if self.paths:
            return list(columns)
        found = []
        for column in columns:
            owner, dot, name = column.partition(".")
            if not dot or owner.lower() == sobject.lower():
                found.append(name if dot else column)
        return found


def listed(names: Sequence[str]) -> str:
    """Names in one line for people: the first ones, and how many there are beside them."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")


class _TakingTurns:
    """A destination whose claims and commits wait for those of the company. Implements `connector.Destination`."""

    def __init__(self, inner: Destination, shared: Company) -> None:
        self._inner = inner
        self._shared = shared

    @property
    def abilities(self) -> Abilities:
        return self._inner.abilities

    def claim(self, flow: str, owner: str) -> Lease:
        with self._shared.in_turn(f"Claiming the flow {flow}"):
            return self._inner.claim(flow, owner)

    def position(self, flow: str, target: Target) -> Position | None:
        return self._inner.position(flow, target)

    def lacks(self, target: Target, schema: Schema) -> tuple[str, ...]:
        return lacking(self._inner, target, schema=schema)

    def emptied(self, flow: str, target: Target) -> Position | None:
        return emptied(self._inner, flow, target=target)

    def flows(self, target: Target) -> Sequence[str]:
        return self._inner.flows(target)

    def columns(self, target: Target) -> Schema | None:
        return self._inner.columns(target)

    def rows(self, target: Target, plan: Plan, *, keys: Sequence[JSON] | None = None) -> Iterator[pa.RecordBatch]:
        return self._inner.rows(target, plan, keys=keys)

    def recover(self, journal: Journal) -> Iterator[Outcome]:
        return self._inner.recover(journal)

    def begin(self, lease: Lease) -> Unit:
        return _TakingTurnsUnit(self._inner.begin(lease), self._shared)

    def attach(self, ticket: JSON) -> Load:
        return self._inner.attach(ticket)

    def close(self) -> None:
        self._inner.close()


class _TakingTurnsUnit:
    """A unit whose commit waits for its turn."""

    def __init__(self, inner: Unit, shared: Company) -> None:
        self._inner = inner
        self._shared = shared

    def open(self, target: Target, plan: Plan, journal: Journal) -> Load:
        return self._inner.open(target, plan, journal)

    def commit(self, positions: Mapping[str, Position], manifests: Sequence[Manifest]) -> Counts:
        with self._shared.in_turn("Publishing"):
            return self._inner.commit(positions, manifests)

    def counts_of(self, target: Target) -> Counts:
        return self._inner.counts_of(target)

    def close(self) -> None:
        self._inner.close()
