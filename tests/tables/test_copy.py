"""Laws of copying tables: all by one commit or none, exact types, what could not be built is told, and conservation."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.connectors.postgres.server import Place

from halocline.config import Settings
from halocline.errors import FixConfig, SchemaConflict
from halocline.ledger import MemoryLedger
from halocline.run import Run
from halocline.tables import TableCopy, Tables

MADE = """
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('good', 'bad');
CREATE TABLE app.things (
    id integer PRIMARY KEY, small smallint, big bigint, exact numeric(38, 10), free numeric, real4 real, real8 double precision,
    yes boolean, words text, short varchar(8), padded char(4), day date, hour time, at timestamptz, wall timestamp, bytes bytea,
    doc jsonb, plain json, tags text[], nums integer[], who uuid, mood app.mood, "select" text
);
INSERT INTO app.things SELECT n, n, n * 1000000000000, n + 0.0000000001, '123456789012345678901234567890.000000000123456789', 0.1,
    n / 3.0::float8, n % 2 = 0, E'w"\\n\\u0142,' || n, 'short', 'ab', '2026-01-01'::date + n, '10:20:30.000005',
    '2026-01-01 00:00:00.000001+02'::timestamptz + n * interval '1 second', '2026-06-01 12:00:00', '\\x00ff',
    '{"n": 12345678901234567890.5}', '{"a": 1}', ARRAY['a', NULL, 'NULL', 'x"y\\\\z,{}'], ARRAY[1, NULL, 3],
    '00000000-0000-0000-0000-000000000001', 'good', 'reserved' FROM generate_series(1, 50) n;
INSERT INTO app.things (id) VALUES (0);
CREATE TABLE app.others (id integer PRIMARY KEY, name text, written timestamptz NOT NULL DEFAULT now());
INSERT INTO app.others SELECT n, 'name ' || n, '2026-01-01' FROM generate_series(1, 20) n;
"""


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def world(place: Place) -> Place:
    place.run(MADE)
    return place


def tables(source: object, to: object, *wanted: TableCopy, ledger: MemoryLedger, tmp_path: Path, **more: Any) -> Tables:
    return Tables(source, to, tables=wanted, ledger=ledger, settings=Settings(tmp_path, spool=tmp_path), **more)


def lake(path: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_every_type_comes_back_as_it_was(world: Place, ledger: MemoryLedger, tmp_path: Path) -> None:
    """PostgreSQL to a table of the same definition: each value is the one that was there, and the types are kept."""
    world.run("CREATE SCHEMA raw; CREATE TABLE raw.things (LIKE app.things)")
    run = tables(world.uri(), world.uri(), TableCopy("app.things", "raw.things"), ledger=ledger, tmp_path=tmp_path).run()
    assert run.counts is not None
    assert (run.rows_read, run.counts.inserted) == (51, 51)
    for one, other in (("app", "raw"), ("raw", "app")):
        left = f"SELECT md5(t::text) FROM {one}.things t EXCEPT SELECT md5(t::text) FROM {other}.things t"
        assert world.rows(left) == []
    kinds = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '{}'::regclass AND attnum > 0"
    assert world.rows(kinds.format("raw.things")) == world.rows(kinds.format("app.things"))


def test_arrays_come_back_as_they_were(world: Place, ledger: MemoryLedger, tmp_path: Path) -> None:
    """Texts in an array of JSON stay texts, numbers in it numbers with their digits."""
    held = """ARRAY['"12"', '12.50', '{"n": 12345678901234567890.50}', '[1, "x"]', '"a\\"b"', 'true']::jsonb[]"""
    world.run(
        f"CREATE TABLE app.held AS SELECT 1 AS id, {held} AS docs, ARRAY['\\x00ff'::bytea] AS bytes, ARRAY[1.50, 1e30] AS nums,"
        " ARRAY[ARRAY['a', NULL], ARRAY['{', '\"']] AS words, ARRAY['NaN', 'Infinity', 0.1]::float8[] AS reals;"
        " CREATE SCHEMA raw; CREATE TABLE raw.held (LIKE app.held)"
    )
    tables(world.uri(), world.uri(), TableCopy("app.held", "raw.held"), ledger=ledger, tmp_path=tmp_path).run()
    assert world.rows("SELECT h::text FROM raw.held h") == world.rows("SELECT h::text FROM app.held h")


def test_a_table_goes_into_duckdb_exactly(world: Place, ledger: MemoryLedger, tmp_path: Path) -> None:
    """What no neutral type holds is text; numbers have all their digits, arrays are JSON, walls are UTC."""
    file = tmp_path / "lake.duckdb"
    run = tables(world.uri(), f"duckdb:///{file}", TableCopy("app.things", "things"), ledger=ledger, tmp_path=tmp_path).run()
    assert run.rows_read == 51
    (row,) = lake(
        file, 'SELECT exact, free, words, padded, hour, "at", wall, bytes, doc, tags, who, "select" FROM things WHERE id = 1'
    )
    assert row == (
        Decimal("1.0000000001"),
        "123456789012345678901234567890.000000000123456789",
        'w"\n\u0142,1',
        "ab  ",
        dt.time(10, 20, 30, 5),
        dt.datetime(2025, 12, 31, 22, 0, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC),
        b"\x00\xff",
        '{"n": 12345678901234567890.5}',
        json.dumps(["a", None, "NULL", 'x"y\\\\z,{}'], separators=(",", ":")),
        "00000000-0000-0000-0000-000000000001",
        "reserved",
    )
    assert lake(file, "SELECT count(*), count(words) FROM things") == [(51, 50)]


@pytest.mark.parametrize(
    ("kind", "held", "beyond"),
    [
        ("HUGEINT", f"-{'9' * 38}", f"1{'0' * 38}"),
        ("UHUGEINT", "9" * 38, "340282366920938463463374607431768211455"),
        ("BIGNUM", "9" * 38, f"-1{'0' * 40}"),
    ],
)
def test_a_number_of_more_digits_than_any_type_has_is_refused_with_the_way_out(
    kind: str, held: str, beyond: str, ledger: MemoryLedger, tmp_path: Path
) -> None:
    """Up to 38 digits come exactly; one more ends the read, and the table is told, not a query that nobody wrote."""
    app, to = duckdb.connect(), duckdb.connect()
    app.execute(f"""CREATE TABLE t AS SELECT 1 AS id, '{held}'::{kind} AS "a big" UNION ALL SELECT 2, NULL""")
    tables(app, to, TableCopy("t"), ledger=ledger, tmp_path=tmp_path).run()
    assert to.execute("SELECT * FROM t ORDER BY id").fetchall() == [(1, Decimal(held)), (2, None)]
    app.execute(f"INSERT INTO t VALUES (3, '{beyond}')")
    with pytest.raises(SchemaConflict, match="Reading t: a number of a big has more than 38 digits") as caught:
        tables(app, to, TableCopy("t"), ledger=ledger, tmp_path=tmp_path).run()
    assert (caught.value.hint or "").startswith('Read it as text, by a query: SELECT "a big"::text')
    assert to.execute("SELECT count(*) FROM t").fetchall() == [(2,)]
    query = TableCopy(query='SELECT id, "a big"::text AS big FROM t', to="texts")
    tables(app, to, query, ledger=ledger, tmp_path=tmp_path).run()
    assert to.execute("SELECT big FROM texts WHERE id = 3").fetchall() == [(beyond,)]
    app.close()
    to.close()


@pytest.mark.parametrize("to", ["duckdb:///{}/lake.duckdb", "sqlite:///{}/lake.sqlite", "file://{}/lake", "postgresql"])
@pytest.mark.parametrize("name", ["_halocline_key", "_Halocline_Delete"])
def test_a_column_that_is_called_as_those_of_loads_is_refused(
    to: str, name: str, place: Place, ledger: MemoryLedger, tmp_path: Path
) -> None:
    """Whatever the destination, in any case, by the plan too, and before anything is written; under another name it goes."""
    app, uri = duckdb.connect(), place.uri() if to == "postgresql" else to.format(tmp_path)
    app.execute(f"CREATE TABLE t AS SELECT 1 AS id, 'x' AS {name}")
    wanted = TableCopy("t", "public.made" if to == "postgresql" else "made", mode="merge", key="id")
    for act in (Tables.plan, Tables.run):
        with pytest.raises(FixConfig, match=f"Planning a load into .*{name}: names that begin with _halocline_ are kept"):
            act(tables(app, uri, wanted, ledger=ledger, tmp_path=tmp_path))
    other = TableCopy(query=f"SELECT id, {name} AS plain FROM t", to=str(wanted.target), mode="merge", key="id")
    run = tables(app, uri, other, ledger=ledger, tmp_path=tmp_path).run()
    assert run.counts is not None
    assert run.counts.inserted == 1
    app.close()


def test_duckdb_goes_into_postgresql_and_back(world: Place, ledger: MemoryLedger, tmp_path: Path) -> None:
    """Every type of DuckDB that a table may have comes back equal by way of PostgreSQL, from a file and from a connection."""
    made = (
        "CREATE TABLE t AS SELECT i::INTEGER AS id, i::TINYINT AS tiny, i::HUGEINT * 10000000000000000000000 AS huge,"
        " i::UBIGINT AS u,"
        " (i / 8)::DECIMAL(18, 3) AS d, i / 3 AS r, 'x' || i AS s, [i, NULL] AS l, {'a': i} AS st,"
        " TIMESTAMPTZ '2026-01-01 00:00:00+00' AS at, TIMESTAMP '2026-01-01' AS wall, DATE '2026-01-01' AS day,"
        " uuid() AS who, 'ab'::BLOB AS b, i % 2 = 0 AS yes"
        " FROM range(30) t(i)"
    )
    connection = duckdb.connect()
    connection.execute(made)
    first = tables(connection, world.uri(), TableCopy("t", "app.t"), ledger=ledger, tmp_path=tmp_path).run()
    assert first.rows_read == 30
    back = duckdb.connect()
    tables(world.uri(), back, TableCopy("app.t", "t"), ledger=ledger, tmp_path=tmp_path).run()
    columns = 'id, tiny, huge, u, d, r, s, to_json(l)::VARCHAR, to_json(st)::VARCHAR, "at", wall::TIMESTAMPTZ, day,'
    columns += " who::VARCHAR, b, yes"
    plain = columns.replace("to_json(l)", "l").replace("to_json(st)", "st").replace("::TIMESTAMPTZ", "")
    connection.execute("SET TimeZone = 'UTC'")
    back.execute("SET TimeZone = 'UTC'")
    wanted = connection.execute(f"SELECT {columns} FROM t ORDER BY id").fetchall()
    there = back.execute(f"SELECT {plain} FROM t ORDER BY id").fetchall()
    assert [tuple(json.loads(v) if n in (7, 8) else v for n, v in enumerate(row)) for row in there] == [
        tuple(json.loads(v) if n in (7, 8) else v for n, v in enumerate(row)) for row in wanted
    ]
    connection.close()
    back.close()


def test_several_tables_become_visible_together(world: Place, ledger: MemoryLedger, tmp_path: Path) -> None:
    """One run, counts for each table, one commit: a reader never sees one table of the new and one of the old."""
    wanted = (TableCopy("app.things", "raw.things"), TableCopy("app.others", "raw.others"))
    run = tables(world.uri(), world.uri(), *wanted, ledger=ledger, tmp_path=tmp_path, name="both").run()
    assert [(leg.rows_read, leg.counts.inserted if leg.counts else None) for leg in run.tables] == [(51, 51), (20, 20)]
    assert len({xmin for (xmin,) in world.rows("SELECT xmin::text FROM _halocline_positions WHERE target <> ''")}) == 1
    (booked,) = ledger.runs()
    assert (booked.flow, booked.state, booked.rows_read, booked.counts.inserted) == ("both", "done", 71, 71)
    assert booked.plan is not None
    told = [(one["target"], one["read"], one["counts"]["inserted"]) for one in booked.plan["tables"]]  # type: ignore[attr-defined]
    assert told == [("raw.things", 51, 51), ("raw.others", 20, 20)]


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_a_table_that_fails_keeps_the_others_from_changing(world: Place, ledger: MemoryLedger, tmp_path: Path, kind: str) -> None:
    """The second of two reads fails half-way: neither table is touched, and the next run makes both whole."""
    file = tmp_path / "lake.duckdb"
    to = world.uri() if kind == "postgres" else f"duckdb:///{file}"

    def seen() -> list[Any]:
        query = "SELECT (SELECT count(*) FROM raw.things), (SELECT max(name) FROM raw.others)"
        return world.rows(query) if kind == "postgres" else lake(file, query)

    wanted = (TableCopy("app.things", "raw.things"), TableCopy("app.others", "raw.others"))
    tables(world.uri(), to, *wanted, ledger=ledger, tmp_path=tmp_path, name="both").run()
    before = seen()
    world.run(
        "DELETE FROM app.things WHERE id > 40; UPDATE app.others SET name = 'zzz'; CREATE VIEW app.broken AS SELECT"
        " id, name, written, 1 / (id - 20) AS odd FROM app.others"
    )
    broken = (wanted[0], TableCopy("app.broken", "raw.others", key=["id"]))
    run = Run.new()
    with pytest.raises(Exception, match="division by zero"):
        tables(world.uri(), to, *broken, ledger=ledger, tmp_path=tmp_path, name="both").run(run)
    assert seen() == before
    assert ledger.get(run.id).state == "failed"
    tables(world.uri(), to, *wanted, ledger=ledger, tmp_path=tmp_path, name="both").run()
    assert seen() == [(41, "zzz")]


def test_the_snapshot_is_of_one_instant(world: Place, ledger: MemoryLedger, tmp_path: Path) -> None:
    """What is written between the reads of two tables is in neither."""

    def late(item: Mapping[str, object]) -> Mapping[str, object]:
        world.run("INSERT INTO app.others (id, name) VALUES (1000, 'late') ON CONFLICT DO NOTHING")
        return {"id": item["id"]}

    wanted = (TableCopy("app.things", "raw.ids", build=late, schema={"id": "integer"}), TableCopy("app.others", "raw.others"))
    run = tables(world.uri(), world.uri(), *wanted, ledger=ledger, tmp_path=tmp_path).run()
    assert [leg.rows_read for leg in run.tables] == [51, 20]
    assert world.rows("SELECT count(*) FROM app.others") == [(21,)]


def test_parts_of_a_table_are_read_side_by_side(
    world: Place, ledger: MemoryLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut by its pages, a table has each row once."""
    monkeypatch.setattr("halocline.connectors.postgres.source._PART_PAGES", 2)
    world.run("CREATE TABLE app.many AS SELECT n AS id, repeat('x', 500) AS words FROM generate_series(1, 500) n")
    run = tables(world.uri(), world.uri(), TableCopy("app.many", "raw.many", key=["id"]), ledger=ledger, tmp_path=tmp_path).run()
    assert len(run.manifests) == 4
    assert world.rows("SELECT count(*), count(DISTINCT id) FROM raw.many") == [(500, 500)]


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_a_cursor_brings_what_changed(world: Place, ledger: MemoryLedger, tmp_path: Path, kind: str) -> None:
    """A later run reads what was written since, less the overlap, and merges it; a position in a failed run does not move."""
    source: Any = world.uri()
    if kind == "duckdb":
        source = duckdb.connect()
        source.execute(
            "CREATE SCHEMA app; CREATE TABLE app.others AS SELECT i AS id, 'name ' || i AS name, "
            "TIMESTAMPTZ '2026-01-01 00:00:00+00' AS written FROM range(1, 21) t(i)"
        )
    write = source.execute if kind == "duckdb" else world.run
    wanted = TableCopy("app.others", "raw.others", mode="merge", key=["id"], cursor="written", overlap_s=60)
    assert tables(source, world.uri(), wanted, ledger=ledger, tmp_path=tmp_path).run().rows_read == 20
    write("UPDATE app.others SET written = TIMESTAMPTZ '2026-02-01 00:00:00+00'")
    assert tables(source, world.uri(), wanted, ledger=ledger, tmp_path=tmp_path).run().rows_read == 20
    write("UPDATE app.others SET name = 'new', written = TIMESTAMPTZ '2026-03-01 00:00:00+00' WHERE id = 3")
    write("UPDATE app.others SET written = TIMESTAMPTZ '2999-01-01 00:00:00+00' WHERE id = 4")
    third = tables(source, world.uri(), wanted, ledger=ledger, tmp_path=tmp_path).run()
    assert (third.rows_read, third.plan and third.plan.method) == (22 - 20 + 18, "table_incremental")
    write("UPDATE app.others SET name = 'newer', written = TIMESTAMPTZ '2026-03-01 00:00:30+00' WHERE id = 5")
    fourth = tables(source, world.uri(), wanted, ledger=ledger, tmp_path=tmp_path).run()
    assert fourth.rows_read == 3
    assert fourth.counts is not None
    assert (fourth.counts.updated, fourth.counts.unchanged) == (1, 2)
    assert world.rows("SELECT count(*) FILTER (WHERE name LIKE 'new%') FROM raw.others") == [(2,)]
    if kind == "duckdb":
        source.close()


def test_a_column_that_the_table_lost_is_copied_for_all_rows(ledger: MemoryLedger, tmp_path: Path) -> None:
    """A later run by a cursor reads everything then: old rows would have no value in it."""
    source, file = duckdb.connect(), tmp_path / "lake.sqlite"
    source.execute(
        "CREATE TABLE t AS SELECT i AS id, 'name ' || i AS name, "
        "TIMESTAMPTZ '2026-01-01 00:00:00+00' AS written FROM range(9) t(i)"
    )
    wanted = TableCopy("t", "main.t", mode="merge", key=["id"], cursor="written", overlap_s=0)
    assert tables(source, f"sqlite:///{file}", wanted, ledger=ledger, tmp_path=tmp_path).run().rows_read == 9
    with closing(sqlite3.connect(file)) as beside:
        beside.execute("ALTER TABLE t DROP COLUMN name")
    source.execute("UPDATE t SET written = TIMESTAMPTZ '2026-02-01 00:00:00+00' WHERE id = 3")
    run = tables(source, f"sqlite:///{file}", wanted, ledger=ledger, tmp_path=tmp_path).run()
    assert run.plan is not None
    assert run.plan.reasons[0].startswith("Everything is read: the table has lost the column name. All of it is merged by id")
    with closing(sqlite3.connect(file)) as beside:
        assert beside.execute("SELECT count(*), count(name) FROM t").fetchall() == [(9, 9)]
    source.close()
