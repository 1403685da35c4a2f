"""Laws of databases as sources: what is asked for wrongly is told, a caller's connection stays as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from psycopg.pq import TransactionStatus
from tests.connectors.postgres.server import Place
from tests.tables.test_copy import tables

from halocline.connector import Plan
from halocline.errors import BadQuery, FixConfig, HaloclineError, NotFound, RetryLater, SchemaConflict
from halocline.ledger import MemoryLedger
from halocline.registry import connect, open_source, reader_of
from halocline.run import Run
from halocline.tables import TableCopy, copy

DDL = "CREATE SCHEMA app; CREATE TABLE app.cases (id integer PRIMARY KEY, name text, written {instant});"


@pytest.fixture(params=["postgres", "duckdb"])
def source(request: pytest.FixtureRequest, place: Place) -> Any:
    """A source of either kind with three rows, and with the words to change it."""
    made = DDL.format(instant="timestamptz") + " INSERT INTO app.cases SELECT n, 'x', now() FROM generate_series(1, 3) AS t(n);"
    if request.param == "postgres":
        place.run(made + " CREATE VIEW app.seen AS SELECT * FROM app.cases")
        yield place.uri()
        return
    connection = duckdb.connect()
    connection.execute(made + " CREATE VIEW app.seen AS SELECT * FROM app.cases")
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        ({"table": "app.case"}, NotFound, "app.cases"),
        ({"table": "app.cases", "columns": ["id", "nmae"]}, NotFound, "name"),
        ({"table": "app.cases", "cursor": "at"}, NotFound, "there is no column 'at'"),
        ({"table": "app.cases", "cursor": "name"}, FixConfig, "does not say when"),
        ({"query": "SELECT id, id FROM app.cases"}, BadQuery, "several columns"),
        ({"query": "SELEC"}, BadQuery, "(?i)syntax error"),
        ({"table": "app.cases", "filter": "nothing = 1"}, BadQuery, "nothing"),
        ({}, FixConfig, "one of the two"),
        ({"table": "app.cases", "consistent": True}, FixConfig, "consistent"),
    ],
)
def test_what_is_asked_for_wrongly_is_told(source: Any, asked: dict[str, Any], kind: type[HaloclineError], words: str) -> None:
    """Before anything is read, with what may have been meant."""
    name = reader_of(source)
    connection = connect(name, source)
    try:
        with pytest.raises(kind, match=words):
            open_source(name, connection, **asked).survey(None)
    finally:
        connection.close()


def test_rows_can_be_read_again_by_key(source: Any) -> None:
    """A few among many, as they are in the snapshot; of tables, views and queries alike."""
    name = reader_of(source)
    connection = connect(name, source)
    for asked in ({"table": "app.cases"}, {"table": "app.seen"}, {"query": "SELECT * FROM app.cases;"}):
        opened = open_source(name, connection, **asked)
        schema = opened.survey(None).schema
        plan = Plan(**{**_plan(), "schema": schema})
        found = [row for batch in opened.again(plan, [2, 9]) for rows in batch.arrow() for row in rows.column("id").to_pylist()]
        assert found == [2]
        parts = list(opened.parts(plan))
        assert sum(batch.count for part in parts for batch in opened.read(part)) == 3
    connection.close()
    connection.close()


def _plan() -> dict[str, Any]:
    from halocline.connector import Deletes, Mode
    from halocline.schema import Schema

    told = {
        "flow": "f",
        "object": "o",
        "method": "table_full",
        "reasons": (),
        "query": "",
        "window": (None, ""),
        "next_position": {},
    }
    more = {
        "mode": Mode.REPLACE,
        "key": ("id",),
        "schema": Schema(()),
        "cursor": None,
        "deletes": Deletes.HARD,
        "delete_flag": None,
    }
    return {**told, **more, "expected_rows": 0}


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_callers_connection_is_as_it_was(place: Place, tmp_path: Path, *, autocommit: bool) -> None:
    """It serves one part at a time, and has no transaction open afterwards; one that has is refused."""
    place.run(DDL.format(instant="timestamptz") + " INSERT INTO app.cases VALUES (1, 'x', now())")
    with psycopg.connect(place.uri(), autocommit=autocommit) as connection:
        run = tables(connection, place.uri(), TableCopy("app.cases", "raw.cases"), ledger=MemoryLedger(), tmp_path=tmp_path).run()
        assert run.rows_read == 1
        assert connection.info.transaction_status is TransactionStatus.IDLE
        connection.execute("BEGIN" if autocommit else "SELECT 1")
        with pytest.raises(FixConfig, match="transaction is open"):
            tables(connection, place.uri(), TableCopy("app.cases", "raw.cases"), ledger=MemoryLedger(), tmp_path=tmp_path).run()


def test_a_reference_stands_for_a_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a source is connected, as where its connector is chosen."""
    with duckdb.connect(str(tmp_path / "app.duckdb")) as made:
        made.execute("CREATE TABLE cases AS SELECT 1 AS id")
    monkeypatch.setenv("APP", f"duckdb:///{tmp_path}/app.duckdb")
    connection = connect(reader_of("env:APP"), "env:APP")
    try:
        assert open_source("duckdb", connection, table="cases").survey(None).estimated_rows == 1
    finally:
        connection.close()


def test_a_system_that_nothing_reads_is_told(tmp_path: Path) -> None:
    """Without showing what may be a secret."""
    for strange in ("mysql://me:word@host/db", object()):
        with pytest.raises(FixConfig, match="nothing here knows") as caught:
            copy(strange, f"duckdb:///{tmp_path}/x.duckdb", "t", ledger=MemoryLedger())
        assert "word" not in str(caught.value)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("NULL::text AS name, 1 AS number", "name is NOT NULL, and 1 row has no value in it"),
        ("'12345' AS name, 1 AS number", "takes 4 characters"),
        ("'a' AS name, 99999 AS number", "out of range"),
    ],
)
def test_a_value_that_its_table_cannot_hold_ends_the_load(place: Place, tmp_path: Path, made: str, words: str) -> None:
    """Of rows that no builder looked at: nothing is published, and the database's words say why."""
    place.run(
        "CREATE SCHEMA raw; CREATE TABLE raw.t (name varchar(4) NOT NULL, number smallint); INSERT INTO raw.t VALUES ('old', 1)"
    )
    run = Run.new()
    wanted = TableCopy(query=f"SELECT {made}", to="raw.t", adopt=True)
    with pytest.raises(HaloclineError, match=words) as caught:
        tables(place.uri(), place.uri(), wanted, ledger=MemoryLedger(), tmp_path=tmp_path).run(run)
    assert not isinstance(caught.value, RetryLater)
    assert place.rows("SELECT * FROM raw.t") == [("old", 1)]


def test_a_table_with_capitals_is_refused_as_a_target_of_builders(place: Place, tmp_path: Path) -> None:
    """Names are written in lower case; a second column beside it would be filled, and the first left empty."""
    place.run('CREATE SCHEMA raw; CREATE TABLE raw.t ("caseId" text); CREATE TABLE raw.s (id int)')
    wanted = TableCopy("raw.s", "raw.t", build=dict)
    with pytest.raises(FixConfig, match='"caseId" is spelled with capitals'):
        tables(place.uri(), place.uri(), wanted, ledger=MemoryLedger(), tmp_path=tmp_path).run()


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_rows_without_a_value_that_is_needed_are_named_by_their_keys(place: Place, tmp_path: Path, mode: str) -> None:
    """How many, and which; the other values of a row are in no message."""
    place.run("CREATE SCHEMA raw; CREATE TABLE raw.t (id int PRIMARY KEY, name text NOT NULL, word text)")
    query = "SELECT n AS id, CASE WHEN n % 7 > 0 THEN 'n' END AS name, 'secret' AS word FROM generate_series(1, 30) n"
    wanted = TableCopy(query=query, to="raw.t", mode=mode, key=("id",), adopt=True)
    says = r"its column name is NOT NULL, and 4 rows have no value in it: id = 7; id = 14; id = 21, \.\.\."
    with pytest.raises(SchemaConflict, match=says) as caught:
        tables(place.uri(), place.uri(), wanted, ledger=MemoryLedger(), tmp_path=tmp_path).run()
    assert "secret" not in str(caught.value)
    assert place.rows("SELECT count(*) FROM raw.t") == [(0,)]


@pytest.mark.parametrize(("to", "says"), [("raw.users", 'a table "Users"'), ("raw.t", 'its column "createdAt"')])
@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_no_table_or_column_is_made_beside_one_with_capitals(place: Place, tmp_path: Path, to: str, says: str, mode: str) -> None:
    """Who made that one takes it for the other: it is told, and nothing is changed. The source may have capitals."""
    place.run(
        'CREATE SCHEMA raw; CREATE TABLE raw."Users" (id int); CREATE TABLE raw.t (id int, "createdAt" text);'
        ' CREATE TABLE raw."S" (id int PRIMARY KEY, "createdAt" text)'
    )
    wanted = TableCopy("raw.S", to, mode=mode, key=("id",), adopt=True)
    with pytest.raises(FixConfig, match=says):
        tables(place.uri(), place.uri(), wanted, ledger=MemoryLedger(), tmp_path=tmp_path).run()
    tables(place.uri(), place.uri(), replace(wanted, to="raw.own"), ledger=MemoryLedger(), tmp_path=tmp_path).run()
    columns = (
        "SELECT table_name, string_agg(column_name, ',') FROM information_schema.columns WHERE table_schema = 'raw' GROUP BY 1"
    )
    assert dict(place.rows(columns)) == {"Users": "id", "t": "id,createdAt", "S": "id,createdAt", "own": "id,createdat"}


def test_a_builder_gets_numbers_as_numbers(place: Place, tmp_path: Path) -> None:
    """Also those of any number of digits, which travel as text: twice of 2 is 4, and not 22. NaN stays a word."""
    long = "12345678901234567890123456789012345678901234567890.5"
    place.run(
        "CREATE SCHEMA raw; CREATE TABLE raw.s (id int, n numeric);"
        " CREATE TABLE raw.t (id int, n numeric, twice numeric, word text);"
        f" INSERT INTO raw.s VALUES (1, 2), (2, 1.50), (3, {long}), (4, NULL), (5, 'NaN')"
    )

    def build(item: Mapping[str, Any]) -> dict[str, object]:
        number = item["n"]
        if not isinstance(number, Decimal):
            return {"id": item["id"], "n": None, "twice": None, "word": number}
        return {"id": item["id"], "n": number, "twice": number * 2 if number < 9 else None, "word": None}

    tables(place.uri(), place.uri(), TableCopy("raw.s", "raw.t", build=build), ledger=MemoryLedger(), tmp_path=tmp_path).run()
    assert place.rows("SELECT id, n::text, twice::text, word FROM raw.t ORDER BY id") == [
        (1, "2", "4", None),
        (2, "1.50", "3.00", None),
        (3, long, None, None),
        (4, None, None, None),
        (5, None, None, "NaN"),
    ]
