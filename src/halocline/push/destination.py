"""The contracts between a push and the system that takes its rows one by one.

    load = destination.open(order, folder, journal=journal)
    load.stage(batch) for every batch          rows lie in `folder`, mapped and numbered; nothing is sent
    plan = load.plan()                         folded, sorted, cut into chunks; durable; nothing is sent
    for told in load.outcomes():               chunk after chunk: intended, sent, told, settled
        ledger.record(told)
    load.close()

There is no commit: what was sent stays. So every chunk is journaled before it is sent, and a load that is opened on the folder of
a run that died takes up its work: it tells again what is known, asks what became of the chunks that were open, sends the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from halocline.batch import JSON
from halocline.connector import Journal
from halocline.outcome import RowResult
from halocline.push.order import Api, WriteOrder

if TYPE_CHECKING:
    import pyarrow as pa

Records: TypeAlias = Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Some rows, each with its number in the source (from 0, growing): Arrow, or dicts in which a missing key is "untouched"."""

    numbers: Sequence[int]
    rows: pa.RecordBatch | Records


@dataclass(frozen=True, slots=True)
class WritePlan:
    """How the staged rows will be sent, with the reasons; pure data, JSON.

    `rows` are sent in `chunks` requests or jobs; `folded` more share a key with a later row and travel in it. `calls` is how many
    API calls that takes when all goes well, looks at running jobs not counted. `digest` tells two inputs apart.
    """

    api: Api
    reasons: tuple[str, ...]
    rows: int
    folded: int
    chunks: int
    calls: int
    digest: str
    sorted_by: str | None = None

    def to_json(self) -> dict[str, JSON]:
        """The plan as plain JSON data."""
        data: dict[str, JSON] = {name: getattr(self, name) for name in self.__slots__}
        return {**data, "reasons": list(self.reasons)}

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> WritePlan:
        """The plan that `to_json` wrote."""
        values: dict[str, Any] = {name: value for name, value in data.items() if name in cls.__slots__}  # earlier ones held rows
        return cls(**{**values, "api": Api(values["api"]), "reasons": tuple(values["reasons"])})


@dataclass(frozen=True, slots=True)
class Told:
    """What became known of some rows of a chunk; every staged row, folded ones included, is in exactly one.

    `written` has the columns `row` (int64), `id` (string) and `created` (bool, null where Salesforce does not tell); `others`
    are the rows that were not written, or may not have been. `piece` counts the Tolds of a chunk from 0 and is the same when
    the chunk is told again. `again`: it was known before this load was opened.
    """

    chunk: str
    piece: int = 0
    written: pa.RecordBatch | None = None
    others: tuple[RowResult, ...] = ()
    job_id: str | None = None
    again: bool = False

    @property
    def rows(self) -> int:
        """How many rows this tells of."""
        return len(self.others) + (0 if self.written is None else int(self.written.num_rows))


class RowLoad(Protocol):
    """The rows of one push on their way. One thread calls it."""

    def stage(self, batch: RowBatch) -> Sequence[RowResult]:
        """Put rows aside durably; answers those that can never be sent (NOT_SENT, with code and message), and puts them not.

        Raises: StorageFailed; FixConfig for columns that cannot be sent at all.
        """

    def plan(self) -> WritePlan:
        """Decide how the staged rows will be sent, and make that durable. Called once, after the last `stage`."""

    def first(self) -> Sequence[Mapping[str, JSON]]:
        """The first of the planned rows, as they will be sent: for a person's look, so a handful."""

    def folded(self) -> Iterator[tuple[int, int]]:
        """The rows that travel in a later row with the same key: (row, the row that it travels in)."""

    def outcomes(self, *, sending: Callable[[Sequence[int]], None] | None = None) -> Iterator[Told]:
        """Send, and tell what became of the rows, as it becomes known; `sending` hears the row numbers of a chunk before it goes.

        A chunk is intended in the journal before anything of it is sent, and settled when the caller asks for what follows its
        last piece. Rows that were never tried because the order stops on errors come last, as NOT_SENT.
        Raises: RetryLater, FixConfig or Stop for what ends the push as a whole; the rows of unsettled chunks are then untold.
        """

    def settle(self) -> Iterator[Told]:
        """As `outcomes`, but send nothing: tell what is known, wait for jobs that run, abort those that never began.

        What remains untold was never tried, and may still be sent by `outcomes` of a load opened later.
        """

    def left(self) -> Path:
        """Shrink the folder to the staged rows that were refused or not sent, for another try, and say where they are.

        Rows in doubt are put beside them, apart: `RowDestination.left` reads both.
        """

    def close(self) -> None:
        """Let go of open files; the folder stays. Idempotent."""


class RowDestination(Protocol):
    """A connection to a system that takes rows one by one."""

    @property
    def org(self) -> str:
        """Which system this is, durably: a run is only ever resumed where it was begun."""

    @property
    def calls(self) -> int:
        """Calls made to the other side so far."""

    def describe(self, sobject: str) -> Mapping[str, Any]:
        """What the other side says of an object: the JSON of a describe. Asked once per object.

        Raises: NotFound, with suggestions.
        """

    def open(self, order: WriteOrder, folder: Path, *, journal: Journal | None = None) -> RowLoad:
        """A load in `folder`: a new one, or the one that was begun there. Without a journal it can stage and plan only."""

    def left(self, folder: Path, *, in_doubt: bool = False) -> Iterator[RowBatch]:
        """The rows that `RowLoad.left` kept in a folder, under their numbers, as a load of the same order stages them; with
        `in_doubt` those in doubt as well.
        """

    def close(self) -> None:
        """Let go of connections that this destination opened itself."""
