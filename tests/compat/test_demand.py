"""Laws of the demand pipeline's functions: the whole table or an error, exact values, the caller's own transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Attr
from boto3.dynamodb.types import Binary
from moto.server import ThreadedMotoServer
from tests.compat.demand_desk import new_table
from tests.connectors.postgres.server import Place
from tests.ports import free_port
from tests.samples.postgres import _ADMIN_WORD, postgres
from tests.test_repository import DRIVERS, modules_after

from halocline.compat.demand.settings import Settings, place_of
from halocline.compat.demand.utils import (
    get_db_connection,
    get_dynamo_table,
    get_secret,
    insert_data_and_validate,
    insert_data_into_table,
    parallel_scan_dynamo_table,
    rows_of,
    scan_dynamo_table,
    setting,
)
from halocline.dotenv import dotenv
from halocline.errors import BadQuery, FixConfig, LoginRefused, Refused, SchemaConflict, Stop, StorageFailed, Truncated
from halocline.testing.aws import FakeAWS, dynamodb_reads

EVERY: dict[str, Any] = {
    "text": "näme\n",
    "number": Decimal("12345678901234567890123456789012345.678"),
    "flag": True,
    "nothing": None,
    "raw": Binary(b"\0\xff"),
    "words": {"a", "b"},
    "numbers": {Decimal(1), Decimal("2.5")},
    "map": {"deep": [Decimal(1), {"er": "x"}]},
}


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture(params=["FakeAWS", pytest.param("moto", marks=pytest.mark.long)])
def cloud(request: pytest.FixtureRequest, aws: FakeAWS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dynamodb_reads, "PAGE_BYTES", 2_000)
    if request.param == "moto":
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("moto"))


# ---- what is read


@pytest.mark.parametrize("cloud", ["FakeAWS", "moto"], indirect=True)
def test_a_scan_has_every_item_with_its_values(cloud: None) -> None:
    """As boto3 has them, but for binaries, which are bytes; over many pages, in one segment and in several."""
    name = new_table({"id": f"{n}", **EVERY} for n in range(60))
    assert [one["id"] for one in boto3.resource("dynamodb").Table(name).scan()["Items"]] != []
    table = get_dynamo_table(name)
    wanted = sorted(f"{n}" for n in range(60))
    for found in (scan_dynamo_table(table), parallel_scan_dynamo_table(table), parallel_scan_dynamo_table(table, 1)):
        assert sorted(one["id"] for one in found) == wanted
        assert all({**one, "id": "", "raw": EVERY["raw"].value} == {"id": "", **EVERY, "raw": one["raw"]} for one in found)
    assert table.table_name == name


@pytest.mark.parametrize("most", [1, 7, 10, 11])
def test_the_most_items_are_exact_on_skew(cloud: None, most: int) -> None:
    """However few segments hold them: ten items under one key."""
    table = get_dynamo_table(new_table(({"id": "one", "number": n, "pad": "x" * 300} for n in range(10)), sort=True))
    found = parallel_scan_dynamo_table(table, global_max_rows=most)
    assert (len(found), len(scan_dynamo_table(table, most))) == (min(most, 10), min(most, 10))
    assert len({one["number"] for one in found}) == min(most, 10)


@pytest.mark.parametrize("cloud", ["FakeAWS", "moto"], indirect=True)
def test_filters_and_projections(cloud: None) -> None:
    """A condition of boto3's or a text; plain names in a projection may be reserved words."""
    table = get_dynamo_table(new_table({"id": f"{n}", "status": "ab"[n % 2], "size": n, "more": n} for n in range(10)))
    even = parallel_scan_dynamo_table(table, filter_expression=Attr("status").eq("a"), projection_expression="id, size, status")
    assert {tuple(sorted(one)) for one in even} == {("id", "size", "status")}
    text = {"names": {"#s": "status"}, "values": {":a": "a"}}
    again = parallel_scan_dynamo_table(table, filter_expression="#s = :a", projection_expression=["id", "status", "size"], **text)
    assert sorted(one["id"] for one in even) == sorted(one["id"] for one in again) == ["0", "2", "4", "6", "8"]
    with pytest.raises(BadQuery):
        parallel_scan_dynamo_table(table, filter_expression="nothing like it", projection_expression="id")
    with pytest.raises(BadQuery, match="int is none"):
        parallel_scan_dynamo_table(table, filter_expression=5)
    with pytest.raises(FixConfig, match="limit=0"):
        parallel_scan_dynamo_table(table, limit=0)


def test_a_table_of_another_account_is_read_in_its_role(aws: FakeAWS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented role, unless one is named; not in LOCAL_MODE, and not in the sandbox."""
    monkeypatch.chdir(tmp_path)
    table = get_dynamo_table(new_table([{"id": "a"}]), "123456789012")
    assert table.access["role"] == "arn:aws:iam::123456789012:role/DataScienceCrossAccountDDBAccess"
    assert len(scan_dynamo_table(table)) == 1
    assert aws.calls.count("sts.AssumeRole") == 1
    assert get_dynamo_table("t", 123456789012).access == table.access
    for account in ("prod", 12345678901, "12345678901\u0663"):
        with pytest.raises(FixConfig, match="no number of an account"):
            get_dynamo_table("t", account)
    monkeypatch.setenv("SOURCE_ENV", "sandbox")
    assert "role" not in get_dynamo_table("t", "123456789012").access
    monkeypatch.delenv("SOURCE_ENV")
    monkeypatch.setenv("LOCAL_MODE", "True")
    assert "role" not in get_dynamo_table("t", "123456789012").access


# ---- what is written


@pytest.fixture
def cases(place: Place) -> Iterator[Any]:
    place.run("CREATE SCHEMA raw; CREATE TABLE raw.cases (id integer NOT NULL, name varchar(5), doc jsonb, tags text[])")
    place.run("CREATE VIEW raw.named AS SELECT id, name FROM raw.cases; INSERT INTO raw.cases VALUES (1, 'old', NULL, NULL)")
    connection = get_db_connection()
    yield connection
    connection.close()


HEADERS = ["id", "name", "doc", "tags"]


def test_rows_are_replaced_by_the_callers_commit(cases: Any, place: Place) -> None:
    """Others see the old rows until then, also through a view; values are exact; a rollback brings the old rows back."""
    data = [
        {"id": Decimal(2), "name": "n", "doc": {"a": Decimal("1.10"), "b": {"x"}}, "tags": {"b", "a"}},
        (3, None, [{}], [None]),
    ]
    assert insert_data_and_validate(cases, "raw.cases", HEADERS, data) == 2
    assert place.rows("SELECT * FROM raw.named") == [(1, "old")]
    cases.rollback()
    assert place.rows("SELECT * FROM raw.named") == [(1, "old")]
    insert_data_into_table(cases, "raw.cases", HEADERS, data)
    cases.commit()
    assert place.rows("SELECT id, name, doc::text, tags FROM raw.cases ORDER BY id") == [
        (2, "n", '{"a": 1.10, "b": ["x"]}', ["a", "b"]),
        (3, None, "[{}]", [None]),
    ]


def test_no_rows_empty_the_table(cases: Any, place: Place) -> None:
    """The caller asked for it."""
    assert insert_data_and_validate(cases, "raw.cases", HEADERS, []) == 0
    assert place.rows("SELECT count(*) FROM raw.cases") == [(1,)]
    cases.commit()
    assert place.rows("SELECT count(*) FROM raw.cases") == [(0,)]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"id": None, "name": "n", "doc": None, "tags": None}, "row 1: id is NOT NULL"),
        ((2**31, None, None, None), "beyond its range"),
        ((1, "123456", None, None), "more than the 5"),
        ((1, None, None, {"x": 1}), "is no list"),
        ((1, None, object(), None), "JSON has no form"),
        ((1, None, None), "3 values for 4 columns"),
        ({"id": 1, "name": None, "doc": None}, "leaves out tags"),
        ({"id": 1, "name": None, "doc": None, "tags": None, "more": 1}, "no column more"),
        ("text", "neither a dict"),
    ],
)
def test_a_row_that_does_not_fit_changes_nothing(cases: Any, place: Place, row: Any, words: str) -> None:
    """It is named by its number; the table is as it was, and the transaction can go on."""
    with pytest.raises(SchemaConflict, match=words):
        insert_data_into_table(cases, "raw.cases", HEADERS, [(5, "good", None, None), row])
    insert_data_into_table(cases, "raw.cases", HEADERS, [(6, "later", None, None)])
    cases.commit()
    assert place.rows("SELECT id FROM raw.cases") == [(6,)]


def test_a_copy_that_fails_changes_nothing(cases: Any, place: Place) -> None:
    """A constraint that only the server knows: the rows that were deleted for it are there again."""
    place.run("ALTER TABLE raw.cases ADD CHECK (id < 10)")
    with pytest.raises(SchemaConflict):
        insert_data_into_table(cases, "raw.cases", HEADERS, [(11, None, None, None)])
    cases.commit()
    assert place.rows("SELECT id FROM raw.cases") == [(1,)]


def test_a_connection_that_commits_by_itself_is_refused(cases: Any, place: Place) -> None:
    """Readers would see an empty table."""
    cases.autocommit = True
    with pytest.raises(FixConfig, match="commits each statement"):
        insert_data_into_table(cases, "raw.cases", HEADERS, [])
    assert place.rows("SELECT id FROM raw.cases") == [(1,)]


def test_rows_that_a_trigger_keeps_out_are_missed(cases: Any, place: Place) -> None:
    """The count of the table is held against what was written."""
    place.run(
        "CREATE FUNCTION raw.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        " CREATE TRIGGER out BEFORE INSERT ON raw.cases FOR EACH ROW EXECUTE FUNCTION raw.nothing()"
    )
    with pytest.raises(Truncated, match="1 row was written, and the table has 0"):
        insert_data_and_validate(cases, "raw.cases", HEADERS, [(2, None, None, None)])


def test_rows_go_to_a_csv_file_too(cases: Any, tmp_path: Path) -> None:
    """With a line of names; a load that fails writes none."""
    path = tmp_path / "cases.csv"
    insert_data_into_table(cases, "raw.cases", HEADERS, [(2, "a,b", {"x": 1}, ["t"])], True, path)
    assert path.read_text() == '"id","name","doc","tags"\n2,"a,b","{""x"": 1}","[""t""]"\n'
    with pytest.raises(SchemaConflict):
        insert_data_into_table(cases, "raw.cases", HEADERS, [(None, None, None, None)], True, tmp_path / "no.csv")
    assert [one.name for one in tmp_path.glob("*.csv")] == ["cases.csv"]


def test_a_csv_file_that_cannot_be_written_changes_nothing(cases: Any, place: Place, tmp_path: Path) -> None:
    """The rows were there, uncommitted, and the caller's next commit published them beside the error."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed):
        insert_data_into_table(cases, "raw.cases", HEADERS, [(2, None, None, None)], True, tmp_path / "file" / "x.csv")
    cases.commit()
    assert place.rows("SELECT id FROM raw.cases") == [(1,)]


def test_rows_may_be_drawn_from_a_generator(cases: Any, place: Place) -> None:
    """They are counted as they are written."""
    assert insert_data_and_validate(cases, "raw.cases", HEADERS, ((n, None, None, None) for n in range(3))) == 3
    cases.commit()
    assert place.rows("SELECT count(*) FROM raw.cases") == [(3,)]


def test_names_may_be_reserved_words_or_have_capitals(place: Place) -> None:
    """Of tables and of columns."""
    place.run('CREATE TABLE "order" ("select" integer, "userId" text, "from" bytea)')
    with get_db_connection() as connection:
        insert_data_into_table(connection, "order", ["userId", "select", "from"], [("u", 1, b"\0\1")])
    assert place.rows('SELECT "select", "userId", "from" FROM "order"') == [(1, "u", b"\0\1")]


# ---- rows that are built


def test_an_item_is_a_row_or_a_rejection() -> None:
    """With its number and the reason: what the builder raises, and what does not fit; the order stays."""
    items = [{"n": 1}, {}, {"n": 3}, {"n": 2**31}, {"n": 5}]
    rows = rows_of(items, lambda item: {"N": item["n"]}, columns={"n": "integer not null"}, max_rejected=2)
    assert list(rows) == [{"N": 1}, {"N": 3}, {"N": 5}]
    assert [(one.row, one.record) for one in rows.rejections] == [(1, {}), (3, {"n": 2**31})]
    assert (rows.rejections[0].code, rows.rejections[0].message) == ("KeyError", "KeyError: 'n'")
    assert "beyond its range" in rows.rejections[1].message
    assert rows_of([], dict) == []


def test_an_item_may_become_no_row_or_several() -> None:
    """As in flows; a dict that is filled again and again is a row each time, and an item is all of its rows or none."""

    def several(item: dict[str, Any]) -> Any:
        row = {}
        for number in item["numbers"]:
            row["n"] = number
            yield row

    items = [{"numbers": [1, 2]}, {"numbers": []}, {"numbers": [3, "x"]}, {"numbers": [4]}]
    rows = rows_of(items, several, columns={"n": "integer"}, max_rejected=1)
    assert list(rows) == [{"n": 1}, {"n": 2}, {"n": 4}]
    assert [one.record for one in rows.rejections] == [{"numbers": [3, "x"]}]
    assert rows_of([{}], lambda _: None) == []
    (rejection,) = rows_of([{}], lambda _: "text", max_rejected=1).rejections
    assert "neither a row" in rejection.message


def test_what_is_about_no_one_item_ends_the_building() -> None:
    """Stop, RetryLater and FixConfig are no rejections."""

    def stopped(_: object) -> None:
        raise Stop("Building", "the key is gone")

    with pytest.raises(Stop):
        rows_of([{}], stopped, max_rejected=1)


@pytest.mark.parametrize(("most", "fails"), [(0.1, True), (0.2, False), (1, True), (2, False)])
def test_many_rejections_are_one_mistake(most: float, fails: bool) -> None:
    """A share, or a whole number."""
    items = [{"n": 1}] * 8 + [{}, {}]
    if fails:
        with pytest.raises(Refused, match="2 of 10 items were rejected, such as item 8: KeyError"):
            rows_of(items, lambda item: {"n": item["n"]}, max_rejected=most)
    else:
        assert len(rows_of(items, lambda item: {"n": item["n"]}, max_rejected=most)) == 8


# ---- what is said where


def test_a_dotenv_file_is_read(tmp_path: Path) -> None:
    """Comments behind values, quotes, `export`; a line that sets nothing is told by its number, without what is in it."""
    path = tmp_path / ".env"
    path.write_text("# c\n\nA=1   # c\nexport B = 'x # y'\nC=\"a=b\" # c\nD=a#b\nE=\nF=#c\n")
    assert dotenv(path) == {"A": "1", "B": "x # y", "C": "a=b", "D": "a#b", "E": "", "F": ""}
    assert dotenv(tmp_path / "none") == {}
    for odd in ("A=1\nsecret word\n", 'A=1\nB="open\n'):
        path.write_text(odd)
        with pytest.raises(FixConfig, match="line 2 sets no variable") as caught:
            dotenv(path)
        assert "secret" not in str(caught.value)


def test_the_environment_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a login is one of the two as a whole."""
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    Path(".env").write_text("REGION=eu-west-1\nLOCAL_MODE=true\nAWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\nPG_HOST=h\n")
    assert Settings.now().access() == {"region": "eu-west-1", "key_id": "a", "secret_key": "b"}
    assert Settings.now().local
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other")
    monkeypatch.setenv("LOCAL_MODE", "false")
    assert Settings.now().access() == {"region": "eu-west-1"}
    assert not Settings.now().local
    assert "b'" not in repr(Settings.now())


def test_a_setting_is_of_the_environment_or_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty one is none, in both; an account that is an empty text is none."""
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("SOURCE_ENV=prod\nSOURCE_ACCOUNT_ID=\n")
    for name in ("SOURCE_ENV", "SOURCE_ACCOUNT_ID", "LOCAL_MODE"):
        monkeypatch.delenv(name, raising=False)
    assert (setting("SOURCE_ENV", "dev"), setting("SOURCE_ACCOUNT_ID"), setting("NO_SUCH", "x")) == ("prod", None, "x")
    monkeypatch.setenv("SOURCE_ENV", "")
    assert setting("SOURCE_ENV", "dev") == "prod"
    monkeypatch.setenv("SOURCE_ENV", "test")
    assert setting("SOURCE_ENV", "dev") == "test"
    assert "role" not in get_dynamo_table("x", "").access


@pytest.mark.parametrize(
    ("text", "port", "wanted"),
    [
        ("db.example.com", None, ("db.example.com", 5432)),
        ("db.example.com:6543", None, ("db.example.com", 6543)),
        ("db.example.com", "6000", ("db.example.com", 6000)),
        ("[::1]:6543", None, ("::1", 6543)),
        ("::1", None, ("::1", 5432)),
        ("/tmp/socket:1", 7000, ("/tmp/socket:1", 7000)),
    ],
)
def test_the_port_of_an_endpoint_counts(text: str, port: str | None, wanted: tuple[str, int]) -> None:
    """Where none is said, the other one, or PostgreSQL's."""
    assert place_of(text, port=port) == wanted
    with pytest.raises(FixConfig, match="is no port"):
        place_of("host:many")


def test_a_connection_by_the_secret(aws: FakeAWS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PG_ENDPOINT with its port, user and database from the secret, `postgres` where it names none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOCAL_MODE", raising=False)
    port = free_port()
    held: dict[str, Any] = {"password": _ADMIN_WORD}
    client = boto3.client("secretsmanager")
    arn = client.create_secret(Name="pg", SecretString=json.dumps(held))["ARN"]
    monkeypatch.setenv("PG_SECRET_ARN", arn)
    monkeypatch.setenv("PG_ENDPOINT", f"127.0.0.1:{port}")
    assert get_secret() == held
    with postgres(("fsync=off", "listen_addresses=127.0.0.1", f"port={port}")):
        with get_db_connection() as connection:
            assert connection.execute("SELECT current_user, current_database()").fetchall() == [("postgres", "postgres")]
            connection.execute("CREATE ROLE loader LOGIN PASSWORD 'w'")
            connection.commit()
            connection.autocommit = True
            connection.execute("CREATE DATABASE dw")
        client.put_secret_value(SecretId="pg", SecretString='{"username": "loader", "password": "w", "dbname": "dw"}')
        with get_db_connection() as connection:
            assert connection.execute("SELECT current_user, current_database()").fetchall() == [("loader", "dw")]
            assert not connection.autocommit
        client.put_secret_value(SecretId="pg", SecretString='{"username": "loader", "password": "wrong"}')
        with pytest.raises(LoginRefused):
            get_db_connection()


def test_importing_loads_no_driver() -> None:
    """And needs no region: nothing is connected by importing."""
    assert modules_after("import halocline.compat.demand.utils") & (DRIVERS - {"pyarrow"}) == set()
