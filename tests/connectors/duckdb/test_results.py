"""Laws of the result tables: every row told is in them once, a part in one transaction, and what is impossible is told early."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from halocline import registry
from halocline.connectors.duckdb.results import DuckDBResults
from halocline.errors import FixConfig, StorageFailed
from halocline.outcome import Fate, RowResult
from halocline.push.destination import Told
from halocline.push.order import SyncMode, WriteOrder
from halocline.push.run import PushRun
from halocline.push.tables import FAILURE, JOB_INFO, SUCCESS, TABLES, TableWatch, key_of
from halocline.rows.of import MemoryRows

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
ORDER = WriteOrder("Account", SyncMode.UPSERT, key="Ext__c")
Connection = duckdb.DuckDBPyConnection
LHT = {  # the columns that lht 3.0.0 fills of each table, its own number of a line left out
    JOB_INFO: "ID OPERATION OBJECT STATE JOB_TYPE NUMBER_RECORDS_PROCESSED NUMBER_RECORDS_FAILED CREATED_AT",
    SUCCESS: "JOB_ID SF_ID CREATED SUCCESS ERRORS MATCH_FIELD MATCH_ID CREATED_AT",
    FAILURE: "JOB_ID SF_ID SF_ERROR MATCH_FIELD MATCH_ID CREATED_AT",
}


def watch(tables: DuckDBResults, run: PushRun | None = None, **options: Any) -> TableWatch:
    return TableWatch(tables, run or PushRun("r1"), ORDER, clock=lambda: NOW, **options)


def told(chunk: str, *, ok: tuple[int, ...] = (), bad: tuple[int, ...] = (), **more: Any) -> Told:
    ids = [f"001{row:03}" for row in ok]
    written = pa.RecordBatch.from_pydict(
        {"row": pa.array(ok, pa.int64()), "id": pa.array(ids, pa.string()), "created": [True] * len(ok)}
    )
    refused = partial(RowResult, fate=Fate.REFUSED, code="BAD", message="it's bad", fields=("Name",))
    others = tuple(refused(row, record={"n": row}) for row in bad)
    return Told(chunk, written=written, others=others, **more)


def rows(connection: Connection, what: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT {what}").fetchall()


def test_lhts_names_are_kept(connection: Connection) -> None:
    """Queries on LHT's tables find their columns here."""
    registry.open_results(connection, "LOGS").close()
    for name, columns in LHT.items():
        assert TABLES[name].names[: len(columns.split())] == columns.split()
        assert rows(connection, f"{', '.join(columns.split())} FROM LOGS.{name}") == []


def test_every_row_told_is_in_a_table(connection: Connection) -> None:
    """Written ones with their id and key, the others with all that Salesforce said and the record as JSON."""
    source = MemoryRows([{"ext__c": f"k{at}"} for at in range(4)], name="rows")
    tables = watch(DuckDBResults(connection, "LOGS"), match=key_of(source, "Ext__c"))
    tables.told(told("b1", ok=(0, 2), bad=(1,), job_id="750A"))
    doubt = RowResult(None, Fate.IN_DOUBT, record={"d": date(2026, 1, 1), "n": Decimal("1.5")})
    tables.told(Told("c1", others=(doubt, RowResult(3, Fate.NOT_SENT, code="NO"))))
    columns = "JOB_ID, SF_ID, CREATED, SUCCESS, MATCH_FIELD, MATCH_ID, RUN, ROW, CREATED_AT"
    assert rows(connection, f"{columns} FROM LOGS.SUCCESS") == [
        ("750A", "001000", True, True, "Ext__c", "k0", "r1", 0, NOW),
        ("750A", "001002", True, True, "Ext__c", "k2", "r1", 2, NOW),
    ]
    assert rows(connection, "JOB_ID, SF_ERROR, MATCH_ID, ROW, FATE, CODE, MESSAGE, FIELDS FROM LOGS.FAILURE ORDER BY ROW") == [
        ("750A", "BAD:it's bad:Name", "k1", 1, "refused", "BAD", "it's bad", "Name"),
        (None, "NO::--", "k3", 3, "not_sent", "NO", "", ""),
        (None, "::--", None, None, "in_doubt", "", "", ""),
    ]
    records = [text for (text,) in rows(connection, "RECORD FROM LOGS.FAILURE ORDER BY ROW")]
    assert records == ['{"n": 1}', None, '{"d": "2026-01-01", "n": "1.5"}']


def test_a_job_has_one_line_that_grows(connection: Connection) -> None:
    """Whatever pieces it is told in; rows that were never sent are in no job."""
    tables = watch(DuckDBResults(connection, "LOGS"))
    tables.told(Told("staging", others=(RowResult(9, Fate.NOT_SENT, code="MISSING_KEY"),)))
    tables.told(told("b1", ok=(0, 1), job_id="750A"))
    tables.told(told("b1", ok=(2,), bad=(3,), job_id="750A", piece=1))
    tables.told(told("c1", ok=(4,)))
    tables.told(Told("b2", others=(RowResult(5, Fate.NOT_SENT, code="JOB_FAILED"),), job_id="750B"))
    columns = "ID, STATE, JOB_TYPE, NUMBER_RECORDS_PROCESSED, NUMBER_RECORDS_FAILED, CHUNK"
    assert rows(connection, f"{columns} FROM LOGS.JOB_INFO ORDER BY CHUNK") == [
        ("750A", "JobComplete", "V2Ingest", 4, 1, "b1"),
        ("750B", "Failed", "V2Ingest", 0, 0, "b2"),
        (None, "JobComplete", "Collections", 1, 0, "c1"),
    ]


def test_rows_that_are_told_again_are_there_once(connection: Connection) -> None:
    """In a run that was taken up, in whatever pieces: their lines take the place of the earlier ones. Other runs keep theirs."""
    first = watch(DuckDBResults(connection, "LOGS"))
    first.told(told("b1", ok=(0, 1), bad=(2,), job_id="750A"))
    watch(DuckDBResults(connection, "LOGS"), PushRun("other")).told(told("b1", ok=(0,)))
    taken_up = watch(DuckDBResults(connection, "LOGS"), PushRun("r2", continues="r1"))
    taken_up.told(told("b1", ok=(0,), again=True, job_id="750A"))
    taken_up.told(told("b1", ok=(1,), bad=(2,), piece=1, job_id="750A"))
    taken_up.told(told("b2", ok=(3,), job_id="750B"))
    assert rows(connection, "RUN, ROW FROM LOGS.SUCCESS ORDER BY ALL") == [("other", 0), ("r2", 0), ("r2", 1), ("r2", 3)]
    assert rows(connection, "RUN, ROW FROM LOGS.FAILURE ORDER BY ALL") == [("r2", 2)]
    assert rows(connection, "RUN, CHUNK FROM LOGS.JOB_INFO ORDER BY ALL") == [("other", "b1"), ("r2", "b1"), ("r2", "b2")]


def test_a_part_is_written_whole_or_not_at_all(connection: Connection) -> None:
    """When a line cannot be written, none of its Told is."""
    tables = watch(DuckDBResults(connection, "LOGS"))
    connection.execute("ALTER TABLE LOGS.FAILURE ALTER CODE TYPE INTEGER")
    with pytest.raises(Exception, match="BAD"):
        tables.told(told("b1", ok=(0,), bad=(1,)))
    assert rows(connection, "count(*) FROM LOGS.SUCCESS") == rows(connection, "count(*) FROM LOGS.JOB_INFO") == [(0,)]


def test_tables_of_lht_are_gone_on_with(connection: Connection) -> None:
    """Their lines stay, our columns are added, and columns that only they have stay empty."""
    connection.execute("CREATE SCHEMA LOGS; CREATE TABLE LOGS.SUCCESS (ID INTEGER, JOB_ID VARCHAR, SF_ID VARCHAR)")
    connection.execute("INSERT INTO LOGS.SUCCESS VALUES (1, '750X', '001x')")
    watch(DuckDBResults(connection, "LOGS")).told(told("b1", ok=(0,), job_id="750A"))
    assert rows(connection, "ID, JOB_ID, ROW FROM LOGS.SUCCESS ORDER BY JOB_ID") == [(None, "750A", 0), (1, "750X", None)]


def test_the_owners_transaction_is_not_touched(connection: Connection) -> None:
    """Results stay when the connection's owner rolls back."""
    connection.execute("BEGIN")
    connection.execute("CREATE TABLE mine (a INTEGER)")
    watch(DuckDBResults(connection, "LOGS")).told(told("b1", ok=(0,)))
    connection.execute("ROLLBACK")
    assert rows(connection, "count(*) FROM LOGS.SUCCESS") == [(1,)]


def test_a_file_is_opened_and_closed(tmp_path: Path) -> None:
    """A URI names the file; a schema may be named with its catalog."""
    tables = registry.open_results(f"duckdb:///{tmp_path}/lake.duckdb", "lake.my logs")
    watch(tables).told(told("b1", ok=(0,)))  # type: ignore[arg-type]  # a DuckDBResults, by the URI
    tables.close()
    with duckdb.connect(str(tmp_path / "lake.duckdb")) as connection:
        assert rows(connection, 'count(*) FROM "my logs".SUCCESS') == [(1,)]


def test_a_limit_of_memory_is_kept(connection: Connection) -> None:
    """It comes with the other options of the connector, and holds for the database."""
    registry.open_results(connection, "LOGS", memory_limit="64MB").close()
    assert rows(connection, "current_setting('memory_limit')") == [("61.0 MiB",)]


def test_a_file_that_is_open_already_is_told(tmp_path: Path) -> None:
    """DuckDB takes a file in one way at a time: the same connection must serve both."""
    path = tmp_path / "lake.duckdb"
    duckdb.connect(str(path)).close()
    with duckdb.connect(str(path), read_only=True) as connection:
        with pytest.raises(FixConfig, match=r"open in this process already.*Pass that connection for both"):
            DuckDBResults(f"duckdb:///{path}", "LOGS")
        with pytest.raises(StorageFailed, match=r"is read-only.*Open the database for writing"):
            DuckDBResults(connection, "LOGS")


@pytest.mark.parametrize("schema", ["", "a.b.c", "a..b"])
def test_a_schema_that_is_none_is_told(connection: Connection, schema: str) -> None:
    """Before anything is made."""
    with pytest.raises(FixConfig, match="names no schema"):
        DuckDBResults(connection, schema)


def test_other_sessions_are_told() -> None:
    """Nothing here writes tables to them."""
    with pytest.raises(FixConfig, match="write result tables to mysql"):
        registry.open_results("mysql://me:secret@host/db", "LOGS")
