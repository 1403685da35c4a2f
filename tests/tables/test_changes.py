"""Laws of merges that read what changed: no row is passed over, and an item is its row as it is built now, or none."""

from __future__ import annotations

import importlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.connectors.postgres.server import Place
from tests.tables.test_copy import tables

from halocline.built_changes import described
from halocline.connectors.aws.dynamodb.asked import asked
from halocline.declared import declared
from halocline.errors import FixConfig, HaloclineError, NotFound, Refused, SchemaConflict
from halocline.ledger import MemoryLedger
from halocline.making import making_of
from halocline.run import Run
from halocline.tables import TableCopy
from halocline.wanted import MOST_AGAIN, holding_back, known_of

ITEMS = """
CREATE SCHEMA app;
CREATE TABLE app.items (id integer PRIMARY KEY, name text, written timestamptz);
INSERT INTO app.items SELECT n, 'n' || n, TIMESTAMPTZ '2026-01-01 00:00:00+00' FROM generate_series(1, 20) AS t(n);
INSERT INTO app.items VALUES (99, 'last', TIMESTAMPTZ '2026-02-01 00:00:00+00');
"""
IN_SQLITE = """
CREATE TABLE "app.items" (id INTEGER PRIMARY KEY, name TEXT, written DATETIME);
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 20)
INSERT INTO "app.items" SELECT n, 'n' || n, '2026-01-01 00:00:00' FROM t;
INSERT INTO "app.items" VALUES (99, 'last', '2026-02-01T00:00:00Z');
"""
LATER = "TIMESTAMPTZ '2026-03-01 00:00:00+00'"
SCHEMA = {"id": "integer not null", "name": "text"}


class World:
    """A source of 21 items, and a lake."""

    def __init__(self, source: Any, write: Callable[[str], object], folder: Path) -> None:
        self.source = source
        self.write = write
        self.folder = folder
        self.lake = duckdb.connect()
        self.ledger = MemoryLedger()

    def run(self, wanted: TableCopy) -> Run:
        run = Run.new()
        return tables(self.source, self.lake, wanted, ledger=self.ledger, tmp_path=self.folder, name="f").run(run)

    def rows(self, columns: str = "id, name", where: str = "true") -> list[tuple[Any, ...]]:
        return self.lake.execute(f"SELECT {columns} FROM items WHERE {where} ORDER BY 1").fetchall()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A DuckDB as the source."""
    source = duckdb.connect()
    source.execute(ITEMS)
    made = World(source, source.execute, tmp_path)
    yield made
    made.lake.close()
    source.close()


def in_sqlite(folder: Path) -> World:
    """A SQLite file as the source, written to by somebody else."""
    file = folder / "items.sqlite"

    def write(sql: str) -> None:
        with closing(sqlite3.connect(file)) as connection:
            connection.executescript(sql.replace(" app.items", ' "app.items"').replace("TIMESTAMPTZ ", ""))

    write(IN_SQLITE)
    return World(f"sqlite:///{file}", write, folder)


@pytest.fixture(params=["duckdb", "postgres", "sqlite"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Each kind of source."""
    if request.param == "duckdb":
        yield request.getfixturevalue("world")
        return
    if request.param == "sqlite":
        made = in_sqlite(tmp_path)
        yield made
        made.lake.close()
        return
    place: Place = request.getfixturevalue("place")
    place.run(ITEMS)
    made = World(place.uri(), place.run, tmp_path)
    yield made
    made.lake.close()


def plain(item: Mapping[str, Any]) -> object:
    return {"id": item["id"], "name": item["name"]}


def followed(**changes: Any) -> TableCopy:
    """What changed of the items, merged."""
    return TableCopy("app.items", "items", **{"mode": "merge", "cursor": "written", "key": ["id"], **changes})


def built(build: Callable[[Mapping[str, Any]], object] = plain, **changes: Any) -> TableCopy:
    return followed(**{"build": build, "schema": SCHEMA, **changes})


def method(run: Run) -> str:
    assert run.plan is not None
    return run.plan.method


def reasons(run: Run) -> str:
    assert run.plan is not None
    return " ".join(run.plan.reasons)


def test_a_row_without_a_stamp_arrives(either: World) -> None:
    """Nobody knows when it was written, so it is read each time; the reasons say so."""
    either.run(followed())
    either.write(
        "INSERT INTO app.items VALUES (100, 'unstamped', NULL); UPDATE app.items SET name = 'new', written = NULL WHERE id = 2"
    )
    run = either.run(followed())
    assert (method(run), run.counts and run.counts.changed) == ("table_incremental", 2)
    assert either.rows(where="id IN (2, 100)") == [(2, "new"), (100, "unstamped")]
    assert "Rows whose written is null are read each time." in reasons(run)


def test_a_filter_may_end_in_a_comment(either: World) -> None:
    """It hides nothing of what is asked behind it, and the parts of an OR stay together."""
    wanted = followed(filter="id = 1 OR id = 99 -- these two")
    either.run(wanted)
    assert either.rows("id") == [(1,), (99,)]
    either.write("UPDATE app.items SET name = 'other', written = " + LATER)
    assert either.run(wanted).rows_read == 2


def test_what_could_not_be_built_is_read_again_until_it_can_be(either: World) -> None:
    """The position moves on for the others; each run tells it again, and none is stopped by it alone. A CSV has what was read."""
    broken = {5: "the builder has a gap"}

    def build(item: Mapping[str, Any]) -> object:
        if item["id"] in broken:
            raise ValueError(broken[item["id"]])
        return plain(item)

    file = either.folder / "items.csv"
    wanted = built(build, csv=file)
    first = either.run(wanted)
    assert (first.rejected, either.rows(where="id = 5")) == (1, [])
    second = either.run(wanted)
    assert (method(second), second.rows_read, second.rejected) == ("table_incremental", 2, 1)  # 99 is in the overlap
    assert "1 item is read again, for the last run could make no row of it." in reasons(second)
    broken.clear()
    third = either.run(wanted)
    assert (method(third), third.rows_read, either.rows(where="id = 5")) == ("table_incremental", 2, [(5, "n5")])
    assert file.read_text().splitlines() == ['"id","name"', '5,"n5"', '99,"last"']
    assert either.run(wanted).rows_read == 1


def test_a_new_rejection_counts_against_the_share(world: World) -> None:
    """Only those that were told before do not; then nothing is published, and the position stays."""
    broken = {5}

    def build(item: Mapping[str, Any]) -> object:
        if item["id"] in broken:
            raise ValueError("odd")
        return plain(item)

    world.run(built(build))
    broken.add(6)
    world.write(f"UPDATE app.items SET written = {LATER} WHERE id = 6")
    with pytest.raises(Refused, match="1 of 2 that were read"):
        world.run(built(build))
    broken.clear()
    assert world.run(built(build)).rejected == 0
    assert world.rows(where="id IN (5, 6)") == [(5, "n5"), (6, "n6")]


def test_items_that_no_key_leads_to_hold_the_position(world: World) -> None:
    """Where too many could not be built to name them, everything since the last position is read again, and it is said why."""
    position = {"scope": "s", "stamp": "2026-02-01", "built": {}}
    since = {"scope": "s", "stamp": "2026-01-01", "again": {"key": ["id"], "values": [["3"]]}}
    some = [(number,) for number in range(MOST_AGAIN)]
    named = holding_back(position, since, key=["id"], left=some)
    assert (named["stamp"], named["again"]) == ("2026-02-01", {"key": ["id"], "values": [[str(n)] for (n,) in some]})
    for left in ([*some, (-1,)], [(None,)], [(b"x",)]):
        held = holding_back(position, since, key=["id"], left=left)
        assert held == {**position, "stamp": "2026-01-01", "again": since["again"], "held": len(left)}
        assert holding_back(position, {**since, "scope": "other"}, key=["id"], left=left)["stamp"] is None
        assert known_of(held, left) == len(left)
    assert (known_of(named, [(3,), (-3,)]), known_of(None, [(3,)]), holding_back(position, since, key=(), left=[])) == (
        1,
        0,
        position,
    )


def test_a_held_position_is_read_from_again_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a first run everything; of a later one what it read."""
    monkeypatch.setattr("halocline.wanted.MOST_AGAIN", 0)
    broken = {5}

    def build(item: Mapping[str, Any]) -> object:
        if item["id"] in broken:
            raise ValueError("odd")
        return plain(item)

    world.run(built(build))
    second = world.run(built(build))
    assert (method(second), second.rows_read) == ("table_full", 21)
    assert "1 of what the last run read could not become rows" in reasons(second)
    broken.clear()
    world.run(built(build))
    broken.add(99)
    world.write(f"UPDATE app.items SET written = {LATER} WHERE id > 6")
    third = world.run(built(build, max_rejected=1))
    assert (method(third), third.rows_read) == ("table_incremental", 15)
    fourth = world.run(built(build))
    assert (method(fourth), fourth.rows_read) == ("table_incremental", 15)
    assert "the position has not moved" in reasons(fourth)


def test_an_item_that_becomes_none_takes_its_row_along(either: World) -> None:
    """Counted as deleted where it had one, and as unchanged where it had none; what was read is accounted for."""

    def build(item: Mapping[str, Any]) -> object:
        return None if item["name"] == "hidden" else [] if item["name"] == "empty" else (row for row in [plain(item)])

    either.run(built(build))
    either.write("INSERT INTO app.items VALUES (101, 'hidden', NULL)")
    either.write(f"UPDATE app.items SET name = 'hidden', written = {LATER} WHERE id = 2")
    either.write(f"UPDATE app.items SET name = 'empty', written = {LATER} WHERE id = 3")
    run = either.run(built(build))
    assert run.counts is not None
    assert (run.rows_read, run.counts.deleted, run.counts.unchanged, run.counts.filtered) == (4, 2, 2, 0)
    assert either.rows(where="id IN (2, 3, 101)") == []
    assert len(either.rows()) == 19


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (lambda item: [plain(item), plain(item)], "SEVERAL_ROWS"),
        (lambda item: {"id": item["id"] + 1, "name": "x"}, "OTHER_KEY"),
        (lambda item: ({"ID": item["id"] + 1, "name": "x"} for _ in range(1)), "OTHER_KEY"),
        (lambda _: "text", "NO_ROW"),
        (lambda _: [1], "NO_ROW"),
    ],
)
def test_a_row_that_could_stay_beside_a_later_one_is_a_rejection(world: World, build: Any, code: str) -> None:
    """One row of an item, under the item's key: else nobody would know what it was before."""
    run = Run.new()
    with pytest.raises(Refused, match="21 of 21"):
        tables(world.source, world.lake, built(build), ledger=world.ledger, tmp_path=world.folder).run(run)
    assert {one.code for one in world.ledger.rejections(run.id)} == {code}


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"key": ["id", "name"]}, FixConfig, "matched by id, name, and its items by id"),
        ({"key": ["case"], "schema": {"case": "integer not null"}}, FixConfig, "matched by case, and its items by id"),
        ({"key": ["other"]}, NotFound, "'other'"),
        ({"key": []}, FixConfig, "a merge needs a key"),
    ],
)
def test_another_key_than_the_items_is_refused(
    world: World, changes: dict[str, Any], kind: type[HaloclineError], words: str
) -> None:
    """Before anything is read: rows that an item had before could not be found."""
    with pytest.raises(kind, match=words):
        world.run(built(**changes))


def test_a_query_has_the_key_that_is_named(world: World) -> None:
    """Its rows have none of their own."""
    query = TableCopy(query="SELECT id, written FROM app.items", to="items", **_built_of(("id",)))
    assert world.run(query).rows_read == 21
    world.write(f"UPDATE app.items SET written = {LATER} WHERE id = 2")
    assert world.run(query).rows_read == 2  # 99 is in the overlap
    with pytest.raises(FixConfig, match="its items by another key"):
        world.run(TableCopy(query="SELECT written FROM app.items", to="others", **_built_of(("id",))))


def _built_of(key: tuple[str, ...]) -> dict[str, Any]:
    return {
        "mode": "merge",
        "cursor": "written",
        "key": key,
        "build": lambda item: {"id": item["id"]},
        "schema": {"id": "integer"},
    }


def test_what_is_built_in_another_way_is_built_of_everything(world: World) -> None:
    """No table is half of the one and half of the other; the run says why it reads everything, and the next one does not."""
    ways: tuple[tuple[dict[str, Any], str], ...] = (
        (
            {"schema": {**SCHEMA, "more": "text"}, "build": lambda item: {"id": item["id"], "name": "n", "more": "x"}},
            "more IS NULL",
        ),
        ({"schema": {**SCHEMA, "name": "varchar(9)"}}, "name <> 'n' || id AND id < 99"),
        ({"build": lambda item: {"id": item["id"], "name": "other"}}, "name <> 'other'"),
    )
    world.run(built())
    assert method(world.run(built())) == "table_incremental"
    for changes, old in ways:
        run = world.run(built(**changes))
        assert (method(run), run.rows_read, world.rows(where=old)) == ("table_full", 21, []), changes
        assert "its rows are built in another way than before" in reasons(run), changes
        assert method(world.run(built(**changes))) == "table_incremental", changes


def test_a_builder_is_told_by_its_module_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it calls there may have changed; one that no file holds is told by its code."""
    schema = declared(SCHEMA)
    file = tmp_path / "told_builders.py"
    file.write_text("def build(item):\n    return helped(item)\ndef helped(item):\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a stored code is told from a file by its size and its second
    import told_builders  # type: ignore[import-not-found]

    before = described(told_builders.build, schema)
    assert described(told_builders.build, schema) == before
    file.write_text(file.read_text().replace("return 1", "return 2"))
    assert described(told_builders.build, schema) == before  # what runs is what was imported
    importlib.reload(told_builders)
    assert described(told_builders.build, schema) != before
    one, two = (eval(f"lambda item: {number}", {"__name__": "nowhere"}) for number in (1, 2))
    assert described(one, schema) != described(two, schema)


def rated(item: Mapping[str, Any], *, rate: int = 0) -> object:
    return {"id": item["id"], "name": str(rate)}


def rater(rate: object) -> Callable[[Mapping[str, Any]], object]:
    return lambda item: {"id": item["id"], "name": str(rate)}


class Rater:
    """A builder with a state."""

    def __init__(self, rate: int) -> None:
        self.rate = rate

    def __call__(self, item: Mapping[str, Any]) -> object:
        return rated(item, rate=self.rate)


@pytest.mark.parametrize("made", [lambda rate: partial(rated, rate=rate), rater, Rater, lambda rate: Rater(rate).__call__])
def test_what_a_builder_was_given_is_a_part_of_it(made: Any) -> None:
    """Arguments, what a closure holds, the state of an object: another value is another builder."""
    schema = declared(SCHEMA)
    assert described(made(1), schema) == described(made(1), schema) != described(made(2), schema)


def test_a_builder_that_was_given_something_else_builds_everything_anew(world: World) -> None:
    """As one whose code is another; with the same it goes on."""
    world.run(built(rater(1)))
    assert method(world.run(built(rater(1)))) == "table_incremental"
    assert method(world.run(built(rater(2)))) == "table_full"
    assert world.rows("DISTINCT name") == [("2",)]


def test_what_a_builder_does_is_told_alike_by_every_process() -> None:
    """Also without a file, with functions and comprehensions inside; sets of texts have another order in each."""
    code = (
        "from halocline.making import making_of\n"
        "WORDS = {'a', 'b', 'c', 'd'}\n"
        "def build(item):\n"
        "    return {'tags': [t for t in item if t in {'x', 'y', 'z'}], 'k': sorted(item, key=lambda x: x), 'w': WORDS}\n"
        "print(making_of(build).digest)\n"
    )
    said = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(said) == 1


def test_what_cannot_be_told_apart_is_named(world: World) -> None:
    """Nobody knows what a lock keeps: the plan says so."""
    assert making_of(rater(1)).unseen == ()
    run = world.run(built(rater(object())))
    assert "Changes of what the builder holds are not seen (builtins.object)" in reasons(run)


def test_a_read_of_everything_takes_no_row_along(world: World) -> None:
    """Neither the first, nor one that builds anew: rows of others have keys of items too, and nobody knows whose they are."""
    world.lake.execute("CREATE TABLE items (id bigint, name varchar); INSERT INTO items VALUES (1, 'another'), (100, 'another')")
    run = world.run(built(lambda item: None if item["id"] == 1 else plain(item)))
    assert run.counts is not None
    assert (run.counts.deleted, run.counts.filtered) == (0, 1)
    assert world.rows(where="name = 'another'") == [(1, "another"), (100, "another")]
    assert "In later runs items that become no row take the row of their key along." in reasons(run)
    world.run(built(lambda _: None))
    assert len(world.rows()) == 22


def test_two_flows_do_not_fill_one_table_with_their_halves(world: World) -> None:
    """What is none for the one is a row of the other: refused before anything is read; so it is for each kind of destination."""
    world.run(built(lambda item: plain(item) if item["id"] % 2 else None))
    wanted = built(lambda item: None if item["id"] % 2 else plain(item))
    with pytest.raises(FixConfig, match="two flows fill one table"):
        tables(world.source, world.lake, wanted, ledger=world.ledger, tmp_path=world.folder, name="other").run()
    assert len(world.rows()) == 11


@pytest.mark.parametrize("kind", ["duckdb", "postgres", "files"])
def test_built_rows_empty_no_table(world: World, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Of no item a row any more is one mistake, like a source without rows; `allow_empty` allows it. No other flow joins in."""
    place: Place | None = request.getfixturevalue("place") if kind == "postgres" else None
    to = place.uri() if place else f"duckdb:///{tmp_path}/lake.duckdb" if kind == "duckdb" else f"file://{tmp_path}/lake"
    hidden = [False]

    def build(item: Mapping[str, Any]) -> object:
        return None if hidden[0] else plain(item)

    def run(**more: Any) -> Run:
        name = more.pop("name", "f")
        return tables(world.source, to, built(build, **more), ledger=world.ledger, tmp_path=tmp_path, name=name).run()

    run()
    with pytest.raises(FixConfig, match="f->items does too"):
        run(name="g")
    hidden[0] = True
    world.write(f"UPDATE app.items SET written = {LATER}")
    with pytest.raises(Refused, match="all of its 21 rows would go"):
        run()
    done = run(allow_empty=True)
    assert done.counts is not None
    assert done.counts.deleted == 21


def test_a_merge_of_everything_says_that_built_rows_stay(world: World) -> None:
    """Where rows have keys of their own, nobody knows whose they are."""
    run = world.run(built(cursor=None))
    assert "Rows that an item was built into before, and is not any more, stay too" in reasons(run)


def test_changes_of_dynamodb_are_not_built() -> None:
    """It is said before the first run, and not when the first change comes."""
    with pytest.raises(FixConfig, match="nobody knows"):
        asked({"items": True, "streams": True})
    assert asked({"items": True})["infer"] is False


@pytest.mark.parametrize("either", ["duckdb", "postgres"], indirect=True)  # SQLite has no such day
def test_a_day_without_end_is_refused_with_the_way_out(either: World) -> None:
    """Arrow would show it as a day of a far year."""
    for kind in ("date", "timestamptz", "timestamp"):
        for value in ("infinity", "-infinity"):
            query = f"SELECT 1 AS id, {kind} '{value}' AS day"
            with pytest.raises(SchemaConflict, match="as text, by a query"):
                either.run(TableCopy(query=query, to="items"))


def test_a_day_before_the_year_one_is_refused_where_it_has_no_form(place: Place, tmp_path: Path) -> None:
    """The value is not in the error, and a full sync is not the way out."""
    world = World(place.uri(), place.run, tmp_path)
    with pytest.raises(SchemaConflict, match="as text, by a query") as caught:
        world.run(TableCopy(query="SELECT 1 AS id, date '0044-03-15 BC' AS day", to="items"))
    assert "0044" not in str(caught.value)
    assert "force_full_sync" not in str(caught.value)
    world.lake.close()
