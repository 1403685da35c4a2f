"""SQL destination: what one of tables in a database tells of them as they stand, once it is known how the database is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from halocline import unfilled
from halocline.errors import NotFound
from halocline.guards import strange_table

if TYPE_CHECKING:
    import pyarrow as pa

    from halocline.batch import JSON, Position
    from halocline.connector import Journal, Lease, Plan, Target
    from halocline.outcome import Counts, Outcome
    from halocline.schema import Schema
    from halocline.standing_table import StandingTable


class _Load(Protocol):
    """An open write to one table of a unit."""

    target: Target


C = TypeVar("C")
L = TypeVar("L", bound=_Load)
T = TypeVar("T", bound="StandingTable")


@dataclass(frozen=True, slots=True)
class Asked(Generic[C, T]):
    """How a database is asked: `C` is a cursor of its driver, `T` a table as it stands there.

    `gate` turns the driver's errors into ours, and is given what is being done; `session` opens a cursor and closes it again.
    """

    gate: Callable[[str], AbstractContextManager[None]]
    session: Callable[[], AbstractContextManager[C]]
    find: Callable[[C, Target], T]
    is_empty: Callable[[C, T], bool]
    position: Callable[[C, str, T], Position | None]
    flows: Callable[[C, T], Sequence[str]]
    columns: Callable[[C, T], Schema | None]
    rows: Callable[[C, T, Plan, Sequence[JSON] | None], Iterator[pa.RecordBatch]]

    def is_filled(self, cursor: C, table: T) -> bool:
        """Whether the table is there and holds a row."""
        return table.exists and not self.is_empty(cursor, table)

    def refuse_strange_table(self, cursor: C, table: T, *, plan: Plan, label: str) -> None:
        """Hold the rows that a full load would replace to being its own flow's.

        Raises: Refused when that flow never filled the table, and the plan does not allow to replace it.
        """
        if not plan.allow_replace and self.is_filled(cursor, table) and self.position(cursor, plan.flow, table) is None:
            raise strange_table(label, plan)


class SqlDestination(Generic[C, T]):
    """The part of a `Destination` in which databases differ by nothing but how they are asked."""

    def __init__(self, asked: Asked[C, T]) -> None:
        self._asked = asked
        self._met: dict[Target, T] = {}  # as they stood when their position was asked: `lacks` asks nothing more
        self._unfilled: dict[Target, tuple[str, ...]] = {}  # likewise their columns that no commit of the flow has filled

    def position(self, flow: str, target: Target) -> Position | None:
        """See `Destination.position`."""
        asked = self._asked
        with asked.gate(f"Reading the position of {flow}"), asked.session() as cursor:
            table = self._met[target] = asked.find(cursor, target)
            found = asked.position(cursor, flow, table) if asked.is_filled(cursor, table) else None
        position, self._unfilled[target] = unfilled.taken(found)
        return position

    def lacks(self, target: Target, schema: Schema) -> tuple[str, ...]:
        """The columns of `schema` that the table lacked when its position was asked, or that another flow made since the flow's
        last commit.
        """
        table = self._met.get(target)
        if table is None or not table.exists:
            return ()
        missing, empty = table.missing(schema), self._unfilled.get(target, ())
        return tuple(column.name for column in schema if column in missing or column.name.lower() in empty)

    def emptied(self, flow: str, target: Target) -> Position | None:
        """The position of a table that was there when it was asked, and has no rows."""
        table, asked = self._met.get(target), self._asked
        if table is None or not table.exists:
            return None
        with asked.gate(f"Reading the position of {flow}"), asked.session() as cursor:
            return unfilled.taken(asked.position(cursor, flow, table) if asked.is_empty(cursor, table) else None)[0]

    def flows(self, target: Target) -> Sequence[str]:
        """See `Destination.flows`."""
        asked = self._asked
        with asked.gate(f"Reading the positions of {target}"), asked.session() as cursor:
            table = asked.find(cursor, target)
            return asked.flows(cursor, table) if asked.is_filled(cursor, table) else []

    def columns(self, target: Target) -> Schema | None:
        """See `Destination.columns`."""
        asked = self._asked
        with asked.gate(f"Looking at the table {target}"), asked.session() as cursor:
            table = asked.find(cursor, target)
            return asked.columns(cursor, table) if table.exists else None

    def rows(self, target: Target, plan: Plan, *, keys: Sequence[JSON] | None = None) -> Iterator[pa.RecordBatch]:
        """See `Destination.rows`."""
        doing, asked = f"Reading {target}", self._asked
        with asked.gate(doing), asked.session() as cursor:
            table = asked.find(cursor, target)
            if not table.exists:
                raise NotFound(doing, "there is no such table", hint="Run `halocline sync` first.")
            yield from asked.rows(cursor, table, plan, keys)

    def recover(self, journal: Journal) -> Iterator[Outcome]:  # noqa: ARG002 - the contract's; a transaction leaves no open intents
        """Nothing: what a dead run did not commit did not happen."""
        return iter(())


class SqlUnit(Generic[C, T, L]):
    """Likewise the part of a `Unit`: one or several tables that become visible together with their positions."""

    def __init__(self, lease: Lease, asked: Asked[C, T]) -> None:
        self._lease = lease
        self._asked = asked
        self._loads: dict[str, L] = {}  # by the label of their table
        self._done: dict[Target, Counts] = {}

    def counts_of(self, target: Target) -> Counts:
        """What the commit did with one of the tables."""
        return self._done[target]

    @property
    def _publishing(self) -> str:
        return f"Publishing into {', '.join(str(load.target) for load in self._loads.values())}"
