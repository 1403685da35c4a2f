"""Laws of builders: an item becomes all of its rows or none, with the reason; nothing is dropped, halved, cut or rounded."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.connectors.postgres.server import Place
from tests.tables.test_copy import tables

from halocline.batch import Batch
from halocline.builders import build, builder_at
from halocline.connector import Part
from halocline.csvcopy import CsvCopy
from halocline.declared import declared
from halocline.errors import BadMessage, FixConfig, NotFound, Refused, RejectRecord, Stop, StorageFailed, Truncated
from halocline.fitting import Misfit, fitted
from halocline.ledger import MemoryLedger
from halocline.run import Run
from halocline.schema import Column, Kind
from halocline.spool import Spool
from halocline.tables import TableCopy, Tables

WALL = dt.datetime(2026, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None)


class Word(str, Enum):  # noqa: UP042 - str() of it is no text of its own, unlike that of a StrEnum
    GOOD = "good"


SCHEMA = declared({"id": "integer not null", "name": "varchar(5)", "doc": "json"})


def row(item: Mapping[str, Any]) -> object:
    """What the items of these tests say they become."""
    made = item["made"]
    if isinstance(made, BaseException):
        raise made
    return made


def one(number: int, **more: object) -> dict[str, object]:
    return {"id": number, "name": "n", "doc": None, **more}


@pytest.mark.parametrize(
    ("made", "code", "words"),
    [
        (KeyError("demandDetails"), "KeyError", "demandDetails"),
        (SystemExit(0), "SystemExit", "SystemExit: 0"),
        (RejectRecord("Building", "no case", row=0, code="NO_CASE"), "NO_CASE", "no case"),
        (BadMessage("Building", "no case"), "BadMessage", "no case"),
        ({"id": 1, "name": "n"}, "COLUMN_LEFT_OUT", "doc"),
        (one(1, more=2), "NO_COLUMN", "more"),
        (one(1, name="123456"), "TOO_LONG", "more than the 5"),
        (one(2**31), "OUT_OF_RANGE", "beyond its range"),
        ({**one(1), "id": None}, "NULL", "NOT NULL"),
        ([one(1), {**one(2), "id": "x"}], "DOES_NOT_FIT", "no number"),
        (one(1, doc=object()), "DOES_NOT_FIT", "JSON has no form"),
        ({**one(1), "Name": None}, "COLUMN_TWICE", "name twice"),
        ("text", "NO_ROW", "neither a row"),
        ([1], "NO_ROW", "no mapping"),
    ],
)
def test_what_cannot_be_built_is_a_rejection_with_its_reason(made: object, code: str, words: str) -> None:
    """The item is in the rejection, and none of its rows among the rows; those beside it are built."""
    items = [{"made": one(7)}, {"made": made}, {"made": one(8)}]
    built = build(items, row, schema=SCHEMA, part="p", first=10)
    assert built.rows.column("id").to_pylist() == [7, 8]
    (rejection,) = built.rejections
    assert (rejection.part, rejection.row, rejection.code, rejection.record) == ("p", 11, code, items[1])
    assert words in rejection.message


def test_none_and_no_rows_are_filtered_and_counted() -> None:
    """An item that is to become no row is no rejection; one that becomes several brings all of them."""
    built = build([{"made": None}, {"made": []}, {"made": [one(1), one(2)]}, {"made": (r for r in [one(3)])}], row, schema=SCHEMA)
    assert (built.filtered, built.rejections, built.rows.column("id").to_pylist()) == (2, (), [1, 2, 3])


def test_a_generator_may_fill_one_row_again_and_again() -> None:
    """Each row is what it was when it was given, also in what is nested."""

    def filling(item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        made: dict[str, Any] = {"name": None, "doc": {"seen": []}}
        for number in item["numbers"]:
            made["id"] = number
            made["doc"]["seen"].append(number)
            yield made

    built = build([{"numbers": [1, 2, 3]}, {"numbers": [4]}], filling, schema=SCHEMA)
    assert built.rows.column("id").to_pylist() == [1, 2, 3, 4]
    assert built.rows.column("doc").to_pylist() == [f'{{"seen": {seen}}}' for seen in ([1], [1, 2], [1, 2, 3], [4])]


def test_what_is_about_no_one_item_ends_the_read() -> None:
    """A builder may say that going on would risk data."""
    with pytest.raises(Stop):
        build([{"made": Stop("Building", "the key is gone")}], row, schema=SCHEMA)


ODD = st.one_of(
    st.none(),
    st.integers(-(2**33), 2**33),
    st.text(st.characters(), max_size=8),  # halves of characters too
    st.just("raise"),
    st.binary(max_size=3),
    st.decimals(),
    st.datetimes(timezones=st.just(dt.timezone(dt.timedelta(hours=10)))),
    st.recursive(st.text(st.characters(), max_size=2), lambda inner: st.lists(inner) | st.dictionaries(st.integers(0, 1), inner)),
    st.sampled_from([10**5000, Decimal("1E+999999"), object(), bytearray(b"x"), {1: 0, "1": 0}, "9999-12-31T23:59:59-10:00"]),
)
WIDE = declared(
    {
        "id": "integer not null",
        "name": "varchar(5)",
        "doc": "json",
        "real": "double",
        "at": "datetime",
        "day": "date",
        "amount": "decimal(18,2)",
        "yes": "boolean",
        "bytes": "binary",
        "who": "uuid",
        "hour": "time",
    }
)


@given(st.lists(ODD, max_size=20), st.sampled_from(WIDE.names))
def test_each_item_is_accounted_for(made: list[object], name: str) -> None:
    """Read = rows + rejected + filtered, whatever builders make."""

    def odd(item: Mapping[str, Any]) -> object:
        value = item["value"]
        if value == "raise":
            raise ValueError(value)
        return None if value is None else {**dict.fromkeys(WIDE.names), "id": 1, name: value}

    built = build([{"value": value} for value in made], odd, schema=WIDE)
    assert len(built.rows) + len(built.rejections) + built.filtered == len(made)


def test_a_value_with_itself_inside_and_a_deep_one_are_rejections() -> None:
    """As any value that does not fit: the others are built."""
    circle: list[object] = []
    circle.append(circle)
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    made = [one(1), one(2, doc=circle), one(3, doc=deep), one(4, doc="[" * 100_000)]
    built = build([{"made": row} for row in made], row, schema=SCHEMA)
    assert (built.rows.column("id").to_pylist(), [one.row for one in built.rejections]) == ([1], [1, 2, 3])


def test_a_reason_tells_nothing_of_what_an_item_holds() -> None:
    """It goes to logs; the item is in the rejection."""
    for wrong in ("hunter2", ["hunter2"], {"a": {"hunter2"}}, b"hunter2"):
        (rejection,) = build([{"made": {**one(1), "id": wrong}}], row, schema=SCHEMA).rejections
        assert "hunter2" not in rejection.message
        assert "hunter2" in str(rejection.record)


@pytest.mark.parametrize(
    ("column", "value", "wanted"),
    [
        (Column("c", Kind.STRING), 12, "12"),
        (Column("c", Kind.STRING), {"a": Decimal("1.10"), "b": {3, 1}}, '{"a": 1.10, "b": [1, 3]}'),
        (Column("c", Kind.STRING, source_type="numeric"), Decimal("1E+3"), "1000"),
        (Column("c", Kind.STRING, source_type="uuid"), UUID(int=1), str(UUID(int=1))),
        (Column("c", Kind.INTEGER), Decimal("12.0"), 12),
        (Column("c", Kind.INTEGER), "12", 12),
        (Column("c", Kind.DECIMAL, precision=5, scale=2), "123.40", Decimal("123.40")),
        (Column("c", Kind.DECIMAL, precision=38, scale=0), 10**37, Decimal(10**37)),
        (Column("c", Kind.DOUBLE), Decimal("0.5"), 0.5),
        (Column("c", Kind.DOUBLE), Decimal("0.12345678901234567890123"), 0.12345678901234568),
        (Column("c", Kind.DOUBLE), Decimal("1E+23"), 1e23),
        (Column("c", Kind.DOUBLE), 2**53, 2.0**53),
        (Column("c", Kind.DOUBLE, source_type="real"), 0.1, 0.1),
        (Column("c", Kind.DOUBLE, source_type="real"), 16777216, 16777216.0),
        (Column("c", Kind.DOUBLE, source_type="real"), 3.4028234663852886e38, 3.4028234663852886e38),
        (Column("c", Kind.DOUBLE, source_type="real"), 1e22, 1e22),
        (Column("c", Kind.DOUBLE, source_type="real"), Decimal("1E+22"), 1e22),
        (Column("c", Kind.DECIMAL, precision=18, scale=2), Decimal("0E+500"), Decimal(0)),
        (Column("c", Kind.DECIMAL, precision=18, scale=2), Decimal("1.5" + "0" * 60), Decimal("1.5")),
        (Column("c", Kind.STRING), Word.GOOD, "good"),
        (Column("c", Kind.DATE), "2026-01-02", dt.date(2026, 1, 2)),
        (Column("c", Kind.DATETIME), "2026-01-02T00:00:00+02:00", dt.datetime(2026, 1, 1, 22, tzinfo=dt.UTC)),
        (
            Column("c", Kind.DATETIME, source_type="timestamp without time zone"),
            WALL,
            dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        ),
        (Column("c", Kind.JSON), [Decimal("12345678901234567890.5"), None, True], "[12345678901234567890.5, null, true]"),
        (Column("c", Kind.JSON), '{"a": 1}', '{"a": 1}'),
        (Column("c", Kind.JSON), r'{"a": "\\u0000"}', r'{"a": "\\u0000"}'),
        (Column("c", Kind.JSON, source_type="text[]"), {"b", "a"}, '["a", "b"]'),
        (Column("c", Kind.JSON, source_type="text[]"), [{"k": Decimal("1.50")}, 1, None], r'["{\"k\": 1.50}", "1", null]'),
        (Column("c", Kind.JSON, source_type="text[]"), {b"a"}, '["YQ=="]'),
        (Column("c", Kind.JSON, source_type="integer[]"), ["3", Decimal("4.0"), [5][0]], "[3, 4, 5]"),
        (Column("c", Kind.JSON, source_type="INTEGER[]"), "[1, 2.0]", "[1, 2]"),
        (Column("c", Kind.JSON, source_type="numeric[]"), [Decimal("1.10"), "2"], "[1.10, 2]"),
        (Column("c", Kind.JSON, source_type="text[]"), [["a"], ["b"]], '[["a"], ["b"]]'),
        (Column("c", Kind.JSON, source_type="bytea[]"), [b"\n\xff"], r'["\\x0aff"]'),
        (Column("c", Kind.JSON, source_type="BLOB[]"), [b"\n\xff"], r'["\\x0a\\xff"]'),
        (Column("c", Kind.JSON, source_type="double precision[]"), [float("inf"), 0.5], '["Infinity", 0.5]'),
        (Column("c", Kind.JSON, source_type="jsonb[]"), ["12", [1.5], {"k": Decimal("1.50")}], '["12", [1.5], {"k": 1.50}]'),
        (Column("c", Kind.BINARY), b"\0", b"\0"),
    ],
)
def test_values_fit_exactly(column: Column, value: object, wanted: object) -> None:
    """What a column can hold as it is, it gets; numbers keep every digit."""
    assert fitted(value, column) == wanted


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (Column("c", Kind.STRING), "a\0b"),
        (Column("c", Kind.STRING), "\ud800"),
        (Column("c", Kind.STRING), b"bytes"),
        (Column("c", Kind.STRING), bytearray(b"bytes")),
        (Column("c", Kind.STRING), object()),
        (Column("c", Kind.STRING, source_type="numeric"), "1_0.5"),
        (Column("c", Kind.STRING, source_type="numeric"), Decimal("1E+200000")),
        (Column("c", Kind.DOUBLE), Decimal("1E+400")),
        (Column("c", Kind.DOUBLE), Decimal("1E-400")),
        (Column("c", Kind.DOUBLE), 2**53 + 1),
        (Column("c", Kind.DOUBLE), "1_000"),
        (Column("c", Kind.DOUBLE, source_type="real"), 1e300),
        (Column("c", Kind.DOUBLE, source_type="FLOAT"), 1e-300),
        (Column("c", Kind.DOUBLE, source_type="real"), 2**24 + 1),
        (Column("c", Kind.DOUBLE, source_type="real"), 2.0**24 + 1),
        (Column("c", Kind.JSON, source_type="real[]"), [2.0**24 + 1]),
        (Column("c", Kind.JSON, source_type="numeric[]"), [b"\xd7\x6d\xf8"]),  # in base64 it would be 1234
        (Column("c", Kind.JSON, source_type="uuid[]"), [bytes(16)]),
        (Column("c", Kind.TIME), "10:00:00.1234567"),
        (Column("c", Kind.DATETIME), "2024-01-01T00:00:00.123456789Z"),
        (Column("c", Kind.DATETIME), "9999-12-31T23:59:59-10:00"),
        (Column("c", Kind.DECIMAL, precision=18, scale=2), "1_0"),
        (Column("c", Kind.INTEGER), 1.5),
        (Column("c", Kind.INTEGER), True),
        (Column("c", Kind.INTEGER, source_type="smallint"), 32768),
        (Column("c", Kind.INTEGER), 2**63),
        (Column("c", Kind.DECIMAL, precision=5, scale=2), "1.005"),
        (Column("c", Kind.DECIMAL, precision=5, scale=2), 1000),
        (Column("c", Kind.DECIMAL, precision=5, scale=2), float("nan")),
        (Column("c", Kind.BOOLEAN), 1),
        (Column("c", Kind.DATE), WALL),
        (Column("c", Kind.DATETIME), WALL),
        (Column("c", Kind.JSON), "no json"),
        (Column("c", Kind.JSON), float("nan")),
        (Column("c", Kind.JSON), "NaN"),
        (Column("c", Kind.JSON), '{"a": -Infinity}'),
        (Column("c", Kind.JSON), {"a": "x\0y"}),
        (Column("c", Kind.JSON), r'"\u0000"'),
        (Column("c", Kind.JSON), r'"\ud800"'),
        (Column("c", Kind.JSON), {"a": "\ud800"}),
        (Column("c", Kind.JSON), {"a": Decimal("1E+200000")}),
        (Column("c", Kind.JSON), "1E-20000"),
        (Column("c", Kind.JSON), {1: "a", "1": "b"}),
        (Column("c", Kind.JSON, source_type="text[]"), '"bob"'),
        (Column("c", Kind.JSON, source_type="text[]"), ["a\0b"]),
        (Column("c", Kind.JSON, source_type="text[]"), [["a"], ["b", "c"]]),
        (Column("c", Kind.JSON, source_type="text[]"), [["a"], "b"]),
        (Column("c", Kind.JSON, source_type="integer[]"), ["x"]),
        (Column("c", Kind.JSON, source_type="integer[]"), [2**40]),
        (Column("c", Kind.JSON, source_type="integer[]"), [True]),
        (Column("c", Kind.JSON, source_type="character varying(2)[]"), ["abc"]),
        (Column("c", Kind.JSON, source_type="numeric(4,2)[]"), ["1.005"]),
        (Column("c", Kind.JSON, source_type="real[]"), [1e300]),
        (Column("c", Kind.JSON, source_type="timestamp with time zone[]"), ["2026-01-01"]),
        (Column("c", Kind.JSON, source_type="text[]"), {"a": 1}),
        (Column("c", Kind.STRING, source_type="uuid"), "x"),
    ],
)
def test_what_does_not_fit_is_refused(column: Column, value: object) -> None:
    """Nothing is cut, rounded or guessed."""
    with pytest.raises(Misfit):
        fitted(value, column)


def test_a_declared_type_that_nobody_knows_is_named() -> None:
    """With what may have been meant."""
    with pytest.raises(FixConfig, match="integer"):
        declared({"a": "intger"})
    with pytest.raises(FixConfig, match="digits"):
        declared({"a": "decimal"})


def test_builders_are_found_by_their_place(tmp_path: Path) -> None:
    """`module:function` beside the file; what is wrong is said."""
    (tmp_path / "my_case_builders.py").write_text("def build(item):\n    return item\nother = 1\n")
    (tmp_path / "my_broken_builders.py").write_text("1 / 0\n")
    (tmp_path / "my_ending_builders.py").write_text("import sys\nsys.exit(0)\n")
    assert builder_at("my_case_builders:build", folder=tmp_path)({"a": 1}) == {"a": 1}
    for place, words in (
        ("my_case_builders", "no function"),
        ("my_case_builders:other", "no function"),
        ("no_such_builders:x", "no module"),
        (":build", "no module"),
        ("my_case_builders:nobody", "has no nobody"),
        ("my_broken_builders:x", r"ZeroDivisionError.*my_broken_builders\.py:1 "),
        ("my_ending_builders:x", r"importing my_ending_builders failed: SystemExit: 0.*my_ending_builders\.py:2 "),
    ):
        with pytest.raises(FixConfig, match=words):
            builder_at(place, folder=tmp_path)


DDL = """
CREATE SCHEMA app; CREATE SCHEMA raw;
CREATE TABLE app.docs (id integer PRIMARY KEY, doc jsonb);
CREATE TABLE raw.cases (caseid text NOT NULL, version smallint, amount numeric(6, 2), collaborators text[],
    loaded timestamptz DEFAULT now(), short varchar(3));
CREATE MATERIALIZED VIEW raw.curated AS SELECT caseid, version FROM raw.cases;
CREATE TABLE raw.metadata (documentid text NOT NULL, at bigint);
"""


def case(item: Mapping[str, Any]) -> object:
    doc = item["doc"]
    if doc.get("skip"):
        return None
    return {
        "caseid": doc["caseid"],
        "version": doc["version"],
        "amount": doc.get("amount"),
        "collaborators": doc.get("who"),
        "short": "s",
    }


def metadata(item: Mapping[str, Any]) -> object:
    return {"documentid": str(item["id"]), "at": item["id"]}


@pytest.fixture
def docs(place: Place) -> Place:
    place.run(DDL)
    for number in range(1, 21):
        doc = {"caseid": f"c{number}", "version": number, "amount": 12.34, "who": ["a", 'b"{,}']}
        place.admin.execute("INSERT INTO app.docs VALUES (%s, %s)", [number, json.dumps(doc)])
    return place


def pipeline(docs: Place, ledger: MemoryLedger, tmp_path: Path, **changes: Any) -> Run:
    cases = TableCopy("app.docs", "raw.cases", build=case, **changes)
    other = TableCopy("app.docs", "raw.metadata", build=metadata)
    run = Run.new()
    tables(docs.uri(), docs.uri(), cases, other, ledger=ledger, tmp_path=tmp_path, name="demand").run(run)
    return run


def test_tables_without_keys_are_refilled_in_place(docs: Place, tmp_path: Path) -> None:
    """Materialized views, types, NOT NULLs and defaults stay; the second run leaves exactly the rows of the second."""
    ledger = MemoryLedger()
    oid = docs.rows("SELECT 'raw.cases'::regclass::oid")
    pipeline(docs, ledger, tmp_path)
    docs.run("DELETE FROM app.docs WHERE id > 12")
    run = pipeline(docs, ledger, tmp_path)
    assert docs.rows("SELECT 'raw.cases'::regclass::oid") == oid
    assert docs.rows("SELECT count(*), min(collaborators[2]), sum(amount), count(loaded) FROM raw.cases") == [
        (12, 'b"{,}', Decimal("148.08"), 12)
    ]
    docs.run("REFRESH MATERIALIZED VIEW raw.curated")
    assert docs.rows("SELECT count(*) FROM raw.curated") == [(12,)]
    assert [leg.rows_read for leg in run.tables] == [12, 12]


def test_rejections_are_booked_and_the_rest_is_loaded(docs: Place, tmp_path: Path) -> None:
    """Read = rows + rejected + filtered, in the run and for each table; each rejection has its item and its reason."""
    ledger = MemoryLedger()
    docs.run("""UPDATE app.docs SET doc = doc - 'caseid' WHERE id = 3;
        UPDATE app.docs SET doc = doc || '{"skip": true}' WHERE id = 4;
        UPDATE app.docs SET doc = doc || '{"caseid": null}' WHERE id = 5;
        INSERT INTO app.docs SELECT 21, doc FROM app.docs WHERE id = 1;
        UPDATE app.docs SET doc = doc || '{"version": 32768}' WHERE id = 6""")
    run = pipeline(docs, ledger, tmp_path, max_rejected=3)
    first, second = run.tables
    assert first.counts is not None
    assert (first.rows_read, first.counts.inserted, first.counts.rejected, first.counts.filtered) == (21, 17, 3, 1)
    assert second.counts is not None
    assert (second.rows_read, second.counts.inserted, second.counts.rejected) == (21, 21, 0)
    booked = ledger.get(run.id)
    assert (booked.rows_read, booked.counts.accounted, booked.counts.rejected) == (42, 42, 3)
    told = sorted((one.code, (one.record or {})["id"]) for one in ledger.rejections(run.id))
    assert told == [("KeyError", 3), ("NULL", 5), ("OUT_OF_RANGE", 6)]


@pytest.mark.parametrize("most", [2, 0.1, 0])
def test_too_many_rejections_publish_nothing(docs: Place, tmp_path: Path, most: float) -> None:
    """Of no table; the reasons are in the ledger all the same."""
    ledger = MemoryLedger()
    docs.run("UPDATE app.docs SET doc = doc - 'caseid' WHERE id <= 3")
    run = Run.new()
    cases = TableCopy("app.docs", "raw.cases", build=case, max_rejected=most)
    other = TableCopy("app.docs", "raw.metadata", build=metadata)
    with pytest.raises(Refused, match="3 of 20"):
        tables(docs.uri(), docs.uri(), other, cases, ledger=ledger, tmp_path=tmp_path).run(run)
    assert docs.rows("SELECT (SELECT count(*) FROM raw.cases), (SELECT count(*) FROM raw.metadata)") == [(0, 0)]
    assert len(ledger.rejections(run.id)) == 3


def test_an_emptied_source_empties_only_where_it_may(docs: Place, tmp_path: Path) -> None:
    """Without `allow_empty` nothing of any table changes; with it the table is emptied."""
    ledger = MemoryLedger()
    pipeline(docs, ledger, tmp_path)
    docs.run("DELETE FROM app.docs")
    with pytest.raises(Refused, match="no rows"):
        pipeline(docs, ledger, tmp_path, allow_empty=True)  # raw.metadata may not
    assert docs.rows("SELECT count(*) FROM raw.cases") == [(20,)]
    cases = TableCopy("app.docs", "raw.cases", build=case, allow_empty=True)
    tables(docs.uri(), docs.uri(), cases, ledger=ledger, tmp_path=tmp_path, name="demand").run()
    assert docs.rows("SELECT count(*) FROM raw.cases") == [(0,)]


def test_rows_that_this_flow_never_put_there_are_adopted_only_when_asked(docs: Place, tmp_path: Path) -> None:
    """As with every full load; `adopt` takes them over."""
    ledger = MemoryLedger()
    docs.run("INSERT INTO raw.cases (caseid) VALUES ('old')")
    with pytest.raises(Refused, match="never filled"):
        pipeline(docs, ledger, tmp_path)
    pipeline(docs, ledger, tmp_path, adopt=True)
    assert docs.rows("SELECT count(*) FROM raw.cases WHERE caseid = 'old'") == [(0,)]


def test_a_merge_by_key_keeps_what_is_not_read(docs: Place, tmp_path: Path) -> None:
    """The better alternative to delete and insert: equal rows are left alone."""
    ledger = MemoryLedger()
    merged = TableCopy(
        "app.docs",
        "raw.merged",
        build=metadata,
        schema={"documentid": "text not null", "at": "bigint"},
        mode="merge",
        key=["documentid"],
    )

    def go() -> Run:
        return tables(docs.uri(), docs.uri(), merged, ledger=ledger, tmp_path=tmp_path).run()

    go()
    docs.run("DELETE FROM app.docs WHERE id > 10")
    counts = go().counts
    assert counts is not None
    assert (counts.unchanged, counts.changed) == (10, 0)
    assert docs.rows("SELECT count(*) FROM raw.merged") == [(20,)]


ODD_DDL = """
CREATE SCHEMA app; CREATE SCHEMA raw; CREATE TABLE app.docs (id integer PRIMARY KEY);
INSERT INTO app.docs SELECT generate_series(0, 40);
CREATE TABLE raw.odd (id integer, doc jsonb, whole integer[], words text[], r real, d double precision, n numeric, docs jsonb[])
"""
ODD_VALUES: list[tuple[str, object]] = [
    ("doc", {"a": "x\0y"}),
    ("doc", "NaN"),
    ("doc", r'"\u0000"'),
    ("doc", r'["\ud800"]'),
    ("doc", {"a": "\ud800"}),
    ("doc", Decimal("1E+200000")),
    ("n", Decimal("1E+200000")),
    ("n", Decimal("1E-20000")),
    ("whole", ["x"]),
    ("whole", [1.5]),
    ("whole", [2**40]),
    ("words", [["a"], ["b", "c"]]),
    ("words", [[], ["b"]]),
    ("words", [[]]),
    ("words", ["a\0b"]),
    ("words", '"bob"'),
    ("r", 1e300),
    ("r", Decimal("1E-300")),
    ("d", Decimal("1E+400")),
    ("docs", ["a\0b"]),
]


def test_one_odd_item_of_many_is_a_rejection(place: Place, tmp_path: Path) -> None:
    """What no column can hold is found before the COPY, which would fail for all of them."""
    place.run(ODD_DDL)
    names = ["doc", "whole", "words", "r", "d", "n", "docs"]

    def odd(item: Mapping[str, Any]) -> object:
        wrong = dict([ODD_VALUES[item["id"]]]) if item["id"] < len(ODD_VALUES) else {}
        return {"id": item["id"], **dict.fromkeys(names), **wrong}

    ledger, run = MemoryLedger(), Run.new()
    wanted = TableCopy("app.docs", "raw.odd", build=odd, max_rejected=len(ODD_VALUES))
    tables(place.uri(), place.uri(), wanted, ledger=ledger, tmp_path=tmp_path).run(run)
    assert sorted(one.row for one in ledger.rejections(run.id)) == list(range(len(ODD_VALUES)))
    assert place.rows("SELECT count(*), min(id) FROM raw.odd") == [(41 - len(ODD_VALUES), len(ODD_VALUES))]


def test_two_rows_of_one_key_end_the_run(docs: Place, tmp_path: Path) -> None:
    """Which of them was meant nobody knows."""

    def same(item: Mapping[str, Any]) -> object:
        return {"documentid": "one", "at": item["id"]}

    wanted = TableCopy("app.docs", "raw.metadata", build=same, key=["documentid"])
    with pytest.raises(Truncated, match="19 rows have a key"):
        tables(docs.uri(), docs.uri(), wanted, ledger=MemoryLedger(), tmp_path=tmp_path).run()
    assert docs.rows("SELECT count(*) FROM raw.metadata") == [(0,)]


def test_the_same_rows_are_in_a_csv_file(docs: Place, tmp_path: Path) -> None:
    """Optional, beside the table; it appears when the rows are durable, and not when they are not."""
    ledger = MemoryLedger()
    pipeline(docs, ledger, tmp_path, csv=tmp_path / "out" / "cases.csv")
    lines = (tmp_path / "out" / "cases.csv").read_text().splitlines()
    assert lines[0] == '"caseid","version","amount","collaborators","short"'
    assert len(lines) == 21
    docs.run("UPDATE app.docs SET doc = '{}'")
    with pytest.raises(Refused):
        pipeline(docs, ledger, tmp_path, csv=tmp_path / "other.csv")
    assert not (tmp_path / "other.csv").exists()


def test_a_csv_file_that_cannot_be_is_found_before_the_rows_are_there(docs: Place, tmp_path: Path) -> None:
    """Nothing is published beside an error that a look at the folder tells."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "folder", tmp_path / "file" / "x.csv"):
        with pytest.raises(StorageFailed):
            pipeline(docs, MemoryLedger(), tmp_path, csv=wrong)
    assert docs.rows("SELECT count(*) FROM raw.cases") == [(0,)]
    assert sorted(one.name for one in tmp_path.iterdir() if one.suffix in (".part", ".csv")) == []


def test_two_tables_do_not_share_a_csv_file(tmp_path: Path) -> None:
    """The second would take the place of the first."""
    wanted = [TableCopy("a", csv="x.csv"), TableCopy("b", csv=tmp_path / "y" / ".." / "x.csv")]
    with pytest.raises(FixConfig, match="their CSV file"):
        Tables("duckdb://", "duckdb://", tables=wanted, folder=tmp_path)


def test_a_plan_that_takes_the_place_of_another_has_files_of_its_own(tmp_path: Path) -> None:
    """Parts are told apart by their files, also where their ids are those of the first plan; what is gone is in no file."""
    plans = iter([[Part("a", {}), Part("b", {})], [Part("b", {}), Part("c", {}), Part("a", {})]])
    source: Any = SimpleNamespace(
        survey=lambda since: SimpleNamespace(schema=declared({"id": "text"})),
        parts=lambda plan: iter(next(plans)),
        read=lambda part, resume: iter([Batch(rows=pa.RecordBatch.from_pylist([{"id": part.id}]), first_row=0)]),
    )
    copied = CsvCopy(source, spool=Spool("r", tmp_path / "spool"), name="c")
    copied.survey(None)
    plan: Any = None
    list(copied.parts(plan))
    second = list(copied.parts(plan))
    readers = [copied.read(part) for part in second]
    for reader in readers:
        list(reader)
    copied.finish(tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == '"id"\n"b"\n"c"\n"a"\n'


def test_one_name_is_one_column() -> None:
    """As in YAML; it is no sequence of letters."""
    table = TableCopy("a", key="id", columns="name", exclude="out")
    assert (table.key, table.columns, table.exclude) == (("id",), ("name",), ("out",))


def test_a_builder_needs_columns(docs: Place, tmp_path: Path) -> None:
    """Of the table, or declared; a column that is in neither is named."""
    ledger = MemoryLedger()
    for wanted, kind in (
        (TableCopy("app.docs", "raw.nothing", build=metadata), FixConfig),
        (TableCopy("app.docs", "raw.metadata", build=metadata, columns=["documentId", "att"]), NotFound),
        (TableCopy("app.docs", "raw.metadata", build=metadata, exclude=["att"]), NotFound),
    ):
        with pytest.raises(kind):
            tables(docs.uri(), docs.uri(), wanted, ledger=ledger, tmp_path=tmp_path).run()


def test_parts_of_a_description_that_do_not_go_together() -> None:
    """Are refused before anything is opened."""
    for wrong in (
        {},
        {"source": "a", "query": "SELECT 1", "to": "b"},
        {"query": "SELECT 1"},
        {"source": "a", "mode": "upsert"},
        {"source": "a", "cursor": "at"},
        {"source": "a", "max_rejected": 1.5},
    ):
        with pytest.raises(FixConfig):
            TableCopy(**wrong)  # type: ignore[arg-type]
