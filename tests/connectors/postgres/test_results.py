"""Laws of the result tables in PostgreSQL: every row told is in them once, a part in one transaction."""

from __future__ import annotations

import psycopg
import pytest
from tests.connectors.duckdb.test_results import LHT, NOW, ORDER, told
from tests.connectors.postgres.server import Place

from halocline import registry
from halocline.connectors.postgres.results import PostgresResults
from halocline.errors import AccessDenied, FixConfig
from halocline.outcome import Fate, RowResult
from halocline.push.destination import Told
from halocline.push.run import PushRun
from halocline.push.tables import TableWatch


def watch(tables: PostgresResults, run: PushRun | None = None) -> TableWatch:
    return TableWatch(tables, run or PushRun("r1"), ORDER, clock=lambda: NOW)


def test_every_row_told_is_in_a_table(place: Place) -> None:
    """Written ones with their id, the others with all that was said; LHT's names are found in any case."""
    tables = registry.open_results(place.uri(), "LOGS")
    assert isinstance(tables, PostgresResults)
    watch(tables).told(told("b1", ok=(0, 2), bad=(1,), job_id="750A"))
    watch(tables).told(Told("c1", others=(RowResult(3, Fate.NOT_SENT, code="NO", message="nul\0"),)))
    tables.close()
    assert place.rows("SELECT SF_ID, CREATED, ROW, CREATED_AT FROM LOGS.SUCCESS ORDER BY ROW") == [
        ("001000", True, 0, NOW),
        ("001002", True, 2, NOW),
    ]
    assert place.rows("SELECT SF_ERROR, ROW, FATE, RECORD FROM LOGS.FAILURE ORDER BY ROW") == [
        ("BAD:it's bad:Name", 1, "refused", '{"n": 1}'),
        ("NO:nul\ufffd:--", 3, "not_sent", None),
    ]
    assert place.rows("SELECT ID, STATE, NUMBER_RECORDS_FAILED FROM LOGS.JOB_INFO") == [("750A", "JobComplete", 1)]
    for name, columns in LHT.items():
        assert place.rows(f"SELECT {columns.replace(' ', ', ')} FROM LOGS.{name} LIMIT 0") == []


def test_what_is_told_again_replaces_what_was_told(place: Place) -> None:
    """A run that is taken up leaves each row in one table, and each chunk one line."""
    with psycopg.connect(place.uri()) as connection:
        tables = PostgresResults(connection, "LOGS")
        watch(tables).told(told("b1", ok=(0,), bad=(1,), job_id="750A"))
        watch(tables, PushRun("r2", continues="r1")).told(told("b1", ok=(0, 1), job_id="750A"))
        tables.close()
        assert not connection.closed
    assert place.rows("SELECT ROW, RUN FROM LOGS.SUCCESS ORDER BY ROW") == [(0, "r2"), (1, "r2")]
    assert place.rows("SELECT count(*) FROM LOGS.FAILURE") == [(0,)]
    assert place.rows("SELECT RUN FROM LOGS.JOB_INFO") == [("r2",)]


def test_tables_of_lht_are_gone_on_with(place: Place) -> None:
    """Their lines stay, our columns are added, and columns that only they have stay empty."""
    place.run("CREATE SCHEMA LOGS; CREATE TABLE LOGS.SUCCESS (ID int, JOB_ID text, SF_ID text)")
    place.run("INSERT INTO LOGS.SUCCESS VALUES (1, '750X', '001x')")
    tables = PostgresResults(place.uri(), "LOGS")
    watch(tables).told(told("b1", ok=(0,), job_id="750A"))
    tables.close()
    assert place.rows("SELECT ID, JOB_ID, ROW FROM LOGS.SUCCESS ORDER BY JOB_ID") == [(None, "750A", 0), (1, "750X", None)]


def test_what_cannot_be_made_is_told_before_anything_is_sent(place: Place) -> None:
    """A schema that may not be made, or is none."""
    with pytest.raises(AccessDenied, match="permission denied"):
        PostgresResults(place.user("stranger"), "LOGS")
    with pytest.raises(FixConfig):
        PostgresResults(place.uri(), " ")
