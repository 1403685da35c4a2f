"""DuckDBDestination: rows and position become visible in one transaction of the database itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from halocline.batch import JSON, Position
from halocline.connector import Abilities, Journal, Lease, Manifest, Mode, Plan, Target
from halocline.connectors.duckdb import accepts, positions
from halocline.connectors.duckdb.client import Cursor, Database, open_database, path_of, rows, unmade
from halocline.connectors.duckdb.described import schema_of
from halocline.connectors.duckdb.errors import gate
from halocline.connectors.duckdb.load import DuckDBLoad
from halocline.connectors.duckdb.merge import merge
from halocline.connectors.duckdb.reading import read_rows
from halocline.connectors.duckdb.replace import replace
from halocline.connectors.duckdb.tables import Table, check_kind, check_types, find, is_empty, make_schema
from halocline.errors import RetryLater
from halocline.guards import refuse_imbalance
from halocline.identity import check_key, need_key
from halocline.outcome import Counts
from halocline.spool import Spool
from halocline.spooled import StagedFile, staged_files
from halocline.sql_destination import Asked, SqlDestination, SqlUnit
from halocline.staged import of_load, own_positions, refuse_second_load
from halocline.standard_sql import quoted
from halocline.unfilled import made_columns

_SCHEMA = "main"  # of a file that was just opened


class DuckDBDestination(SqlDestination[Cursor, Table]):
    """Writes into the DuckDB behind `session`: a connection, which stays the caller's, or a `duckdb:///file.duckdb` URI.

    Work is done on cursors of the connection, so a transaction that the caller has open is not touched; what it has not
    committed is not seen. `memory_limit` ("200MB") and `threads` are settings of the whole database; None leaves them
    to a connection's owner, and bounds a database that is opened here (see `client.OWN_MEMORY`).
    A file that is not there is made by the first claim, so that a run that is refused before leaves none. `read_only` is for
    looking: no file is made, and nothing can be claimed.
    Raises: FixConfig for a missing folder or a bad setting, RetryLater for a locked file,
    StorageFailed for a read-only or damaged one.
    """

    def __init__(
        self,
        session: object,
        *,
        spool: Spool,
        memory_limit: str | None = None,
        threads: int | None = None,
        read_only: bool = False,
    ) -> None:
        self._spool = spool
        self._open = partial(open_database, session, memory_limit=memory_limit, threads=threads, folder=spool.path)
        self._unmade = None if read_only else unmade(session)
        self._database = self._open(read_only=read_only or self._unmade is not None)
        super().__init__(_asked(lambda: self._database, self._cursor))
        self._lent: list[Cursor] = []

    @property
    def abilities(self) -> Abilities:
        """CSV files as received are taken; rows and position are one transaction."""
        return Abilities(
            raw_csv=True, transactional=True, holds_position=True, one_writer=True, shared=True, history=True, together=True
        )

    @property
    def place(self) -> str:
        """The file that is written to, whoever opened it, as `halocline.place` names it; empty where there is none."""
        file = self._unmade or self._file()
        return f"duckdb:{file.absolute()}" if file else ""

    def claim(self, flow: str, owner: str) -> Lease:
        """Take the flow: the newest claim wins, older ones fail at commit. The fence survives in the database."""
        self.make()
        with gate(f"Claiming the flow {flow}"):
            return positions.claim(self._database, flow, owner=owner)

    def begin(self, lease: Lease) -> DuckDBUnit:
        """Open a unit of work."""
        self.make()
        return DuckDBUnit(self._database, lease, asked=self._asked, spool=self._spool)

    def attach(self, ticket: JSON) -> DuckDBLoad:
        """The load that wrote `ticket`, in another process that shares the spool's folder."""
        return DuckDBLoad.of_ticket(ticket, spool=self._spool)

    def lend(self, session: object) -> object:
        """See `connector.lent`: the URI of its own file, which cannot be opened twice, becomes a connection to it, in the schema
        that the URI would begin in.
        """
        if not (isinstance(session, str) and accepts(session) and self._is_file_of(session)):
            return session
        with gate("Using the DuckDB connection"):
            lent = self._database.connection.cursor()
            self._lent.append(lent)
            lent.execute(f"USE {quoted(self._database.catalog, _SCHEMA)}")
        return lent

    def make(self) -> None:
        """Make the file that was not there, and keep it open; else nothing."""
        if self._unmade is not None:
            empty, self._database = self._database, self._open()
            self._unmade = None
            empty.close()

    def _cursor(self) -> AbstractContextManager[Cursor]:
        """A cursor of the database as it is now: others may have made the file since."""
        if self._unmade is not None and self._unmade.exists():
            self.make()
        return self._database.cursor()

    def close(self) -> None:
        """Close the database if it was opened here, and what was lent. Idempotent."""
        while self._lent:
            self._lent.pop().close()
        self._database.close()

    def _file(self) -> Path | None:
        with gate("Asking DuckDB for its file"), self._database.cursor() as cursor:
            sql = "SELECT path FROM duckdb_databases() WHERE type = 'duckdb' AND database_name = ?"
            found = rows(cursor, sql, values=[self._database.catalog])
        path = found[0][0] if found else None
        return Path(str(path)) if path else None

    def _is_file_of(self, uri: str) -> bool:
        own, other = self._file(), Path(path_of(uri))
        return own is not None and own.exists() and other.exists() and own.samefile(other)


class DuckDBUnit(SqlUnit[Cursor, Table, DuckDBLoad]):
    """One or several tables that become visible together with their positions."""

    def __init__(self, database: Database, lease: Lease, *, asked: Asked[Cursor, Table], spool: Spool) -> None:
        super().__init__(lease, asked)
        self._database = database
        self._spool = spool

    def open(self, target: Target, plan: Plan, journal: Journal) -> DuckDBLoad:  # noqa: ARG002 - nothing is sent before commit
        """Start a load into `target`; the database is only looked at.

        Raises: SchemaConflict when a column's type changed, NotFound when the key column is missing, FixConfig when
        `target` is a view, Refused when a full load would replace a table that this flow never filled.
        """
        check_key(plan, target)
        need_key(plan, target)
        with gate(f"Opening a load into {target}"), self._database.cursor() as cursor:
            table = find(cursor, self._database, target=target)
            refuse_second_load(target, self._loads, label=table.label)
            check_kind(table, plan)
            if plan.mode is Mode.MERGE:
                check_types(table, plan)
            if plan.whole:
                self._asked.refuse_strange_table(cursor, table, plan=plan, label=table.label)
        load = DuckDBLoad(target, plan, label=table.label, spool=self._spool)
        self._loads[table.label] = load
        return load

    def commit(self, positions: Mapping[str, Position], manifests: Sequence[Manifest]) -> Counts:
        """Publish rows and positions in one transaction: `Unit.commit` says what it raises.

        Raises: also SchemaConflict for a value that its column cannot hold exactly.
        """
        doing = self._publishing
        try:
            with gate(doing):
                self._make_schemas()
            with gate(doing), self._database.transaction() as cursor:
                return self._publish(cursor, positions, staged_files(manifests))
        except RetryLater:
            self._look_for_a_newer_run()
            raise

    def close(self) -> None:
        """Delete what was staged here. Idempotent."""
        for load in self._loads.values():
            load.forget()

    def _make_schemas(self) -> None:
        """Make what is missing before the transaction: in it, flows that make the same schema at the same time would collide."""
        with self._database.cursor() as cursor:
            for load in self._loads.values():
                make_schema(cursor, find(cursor, self._database, target=load.target))

    def _publish(self, cursor: Cursor, following: Mapping[str, Position], files: Sequence[StagedFile]) -> Counts:
        positions.check(self._database, cursor, lease=self._lease)
        loads = self._loads.values()
        self._done = {load.target: self._publish_load(cursor, load, following, files=files) for load in loads}
        positions.hold(self._database, cursor, lease=self._lease)
        return Counts.total(list(self._done.values()))

    def _publish_load(
        self, cursor: Cursor, load: DuckDBLoad, following: Mapping[str, Position], *, files: Sequence[StagedFile]
    ) -> Counts:
        table = find(cursor, self._database, target=load.target)
        mine = of_load(files, load.label)
        way = merge if load.plan.mode is Mode.MERGE else replace
        counts = way(cursor, table, plan=load.plan, files=mine)
        refuse_imbalance(load.target, counts, staged=sum(file.rows for file in mine))
        own = own_positions(load.plan, following)
        if load.plan.whole:
            positions.forget_others(self._database, cursor, flows=own.keys(), table=table)
        elif made := made_columns(table, load.plan):
            positions.note_unfilled(self._database, cursor, table=table, columns=made)
        for flow, position in own.items():
            positions.write(self._database, cursor, lease=self._lease, flow=flow, table=table, position=position)
        return counts

    def _look_for_a_newer_run(self) -> None:
        with gate("Looking for a newer run"), self._database.cursor() as cursor:
            positions.check(self._database, cursor, lease=self._lease)


def _asked(database: Callable[[], Database], session: Callable[[], AbstractContextManager[Cursor]]) -> Asked[Cursor, Table]:
    return Asked(
        gate=gate,
        session=session,
        find=lambda cursor, target: find(cursor, database(), target=target),
        is_empty=is_empty,
        position=lambda cursor, flow, table: positions.read(database(), cursor, flow=flow, table=table),
        flows=lambda cursor, table: positions.flows(database(), cursor, table=table),
        columns=schema_of,
        rows=lambda cursor, table, plan, keys: read_rows(cursor, table, plan=plan, keys=keys),
    )
