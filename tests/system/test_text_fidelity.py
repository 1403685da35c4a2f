"""Values arrive as they were: text, numbers, dates, nulls by REST, Bulk and staged Bulk; three tables equal to the byte."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from halocline.config import Settings
from halocline.connectors.duckdb.staging import MAX_LINE_BYTES
from halocline.connectors.salesforce import ClientCredentialsAuthenticator
from halocline.emulator.org import EmulatorConfig
from halocline.emulator.server import Emulator
from halocline.errors import SchemaConflict
from halocline.ledger import MemoryLedger
from halocline.run import Run
from halocline.sync import IntelligentSync, SobjectSync
from tests.examples import examples, in_turn

pytestmark = pytest.mark.system

SCHEMA = """
object: Awkward__c
label: Awkward
plural: Awkwards
fields:
  Text__c: string(255)
  Long__c: textarea(131072)
  Pick__c: picklist
  Picks__c: multipicklist
  Mail__c: email
  Page__c: url
  Call__c: phone
  Whole__c: int(9)
  Wide__c: double(18,0)
  Fine__c: double(18,17)
  Money__c: currency(18,2)
  Share__c: percent(16,4)
  Day__c: date
  Moment__c: datetime
  Clock__c: time
  Flag__c: boolean
"""
LONGEST = 131_072  # characters of a long text area; Object Reference, "Field Types", textarea
WAYS = {"rest": (10_000_000, 10_000_000), "bulk": (0, 10_000_000), "stage": (0, 0)}
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class World:
    """An org with one awkward object, and a database that follows it in three ways."""

    emulator: Emulator
    lake: duckdb.DuckDBPyConnection
    system: IntelligentSync

    def refill(self, rows: Sequence[Row]) -> None:
        """The org holds these rows, in this order, and no other."""
        store, user = self.emulator.store, self.emulator.org.api_user_id
        sobject = store.catalog.get("Awkward__c")
        assert sobject is not None
        for (record_id,) in store.read("SELECT Id FROM Awkward__c"):
            store.purge(sobject, record_id)
        together = store.begin()
        for row in rows:
            store.insert(sobject, row, user_id=user, transaction=together)
        store.commit(together)

    def sync(self, way: str) -> None:
        """Carry everything into the table that is named like the way."""
        self.system.BULK_API_THRESHOLD, self.system.STAGE_THRESHOLD = WAYS[way]
        job = SobjectSync("Awkward__c", "main", way, force_full_sync=True, allow_empty=True)
        run = self.system.run(job, Run.new())
        assert run.plan is not None
        assert run.plan.api == {"rest": "rest", "bulk": "bulk", "stage": "bulk_stage"}[way]

    def table(self, way: str) -> pa.Table:
        """What the table holds, in the order of the keys."""
        with self.lake.cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'")
            return cursor.sql(f"FROM main.{way} ORDER BY Id").to_arrow_table()

    def stored(self) -> list[dict[str, Any]]:
        """What the org holds, read behind its doors, as the table should have it."""
        sobject = self.emulator.store.catalog.get("Awkward__c")
        assert sobject is not None
        names = [name for (name,) in self.lake.execute("SELECT column_name FROM (DESCRIBE main.rest)").fetchall()]
        text = ", ".join(f'"{name}"' for name in names)
        found = self.emulator.store.read(f"SELECT {text} FROM Awkward__c ORDER BY Id")
        kinds = {name: sobject.fields[name.lower()] for name in names}
        return [
            {name: expected(kinds[name].type, kinds[name].scale, value) for name, value in zip(names, row, strict=True)}
            for row in found
        ]


def expected(kind: str, scale: int, stored: Any) -> Any:
    """The value that a table should hold for what the org's store holds."""
    if stored is None:
        return None
    if kind in ("double", "currency", "percent"):
        return Decimal(repr(stored)).quantize(Decimal(1).scaleb(-scale))
    convert: dict[str, Callable[[Any], Any]] = {
        "boolean": bool,
        "date": date.fromisoformat,
        "datetime": lambda text: datetime.fromisoformat(text).astimezone(UTC),
        "time": lambda text: time.fromisoformat(text).replace(tzinfo=None),
    }
    return convert.get(kind, lambda value: value)(stored)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("fidelity")
    schema = folder / "awkward.yaml"
    schema.write_text(SCHEMA, encoding="utf-8")
    config = EmulatorConfig(schemas=(schema,), page_rows=7)
    with Emulator(config) as emulator, duckdb.connect() as lake:
        login = ClientCredentialsAuthenticator(config.consumer_key, config.consumer_secret, login_url=emulator.url)
        with IntelligentSync(lake, login, ledger=MemoryLedger(), settings=Settings(folder, spool=folder)) as system:
            yield World(emulator, lake, system)


def holds(world: World, rows: Sequence[Row]) -> None:
    """After a sync by each way, every table equals the org's store, and the tables are equal to each other to the byte."""
    world.refill(rows)
    for way in WAYS:
        world.sync(way)
    tables = {way: world.table(way) for way in WAYS}
    stored = world.stored()
    for way, table in tables.items():
        assert table.schema == tables["rest"].schema
        assert not list(differences(table.to_pylist(), stored)), way
    assert len({as_bytes(table) for table in tables.values()}) == 1


def differences(table: Sequence[Row], stored: Sequence[Row]) -> Iterator[str]:
    """What differs between two lists of rows, value by value."""
    if len(table) != len(stored):
        yield f"{len(table)} rows, {len(stored)} in the org"
    for mine, theirs in zip(table, stored, strict=False):
        for name in theirs:
            if mine[name] != theirs[name] or type(mine[name]) is not type(theirs[name]):
                yield f"{name}: {mine[name]!r:.80} and not {theirs[name]!r:.80}"


def as_bytes(table: pa.Table) -> bytes:
    """The table's types and values as one piece of memory, rebuilt: what lies in the place of a null is chance."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(pa.Table.from_pylist(table.to_pylist(), schema=table.schema))
    return bytes(sink.getvalue())


# ---- values

BREAKS = ["\r\n", "\r", "\n", "\n\r", "\r\r\n", "\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x1e", "\t"]
MARKS = ['"', '""', '"\n"', '","', ",", ";", "|", "'", "\\", '\\"', "\\n", "\\N", "/", "`", "^", "\ufeff", "%", "{", "$"]
NOTHINGS = [
    "NA",
    "N/A",
    "#N/A",
    "null",
    "NULL",
    "None",
    "nan",
    "NaN",
    "-nan",
    "nil",
    "(null)",
    "\\N",
    "-",
    "0",
    "false",
    "Infinity",
]
SPACES = [" ", "  ", " a", "a ", "\u00a0", "\u3000", "\u200b", " \r\n ", "\ta\t"]
LOOKALIKES = ["001", "1e5", "2026-01-01", "12:00:00.000Z", "true", "=1+1", "@x", "+1", "-1", "1,000.5", "0x1F", "'1"]
ASTRAL = ["𝄞", "😀", "👩\u200d👩\u200d👧", "𠜎", "é", "e\u0301", "مرحبا", "\u202eabc", "ﬀ", "\U0010fffd", "\ufffd", "\uffff"]
WORDS = st.sampled_from([*BREAKS, *MARKS, *NOTHINGS, *SPACES, *LOOKALIKES, *ASTRAL])
# What cannot be in a text: NUL (no XML and no database of theirs carries it) and half characters.
ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
PATCHWORK = st.lists(WORDS | ANY_TEXT.map(lambda some: some[:3]), min_size=1, max_size=8).map("".join)
TEXT = st.none() | st.just("") | WORDS | PATCHWORK | ANY_TEXT
LONG = TEXT | st.builds(lambda some, size: (some * size)[:size], PATCHWORK, st.sampled_from([255, 256, 4_095, 65_536, LONGEST]))


def numbers(digits: int, scale: int) -> st.SearchStrategy[float | None]:
    """Numbers that a field of so many digits can hold, as the org keeps them: doubles of at most 15 digits in all."""
    places = min(scale, 15)
    most = 10 ** min(digits - scale + places, 15) - 1
    whole = st.integers(-most, most) | st.sampled_from([0, 1, -1, 10, most, -most, most // 10])
    return st.none() | st.just(-0.0) | whole.map(lambda units: float(Decimal(units).scaleb(-places)))


FIRST, LAST = datetime(1700, 1, 1, tzinfo=UTC), datetime(4000, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)  # of Salesforce's dates
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
ODD_MS = st.sampled_from([-1, 0, 1, 951_782_400_000, 2**31 * 1_000, (2**31 - 1) * 1_000])  # around 1970, 2000-02-29, 2038
MOMENTS = (ODD_MS | st.integers((FIRST - EPOCH) // MILLISECOND, (LAST - EPOCH) // MILLISECOND)).map(
    lambda milliseconds: (EPOCH + milliseconds * MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")
)
AWKWARD: st.SearchStrategy[Row] = st.fixed_dictionaries(
    {
        "Name": PATCHWORK.map(lambda some: f"n{some}"[:80]),
        "Text__c": TEXT.map(lambda some: some and some[:255]),
        "Long__c": LONG,
        "Pick__c": TEXT,
        "Picks__c": TEXT,
        "Mail__c": TEXT,
        "Page__c": TEXT,
        "Call__c": TEXT,
        "Whole__c": st.none() | st.integers(-(2**31), 2**31 - 1) | st.sampled_from([0, -1, 2**31 - 1, -(2**31)]),
        "Wide__c": numbers(18, 0),
        "Fine__c": numbers(18, 17),
        "Money__c": numbers(18, 2),
        "Share__c": numbers(16, 4),
        "Day__c": st.none() | MOMENTS.map(lambda moment: moment[:10]),
        "Moment__c": st.none() | MOMENTS,
        "Clock__c": st.none() | st.times().map(lambda clock: clock.isoformat(timespec="milliseconds") + "Z"),
        "Flag__c": st.booleans(),
    }
)
EVERY_WORD: list[Row] = [
    {"Name": f"n{word}", "Text__c": word, "Long__c": word * 2, "Pick__c": None, "Mail__c": "", "Page__c": word, "Flag__c": False}
    for word in [*BREAKS, *MARKS, *NOTHINGS, *SPACES, *LOOKALIKES, *ASTRAL]
]
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture, HealthCheck.large_base_example]


@settings(max_examples=examples(20), suppress_health_check=QUIET)
@given(rows=st.lists(AWKWARD, max_size=12))
@example(rows=EVERY_WORD)
@example(rows=[])
def test_every_value_arrives_as_it_was_in_all_three_ways(world: World, rows: list[Row]) -> None:
    """Whatever an org holds, three tables equal its store and each other: text, numbers, dates, times, booleans, nulls."""
    holds(world, rows)


@pytest.mark.long
@pytest.mark.timeout(3_000)
@settings(max_examples=500, suppress_health_check=QUIET)
@given(rows=st.lists(AWKWARD, max_size=25))
def test_hundreds_of_awkward_orgs_arrive_as_they_were(world: World, rows: list[Row]) -> None:
    """The same law, 500 orgs."""
    holds(world, rows)


EDGES: list[Row] = [
    {"Name": "18 digits", "Wide__c": 123456789012345680.0, "Money__c": 9007199254740991.0, "Fine__c": 0.12345678901234568},
    {
        "Name": "the most",
        "Wide__c": 999999999999999900.0,
        "Money__c": 9999999999999.99,
        "Fine__c": 9.99999999999999,
        "Whole__c": 2**31 - 1,
    },
    {"Name": "the least", "Wide__c": -999999999999999900.0, "Money__c": -0.01, "Fine__c": 1e-17, "Whole__c": -(2**31)},
    {"Name": "powers", "Wide__c": 1e17, "Money__c": 1e15, "Fine__c": 1e-7, "Share__c": 0.0001, "Whole__c": 0},
    {"Name": "no tenth of it is a double", "Money__c": 0.1, "Share__c": 33.3333, "Fine__c": 0.3},
    {"Name": "first and last days", "Day__c": "1700-01-01", "Moment__c": "1700-01-01T00:00:00.000Z", "Clock__c": "00:00:00.000Z"},
    {"Name": "last and first days", "Day__c": "4000-12-31", "Moment__c": "4000-12-31T23:59:59.999Z", "Clock__c": "23:59:59.999Z"},
    {"Name": "a leap day", "Day__c": "2024-02-29", "Moment__c": "2024-02-29T12:00:00.001Z", "Clock__c": "12:00:00.001Z"},
    {"Name": "nothing at all", "Flag__c": True},
]


def test_numbers_and_dates_at_their_edges_arrive_exactly(world: World) -> None:
    """The largest, smallest and finest values of each type are equal to the digit, the day and the millisecond."""
    holds(world, EDGES)
    found = {row["Name"]: row for row in world.table("stage").to_pylist()}
    assert found["18 digits"]["Wide__c"] == Decimal(123456789012345680)
    assert found["the least"]["Fine__c"] == Decimal("0.00000000000000001")
    assert found["last and first days"]["Clock__c"] == time(23, 59, 59, 999_000)


UNFIT = [("Money__c", 0.125), ("Money__c", 1e16), ("Wide__c", 0.5), ("Wide__c", 1e18), ("Fine__c", 1e-18)]


@pytest.mark.parametrize(("way", "cell"), in_turn(WAYS, UNFIT))
def test_a_number_that_does_not_fit_is_never_rounded(world: World, way: str, cell: tuple[str, float]) -> None:
    """A value with more digits than its column stops the run, names field, value and the way out, and leaves the table alone."""
    field, value = cell
    world.refill([{"Name": "before"}])
    world.sync(way)
    before = as_bytes(world.table(way))
    world.refill([{"Name": "fine"}, {"Name": "not fine", field: value}])
    with pytest.raises(SchemaConflict, match=field) as raised:
        world.sync(way)
    assert 'numbers="double"' in str(raised.value)
    assert Decimal(re.findall(r"[-\d.eE+]+", str(raised.value.facts["value"]))[0]) == Decimal(repr(value))
    assert as_bytes(world.table(way)) == before
    run = world.system.run(SobjectSync("Awkward__c", "main", f"{way}_double", force_full_sync=True, numbers="double"), Run.new())
    assert run.durable_rows == 2
    (found,) = world.lake.execute(f"SELECT {field} FROM main.{way}_double WHERE Name = 'not fine'").fetchall()
    assert math.isclose(found[0], value, rel_tol=0.0)


def test_the_longest_texts_cross_every_block_border(world: World, pytestconfig: pytest.Config) -> None:
    """Texts of 131,072 characters of every kind, so that readers' blocks end inside of every one of them (`--long`: 12 MB)."""
    patterns = ["\r\n", "\r", "\n", '"', '""\r\n', '"\n"', "𝄞", "é\r\n", "a\r\nb,", '\r"\r\n', "\u2028\r"]
    rows = [
        {"Name": f"{shift}", "Text__c": "x" * shift, "Long__c": ("-" * shift + pattern * LONGEST)[:LONGEST]}
        for shift in (range(5) if pytestconfig.getoption("--long") else (0, 3))
        for pattern in patterns
    ]
    holds(world, rows)


@pytest.mark.long
def test_many_texts_in_one_page_cross_every_block_border(world: World) -> None:
    """A page of many rows, twice as large as the largest block of any reader, arrives as it was."""
    odd = ["\r\n", "\r", 'x\r\n"\r\ny', '"\n"', '","', "\n\r", "NA", "𝄞\r\n", '""', "\r\n" * 9, "\\", ""]
    rows = [
        {"Name": f"n{n}", "Text__c": odd[n % 12], "Long__c": odd[n * 7 % 12] * (9 * n), "Page__c": odd[n * 5 % 12]}
        for n in range(1_000)
    ]
    assert sum(len(row["Long__c"].encode()) for row in rows) > 2 * MAX_LINE_BYTES
    with one_page(world):
        holds(world, rows)


@contextmanager
def one_page(world: World) -> Iterator[None]:
    """Bulk results in one page for as long as the block lasts."""
    config, org = world.emulator.config, world.emulator.org
    org.config = replace(config, page_rows=1_000_000)
    try:
        yield
    finally:
        org.config = config
