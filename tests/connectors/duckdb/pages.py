"""Result pages for the tests of this folder: CSV files as a bulk API delivers them, and short ways to load them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from halocline.batch import Batch
from halocline.connector import Deletes, Mode, Part, Plan, Target
from halocline.connectors.duckdb.destination import DuckDBDestination
from halocline.outcome import Counts
from halocline.schema import Column, Kind, Schema
from halocline.testing.destinations import NoJournal

FLOW = "flow"
TARGET = Target("raw", "page")


@dataclass(frozen=True, slots=True)
class Page:
    """A CSV file as received."""

    path: Path
    rows: int
    columns: tuple[str, ...]

    def arrow(self) -> Iterator[pa.RecordBatch]:
        raise AssertionError("DuckDB reads the file itself")


def written(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> Page:
    """A page with all values quoted, nulls as empty ones, lines ending in LF."""
    lines = [columns, *rows]
    text = "".join(",".join('"' + (value or "").replace('"', '""') + '"' for value in line) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8", newline="")
    return Page(path, len(rows), tuple(columns))


def text_schema(*more: Column) -> Schema:
    """A key, a text and further columns."""
    return Schema((Column("Id", Kind.STRING), Column("Text", Kind.STRING), *more), ("Id",))


def plan(schema: Schema, **changes: Any) -> Plan:
    """A full load of a schema without cursor and flag."""
    values: dict[str, Any] = {"mode": Mode.REPLACE, "key": ("Id",), "cursor": None, "deletes": Deletes.SOFT, "delete_flag": None}
    return Plan(
        flow=FLOW,
        object="Page",
        method="bulk_api_stage_full",
        reasons=(),
        query="",
        window=(None, ""),
        next_position={},
        schema=schema,
        expected_rows=0,
        **{**values, **changes},
    )


def load(destination: DuckDBDestination, batches: Sequence[Batch], schema: Schema, **changes: Any) -> Counts:
    """Load the batches, each as a part."""
    unit = destination.begin(destination.claim(FLOW, "test"))
    try:
        opened = unit.open(TARGET, plan(schema, **changes), NoJournal())
        manifests = [opened.stage(Part(f"p{i}"), iter([batch])) for i, batch in enumerate(batches)]
        return unit.commit({FLOW: {"done": True}}, manifests)
    finally:
        unit.close()


def table(connection: duckdb.DuckDBPyConnection) -> list[dict[str, object]]:
    """The rows of the target, by Id."""
    cursor = connection.cursor()
    cursor.execute("SET TimeZone = 'UTC'")
    rows: list[dict[str, object]] = cursor.sql("FROM raw.page ORDER BY Id").to_arrow_table().to_pylist()
    return rows
