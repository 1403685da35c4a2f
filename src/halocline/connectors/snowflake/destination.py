"""SnowflakeDestination: rows and position become visible in one transaction of the database itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from snowflake.connector.errors import Error

from halocline.batch import JSON, Position
from halocline.connector import Abilities, Journal, Lease, Manifest, Mode, Plan, Target
from halocline.connectors.snowflake import positions
from halocline.connectors.snowflake.client import Cursor, Database, uppered
from halocline.connectors.snowflake.errors import gate
from halocline.connectors.snowflake.load import SnowflakeLoad
from halocline.connectors.snowflake.merge import Changes, merge
from halocline.connectors.snowflake.merge import make_room as make_room_to_merge
from halocline.connectors.snowflake.merge import prepare as prepare_changes
from halocline.connectors.snowflake.reading import read_rows
from halocline.connectors.snowflake.replace import Side, make_room, publish
from halocline.connectors.snowflake.replace import prepare as prepare_side
from halocline.connectors.snowflake.staging import Piece, Place, staged_pieces
from halocline.connectors.snowflake.tables import (
    Table,
    check_types,
    described,
    find,
    is_empty,
    is_there,
    make_schema,
    named,
    schema_of,
)
from halocline.errors import HaloclineError, LeaseLost, NetworkFailed, NotFound
from halocline.events import Noticed, Sink, silent
from halocline.guards import refuse_imbalance, strange_table
from halocline.identity import check_key, need_key
from halocline.outcome import Counts, Outcome
from halocline.schema import Schema
from halocline.spool import Spool
from halocline.staged import of_load, own_positions, refuse_second_load

_DOUBT = "Whether the commit was made is not known; look at both sides, or run it again, which is harmless."


class SnowflakeDestination:
    """Writes into the Snowflake behind `session`: a connection of its connector or a Snowpark session, which stay the caller's
    and are left as they are found, or a `snowflake://` URI.

    What was handed in must have no transaction open. Names are upper case there. `sink` hears of a full sync that was made by
    key, or gave a column another type. Local files are written into `spool` only.
    Raises: FixConfig for a URI that cannot be read, or a session without a database; LoginRefused; NetworkFailed.
    """

    def __init__(self, session: object, *, spool: Spool, sink: Sink = silent) -> None:
        self._database = Database(session)
        self._spool = spool
        self._sink = sink
        self._met: dict[Target, Table] = {}  # as they stood when their position was asked; the load that follows asks no more
        self._unfilled: dict[Target, tuple[str, ...]] = {}  # likewise their columns that were made and never filled

    @property
    def abilities(self) -> Abilities:
        """CSV files as received are taken; rows and position are one transaction; there are stages."""
        return Abilities(raw_csv=True, transactional=True, holds_position=True, stage=True, together=True)

    def claim(self, flow: str, owner: str) -> Lease:
        """Take the flow: the newest claim wins, older ones fail at commit. The fence survives in the database."""
        with gate(f"Claiming the flow {flow}"):
            return positions.claim(self._database, flow, owner=owner)

    def position(self, flow: str, target: Target) -> Position | None:
        """The position of the last commit; None when there is none, or `target` does not exist any more, or was emptied."""
        with gate(f"Reading the position of {flow}"), self._database.cursor() as cursor:
            if not is_there(cursor, self._database, target=target):
                return None
            table = self._met[target] = described(cursor, named(self._database, target=target))
            position, self._unfilled[target] = positions.read(cursor, self._database, flow=flow, table=table)
            return position

    def emptied(self, flow: str, target: Target) -> Position | None:
        """The position of a table that was there when it was asked, and has no rows."""
        table = self._met.get(target)
        if table is None:
            return None
        with gate(f"Reading the position of {flow}"), self._database.cursor() as cursor:
            return positions.read(cursor, self._database, flow=flow, table=table, emptied=True)[0]

    def lacks(self, target: Target, schema: Schema) -> tuple[str, ...]:
        """The columns of `schema` that the table lacked when its position was asked, or that no commit has filled since they
        were made.
        """
        table = self._met.get(target)
        if table is None or not table.exists:
            return ()
        missing, unfilled = table.missing(schema), self._unfilled.get(target, ())
        return tuple(column.name for column in schema if column in missing or table.cased(column.name) in unfilled)

    def flows(self, target: Target) -> Sequence[str]:
        """See `Destination.flows`."""
        with gate(f"Reading the positions of {target}"), self._database.cursor() as cursor:
            if not is_there(cursor, self._database, target=target):
                return []
            return positions.flows(cursor, self._database, table=named(self._database, target=target))

    def columns(self, target: Target) -> Schema | None:
        """See `Destination.columns`; DESCRIBE tells which of them need a value."""
        with gate(f"Looking at the table {target}"), self._database.cursor() as cursor:
            there = is_there(cursor, self._database, target=target)
            return schema_of(cursor, named(self._database, target=target)) if there else None

    def rows(self, target: Target, plan: Plan, *, keys: Sequence[JSON] | None = None) -> Iterator[pa.RecordBatch]:
        """See `Destination.rows`."""
        doing = f"Reading {target}"
        with gate(doing), self._database.cursor() as cursor:
            table = find(cursor, self._database, target=target)
            if not table.exists:
                raise NotFound(doing, "there is no such table", hint="Run `halocline sync` first.")
            yield from read_rows(self._database, table, plan=plan, keys=keys)

    def recover(self, journal: Journal) -> Iterator[Outcome]:  # noqa: ARG002 - the contract's; a transaction leaves no open intents
        """Nothing: what a dead run did not commit did not happen."""
        return iter(())

    def begin(self, lease: Lease) -> SnowflakeUnit:
        """Open a unit of work."""
        return SnowflakeUnit(self._database, lease, spool=self._spool, sink=self._sink, met=self._met)

    def attach(self, ticket: JSON) -> SnowflakeLoad:
        """The load that wrote `ticket`, in another process; see `SnowflakeLoad.ticket`."""
        data: dict[str, Any] = dict(ticket)  # type: ignore[call-overload]  # JSON of our own making
        target, table, lease = Target(**data["target"]), Table(**data["table"]), Lease(**data["lease"])
        plan, place = Plan.from_json(data["plan"]), Place(**data["place"])
        return SnowflakeLoad(self._database, target, plan, table=table, place=place, lease=lease, spool=self._spool)

    def close(self) -> None:
        """Close the connection if it was opened here. Idempotent."""
        self._database.close()


@dataclass(frozen=True, slots=True)
class _Ready:
    """A load whose rows lie in temporary tables, settled, and whose table can take them."""

    load: SnowflakeLoad
    staged: int
    changes: Changes | None = None
    side: Side | None = None
    notes: tuple[str, ...] = ()


class SnowflakeUnit:
    """One or several tables that become visible together with their positions."""

    def __init__(self, database: Database, lease: Lease, *, spool: Spool, sink: Sink, met: dict[Target, Table]) -> None:
        self._database = database
        self._met = met
        self._lease = lease
        self._spool = spool
        self._sink = sink
        self._loads: dict[str, SnowflakeLoad] = {}
        self._done: dict[Target, Counts] = {}

    def open(self, target: Target, plan: Plan, journal: Journal) -> SnowflakeLoad:  # noqa: ARG002 - nothing is sent before commit
        """Start a load into `target`: its stage is made, or a folder in the plan's, and its schema if need be.

        Raises: SchemaConflict when a column's type changed, NotFound when the key column or the plan's stage is missing,
        FixConfig when `target` is a view, Refused when a full load would replace a table that this flow never filled.
        """
        doing = f"Opening a load into {target}"
        check_key(plan, target)
        need_key(plan, target)
        for name in plan.schema.names:
            uppered(name, doing=doing)
        with gate(doing), self._database.cursor() as cursor:
            table = self._met.pop(target, None) or find(cursor, self._database, target=target)
            refuse_second_load(target, self._loads, label=table.label)
            if plan.mode is Mode.MERGE:
                check_types(table, plan, doing=f"Merging into {table.label}")
            else:
                _refuse_strange_table(cursor, self._database, table, plan=plan)
            place = Place.of(self._database, table, lease=self._lease, stage_name=plan.stage_name)
            if not table.exists:
                make_schema(cursor, self._database, schema=table.schema)
            place.make(cursor)
        load = SnowflakeLoad(self._database, target, plan, table=table, place=place, lease=self._lease, spool=self._spool)
        self._loads[table.label] = load
        return load

    def commit(self, positions: Mapping[str, Position], manifests: Sequence[Manifest]) -> Counts:
        """Publish rows and positions in one transaction: `Unit.commit` says what it raises.

        All DDL goes before it, because DDL commits: a commit that fails may leave a new table empty, or a new column.
        Source: "Transactions" (DDL), https://docs.snowflake.com/en/sql-reference/transactions, read November 2026.
        """
        doing = f"Publishing into {', '.join(str(load.target) for load in self._loads.values())}"
        pieces = staged_pieces(manifests)
        done: list[Counts] = []
        notes: list[str] = []
        ready: list[_Ready] = []
        try:
            with gate(doing), self._database.cursor() as cursor:
                self._check_lease(cursor)
                ready.extend(self._prepare(cursor, load, of_load(pieces, load.label)) for load in self._loads.values())
            with gate(doing), self._database.transaction() as cursor:
                done.extend(self._publish(cursor, positions, ready=ready, notes=notes))
        except NetworkFailed as error:
            if not done:
                raise  # the commit was never sent
            self._find_out(error)
        except HaloclineError:
            self._look_for_a_newer_run(doing)
            raise
        for note in (*(note for one in ready for note in one.notes), *notes):
            self._sink(Noticed(note))
        self._done = {load.target: counts for load, counts in zip(self._loads.values(), done, strict=True)}
        return Counts.total(done)

    def counts_of(self, target: Target) -> Counts:
        """What the commit did with one of the tables."""
        return self._done[target]

    def close(self) -> None:
        """Take away what was staged here. Idempotent."""
        for load in self._loads.values():
            load.forget()
        self._loads.clear()

    def _prepare(self, cursor: Cursor, load: SnowflakeLoad, pieces: Sequence[Piece]) -> _Ready:
        """All that can be done before the transaction, and has to be: DDL."""
        plan, stage, place = load.plan, load.stage_tables, load.place
        staged = sum(piece.rows for piece in pieces)
        if plan.mode is Mode.MERGE:
            changes = prepare_changes(cursor, plan=plan, stage=stage, place=place, pieces=pieces)
            make_room_to_merge(cursor, self._database, table=load.table, changes=changes, plan=plan, lease=self._lease)
            return _Ready(load, staged, changes=changes)
        side = prepare_side(cursor, plan=plan, stage=stage, place=place, pieces=pieces)
        retyped = make_room(cursor, self._database, table=load.table, side=side, plan=plan, lease=self._lease)
        notes = (f"{load.target} has columns of another type now; they were made anew.",) if retyped else ()
        return _Ready(load, staged, side=side, notes=notes)

    def _publish(
        self, cursor: Cursor, following: Mapping[str, Position], *, ready: Sequence[_Ready], notes: list[str]
    ) -> list[Counts]:
        done = []
        for one in ready:
            plan, table, database = one.load.plan, one.load.table, self._database
            own = own_positions(plan, following)
            if one.changes is not None:
                done.append(merge(cursor, table, plan=plan, changes=one.changes))
            elif one.side is not None:
                if publish(cursor, table, side=one.side, plan=plan):
                    notes.append(f"{one.load.target} was refreshed row by row, because it has columns of its own.")
                done.append(one.side.counts)
                positions.forget_others(cursor, database, flows=own.keys(), table=table)
            refuse_imbalance(one.load.target, done[-1], staged=one.staged)
            for flow, position in own.items():
                positions.write(cursor, database, lease=self._lease, flow=flow, table=table, position=position)
        positions.check(cursor, self._database, lease=self._lease, hold=True)
        return done

    def _check_lease(self, cursor: Cursor) -> None:
        positions.check(cursor, self._database, lease=self._lease)

    def _look_for_a_newer_run(self, doing: str) -> None:
        """A newer run takes our files out of a stage; then it is what is to be told, not a file that is missing."""
        try:
            with gate(doing), self._database.cursor() as cursor:
                self._check_lease(cursor)
        except LeaseLost:
            raise
        except HaloclineError:
            return

    def _find_out(self, error: NetworkFailed) -> None:
        """Whether a commit was made whose reply was lost: then its tables' positions carry its fence.

        Snowflake may still be at it: its transaction has the row of the claim locked, and who changes it next sees what came of.
        Raises: `error` when it was not made; NetworkFailed when that cannot be known.
        """
        doubt = NetworkFailed(error.doing, error.cause, hint=_DOUBT, code=error.code)
        newer = False
        try:
            with suppress(LeaseLost), self._database.transaction() as cursor:
                newer = True  # unless the next line passes; a newer run may have written over the position
                positions.check(cursor, self._database, lease=self._lease, hold=True)
                newer = False
            with self._database.cursor() as cursor:
                made = positions.carry(cursor, self._database, lease=self._lease, labels=list(self._loads))
        except (Error, HaloclineError):
            raise doubt from error
        if not made:
            raise doubt if newer else error


def _refuse_strange_table(cursor: Cursor, database: Database, table: Table, *, plan: Plan) -> None:
    if plan.allow_replace or not table.exists:
        return
    position, _ = positions.read(cursor, database, flow=plan.flow, table=table)
    if position is None and not is_empty(cursor, table):
        raise strange_table(table.label, plan)
