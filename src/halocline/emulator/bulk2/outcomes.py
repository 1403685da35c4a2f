"""What became of the records of a job: the rows of its result files, on disk.

Source for their columns: Bulk API 2.0 and Bulk API Developer Guide, "Get Job Successful Record Results" and its neighbours; for
the quotes, answers of real orgs in public recordings: every value is quoted, the header stands as the client wrote it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from halocline.emulator.errors import ApiError

IDS_OF_FAILED_SINCE = 53.0  # before it `sf__Id` of a failed record is empty. Source: "Get Job Failed Record Results"


class Outcomes:
    """Takes outcomes and writes them down, in the job's own delimiter and line end."""

    def __init__(self, success: Path, failed: Path, *, delimiter: str, line_ending: str) -> None:
        self._files = [path.open("w", encoding="utf-8", newline="") for path in (success, failed)]
        self._success, self._failed = (_Rows(file, delimiter, line_ending) for file in self._files)

    def __enter__(self) -> Outcomes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for file in self._files:
            file.close()

    def succeed(self, rows: Sequence[Sequence[str]]) -> None:
        """Records that were written: id, `true` or `false` for created, then their values."""
        self._success.add(rows)

    def fail(self, rows: Sequence[Sequence[str]]) -> None:
        """Records that were refused: id or nothing, the error, then their values."""
        self._failed.add(rows)


class _Rows:
    def __init__(self, file: TextIO, delimiter: str, line_ending: str) -> None:
        self._file = file
        self._writer = csv.writer(file, delimiter=delimiter, lineterminator=line_ending, quoting=csv.QUOTE_ALL)

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        self._writer.writerows(rows)


def failure(error: ApiError) -> str:
    """An error as `sf__Error` shows it: `REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --`."""
    fields = " ".join(error.fields or ())
    return f"{error.code}:{error.message}:{fields}{' ' if fields else ''}--"


def result_header(text: str, first: Sequence[str], *, delimiter: str, line_ending: str) -> bytes:
    """The header of a result file: the columns of the service, then the client's own header as written."""
    own = re.sub(r"\r?\n\Z", "", text)
    names = [f'"{name}"' for name in first] + ([own] if own else [])
    return (delimiter.join(names) + line_ending).encode()
