"""TextCsv: CSV read as text columns by Arrow. What becomes null is said here and nowhere else: nothing at all, and no word.

pyarrow's own list would make nulls of `NA`, `null` and `nan`. Files are read through Hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import csv

from halocline.rows.hold import Hold, Readable


@dataclass(frozen=True, slots=True)
class TextCsv:
    """Columns as texts: `names` are those that are there, or (`only`) those that are wanted.

    `quoted_is_null`: also `""` is null. `skips_empty_lines`: lines without anything are no rows.
    """

    names: Sequence[str]
    only: bool = False
    quoted_is_null: bool = True
    delimiter: str = ","
    skips_empty_lines: bool = False

    def reader(self, file: Readable, *, block_bytes: int, **header: Any) -> csv.CSVStreamingReader:
        """The rows of a file, some at a time; `header` are pyarrow's options for a first line that is not to be believed."""
        read = csv.ReadOptions(block_size=block_bytes, use_threads=False, **header)
        held = pa.PythonFile(Hold(file), mode="r")
        return csv.open_csv(held, read_options=read, parse_options=self._parse, convert_options=self._convert)

    def table(self, lines: bytes) -> pa.Table:
        """The rows of lines without a header; they are one block, which nothing cuts."""
        read = csv.ReadOptions(block_size=len(lines) + 1, use_threads=False, column_names=list(self.names))
        block = pa.BufferReader(lines)
        return csv.read_csv(block, read_options=read, parse_options=self._parse, convert_options=self._convert)

    @property
    def _parse(self) -> csv.ParseOptions:
        return csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True, ignore_empty_lines=self.skips_empty_lines)

    @property
    def _convert(self) -> csv.ConvertOptions:
        return csv.ConvertOptions(
            column_types=dict.fromkeys(self.names, pa.string()),
            include_columns=list(self.names) if self.only else [],
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=self.quoted_is_null,
        )
