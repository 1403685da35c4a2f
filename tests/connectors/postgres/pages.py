"""Result pages for the tests of this folder, and short ways to load them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from psycopg.rows import dict_row
from tests.connectors.duckdb.pages import FLOW, TARGET, plan
from tests.connectors.duckdb.pages import written as write
from tests.connectors.postgres.server import Place

from halocline.batch import Batch
from halocline.connector import Part
from halocline.connectors.postgres.destination import PostgresDestination
from halocline.connectors.salesforce.pages import Page
from halocline.outcome import Counts
from halocline.schema import Schema
from halocline.testing.destinations import NoJournal


def written(path: Path, schema: Schema, rows: Sequence[Sequence[str | None]], *, names: Sequence[str] | None = None) -> Page:
    """A page of these columns as a bulk API delivers it; it can be parsed as the source would."""
    columns = tuple(names or schema.names)
    page = write(path, columns, rows)
    return Page(page.path, page.rows, columns, schema, "Page", page.path.stat().st_size)


def load(destination: PostgresDestination, batches: Sequence[Batch], schema: Schema, **changes: Any) -> Counts:
    """Load the batches, each as a part."""
    unit = destination.begin(destination.claim(FLOW, "test"))
    try:
        opened = unit.open(TARGET, plan(schema, **changes), NoJournal())
        manifests = [opened.stage(Part(f"p{i}"), iter([batch])) for i, batch in enumerate(batches)]
        return unit.commit({FLOW: {"done": True}}, manifests)
    finally:
        unit.close()


def table(place: Place) -> list[dict[str, Any]]:
    """The rows of the target, by id."""
    with place.admin.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("SELECT * FROM raw.page ORDER BY id").fetchall()


def leftovers(place: Place) -> list[str]:
    """Tables of ours beside the table of positions."""
    found = place.rows("SELECT relname FROM pg_class WHERE relname LIKE '\\_halocline\\_%' AND relkind = 'r' ORDER BY 1")
    return [name for (name,) in found if name != "_halocline_positions"]
