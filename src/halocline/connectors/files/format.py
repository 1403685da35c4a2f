"""Format: how rows are written to a data file and read back, the same values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.files.keys import KEY, key_of
from halocline.errors import FixConfig, NotFound, Truncated
from halocline.schema import Schema

NAMES = ("parquet", "csv", "jsonl")
_BLOCK_BYTES = 1 << 20  # that Arrow parses at once
_MAX_BLOCK_BYTES = 1 << 28  # likewise, for the longest record


class Writer(Protocol):
    """A data file in the making."""

    def write(self, rows: pa.Table) -> None:
        """Append rows, which have exactly the columns of the file."""

    def close(self) -> None:
        """End the file. Idempotent; a file that was left half-way can be closed as well."""


class Format(Protocol):
    """One way to keep rows in files."""

    def writer(self, path: Path, schema: Schema) -> Writer:
        """A new file of these columns."""

    def batches(self, path: Path, schema: Schema) -> Iterator[pa.RecordBatch]:
        """The rows of a file in these columns; nulls in those that it does not have.

        Raises: Truncated for a file that is damaged.
        """

    def hits(self, path: Path, schema: Schema, *, key: Sequence[str], keys: pa.Array) -> Iterator[pa.Table]:
        """The rows whose key is among `keys`, with their key as the column `keys.KEY`."""


def format_of(name: str) -> Format:
    """The format of that name.

    Raises: FixConfig for one that we do not have.
    """
    if name == "parquet":
        from halocline.connectors.files.parquet import Parquet

        return Parquet()
    if name == "csv":
        from halocline.connectors.files.csv import Csv

        return Csv()
    if name == "jsonl":
        from halocline.connectors.files.jsonl import JsonLines

        return JsonLines()
    raise FixConfig("Reading the format", f"{name[:40]!r} is unknown", hint=f"Choose one of {', '.join(NAMES)}.")


def hits_among(batches: Iterator[pa.RecordBatch], *, key: Sequence[str], keys: pa.Array) -> Iterator[pa.Table]:
    """`Format.hits` by looking at all rows."""
    for batch in batches:
        found = key_of(batch, key)
        mask = pc.is_in(found, value_set=keys)
        if pc.any(mask).as_py():
            yield pa.Table.from_batches([batch]).append_column(KEY, pa.chunked_array([found])).filter(mask)


def in_blocks(
    path: Path, after: Callable[[int, int], Iterator[pa.RecordBatch]], *, too_small: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """The batches that `after(rows, block_bytes)` reads behind so many rows; a record longer than a block makes the block larger.

    `too_small` are Arrow's words for such a record.
    Raises: Truncated for a file that is damaged, NotFound for one that is gone.
    """
    done, block = 0, _BLOCK_BYTES
    while True:
        try:
            for batch in after(done, block):
                done += batch.num_rows
                yield batch
            return
        except (pa.ArrowInvalid, pa.ArrowKeyError, FileNotFoundError) as error:
            if not any(words in str(error) for words in too_small) or block >= _MAX_BLOCK_BYTES:
                raise damaged(path, error) from error
            block *= 4


def beyond(batches: Iterable[pa.RecordBatch], done: int) -> Iterator[pa.RecordBatch]:
    """The batches less their first `done` rows."""
    for batch in batches:
        skipped = min(done, batch.num_rows)
        done -= skipped
        if skipped < batch.num_rows:
            yield batch.slice(skipped)


def fitted(batch: pa.RecordBatch | pa.Table, schema: Schema) -> pa.RecordBatch | pa.Table:
    """The batch in exactly these columns; nulls in those that it does not have."""
    there = set(batch.schema.names)
    columns = [batch.column(c.name) if c.name in there else pa.nulls(batch.num_rows, c.arrow) for c in schema]
    return type(batch).from_arrays(columns, schema=schema.arrow)


def damaged(path: Path, error: Exception) -> Truncated | NotFound:
    """The error for a data file that cannot be read; or that a commit swept away before it was opened."""
    hint = "Restore it from a copy, or run a full sync (--full, force_full_sync=True)."
    if isinstance(error, FileNotFoundError):
        return NotFound(f"Reading the data file {path.name}", "it is missing", hint=hint)
    return Truncated(f"Reading the data file {path.name}", f"it is damaged ({str(error)[:300]})", hint=hint)
