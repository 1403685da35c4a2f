"""CSV: RFC 4180 in UTF-8 with a header line, lines ended by LF; a bare nothing is null, `""` is the empty text.

Source: RFC 4180, https://www.rfc-editor.org/rfc/rfc4180 (its lines end in CRLF; readers take both).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from pyarrow import csv

from halocline.connectors.files.format import beyond, fitted, hits_among, in_blocks
from halocline.connectors.files.text import NATIVE, from_text, to_text
from halocline.rows.texts import TextCsv
from halocline.schema import Schema

_TOO_SMALL = ("straddling", "Empty CSV file or block")  # pyarrow's words for a block that holds no whole record
_WRITE = csv.WriteOptions(include_header=True, quoting_style="needed")  # every text is quoted, which tells empty from null


class Csv:
    """The format `csv`."""

    def writer(self, path: Path, schema: Schema) -> CsvFileWriter:
        """A new file, with its header line."""
        return CsvFileWriter(path, schema)

    def batches(self, path: Path, schema: Schema) -> Iterator[pa.RecordBatch]:
        """The rows of a file, block by block; a record longer than a block makes the block larger."""
        return in_blocks(path, partial(_after, path, schema), too_small=_TOO_SMALL)

    def hits(self, path: Path, schema: Schema, *, key: Sequence[str], keys: pa.Array) -> Iterator[pa.Table]:
        """All rows are read."""
        return hits_among(self.batches(path, schema), key=key, keys=keys)


class CsvFileWriter:
    """A CSV file in the making."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self._columns = tuple(schema)
        kinds = [(c.name, c.arrow if c.kind in NATIVE else pa.string()) for c in self._columns]
        self._schema = pa.schema(kinds)
        self._writer = csv.CSVWriter(str(path), self._schema, write_options=_WRITE)

    def write(self, rows: pa.Table) -> None:
        """Append rows."""
        texts = [rows.column(i) if c.kind in NATIVE else to_text(rows.column(i), c) for i, c in enumerate(self._columns)]
        self._writer.write_table(pa.Table.from_arrays(texts, schema=self._schema))

    def close(self) -> None:
        """End the file."""
        self._writer.close()


def _after(path: Path, schema: Schema, done: int, block_bytes: int) -> Iterator[pa.RecordBatch]:
    """The batches of a file less its first `done` rows."""
    with path.open("rb") as file, _open(file, block_bytes=block_bytes) as reader:
        for batch in beyond(reader, done):
            yield _typed(batch, schema)


def _typed(texts: pa.RecordBatch, schema: Schema) -> pa.RecordBatch:
    held = schema.select([name for name in schema.names if name in texts.schema.names])
    if not len(held):
        raise pa.ArrowInvalid("the first line names no column of the table")
    columns = [from_text(texts.column(c.name), c) for c in held]
    return fitted(pa.RecordBatch.from_arrays(columns, schema=held.arrow), schema)


def _open(file: BinaryIO, *, block_bytes: int) -> csv.CSVStreamingReader:
    """A reader to which only a bare nothing is null; all columns are text."""
    return TextCsv(_header(file), quoted_is_null=False).reader(file, block_bytes=block_bytes)


def _header(file: BinaryIO) -> list[str]:
    """The names in the first line, which are quoted and hold no line end; the file is at its start again."""
    line = file.readline().decode("utf-8", "replace").strip()
    file.seek(0)
    return [name.replace('""', '"') for name in line.removeprefix('"').removesuffix('"').split('","')]
