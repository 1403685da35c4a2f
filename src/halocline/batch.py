"""Batch and Position: what travels between a source and a destination."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from halocline.outcome import Rejection

if TYPE_CHECKING:
    import pyarrow as pa

    from halocline.schema import Schema
from halocline.errors import SchemaConflict

JSON = object  # any JSON value; checked where it is read
Position = dict[str, JSON]
"""Where the next read starts: JSON that only the source understands."""


class Op(StrEnum):
    """What a batch asks of the destination. A DELETE batch holds the key columns and, where known, the stamp."""

    UPSERT = "upsert"
    DELETE = "delete"


class Raw(Protocol):
    """Rows as received: a CSV file with a header line, every value quoted or bare, `""` and empty meaning null.

    Lines end in LF; values may hold any character. The file belongs to the run's spool and is deleted after commit.
    """

    @property
    def path(self) -> Path:
        """The plain (not compressed) file."""

    @property
    def rows(self) -> int:
        """Records in the file, as the other side announced them."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names in the header line, in order."""

    def arrow(self) -> Iterator[pa.RecordBatch]:
        """The same rows parsed to the source's Arrow types."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of one part, and the position after them.

    Exactly one of `rows` (Arrow) and `raw` (a file as received) is set. `first_row` counts from 0 inside the part.
    `position` is where a read of this part could be taken up again after this batch. `receipts` are handed to the
    source's `ack` once the rows are durable. `rejections` are what was read and could not become rows, `filtered` counts what was
    read and is meant to become none; neither is among the rows.
    """

    rows: pa.RecordBatch | None = None
    raw: Raw | None = None
    op: Op = Op.UPSERT
    target: str = ""
    first_row: int = 0
    position: Position | None = None
    receipts: tuple[JSON, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    filtered: int = 0

    @property
    def count(self) -> int:
        """Rows in this batch."""
        if self.raw is not None:
            return self.raw.rows
        return 0 if self.rows is None else int(self.rows.num_rows)

    def arrow(self) -> Iterator[pa.RecordBatch]:
        """The rows as Arrow, parsed from the bytes as received where need be."""
        if self.raw is not None:
            yield from self.raw.arrow()
        elif self.rows is not None:
            yield self.rows


@dataclass(frozen=True, slots=True)
class Items:
    """Some items of one part as Python values, for builders: what a source that has a method `items` gives there."""

    values: Sequence[dict[str, Any]]
    first_row: int = 0
    position: Position | None = None
    receipts: tuple[JSON, ...] = ()
    rejections: tuple[Rejection, ...] = ()


def fitted(rows: pa.RecordBatch, schema: Schema, *, doing: str) -> pa.RecordBatch:
    """The rows of a batch in the columns of `schema`, in its order and types.

    Raises: SchemaConflict where a column cannot be had without loss.
    """
    import pyarrow as pa  # not with this module, which loads for a command that reads nothing

    place = {name.lower(): index for index, name in enumerate(rows.schema.names)}
    try:
        columns = [rows.column(place[column.name.lower()]).cast(column.arrow) for column in schema]
        return pa.RecordBatch.from_arrays(columns, schema=schema.arrow)
    except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaConflict(doing, f"a batch does not fit the schema ({error})", hint="Run a full sync.") from error
