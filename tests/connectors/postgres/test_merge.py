"""Loads in any order against a model of ten lines: the table is what the model says, with a unique index and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.connectors.duckdb.test_merge import CHANGES, SCHEMA, Change, _batches, _model
from tests.connectors.postgres.pages import load, table
from tests.connectors.postgres.server import Place
from tests.examples import examples

from halocline.connector import Deletes, Mode
from halocline.connectors.postgres.destination import PostgresDestination


@pytest.fixture
def merging(place: Place) -> Iterator[Any]:
    """Merges changes into an empty table, made by somebody without a key or by us with one."""
    destination = PostgresDestination(place.uri())

    def run(loads: list[tuple[list[Change], bool]], deletes: Deletes, *, keyed: bool) -> None:
        place.run("DROP TABLE IF EXISTS raw.page; CREATE SCHEMA IF NOT EXISTS raw")
        if not keyed:
            place.run("CREATE TABLE raw.page (id text, text text, isdeleted boolean, stamp timestamptz)")
        known: dict[str, dict[str, object]] = {}
        for changes, every in loads:
            complete = every and deletes is not Deletes.HARD
            flags = {"cursor": "Stamp", "delete_flag": "IsDeleted", "deletes": deletes, "complete": complete, "allow_empty": True}
            counts = load(destination, _batches(changes, SCHEMA), SCHEMA, mode=Mode.MERGE, **flags)
            known = _model(known, changes, deletes, complete=complete)
            assert table(place) == [{name.lower(): value for name, value in known[key].items()} for key in sorted(known)]
            assert counts.accounted == len(changes)

    yield run
    destination.close()


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("deletes", list(Deletes))
@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(loads=st.lists(st.tuples(st.lists(CHANGES, max_size=8), st.booleans()), min_size=1, max_size=4))
def test_any_merges_leave_the_table_of_the_model(
    deletes: Deletes, keyed: bool, loads: list[tuple[list[Change], bool]], merging: Any
) -> None:
    """For any sequence of merges of rows, flagged rows and deletions, of what changed or of all there is, the table equals the
    model's after each.
    """
    merging(loads, deletes, keyed=keyed)
