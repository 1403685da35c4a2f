"""The error report: one line for each row that was not written, or may not have been, in a CSV file that no spreadsheet runs.

salesforce_object,code,message,upsert_key,upsert_key_value,object_json

`row` (from 0), `fields` and `fate` follow where they are known.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from halocline.report import json_cell, safe
from halocline.spool import storage

HEADERS = ("salesforce_object", "code", "message", "upsert_key", "upsert_key_value", "object_json")
ALL_HEADERS = (*HEADERS, "row", "fields", "fate")
CONTENT_TYPE = "text/csv; charset=utf-8"

Failure = Mapping[str, object]
"""A row that was not written, by the names of the headers; `object_json` is the row itself, or a text."""


def append(failures: Iterable[Failure], path: Path, *, headers: Sequence[str] = HEADERS) -> int:
    """Write lines behind those of the file, which gets its header line when it is new, and say how many they were.

    A record is written as JSON. A cell that a spreadsheet would take for a formula gets an apostrophe in front.
    Raises: StorageFailed.
    """
    count = 0
    with (
        storage(f"Writing the error report {path}"),
        path.open("a", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file)
        if not file.tell():
            writer.writerow([safe(name) for name in headers])
        for failure in failures:
            writer.writerow([_cell(failure.get(name)) for name in headers])
            count += 1
    return count


def _cell(value: object) -> str:
    return safe(json_cell(value) if isinstance(value, (Mapping, list)) else value)
