"""Spooled: a load whose parts are put aside as files of the spool, unseen by readers of its table, until its unit commits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from halocline.batch import JSON, Batch, Op, Raw, fitted
from halocline.connector import Manifest, Part, Plan, Target
from halocline.errors import Truncated
from halocline.moments import refuse_misfits
from halocline.outcome import Outcome
from halocline.quantity import quantity
from halocline.schema import Schema
from halocline.spool import Spool, arriving, storage
from halocline.staged import manifest_of, pieces_of, wanted

_ARROW = "arrow"
_NO_STAMP = "Name another column as the cursor, correct it at the source, or leave such rows out; nothing was published."


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One file of a part: `rows` rows in `columns`, `bytes` in all, Arrow or another `kind`; `load` is the label of its load."""

    load: str
    op: Op
    path: str
    rows: int
    bytes: int
    columns: tuple[str, ...]
    kind: str = _ARROW

    def to_text(self) -> str:
        """This value as the text that a manifest carries; `from_text` reads it back."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_text(cls, text: str) -> StagedFile:
        """The value that `to_text` wrote."""
        data = json.loads(text)
        return cls(**{**data, "op": Op(data["op"]), "columns": tuple(data["columns"])})

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of an Arrow stream, a batch at a time.

        Raises: Truncated when the file holds other rows than announced.
        """
        seen = 0
        with storage("Reading the staged files"):
            file = pa.OSFile(self.path)
        with file, pa.ipc.open_stream(file) as stream:
            for batch in stream:
                seen += batch.num_rows
                yield batch
        if seen != self.rows:
            cause = f"a staged file holds {quantity(seen, 'row')}, and {self.rows:,} announced"
            raise Truncated("Loading the staged files", cause, hint="Run it again; nothing was published.", rows=seen)


def staged_files(manifests: Iterable[Manifest]) -> list[StagedFile]:
    """The files that the manifests name; of a part staged more than once, those of its last manifest.

    Raises: Truncated when a manifest counts other rows than its files were to hold.
    """
    return pieces_of(manifests, StagedFile.from_text, doing="Loading the staged files", called="files")


class SpooledLoad:
    """An open write to one table, whose `label` is the same however the caller spells its name.

    Staging touches the spool only, so any thread may do it, and any process that shares the spool's folder.
    """

    def __init__(self, target: Target, plan: Plan, *, label: str, spool: Spool) -> None:
        self.target = target
        self.plan = plan
        self.label = label
        self._spool = spool
        self._digest = hashlib.sha256(label.encode()).hexdigest()[:12]

    def ticket(self) -> JSON:
        """What `of_ticket` needs to open this load in another process."""
        target = {"schema": self.target.schema, "table": self.target.table}
        return {"target": target, "plan": self.plan.to_json(), "label": self.label}

    @classmethod
    def of_ticket(cls, ticket: JSON, *, spool: Spool) -> Self:
        """The load that wrote `ticket`."""
        data: dict[str, Any] = dict(ticket)  # type: ignore[call-overload]  # JSON of our own making
        return cls(Target(**data["target"]), Plan.from_json(data["plan"]), label=data["label"], spool=spool)

    def stage(self, part: Part, batches: Iterator[Batch]) -> Manifest:
        """Put a part aside; doing it again replaces its files.

        Raises: SchemaConflict when a batch lacks a column or has one of another type, StorageFailed when the disk is full.
        """
        files: list[StagedFile] = []
        receipts: list[JSON] = []
        with putting_aside(part, self.plan, file=lambda op: self.file(part, op)) as aside:
            for batch in batches:  # outside of `storage`: an OSError of the source is no failure of the disk
                receipts.extend(receipt for receipt in batch.receipts if receipt not in receipts)
                as_it_came = None if batch.raw is None else self._as_received(batch.raw, batch.op, doing=aside.doing)
                if as_it_came is None:
                    aside.put(batch)
                else:
                    files.extend(as_it_came)
        with storage(f"Measuring the part {part.id}"):
            for op, made in aside.files.items():
                size = made.path.stat().st_size
                files.append(StagedFile(self.label, op, str(made.path), made.rows, size, made.schema.names))
        whole = sum(file.bytes for file in files)
        return manifest_of(part, files, size=whole, receipts=receipts, lowest=aside.lowest, highest=aside.highest)

    def outcomes(self) -> Iterator[Outcome]:
        """Nothing: the destination takes all rows, or refuses the commit."""
        return iter(())

    def file(self, part: Part, op: Op) -> Path:
        """Where the rows of a part go: the same name whenever the part is staged again."""
        return self._spool.file(f"{self._digest}-{part.id}.{op}.arrow")

    def forget(self) -> None:
        """Delete the files that were made here; files as received belong to the spool."""
        for path in self._spool.path.glob(f"{self._digest}-*"):
            with suppress(OSError):  # what cannot be deleted goes with its spool, or with a sweep
                path.unlink(missing_ok=True)

    def _as_received(self, raw: Raw, op: Op, *, doing: str) -> Sequence[StagedFile] | None:  # noqa: ARG002 - for those who can
        """What of a file is loaded as it came (nothing: it holds nothing); None: its rows are put aside."""
        return None


@dataclass(slots=True)
class ArrowFile:
    """An Arrow file in the making, which will be at `path`, and what is in it."""

    path: Path
    stream: pa.ipc.RecordBatchStreamWriter
    schema: Schema
    rows: int = 0


@dataclass(slots=True)
class Aside:
    """What has been put aside of one part so far: a file of rows, one of deletions, and the ends of the rows' cursor."""

    plan: Plan
    doing: str
    file: Callable[[Op], Path]
    open_files: ExitStack
    files: dict[Op, ArrowFile] = field(default_factory=dict)
    lowest: str | None = None
    highest: str | None = None

    def put(self, batch: Batch) -> None:
        """Put a batch aside.

        Raises: SchemaConflict when it lacks a column, has one of another type, or a stamp outside of the years 1 to 9999;
        StorageFailed when the disk is full.
        """
        for rows in batch.arrow():
            with storage(self.doing):
                self._write(rows, batch.op)

    def _write(self, rows: pa.RecordBatch, op: Op) -> None:
        file = self.files.get(op)
        if file is None:
            file = self.files[op] = self._open(wanted(self.plan, rows.schema.names, op=op, doing=self.doing), op)
        fit = fitted(rows, file.schema, doing=self.doing)
        file.stream.write_batch(fit)
        file.rows += fit.num_rows
        if op is Op.UPSERT:
            self._see(fit)

    def _open(self, schema: Schema, op: Op) -> ArrowFile:
        path = self.file(op)
        partial = self.open_files.enter_context(arriving(path))
        file = self.open_files.enter_context(pa.OSFile(str(partial), "wb"))
        return ArrowFile(path, self.open_files.enter_context(pa.ipc.new_stream(file, schema.arrow)), schema)

    def _see(self, rows: pa.RecordBatch) -> None:
        for name in self.plan.cursor_columns:
            refuse_misfits(rows.select([name]), doing=self.doing, hint=_NO_STAMP)
            ends = pc.min_max(rows.column(name)).as_py()
            if ends["min"] is None:
                return
            low, high = _text(ends["min"]), _text(ends["max"])
            self.lowest = low if self.lowest is None else min(self.lowest, low)
            self.highest = high if self.highest is None else max(self.highest, high)


@contextmanager
def putting_aside(part: Part, plan: Plan, *, file: Callable[[Op], Path]) -> Iterator[Aside]:
    """An `Aside` whose files, each where `file` says, are there and whole when the block has ended well.

    After a failure only that one is told: a file that could not be written cannot be ended either.
    Raises: StorageFailed when a file cannot be ended.
    """
    doing = f"Putting aside the part {part.id}"
    files = ExitStack()
    try:
        yield Aside(plan, doing, file, files)
        with storage(doing):
            files.pop_all().close()
    except BaseException as error:
        with suppress(OSError):
            files.__exit__(type(error), error, error.__traceback__)
        raise


def _text(value: object) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
