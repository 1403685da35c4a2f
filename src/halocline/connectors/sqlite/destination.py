"""SQLiteDestination: rows and position become visible in one transaction of the file itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from halocline.batch import JSON, Position
from halocline.connector import Abilities, Journal, Lease, Manifest, Mode, Plan, Target
from halocline.connectors.sqlite import positions
from halocline.connectors.sqlite.client import Database, path_of
from halocline.connectors.sqlite.errors import gate
from halocline.connectors.sqlite.merge import merge
from halocline.connectors.sqlite.reading import read_rows
from halocline.connectors.sqlite.replace import replace
from halocline.connectors.sqlite.tables import Table, check_types, find, is_empty, name_of
from halocline.errors import NotFound
from halocline.guards import refuse_imbalance, strange_table
from halocline.identity import check_key, need_key
from halocline.outcome import Counts, Outcome
from halocline.schema import Schema
from halocline.spool import Spool
from halocline.spooled import SpooledLoad, StagedFile, staged_files
from halocline.staged import own_positions, refuse_second_load


class SQLiteDestination:
    """Writes into the file behind `session`: a `sqlite:///file` URI, or a `sqlite3` connection to a file, which is left alone.

    Each piece of work has a connection of its own, so what the caller has not committed is not seen, and is waited for.
    `read_only` is for looking: no file is made, and nothing can be claimed.
    Raises: FixConfig for a session without a file; NotFound for a missing folder, StorageFailed for a damaged file.
    """

    def __init__(self, session: object, *, spool: Spool, read_only: bool = False) -> None:
        self._spool = spool
        self._database = Database(path_of(session), read_only)
        with gate(f"Opening the SQLite file {self._database.path}"), self._database.connected() as connection:
            connection.execute("SELECT count(*) FROM sqlite_master")

    @property
    def abilities(self) -> Abilities:
        """Rows and positions are one transaction, over several tables; who writes, writes alone."""
        return Abilities(transactional=True, holds_position=True, one_writer=True, shared=True, together=True)

    @property
    def place(self) -> str:
        """The file that is written to, as `halocline.place` names it."""
        return f"sqlite:{self._database.path.absolute()}"

    def claim(self, flow: str, owner: str) -> Lease:
        """Take the flow: the newest claim wins, older ones fail at commit. The fence survives in the file."""
        with gate(f"Claiming the flow {flow}"), self._database.transaction() as connection:
            return positions.claim(connection, flow, owner=owner)

    def position(self, flow: str, target: Target) -> Position | None:
        """The position of the last commit; None when there is none, or `target` does not exist any more, or was emptied."""
        with gate(f"Reading the position of {flow}"), self._database.connected() as connection:
            table = find(connection, target)
            if not table.exists or is_empty(connection, table):
                return None
            return positions.read(connection, flow=flow, table=table)

    def flows(self, target: Target) -> Sequence[str]:
        """See `Destination.flows`."""
        with gate(f"Reading the positions of {target}"), self._database.connected() as connection:
            table = find(connection, target)
            there = table.exists and not is_empty(connection, table)
            return positions.flows(connection, table=table) if there else []

    def columns(self, target: Target) -> Schema | None:
        """See `Destination.columns`."""
        with gate(f"Looking at the table {target}"), self._database.connected() as connection:
            return find(connection, target).schema

    def rows(self, target: Target, plan: Plan, *, keys: Sequence[JSON] | None = None) -> Iterator[pa.RecordBatch]:
        """See `Destination.rows`."""
        doing = f"Reading {target}"
        with gate(doing), self._database.connected() as connection:
            table = find(connection, target)
            if not table.exists:
                raise NotFound(doing, "there is no such table", hint="Run `halocline sync` first.")
            yield from read_rows(connection, table, plan=plan, keys=keys)

    def recover(self, journal: Journal) -> Iterator[Outcome]:  # noqa: ARG002 - the contract's; a transaction leaves no open intents
        """Nothing: what a dead run did not commit did not happen."""
        return iter(())

    def begin(self, lease: Lease) -> SQLiteUnit:
        """Open a unit of work."""
        return SQLiteUnit(self._database, lease, spool=self._spool)

    def attach(self, ticket: JSON) -> SpooledLoad:
        """The load that wrote `ticket`, in another process that shares the spool's folder."""
        return SpooledLoad.of_ticket(ticket, spool=self._spool)

    def close(self) -> None:
        """Nothing: no connection outlives its piece of work."""


class SQLiteUnit:
    """One or several tables that become visible together with their positions."""

    def __init__(self, database: Database, lease: Lease, *, spool: Spool) -> None:
        self._database = database
        self._lease = lease
        self._spool = spool
        self._loads: dict[str, SpooledLoad] = {}
        self._done: dict[Target, Counts] = {}

    def open(self, target: Target, plan: Plan, journal: Journal) -> SpooledLoad:  # noqa: ARG002 - nothing is sent before commit
        """Start a load into `target`; the file is only looked at.

        Raises: SchemaConflict when a column's type changed, NotFound when the key column is missing, FixConfig when
        `target` is a view, Refused when a full load would replace a table that this flow never filled.
        """
        check_key(plan, target)
        need_key(plan, target)
        load = SpooledLoad(target, plan, label=name_of(target).lower(), spool=self._spool)
        refuse_second_load(target, self._loads, label=load.label)
        with gate(f"Opening a load into {target}"), self._database.connected() as connection:
            table = find(connection, target)
            if plan.mode is Mode.MERGE:
                check_types(table, plan, doing=f"Merging into {table.name}")
            if plan.whole:
                self._refuse_strange_table(connection, table, plan)
        self._loads[load.label] = load
        return load

    def commit(self, positions: Mapping[str, Position], manifests: Sequence[Manifest]) -> Counts:
        """Publish rows and positions in one transaction: `Unit.commit` says what it raises.

        Raises: also SchemaConflict for a value that its column cannot hold.
        """
        doing = f"Publishing into {', '.join(str(load.target) for load in self._loads.values())}"
        with gate(doing), self._database.transaction() as connection:
            return self._publish(connection, positions, staged_files(manifests))

    def counts_of(self, target: Target) -> Counts:
        """What the commit did with one of the tables."""
        return self._done[target]

    def close(self) -> None:
        """Delete what was staged here. Idempotent."""
        for load in self._loads.values():
            load.forget()

    def _publish(self, connection: sqlite3.Connection, following: Mapping[str, Position], files: Sequence[StagedFile]) -> Counts:
        positions.check(connection, lease=self._lease)
        for load in self._loads.values():
            mine = [file for file in files if file.load == load.label]
            self._done[load.target] = self._publish_load(connection, load, following, files=mine)
        return Counts.total(list(self._done.values()))

    def _publish_load(
        self, connection: sqlite3.Connection, load: SpooledLoad, following: Mapping[str, Position], *, files: Sequence[StagedFile]
    ) -> Counts:
        table = find(connection, load.target)
        way = merge if load.plan.mode is Mode.MERGE else replace
        counts = way(connection, table, plan=load.plan, files=files)
        refuse_imbalance(load.target, counts, staged=sum(file.rows for file in files))
        own = own_positions(load.plan, following)
        if load.plan.whole:
            positions.forget_others(connection, flows=own.keys(), table=table)
        for flow, position in own.items():
            positions.write(connection, lease=self._lease, flow=flow, table=table, position=position)
        return counts

    def _refuse_strange_table(self, connection: sqlite3.Connection, table: Table, plan: Plan) -> None:
        if plan.allow_replace or not table.exists or is_empty(connection, table):
            return
        if positions.read(connection, flow=plan.flow, table=table) is None:
            raise strange_table(table.name, plan)
