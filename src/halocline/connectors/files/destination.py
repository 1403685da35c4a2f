"""FilesDestination: tables of files. Rows and position become visible together, by the creation of one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace as changed
from datetime import UTC, datetime

import pyarrow as pa

from halocline.batch import JSON, Position
from halocline.connector import Abilities, Journal, Lease, Manifest, Mode, Plan, Target
from halocline.connectors.files import claims
from halocline.connectors.files.format import NAMES, format_of
from halocline.connectors.files.layout import Names
from halocline.connectors.files.log import Commit, DataFile
from halocline.connectors.files.merge import merge
from halocline.connectors.files.output import Output, Shape
from halocline.connectors.files.partition import partitions
from halocline.connectors.files.reading import read_rows
from halocline.connectors.files.replace import replace
from halocline.connectors.files.storage import Storage
from halocline.connectors.files.sweeping import sweep
from halocline.connectors.files.table import FULL_SYNC, Table, check_types
from halocline.connectors.files.uri import Options, open_storage
from halocline.errors import FixConfig, HaloclineError, RetryLater, StorageFailed
from halocline.events import Noticed, Sink, silent
from halocline.guards import refuse_imbalance, strange_table
from halocline.identity import check_key, need_key
from halocline.outcome import Counts, Outcome
from halocline.schema import Schema
from halocline.spool import Spool
from halocline.spooled import SpooledLoad, staged_files
from halocline.staged import own_positions

_FIRST_FORMAT = NAMES[0]


class FilesDestination:
    """Writes tables of Parquet, CSV or JSON Lines files below `uri`: `file:///folder`, `file:folder` or `s3://bucket/prefix`.

    `given` are options as texts (`uri.Options`), which count more than those in the URI. `sink` is told what does no harm.
    Raises: FixConfig for a URI or an option that cannot be meant, or a login that is missing.
    """

    def __init__(self, uri: str, *, spool: Spool, given: Mapping[str, str] | None = None, sink: Sink = silent) -> None:
        self._spool = spool
        self._sink = sink
        self._storage, self._options = open_storage(uri, spool=spool, given=given or {})

    @property
    def abilities(self) -> Abilities:
        """Rows and position are one file."""
        return Abilities(transactional=True, holds_position=True)

    def claim(self, flow: str, owner: str) -> Lease:
        """Take the flow: the newest claim wins, older ones fail at commit."""
        self._storage.check()
        return claims.claim(self._storage, flow, owner=owner)

    def position(self, flow: str, target: Target) -> Position | None:
        """The position of the last commit; None when there is none, or the table lost a file, or has no rows."""
        table = Table.find(self._storage, target)
        found = table.commit.positions.get(flow)
        return found if found is not None and table.commit.rows and table.is_whole() else None

    def emptied(self, flow: str, target: Target) -> Position | None:
        """The position of a table that has no rows."""
        commit = Table.find(self._storage, target).commit
        return None if commit.rows else commit.positions.get(flow)

    def flows(self, target: Target) -> Sequence[str]:
        """See `Destination.flows`."""
        commit = Table.find(self._storage, target).commit
        return sorted(commit.positions) if commit.rows else []

    def columns(self, target: Target) -> Schema | None:
        """See `Destination.columns`."""
        commit = Table.find(self._storage, target).commit
        return commit.schema if commit.exists else None

    def recover(self, journal: Journal) -> Iterator[Outcome]:  # noqa: ARG002 - the contract's; a commit leaves no open intents
        """Nothing: what a dead run did not commit did not happen."""
        return iter(())

    def begin(self, lease: Lease) -> FilesUnit:
        """Open a unit of work."""
        return FilesUnit(self._storage, lease, options=self._options, spool=self._spool, sink=self._sink)

    def rows(self, target: Target, plan: Plan, *, keys: Sequence[JSON] | None = None) -> Iterator[pa.RecordBatch]:
        """See `Destination.rows`."""
        return read_rows(Table.find(self._storage, target), plan=plan, keys=keys)

    def attach(self, ticket: JSON) -> SpooledLoad:
        """The load that wrote `ticket`, in another process that shares the spool's folder."""
        return SpooledLoad.of_ticket(ticket, spool=self._spool)

    def close(self) -> None:
        """Let go of connections. Idempotent."""
        self._storage.close()


class FilesUnit:
    """One table that becomes visible together with its position. Several tables would take several commits: they are refused."""

    def __init__(self, storage: Storage, lease: Lease, *, options: Options, spool: Spool, sink: Sink) -> None:
        self._storage = storage
        self._lease = lease
        self._options = options
        self._spool = spool
        self._sink = sink
        self._load: SpooledLoad | None = None
        self._done = Counts()
        self._output: Output | None = None

    def open(self, target: Target, plan: Plan, journal: Journal) -> SpooledLoad:  # noqa: ARG002 - nothing is sent before commit
        """Start a load into `target`; its folder is only looked at.

        Raises: SchemaConflict when a column's type changed, NotFound when the key column is missing, Refused when a full load
        would replace a table that this flow never filled, FixConfig for options that the table does not have, files of
        somebody else in its folder, a load without a key, or a second table.
        """
        if self._load is not None and self._load.target != target:
            hint = "Load each table by a unit of its own."
            raise FixConfig(f"Opening a load into {target}", "tables of files are published one by one", hint=hint)
        if not plan.key:
            hint = "Name the column that identifies a row."
            raise FixConfig(f"Opening a load into {target}", "tables of files are kept in the order of a key", hint=hint)
        check_key(plan, target)
        table = Table.find(self._storage, target)
        table.refuse_strangers()
        if plan.mode is Mode.MERGE:
            _check_merge(table, plan, self._options)
            plan = table.respelled(plan)
        else:
            _refuse_strange_table(table, plan)
        self._shape(table, plan)
        self._load = SpooledLoad(target, plan, label=str(target), spool=self._spool)
        return self._load

    def commit(self, positions: Mapping[str, Position], manifests: Sequence[Manifest]) -> Counts:
        """Publish rows and positions by making the next file of the table's log: `Unit.commit` says what it raises.

        Raises: also RetryLater when another flow has published into the table meanwhile.
        """
        assert self._load is not None, "a load was opened"
        table = Table.find(self._storage, self._load.target)
        plan, files = self._load.plan, staged_files(manifests)
        if plan.mode is Mode.MERGE:
            _check_merge(table, plan, self._options)
        shape = self._shape(table, plan)
        names = Names(table.folder, self._lease, self._format(table, plan))
        self._output = Output(table, shape, names, self._spool)
        way = merge if plan.mode is Mode.MERGE else replace
        counts, after = way(table, self._output, plan=plan, files=files)
        refuse_imbalance(table.target, counts, staged=sum(file.rows for file in files))
        self._publish(table, self._next(table, plan, own_positions(plan, positions), counts=counts, files=after))
        self._done = counts
        return counts

    def counts_of(self, target: Target) -> Counts:  # noqa: ARG002 - the contract's; there is one table
        """What the commit did with the table."""
        return self._done

    def close(self) -> None:
        """Delete what was put aside here, and data files that were not published. Idempotent."""
        if self._load is not None:
            self._load.forget()
        if self._output is not None:
            self._output.discard()
            self._output = None

    def _publish(self, table: Table, following: Commit) -> None:
        assert self._output is not None, "it has just been filled"
        claims.check(self._storage, self._lease)
        try:
            self._output.show()
        except StorageFailed:
            claims.check(self._storage, self._lease)  # a newer run has swept this one's files away
            raise
        output, self._output = self._output, None  # whatever happens from here on, a commit may name the files: they stay
        published = table.log.publish(following)
        if published is None:
            self._output = output
            claims.check(self._storage, self._lease)
            hint = "Run it again; nothing of this run was published."
            raise RetryLater(f"Publishing into {table.target}", "another run published into the table meanwhile", hint=hint)
        self._tidy(changed(table, commit=published), before=table)

    def _tidy(self, table: Table, *, before: Table) -> None:
        """What may fail without harm: the rows are published, and the next commit does it."""
        try:
            sweep(table, before.commit, lease=self._lease, keep=self._options.keep)
            table.log.tidy(table.commit)
        except HaloclineError as error:
            self._sink(Noticed(f"The rows are published, but old files could not be tidied up yet; the next run will. {error}"))

    def _next(
        self, table: Table, plan: Plan, positions: Mapping[str, Position], *, counts: Counts, files: Sequence[DataFile]
    ) -> Commit:
        assert self._output is not None, "it has just been filled"
        kept = table.commit.positions if plan.mode is Mode.MERGE else {}
        return changed(
            table.commit,
            format=self._format(table, plan),
            partition_by=self._by(table, plan),
            schema=self._output.shape.schema,
            files=tuple(files),
            positions={**kept, **positions},
            flow=self._lease.flow,
            fence=self._lease.fence,
            owner=self._lease.owner,
            unit=self._output.names.token,
            committed=datetime.now(UTC).isoformat(timespec="milliseconds"),
            counts=counts.to_json(),
        )

    def _shape(self, table: Table, plan: Plan) -> Shape:
        """What the data files of this commit will look like. Columns that only the table has are kept."""
        schema = table.widened(plan.schema)
        if plan.mode is Mode.REPLACE:
            schema = changed(plan.schema, columns=(*plan.schema.columns, *table.commit.only_here(plan.schema)))
        by = partitions(self._by(table, plan), schema)
        return Shape(format_of(self._format(table, plan)), schema, plan.key, by, plan.flag_columns)

    def _format(self, table: Table, plan: Plan) -> str:
        """The format that the options name; a merge goes on in the table's."""
        there = table.commit.format
        return there if plan.mode is Mode.MERGE and there else self._options.format or there or _FIRST_FORMAT

    def _by(self, table: Table, plan: Plan) -> tuple[str, ...]:
        there = table.commit.partition_by
        if plan.mode is Mode.MERGE and table.commit.exists:
            return there
        return there if self._options.partition_by is None else self._options.partition_by


def _check_merge(table: Table, plan: Plan, options: Options) -> None:
    """Hold a table against the plan and the options, before rows are merged into it."""
    need_key(plan, table.target)
    check_types(table, plan, doing=f"Merging into {table.target}")
    there = table.commit
    if not there.exists:
        return
    wanted = (options.format or there.format, there.partition_by if options.partition_by is None else options.partition_by)
    if wanted != (there.format, there.partition_by):
        by = ", ".join(there.partition_by) or "nothing"
        cause = f"the table is {there.format}, partitioned by {by}, and something else was asked for"
        raise FixConfig(f"Opening a load into {table.target}", cause, hint=FULL_SYNC)


def _refuse_strange_table(table: Table, plan: Plan) -> None:
    if table.commit.rows and plan.flow not in table.commit.positions and not plan.allow_replace:
        raise strange_table(str(table.target), plan)
