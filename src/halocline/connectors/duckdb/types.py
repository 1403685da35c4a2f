"""Types: the neutral types as DuckDB's, and how a value of each is read from CSV text without losing a digit."""

from __future__ import annotations

from halocline.connectors.duckdb.errors import inexact
from halocline.schema import Column, Kind
from halocline.standard_sql import literal, quoted

_SQL_TYPES = {
    Kind.STRING: "VARCHAR",
    Kind.JSON: "JSON",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.INTEGER: "BIGINT",
    Kind.DOUBLE: "DOUBLE",
    Kind.DATE: "DATE",
    Kind.TIME: "TIME",
    Kind.DATETIME: "TIMESTAMP WITH TIME ZONE",  # TIMESTAMP would drop the offset of its text
    Kind.BINARY: "BLOB",
}
_READ_BY_DUCKDB = {Kind.BOOLEAN, Kind.DOUBLE, Kind.DATE, Kind.TIME, Kind.DATETIME}


def sql_type(column: Column) -> str:
    """DuckDB's type for a column, spelled as `duckdb_columns()` spells it.

    Source: "Data Types", https://duckdb.org/docs/stable/sql/data_types/overview, read November 2026.
    """
    if column.kind is Kind.DECIMAL:
        return f"DECIMAL({column.precision},{column.scale})"
    return _SQL_TYPES[column.kind]


def csv_type(column: Column) -> str:
    """The type that `read_csv` is to read a column as: text where its own conversion would round, else the type itself."""
    return _SQL_TYPES[column.kind] if column.kind in _READ_BY_DUCKDB else "VARCHAR"


def csv_value(column: Column) -> str:
    """The SQL expression for a column's value, from what `csv_type` made of its text."""
    name = quoted(column.name)
    if column.kind is Kind.INTEGER:
        return exact_number(column.name, "BIGINT", scale=0)
    if column.kind is Kind.DECIMAL:
        return exact_number(column.name, sql_type(column), scale=column.scale)
    if column.kind is Kind.JSON:
        return f"CAST({name} AS JSON)"
    return f"from_base64({name})" if column.kind is Kind.BINARY else name


def exact_number(name: str, into: str, *, scale: int) -> str:
    """The SQL expression that casts the text column `name` to the type `into`, and fails where digits would be lost.

    DuckDB's own cast rounds silently. A regular expression costs 3 % of a load; comparing with a cast to DOUBLE costs
    more, and is blind above 15 digits. CASE runs its later branches only for the rows that the earlier ones left.
    """
    text = quoted(name)
    plain = literal(rf"-?\d*(\.\d{{0,{scale}}}0*)?")  # 12  12.0  12.50 (at scale 1)
    scientific = literal(r"-?\d+(\.\d*)?[eE][+-]?\d{1,3}")
    digits = rf"strlen(regexp_extract({text}, '\.(\d*?)0*[eE]', 1))"
    exponent = rf"TRY_CAST(regexp_extract({text}, '[eE]\+?(.*)$', 1) AS INTEGER)"
    # By way of the widest decimal: DuckDB (2.0.0) casts the text 1.0e4 to a DECIMAL(4,0) of five digits.
    wide = f"TRY_CAST(TRY_CAST({text} AS DECIMAL(38,{scale})) AS {into})"
    return (
        f"coalesce(CASE WHEN regexp_full_match({text}, {plain}) THEN TRY_CAST({text} AS {into})"
        f" WHEN regexp_full_match({text}, {scientific}) AND {digits} - {exponent} <= {scale} THEN {wide} END,"
        f" CASE WHEN {text} IS NOT NULL THEN error({literal(inexact(name, into))} || {text} || chr(31)) END)"
    )
