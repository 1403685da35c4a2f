"""The page of types: what a Salesforce field becomes in Arrow and in each destination, asked of the code that does it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec

import pyarrow as pa

from halocline.connectors.files.text import NATIVE, to_text
from halocline.connectors.salesforce.types import FIELD_TYPES, column, left_out
from halocline.registry import able
from halocline.schema import Column, Kind

_HEAD = """
# Which type becomes which

This page is made from the code by `make docs`; a test keeps it true.

A column keeps its exact value wherever it goes: decimals stay decimals, instants are UTC with microseconds, null is never an
empty text or 0. Two lines need a word. Numbers (`currency`, `double`, `percent`) become decimals of the precision and the
scale that the field declares, here 18 and 2; formula results have more decimals than their field says, so they are doubles,
as all numbers are with `--numbers double`. And Salesforce keeps no empty text: it is null there.

Parquet files hold the Arrow type. CSV shows an example of how a value is spelled; JSON Lines spell it alike, with JSON's own
escapes. A null is nothing at all in CSV (an empty text is `""`), and `null` in JSON Lines.
"""
_REACH = """
## How far days reach

What a destination cannot hold exactly stops the load, with the column's name, before anything is written; of a push, the row
alone is not sent, and its answer tells the value.

| | days and instants, in years | `24:00:00` as a time |
| --- | --- | --- |
| DuckDB, Parquet | all | kept |
| PostgreSQL | 1 to 32767 | kept |
| SQLite, CSV, JSON Lines, and the folders of `partition_by` | 1 to 9999 | kept |
| Snowflake | 1 to 9999 | refused |
| a push into Salesforce | 1 to 9999 | refused |

A table's copy as CSV (`csv`) has the years -32767 to 32767. As a source, PostgreSQL and SQLite give the years 1 to 9999, DuckDB
all of them; days without end (`infinity`) have no form on the way from either. A column of stamps (`cursor`) has the years 1 to
9999, into PostgreSQL those of the table above. Python has no value for `24:00:00`, nor for other years than 1 to 9999: functions
of yours are given their text.
"""
_EXAMPLES = {
    Kind.STRING: 'Ünïcode, "quoted"',
    Kind.JSON: '{"city":"Köln"}',
    Kind.BOOLEAN: True,
    Kind.INTEGER: 9_007_199_254_740_993,
    Kind.DOUBLE: 0.1,
    Kind.DATE: 20_513,
    Kind.TIME: 37_230_123_456,
    Kind.DATETIME: 1_772_360_430_123_456,
}


def type_map() -> str:
    """The page as Markdown."""
    head = ("Salesforce", "Arrow, Parquet", *_sql_types(), "CSV")
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in _rows()]
    left = [f"- `{told}`: {left_out({'type': told})}." for told in FIELD_TYPES if left_out({"type": told})]
    parts = (_HEAD.strip(), "\n".join(lines), "Left out, with a note in the plan:", "\n".join(left), _REACH.strip())
    return "\n\n".join(parts) + "\n"


def _rows() -> list[tuple[str, ...]]:
    """One row for all field types that go the same way."""
    sources: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for told in FIELD_TYPES:
        if left_out({"type": told}) is None:
            sources[_way(column(_field(told)))].append(f"`{told}`")
    sources[_way(column({**_field("double"), "calculated": True}))].append("numbers of formulas")
    return [(", ".join(names), *way) for way, names in sources.items()]


def _sql_types() -> dict[str, Callable[[Column], str]]:
    """What says which type a column has in each destination that has a module `types`."""
    homes = {module.ABOUT.title: f"{module.__name__}.types" for module in able("open_destination").values()}
    return {title: import_module(home).sql_type for title, home in homes.items() if find_spec(home) is not None}


def _field(told: str) -> Mapping[str, object]:
    return {"name": "Field", "type": told, "precision": 18, "scale": 2}


def _way(one: Column) -> tuple[str, ...]:
    types = (str(one.arrow), *(sql_type(one) for sql_type in _sql_types().values()))
    return (*(f"`{name}`" for name in types), f"`{_spelled(one)}`")


def _spelled(one: Column) -> str:
    if one.kind is Kind.DECIMAL:
        values = pa.array(["1250.50"], pa.string()).cast(one.arrow)
    elif one.kind in (Kind.DATE, Kind.TIME, Kind.DATETIME):
        plain = pa.array([_EXAMPLES[one.kind]], pa.int32() if one.kind is Kind.DATE else pa.int64())
        values = plain.cast(one.arrow)
    else:
        values = pa.array([_EXAMPLES[one.kind]], one.arrow)
    text = str(to_text(values, one)[0].as_py())
    return text if one.kind in NATIVE else '"' + text.replace('"', '""') + '"'
