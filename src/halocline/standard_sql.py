"""Standard SQL: names and texts as every database here reads them in a statement.

Source: ISO/IEC 9075-2, "delimited identifier" and "character string literal"; a quote inside stands twice.
"""

from __future__ import annotations

from collections.abc import Sequence


def quoted(*names: str) -> str:
    """The identifier: `quoted("main", "my table")` is `"main"."my table"`."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def listed(names: Sequence[str], side: str = "") -> str:
    """Columns by comma, as they are spelled; `side` is the alias of their table."""
    return ", ".join(f"{side}.{quoted(name)}" if side else quoted(name) for name in names)


def literal(text: str) -> str:
    """The text as a value, for the places where no value can be bound (table functions, DDL)."""
    return "'" + text.replace("'", "''") + "'"
