"""Load: puts the parts of a read aside as files, unseen by readers of the database, until its unit commits."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from halocline.batch import JSON, Batch, Op, Raw
from halocline.connector import Manifest, Part, Plan, Target
from halocline.connectors.duckdb.staging import StagedFile
from halocline.errors import SchemaConflict
from halocline.outcome import Outcome
from halocline.schema import Schema
from halocline.spool import Spool, arriving, discard, storage


class DuckDBLoad:
    """An open write to one table. Staging touches files only, never the database, so any thread or process may do it.

    CSV files as received stay where they are; Arrow batches become one file a part, written as they come.
    """

    def __init__(self, target: Target, plan: Plan, *, label: str, spool: Spool) -> None:
        self.target = target
        self.plan = plan
        self.label = label
        self._spool = spool

    def ticket(self) -> JSON:
        """What `DuckDBDestination.attach` needs to open this load in another process on this machine."""
        target = {"schema": self.target.schema, "table": self.target.table}
        return {"target": target, "plan": self.plan.to_json(), "label": self.label}

    def stage(self, part: Part, batches: Iterator[Batch]) -> Manifest:
        """Put a part aside; doing it again replaces its file.

        Raises: SchemaConflict when a batch lacks a column or has one of another type, StorageFailed when the disk is full.
        """
        doing = f"Putting aside the part {part.id}"
        with _first_failure() as files:
            aside = _Aside(self, part, files)
            for batch in batches:  # outside of `storage`: an OSError of the source is no failure of the disk
                with storage(doing):
                    aside.take(batch)
            with storage(doing):
                files.pop_all().close()
        return aside.manifest()

    def outcomes(self) -> Iterator[Outcome]:
        """Nothing: a database takes all rows, or refuses the commit."""
        return iter(())

    def forget(self) -> None:
        """Delete the files that were made here; files as received belong to the spool."""
        for path in self._spool.path.glob(f"{_digest(self.label)}-*"):
            discard(path)

    def file(self, part: Part, op: Op) -> Path:
        """Where the rows of a part go: the same name whenever the part is staged again."""
        return self._spool.file(f"{_digest(self.label)}-{part.id}.{op}.arrow")


@contextmanager
def _first_failure() -> Iterator[ExitStack]:
    """A stack whose closing tells, after a failure, of that one only: a file that could not be written cannot be ended either."""
    files = ExitStack()
    try:
        yield files
    except BaseException as error:
        with suppress(OSError):
            files.__exit__(type(error), error, error.__traceback__)
        raise


@dataclass(slots=True)
class _Writer:
    """An Arrow file in the making."""

    stream: pa.ipc.RecordBatchStreamWriter
    schema: Schema
    rows: int = 0


@dataclass(slots=True)
class _Aside:
    """What has been put aside of one part so far."""

    load: DuckDBLoad
    part: Part
    files: ExitStack
    writers: dict[Op, _Writer] = field(default_factory=dict)
    received: list[StagedFile] = field(default_factory=list)
    receipts: list[JSON] = field(default_factory=list)
    lowest: str | None = None
    highest: str | None = None

    def take(self, batch: Batch) -> None:
        self.receipts.extend(receipt for receipt in batch.receipts if receipt not in self.receipts)
        if batch.raw is not None:
            self._keep(batch.raw, batch.op)
        elif batch.rows is not None:
            self._write(batch.rows, batch.op)

    def manifest(self) -> Manifest:
        files = self.received + [self._written(op, writer) for op, writer in self.writers.items()]
        with storage(f"Measuring the part {self.part.id}"):
            size = sum(Path(file.path).stat().st_size for file in files)
        return Manifest(
            part=self.part.id,
            rows=sum(file.rows for file in files if file.op is Op.UPSERT),
            deletes=sum(file.rows for file in files if file.op is Op.DELETE),
            bytes=size,
            lowest=self.lowest,
            highest=self.highest,
            files=tuple(file.to_text() for file in files),
            receipts=tuple(self.receipts),
        )

    def _keep(self, raw: Raw, op: Op) -> None:
        if raw.rows == 0 and raw.path.stat().st_size == 0:
            return  # an empty answer may come without its header line
        with raw.path.open(encoding="utf-8", errors="replace", newline="") as file:  # DuckDB refuses what is no UTF-8
            held = tuple(next(csv.reader(file), ()))
        if held != tuple(raw.columns):
            cause = f"the file {raw.path.name} starts with the columns {', '.join(held)[:200]!r}"
            raise SchemaConflict(f"Putting aside the part {self.part.id}", cause, hint="The page is damaged; run it again.")
        self._wanted(held, op)
        self.received.append(StagedFile(self.load.label, "csv", op, str(raw.path), raw.rows, held))

    def _write(self, rows: pa.RecordBatch, op: Op) -> None:
        writer = self.writers.get(op)
        if writer is None:
            writer = self.writers[op] = self._open(self._wanted(tuple(rows.schema.names), op), op)
        wanted = self._fitted(rows, writer.schema)
        writer.stream.write_batch(wanted)
        writer.rows += wanted.num_rows
        if op is Op.UPSERT:
            self._see(wanted)

    def _open(self, schema: Schema, op: Op) -> _Writer:
        path = self.files.enter_context(arriving(self.load.file(self.part, op)))
        file = self.files.enter_context(pa.OSFile(str(path), "wb"))
        return _Writer(self.files.enter_context(pa.ipc.new_stream(file, schema.arrow)), schema)

    def _written(self, op: Op, writer: _Writer) -> StagedFile:
        path = str(self.load.file(self.part, op))
        return StagedFile(self.load.label, "arrow", op, path, writer.rows, writer.schema.names)

    def _wanted(self, held: tuple[str, ...], op: Op) -> Schema:
        """The columns to load of those that a batch holds: all of the plan's, or a deletion's key and stamp."""
        plan = self.load.plan
        there = {name.lower() for name in held}
        needed = plan.schema.names if op is Op.UPSERT else plan.key
        missing = [name for name in needed if name.lower() not in there]
        if missing:
            hint = "The object changed while it was read; run it again."
            cause = f"the column {', '.join(missing[:5])} is missing from the rows that were read"
            raise SchemaConflict(f"Putting aside the part {self.part.id}", cause, hint=hint)
        wanted = {name.lower() for name in (needed if op is Op.UPSERT else (*needed, *plan.cursor_columns))}
        return plan.schema.select([name for name in plan.schema.names if name.lower() in there & wanted])

    def _fitted(self, rows: pa.RecordBatch, schema: Schema) -> pa.RecordBatch:
        place = {name.lower(): index for index, name in enumerate(rows.schema.names)}
        try:
            columns = [rows.column(place[column.name.lower()]).cast(column.arrow) for column in schema]
            return pa.RecordBatch.from_arrays(columns, schema=schema.arrow)
        except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            doing = f"Putting aside the part {self.part.id}"
            raise SchemaConflict(doing, f"a batch does not fit the schema ({error})", hint="Run a full sync.") from error

    def _see(self, rows: pa.RecordBatch) -> None:
        for name in self.load.plan.cursor_columns:
            ends = pc.min_max(rows.column(name)).as_py()
            if ends["min"] is None:
                return
            low, high = _text(ends["min"]), _text(ends["max"])
            self.lowest = low if self.lowest is None else min(self.lowest, low)
            self.highest = high if self.highest is None else max(self.highest, high)


def _text(value: object) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _digest(label: str) -> str:
    return hashlib.sha256(label.encode()).hexdigest()[:12]
