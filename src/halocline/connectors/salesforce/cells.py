"""Rows as text columns, each value spelled as a cell of Bulk's CSV; null where a row does not have the field.

    dicts           columns grow as new names appear; a missing key is null
    Arrow           whole columns at a time; null is the order to clear
    a CSV file      Bulk's own meaning: an empty cell leaves the field, #N/A clears it

A row with a value that cannot be sent is left out, with a result that says why.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.salesforce import results
from halocline.connectors.salesforce.results import not_sent
from halocline.connectors.salesforce.spelling import ATTRIBUTES, CLEARED, CannotSpell, cell, flat_record
from halocline.errors import FixConfig, NotFound
from halocline.foreign_table import by_value
from halocline.moments import misfit, within
from halocline.outcome import RowResult
from halocline.quantity import quantity
from halocline.rows.texts import TextCsv

CHUNK_ROWS = 2_000  # dicts that are turned into columns at a time
_CSV_BLOCK_BYTES = 1 << 24  # of a caller's CSV file; no record that Salesforce takes is longer

Rows: TypeAlias = Iterable[Mapping[str, Any]] | Iterable[str] | pa.Table | pa.RecordBatch | pa.RecordBatchReader | str | Path
"""What can be loaded: dicts (or bare ids, for a delete), anything that is an Arrow stream, or the path of a CSV file."""
Refusal: TypeAlias = Callable[[str], str | None]
"""Why no record may stand in a field's place; None where one may, for it is a lookup."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Rows as text columns (null: leave the field), which rows of the input they are, and those that cannot be sent."""

    batch: pa.RecordBatch
    numbers: Sequence[int]
    refused: tuple[RowResult, ...] = ()


def anywhere(_: str) -> None:
    """The refusal of nothing: Salesforce has the last word on records in the place of fields."""


def texts_of(rows: Rows, needed: str | None, *, refusal: Refusal = anywhere) -> Iterator[Texts]:
    """The rows, some at a time, in order; a bare id is the value of the `needed` column.

    Raises: FixConfig for a file or a table that cannot be read or sent as a whole; NotFound.
    """
    rows = by_value(rows)
    if isinstance(rows, (str, Path)):
        yield from _of_file(Path(rows))
    elif isinstance(rows, pa.RecordBatch):
        yield from _of_arrow([rows], refusal)
    elif hasattr(rows, "__arrow_c_stream__"):
        yield from _of_arrow(pa.RecordBatchReader.from_stream(rows), refusal)
    else:
        yield from _of_dicts(({needed or "": one} if isinstance(one, str) else one for one in rows), refusal)


def text_columns(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a CSV file with a header line as text columns, null where empty; lines without anything are no rows.

    Raises: FixConfig saying which row is no row of these columns, or that the file is not UTF-8.
    """
    csv_of = TextCsv(columns, skips_empty_lines=True)
    doing = f"Reading {path.name}"
    try:
        with path.open("rb") as file:
            _skip_header(file)
            with csv_of.reader(file, block_bytes=_CSV_BLOCK_BYTES, column_names=list(columns)) as reader:
                yield from reader
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):  # a header and nothing more
            return
        hint = "Every row needs a value for each column of the header; the file must be UTF-8 with commas."
        raise FixConfig(doing, f"it is no CSV of its {quantity(len(columns), 'column')} ({error})", hint=hint) from error
    except OSError as error:
        raise FixConfig(doing, error.strerror or str(error)) from error


def header_of(path: Path) -> tuple[str, ...]:
    """The names in the header line of a CSV file; none for an empty file.

    Raises: NotFound; FixConfig for a file that cannot be read, or a name that comes twice.
    """
    doing = f"Reading {path.name}"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = tuple(next(csv.reader(file), ()))
    except FileNotFoundError as error:
        raise NotFound(doing, f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FixConfig(doing, str(error), hint="The file must be CSV in UTF-8 with a header line.") from error
    lower = [name.lower() for name in names]
    if len(set(lower)) != len(lower) or "" in lower:
        raise FixConfig(doing, "a column has no name, or the name of another", hint=f"The header is {','.join(names)[:200]}.")
    return names


def _of_file(path: Path) -> Iterator[Texts]:
    """The rows of a caller's CSV file with Bulk's own meaning: an empty cell leaves the field, `#N/A` clears it.

    The whole file is read once before any of it is sent, so that a broken row late in it stops the load before it begins.
    """
    columns = header_of(path)
    if not columns:
        raise FixConfig(f"Reading {path.name}", "the file is empty", hint="It needs a header line with the names of fields.")
    for _ in text_columns(path, columns):
        pass
    first = 0
    for batch in text_columns(path, columns):
        for start in range(0, batch.num_rows, CHUNK_ROWS):
            piece = batch.slice(start, CHUNK_ROWS)
            yield Texts(piece, range(first, first + piece.num_rows))
            first += piece.num_rows


def _skip_header(file: Any) -> None:
    """Move past the header record, which may hold quoted line ends."""
    line = file.readline()
    while line.count(b'"') % 2 and (more := file.readline()):
        line += more


def _of_arrow(batches: Iterable[pa.RecordBatch], refusal: Refusal) -> Iterator[Texts]:
    first = 0
    for given in batches:
        whole = without_strange_structs(given, refusal)
        for start in range(0, whole.num_rows, CHUNK_ROWS * 10):
            batch = flat_batch(whole.slice(start, CHUNK_ROWS * 10))
            columns, doubts = [], dict[int, RowResult]()
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                texts, bad = _spelled(name, column)
                columns.append(texts)
                for index, message in bad:
                    told = not_sent(first + index, results.CANNOT_BE_SENT, message=f"{name}: {message}", fields=(name,))
                    doubts.setdefault(index, told)
            done = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
            yield _less(Texts(done, range(first, first + batch.num_rows)), doubts)
            first += batch.num_rows


def without_strange_structs(batch: pa.RecordBatch, refusal: Refusal) -> pa.RecordBatch:
    """The batch without the `attributes` of rows that were queried. Raises: FixConfig for a struct that is no lookup."""
    for one in batch.schema:
        if pa.types.is_struct(one.type) and one.name != ATTRIBUTES and (why := refusal(one.name)) is not None:
            hint = "Take its parts out in the query, each under the name of a field, or map them."
            raise FixConfig("Reading the table", f"the column {one.name} is a {one.type}; {why}", hint=hint)
    return batch.drop_columns([ATTRIBUTES]) if ATTRIBUTES in batch.schema.names else batch


def flat_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with structs (lookups) as dotted columns.

    Raises: FixConfig for a name that comes twice.
    """
    while any(pa.types.is_struct(one.type) for one in batch.schema):
        batch = pa.Table.from_batches([batch]).flatten().combine_chunks().to_batches()[0]
    known: dict[str, str] = {}
    for name in batch.schema.names:
        if name.lower() in known:
            cause = f"the columns {known[name.lower()]!r} and {name!r} are one field: names are the same in any case"
            raise FixConfig("Reading the table", cause, hint="Leave one of them out, or map each to a field of its own.")
        known[name.lower()] = name
    return batch


def _spelled(name: str, column: pa.Array) -> tuple[pa.Array, list[tuple[int, str]]]:
    """A column as texts of CSV, null and empty text as the order to clear; and the rows whose value cannot be sent.

    Raises: FixConfig for a type that has no spelling.
    """
    texts, bad = spelled_column(name, column)
    bad += [(at, _NOT_IN_BULK) for at in places(pc.equal(texts, CLEARED))]
    texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
    return pc.fill_null(texts, CLEARED), bad


def spelled_column(name: str, column: pa.Array) -> tuple[pa.Array, list[tuple[int, str]]]:
    """A column as texts, null where it is null; and the rows whose value cannot be sent, with the reason.

    Raises: FixConfig for a type that has no spelling.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    spell = next((spell for is_kind, spell in _COLUMNS if is_kind(column.type)), None)
    if spell is None:
        hint = _ZONELESS if pa.types.is_timestamp(column.type) else "Cast it to text, numbers, dates or instants."
        raise FixConfig("Reading the table", f"the column {name} is a {column.type}, which cannot be sent", hint=hint)
    return spell(column)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of that type holds texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _column_of_floats(column: pa.Array) -> tuple[pa.Array, list[tuple[int, str]]]:
    bad = places(pc.invert(pc.is_finite(column)))
    texts = column.cast(pa.string())
    if pc.any(pc.match_substring_regex(texts, _SHORT_EXPONENT)).as_py():
        texts = pa.array([_digits(text) for text in texts.to_pylist()], pa.string())
    return texts, [(at, "no number that Salesforce has; null clears the field") for at in bad]


def _digits(text: str | None) -> str | None:
    """All digits of a number that Python writes without an exponent, too: a phone number of a data frame is a double at times."""
    return format(Decimal(text), "f") if text is not None and re.search(_SHORT_EXPONENT, text) else text


def _column_of_moments(column: pa.Array) -> tuple[pa.Array, list[tuple[int, str]]]:
    """Instants in UTC to the millisecond; what is finer is cut."""
    near, bad = _near(column)
    millis = pc.cast(pc.floor_temporal(near, unit="millisecond"), pa.timestamp("ms", "UTC"))
    return pc.strftime(millis, format="%Y-%m-%dT%H:%M:%SZ"), bad


def _column_of_times(column: pa.Array) -> tuple[pa.Array, list[tuple[int, str]]]:
    near, bad = _near(column)
    texts = near.cast(pa.time32("ms"), safe=False).cast(pa.string())
    return pc.binary_join_element_wise(texts, "Z", ""), bad


def _column_of_days(column: pa.Array) -> tuple[pa.Array, list[tuple[int, str]]]:
    near, bad = _near(column)
    return near.cast(pa.string()), bad


def _near(column: pa.Array) -> tuple[pa.Array, list[tuple[int, str]]]:
    """The column with null in place of what cannot be spelled, and where that was, with the reason."""
    found = misfit(column, midnight=False)
    if found is None:
        return column, []
    there = within(column)
    bad = [(at, f"{found}, which Salesforce does not have; cast it to text, or make it null") for at in places(pc.invert(there))]
    return pc.if_else(there, column, pa.scalar(None, column.type)), bad


def _column_as_cast(column: pa.Array) -> tuple[pa.Array, list[tuple[int, str]]]:
    return column.cast(pa.string()), []


def _column_of_decimals(column: pa.Array) -> tuple[pa.Array, list[tuple[int, str]]]:
    """All digits, as a decimal of a dict is spelled; Arrow writes some with an exponent."""
    texts = column.cast(pa.string())
    if not pc.any(pc.match_substring(texts, "E")).as_py():
        return texts, []
    return pa.array([None if one is None else format(one, "f") for one in column.to_pylist()], pa.string()), []


_ZONELESS = "Salesforce must know the instant: give it a time zone (pandas: .dt.tz_localize), or make it a date."
_SHORT_EXPONENT = r"e\+1[0-5]$"  # Arrow writes 1e+10 where Python, as JSON, writes ten zeros
_NOT_IN_BULK = f"the text {CLEARED} cannot be sent by Bulk, where it clears the field; REST can send it"


_COLUMNS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], tuple[pa.Array, list[tuple[int, str]]]]], ...] = (
    (is_text, _column_as_cast),
    (pa.types.is_floating, _column_of_floats),
    (lambda t: pa.types.is_timestamp(t) and t.tz is not None, _column_of_moments),
    (pa.types.is_time, _column_of_times),
    (pa.types.is_date32, _column_of_days),
    (pa.types.is_decimal, _column_of_decimals),
    (
        lambda t: any(is_kind(t) for is_kind in (pa.types.is_boolean, pa.types.is_integer, pa.types.is_null)),
        _column_as_cast,
    ),
)


class _Shape:
    """The names of the columns as rows name them, in the order and the spelling in which they first came."""

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal
        self.names: dict[str, str] = {}  # lower case -> as first spelled
        self._known: dict[tuple[str, ...], tuple[str, ...]] = {}

    def flat(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row under lower-case names.

        Raises: CannotSpell for a name that comes twice, a lookup by several keys, or a dict in a field that is no lookup.
        """
        known = self._known.get(tuple(row))
        if known is not None and dict not in map(type, row.values()):
            return dict(zip(known, row.values(), strict=True))
        refuse_strange_records(row, self._refusal)
        told = flat_record(row)
        for name in told:
            self.names.setdefault(name.lower(), name)
        if len(told) == len(row) and dict not in map(type, row.values()):
            self._known[tuple(row)] = tuple(name.lower() for name in told)
        return {name.lower(): value for name, value in told.items()}


def refuse_strange_records(row: Mapping[str, Any], refusal: Refusal) -> None:
    """Raises: CannotSpell for a record in the place of a field that is no lookup, for which a whole Bulk job would fail."""
    for name, value in row.items():
        if isinstance(value, Mapping) and name != ATTRIBUTES and (why := refusal(name)) is not None:
            raise CannotSpell(name, f"a {type(value).__name__} is no value of a field; {why}")


def _of_dicts(rows: Iterable[Mapping[str, Any]], refusal: Refusal) -> Iterator[Texts]:
    """Dicts as text columns; the columns grow as new names appear."""
    shape, drawn, first = _Shape(refusal), iter(rows), 0
    while chunk := list(islice(drawn, CHUNK_ROWS)):
        yield _of_chunk(chunk, shape, first=first)
        first += len(chunk)


def _of_chunk(chunk: Sequence[Mapping[str, Any]], shape: _Shape, *, first: int) -> Texts:
    flat, doubts = list[Mapping[str, Any]](), dict[int, RowResult]()
    for index, row in enumerate(chunk):
        try:
            flat.append(shape.flat(row))
        except CannotSpell as error:
            flat.append({})
            doubts[index] = not_sent(first + index, results.CANNOT_BE_SENT, message=str(error), fields=(error.field,))
    columns = [_cells(flat, name, key=key, doubts=doubts, first=first) for key, name in shape.names.items()]
    batch = pa.RecordBatch.from_arrays(columns, names=list(shape.names.values())) if columns else _nothing(len(chunk))
    return _less(Texts(batch, range(first, first + len(chunk))), doubts)


def _cells(flat: Sequence[Mapping[str, Any]], name: str, *, key: str, doubts: dict[int, RowResult], first: int) -> pa.Array:
    """One column: null where the row does not have it."""
    column: list[str | None] = []
    for index, row in enumerate(flat):
        if key not in row:
            column.append(None)
            continue
        value = row[key]
        if type(value) is str and value and value.isascii() and value != CLEARED:
            column.append(value)
            continue
        try:
            column.append(cell(name, value))
        except CannotSpell as error:
            column.append(None)
            told = not_sent(first + index, results.CANNOT_BE_SENT, message=f"{name}: {error}", fields=(name,))
            doubts.setdefault(index, told)
    return pa.array(column, pa.string())


def _nothing(rows: int) -> pa.RecordBatch:
    """Rows without a column: they will be refused as empty."""
    return pa.RecordBatch.from_arrays([pa.nulls(rows, pa.string())], names=["Id"])


def _less(texts: Texts, doubts: Mapping[int, RowResult]) -> Texts:
    """The rows without those at these places."""
    if not doubts:
        return texts
    keep = [index for index in range(texts.batch.num_rows) if index not in doubts]
    told = tuple(doubts[index] for index in sorted(doubts))
    return Texts(texts.batch.take(pa.array(keep, pa.int64())), [texts.numbers[index] for index in keep], told)


def places(mask: pa.Array) -> list[int]:
    """Where the mask is true."""
    if not pc.any(mask).as_py():
        return []
    return [int(at) for at in pc.indices_nonzero(mask).to_pylist()]
