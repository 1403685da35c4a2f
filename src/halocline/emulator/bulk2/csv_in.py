"""The uploaded CSV: read in batches, with Salesforce's rules for quotes, line ends and sizes.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Prepare CSV Files", "Valid CSV Record Rows" and "Bulk API Limits and
Allocations". Where a message is marked unverified, the guide knows the rule but not the words.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType

BATCH_ROWS = 10_000
FIELD_CHARACTERS, ROW_CHARACTERS, HEADER_CHARACTERS, MOST_FIELDS = 131_072, 400_000, 32_000, 5_000
_CHUNK_BYTES = 1 << 20
_BOM = "\ufeff"
# Seen in answers of real orgs, where a byte-order mark stood before a quoted header.
_UNESCAPED = "Failed to parse CSV. Found unescaped quote. A value with quote should be within a quote"


class BadUploadError(Exception):
    """The whole job fails; the text is its errorMessage."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records in order: their values, what is wrong with some of them by index, and how many lines they stand on."""

    rows: list[list[str]]
    lines: int
    errors: dict[int, str] = field(default_factory=dict)


class Sheet:
    """An uploaded CSV, open for one reading. `header_text` is the header as written, with its line end.

    Raises: BadUploadError for a header or line ends that fail the whole job.
    """

    def __init__(self, path: Path, *, delimiter: str, line_ending: str) -> None:
        _check_line_ends(path, delimiter, line_ending)
        self._delimiter = delimiter
        self._file = path.open(encoding="utf-8", errors="replace", newline="\n")
        try:
            self._lines: list[str] = []
            self._reader = csv.reader(_kept(self._file, self._lines), delimiter=delimiter)
            self.header = self._read_header()
            self.header_text = "".join(self._lines).removeprefix(_BOM)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Sheet:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    @property
    def header_lines(self) -> int:
        """How many lines the header takes."""
        return self.header_text.count("\n") or 1

    def batches(self) -> Iterator[Batch]:
        """The records, BATCH_ROWS at a time; lines without anything are no records.
        Raises: BadUploadError for a field over the limit.
        """
        while True:
            self._lines.clear()
            rows = _next_rows(self._reader, BATCH_ROWS)
            if not rows:
                return
            yield self._batch([row for row in rows if row] if [] in rows else rows)

    def _batch(self, rows: list[list[str]]) -> Batch:
        errors = self._misquoted() | _oversized(rows, self._lines)
        wide = len(self.header)
        for index, row in enumerate(rows):
            if len(row) != wide:
                errors[index] = f"Number of fields in header is different from the row. header = {wide} row = {len(row)}"
        return Batch(rows, len(self._lines), errors)

    def _misquoted(self) -> dict[int, str]:
        """Records with a quote where none may be. They are told apart from their neighbours by reading the batch again."""
        text = "".join(self._lines)
        if is_well_quoted(text, self._delimiter):
            return {}
        errors: dict[int, str] = {}
        reader, start, index = csv.reader(self._lines, delimiter=self._delimiter), 0, 0
        for row in reader:
            if row and not is_well_quoted("".join(self._lines[start : reader.line_num]), self._delimiter):
                errors[index] = _UNESCAPED
            start, index = reader.line_num, index + bool(row)
        return errors

    def _read_header(self) -> list[str]:
        names = next(iter(_next_rows(self._reader, 1)), [])
        text = "".join(self._lines)
        if text.startswith(_BOM + '"') or not is_well_quoted(text.removeprefix(_BOM), self._delimiter):
            raise BadUploadError(f"InvalidBatch : {_UNESCAPED}")
        if not any(names) or len(text) > HEADER_CHARACTERS or len(names) > MOST_FIELDS:
            raise BadUploadError("InvalidBatch : Failed to parse CSV header")
        # Whether a real org takes a byte-order mark before a header without quotes is unverified; most readers do.
        return [names[0].removeprefix(_BOM), *names[1:]]


def is_well_quoted(text: str, delimiter: str) -> bool:
    """Whether every quoted value of these records stands alone between delimiters, its own quotes doubled."""
    if '"' not in text:
        return True
    pieces = text.split('"')
    if len(pieces) % 2 == 0:
        return False
    ends = (delimiter, "\n")
    starts = (delimiter, "\n", "\r\n")
    first, last = pieces[0], pieces[-1]
    # Every other piece stands outside of quotes; an empty one is a doubled quote. There are few different ones.
    return (
        (not first or first.endswith(ends))
        and (not last or last.startswith(starts))
        and all(not piece or (piece.startswith(starts) and piece.endswith(ends)) for piece in set(pieces[2:-1:2]))
    )


def header_text(path: Path, delimiter: str) -> str:
    """The header as written, of a file that may be anything; for the results of a job that never began."""
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        taken: list[str] = []
        with contextlib.suppress(csv.Error):
            next(csv.reader(_kept(file, taken), delimiter=delimiter), None)
        return "".join(taken).removeprefix(_BOM)


def rest_of(path: Path, *, skip_lines: int) -> Iterator[bytes]:
    """The file from a line on, as it is."""
    with path.open("rb") as file:
        for _ in islice(file, skip_lines):
            pass
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _kept(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    """The lines, each of which is in `taken` when it has been read."""
    for line in lines:
        taken.append(line)
        yield line


def _next_rows(reader: Iterator[list[str]], count: int) -> list[list[str]]:
    try:
        return list(islice(reader, count))
    except csv.Error as reason:
        raise BadUploadError(f"InvalidBatch : Failed to parse CSV. {reason}") from reason  # words unverified


def _oversized(rows: list[list[str]], lines: list[str]) -> dict[int, str]:
    """Records with too many characters. One line each, none of them long: nothing to look at."""
    if len(rows) == len(lines) and max(map(len, lines), default=0) <= FIELD_CHARACTERS:
        return {}
    errors: dict[int, str] = {}
    for index, row in enumerate(rows):
        if max(map(len, row)) > FIELD_CHARACTERS:
            errors[index] = f"Field size over the limit of {FIELD_CHARACTERS} characters"  # words unverified
        elif sum(map(len, row)) > ROW_CHARACTERS:
            errors[index] = f"Record size over the limit of {ROW_CHARACTERS} characters"  # words unverified
    return errors


def _check_line_ends(path: Path, delimiter: str, line_ending: str) -> None:
    """Raises: BadUploadError if a record ends otherwise than the job says; inside quotes every line end is a value's own."""
    returns, feeds, pairs = _counted(path)
    if (line_ending == "LF" and not returns) or (line_ending == "CRLF" and returns == feeds == pairs):
        return
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        reader, last = _with_last_line(file, delimiter)
        try:
            if all(_ends_well(last[0], line_ending) for _ in reader):
                return
        except csv.Error as reason:
            if "new-line" not in str(
                reason
            ):  # that is a carriage return alone, outside of quotes; others show when the file is read
                return
    raise BadUploadError(f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {line_ending}")


def _with_last_line(file: Iterator[str], delimiter: str) -> tuple[Iterator[list[str]], list[str]]:
    last = [""]

    def lines() -> Iterator[str]:
        for line in file:
            last[0] = line
            yield line

    return csv.reader(lines(), delimiter=delimiter), last


def _ends_well(line: str, line_ending: str) -> bool:
    is_pair = line.endswith("\r\n")
    return is_pair == (line_ending == "CRLF") or not line.endswith("\n")


def _counted(path: Path) -> tuple[int, int, int]:
    """Carriage returns, line feeds, and pairs of both."""
    returns = feeds = pairs = 0
    before = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            returns += chunk.count(b"\r")
            feeds += chunk.count(b"\n")
            pairs += chunk.count(b"\r\n") + (before == b"\r" and chunk.startswith(b"\n"))
            before = chunk[-1:]
    return returns, feeds, pairs
