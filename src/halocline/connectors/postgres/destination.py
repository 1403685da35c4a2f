"""PostgresDestination: rows and position become visible in one transaction of the database itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import psycopg

from halocline.batch import JSON, Position
from halocline.connector import Abilities, Journal, Lease, Manifest, Mode, Plan, Target
from halocline.connectors.postgres import positions
from halocline.connectors.postgres.attached import shown
from halocline.connectors.postgres.client import Cursor, Database, lowered
from halocline.connectors.postgres.described import fillable
from halocline.connectors.postgres.errors import NO_VALUE, gate
from halocline.connectors.postgres.load import PostgresLoad
from halocline.connectors.postgres.merge import merge
from halocline.connectors.postgres.reading import read_rows
from halocline.connectors.postgres.replace import Side, prepare, publish
from halocline.connectors.postgres.staging import Piece, staged_pieces, sweep, without_value
from halocline.connectors.postgres.tables import Table, check_kind, check_names, check_types, find, hold, is_empty, make_schema
from halocline.errors import FixConfig, HaloclineError, LeaseLost, NetworkFailed, SchemaConflict
from halocline.events import Noticed, Sink, silent
from halocline.guards import refuse_imbalance
from halocline.identity import check_key, need_key
from halocline.outcome import Counts
from halocline.sql_destination import Asked, SqlDestination, SqlUnit
from halocline.staged import of_load, own_positions, refuse_second_load
from halocline.unfilled import made_columns

_NULLS = "Give them one (a query with coalesce), leave them out (a filter), or let the column take nulls."
_DOUBT = "Whether this was published is not known: the answer to the commit was lost. Run it again; the stored position tells."


class PostgresDestination(SqlDestination[Cursor, Table]):
    """Writes into the PostgreSQL behind `session`: a psycopg connection, which stays the caller's, or a `postgresql://` URI.

    With a URI several connections copy parts side by side; the caller's one connection serves one part at a time, and must have
    no transaction open. Names are lower case there. `sink` hears of a full sync that left the table itself in place, and why.
    Raises: FixConfig for a URI that cannot be read, LoginRefused, NetworkFailed.
    """

    def __init__(self, session: object, *, sink: Sink = silent) -> None:
        self._database = Database(session)
        super().__init__(_asked(self._database))
        self._sink = sink

    @property
    def abilities(self) -> Abilities:
        """CSV files as received are taken; rows and position are one transaction."""
        return Abilities(raw_csv=True, transactional=True, holds_position=True, history=True, together=True)

    def claim(self, flow: str, owner: str) -> Lease:
        """Take the flow: the newest claim wins, older ones fail at commit. The fence survives in the database."""
        with gate(f"Claiming the flow {flow}"), self._database.transaction() as cursor:
            return positions.claim(cursor, flow, owner=owner)

    def begin(self, lease: Lease) -> PostgresUnit:
        """Open a unit of work."""
        return PostgresUnit(self._database, lease, asked=self._asked, sink=self._sink)

    def attach(self, ticket: JSON) -> PostgresLoad:
        """The load that wrote `ticket`, in another process."""
        data: dict[str, Any] = dict(ticket)  # type: ignore[call-overload]  # JSON of our own making
        target, table, lease = Target(**data["target"]), Table(**data["table"]), Lease(**data["lease"])
        return PostgresLoad(self._database, target, Plan.from_json(data["plan"]), table=table, lease=lease)

    def lend(self, session: object) -> object:
        """See `connector.lent`: `session` itself.

        Raises: FixConfig for the very connection that is written to.
        """
        if self._database.is_behind(session):
            cause = "one connection cannot read a snapshot and be written to at once"
            raise FixConfig("Reading PostgreSQL", cause, hint="Pass two connections, or the URI for one of the sides.")
        return session

    def close(self) -> None:
        """Close the connections that were opened here. Idempotent."""
        self._database.close()


class PostgresUnit(SqlUnit[Cursor, Table, PostgresLoad]):
    """One or several tables that become visible together with their positions."""

    def __init__(self, database: Database, lease: Lease, *, asked: Asked[Cursor, Table], sink: Sink) -> None:
        super().__init__(lease, asked)
        self._database = database
        self._sink = sink

    def open(self, target: Target, plan: Plan, journal: Journal) -> PostgresLoad:  # noqa: ARG002 - nothing is sent before commit
        """Start a load into `target`: its staging tables are made beside it, and its schema if need be.

        Raises: SchemaConflict when a column's type changed, NotFound when the key column is missing, FixConfig when
        `target` is a view, Refused when a full load would replace a table that this flow never filled.
        """
        doing = f"Opening a load into {target}"
        check_key(plan, target)
        need_key(plan, target)
        for name in plan.schema.names:
            lowered(name, doing=doing)
        with gate(doing), self._database.transaction() as cursor:
            table = find(cursor, self._database, target=target)
            refuse_second_load(target, self._loads, label=table.label)
            check_kind(table, plan)
            check_names(table, plan)
            if plan.mode is Mode.MERGE:
                check_types(table, plan)
            if plan.whole:
                self._asked.refuse_strange_table(cursor, table, plan=plan, label=table.label)
            make_schema(cursor, table)
            sweep(cursor, table, lease=self._lease)
            load = PostgresLoad(self._database, target, plan, table=table, lease=self._lease)
            load.stage_tables.make(cursor, plan, like=table)
        self._loads[table.label] = load
        return load

    def commit(self, positions: Mapping[str, Position], manifests: Sequence[Manifest]) -> Counts:
        """Publish rows and positions in one transaction: `Unit.commit` says what it raises.

        Raises: also SchemaConflict for a value that its column cannot hold exactly.
        """
        doing = self._publishing
        pieces = staged_pieces(manifests)
        done: list[Counts] = []
        notes: list[str] = []
        try:
            self._check_lease(doing)
            with gate(doing):
                sides = self._prepare(pieces)
            with gate(doing), self._database.transaction() as cursor:
                done.extend(self._publish(cursor, positions, sides=sides, pieces=pieces, notes=notes))
        except NetworkFailed as error:
            if not done:
                raise  # the commit was never sent
            self._find_out(error)
        except HaloclineError as error:
            self._look_for_a_newer_run(doing)
            raise self._with_rows(error) from error.__cause__
        for note in notes:
            self._sink(Noticed(note))
        self._done = {load.target: counts for load, counts in zip(self._loads.values(), done, strict=True)}
        return Counts.total(done)

    def close(self) -> None:
        """Drop what was staged here. Idempotent."""
        for load in self._loads.values():
            load.forget()
        self._loads.clear()

    def _prepare(self, pieces: Sequence[Piece]) -> dict[str, Side]:
        """All that can be done before anything is locked."""
        return {
            load.label: prepare(self._database, load.stage_tables, plan=load.plan, pieces=of_load(pieces, load.label))
            for load in self._loads.values()
            if load.plan.mode is Mode.REPLACE
        }

    def _publish(
        self,
        cursor: Cursor,
        following: Mapping[str, Position],
        *,
        sides: Mapping[str, Side],
        pieces: Sequence[Piece],
        notes: list[str],
    ) -> list[Counts]:
        done = []
        for load in self._loads.values():
            table = hold(cursor, self._database, target=load.target)
            if load.plan.mode is Mode.MERGE:
                done.append(merge(cursor, table, plan=load.plan, stage=load.stage_tables, pieces=of_load(pieces, load.label)))
            else:
                side = sides[load.label]
                reasons = publish(cursor, table, side=side, plan=load.plan)
                if reasons:
                    notes.append(f"{load.target} was refreshed row by row and not swapped, because of {shown(reasons)}.")
                done.append(side.counts)
            own = own_positions(load.plan, following)
            if load.plan.whole:
                positions.forget_others(cursor, flows=own.keys(), table=table)
            elif made := made_columns(table, load.plan):
                positions.note_unfilled(cursor, table=table, columns=made)
            refuse_imbalance(load.target, done[-1], staged=sum(piece.rows for piece in of_load(pieces, load.label)))
            for flow, position in own.items():
                positions.write(cursor, lease=self._lease, flow=flow, table=table, position=position)
        positions.check(cursor, lease=self._lease, hold=True)
        return done

    def _check_lease(self, doing: str) -> None:
        with gate(doing), self._database.transaction() as cursor:
            positions.check(cursor, lease=self._lease)

    def _look_for_a_newer_run(self, doing: str) -> None:
        """A newer run sweeps our staging tables away; then it is what is to be told, not a table that is missing."""
        try:
            self._check_lease(doing)
        except LeaseLost:
            raise
        except HaloclineError:
            return

    def _with_rows(self, error: HaloclineError) -> HaloclineError:
        """The error as it is; of a null that a column does not take, one that says how many rows, and which."""
        diag = getattr(error.__cause__, "diag", None)
        if error.code != NO_VALUE or diag is None or not diag.column_name:
            return error
        column = str(diag.column_name)
        for load in self._loads.values():
            if column in {name.lower() for name in load.plan.schema.names}:
                with suppress(psycopg.Error, HaloclineError):  # the refusal at hand is the one to tell
                    with self._database.transaction() as cursor:
                        told = without_value(cursor, load.stage_tables.rows, column=column, key=load.plan.key)
                    if told:
                        cause = f"its column {column} is NOT NULL, and {told}"
                        return SchemaConflict(f"Publishing into {load.target}", cause, hint=_NULLS, code=NO_VALUE, column=column)
        return error

    def _find_out(self, error: NetworkFailed) -> None:
        """Whether a commit was made whose reply was lost: then its tables' positions carry its fence.

        The server may still be at it: its session has the row of the claim locked, and who locks it next sees what came of it.
        Raises: `error` when it was not made; NetworkFailed when that cannot be known.
        """
        doubt = NetworkFailed(error.doing, error.cause, hint=_DOUBT, code=error.code)
        try:
            with self._database.transaction() as cursor:
                newer = False
                try:
                    positions.check(cursor, lease=self._lease, hold=True)
                except LeaseLost:
                    newer = True  # it may have written over the position
                made = positions.carry(cursor, lease=self._lease, labels=list(self._loads))
        except (psycopg.Error, HaloclineError):
            raise doubt from error
        if not made:
            raise doubt if newer else error


def _asked(database: Database) -> Asked[Cursor, Table]:
    return Asked(
        gate=gate,
        session=database.transaction,
        find=lambda cursor, target: find(cursor, database, target=target),
        is_empty=is_empty,
        position=lambda cursor, flow, table: positions.read(cursor, flow=flow, table=table),
        flows=lambda cursor, table: positions.flows(cursor, table=table),
        columns=fillable,  # a load may not fill what the database fills by itself
        rows=lambda cursor, table, plan, keys: read_rows(cursor, table, plan=plan, keys=keys),
    )
