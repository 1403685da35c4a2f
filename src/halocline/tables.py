"""Tables of one system into tables of another: read whole or what changed, built by functions where wanted, published together.

copy(source, to, [TableCopy("documents", "raw.cases", build=build_case), ...])
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from halocline import registry
from halocline.builders import Builder, BuiltSource, builder_at
from halocline.built_changes import BuiltChanges
from halocline.coat import Halted, LettingGo
from halocline.config import Settings, resolved
from halocline.connector import MAX_REJECTED, Abilities, Deletes, Destination, Mode, Plan, Source, Survey, Target, lent
from halocline.csvcopy import CsvCopy
from halocline.declared import declared
from halocline.errors import FixConfig, HaloclineError, NotFound, StorageFailed
from halocline.events import Noticed, Sink, silent
from halocline.halt import Halt
from halocline.heartbeat import Turn
from halocline.ledger import Ledger, open_ledger
from halocline.mapping.near import near
from halocline.outcome import Counts
from halocline.place import place_of
from halocline.run import Flow, Run, Together, execute, survey_and_plan
from halocline.schema import Schema
from halocline.snapshot_source import Instant
from halocline.spool import Spool, sweep
from halocline.sync_options import check_seconds
from halocline.unfinished import is_spoilt

_DOING = "Reading the tables"
FULL, INCREMENTAL = "table_full", "table_incremental"


@dataclass(frozen=True, slots=True)
class TableCopy:
    """One table of the source (or a `query` to it) into one of the destination, of the same name unless `to` says another.

    `build` makes rows of each item: a function, or `module:function`. Its rows are held to the columns that the target has, or to
    those of `schema` (column -> type, as `declared` reads them). `columns` are those to load (None: all). `mode` is `replace`
    (everything is read, and takes the place of the rows there) or `merge` (by `key`: rows that are not read stay). `cursor` is
    the source's column that says when a row was last written: a merge then reads what is newer, and what was written `overlap_s`
    seconds before. `filter` and `projection` are in the source's own words, `options` what else it takes.
    `adopt` replaces rows that this flow never put there. `allow_empty` lets an emptied source empty the table; `max_rejected` is
    how many of its items may be refused, a count or a share. `csv` is a file that gets the same rows.
    """

    source: str | None = None
    to: str | None = None
    query: str | None = None
    build: str | Builder | None = None
    schema: Mapping[str, str] | None = None
    columns: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    mode: str = "replace"
    key: Sequence[str] = ()
    cursor: str | None = None
    overlap_s: float | None = None
    filter: str | None = None
    projection: str | Sequence[str] | None = None
    segments: int | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    adopt: bool = False
    allow_empty: bool = False
    max_delete_share: float = 0.5
    max_rejected: float = MAX_REJECTED
    csv: str | Path | None = None

    def __post_init__(self) -> None:
        for name in ("columns", "exclude", "key"):
            if isinstance(value := getattr(self, name), str):  # one column; as a sequence it would be its letters
                object.__setattr__(self, name, (value,))
        if self.mode not in list(Mode):
            raise FixConfig(_DOING, f"mode={self.mode!r} is unknown", hint="Use replace or merge.")
        if (self.source is None) == (self.query is None):
            raise FixConfig(_DOING, "a table is read by its name or by a query, one of the two")
        if self.to is None and self.query is not None:
            raise FixConfig(_DOING, "a query has no name", hint="Say which table its rows go to.")
        if self.cursor is not None and self.mode != Mode.MERGE:
            raise FixConfig(_DOING, "a cursor finds what changed, which is merged", hint="Say mode=merge, or leave it out.")
        if self.overlap_s is not None:
            check_seconds("overlap_s", self.overlap_s)
        if self.max_rejected < 0 or (not isinstance(self.max_rejected, int) and self.max_rejected > 1):
            raise FixConfig(_DOING, f"max_rejected={self.max_rejected} is neither a count nor a share of 0 to 1")

    @property
    def named(self) -> str:
        """What is read, in a word."""
        return self.source or "query"

    @property
    def target(self) -> Target:
        """The table that is filled."""
        schema, dot, table = (self.to or self.source or "").rpartition(".")
        return Target(schema if dot else None, table)

    def asked(self, target: Schema | None) -> dict[str, object]:
        """What the source is asked for, by the names of options; what is not said is left out.

        `items` says that a builder reads, so that columns are of no use; `target` are the columns of the table that is there.
        """
        told: dict[str, object] = {"table": self.source, "query": self.query, "filter": self.filter, "cursor": self.cursor}
        told |= {"projection": self.projection, "overlap_s": self.overlap_s, "segments": self.segments}
        if self.build is not None:
            told["items"] = True
        else:
            told |= {"columns": self.columns, "exclude": self.exclude or None, "target": target}
            told["schema"] = None if self.schema is None else declared(self.schema, tuple(self.key))
        return {**{name: value for name, value in told.items() if value is not None}, **self.options}


class Tables:
    """Tables of `source` into `to`: URIs or live connections. With `together` all of them become visible at once, or none.

    `name` is the name of the flow, under which lease, positions and ledger know it. `folder` is where builders and CSV files are
    looked for. `wait_s` is how long another run of the same flow is waited for.
    """

    def __init__(
        self,
        source: object,
        to: object,
        *,
        tables: Sequence[TableCopy],
        name: str | None = None,
        together: bool = True,
        folder: Path | None = None,
        ledger: Ledger | None = None,
        settings: Settings | None = None,
        sink: Sink = silent,
        wait_s: float = 0.0,
        halt: Halt | None = None,
    ) -> None:
        if not tables:
            raise FixConfig(_DOING, "none is named", hint="Name at least one table.")
        check_seconds("wait_s", wait_s, endless=True)
        self._source = source
        self._to = to
        self._tables = tuple(tables)
        self._name = name or f"tables:{','.join(str(table.target) for table in tables)}".lower()
        self._together = together
        self._folder = folder or Path()
        files = [(self._folder / table.csv).resolve() for table in tables if table.csv is not None]
        if len(set(files)) < len(files):
            twice = next(file for file in files if files.count(file) > 1)
            raise FixConfig(_DOING, f"two of them have {twice} as their CSV file", hint="Name a file for each.")
        self._ledger = ledger
        self._settings = settings or Settings.from_env()
        self._sink = sink
        self._wait_s = wait_s
        self._halt = halt

    @property
    def tables(self) -> tuple[TableCopy, ...]:
        """What is copied, in order."""
        return self._tables

    def run(self, run: Run | None = None) -> Run:
        """Copy all tables by one commit; `run` shows how far it came, also when this raises.

        Raises: FixConfig where the tables do not go together; an error of `halocline.errors`; nothing was published then, but
        where a CSV file could not be written to its end: it is a copy of rows that are there.
        """
        run = run or Run.new()
        with self._opened(run) as (flows, ledger):
            if not self._together:
                raise FixConfig(f"Running {self._name}", "its tables are not to go together", hint="Use run_each.")
            whole: Flow | Together = flows[0] if len(flows) == 1 else Together(self._name, tuple(flows), place_of(self._to))
            if len(flows) > 1 and not flows[0].destination.abilities.together:
                hint = "Load one table a run, or say `together: false`: then each is published by itself."
                raise FixConfig(f"Running {self._name}", "this destination publishes tables one by one", hint=hint)
            for table, source in self._with_csv(flows):
                source.begin(self._folder / str(table.csv))
            execute(whole, run, ledger=ledger, sink=self._sink, turn=self._turn)
            self._write_csv(flows)
        return run

    def run_each(self) -> Iterator[tuple[TableCopy, Run, Exception | None]]:
        """Copy the tables one after the other, each by a commit of its own; a failure of one is in what is yielded."""
        for table in self._tables:
            run = Run.new()
            alone = Tables(
                self._source,
                self._to,
                tables=[table],
                name=self._name,
                folder=self._folder,
                ledger=self._ledger,
                settings=self._settings,
                sink=self._sink,
                wait_s=self._wait_s,
                halt=self._halt,
            )
            try:
                alone.run(run)
            except Exception as error:  # noqa: BLE001 - one failing stops no other; the caller is told of each
                yield table, run, error
            else:
                yield table, run, None

    def plan(self) -> list[tuple[TableCopy, Survey, Plan]]:
        """What `run` would do now, and why; nothing is read or changed.

        Raises: an error of `halocline.errors`.
        """
        with ExitStack() as stack:
            flows = self._flows(Run.new(), stack, read_only=True)
            return [(table, *survey_and_plan(flow)) for table, flow in zip(self._tables, flows, strict=True)]

    @property
    def _turn(self) -> Turn:
        return Turn(self._settings.lease_s, self._wait_s, self._halt)

    @contextmanager
    def _opened(self, run: Run) -> Iterator[tuple[list[Flow], Ledger]]:
        sweep(self._settings.spool)
        with ExitStack() as stack:
            ledger = self._ledger or stack.enter_context(open_ledger(self._settings.ledger, keep_s=self._settings.keep_s))
            yield self._flows(run, stack), ledger

    def _flows(self, run: Run, stack: ExitStack, *, read_only: bool = False) -> list[Flow]:
        """Both sides, connected until the stack is closed, in a flow for each table."""
        spool = Spool(run.id, self._settings.spool)
        stack.push(partial(_put_away, spool))
        limit = self._settings.duckdb_memory
        destination = registry.open_destination(self._to, spool=spool, memory_limit=limit, read_only=read_only, sink=self._sink)
        stack.callback(destination.close)
        asked = resolved(self._source)
        reader = registry.reader_of(asked)
        connection = registry.connect(reader, lent(destination, asked), memory_limit=limit, sink=self._sink)
        stack.callback(connection.close)
        flows = []
        for number, table in enumerate(self._tables):
            target = None if table.build is not None else destination.columns(table.target)
            with _of_table(number):
                source = registry.open_source(reader, connection.view(halt=self._halt), spool=spool, **table.asked(target))
            if isinstance(connection, Instant) and number == len(self._tables) - 1:  # it holds locks on what may be replaced
                source = LettingGo(source, connection.close)
            flows.append(self._flow(table, source, destination, spool=spool, number=number))
        return flows

    def _flow(self, table: TableCopy, source: Source, destination: Destination, *, spool: Spool, number: int) -> Flow:
        name = f"{self._name}->{table.target}".lower()
        if table.build is not None:
            schema = self._built_schema(table, destination)
            builder = builder_at(table.build, folder=self._folder)
            if table.cursor is None:
                source = BuiltSource(source, builder, schema)
            else:
                _refuse_others(table, destination.flows(table.target), flow=name)
                source = BuiltChanges(source, builder, schema, key=schema.key)
        if self._halt is not None:
            source = Halted(source, self._halt)
        if table.csv is not None:
            source = CsvCopy(source, spool=spool, name=f"copy-{number}")
        decision = partial(decide_copy, table=table, flow=name)
        return Flow(name, table.named, source, destination, table.target, decision, place=place_of(self._to))

    def _built_schema(self, table: TableCopy, destination: Destination) -> Schema:
        """The columns that a builder fills.

        Raises: FixConfig where nobody says which; NotFound for a column, also one to leave out, that is not among them.
        """
        doing = f"Looking for the columns of {table.target}"
        if table.schema is not None:
            whole = declared(table.schema, tuple(table.key))
        else:
            found = destination.columns(table.target)
            if found is None:
                hint = "Make the table, or say which columns it is to have: schema: {caseId: text not null, ...}"
                raise FixConfig(doing, "there is no such table, and no schema is declared", hint=hint)
            whole = found
        for name in (*(table.columns or ()), *table.exclude):
            if whole.column(name) is None:
                raise NotFound(doing, f"there is no column {name!r}", suggestions=near(name, whole.names))
        chosen = whole if table.columns is None else whole.select(table.columns)
        out = {name.lower() for name in table.exclude}
        columns = tuple(column for column in chosen if column.name.lower() not in out)
        key = tuple(table.key) or whole.key
        return Schema(columns, key)

    def _write_csv(self, flows: Sequence[Flow]) -> None:
        for table, source in self._with_csv(flows):
            try:
                source.finish(self._folder / str(table.csv))
            except HaloclineError as error:
                self._sink(Noticed(f"The rows are in {table.target}, but not in {table.csv}. {error}"))
                raise

    def _with_csv(self, flows: Sequence[Flow]) -> Iterator[tuple[TableCopy, CsvCopy]]:
        for table, flow in zip(self._tables, flows, strict=True):
            if table.csv is not None and isinstance(flow.source, CsvCopy):
                yield table, flow.source


def decide_copy(survey: Survey, destination: Abilities, *, table: TableCopy, flow: str) -> Plan:  # noqa: ARG001 - as every decision
    """The plan of one table, with its reasons.

    Raises: FixConfig for a merge without a key, NotFound for a key that is not among the columns.
    """
    doing = f"Planning the copy of {survey.object}"
    mode = Mode(table.mode)
    key = tuple(table.key) or survey.schema.key
    missing = [name for name in key if survey.schema.column(name) is None]
    if missing:
        raise NotFound(
            doing, f"the key {missing[0]!r} is not among the columns", suggestions=near(missing[0], survey.schema.names)
        )
    if mode is Mode.MERGE and not key:
        raise FixConfig(doing, "a merge needs a key, and the source has none", hint="Name the columns that tell rows apart.")
    full = survey.window[0] is None
    return Plan(
        flow=flow,
        object=survey.object,
        method=FULL if full else INCREMENTAL,
        reasons=(*_reasons(survey, mode, key), *_stays(table, full=full), *survey.notes),
        query=survey.query,
        window=survey.window,
        next_position=survey.next_position,
        mode=mode,
        key=tuple(column.name for name in key if (column := survey.schema.column(name)) is not None),
        schema=survey.schema,
        cursor=survey.cursor,
        deletes=Deletes.HARD,
        delete_flag=survey.delete_flag,
        expected_rows=survey.estimated_rows,
        allow_empty=table.allow_empty,
        allow_replace=table.adopt,
        max_delete_share=table.max_delete_share,
        once=survey.abilities.once,
        max_rejected=table.max_rejected,
        concluded=table.build is not None and table.cursor is not None,
    )


def _refuse_others(table: TableCopy, flows: Sequence[str], *, flow: str) -> None:
    """See that nobody else fills the table of a builder with a cursor: items that become no row take rows of their key along.

    Raises: FixConfig.
    """
    others = [name for name in flows if name != flow]
    if others:
        cause = f"two flows fill one table: {others[0]} does too, and its rows would go with items of which no row is built here"
        hint = (
            "Give each a table of its own. If the other one is no more, let this one replace the table once:"
            " mode=replace and adopt=True, without the cursor."
        )
        raise FixConfig(f"Planning the copy into {table.target}", cause, hint=hint)


def _reasons(survey: Survey, mode: Mode, key: Sequence[str]) -> Iterator[str]:
    low = survey.window[0]
    if low is not None:
        yield f"Only what was written since {low} is read, and merged by {', '.join(key)}."
    elif survey.full_reason:
        stays = f" All of it is merged by {', '.join(key)}; rows that are not read stay." if mode is Mode.MERGE else ""
        yield f"Everything is read: {survey.full_reason}.{stays}"
    elif mode is Mode.MERGE:
        yield f"Everything is read, and merged by {', '.join(key)}; rows that are not read stay."
    else:
        yield "Everything is read, and takes the place of the rows there."


def _stays(table: TableCopy, *, full: bool) -> Iterator[str]:
    if table.build is None or table.mode != Mode.MERGE:
        return
    if full:
        yield "Rows that an item was built into before, and is not any more, stay too: nobody knows whose they are."
    if table.cursor is not None:
        yield f"{'In later runs items' if full else 'Items'} that become no row take the row of their key along."


@contextmanager
def _of_table(number: int) -> Iterator[None]:
    """An error about an option says by `facts["table"]` which of the tables has it."""
    try:
        yield
    except FixConfig as error:
        error.facts.setdefault("table", number)
        raise


def _put_away(spool: Spool, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:  # noqa: ARG001  # an exit's
    """Delete a run's files; also what a later run might use, where it will not, or where that would keep a full disk full."""
    spool.close(everything=error is not None and (isinstance(error, StorageFailed) or is_spoilt(error)))


def copy(source: object, to: object, tables: str | TableCopy | Sequence[str | TableCopy], **options: Any) -> Run:
    """Copy tables of `source` into `to`, URIs or live connections, by one commit; what became of each is in `Run.tables`.

    `tables` are names, or `TableCopy`s; `options` are those of `Tables`: `name`, `ledger`, `settings`, `sink`, ...
    Raises: as `Tables.run`.
    """
    named = [tables] if isinstance(tables, (str, TableCopy)) else tables
    wanted = [TableCopy(one) if isinstance(one, str) else one for one in named]
    return Tables(source, to, tables=wanted, **options).run()


def told_of(table: TableCopy, run: Run, *, error: Exception | None = None) -> dict[str, object]:
    """What is told to programs of one table."""
    counts = run.counts or Counts()
    told: dict[str, object] = {
        "from": table.named,
        "to": str(table.target),
        "method": None if run.plan is None else run.plan.method,
        "read": run.rows_read,
        "rows_read": run.rows_read,
        "counts": counts.to_json(),
        **{
            name: value for name, value in counts.to_json().items() if name not in ("highest", "in_doubt", "not_sent", "vanished")
        },
        "success": error is None,
    }
    return told if error is None else {**told, "error": str(error) or type(error).__name__}
