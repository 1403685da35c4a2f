"""Open transactions: what they have written is there for themselves, seen by nobody else, and made to stay by the commit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from halocline.emulator.database import Write
from halocline.emulator.keys import folded

if TYPE_CHECKING:
    from halocline.emulator.clock import Clock
    from halocline.emulator.database import Database
    from halocline.emulator.objects import Field, SObject

Held: TypeAlias = Mapping[tuple[str, str, object], str]  # object, unique field and value, and the record that will have it


@dataclass(frozen=True, slots=True)
class _Noted:
    """One write, which can be made again, and the unique values that it takes."""

    write: Write
    takes: Held


@dataclass(slots=True)
class _Open:
    begun: datetime
    writes: list[_Noted] = field(default_factory=list)
    held: Held = field(default_factory=dict)  # by all of `writes`


class Transactions:
    """The open transactions of one database. A transaction's writes are stamped when they are made and seen after its commit.

    Inside a transaction its writes are made, and undone again when its thread leaves it; the commit makes them for good. So it
    sees what it wrote, and what a block undoes in it (`Database.together`) is no part of it.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._open: dict[str, _Open] = {}
        self._serials = itertools.count(1)
        self._at_work: _Open | None = None  # changes under the database's lock

    def begin(self) -> str:
        """Open one and return its name."""
        with self._database.lock:
            name = f"transaction-{next(self._serials)}"
            self._open[name] = _Open(self._clock.now())
            return name

    def __contains__(self, name: str) -> bool:
        return name in self._open

    def __bool__(self) -> bool:
        """Whether any is open."""
        return bool(self._open)

    @contextmanager
    def inside(self, name: str, *, undone: Callable[[], object] = lambda: None) -> Iterator[None]:
        """What this thread reads and writes until the block ends is part of that transaction; `undone` is told when it left.

        Serials that it took stay taken: nobody else gets an id that it has told.
        Raises: KeyError for a transaction that is not open.
        """
        with self._database.lock:
            if self._at_work is not None:
                yield
                return
            self._at_work = opened = self._open[name]
            try:
                with self._played(opened, undone):
                    yield
            finally:
                self._at_work = None

    @property
    def is_at_work(self) -> bool:
        """Whether what this thread writes is part of a transaction. Asked, as `note` is told, under the database's lock."""
        return self._at_work is not None

    def note(self, write: Write, takes: Held) -> None:
        """Remember a write that was just made, and the unique values that it takes."""
        if self._at_work is not None:
            self._at_work.writes.append(_Noted(write, takes))
            self._database.on_undo(self._at_work.writes.pop)

    def commit(self, name: str) -> None:
        """Make a transaction's writes visible, all or none. A write on a record that was purged meanwhile has no effect.

        Raises: KeyError for a transaction that is not open.
        """
        with self._database.lock:
            opened = self._open[name]
            self._database.apply([_unless_gone(one.write) for one in opened.writes])
            del self._open[name]

    def rollback(self, name: str) -> None:
        """Forget a transaction's writes. Raises: KeyError for a transaction that is not open."""
        with self._database.lock:
            del self._open[name]

    def clear(self) -> None:
        """Roll every transaction back."""
        with self._database.lock:
            self._open.clear()

    def oldest(self) -> datetime | None:
        """When the oldest open transaction began."""
        with self._database.lock:
            return min((one.begun for one in self._open.values()), default=None)

    def holder(self, sobject: SObject, field: Field, *, value: object) -> str | None:
        """The record, new or not, to which another open transaction gives this value of a unique field; None if none does.

        Source: salesforce.stackexchange.com/questions/197382: while the first of two upserts is under way, the second finds no
        record with its key, and is refused with DUPLICATE_VALUE.
        """
        if not self._open:
            return None
        key = (sobject.name, field.name, folded(field, value))
        with self._database.lock:
            others = (one.held for one in self._open.values() if one is not self._at_work)
            return next((held[key] for held in others if key in held), None)

    @contextmanager
    def _played(self, opened: _Open, undone: Callable[[], object]) -> Iterator[None]:
        known, serials = len(opened.writes), []
        try:
            with self._database.rehearsed():
                for one in opened.writes[:known]:
                    _unless_gone(one.write)()
                try:
                    yield
                finally:
                    serials = self._database.writer.execute("SELECT Name, Next FROM _serials").fetchall()
        finally:
            undone()
            if len(opened.writes) > known:
                opened.held = {key: record_id for one in opened.writes for key, record_id in one.takes.items()}
                self._keep(serials)

    def _keep(self, serials: list[tuple[str, int]]) -> None:
        sql = "INSERT INTO _serials VALUES (?1, ?2) ON CONFLICT (Name) DO UPDATE SET Next = MAX(Next, ?2)"
        self._database.apply([lambda: self._database.writer.executemany(sql, serials)])


def taken(sobject: SObject, unique: Collection[Field], *, row: Mapping[str, object]) -> Held:
    """The unique values of a record."""
    given = ((one, row[one.name]) for one in unique if row.get(one.name) is not None)
    return {(sobject.name, one.name, folded(one, value)): str(row["Id"]) for one, value in given}


def _unless_gone(write: Write) -> Write:
    def made() -> None:
        with suppress(KeyError):  # the record was purged: then nobody will see what became of it
            write()

    return made
