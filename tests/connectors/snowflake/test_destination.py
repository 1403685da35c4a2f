"""Laws of a load into Snowflake that the suite of all destinations does not hold."""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.connectors.duckdb.pages import FLOW, TARGET, plan, text_schema
from tests.connectors.snowflake.pages import Wire, load, rows, table, written
from tests.connectors.snowflake.server import Server

from halocline.batch import Batch
from halocline.connector import Mode, Part
from halocline.connectors.snowflake import pages
from halocline.connectors.snowflake.destination import SnowflakeDestination
from halocline.errors import FixConfig, LeaseLost, Refused, SchemaConflict, Truncated
from halocline.events import Event, Noticed
from halocline.schema import Column, Kind, Schema
from halocline.spool import Spool
from halocline.testing.destinations import NoJournal


@pytest.fixture
def connection(server: Server, tmp_path: Path) -> Iterator[Any]:
    made = server.connect(server.database(tmp_path))
    yield made
    made.close()


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def destination(connection: Any, tmp_path: Path, heard: list[Event]) -> Iterator[SnowflakeDestination]:
    spool = Spool("test", tmp_path)
    yield SnowflakeDestination(connection, spool=spool, sink=heard.append)
    spool.close()


def page(folder: Path, *lines: tuple[str | None, ...], schema: Schema | None = None, name: str = "page.csv") -> Batch:
    return Batch(raw=written(folder / name, schema or text_schema(), list(lines)))


def meanwhile(connection: Any, done: Callable[[], None]) -> Wire:
    """Have something done once, when the next commit on the connection begins to copy its files."""
    wire, left = Wire(connection), [done]

    def watch(sql: str) -> None:
        if sql.startswith("CREATE TEMPORARY TABLE") and left:
            left.pop()()

    wire.before = watch
    return wire


def test_every_text_of_a_page_arrives(destination: SnowflakeDestination, connection: Any, tmp_path: Path) -> None:
    """Quotes, line ends, backslashes, blanks and words that mean null elsewhere are texts; only an empty value is null."""
    texts = ['a "b", c', "line\r\nline\n", "back\\slash\\", " blanks ", "\\N", "NULL", "Łódź 😀", "'", "%s"]
    counts = load(destination, [page(tmp_path, *((str(n), text) for n, text in enumerate(texts)), ("9", None))], text_schema())
    assert counts.inserted == 10
    assert [row["TEXT"] for row in table(connection)] == [*texts, None]


def test_arrow_keeps_an_empty_text(destination: SnowflakeDestination, connection: Any) -> None:
    """Null is null and an empty text is one."""
    batch = pa.RecordBatch.from_pylist([{"Id": "1", "Text": ""}, {"Id": "2", "Text": None}], schema=text_schema().arrow)
    load(destination, [Batch(rows=batch)], text_schema())
    assert [row["TEXT"] for row in table(connection)] == ["", None]


def test_each_type_is_exact(destination: SnowflakeDestination, connection: Any, tmp_path: Path) -> None:
    """Numbers keep their digits, instants their zone and milliseconds; what a page spells otherwise is parsed first."""
    schema = text_schema(
        Column("N", Kind.DECIMAL, precision=18, scale=2),
        Column("W", Kind.INTEGER),
        Column("F", Kind.DOUBLE),
        Column("B", Kind.BOOLEAN),
        Column("D", Kind.DATE),
        Column("At", Kind.DATETIME),
        Column("T", Kind.TIME),
    )
    plain = ("1", "x", "9999999999999999.99", "9007199254740993", "0.1", "true", "1999-12-31", "2026-03-01T10:20:30.123Z", None)
    odd = ("2", "x", "1.2E3", "12.0", "1E-3", "false", "0001-01-01", "2026-03-01T10:20:30.000+0000", "10:20:30.005Z")
    load(destination, [page(tmp_path, plain, odd, schema=schema)], schema)
    first, second = table(connection)
    at = dt.datetime(2026, 3, 1, 10, 20, 30, 123000, dt.UTC)
    assert [first[name] for name in ("N", "W", "F", "B", "AT")] == [Decimal("9999999999999999.99"), 2**53 + 1, 0.1, True, at]
    assert [second[name] for name in ("N", "W", "F", "D")] == [Decimal(1200), 12, 0.001, dt.date(1, 1, 1)]
    assert (second["T"], second["AT"]) == (dt.time(10, 20, 30, 5000), at.replace(microsecond=0))


def test_arrow_is_written_as_snowflake_reads_it(tmp_path: Path) -> None:
    """Bytes as hexadecimal digits (the emulation does not read them), instants to the microsecond in UTC, null as nothing."""
    schema = Schema((Column("Y", Kind.BINARY), Column("At", Kind.DATETIME), Column("T", Kind.TIME), Column("Text", Kind.STRING)))
    row = {"Y": b"\x00\xff", "At": dt.datetime(2026, 3, 1, 0, 0, 0, 5, dt.UTC), "T": dt.time(1, 2, 3, 4), "Text": ""}
    batch = pa.RecordBatch.from_pylist([row, {}], schema=schema.arrow)
    assert pages.written([batch], schema, file=tmp_path / "f.csv.gz", doing="Writing") == 2
    wanted = b'"00ff","2026-03-01T00:00:00.000005Z",01:02:03.000004,""\n,,,\n'
    assert gzip.decompress((tmp_path / "f.csv.gz").read_bytes()) == wanted


def test_a_number_that_does_not_fit_stops_the_load(destination: SnowflakeDestination, connection: Any, tmp_path: Path) -> None:
    """Snowflake would round it without a word; the table stays as it was."""
    schema = text_schema(Column("N", Kind.DECIMAL, precision=6, scale=2))
    load(destination, [page(tmp_path, ("1", "a", "1.50"), schema=schema)], schema)
    for value in ("0.005", "1234567.89"):
        with pytest.raises(SchemaConflict, match="N"):
            load(destination, [page(tmp_path, ("1", "a", value), schema=schema)], schema, mode=Mode.MERGE)
    assert table(connection)[0]["N"] == Decimal("1.50")


def test_json_is_parsed_and_compared_by_value(destination: SnowflakeDestination, connection: Any, tmp_path: Path) -> None:
    """It is a VARIANT there; the same value again is no change."""
    schema = text_schema(Column("J", Kind.JSON))
    load(destination, [page(tmp_path, ("1", "a", '{"a": [1, "x"]}'), ("2", "b", None), schema=schema)], schema)
    again = page(tmp_path, ("1", "a", '{"a": [1, "x"]}'), ("2", "b", '{"n": null}'), schema=schema)
    counts = load(destination, [again], schema, mode=Mode.MERGE)
    assert (counts.updated, counts.unchanged) == (1, 1)
    kinds = {row[0]: row[1] for row in rows(connection, 'DESCRIBE TABLE "RAW"."PAGE"')}
    assert kinds["J"] == "VARIANT"


def test_columns_of_their_own_survive_a_full_refresh(
    destination: SnowflakeDestination, connection: Any, tmp_path: Path, heard: list[Event]
) -> None:
    """The refresh goes by key and says so: their values stay, rows that are gone go, and so do views over the table."""
    load(destination, [page(tmp_path, ("1", "a"), ("2", "b"))], text_schema())
    connection.cursor().execute('ALTER TABLE "RAW"."PAGE" ADD COLUMN "NOTE" VARCHAR')
    connection.cursor().execute('UPDATE "RAW"."PAGE" SET "NOTE" = \'mine\' WHERE "ID" = \'2\'')
    connection.cursor().execute('CREATE VIEW "PUBLIC"."V" AS SELECT "ID", "NOTE" FROM "RAW"."PAGE"')
    assert load(destination, [page(tmp_path, ("2", "c"), ("3", "d"))], text_schema()).inserted == 2
    assert table(connection) == [{"ID": "2", "TEXT": "c", "NOTE": "mine"}, {"ID": "3", "TEXT": "d", "NOTE": None}]
    assert len(rows(connection, 'SELECT * FROM "PUBLIC"."V"')) == 2
    assert [event.message for event in heard if isinstance(event, Noticed)] == [
        "raw.page was refreshed row by row, because it has columns of its own."
    ]


def test_doubles_that_snowflake_let_in_are_told(destination: SnowflakeDestination, connection: Any, tmp_path: Path) -> None:
    """No key is enforced there: a merge onto doubled rows is refused, and a full refresh sets it right."""
    load(destination, [page(tmp_path, ("1", "a"))], text_schema())
    connection.cursor().execute("INSERT INTO \"RAW\".\"PAGE\" SELECT '1', 'double'")
    with pytest.raises(SchemaConflict, match="several rows of one key"):
        load(destination, [page(tmp_path, ("1", "new"))], text_schema(), mode=Mode.MERGE)
    load(destination, [page(tmp_path, ("1", "new"))], text_schema())
    assert table(connection) == [{"ID": "1", "TEXT": "new"}]


def test_a_column_of_another_type_is_made_anew_and_told(
    destination: SnowflakeDestination, connection: Any, tmp_path: Path, heard: list[Event]
) -> None:
    """A run that dies before the rows are published is followed by one that reads everything: the column is told as lacking."""
    load(destination, [page(tmp_path, ("1", "7"))], text_schema())
    other = Schema((Column("Id", Kind.STRING), Column("Text", Kind.INTEGER)), ("Id",))
    wire = Wire(connection)

    def cut(sql: str) -> None:
        if sql.startswith("INSERT OVERWRITE"):
            raise RuntimeError("the lights go out")

    wire.before = cut
    with pytest.raises(RuntimeError):
        load(destination, [page(tmp_path, ("1", "7"), schema=other)], other)
    wire.before = lambda _: None
    assert destination.position(FLOW, TARGET) == {"done": True}
    assert destination.lacks(TARGET, other) == ("Text",)
    load(destination, [page(tmp_path, ("1", "7"), schema=other)], other)
    assert destination.position(FLOW, TARGET) == {"done": True}
    assert destination.lacks(TARGET, other) == ()
    assert table(connection) == [{"ID": "1", "TEXT": 7}]
    load(destination, [page(tmp_path, ("1", "8"))], text_schema())
    assert [event.message for event in heard if isinstance(event, Noticed)] == [
        "raw.page has columns of another type now; they were made anew."
    ]


def test_every_flow_of_a_table_is_told_of_a_column_that_was_lost(
    destination: SnowflakeDestination, connection: Any, tmp_path: Path
) -> None:
    """What one flow makes again is filled with its own rows: another's are still to be read for it."""
    wide = text_schema(Column("More", Kind.STRING))
    load(destination, [page(tmp_path, ("1", "a", "x"), schema=wide)], wide)
    theirs = "SELECT 'theirs', \"TARGET\", '{\"n\": 2}', 0, 'x', NULL"
    name = '"PUBLIC"."_HALOCLINE_POSITIONS"'
    connection.cursor().execute(f"INSERT INTO {name} {theirs} FROM {name} WHERE \"TARGET\" <> ''")
    connection.cursor().execute('ALTER TABLE "RAW"."PAGE" DROP COLUMN "MORE"')
    load(destination, [page(tmp_path, ("1", "a", "x"), schema=wide)], wide, mode=Mode.MERGE)
    assert destination.position("theirs", TARGET) == {"n": 2}
    assert destination.lacks(TARGET, wide) == ("More",)
    assert destination.lacks(TARGET, text_schema()) == ()
    assert destination.position(FLOW, TARGET) == {"done": True}
    assert destination.lacks(TARGET, wide) == ()


@pytest.mark.parametrize("kind", [pytest.param(Kind.INTEGER, marks=pytest.mark.long), Kind.STRING])
def test_an_overtaken_run_empties_no_column(
    server: Server, destination: SnowflakeDestination, connection: Any, tmp_path: Path, kind: Kind
) -> None:
    """A newer run publishes, with types that this one would make anew or not, while its files are copied: it changes nothing."""
    load(destination, [page(tmp_path, ("1", "7"))], text_schema())
    newer, older = (Schema((Column("Id", Kind.STRING), Column("Text", one)), ("Id",)) for one in (kind, Kind.INTEGER))

    def overtake() -> None:
        theirs = server.connect(server.database(tmp_path))
        spool = Spool("newer", tmp_path)
        load(SnowflakeDestination(theirs, spool=spool), [page(tmp_path, ("2", "8"), schema=newer, name="newer.csv")], newer)
        spool.close()
        theirs.close()

    wire = meanwhile(connection, overtake)
    with pytest.raises(LeaseLost):
        load(destination, [page(tmp_path, ("1", "9"), schema=older)], older)
    assert table(connection) == [{"ID": "2", "TEXT": 8 if kind is Kind.INTEGER else "8"}]
    assert destination.position(FLOW, TARGET) is not None
    assert not [sql for sql in wire.statements if sql.startswith("ALTER")]


def test_what_was_done_to_a_table_while_files_are_copied_counts(
    server: Server, destination: SnowflakeDestination, connection: Any, tmp_path: Path
) -> None:
    """Somebody adds the column that a full load was about to add: the load goes on with the table as it stands then."""
    load(destination, [page(tmp_path, ("1", "a"))], text_schema())
    wider = text_schema(Column("More", Kind.STRING))

    def widen() -> None:
        theirs = server.connect(server.database(tmp_path))
        theirs.cursor().execute('ALTER TABLE "RAW"."PAGE" ADD COLUMN "MORE" VARCHAR')
        theirs.close()

    meanwhile(connection, widen)
    load(destination, [page(tmp_path, ("1", "a", "b"), schema=wider)], wider)
    assert table(connection) == [{"ID": "1", "TEXT": "a", "MORE": "b"}]


def test_columns_of_their_own_are_not_lost_with_a_key_of_another_type(
    destination: SnowflakeDestination, connection: Any, tmp_path: Path
) -> None:
    """They are kept by key, which would be made anew and be empty: the load is refused, and nothing changes."""
    numbered = Schema((Column("Id", Kind.INTEGER), Column("Text", Kind.STRING)), ("Id",))
    load(destination, [page(tmp_path, ("1", "a"), schema=numbered)], numbered)
    connection.cursor().execute('ALTER TABLE "RAW"."PAGE" ADD COLUMN "NOTE" VARCHAR')
    connection.cursor().execute('UPDATE "RAW"."PAGE" SET "NOTE" = \'mine\'')
    with pytest.raises(SchemaConflict, match=r"key column Id is NUMBER\(38,0\) there, and would have to be VARCHAR now") as told:
        load(destination, [page(tmp_path, ("1", "b"))], text_schema())
    assert told.value.facts["column"] == "Id"
    assert table(connection) == [{"ID": 1, "TEXT": "a", "NOTE": "mine"}]
    connection.cursor().execute('ALTER TABLE "RAW"."PAGE" DROP COLUMN "NOTE"')
    load(destination, [page(tmp_path, ("1", "b"))], text_schema())
    assert table(connection) == [{"ID": "1", "TEXT": "b"}]


def test_columns_that_a_table_lacks_are_read_as_nulls(destination: SnowflakeDestination, tmp_path: Path) -> None:
    """Of every type: what a verification compares has the columns of the plan, whatever the table has."""
    load(destination, [page(tmp_path, ("1", "a"))], text_schema())
    lacking = (Column(f"C{kind}", kind, precision=18, scale=2) for kind in Kind)
    schema = text_schema(*lacking)
    (found,) = destination.rows(TARGET, plan(schema))
    assert found.schema == schema.arrow
    assert found.to_pylist() == [{"Id": "1", "Text": "a"} | {f"C{kind}": None for kind in Kind}]


def test_columns_of_another_type_are_not_read(destination: SnowflakeDestination, tmp_path: Path) -> None:
    """The error says what was being done: reading, not merging."""
    load(destination, [page(tmp_path, ("1", "a"))], text_schema())
    other = Schema((Column("Id", Kind.STRING), Column("Text", Kind.INTEGER)), ("Id",))
    with pytest.raises(SchemaConflict, match=r"Reading RAW\.PAGE: the column Text is VARCHAR") as told:
        next(iter(destination.rows(TARGET, plan(other))))
    assert told.value.facts["column"] == "Text"


def test_a_number_that_is_too_long_for_the_plan_is_not_read(destination: SnowflakeDestination, tmp_path: Path) -> None:
    """A table may have more digits than its source has now; a value that needs them names its column."""

    def numbers(digits: int) -> Schema:
        return text_schema(Column("N", Kind.DECIMAL, precision=digits))

    for digits in (18, 30):
        load(destination, [page(tmp_path, ("1", "a", "10"), schema=numbers(digits))], numbers(digits))
        assert next(iter(destination.rows(TARGET, plan(numbers(2))))).column("N").to_pylist() == [10]
        cause = r"Reading RAW\.PAGE: a value of N does not fit the type that it would have now, NUMBER\(1,0\)"
        with pytest.raises(SchemaConflict, match=cause) as told:
            list(destination.rows(TARGET, plan(numbers(1))))
        assert told.value.facts["column"] == "N"


def test_a_text_that_is_too_long_names_its_column(destination: SnowflakeDestination, connection: Any, tmp_path: Path) -> None:
    """In a table with narrow columns of the user's; nothing changes."""
    load(destination, [page(tmp_path, ("1", "a"))], text_schema())
    connection.cursor().execute('DROP TABLE "RAW"."PAGE"')
    connection.cursor().execute('CREATE TABLE "RAW"."PAGE" ("ID" VARCHAR(18), "TEXT" VARCHAR(3))')
    connection.cursor().execute("INSERT INTO \"RAW\".\"PAGE\" SELECT '1', 'abc'")
    with pytest.raises(SchemaConflict, match="Text takes 3 characters there, and a text of 4 came"):
        load(destination, [page(tmp_path, ("1", "abcd"))], text_schema(), mode=Mode.MERGE)
    assert load(destination, [page(tmp_path, ("1", "xyz"))], text_schema(), mode=Mode.MERGE).updated == 1


def test_a_view_is_no_table(destination: SnowflakeDestination, connection: Any) -> None:
    """It is refused before anything is staged."""
    connection.cursor().execute('CREATE SCHEMA "RAW"')
    connection.cursor().execute('USE SCHEMA "PUBLIC"')
    connection.cursor().execute('CREATE VIEW "RAW"."PAGE" AS SELECT 1 AS "ID"')
    unit = destination.begin(destination.claim(FLOW, "test"))
    with pytest.raises(FixConfig, match="that is a view"):
        unit.open(TARGET, plan(text_schema()), NoJournal())


def test_a_damaged_page_is_never_loaded(destination: SnowflakeDestination, tmp_path: Path) -> None:
    """Another header than announced, a column that is missing, or other rows than announced."""
    good = written(tmp_path / "good.csv", text_schema(), [("1", "a")])
    (tmp_path / "other.csv").write_text('"Id","Texx"\n"1","a"\n')
    unit = destination.begin(destination.claim(FLOW, "test"))
    opened = unit.open(TARGET, plan(text_schema()), NoJournal())
    for broken, kind in (
        (replace(good, path=tmp_path / "other.csv"), SchemaConflict),
        (written(tmp_path / "less.csv", text_schema(), [("1",)], names=["Id"]), SchemaConflict),
    ):
        with pytest.raises(kind):
            opened.stage(Part("p"), iter([Batch(raw=broken)]))
    manifest = opened.stage(Part("p"), iter([Batch(raw=replace(good, rows=2))]))
    with pytest.raises(Truncated, match="1 row was loaded, 2 announced"):
        unit.commit({FLOW: {}}, [manifest])
    unit.close()


def test_an_attempt_that_failed_is_told_from_the_one_that_counts(
    destination: SnowflakeDestination, connection: Any, tmp_path: Path
) -> None:
    """Files that no manifest names lie in the same folder; their rows are taken back, and each file is copied for itself."""
    unit = destination.begin(destination.claim(FLOW, "test"))
    opened = unit.open(TARGET, plan(text_schema()), NoJournal())
    opened.stage(Part("a"), iter([page(tmp_path, ("8", "failed"))]))
    manifests = [opened.stage(Part(name), iter([page(tmp_path, (name, "right"))])) for name in "ab"]
    assert unit.commit({FLOW: {}}, manifests).inserted == 2
    unit.close()
    assert [row["ID"] for row in table(connection)] == ["a", "b"]


def test_a_strange_table_is_not_replaced(destination: SnowflakeDestination, connection: Any, tmp_path: Path) -> None:
    """Grants and rows of somebody else's table stay, unless a full sync is forced; then the table itself stays the same one."""
    connection.cursor().execute('CREATE SCHEMA "RAW"')
    connection.cursor().execute('USE SCHEMA "PUBLIC"')
    connection.cursor().execute('CREATE TABLE "RAW"."PAGE" ("ID" VARCHAR, "TEXT" VARCHAR)')
    connection.cursor().execute("INSERT INTO \"RAW\".\"PAGE\" SELECT '9', 'theirs'")
    with pytest.raises(Refused, match="has never filled it"):
        load(destination, [page(tmp_path, ("1", "a"))], text_schema())
    wire = Wire(connection)
    load(destination, [page(tmp_path, ("1", "a"))], text_schema(), allow_replace=True)
    assert not [
        sql for sql in wire.statements if sql.startswith(("CREATE OR REPLACE", 'DROP TABLE IF EXISTS "RAW"."PAGE"', "ALTER"))
    ]
    assert table(connection) == [{"ID": "1", "TEXT": "a"}]
