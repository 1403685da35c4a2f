"""The file of written rows: each with its number, the id of its record, and as the source has it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from halocline.report import WRITTEN, arriving_text, headings, json_text, safe
from halocline.rows.rows import Rows

_AT_ONCE = 2_000  # records of the source that are held


def write_written(written: Iterable[tuple[int, str]], rows: Rows, *, path: Path, run: str) -> int:
    """Write the rows of these numbers with their ids, a `.csv` for people or a `.jsonl`, and say how many there are.

    The file appears whole or not at all. Raises: StorageFailed.
    """
    found = _found(written, rows)
    with arriving_text(path, what="written", encoding="utf-8") as file:
        if path.suffix.lower() == ".csv":
            columns, writer = _columns(rows), csv.writer(file)
            writer.writerow([safe(name) for name in (*WRITTEN, *headings(columns, WRITTEN))])
            cells = ([run, row, key, *(safe(record.get(name)) for name in columns)] for row, key, record in found)
            return sum(1 for one in cells if writer.writerow(one))
        told = (json_text({"run": run, "row": row, "id": key, "record": record}) for row, key, record in found)
        return sum(1 for one in told if file.write(f"{one}\n"))


def _found(written: Iterable[tuple[int, str]], rows: Rows) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    drawn = iter(written)
    while some := list(islice(drawn, _AT_ONCE)):
        records = rows.records([row for row, _ in some])
        for (row, key), record in zip(some, records, strict=True):
            yield row, key, dict(record)


def _columns(rows: Rows) -> list[str]:
    """All names of the source, in the order in which they first come."""
    found: dict[str, None] = {}
    for batch in rows.batches():
        names = chain.from_iterable(batch.rows) if isinstance(batch.rows, Sequence) else batch.rows.schema.names
        found.update(dict.fromkeys(map(str, names)))
    return list(found)
