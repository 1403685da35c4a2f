"""Aside: Arrow files in the spool that take the rows of one part, unseen until the load's unit commits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from halocline.batch import Op
from halocline.connector import Part, Plan
from halocline.schema import Schema
from halocline.spool import storage
from halocline.staged import fitted, wanted


@dataclass(slots=True)
class ArrowFile:
    """An Arrow file in the making, and what is in it."""

    stream: pa.ipc.RecordBatchStreamWriter
    schema: Schema
    rows: int = 0


@dataclass(slots=True)
class Aside:
    """What has been put aside of one part so far: a file of rows, one of deletions, and the ends of the rows' cursor."""

    plan: Plan
    doing: str
    arriving: Callable[[Op], AbstractContextManager[Path]]
    open_files: ExitStack
    files: dict[Op, ArrowFile] = field(default_factory=dict)
    lowest: str | None = None
    highest: str | None = None

    def write(self, rows: pa.RecordBatch, op: Op) -> None:
        """Put a batch aside.

        Raises: SchemaConflict when it lacks a column or has one of another type, OSError when the disk is full.
        """
        file = self.files.get(op)
        if file is None:
            file = self.files[op] = self._open(wanted(self.plan, rows.schema.names, op=op, doing=self.doing), op)
        fit = fitted(rows, file.schema, doing=self.doing)
        file.stream.write_batch(fit)
        file.rows += fit.num_rows
        if op is Op.UPSERT:
            self._see(fit)

    def _open(self, schema: Schema, op: Op) -> ArrowFile:
        path = self.open_files.enter_context(self.arriving(op))
        file = self.open_files.enter_context(pa.OSFile(str(path), "wb"))
        return ArrowFile(self.open_files.enter_context(pa.ipc.new_stream(file, schema.arrow)), schema)

    def _see(self, rows: pa.RecordBatch) -> None:
        for name in self.plan.cursor_columns:
            ends = pc.min_max(rows.column(name)).as_py()
            if ends["min"] is None:
                return
            low, high = _text(ends["min"]), _text(ends["max"])
            self.lowest = low if self.lowest is None else min(self.lowest, low)
            self.highest = high if self.highest is None else max(self.highest, high)


@contextmanager
def putting_aside(part: Part, plan: Plan, *, arriving: Callable[[Op], AbstractContextManager[Path]]) -> Iterator[Aside]:
    """An `Aside` whose files, each written where `arriving` says, are whole when the block has ended well.

    After a failure only that one is told: a file that could not be written cannot be ended either.
    Raises: StorageFailed when a file cannot be ended.
    """
    doing = f"Putting aside the part {part.id}"
    files = ExitStack()
    try:
        yield Aside(plan, doing, arriving, files)
        with storage(doing):
            files.pop_all().close()
    except BaseException as error:
        with suppress(OSError):
            files.__exit__(type(error), error, error.__traceback__)
        raise


def _text(value: object) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
