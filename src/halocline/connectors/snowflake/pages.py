"""Pages: the files that go into a stage - a page's bytes as received, gzipped once, or Arrow as CSV.

Measured for a page of 122 MB (200,000 rows of 20 columns): see docs/snowflake.md, "What was measured".
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from isal import igzip
from pyarrow import csv as pa_csv

from halocline.batch import Raw, fitted
from halocline.moments import refuse_misfits
from halocline.rows.scan import is_free_of
from halocline.schema import Column, Kind, Schema

GZIP_LEVEL = 1  # of isal's 0 to 3; see docs/snowflake.md for what the others cost and save
_BLOCK_BYTES = 1 << 20
_SLICE_ROWS = 20_000
_NO_HEADER = pa_csv.WriteOptions(include_header=False)
_INEXACT = (Kind.BINARY, Kind.TIME)  # Salesforce writes base64, and times with a zone
_DIGITS = {Kind.DECIMAL, Kind.INTEGER}


def file_format(*, as_received: bool) -> str:
    """How Snowflake is to read the CSV, whatever the session's or the account's own settings are.

    As received, a header line is skipped, and a quoted empty value is null like a bare one. Ours has no header, null is nothing,
    and an empty text is quoted.
    Source: "CREATE FILE FORMAT" (CSV), https://docs.snowflake.com/en/sql-reference/sql/create-file-format (unverified).
    """
    nulls = "NULL_IF = ('') SKIP_HEADER = 1" if as_received else "NULL_IF = () SKIP_HEADER = 0"
    return (
        "TYPE = CSV COMPRESSION = GZIP RECORD_DELIMITER = '\\n' FIELD_DELIMITER = ',' FIELD_OPTIONALLY_ENCLOSED_BY = '\"'"
        f" ESCAPE = NONE ESCAPE_UNENCLOSED_FIELD = NONE {nulls} EMPTY_FIELD_AS_NULL = TRUE TRIM_SPACE = FALSE"
        " ERROR_ON_COLUMN_COUNT_MISMATCH = TRUE SKIP_BLANK_LINES = FALSE ENCODING = 'UTF8' BINARY_FORMAT = HEX"
        " DATE_FORMAT = AUTO TIME_FORMAT = AUTO TIMESTAMP_FORMAT = AUTO"
    )


def gzipped(raw: Raw, file: Path) -> int:
    """Write the page's bytes as gzip, and return how many these are."""
    with raw.path.open("rb") as plain, igzip.open(file, "wb", compresslevel=GZIP_LEVEL) as packed:  # type: ignore[no-untyped-call]  # isal's
        shutil.copyfileobj(plain, packed, _BLOCK_BYTES)
    return file.stat().st_size


def written(batches: Iterable[pa.RecordBatch], schema: Schema, *, file: Path, doing: str) -> int:
    """Write the columns of `schema` as gzipped CSV without a header line, and return how many rows it has.

    Raises: SchemaConflict where a column cannot be had without loss, or holds 24:00:00, or a year outside of 1 to 9999.
    Source: "Date & time data types", https://docs.snowflake.com/en/sql-reference/data-types-datetime (unverified).
    """
    count = 0
    with igzip.open(file, "wb", compresslevel=GZIP_LEVEL) as packed:  # type: ignore[no-untyped-call]  # isal's own types
        for rows in batches:
            for start in range(0, rows.num_rows, _SLICE_ROWS):
                piece = fitted(rows.slice(start, _SLICE_ROWS), schema, doing=doing)
                refuse_misfits(piece, doing=doing, midnight=False)
                pa_csv.write_csv(_spelled(piece), packed, _NO_HEADER)
                count += piece.num_rows
    return count


def written_table(lines: pa.Table, *, file: Path) -> None:
    """Write a table as gzipped CSV without a header line."""
    with igzip.open(file, "wb", compresslevel=GZIP_LEVEL) as packed:  # type: ignore[no-untyped-call]  # isal's own types
        for rows in lines.to_batches():
            pa_csv.write_csv(_spelled(rows), packed, _NO_HEADER)


def is_exact(raw: Raw, schema: Schema) -> bool:
    """Whether Snowflake reads every value of the page as it is meant.

    It rounds a number with more decimals than its column without a word, so these are looked at first; and it reads neither
    base64 nor a time with a zone. A page that may fail goes by way of Arrow, which is exact or says what does not fit.
    """
    if any(column.kind in _INEXACT for column in schema):
        return False
    return is_free_of(raw, {column.name: _unfit(column) for column in schema if column.kind in _DIGITS})


def _unfit(column: Column) -> str:
    """What is no plain number, or has more decimals than its column."""
    return rf"\.\d{{{column.scale}}}\d|[^-.0-9]"


def _spelled(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Bytes as hexadecimal digits, instants as Snowflake's own ISO 8601; everything else as it is."""
    return pa.RecordBatch.from_arrays([_column(column) for column in rows.columns], names=rows.schema.names)


def _column(column: pa.Array) -> pa.Array:
    if pa.types.is_binary(column.type):
        return pa.array([None if value is None else value.hex() for value in column.to_pylist()], pa.string())
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ")
    return column
