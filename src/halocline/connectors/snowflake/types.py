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
_WHOLE_DIGITS = 38  # of our own whole numbers
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


def column_of(name: str, kind: str, *, nullable: bool = True) -> Column:
    """A column of the type that DESCRIBE calls `kind`."""
    found = _SIZED.fullmatch(kind.upper())
    word = found.group(1) if found else kind.upper()
    more = {"nullable": nullable, "source_type": kind}
    if found is not None and word == "NUMBER":
        precision, scale = int(found.group(2)), int(found.group(3) or 0)
        if (precision, scale) == (_WHOLE_DIGITS, 0):
            return Column(name, Kind.INTEGER, **more)  # type: ignore[arg-type]  # fields of Column
        return Column(name, Kind.DECIMAL, precision=precision, scale=scale, **more)  # type: ignore[arg-type]  # likewise
    kinds = {known.split("(")[0]: neutral for neutral, known in _SQL_TYPES.items()}
    length = int(found.group(2)) if found is not None and word == "VARCHAR" else 0
    return Column(name, kinds.get(word, Kind.STRING), length=length, **more)  # type: ignore[arg-type]  # likewise


def longest(there: str) -> int | None:
    """How many characters a column of this type takes; None where it is no text."""
    found = _SIZED.fullmatch(there)
    return int(found.group(2)) if found and found.group(1) == "VARCHAR" else None
