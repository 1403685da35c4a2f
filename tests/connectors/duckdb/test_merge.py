"""Loads in any order against a model of ten lines: the table is what the model says, and the counts add up."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.connectors.duckdb.pages import load, table, text_schema
from tests.examples import examples

from halocline.batch import Batch, Op
from halocline.connector import Deletes, Mode
from halocline.connectors.duckdb.destination import DuckDBDestination
from halocline.schema import Column, Kind, Schema
from halocline.spool import Spool

SCHEMA = text_schema(Column("IsDeleted", Kind.BOOLEAN), Column("Stamp", Kind.DATETIME))
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Change:
    """A row as read, or a deletion; the text follows from the rest, so that two rows that tie in all are equal."""

    key: int
    stamp: int
    flagged: bool
    gone: bool

    @property
    def row(self) -> dict[str, object]:
        text = f"{self.key} at {self.stamp}"
        return {"Id": f"{self.key}", "Text": text, "IsDeleted": self.flagged, "Stamp": START + dt.timedelta(seconds=self.stamp)}


def _model(
    known: dict[str, dict[str, object]], changes: list[Change], deletes: Deletes, *, complete: bool
) -> dict[str, dict[str, object]]:
    """The rows after a merge, one key at a time."""
    absent = set(known) - {str(change.key) for change in changes} if complete and deletes is Deletes.SOFT else set()
    after = {key: {**row, "IsDeleted": row["IsDeleted"] or key in absent} for key, row in known.items()}
    for key in {change.key for change in changes}:
        mine = [change for change in changes if change.key == key]
        if any(change.flagged and not change.gone for change in mine):
            mine = [change for change in mine if not change.gone]
        last = max(mine, key=lambda change: (change.stamp, not change.gone, not change.flagged))
        row, old = last.row, known.get(str(key))
        if not last.gone and not (last.flagged and deletes is not Deletes.SOFT):
            after[str(key)] = row
        elif old is None or deletes is Deletes.IGNORE or (last.gone and row["Stamp"] < old["Stamp"]):  # type: ignore[operator]
            continue
        elif deletes is Deletes.HARD:
            del after[str(key)]
        elif not old["IsDeleted"]:
            after[str(key)] = {**old, "IsDeleted": True, "Stamp": row["Stamp"]}
    return after


def _batches(changes: list[Change], schema: Schema) -> list[Batch]:
    rows = [dict(zip(schema.names, change.row.values(), strict=True)) for change in changes if not change.gone]
    gone = [{"Id": f"{change.key}", "Stamp": change.row["Stamp"]} for change in changes if change.gone]
    keys = SCHEMA.select(["Id", "Stamp"]).arrow
    return [
        Batch(rows=pa.RecordBatch.from_pylist(rows, schema=schema.arrow)),
        Batch(rows=pa.RecordBatch.from_pylist(gone, schema=keys), op=Op.DELETE),
    ]


CHANGES = st.builds(Change, key=st.integers(0, 4), stamp=st.integers(0, 3), flagged=st.booleans(), gone=st.booleans())


@pytest.mark.parametrize("text", ["Text", "RowId"])
@pytest.mark.parametrize("deletes", list(Deletes))
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(loads=st.lists(st.tuples(st.lists(CHANGES, max_size=8), st.booleans()), min_size=1, max_size=4))
def test_any_merges_leave_the_table_of_the_model(
    deletes: Deletes, text: str, loads: list[tuple[list[Change], bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """For any sequence of merges of rows, flagged rows and deletions, of what changed or of all there is, the table equals the
    model's after each.

    Also where a column hides DuckDB's number of a row by its name.
    """
    schema = Schema(tuple(replace(column, name=text) if column.name == "Text" else column for column in SCHEMA), SCHEMA.key)
    spool, connection = Spool("merge", tmp_path_factory.mktemp("merge")), duckdb.connect()
    known: dict[str, dict[str, object]] = {}
    try:
        destination = DuckDBDestination(connection, spool=spool)
        for changes, every in loads:
            complete = every and deletes is not Deletes.HARD
            flags = {"cursor": "Stamp", "delete_flag": "IsDeleted", "deletes": deletes, "complete": complete, "allow_empty": True}
            counts = load(destination, _batches(changes, schema), schema, mode=Mode.MERGE, **flags)
            known = _model(known, changes, deletes, complete=complete)
            assert [tuple(row.values()) for row in table(connection)] == [tuple(known[key].values()) for key in sorted(known)]
            assert counts.accounted == len(changes)
    finally:
        connection.close()
        spool.close()
