"""Laws that an older pipeline for the same tables broke, and bad input. Each test says in its docstring what went wrong there.

What its builders got wrong is beside ours: examples/demand_pipeline/test_main.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import psycopg
import psycopg2
import pytest
from tests.compat.demand_desk import new_table
from tests.connectors.postgres.server import Place

from halocline.compat.demand.utils import (
    get_db_connection,
    get_dynamo_table,
    get_secret,
    insert_data_and_validate,
    insert_data_into_table,
    parallel_scan_dynamo_table,
    rows_of,
    scan_dynamo_table,
)
from halocline.errors import AccessDenied, FixConfig, HaloclineError, LoginRefused, NotFound, SchemaConflict
from halocline.testing.aws import FakeAWS, dynamodb_reads


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamodb_reads, "PAGE_BYTES", 400)


def filled(count: int = 40) -> str:
    return new_table({"id": f"{n:03}", "pad": "x" * 60} for n in range(count))


SCANS: list[Callable[[Any], list[Any]]] = [scan_dynamo_table, parallel_scan_dynamo_table]


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("page", [1, 2, 5])
def test_a_scan_that_fails_is_an_error_and_no_list(
    aws: FakeAWS, place: Place, small_pages: None, scan: Callable[[Any], list[Any]], page: int
) -> None:
    """Traps 1 and 2: the pages before the error, or none, were returned as if they were the table, and replaced its rows."""
    table = get_dynamo_table(filled())
    aws.faults.add("refuse", operation="Scan", nth=page)
    with pytest.raises(AccessDenied, match="Scanning the table"):
        scan(table)
    assert len(scan(table)) == 40


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("odd", [None, "documents", object()])
def test_what_is_no_table_is_refused(scan: Callable[[Any], list[Any]], odd: object) -> None:
    """Trap 2: None, which stood for a table that could not be had, was an AttributeError."""
    with pytest.raises(FixConfig, match="and no table"):
        scan(odd)


@pytest.mark.parametrize("name", ["total_segments", "global_max_rows", "limit", "max_items"])
@pytest.mark.parametrize("odd", ["5", 2.5, True])
def test_what_is_no_number_is_refused(name: str, odd: Any) -> None:
    """A text of the environment was a TypeError, or worse, compared as one."""
    scan = scan_dynamo_table if name == "max_items" else parallel_scan_dynamo_table
    with pytest.raises(FixConfig, match=f"{name} is {odd!r}"):
        scan(get_dynamo_table("t"), **{name: odd})


def test_an_emptied_source_empties_its_table(place: Place) -> None:
    """Trap 3: without data nothing was deleted, and the count that followed rolled back all tables for ever."""
    place.run("CREATE TABLE one (id integer); INSERT INTO one VALUES (1); CREATE TABLE two (id integer)")
    with get_db_connection() as connection:
        insert_data_and_validate(connection, "one", ["id"], [])
        insert_data_and_validate(connection, "two", ["id"], [{"id": 2}])
    assert place.rows("SELECT (SELECT count(*) FROM one), (SELECT count(*) FROM two)") == [(0, 1)]


def test_values_of_every_kind_go_into_text_and_json(place: Place) -> None:
    """Trap 7: a number in a dict, a list of dicts and a set could not be adapted, and the whole run failed."""
    place.run("CREATE TABLE t (number integer, doc jsonb, words text, tags text[])")
    odd = [
        {"a": Decimal("1.50"), "b": [Decimal(2)]},
        [{"x": 1}, {"y": {"z"}}],
        {"s", "t"},
        {"bytes": b"\0", "deep": {"n": Decimal("12345678901234567890.123456789")}},
    ]
    rows = [
        {"number": number, "doc": value, "words": value, "tags": ["a,b", '"', "\\", "NULL"]} for number, value in enumerate(odd)
    ]
    with get_db_connection() as connection:
        insert_data_into_table(connection, "t", ["number", "doc", "words", "tags"], rows)
    wanted = [
        '{"a": 1.50, "b": [2]}',
        '[{"x": 1}, {"y": ["z"]}]',
        '["s", "t"]',
        '{"deep": {"n": 12345678901234567890.123456789}, "bytes": "AA=="}',
    ]
    assert [one for (one,) in place.rows("SELECT doc::text FROM t ORDER BY number")] == wanted
    assert place.rows("SELECT tags FROM t LIMIT 1") == [(["a,b", '"', "\\", "NULL"],)]
    assert place.rows("SELECT count(*) FROM t WHERE words::jsonb = doc") == [(4,)]


def test_numbers_in_arrays_keep_their_kind_and_their_digits(place: Place) -> None:
    """Those in a dict in an array became texts, and a text in an array of JSON became a number."""
    place.run("CREATE TABLE t (tags text[], docs jsonb[], nums numeric[], bytes bytea[])")
    inside = {"k": Decimal("1.50"), "deep": [Decimal("12345678901234567890.123456789"), 2, "3"]}
    row = (["x", inside, True, Decimal("1.10")], ["abc", "12", 12, inside, ["a"]], [Decimal("1.10"), 10**25], [b"\0x"])
    with get_db_connection() as connection:
        insert_data_into_table(connection, "t", ["tags", "docs", "nums", "bytes"], [row])
    told = '{"k": 1.50, "deep": [12345678901234567890.123456789, 2, "3"]}'
    assert place.rows("SELECT tags, nums, bytes FROM t") == [
        (["x", told, "true", "1.10"], [Decimal("1.10"), Decimal(10**25)], [b"\0x"])
    ]
    assert [one for (one,) in place.rows("SELECT unnest(docs)::text FROM t")] == ['"abc"', '"12"', "12", told, '["a"]']


def test_one_odd_row_is_rejected_and_the_others_are_there(place: Place) -> None:
    """Trap 7: one NULL in a NOT NULL column, or one odd value, rolled back everything."""
    place.run("CREATE TABLE t (id integer NOT NULL, amount numeric(6,2))")
    columns = {"id": "integer not null", "amount": "decimal(6,2)"}
    items: list[dict[str, Any]] = [{"id": n, "amount": Decimal("1.5")} for n in range(30)]
    items[3]["id"], items[7]["amount"] = None, Decimal("12345.67")
    rows = rows_of(items, lambda item: {"id": item["id"], "amount": item["amount"]}, columns=columns)
    with get_db_connection() as connection:
        insert_data_and_validate(connection, "t", list(columns), rows)
    assert [one.row for one in rows.rejections] == [3, 7]
    assert place.rows("SELECT count(*) FROM t") == [(28,)]


def test_throttles_are_waited_out(aws: FakeAWS, place: Place, small_pages: None) -> None:
    """Trap 9: the wait was two to the number of the segment, without end, and for one kind of throttling only."""
    table = get_dynamo_table(filled())
    aws.faults.add("throttle", operation="Scan", times=4)
    aws.faults.add("unavailable", operation="Scan", nth=8)
    assert len(parallel_scan_dynamo_table(table)) == 40


def test_as_many_items_as_asked_for_on_skew(aws: FakeAWS, place: Place) -> None:
    """Trap 9: each segment gave its share of the limit, so that segments without items took theirs along."""
    table = get_dynamo_table(new_table(({"id": "one", "number": n} for n in range(20)), sort=True))
    assert len(parallel_scan_dynamo_table(table, 5, 20)) == 20


def test_two_loads_at_a_time_leave_one_set_of_rows(place: Place) -> None:
    """Trap 10: rows of a load beside it were not seen by DELETE, and stayed; and readers waited for nobody's end."""
    place.run("CREATE TABLE t (id integer); INSERT INTO t SELECT generate_series(1, 3)")
    first = get_db_connection()
    insert_data_into_table(first, "t", ["id"], [(10,)])
    begun = threading.Event()

    def beside() -> None:
        with get_db_connection() as connection:
            connection.execute("SELECT 1")
            begun.set()
            insert_data_into_table(connection, "t", ["id"], [(20,)])

    thread = threading.Thread(target=beside)
    thread.start()
    begun.wait()
    assert place.rows("SELECT id FROM t ORDER BY id") == [(1,), (2,), (3,)]
    first.commit()
    thread.join()
    first.close()
    assert place.rows("SELECT id FROM t") == [(20,)]


def test_a_name_is_a_name(place: Place) -> None:
    """Trap 10: names were put into the SQL as they came, and every table was looked for in the schema `raw`."""
    place.run(
        'CREATE TABLE "a; drop" (id integer); CREATE SCHEMA s; CREATE TABLE s.t (id integer); CREATE TABLE bare (id integer)'
    )
    with get_db_connection() as connection:
        for name in ("a; drop", "s.t", "bare", "S.T"):
            insert_data_into_table(connection, name, ["id"], [(1,)])
        with pytest.raises(NotFound, match="there is no table"):
            insert_data_into_table(connection, "bare; DROP TABLE bare", ["id"], [])
        for name, meant in (("t", "s.t"), ("T1", "s.t"), ("bar", "bare"), ("s.tt", "s.t")):
            with pytest.raises(NotFound) as caught:
                insert_data_into_table(connection, name, ["id"], [])
            assert caught.value.suggestions[:1] == (meant,), "a name that leads there, with its schema where it needs one"
            assert name not in caught.value.suggestions
    assert place.rows('SELECT count(*) FROM "a; drop", s.t, bare') == [(1,)]


# ---- bad input


def test_a_table_that_is_not_there(aws: FakeAWS, place: Place) -> None:
    """With names that are near, of either side."""
    name = new_table()
    with pytest.raises(NotFound, match=name):
        scan_dynamo_table(get_dynamo_table(f"{name}x"))
    place.run("CREATE SCHEMA raw; CREATE TABLE raw.cases (id integer)")
    connection = get_db_connection()
    with pytest.raises(NotFound, match=r"Did you mean raw\.cases\?"):
        insert_data_into_table(connection, "raw.case", ["id"], [])
    with pytest.raises(NotFound, match=r"no column 'ids'\. Did you mean id"):
        insert_data_into_table(connection, "raw.cases", ["ids"], [])
    connection.close()


def test_no_permission(aws: FakeAWS, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right that is needed is named; PostgreSQL's table is as it was."""
    table = get_dynamo_table(filled(1))
    aws.faults.add("refuse", operation="DescribeTable", code="AccessDeniedException", status=400)
    with pytest.raises(AccessDenied, match="dynamodb:DescribeTable"):
        scan_dynamo_table(table)
    place.run("CREATE TABLE t (id integer); INSERT INTO t VALUES (1)")
    place.user("reader", "GRANT SELECT ON t TO {user}")
    monkeypatch.setenv("PG_USER", f"reader_{place.database}")
    monkeypatch.setenv("PG_PASSWORD", "own word")
    with get_db_connection() as connection, pytest.raises(AccessDenied):
        insert_data_into_table(connection, "t", ["id"], [])
    assert place.rows("SELECT count(*) FROM t") == [(1,)]


def test_another_region(aws: FakeAWS, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table is not there in another region, and the message says to look at that."""
    name = filled(1)
    monkeypatch.setenv("REGION", "eu-west-1")
    with pytest.raises(NotFound, match="region"):
        scan_dynamo_table(get_dynamo_table(name))


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ('{"username": "u"}', "no text under 'password'"),
        ('{"password": 5}', "no text under 'password'"),
        ("hunter2", "no JSON object"),
        ('["hunter2"]', "no JSON object"),
    ],
)
def test_a_secret_without_its_keys(aws: FakeAWS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str, words: str) -> None:
    """Nothing of the secret is in the message."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOCAL_MODE", raising=False)
    boto3.client("secretsmanager").create_secret(Name="pg", SecretString=held)
    monkeypatch.setenv("PG_SECRET_ARN", "pg")
    monkeypatch.setenv("PG_ENDPOINT", "127.0.0.1:1")
    with pytest.raises(FixConfig, match=words) as caught:
        get_db_connection()
    assert "hunter2" not in str(caught.value)


def test_what_is_not_set_is_named(aws: FakeAWS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable, and where it may be set."""
    monkeypatch.chdir(tmp_path)
    for name in ("LOCAL_MODE", "PG_SECRET_ARN", "PG_ENDPOINT", "PG_HOST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(FixConfig, match=r"PG_SECRET_ARN is not set\. Set it in the environment, or in \.env"):
        get_secret()
    monkeypatch.setenv("PG_SECRET_ARN", "nowhere")
    with pytest.raises(NotFound):
        get_secret()
    boto3.client("secretsmanager").create_secret(Name="pg", SecretString='{"password": "p"}')
    monkeypatch.setenv("PG_SECRET_ARN", "pg")
    with pytest.raises(FixConfig, match="PG_ENDPOINT is not set"):
        get_db_connection()
    monkeypatch.setenv("LOCAL_MODE", "true")
    with pytest.raises(FixConfig, match="PG_HOST is not set"):
        get_db_connection()
    monkeypatch.setenv("LOCAL_MODE", "perhaps")
    with pytest.raises(FixConfig, match="neither true nor false"):
        get_db_connection()


def test_a_login_that_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of PostgreSQL; the password is not in the message."""
    monkeypatch.setenv("PG_PASSWORD", "hunter2")
    with pytest.raises(LoginRefused) as caught:
        get_db_connection()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("integer NOT NULL", None, "NULL"),
        ("varchar(3)", "abcd", "TOO_LONG"),
        ("text", "\0", "DOES_NOT_FIT"),
        ("smallint", 40_000, "OUT_OF_RANGE"),
        ("bigint", 2**63, "OUT_OF_RANGE"),
        ("numeric(4,2)", Decimal("1.005"), "OUT_OF_RANGE"),
        ("integer", Decimal("1.5"), "DOES_NOT_FIT"),
        ("date", "2026-02-30", "DOES_NOT_FIT"),
    ],
)
def test_a_value_that_its_column_cannot_hold(place: Place, column: str, value: object, code: str) -> None:
    """NULL, too long, out of range, rounded: refused with the column before anything is deleted; a reserved word is a name."""
    place.run(f'CREATE TABLE t ("user" {column}, "select" integer)')
    place.run('INSERT INTO t ("user", "select") SELECT NULL, 1' if "NOT NULL" not in column else "INSERT INTO t VALUES (1, 1)")
    with get_db_connection() as connection, pytest.raises(SchemaConflict, match="user") as caught:
        insert_data_into_table(connection, "t", ["user", "select"], [{"user": value, "select": 2}])
    assert caught.value.code == code
    assert place.rows('SELECT "select" FROM t') == [(1,)]


def test_a_connection_of_another_driver(place: Place) -> None:
    """psycopg2's is told apart, before anything is done with it."""
    with psycopg2.connect(place.uri()) as other, pytest.raises(FixConfig, match="Pass a psycopg connection"):
        insert_data_into_table(other, "t", ["id"], [])
    other.close()


def test_no_postgresql_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It may be there later."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCAL_MODE", "true")
    monkeypatch.setenv("PG_HOST", str(tmp_path))
    with pytest.raises(HaloclineError, match="Opening PostgreSQL") as caught:
        get_db_connection()
    assert isinstance(caught.value.__cause__, psycopg.OperationalError)
