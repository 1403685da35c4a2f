"""The contracts between the loop, sources and destinations, and the values that cross them.

One load, in order:

    survey = source.survey(position)      plan = decide(survey, ...)      plan = source.take_up(plan)
    lease = destination.claim(flow)
    unit = destination.begin(lease)
    load = unit.open(target, plan, journal)
    for part in source.parts(plan):      manifest = load.stage(part, source.read(part))      (any thread)
    for outcome in load.outcomes():      ledger.record(outcome)
    source.check(plan, manifests)
    unit.commit({flow: plan.next_position}, manifests)
    source.ack(receipts)

Leaving before `commit` changes nothing that a reader of the destination sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from halocline.batch import JSON, Batch, Position
from halocline.errors import FixConfig
from halocline.outcome import Counts, Outcome
from halocline.schema import Schema

if TYPE_CHECKING:
    import pyarrow as pa


OVERLAP_S = 600.0
"""Seconds read again before a position: what was stamped before it may be seen later, in Salesforce ten minutes (Apex limits)."""
MAX_REJECTED = 0.1  # of what is read; more refusals than that are one mistake, and no odd records


class Mode(StrEnum):
    """How rows meet a table: REPLACE publishes a new table in place of the old, MERGE changes rows by key."""

    REPLACE = "replace"
    MERGE = "merge"


class Deletes(StrEnum):
    """What a record deleted at the source becomes: a row with its flag set, no row, or nothing."""

    SOFT = "soft"
    HARD = "hard"
    IGNORE = "ignore"


class Contract(StrEnum):
    """What becomes of columns that differ from the last read: EVOLVE adds new ones, FREEZE refuses to read, DISCARD leaves new
    ones out.
    """

    EVOLVE = "evolve"
    FREEZE = "freeze"
    DISCARD = "discard"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a connector can do, as data, checked while planning.

    `bulk`: the source has a bulk way for this object; `bulk_reason` says why not. `raw_csv`: the destination takes CSV
    files as received. `transactional`: rows and position become visible together. `holds_position`: `position` works.
    `stage`: the destination has a remote stage that `stage_name` can name. `once`: a Bulk read of the source holds each record
    once, so a key that arrives twice means that a page came in place of another (a REST page may come twice). `one_writer`: the
    destination's claims and commits of several runs in this process have to come one after the other. `shared`: several runs may
    work over one live connection at the same time. `history`: the
    destination can keep every version of a row (`versions`). `together`: a unit takes several tables, and all of them become
    visible by its one commit.
    """

    bulk: bool = False
    bulk_reason: str = ""
    raw_csv: bool = False
    transactional: bool = False
    holds_position: bool = False
    stage: bool = False
    once: bool = False
    max_query_bytes: int = 0
    one_writer: bool = False
    shared: bool = False
    history: bool = False
    together: bool = False


@dataclass(frozen=True, slots=True)
class About:
    """What a connector says of itself before any driver is loaded, as `ABOUT` in its package.

    `title` is its name for people, `schemes` are those of the URIs that it knows (without `:`), `example` is one of them.
    `schema` is where a table lies for which none is named (None: the other side decides). `history`: it can keep versions.
    `stage`: it has stages that can be named.
    """

    title: str
    schemes: tuple[str, ...]
    example: str
    schema: str | None = None
    history: bool = False
    stage: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that refers to rows of other objects: its name at the source, and the objects (several: it may be any of them)."""

    column: str
    objects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ObjectChoice:
    """The objects that names and patterns stand for, and those left out on the way, each with the reason."""

    objects: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Survey:
    """What a source says before reading.

    `estimated_rows` counts the rows in the window, overlap included. `server_time` is the source's own clock (ISO 8601,
    UTC). `complete_until` is the instant before which the source promises that nothing more will appear (None: it does
    not say). `window` is the half-open range `[low, high)` of the cursor that `since` and the clock give; low is None on
    a first read. `carried_until` is the instant before which all is carried already, as the given position says. `refresh`
    says why everything is read although the position is good: columns are due that change without a stamp. `fresh` names the
    columns that no row before the given position had: a table may lack these and still have all there was. `same_question`:
    everything is read for `full_reason`, but no other rows are asked for than before, so that those of the table which the answer
    lacks are gone at the source. `conditional`: only records that meet a condition are asked for, so that one which the answer
    lacks may be there all the same. `emptied`: the table, which has a position, has no rows, and is read anew. `masked_anew` are
    the columns that are masked and that the last read did not have, with their names at the source.
    """

    object: str
    schema: Schema
    estimated_rows: int
    server_time: str
    complete_until: str | None
    cursor: str | None
    delete_flag: str | None
    window: tuple[str | None, str]
    abilities: Abilities
    next_position: Position
    query: str
    query_bytes: int = 0
    full_reason: str | None = None
    notes: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    carried_until: str | None = None
    refresh: str | None = None
    fresh: tuple[str, ...] = ()
    same_question: bool = False
    conditional: bool = False
    emptied: bool = False
    masked_anew: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision, with its reasons: pure data, JSON.

    `method` is one of the documented names (`bulk_api_full`, ...); `next_position` is what commit stores. `once`: the source
    promises each record once; a destination refuses rows that repeat its key. `history`: the table keeps every version of a row,
    and is only ever merged into (`versions`). `complete`: what is merged is all that the source has, so that current rows of
    the table which it lacks are gone: with `history` their versions end, else they stay, flagged where deletes are soft, and as
    they are where they are ignored (with hard ones such a plan replaces). `conditional`: what a complete read lacks need not
    be gone (`Survey.conditional`), so that with `history` its version ends without a flagged one. `continues` is the earlier run
    whose work at the source is gone on with.
    `stage_name` is the remote stage that the user named. `max_rejected` is how much of what is read may be refused before nothing
    is published: a whole number counts, a fraction is a share. `concluded`: that rows go was not told by the source, but
    concluded from what its items are now; then they empty no table, as an emptied source empties none.
    """

    flow: str
    object: str
    method: str
    reasons: tuple[str, ...]
    query: str
    window: tuple[str | None, str]
    next_position: Position
    mode: Mode
    key: tuple[str, ...]
    schema: Schema
    cursor: str | None
    deletes: Deletes
    delete_flag: str | None
    expected_rows: int
    allow_empty: bool = False
    allow_replace: bool = False
    max_delete_share: float = 0.5
    once: bool = False
    history: bool = False
    complete: bool = False
    conditional: bool = False
    continues: str | None = None
    stage_name: str | None = None
    max_rejected: float = MAX_REJECTED
    concluded: bool = False

    @property
    def api(self) -> str:
        """`rest`, `bulk` or `bulk_stage`: how the rows travel."""
        if self.method.startswith("regular"):
            return "rest"
        return "bulk_stage" if "stage" in self.method else "bulk"

    @property
    def full(self) -> bool:
        """Whether everything is read, not only what changed."""
        return self.method.endswith("_full")

    @property
    def whole(self) -> bool:
        """Whether what is loaded is all that the table is to show, not only what changed."""
        return self.mode is Mode.REPLACE or self.complete

    @property
    def cursor_columns(self) -> tuple[str, ...]:
        """The name of the cursor's column as the schema spells it; none where there is none."""
        return self._spelled(self.cursor)

    @property
    def flag_columns(self) -> tuple[str, ...]:
        """Likewise the column that marks deleted rows."""
        return self._spelled(self.delete_flag)

    @property
    def other_columns(self) -> tuple[str, ...]:
        """The columns that are not of the key."""
        keys = {name.lower() for name in self.key}
        return tuple(name for name in self.schema.names if name.lower() not in keys)

    @property
    def own_key(self) -> tuple[str, ...]:
        """The source's own key columns; none where the chosen key holds them, or the source has none."""
        chosen = {name.lower() for name in self.key}
        return () if all(name.lower() in chosen for name in self.schema.key) else tuple(self.schema.key)

    def _spelled(self, name: str | None) -> tuple[str, ...]:
        column = self.schema.column(name) if name else None
        return () if column is None else (column.name,)

    def to_json(self) -> dict[str, JSON]:
        """The plan as plain JSON data."""
        data: dict[str, JSON] = {name: getattr(self, name) for name in self.__slots__}
        lists = {"reasons": list(self.reasons), "window": list(self.window), "key": list(self.key)}
        return {**data, **lists, "mode": str(self.mode), "deletes": str(self.deletes), "schema": self.schema.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Plan:
        """The plan that `to_json` wrote."""
        values = dict(data)
        for name in ("reasons", "window", "key"):
            values[name] = tuple(values[name])  # type: ignore[arg-type]  # JSON of our own making
        values["mode"], values["deletes"] = Mode(str(values["mode"])), Deletes(str(values["deletes"]))
        values["schema"] = Schema.from_json(values["schema"])  # type: ignore[arg-type]  # likewise
        return cls(**values)  # type: ignore[arg-type]  # likewise


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a read that can run alone, anywhere: a result page, a key range. `id` is safe in a file name."""

    id: str
    spec: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """A table: its schema (None: the connection's own) and its name.

    Raises: FixConfig for a name with half of a character in it, which no system has.
    """

    schema: str | None
    table: str

    def __post_init__(self) -> None:
        for name in (self.schema or "", self.table):
            if not name.isascii() and any("\ud800" <= char <= "\udfff" for char in name):
                hint = "Look at the encoding in which it was written."
                raise FixConfig("Naming a table", f"{name!r} has half of a character in it", hint=hint)

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}" if self.schema else self.table


@dataclass(frozen=True, slots=True)
class Manifest:
    """One staged part: rows and bytes staged, where (`files`, only the load understands them), and receipts for `ack`."""

    part: str
    rows: int
    bytes: int = 0
    deletes: int = 0
    checksum: str = ""
    lowest: str | None = None
    highest: str | None = None
    files: tuple[str, ...] = ()
    receipts: tuple[JSON, ...] = ()


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run a flow. `fence` grows with every claim; a commit with an older one fails."""

    flow: str
    owner: str
    fence: int


class Journal(Protocol):
    """The intents of a run, written before anything is sent that cannot be taken back."""

    def intend(self, chunk: str, detail: JSON = None) -> None:
        """Remember durably that `chunk` is about to be sent."""

    def remote(self, chunk: str, job_id: str) -> None:
        """Remember durably which remote job carries `chunk`."""

    def settle(self, chunk: str, outcome: Outcome) -> None:
        """Remember durably what became of `chunk`; it is no longer open."""

    def open(self) -> Sequence[tuple[str, JSON, str | None]]:
        """The chunks intended and not settled, oldest first: (chunk, detail, remote job id or None)."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Work that an earlier run of a flow began at the source and did not bring to its end.

    `chunk`, `detail` and `remote` are as that run's journal has them; `plan` is that run's (None: it cannot be read any more, or
    its rows are in the table that is to be read anew).
    """

    run: str
    chunk: str
    detail: JSON = None
    remote: str | None = None
    plan: Plan | None = None


class Source(Protocol):
    """A connection plus what to read there. `read` runs in any thread; everything else in the loop's."""

    @property
    def calls(self) -> int:
        """Calls made to the other side so far."""

    def survey(self, since: Position | None) -> Survey:
        """Look, cheaply: schema, rows to expect after `since`, clock, abilities.

        Raises: FixConfig for a missing object or right, RetryLater for a network or quota failure.
        """

    def take_up(self, plan: Plan, *, journal: Journal, left: Sequence[Unfinished]) -> Plan:
        """The plan to carry out: one that goes on with work that is `left` (newest first), or `plan` itself. Once for each plan.

        What `parts` begins at the other side and what outlives the run, it intends in `journal` first. Left work that does not
        fit is let go of here. When this returns, the loop settles all that was left, so what goes on is in `journal` by then;
        when this raises, the next run is asked again. What a run intended, the loop settles once its rows are durable.
        """

    def parts(self, plan: Plan) -> Iterator[Part]:
        """The pieces to read; may wait between them (result pages of a running job). Called once a run."""

    def read(self, part: Part, resume: Position | None = None) -> Iterator[Batch]:
        """The rows of a part, in order; repeating a part gives the same rows.

        Raises: Truncated when fewer rows arrive than announced, after fetching again.
        """

    def again(self, plan: Plan, keys: Sequence[JSON]) -> Iterator[Batch]:
        """The rows with these values of the plan's key as they are now, in the plan's columns; those that are gone do not come.

        For a few rows among many, after `survey` and in any thread; not a part of a run's `parts`.
        Raises: FixConfig where rows cannot be asked for by that key.
        """

    def check(self, plan: Plan, manifests: Sequence[Manifest]) -> None:
        """Hold what was staged against what the other side says it sent; before commit.

        Raises: Truncated when they differ.
        """

    def ack(self, receipts: Sequence[JSON]) -> None:
        """Let go of what was read (delete a job, a message); only called once the rows are durable. Idempotent."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What is said behind a read: the position after it, and how many of its rejections an earlier run has told already."""

    position: Position
    known: int = 0


def ending_of(source: Source, plan: Plan) -> Ending:
    """What a source that has a method `ending` says once all parts are read; of any other, what the plan says."""
    told: Callable[[Plan], Ending] | None = getattr(source, "ending", None)
    return Ending(plan.next_position) if told is None else told(plan)


def survey_of_all(source: Source, since: Position) -> Survey:
    """The survey of everything, for a table whose rows are to be read anew although it has a position.

    A source that has a method `survey_of_all` holds its columns to what that position says of them, and heeds whether the same
    question is asked (`Survey.same_question`); of any other it is that of a first read, and the same.
    """
    told: Callable[[Position], Survey] | None = getattr(source, "survey_of_all", None)
    return replace(source.survey(None), same_question=True) if told is None else told(since)


def again_of_all(source: Source, plan: Plan, *, keys: Sequence[JSON]) -> Iterator[Batch] | None:
    """What `Source.again` brings, whatever condition the source reads under; None where it cannot be asked so.

    A source that has a method `again_of_all` is asked by it; any other has no condition.
    """
    told: Callable[[Plan, Sequence[JSON]], Iterator[Batch] | None] | None = getattr(source, "again_of_all", None)
    return source.again(plan, keys) if told is None else told(plan, keys)


def lacking(destination: Destination, target: Target, *, schema: Schema) -> tuple[str, ...]:
    """The columns of `schema` that a table lacks, where the destination has a method `lacks` that tells; of any other, none.

    A column that was made, and that no commit has filled since, is lacking, too. It is asked behind `position`, and may answer
    by what was seen of the table then.
    """
    told: Callable[[Target, Schema], tuple[str, ...]] | None = getattr(destination, "lacks", None)
    return () if told is None else told(target, schema)


def emptied(destination: Destination, flow: str, *, target: Target) -> Position | None:
    """The position of a table that has no rows, where the destination has a method `emptied` that tells; of any other, None.

    It is asked behind `position`, which tells of no such table.
    """
    told: Callable[[str, Target], Position | None] | None = getattr(destination, "emptied", None)
    return None if told is None else told(flow, target)


def make(destination: Destination) -> None:
    """Have a destination make its file at once, where it has a method `make` because it does so late; of any other, nothing."""
    told: Callable[[], None] | None = getattr(destination, "make", None)
    if told is not None:
        told()


def lent(destination: Destination, session: object) -> object:
    """What a source of `session` is opened with while `destination` is open, where that has a method `lend`; else `session`.

    A file may not be open twice in one process, and a connection not in two transactions.
    Raises: FixConfig where the destination cannot be written to while `session` is read.
    """
    told: Callable[[object], object] | None = getattr(destination, "lend", None)
    return session if told is None else told(session)


class Load(Protocol):
    """An open write to one table, ended by its unit's commit."""

    def ticket(self) -> JSON:
        """What `Destination.attach` needs to open this load in another process."""

    def stage(self, part: Part, batches: Iterator[Batch]) -> Manifest:
        """Put a part aside, unseen by readers: exactly one manifest a part. Repeating a part is harmless. Any thread."""

    def outcomes(self) -> Iterator[Outcome]:
        """What became of chunks, as it becomes known; all of it before commit returns."""


class Unit(Protocol):
    """One or several tables that become visible together, or not at all."""

    def open(self, target: Target, plan: Plan, journal: Journal) -> Load:
        """Start a load into `target`.

        Raises: SchemaConflict when a column's type changed, NotFound when the key column is missing.
        """

    def commit(self, positions: Mapping[str, Position], manifests: Sequence[Manifest]) -> Counts:
        """Publish rows and positions together; the only step that readers see.

        A table stores the position of its own plan's flow; where `positions` has none of that name, all of them.

        Raises: LeaseLost when a newer run claimed the flow, Refused for an empty or gutting answer, StorageFailed,
        Truncated when staged rows and manifests differ.
        """

    def counts_of(self, target: Target) -> Counts:
        """What the commit did with one of the tables; only after it, and where tables go together."""

    def close(self) -> None:
        """Let go of everything staged and open. Idempotent; after commit, or instead of it."""


class Destination(Protocol):
    """A connection plus what can be written there."""

    @property
    def abilities(self) -> Abilities:
        """What this destination can do."""

    def claim(self, flow: str, owner: str) -> Lease:
        """Take the flow: the newest claim wins, older ones fail at commit."""

    def position(self, flow: str, target: Target) -> Position | None:
        """The position of the last commit; None when there is none, or `target` does not exist any more, or was emptied."""

    def flows(self, target: Target) -> Sequence[str]:
        """The flows whose positions a table holds; none where it does not exist, or is empty."""

    def columns(self, target: Target) -> Schema | None:
        """The columns of a table that a load may fill, as they stand there; None where there is no table.

        `source_type` is the destination's own word; a plan with that word for a column brings what this very type takes.
        """

    def rows(self, target: Target, plan: Plan, *, keys: Sequence[JSON] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of a table in the plan's columns, names and Arrow types, in any order, in flat memory; to compare them.

        A column that the table lacks is null; of a table with history the current rows. `keys` are values of the plan's key:
        with them other rows may be left out, and need not be.
        Raises: NotFound where there is no table, or it lacks the key; SchemaConflict for a column of another type.
        """

    def recover(self, journal: Journal) -> Iterator[Outcome]:
        """What became of the open intents of a dead run."""

    def begin(self, lease: Lease) -> Unit:
        """Open a unit of work."""

    def attach(self, ticket: JSON) -> Load:
        """The same load, opened in another process."""

    def close(self) -> None:
        """Let go of connections that this destination opened itself."""
