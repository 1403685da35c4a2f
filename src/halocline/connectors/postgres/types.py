"""Types: the neutral types as PostgreSQL's, and which types of a table can hold them without loss."""

from __future__ import annotations

import re

from halocline.schema import Column, Kind

_SQL_TYPES = {
    Kind.STRING: "text",
    Kind.JSON: "jsonb",
    Kind.BOOLEAN: "boolean",
    Kind.INTEGER: "bigint",
    Kind.DOUBLE: "double precision",
    Kind.DATE: "date",
    Kind.TIME: "time without time zone",
    Kind.DATETIME: "timestamp with time zone",  # the other one would drop the offset of its text
    Kind.BINARY: "bytea",
}
_ALSO_HOLDS = {Kind.STRING: ("character varying",), Kind.INTEGER: ("integer", "smallint", "numeric"), Kind.DECIMAL: ("numeric",)}
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_VARCHAR = re.compile(r"character varying\((\d+)\)")


def sql_type(column: Column) -> str:
    """PostgreSQL's type for a column, spelled as `format_type()` spells it.

    Source: "Data Types", https://www.postgresql.org/docs/18/datatype.html, read November 2026.
    """
    if column.kind is Kind.DECIMAL:
        return f"numeric({column.precision},{column.scale})"
    return _SQL_TYPES[column.kind]


def stored_type(column: Column, there: str | None) -> str:
    """The type in which a column is put aside: the table's own where the plan's column has that one too."""
    return there if there is not None and there == column.source_type else sql_type(column)


def is_array(kind: str) -> bool:
    """Whether a type is one of arrays."""
    return kind.endswith("[]")


def has_no_equality(column: Column) -> bool:
    """Whether values of the column's own type cannot be compared but as text.

    Source: "JSON Types", https://www.postgresql.org/docs/18/datatype-json.html, read November 2026.
    """
    return column.source_type in ("json", "xml")


def holds(there: str, column: Column) -> bool:
    """Whether a column of the type `there` takes every value of `column` as it is, or refuses it loudly."""
    if there in (sql_type(column), column.source_type) or there in _ALSO_HOLDS.get(column.kind, ()):
        return True
    if column.kind is Kind.STRING:
        return longest(there) is not None
    found = _NUMERIC.fullmatch(there)
    return column.kind is Kind.DECIMAL and found is not None and int(found.group(2)) >= column.scale


def longest(there: str) -> int | None:
    """How many characters a column of this type takes; None where there is no such limit."""
    found = _VARCHAR.fullmatch(there)
    return int(found.group(1)) if found else None
