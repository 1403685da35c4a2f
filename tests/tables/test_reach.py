"""Laws of values at the ends: a destination keeps a day, an instant, a time and a binary key exactly, or stops by name."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from tests.connectors.postgres.server import Place

from halocline.connectors.files import read_table
from halocline.connectors.snowflake.pages import written
from halocline.errors import SchemaConflict
from halocline.ledger import MemoryLedger
from halocline.schema import Column, Kind, Schema
from halocline.tables import TableCopy, copy

LOCAL = ("duckdb", "parquet", "sqlite", "csv", "jsonl")
FILES = ("parquet", "csv", "jsonl")
EVERYWHERE = (*LOCAL, "postgres")
FAR = {
    "DATE '10000-01-01'": ("duckdb", "parquet", "postgres"),
    "DATE '0044-03-15 (BC)'": ("duckdb", "parquet"),
    "DATE '100000-01-01'": ("duckdb", "parquet"),
    "TIMESTAMPTZ '10000-01-01 00:00:00+00'": ("duckdb", "parquet", "postgres"),
    "TIMESTAMPTZ '0001-01-01 00:00:00+00' - INTERVAL 1 MICROSECOND": ("duckdb", "parquet"),
    "TIMESTAMPTZ '33000-01-01 00:00:00+00'": ("duckdb", "parquet"),
    "TIMESTAMPTZ '294000-01-01 00:00:00+00'": ("duckdb", "parquet"),
}
"""Values, and where they arrive."""
LAST = (
    "DATE '9999-12-31'",
    "DATE '0001-01-01'",
    "TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'",
    "TIME '24:00:00'",
    "TIME '00:00'",
)


class World:
    """A DuckDB as the source, and a destination of each kind."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self.folder = folder
        self.app = opened()
        self.ledger = MemoryLedger()

    def uri(self, kind: str) -> str:
        if kind == "postgres":
            return self.place.uri()
        if kind in FILES:
            return f"file://{self.folder}/lake?format={kind}"
        return f"{kind}:///{self.folder}/lake.{kind}"

    def copied(self, kind: str, key: str = "id") -> Any:
        """What a merge of the source's table did."""
        return copy(
            self.app, self.uri(kind), TableCopy("src", self.table(kind), mode="merge", key=key), ledger=self.ledger
        ).counts

    def table(self, kind: str) -> str:
        return "public.page" if kind == "postgres" else "page"

    def back(self, kind: str, spelled: str = "v::VARCHAR, n") -> list[tuple[Any, ...]]:
        """The rows as the destination gives them back, or (PostgreSQL) as it spells them itself."""
        if kind == "postgres":
            return self.place.rows("SELECT v::text, n FROM public.page ORDER BY 1")
        found = opened()
        if kind in FILES:
            found.register("page", read_table(self.uri(kind), "page").read_all())
        else:
            copy(self.uri(kind), found, "page", ledger=MemoryLedger())
        with found:
            return found.execute(f"SELECT {spelled} FROM page ORDER BY 1").fetchall()


def opened() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    made.execute("SET TimeZone = 'UTC'")
    return made


@pytest.fixture
def world(place: Place, tmp_path: Path) -> Iterator[World]:
    made = World(place, tmp_path)
    yield made
    made.app.close()


@pytest.mark.parametrize("kind", EVERYWHERE)
@pytest.mark.parametrize("value", LAST)
def test_the_last_of_its_kind_arrives_and_is_merged(world: World, value: str, kind: str) -> None:
    """The first and the last day that all know, and the end of a day as a time: exact, and the table can be merged into."""
    world.app.execute(f"CREATE TABLE src AS SELECT 1 AS id, {value} AS v, 1 AS n")
    ((told,),) = world.app.execute("SELECT v::VARCHAR FROM src").fetchall()
    assert world.copied(kind).inserted == 1
    world.app.execute("UPDATE src SET n = 2")
    assert world.copied(kind).updated == 1
    assert world.copied(kind).unchanged == 1
    assert world.back(kind) == [(told, 2)]


@pytest.mark.parametrize("kind", EVERYWHERE)
@pytest.mark.parametrize("value", FAR)
def test_a_day_beyond_the_years_of_a_destination_is_refused_by_name(world: World, value: str, kind: str) -> None:
    """Where a destination has no such day the load stops before anything is written, and no other day is written in its place."""
    world.app.execute(f"CREATE TABLE src AS SELECT 1 AS id, {value} AS v, 1 AS n")
    ((told,),) = world.app.execute("SELECT v::VARCHAR FROM src").fetchall()
    if kind in FAR[value]:
        assert world.copied(kind).inserted == 1
        assert world.back(kind) == [(told, 1)]
        return
    world.app.execute("INSERT INTO src SELECT 2, NULL, 1")
    with pytest.raises(SchemaConflict, match=r"column v\b.* holds a year outside of 1 to (9999|32767)") as refused:
        world.copied(kind)
    assert refused.value.facts["column"] == "v"
    world.app.execute("DELETE FROM src WHERE id = 1")
    assert world.copied(kind).inserted == 1
    assert world.back(kind) == [(None, 1)]


@pytest.mark.parametrize("key", ["v", "v, n"])
@pytest.mark.parametrize("kind", EVERYWHERE)
def test_bytes_are_a_key(world: World, kind: str, key: str) -> None:
    """Binary identifiers and hashes are usual keys: whether they are UTF-8 or not, each is one row, merged by itself."""
    values = [b"", b"\0", b"\0\0", b"a", b"\xff", b"\x01", b"\x1d61", b"\x1da", "é".encode(), b"\xc3"]
    world.app.execute("CREATE TABLE src (v BLOB, n INTEGER)")
    for number, value in enumerate(values):
        world.app.execute("INSERT INTO src VALUES (?, ?)", [value, number % 2])
    columns = [one.strip() for one in key.split(",")]
    copied = TableCopy("src", world.table(kind), mode="merge", key=columns)
    assert copy(world.app, world.uri(kind), copied, ledger=world.ledger).counts.inserted == len(values)
    world.app.execute("ALTER TABLE src ADD COLUMN text VARCHAR")
    world.app.execute("UPDATE src SET text = 'new' WHERE n = 1")
    counts = copy(world.app, world.uri(kind), copied, ledger=world.ledger).counts
    assert (counts.inserted, counts.updated, counts.unchanged) == (0, len(values) // 2, len(values) // 2)


@pytest.mark.parametrize("kind", FILES)
def test_far_instants_are_different_keys(world: World, kind: str) -> None:
    """Instants that Arrow spells alike are two rows of a table of files, where the format holds them at all."""
    world.app.execute("CREATE TABLE src AS SELECT TIMESTAMPTZ '294000-01-01 00:00:00+00' AS v, 1 AS n")
    world.app.execute("INSERT INTO src VALUES ('31856-01-01 00:00:00+00', 2)")
    if kind != "parquet":
        with pytest.raises(SchemaConflict, match="column v holds"):
            world.copied(kind, key="v")
        return
    assert world.copied(kind, key="v").inserted == 2
    assert world.copied(kind, key="v").unchanged == 2


def test_a_folder_is_named_by_a_year_that_its_readers_have(world: World) -> None:
    """Partitions by the year of a far day are refused by name, in Parquet too, which holds the day itself."""
    world.app.execute("CREATE TABLE src AS SELECT 1 AS id, DATE '100000-01-01' AS v, 1 AS n")
    asked = TableCopy("src", "page", key="id")
    for by in ("v", "year(v)", "month(v)"):
        with pytest.raises(SchemaConflict, match=r"Writing the partitions.*column v holds a year"):
            copy(world.app, f"file://{world.folder}/lake?partition_by={by}", asked, ledger=world.ledger)


def test_a_copy_as_csv_has_no_other_value(world: World, tmp_path: Path) -> None:
    """The CSV beside a copy spells the end of a day, and a day that has no text stops the load."""
    world.app.execute("CREATE TABLE src AS SELECT 1 AS id, TIME '24:00:00' AS v, 'a' AS n")
    asked = TableCopy("src", "page", key="id", csv=tmp_path / "page.csv")
    copy(world.app, world.uri("duckdb"), asked, ledger=world.ledger)
    assert (tmp_path / "page.csv").read_text() == '"id","v","n"\n1,"24:00:00.000000","a"\n'
    world.app.execute("CREATE OR REPLACE TABLE src AS SELECT 1 AS id, DATE '40000-01-01' AS v, 'a' AS n")
    with pytest.raises(SchemaConflict, match="column v holds a year outside of -32767 to 32767"):
        copy(world.app, world.uri("duckdb"), TableCopy("src", "other", key="id", csv=tmp_path / "page.csv"), ledger=world.ledger)


def test_snowflake_is_given_no_time_or_year_that_it_has_not(tmp_path: Path) -> None:
    """Its times end before 24:00:00, its years with 9999: the file for its stage is not made, and the column is named."""
    schema = Schema((Column("at", Kind.TIME), Column("day", Kind.DATE), Column("seen", Kind.DATETIME)))
    least = {"at": [86_399_999_999], "day": [-719_162], "seen": [253_402_300_799_999_999]}
    for name, value in (("", 0), ("at", 86_400_000_000), ("day", -719_163), ("seen", 253_402_300_800_000_000)):
        values = {**least, name: [value]} if name else least
        arrays = [pa.array(values[c.name], pa.int32() if c.kind is Kind.DATE else pa.int64()).cast(c.arrow) for c in schema]
        rows = pa.RecordBatch.from_arrays(arrays, schema=schema.arrow)
        if not name:
            assert written([rows], schema, file=tmp_path / "x.csv.gz", doing="Staging") == 1
            assert b"23:59:59.999999,0001-01-01" in gzip.decompress((tmp_path / "x.csv.gz").read_bytes())
            continue
        with pytest.raises(SchemaConflict, match=rf"Staging: the column {name} holds"):
            written([rows], schema, file=tmp_path / "x.csv.gz", doing="Staging")


@pytest.mark.parametrize("value", ["TIMESTAMPTZ '10000-01-01 00:00:00+00'", "DATE '0044-03-15 (BC)'"])
@pytest.mark.parametrize("kind", LOCAL)
def test_a_stamp_beyond_the_years_is_refused_by_name(world: World, kind: str, value: str) -> None:
    """By such a cursor nobody could say what is new: it ends in an error of ours, and nothing is written."""
    world.app.execute(f"CREATE TABLE src AS SELECT 1 AS id, {value} AS v")
    asked = TableCopy("src", "page", mode="merge", key="id", cursor="v")
    with pytest.raises(SchemaConflict, match=r"column v holds a year outside of 1 to 9999.*another column as the cursor"):
        copy(world.app, world.uri(kind), asked, ledger=world.ledger)


def same(item: Mapping[str, Any]) -> dict[str, Any]:
    """What a builder gets, given on."""
    return dict(item)


def test_a_builder_is_not_given_the_beginning_of_a_day_for_its_end(world: World) -> None:
    """It gets the text of what Python has no value for; given on, that is the same time, and a far day is a rejection."""
    world.app.execute("CREATE TABLE src AS SELECT 1 AS id, TIME '24:00' AS v, DATE '2026-01-01' AS day")
    world.app.execute("INSERT INTO src VALUES (2, '08:00', DATE '10000-01-01')")
    columns = {"id": "integer not null", "v": "time", "day": "date"}
    asked = TableCopy("src", "page", key="id", build=same, schema=columns, max_rejected=1.0)
    run = copy(world.app, world.uri("duckdb"), asked, ledger=world.ledger)
    assert world.back("duckdb", "v::VARCHAR, id") == [("24:00:00", 1)]
    assert (run.rows_read, len(world.ledger.rejections(run.id))) == (2, 1)


def test_postgresql_to_sqlite_keeps_the_end_of_a_day(world: World) -> None:
    """Opening hours of a PostgreSQL, into SQLite and back."""
    world.place.run("CREATE TABLE shifts (id integer PRIMARY KEY, v time); INSERT INTO shifts VALUES (1, '24:00'), (2, '08:00')")
    copy(world.place.uri(), world.uri("sqlite"), TableCopy("public.shifts", "shifts"), ledger=world.ledger)
    copy(world.uri("sqlite"), world.place.uri(), TableCopy("shifts", "public.again"), ledger=world.ledger)
    assert world.place.rows("SELECT v::text FROM again ORDER BY id") == [("24:00:00",), ("08:00:00",)]
