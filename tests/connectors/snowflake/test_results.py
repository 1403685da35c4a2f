"""Laws of the result tables in Snowflake: every row told is in them once, a part in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.duckdb.test_results import LHT, NOW, ORDER, told
from tests.connectors.snowflake.pages import leftovers, rows
from tests.connectors.snowflake.server import Server

from halocline import registry
from halocline.connectors.snowflake.results import SnowflakeResults
from halocline.errors import FixConfig, Truncated
from halocline.outcome import Fate, RowResult
from halocline.push.destination import Told
from halocline.push.run import PushRun
from halocline.push.tables import TableWatch


@pytest.fixture
def connection(server: Server, tmp_path: Path) -> Iterator[Any]:
    made = server.connect(server.database(tmp_path))
    yield made
    made.close()


def watch(tables: SnowflakeResults, run: PushRun | None = None) -> TableWatch:
    return TableWatch(tables, run or PushRun("r1"), ORDER, clock=lambda: NOW)


def test_every_row_told_is_in_a_table(server: Server, connection: Any, tmp_path: Path) -> None:
    """Written ones with their id, the others with all that was said, under LHT's names; nothing else is left."""
    tables = registry.open_results(server.uri(server.database(tmp_path)), "logs")
    assert isinstance(tables, SnowflakeResults)
    watch(tables).told(told("b1", ok=(0, 2), bad=(1,), job_id="750A"))
    watch(tables).told(Told("c1", others=(RowResult(3, Fate.NOT_SENT, code="NO", message='of "two"\nlines'),)))
    tables.close()
    assert rows(connection, 'SELECT SF_ID, CREATED, "ROW", CREATED_AT FROM LOGS.SUCCESS ORDER BY "ROW"') == [
        ("001000", True, 0, NOW),
        ("001002", True, 2, NOW),
    ]
    assert rows(connection, 'SELECT SF_ERROR, "ROW", FATE, RECORD FROM LOGS.FAILURE ORDER BY "ROW"') == [
        ("BAD:it's bad:Name", 1, "refused", '{"n": 1}'),
        ('NO:of "two"\nlines:--', 3, "not_sent", None),
    ]
    assert rows(connection, "SELECT ID, STATE, NUMBER_RECORDS_FAILED FROM LOGS.JOB_INFO") == [("750A", "JobComplete", 1)]
    for name, columns in LHT.items():
        assert rows(connection, f"SELECT {columns.replace(' ', ', ')} FROM LOGS.{name} LIMIT 0") == []
    assert leftovers(connection) == []


def test_what_is_told_again_replaces_what_was_told(connection: Any) -> None:
    """A run that is taken up leaves each row in one table, and each chunk one line; the connection stays open."""
    tables = SnowflakeResults(connection, "LOGS")
    watch(tables).told(told("b1", ok=(0,), bad=(1,), job_id="750A"))
    watch(tables, PushRun("r2", continues="r1")).told(told("b1", ok=(0, 1), job_id="750A"))
    tables.close()
    assert rows(connection, 'SELECT "ROW", RUN FROM LOGS.SUCCESS ORDER BY "ROW"') == [(0, "r2"), (1, "r2")]
    assert rows(connection, "SELECT count(*) FROM LOGS.FAILURE") == [(0,)]
    assert rows(connection, "SELECT RUN FROM LOGS.JOB_INFO") == [("r2",)]


def test_tables_of_lht_are_gone_on_with(connection: Any) -> None:
    """Their lines stay, our columns are added, and columns that only they have stay empty."""
    connection.cursor().execute('CREATE SCHEMA "LOGS"')
    connection.cursor().execute('USE SCHEMA "PUBLIC"')
    connection.cursor().execute("CREATE TABLE LOGS.SUCCESS (ID int, JOB_ID text, SF_ID text)")
    connection.cursor().execute("INSERT INTO LOGS.SUCCESS SELECT 1, '750X', '001x'")
    tables = SnowflakeResults(connection, "LOGS")
    watch(tables).told(told("b1", ok=(0,), job_id="750A"))
    tables.close()
    assert rows(connection, 'SELECT ID, JOB_ID, "ROW" FROM LOGS.SUCCESS ORDER BY JOB_ID') == [
        (None, "750A", 0),
        (1, "750X", None),
    ]


def test_what_names_no_schema_is_refused(connection: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(FixConfig):
        SnowflakeResults(connection, " ")


def test_lines_that_did_not_arrive_whole_are_taken_back(connection: Any) -> None:
    """COPY's own answer is held against what was put: what an earlier run told of the rows stays as it was."""
    tables = SnowflakeResults(connection, "LOGS")
    watch(tables).told(told("b1", bad=(1,), job_id="750A"))
    before = connection.cursor
    connection.cursor = lambda: _Short(before())
    with pytest.raises(Truncated, match="of JOB_INFO 1 row was put, and COPY loaded 0"):
        watch(tables, PushRun("r2", continues="r1")).told(told("b1", ok=(1,), job_id="750A"))
    connection.cursor = before
    tables.close()
    assert rows(connection, 'SELECT "ROW", RUN FROM LOGS.FAILURE') == [(1, "r1")]
    assert rows(connection, "SELECT count(*) FROM LOGS.SUCCESS") == [(0,)]


class _Short:
    """A cursor whose COPY says that it loaded nothing."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain
        self._sql = ""

    def execute(self, sql: str, *words: Any) -> Any:
        self._sql = sql
        return self._plain.execute(sql, *words)

    def fetchall(self) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._plain.fetchall()
        return [] if self._sql.startswith("COPY") else found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)
