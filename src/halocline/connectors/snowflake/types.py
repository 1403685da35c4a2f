"""Types: the neutral types as Snowflake's, and which types of a table can hold them without loss."""

from __future__ import annotations

import re

from halocline.schema import Column, Kind

_SQL_TYPES = {
    Kind.STRING: "VARCHAR",
    Kind.JSON: "VARIANT",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.INTEGER: "NUMBER(38,0)",
    Kind.DOUBLE: "FLOAT",
    Kind.DATE: "DATE",
    Kind.TIME: "TIME",
    Kind.DATETIME: "TIMESTAMP_TZ",  # the others would drop the offset of its text, or show it in the reader's zone
    Kind.BINARY: "BINARY",
}
_ALSO_HOLDS = {Kind.DATETIME: ("TIMESTAMP_LTZ",)}
_SIZED = re.compile(r"([A-Z_]+)\((\d+)(?:,\s*(\d+))?\)")
_MICROSECONDS = 6  # digits of a second that our own types have


def sql_type(column: Column) -> str:
    """Snowflake's type for a column.

    Source: "Summary of data types", https://docs.snowflake.com/en/sql-reference/intro-summary-data-types (unverified).
    """
    if column.kind is Kind.DECIMAL:
        return f"NUMBER({column.precision},{column.scale})"
    return _SQL_TYPES[column.kind]


def staged_type(column: Column) -> str:
    """The type of a column of staged rows: JSON arrives as text, and is parsed when it is merged."""
    return "VARCHAR" if column.kind is Kind.JSON else sql_type(column)


def holds(there: str, column: Column) -> bool:
    """Whether a column of the type `there`, as DESCRIBE spells it, takes every value of `column`, or refuses it loudly."""
    found = _SIZED.fullmatch(there)
    kind = found.group(1) if found else there
    if column.kind in (Kind.DECIMAL, Kind.INTEGER):
        return kind == "NUMBER" and found is not None and int(found.group(3) or 0) >= column.scale
    if kind not in (sql_type(column), *_ALSO_HOLDS.get(column.kind, ())):
        return False
    return column.kind not in (Kind.TIME, Kind.DATETIME) or found is None or int(found.group(2)) >= _MICROSECONDS


def longest(there: str) -> int | None:
    """How many characters a column of this type takes; None where it is no text."""
    found = _SIZED.fullmatch(there)
    return int(found.group(2)) if found and found.group(1) == "VARCHAR" else None
