"""Blocks: what a COPY is fed with - a page's bytes as received, or Arrow as CSV.

Arrow goes as CSV made by pyarrow: measured for a million rows of 20 columns, 7.6 s of CPU (client and server) against 21 s of
psycopg's binary COPY, which builds Python objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from halocline.batch import Raw, fitted
from halocline.connectors.postgres.tables import Table, listed
from halocline.csvcopy import write_rows
from halocline.errors import SchemaConflict
from halocline.exact_json import NoJSON, json_text, value_of
from halocline.moments import OF_OUR_ERA, refuse_misfits
from halocline.rows.scan import is_free_of
from halocline.schema import Column, Kind, Schema

_BLOCK_BYTES = 1 << 18
_SLICE_ROWS = 20_000


def copy_statement(table: Table, columns: Sequence[str], *, as_received: bool) -> str:
    """The COPY of CSV into these columns. As received, a header line is skipped, a quoted empty value is null like a bare one.

    Source: "COPY", https://www.postgresql.org/docs/18/sql-copy.html, read November 2026.
    """
    names = listed(columns)
    more = f", HEADER true, FORCE_NULL ({names})" if as_received else ""
    return f"COPY {table.sql} ({names}) FROM STDIN (FORMAT csv, ENCODING 'UTF8'{more})"


def bytes_of(path: Path) -> Iterator[bytes]:
    """The file in blocks, so that memory stays flat."""
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def is_exact(raw: Raw, schema: Schema) -> bool:
    """Whether PostgreSQL reads every value of the page as it is meant.

    It rounds a number with more decimals than its column without a word, so these are looked at first; and it does not read
    base64. A page that may fail goes by way of Arrow, which is exact or says what does not fit. Measured: 0.65 s of CPU for three
    such columns in a million rows of 20 columns; the COPY takes four.
    """
    if any(column.kind is Kind.BINARY for column in schema):
        return False
    return is_free_of(raw, {column.name: _unfit(column) for column in schema if column.kind is Kind.DECIMAL})


def _unfit(column: Column) -> str:
    """What is no plain number, or has more decimals than its column, zeros at the end aside: Salesforce writes 20.0 for a whole
    amount, which numeric(18,0) holds exactly. PostgreSQL takes NaN and 0x10 for numbers, too.
    """
    return rf"\.\d{{{column.scale}}}\d*[1-9]|[^-.0-9]"


def csv_of(batches: Iterable[pa.RecordBatch], schema: Schema, *, doing: str, arrays: Mapping[str, str]) -> Iterator[bytes]:
    """Arrow as the CSV that a COPY reads: null is nothing, an empty text is quoted.

    `arrays` are columns of JSON for arrays, with the table's type of each.

    Raises: SchemaConflict where a column cannot be had without loss, a day or an instant has no text, or no array is where one
    belongs.
    """
    for rows in batches:
        for start in range(0, rows.num_rows, _SLICE_ROWS):
            fitting = fitted(rows.slice(start, _SLICE_ROWS), schema, doing=doing)
            refuse_misfits(fitting, doing=doing, years=OF_OUR_ERA)  # with a sign, it would take the year for an offset
            for name, kind in arrays.items():
                literals = _array_literals(fitting.column(name), f"the column {name}", kind=kind, doing=doing)
                fitting = fitting.set_column(fitting.schema.get_field_index(name), name, literals)
            yield as_csv(fitting)


def _array_literals(texts: pa.Array, name: str, *, kind: str, doing: str) -> pa.Array:
    """JSON arrays as PostgreSQL writes arrays. Those of the type json or jsonb have one dimension: what they hold is JSON.

    Source: "Arrays" (array input and output), https://www.postgresql.org/docs/18/arrays.html, read November 2026.
    Raises: SchemaConflict for what is no JSON array.
    """
    element = _json_element if kind in ("json[]", "jsonb[]") else _element
    try:
        made = [None if text is None else _array_literal(text, element) for text in texts.to_pylist()]
    except NoJSON as error:
        cause = f"the column {name} takes arrays, and a text came that {error}"
        raise SchemaConflict(doing, cause, hint="Give a JSON array.", column=name) from None
    return pa.array(made, pa.string())


def _array_literal(text: str, element: Callable[[object], str]) -> str:
    value = value_of(text)
    if not isinstance(value, list):
        raise NoJSON("is no JSON array")
    literal = "{" + ",".join(map(element, value)) + "}"
    if "\0" in literal:
        raise NoJSON("holds a NUL character, which PostgreSQL cannot store")
    return literal


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "{" + ",".join(map(_element, value)) + "}"
    return _in_quotes(value if isinstance(value, str) else json_text(value))


def _json_element(value: object) -> str:
    return "NULL" if value is None else _in_quotes(json_text(value))


def _in_quotes(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def as_csv(rows: pa.RecordBatch) -> bytes:
    """A batch as CSV without a header line, bytes as PostgreSQL writes them."""
    sink = pa.BufferOutputStream()
    write_rows(rows, sink, of_bytes=lambda value: "\\x" + value.hex())
    written: bytes = sink.getvalue().to_pybytes()
    return written


def refuse_nul(batches: Iterable[pa.RecordBatch], schema: Schema, *, doing: str) -> None:
    """Name the column and the record of a NUL character, which PostgreSQL cannot keep in a text.

    Source: "Character Types", https://www.postgresql.org/docs/18/datatype-character.html, read November 2026.
    Raises: SchemaConflict where there is one.
    """
    texts = [column.name for column in schema if column.kind in (Kind.STRING, Kind.JSON)]
    for rows in batches:
        known = {name.lower(): name for name in rows.schema.names}
        for name in texts:
            found = pc.index(pc.match_substring(rows.column(known[name.lower()]), "\0"), value=True).as_py()
            if found >= 0:
                keys = [known[key.lower()] for key in schema.key if key.lower() in known]
                record = ", ".join(str(rows.column(key)[found].as_py()) for key in keys)
                cause = f"the text in {name} of the record {record} holds a NUL character, which PostgreSQL cannot store"
                hint = f"Take it out at the source, or leave the field out (exclude={name})."
                raise SchemaConflict(doing, cause, hint=hint, column=name)
