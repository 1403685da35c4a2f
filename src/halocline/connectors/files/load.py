"""Load: puts the parts of a read aside in the spool as Arrow, unseen by readers of the files, until its unit commits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from halocline.batch import JSON, Batch, Op
from halocline.connector import Manifest, Part, Plan, Target
from halocline.errors import SchemaConflict, Truncated
from halocline.outcome import Outcome
from halocline.schema import Schema
from halocline.spool import Spool, arriving, discard, storage


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One file of a part: an Arrow stream of `rows` rows; `columns` is what it holds, `bytes` its size."""

    op: Op
    path: str
    rows: int
    bytes: int
    columns: tuple[str, ...]

    def to_text(self) -> str:
        """This value as the text that a manifest carries; `from_text` reads it back."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_text(cls, text: str) -> StagedFile:
        """The value that `to_text` wrote."""
        data = json.loads(text)
        return cls(**{**data, "op": Op(data["op"]), "columns": tuple(data["columns"])})

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, a batch at a time.

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
            cause = f"a staged file holds {seen:,} rows, {self.rows:,} were announced"
            raise Truncated("Loading the staged files", cause, hint="Run it again; nothing was published.", rows=seen)


def staged_files(manifests: Iterable[Manifest]) -> list[StagedFile]:
    """The files that the manifests name; of a part staged more than once, those of its last manifest.

    Raises: Truncated when a manifest counts other rows than its files were to hold.
    """
    last: dict[str, list[StagedFile]] = {}
    for manifest in manifests:
        files = [StagedFile.from_text(text) for text in manifest.files]
        if sum(file.rows for file in files) != manifest.rows + manifest.deletes:
            cause = f"the part {manifest.part} announces {manifest.rows + manifest.deletes:,} rows, its files another number"
            raise Truncated("Loading the staged files", cause, hint="Run it again; nothing was published.")
        last[manifest.part] = files
    return [file for files in last.values() for file in files]


class FilesLoad:
    """An open write to one table. Staging touches the spool only, so any thread or process of this machine may do it."""

    def __init__(self, target: Target, plan: Plan, *, spool: Spool) -> None:
        self.target = target
        self.plan = plan
        self._spool = spool
        self._label = hashlib.sha256(str(target).encode()).hexdigest()[:12]

    def ticket(self) -> JSON:
        """What `FilesDestination.attach` needs to open this load in another process on this machine."""
        return {"target": {"schema": self.target.schema, "table": self.target.table}, "plan": self.plan.to_json()}

    def stage(self, part: Part, batches: Iterator[Batch]) -> Manifest:
        """Put a part aside; doing it again replaces its files.

        Raises: SchemaConflict when a batch lacks a column or has one of another type, StorageFailed when the disk is full.
        """
        doing = f"Putting aside the part {part.id}"
        with _first_failure() as files:
            aside = _Aside(self, part, files)
            for batch in batches:  # outside of `storage`: an OSError of the source is no failure of the disk
                aside.receipts.extend(receipt for receipt in batch.receipts if receipt not in aside.receipts)
                for rows in batch.arrow():
                    with storage(doing):
                        aside.write(rows, batch.op)
            with storage(doing):
                files.pop_all().close()
        return aside.manifest()

    def outcomes(self) -> Iterator[Outcome]:
        """Nothing: a table of files takes all rows, or refuses the commit."""
        return iter(())

    def file(self, part: Part, op: Op) -> Path:
        """Where the rows of a part go: the same name whenever the part is staged again."""
        return self._spool.file(f"{self._label}-{part.id}.{op}.arrow")

    def forget(self) -> None:
        """Delete what was put aside."""
        for path in self._spool.path.glob(f"{self._label}-*"):
            discard(path)


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

    load: FilesLoad
    part: Part
    files: ExitStack
    writers: dict[Op, _Writer] = field(default_factory=dict)
    receipts: list[JSON] = field(default_factory=list)
    lowest: str | None = None
    highest: str | None = None

    def write(self, rows: pa.RecordBatch, op: Op) -> None:
        writer = self.writers.get(op)
        if writer is None:
            writer = self.writers[op] = self._open(self._wanted(tuple(rows.schema.names), op), op)
        wanted = self._fitted(rows, writer.schema)
        writer.stream.write_batch(wanted)
        writer.rows += wanted.num_rows
        if op is Op.UPSERT:
            self._see(wanted)

    def manifest(self) -> Manifest:
        files = [self._written(op, writer) for op, writer in self.writers.items()]
        return Manifest(
            part=self.part.id,
            rows=sum(file.rows for file in files if file.op is Op.UPSERT),
            deletes=sum(file.rows for file in files if file.op is Op.DELETE),
            bytes=sum(file.bytes for file in files),
            lowest=self.lowest,
            highest=self.highest,
            files=tuple(file.to_text() for file in files),
            receipts=tuple(self.receipts),
        )

    def _open(self, schema: Schema, op: Op) -> _Writer:
        path = self.files.enter_context(arriving(self.load.file(self.part, op)))
        file = self.files.enter_context(pa.OSFile(str(path), "wb"))
        return _Writer(self.files.enter_context(pa.ipc.new_stream(file, schema.arrow)), schema)

    def _written(self, op: Op, writer: _Writer) -> StagedFile:
        path = self.load.file(self.part, op)
        return StagedFile(op, str(path), writer.rows, path.stat().st_size, writer.schema.names)

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
