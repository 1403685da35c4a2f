"""Values by REST and by Bulk, into DuckDB and PostgreSQL: text of every kind, nulls, numbers and stamps, equal to the last digit.

`test_text_fidelity.py` looks for odd values one by one; here there are many, compared by columns, and in both databases.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from halocline.connectors.postgres.query import open_query
from halocline.sync import IntelligentSync, SobjectSync
from tests.connectors.postgres.server import Place
from tests.examples import in_turn
from tests.figures import Says, add
from tests.system.laptop import Laptop, laptop
from tests.system.test_text_fidelity import ASTRAL, BREAKS, LOOKALIKES, MARKS, NOTHINGS, SPACES

pytestmark = [pytest.mark.system, pytest.mark.timeout(1_800), pytest.mark.usefixtures("conserved")]

TEXTS = tuple(f"Text{number}__c" for number in range(9))
SCHEMA = "\n".join(
    [
        *("object: Cell__c", "label: Cell", "plural: Cells", "fields:"),
        *(f"  {name}: string(255)" for name in TEXTS),
        *("---", "object: Exact__c", "label: Exact", "plural: Exacts", "fields:"),
        *("  Wide__c: double(18,0)", "  Fine__c: double(18,17)", "  Money__c: currency(18,2)"),
        *("  Whole__c: int(9)", "  Long__c: string(40)", "  Moment__c: datetime"),
    ]
)
WORDS = [*BREAKS, *MARKS, *NOTHINGS, *SPACES, *LOOKALIKES, *ASTRAL]
WAYS = {"rest": (10_000_000, 10_000_000), "bulk": (0, 10_000_000), "stage": (0, 0)}
KEY = "Id"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Laptop]:
    (tmp_path / "cells.yaml").write_text(SCHEMA)
    with laptop(tmp_path, schemas=(tmp_path / "cells.yaml",)) as running:
        running.lake.execute("SET TimeZone = 'UTC'")
        yield running


def cell(chance: random.Random) -> str | None:
    """Nothing, the empty text, a word that readers take for something else, or several of them and other characters."""
    kind = chance.random()
    if kind < 0.15:
        return None
    if kind < 0.2:
        return ""
    if kind < 0.5:
        return chance.choice(WORDS)
    return "".join(chance.choices([*WORDS, "a", "ß", "語", " "], k=chance.randint(1, 6)))[:255]


def carried(here: Laptop, place: Place, sobject: str, *, fields: Sequence[str]) -> dict[str, pa.Table]:
    """The object by every way in both databases, in the order of its keys, columns in the order of `fields`."""
    tables: dict[str, pa.Table] = {}
    for way, thresholds in WAYS.items():
        for name, session in (("duckdb", here.lake), ("postgresql", place.uri(TimeZone="UTC"))):
            with IntelligentSync(session, here.client, settings=here.settings) as system:
                system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = thresholds
                run = system.run(SobjectSync(sobject, "raw", way, fields=fields, force_full_sync=True))
            assert run.plan is not None
            assert run.plan.api == {"rest": "rest", "bulk": "bulk", "stage": "bulk_stage"}[way]
            listed = ", ".join(fields)
            if name == "duckdb":
                tables[f"{way} {name}"] = here.lake.sql(f"SELECT {listed} FROM raw.{way} ORDER BY Id").to_arrow_table()
            else:
                found = open_query(session, f"SELECT {listed} FROM raw.{way} ORDER BY id").read_all()
                tables[f"{way} {name}"] = found.rename_columns(list(fields))
    return tables


def mismatches(table: pa.Table, wanted: pa.Table) -> int:
    """Cells that differ; null and empty text are two things."""
    assert table.num_rows == wanted.num_rows
    wrong = 0
    for name in wanted.column_names:
        mine, theirs = table.column(name).cast(wanted.schema.field(name).type), wanted.column(name)
        nulls = pc.not_equal(pc.is_null(mine), pc.is_null(theirs))
        wrong += pc.sum(pc.or_(nulls, pc.fill_null(pc.not_equal(mine, theirs), False))).as_py() or 0
    return wrong


@pytest.mark.parametrize("rows", [700, pytest.param(100_000, marks=pytest.mark.long)])
def test_many_odd_cells_are_equal_everywhere(here: Laptop, place: Place, rows: int, record_property: Says) -> None:
    """By REST, Bulk and staged Bulk, in DuckDB and PostgreSQL, each cell is the org's; what the org keeps as null is null."""
    chance = random.Random(rows)
    store, sobject, user = here.org.store, here.sobject("Cell__c"), here.org.org.api_user_id
    together = store.begin()
    for number in range(rows):
        values = {name: cell(chance) for name in TEXTS}
        store.insert(sobject, {"Name": f"n{number}", **values}, user_id=user, transaction=together)
    store.commit(together)
    fields = (KEY, *TEXTS)
    found = store.read(f"SELECT {', '.join(fields)} FROM Cell__c ORDER BY Id")
    wanted = pa.table(
        {name: pa.array(column, pa.string()) for name, column in zip(fields, zip(*found, strict=True), strict=True)}
    )
    for name, table in carried(here, place, "Cell__c", fields=fields).items():
        wrong = mismatches(table, wanted)
        add(record_property, f"T14 odd cells, {name}", cells=rows * len(fields), mismatches=wrong)
        assert wrong == 0, name


# ---- numbers and stamps


NUMBERS: dict[str, list[Any]] = {  # as the org's store holds them: doubles, of which Salesforce keeps so many digits
    "Wide__c": [2.0**53, 2.0**53 - 1, -(2.0**53), 123456789012345680.0, 999999999999999900.0, 0.0, None],
    "Fine__c": [1e-17, 0.1, 0.3, 9.99999999999999, -0.12345678901234568, 0.0, None],
    "Money__c": [0.01, -0.01, 9007199254740991.0, 9999999999999.99, 0.1, 1e15, None],
    "Whole__c": [2**31 - 1, -(2**31), 0, 1, -1, 7, None],
    "Long__c": ["9007199254740993", "1" * 38, "-" + "9" * 38, "0." + "1" * 37, "1e400", "0" * 38, None],
    "Moment__c": [
        "1700-01-01T00:00:00.000Z",
        "1969-12-31T23:59:59.999Z",
        "1970-01-01T00:00:00.001Z",
        "2038-01-19T03:14:08.123Z",
        "2026-03-29T01:30:00.999Z",
        "4000-12-31T23:59:59.999Z",
        None,
    ],
}


DIGITS = {"Wide__c": "9007199254740993", "Money__c": "1234567890123456.78", "Fine__c": "0.12345678901234567"}


def exact(name: str, stored: Any) -> Any:
    """The value that every table has to hold."""
    if stored is None or name in ("Long__c", "Whole__c"):
        return stored
    if name == "Moment__c":
        return datetime.fromisoformat(stored).astimezone(UTC)
    return Decimal(repr(stored))


def test_numbers_and_stamps_are_exact_everywhere(here: Laptop, place: Place, record_property: Says) -> None:
    """Beyond 2^53, 18 digits, 38 in a text (a Salesforce number has 18), milliseconds of any century: equal by every way."""
    for number in range(7):
        here.add("Exact__c", 1, Name=f"n{number}", **{name: column[number] for name, column in NUMBERS.items()})
    fields = (KEY, *NUMBERS)
    found = here.org.store.read(f"SELECT {', '.join(fields)} FROM Exact__c ORDER BY Id")
    wanted = [{name: exact(name, value) for name, value in zip(fields, row, strict=True) if name != KEY} for row in found]
    for name, table in carried(here, place, "Exact__c", fields=fields).items():
        rows = [{key: value for key, value in row.items() if key != KEY} for row in table.to_pylist()]
        inexact = sum(mine[key] != theirs[key] for mine, theirs in zip(rows, wanted, strict=True) for key in theirs)
        add(record_property, f"T15 precision, {name}", values=len(wanted) * len(NUMBERS), inexact=inexact)
        assert inexact == 0, (name, rows, wanted)


@pytest.mark.parametrize(("way", "digits"), in_turn(WAYS, DIGITS.items()))
def test_more_digits_than_a_double_has_come_as_they_were_written(
    here: Laptop, place: Place, way: str, digits: tuple[str, str], record_property: Says
) -> None:
    """Nothing is read as a double on the way: 2^53 + 1 stays 2^53 + 1. The answer is the test's own, the org has doubles."""
    field, text = digits
    (record,) = here.add("Exact__c", 1, Name="n", **{field: 1.0})
    told = {"Id": f'"{record}"', field: text, "IsDeleted": "false", "SystemModstamp": '"2026-03-01T12:00:00.000Z"'}
    whole = ",".join(f'"{name}":{value}' for name, value in told.items())
    page = f'{{"totalSize":1,"done":true,"records":[{{"attributes":{{}},{whole}}}]}}'
    for session in (here.lake, place.uri()):
        with IntelligentSync(session, here.client, settings=here.settings) as system:
            plain = system.run(SobjectSync("Exact__c", "raw", "x", fields=(KEY, field), force_full_sync=True)).plan
        if way == "rest":  # the first of these queries counts
            rule = here.org.faults.add("answer", kind="queryAll", nth=2, status=200, body=page)
        else:
            assert plain is not None
            names = plain.schema.names
            lines = (names, [told[name].strip('"') for name in names])
            csv = "".join(",".join(f'"{value}"' for value in line) + "\n" for line in lines)
            rule = here.org.faults.add("answer", kind="bulk.results", status=200, body=csv, content_type="text/csv")
        with IntelligentSync(session, here.client, settings=here.settings) as system:
            system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = WAYS[way]
            system.run(SobjectSync("Exact__c", "raw", "x", fields=(KEY, field), force_full_sync=True))
        assert here.org.faults.counters(rule)["struck"] == 1
        found = here.rows if session is here.lake else place.rows
        assert found(f"SELECT {field} FROM raw.x") == [(Decimal(text),)]
        add(record_property, f"T15 digits beyond a double's, {way}", values=1, inexact=0)
