"""The rows that were not written, for people (CSV) and for programs (JSONL).

CSV: `run,row,code,message,fields`, then the columns of the source as they came up. It is made for spreadsheets: a cell
that a spreadsheet would take for a formula gets an apostrophe in front, and so does what would begin one where the spreadsheet
parts cells by semicolons or tabs. A text that is nothing but a number (`-5`, `+4.25`) stays as it is: it has no function, no
reference and no operator, so it can only ever be that number.
JSONL: one object a line, exact: `run`, `row`, `code`, `message`, `fields`, `record`.
Rows are counted from 0 in the source. Memory stays flat: the rejections are read twice, never held.

Source: OWASP, "CSV Injection"; OWASP Application Security Verification Standard 5.0, 1.2.10; RFC 4180. Read November 2026.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from halocline.errors import FixConfig
from halocline.outcome import Rejection
from halocline.spool import WHERE_NAMED, arriving, prove, storage

if TYPE_CHECKING:
    from halocline.ledger import Ledger

OWN = ("run", "row", "code", "message", "fields")
WRITTEN = ("run", "row", "id")
"""How the header of a file of written rows begins."""
IN_DOUBT = "IN_DOUBT"
CODES = {
    "MAPPING_FAILED": "A step of the mapping refused the row's value.",
    "NOT_A_RECORD": "The row is no mapping of names to values.",
    "SOURCE_FIELD_MISSING": "The row lacks a mapped column, and the mapping is strict.",
    "MISSING_KEY": "The row has no value for its key.",
    "SEVERAL_MATCHES": "Several records have the row's key.",
    "CANNOT_BE_SENT": "A value cannot be spelled as its field's type.",
    "NOTHING_TO_SEND": "The row has no value beside its key.",
    "NOT_ATTEMPTED": "The push ended before the row was sent.",
    "DISCARDED": "`halocline resume --discard` gave the row up before it was sent.",
    "IN_DOUBT": "The row was sent, and no answer told what became of it.",
    "FATE_UNKNOWN": "The push of `SfClient` ended before anything became known of the row.",
    "NO_RESULT": "The orchestrator was given fewer results than rows.",
    "UNKNOWN_ERROR": "The row was not written, and the result does not say why.",
    "FILE_UNREADABLE": "The file is no file of rows.",
    "NO_ROW": "What the builder returned is no row.",
    "SEVERAL_ROWS": "An item became several rows, and its table is read by a cursor.",
    "OTHER_KEY": "An item became a row of another key, and its table is read by a cursor.",
    "NULL": "There is no value for a column that is NOT NULL.",
    "NO_COLUMN": "The row has a column that the table has not.",
    "COLUMN_LEFT_OUT": "The row lacks a column of the table.",
    "COLUMN_TWICE": "The row has a column twice, in two spellings.",
    "TOO_LONG": "A text is longer than its column takes.",
    "OUT_OF_RANGE": "A number or a date is beyond its column's range, or finer than it.",
    "DOES_NOT_FIT": "A value is of another type than its column.",
}
"""Halocline's own codes of records that are rejected; the others are Salesforce's, or the name of what a builder raised."""

_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20"  # the last four: their full-width forms
_FORMULA = re.compile(f"[{_SIGNS}\\t\\r\\n\\0]")
_NEXT_CELL = re.compile(f'(?<=[;\\t\\r\\n])(?=[\\s\\0"]*[{_SIGNS}])')
_NEXT_IN_JSON = re.compile(f';(?=[\\s"]*[{_SIGNS}])')
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_DOUBT = "it was sent, and no answer told what became of it"
_LOOK = "look in Salesforce whether it is there before it is sent again"


def rejections_of(ledger: Ledger, run: str) -> Iterator[Rejection]:
    """What the ledger has of the rows of a run that were not written, or may not have been: first the refused and unsent, in the
    order in which they became known, then those in doubt, with the code IN_DOUBT and what to do about it.
    """
    yield from ledger.each_rejection(run)
    for one in ledger.each_doubt(run):
        yield replace(one, code=IN_DOUBT, message=f"{one.message or _DOUBT}; {_LOOK}")


def frequent(ledger: Ledger, run: str, *, most: int) -> tuple[dict[str, int], bool]:
    """The `most` frequent codes of a run with how many rows each has, and whether there are more codes."""
    codes = Counter(one.code for one in rejections_of(ledger, run))
    return dict(codes.most_common(most)), len(codes) > most


def write(read: Callable[[], Iterable[Rejection]], path: Path, *, run: str, encoding: str = "utf-8") -> int:
    """Write the file that its name asks for (`.csv`, or `.jsonl` / `.ndjson`), and say how many rows are in it.

    `read` gives the rejections anew each time. The file appears whole or not at all. `encoding` is the CSV's: `utf-8-sig` puts
    the mark in front by which Excel knows UTF-8.
    Raises: FixConfig as `check_name`, StorageFailed.
    """
    check_name(path)
    if path.suffix.lower() == ".csv":
        return write_csv(read, path, run=run, encoding=encoding)
    return write_jsonl(read, path, run=run)


def refuse_report(names: Sequence[str], doing: str) -> None:
    """See that a CSV file with this header is none of ours: an apostrophe of `safe` would become part of the value.

    Raises: FixConfig for one that is.
    """
    if tuple(names[: len(OWN)]) != OWN and tuple(names[: len(WRITTEN)]) != WRITTEN:
        return
    cause = f"its columns {', '.join(names[:3])} say that it is a report of a push, in which cells such as -5 Grad or +49 (0)30"
    hint = (
        "Mend the source and push that, or the rows of `halocline errors RUN --jsonl FILE`, which are as they were (`record`). "
        "A file of your own needs another name for its first column."
    )
    raise FixConfig(doing, f"{cause} have an apostrophe in front", hint=hint)


def check_name(path: Path, what: str = "refused") -> None:
    """See, before there is anything to write, whether `write` can make this file.

    Raises: FixConfig for a name that says no form, or a folder that is not there.
    """
    doing = f"Writing the {what} rows to {path}"
    if path.suffix.lower() not in {".csv", ".jsonl", ".ndjson"}:
        hint = "Name a file that ends in .csv (for people) or .jsonl (exact)."
        raise FixConfig(doing, f"{path.suffix or 'no ending'} says nothing of its form", hint=hint)
    if not path.absolute().parent.is_dir():
        raise FixConfig(doing, f"there is no folder {path.parent}", hint="Name a file in a folder that is there.")


def check_place(path: Path, what: str = "refused") -> None:
    """See, before there is anything to write, whether `write` may make this file; one that is there stays as it is.

    Raises: FixConfig as `check_name`, and for a folder of that name; StorageFailed where the folder takes no file.
    """
    check_name(path, what)
    if path.is_dir():
        raise FixConfig(f"Writing the {what} rows to {path}", "it is a folder", hint="Name a file.")
    prove(path.absolute().parent)


def write_csv(read: Callable[[], Iterable[Rejection]], path: Path, *, run: str, encoding: str = "utf-8") -> int:
    """Write a CSV file for people; see `write`.

    Raises: StorageFailed.
    """
    columns = _columns(read())
    with arriving_text(path, encoding=encoding) as file:
        writer = csv.writer(file)
        writer.writerow([safe(name) for name in (*OWN, *headings(columns, OWN))])
        return _counted(writer.writerow(_cells(one, run=run, columns=columns)) for one in read())


def write_jsonl(read: Callable[[], Iterable[Rejection]], path: Path, *, run: str) -> int:
    """Write a JSONL file for programs; see `write`.

    Raises: StorageFailed.
    """
    with arriving_text(path, encoding="utf-8") as file:
        return _counted(file.write(line(one, run=run) + "\n") for one in read())


def line(rejection: Rejection, *, run: str) -> str:
    """A rejection as one line of JSON; what JSON does not know is text, as are the numbers that are none (`NaN`)."""
    told = {name: getattr(rejection, name) for name in OWN if name != "run"}
    record = None if rejection.record is None else dict(rejection.record)
    return json_text({"run": run, **told, "record": record})


def json_text(value: object) -> str:
    """A value as JSON; what JSON does not know is text, as are the numbers that are none (`NaN`)."""
    return json.dumps(_finite(value), default=str, ensure_ascii=False, allow_nan=False)


def safe(value: object) -> str:
    """A value as the cell of a CSV file that no spreadsheet takes for a formula, nor for the end of a cell and a formula."""
    text = _text(value)
    if _NUMBER.fullmatch(text):
        return text
    text = _NEXT_CELL.sub("'", text)
    return f"'{text}" if _FORMULA.match(text) else text


def json_cell(value: object) -> str:
    """A value as JSON in a cell: as it is to a program, and with no semicolon that would end a cell in front of a formula."""
    return _NEXT_IN_JSON.sub(r"\\u003b", json_text(value))


def _columns(rejections: Iterable[Rejection]) -> list[str]:
    """The names in the records, in the order in which they came up first."""
    found: dict[str, None] = {}
    for one in rejections:
        found.update(dict.fromkeys(map(str, one.record or ())))
    return list(found)


def headings(columns: Sequence[str], own: Sequence[str]) -> Iterator[str]:
    """The columns' names; one that is named like one of `own` is told apart."""
    taken = {*own, *columns}
    for name in columns:
        heading = name
        while heading in own or (heading != name and heading in taken):
            heading = f"source.{heading}"
        yield heading


def _cells(rejection: Rejection, *, run: str, columns: list[str]) -> list[str]:
    record = {str(name): value for name, value in (rejection.record or {}).items()}
    own = (run, rejection.row, rejection.code, rejection.message, " ".join(rejection.fields))
    return [safe(value) for value in (*own, *(record.get(name) for name in columns))]


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (Mapping, list, tuple)):
        return _NEXT_IN_JSON.sub(r"\\u003b", json.dumps(value, default=str, ensure_ascii=False))
    return str(value)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return value


def _counted(written: Iterable[object]) -> int:
    return sum(1 for _ in written)


@contextmanager
def arriving_text(path: Path, *, encoding: str, what: str = "refused") -> Iterator[IO[str]]:
    """A text file that takes its name when the block has ended well.

    Raises: StorageFailed.
    """
    with (
        storage(f"Writing the {what} rows to {path}", room=WHERE_NAMED),
        arriving(path) as half,
        half.open("w", encoding=encoding, errors="backslashreplace", newline="") as file,
    ):
        yield file
