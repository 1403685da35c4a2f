"""Described: the columns of a table or a query in the neutral types, each with DuckDB's own word for its type."""

from __future__ import annotations

import re

from halocline.connectors.duckdb.client import Cursor, rows
from halocline.connectors.duckdb.tables import Table
from halocline.schema import Column, Kind, Schema
from halocline.standard_sql import literal, quoted

_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
_DIGITS = {"UBIGINT": 20, "HUGEINT": 38, "UHUGEINT": 38, "BIGNUM": 38}  # of a value that has more, TOO_LONG is raised
_INSTANTS = {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP WITH TIME ZONE"}  # without a zone it is taken for UTC
_KINDS = {
    **dict.fromkeys(_WHOLE, Kind.INTEGER),
    **dict.fromkeys(_INSTANTS, Kind.DATETIME),
    "BOOLEAN": Kind.BOOLEAN,
    "FLOAT": Kind.DOUBLE,
    "DOUBLE": Kind.DOUBLE,
    "DATE": Kind.DATE,
    "TIME": Kind.TIME,
    "BLOB": Kind.BINARY,
    "JSON": Kind.JSON,
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_NESTED = ("STRUCT", "MAP", "UNION", "VARIANT")
TOO_LONG = "halocline-too-long"
"""Starts the message that our own SQL raises for a number that no neutral type holds: this, a blank, and the column's name."""

NAIVE = _INSTANTS - {"TIMESTAMP WITH TIME ZONE"}


def column(name: str, kind: str, *, nullable: bool = True) -> Column:
    """A column of the type that DuckDB calls `kind`; lists and structs are JSON, what no neutral type holds exactly is text."""
    found = _DECIMAL.fullmatch(kind)
    precision, scale = (int(found[1]), int(found[2])) if found else (_DIGITS.get(kind, 0), 0)
    if precision:
        return Column(name, Kind.DECIMAL, precision=precision, scale=scale, nullable=nullable, source_type=kind)
    nested = kind.startswith(_NESTED) or kind.endswith("]")
    return Column(name, Kind.JSON if nested else _KINDS.get(kind, Kind.STRING), nullable=nullable, source_type=kind)


def schema_of(cursor: Cursor, table: Table) -> Schema:
    """The columns and the primary key of a table."""
    place = (table.catalog, table.schema, table.name)
    where = "WHERE database_name = ? AND schema_name = ? AND table_name = ?"
    sql = f"SELECT column_name, data_type, is_nullable FROM duckdb_columns() {where} ORDER BY column_index"
    columns = tuple(column(str(n), str(k), nullable=bool(null)) for n, k, null in rows(cursor, sql, values=place))
    primary = f"SELECT constraint_column_names FROM duckdb_constraints() {where} AND constraint_type = 'PRIMARY KEY'"
    found = [names for (names,) in rows(cursor, primary, values=place)]
    return Schema(columns, tuple(found[0]) if found else ())  # type: ignore[arg-type]  # a list of names


def value_of(column: Column) -> str:
    """The SQL expression for a column's values, such that Arrow has them in the column's type."""
    name, kind = quoted(column.name), column.source_type
    if column.kind is Kind.JSON:
        return f"CAST(to_json({name}) AS VARCHAR)" if kind != "JSON" else f"CAST({name} AS VARCHAR)"
    if column.kind is Kind.STRING:
        return f"CAST({name} AS VARCHAR)"
    if column.kind is Kind.DECIMAL and kind in _DIGITS:
        given = f"CAST({name} AS VARCHAR)" if kind == "BIGNUM" else name
        held = f"TRY_CAST({given} AS DECIMAL({column.precision}, 0))"
        return (
            f"CASE WHEN {held} IS NULL AND {name} IS NOT NULL THEN error({literal(f'{TOO_LONG} {column.name}')}) ELSE {held} END"
        )
    return f"CAST({name} AS BIGINT)" if column.kind is Kind.INTEGER else name
