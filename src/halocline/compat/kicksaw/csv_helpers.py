"""The error report as a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from halocline.filejob.report import HEADERS, append
from halocline.s3_keys import unique_stamp
from halocline.scratch import folder
from halocline.spool import storage

__all__ = ["create_error_report"]

_Error = Mapping[str, Any]
_Errors = Iterable[_Error | Iterable[_Error]]


@overload
def create_error_report(errors: _Errors, report_path: None = None, headers: Sequence[str] | None = None) -> tuple[Path, int]: ...


@overload
def create_error_report(errors: _Errors, report_path: Path | str, headers: Sequence[str] | None = None) -> int: ...


def create_error_report(
    errors: _Errors, report_path: Path | str | None = None, headers: Sequence[str] | None = None
) -> tuple[Path, int] | int:
    """Write the lines of `parse_bulk_upsert_results` into a CSV file: `errors` holds lines, or lists of them.

    What `extract_errors_from_results` gives is a line of code and message, for it does not know its row.

    With a `report_path` they go behind what is there already, and the answer is their number. Without, the file is a new one,
    `errors/error-report-....csv` below a folder of its own, and the answer is its path and the number.
    A cell that a spreadsheet would take for a formula gets an apostrophe in front. Raises: StorageFailed.
    """
    new = folder() / "errors" / f"error-report-{unique_stamp()}.csv"
    path = new if report_path is None else Path(report_path)
    with storage(f"Making the folder {path.parent}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    count = append(_lines(errors), path, headers=headers or HEADERS)
    return (path, count) if report_path is None else count


def _lines(errors: _Errors) -> Iterator[_Error]:
    for one in errors:
        if isinstance(one, Mapping):
            yield _line(one)
        else:
            yield from map(_line, one)


def _line(error: _Error) -> _Error:
    """A line of the report; an error as Salesforce tells it has its code under another name."""
    return {"code": error["statusCode"], **error} if "statusCode" in error else error
