"""JSON Lines: one object a line, in UTF-8. Numbers of any kind are JSON numbers with all their digits; JSON values are texts.

A reader that makes every number a double rounds long decimals; tell it the column's type.
Source: https://jsonlines.org
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as pa_json

from halocline.connectors.files.format import beyond, damaged, fitted, hits_among, in_blocks
from halocline.connectors.files.text import NATIVE, from_text, to_text
from halocline.errors import SchemaConflict
from halocline.schema import Column, Kind, Schema

_TOO_SMALL = ("straddl", "block size")  # pyarrow's words for a line longer than a block
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f]"  # what else JSON wants escaped
_PIECE_ROWS = 4_096


class JsonLines:
    """The format `jsonl`."""

    def writer(self, path: Path, schema: Schema) -> JsonLinesWriter:
        """A new file."""
        return JsonLinesWriter(path, schema)

    def batches(self, path: Path, schema: Schema) -> Iterator[pa.RecordBatch]:
        """The rows of a file, block by block; a line longer than a block makes the block larger."""
        try:
            if not path.stat().st_size:
                return
        except FileNotFoundError as error:
            raise damaged(path, error) from error
        yield from in_blocks(path, partial(_after, path, schema), too_small=_TOO_SMALL)

    def hits(self, path: Path, schema: Schema, *, key: Sequence[str], keys: pa.Array) -> Iterator[pa.Table]:
        """All rows are read."""
        return hits_among(self.batches(path, schema), key=key, keys=keys)


class JsonLinesWriter:
    """A file of JSON Lines in the making; lines are put together column by column, without a Python object a value."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self._columns = tuple(schema)
        self._file = path.open("wb")

    def write(self, rows: pa.Table) -> None:
        """Append rows.

        Raises: SchemaConflict for a number that JSON does not have.
        """
        for batch in rows.to_batches(max_chunksize=_PIECE_ROWS):
            members = [_members(batch.column(i), c) for i, c in enumerate(self._columns)]
            lines = pc.binary_join_element_wise("{", pc.binary_join_element_wise(*members, ","), "}\n", "")
            self._file.write("".join(lines.to_pylist()).encode())

    def close(self) -> None:
        """End the file."""
        self._file.close()


def _members(values: pa.Array, column: Column) -> pa.Array:
    """`"name":value` of each row."""
    if column.kind is Kind.DOUBLE and pc.any(pc.invert(pc.is_finite(values))).as_py():
        hint = "Write Parquet or CSV, or leave the column out."
        raise SchemaConflict("Writing JSON Lines", f"the column {column.name} holds a number that JSON does not have", hint=hint)
    texts = pc.cast(to_text(values, column), pa.string())
    if column.kind not in NATIVE:
        texts = pc.binary_join_element_wise('"', _escaped(texts), '"', "")
    return pc.binary_join_element_wise(json.dumps(column.name) + ":", pc.fill_null(texts, "null"), "")


def _escaped(texts: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(texts, _CONTROL)).as_py():
        return pa.array([None if v is None else json.dumps(v, ensure_ascii=False)[1:-1] for v in texts.to_pylist()], pa.string())
    for char, escape in _ESCAPES.items():
        texts = pc.replace_substring(texts, char, escape)
    return texts


def _after(path: Path, schema: Schema, done: int, block_bytes: int) -> Iterator[pa.RecordBatch]:
    """The batches of a file less its first `done` rows."""
    raw = pa.schema([(c.name, c.arrow if c.kind in NATIVE else pa.string()) for c in schema])
    parse = pa_json.ParseOptions(explicit_schema=raw, newlines_in_values=False, unexpected_field_behavior="ignore")
    read = pa_json.ReadOptions(block_size=block_bytes, use_threads=False)
    with pa_json.open_json(str(path), read_options=read, parse_options=parse) as reader:
        for batch in beyond(reader, done):
            yield _typed(batch, schema)


def _typed(texts: pa.RecordBatch, schema: Schema) -> pa.RecordBatch:
    columns = [texts.column(c.name) if c.kind in NATIVE else from_text(texts.column(c.name), c) for c in schema]
    return fitted(pa.RecordBatch.from_arrays(columns, schema=schema.arrow), schema)
