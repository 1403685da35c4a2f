"""SQLiteDestination: rows and position become visible in one transaction of the file itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from halocline.batch import JSON, Position
from halocline.connector import Abilities, Journal, Lease, Manifest, Mode, Plan, Target
from halocline.connectors.sqlite import accepts, positions
from halocline.connectors.sqlite.client import Database, path_of, refuse_ledger
from halocline.connectors.sqlite.errors import gate
from halocline.connectors.sqlite.merge import merge
from halocline.connectors.sqlite.reading import read_rows
from halocline.connectors.sqlite.replace import replace
from halocline.connectors.sqlite.tables import Table, check_types, find, is_empty, name_of
from halocline.errors import FixConfig
from halocline.guards import refuse_imbalance
from halocline.identity import check_key, need_key
from halocline.outcome import Counts
from halocline.spool import Spool
from halocline.spooled import SpooledLoad, StagedFile, staged_files
from halocline.sql_destination import Asked, SqlDestination, SqlUnit
from halocline.staged import of_load, own_positions, refuse_second_load
from halocline.unfilled import made_columns


class SQLiteDestination(SqlDestination[sqlite3.Connection, Table]):
    """Writes into the file behind `session`: a `sqlite:///file` URI, or a `sqlite3` connection to a file, which is left alone.

    Each piece of work has a connection of its own, so what the caller has not committed is not seen, and is waited for.
    A file that is not there is made by the first claim. `read_only` is for looking: none is made, and nothing can be claimed.
    Raises: FixConfig for a session without a file, and for the file of a ledger; NotFound for a missing folder, StorageFailed
    for a damaged file.
    """

    def __init__(self, session: object, *, spool: Spool, read_only: bool = False) -> None:
        self._spool = spool
        self._database = Database(path_of(session), read_only)
        super().__init__(_asked(self._database))
        with gate(f"Opening the SQLite file {self._database.path}"), self._database.connected() as connection:
            refuse_ledger(connection, self._database.path)

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

    def begin(self, lease: Lease) -> SQLiteUnit:
        """Open a unit of work."""
        return SQLiteUnit(self._database, lease, asked=self._asked, spool=self._spool)

    def attach(self, ticket: JSON) -> SpooledLoad:
        """The load that wrote `ticket`, in another process that shares the spool's folder."""
        return SpooledLoad.of_ticket(ticket, spool=self._spool)

    def lend(self, session: object) -> object:
        """See `connector.lent`: `session` itself.

        Raises: FixConfig for the file that is written to, where a commit would wait for the end of the read.
        """
        if accepts(session) and self._waits_for_readers_of(path_of(session)):
            cause = "it is to be read and written to in one run, and without a write-ahead log whoever reads it keeps writers out"
            hint = "Turn the log on, which stays: PRAGMA journal_mode = WAL. Or write to another file."
            raise FixConfig(f"Opening the SQLite file {self._database.path}", cause, hint=hint)
        return session

    def _waits_for_readers_of(self, path: Path) -> bool:
        own = self._database.path
        if not (path.is_file() and own.is_file() and own.samefile(path)):
            return False
        with gate(f"Opening the SQLite file {own}"), self._database.connected() as connection:
            ((mode,),) = connection.execute("PRAGMA main.journal_mode").fetchall()
        return str(mode) != "wal"

    def close(self) -> None:
        """Nothing: no connection outlives its piece of work."""


class SQLiteUnit(SqlUnit[sqlite3.Connection, Table, SpooledLoad]):
    """One or several tables that become visible together with their positions."""

    def __init__(self, database: Database, lease: Lease, *, asked: Asked[sqlite3.Connection, Table], spool: Spool) -> None:
        super().__init__(lease, asked)
        self._database = database
        self._spool = spool

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
                self._asked.refuse_strange_table(connection, table, plan=plan, label=table.name)
        self._loads[load.label] = load
        return load

    def commit(self, positions: Mapping[str, Position], manifests: Sequence[Manifest]) -> Counts:
        """Publish rows and positions in one transaction: `Unit.commit` says what it raises.

        Raises: also SchemaConflict for a value that its column cannot hold.
        """
        doing = self._publishing
        with gate(doing), self._database.transaction() as connection:
            return self._publish(connection, positions, staged_files(manifests))

    def close(self) -> None:
        """Delete what was staged here. Idempotent."""
        for load in self._loads.values():
            load.forget()

    def _publish(self, connection: sqlite3.Connection, following: Mapping[str, Position], files: Sequence[StagedFile]) -> Counts:
        positions.check(connection, lease=self._lease)
        for load in self._loads.values():
            mine = of_load(files, load.label)
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
        elif made := made_columns(table, load.plan):
            positions.note_unfilled(connection, table=table, columns=made)
        for flow, position in own.items():
            positions.write(connection, lease=self._lease, flow=flow, table=table, position=position)
        return counts


def _asked(database: Database) -> Asked[sqlite3.Connection, Table]:
    return Asked(
        gate=gate,
        session=database.connected,
        find=find,
        is_empty=is_empty,
        position=lambda cursor, flow, table: positions.read(cursor, flow=flow, table=table),
        flows=lambda cursor, table: positions.flows(cursor, table=table),
        columns=lambda _, table: table.schema,
        rows=lambda cursor, table, plan, keys: read_rows(cursor, table, plan=plan, keys=keys),
    )
