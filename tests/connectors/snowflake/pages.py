"""Short ways to load result pages and to look at what came of it, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.connectors.duckdb.pages import FLOW, TARGET, plan
from tests.connectors.postgres.pages import written

from halocline.batch import Batch
from halocline.connector import Part
from halocline.connectors.snowflake.destination import SnowflakeDestination
from halocline.outcome import Counts
from halocline.schema import Schema
from halocline.testing.destinations import NoJournal

__all__ = ["Wire", "leftovers", "load", "rows", "table", "written"]


def load(destination: SnowflakeDestination, batches: Sequence[Batch], schema: Schema, **changes: Any) -> Counts:
    """Load the batches, each as a part."""
    unit = destination.begin(destination.claim(FLOW, "test"))
    try:
        opened = unit.open(TARGET, plan(schema, **changes), NoJournal())
        manifests = [opened.stage(Part(f"p{i}"), iter([batch])) for i, batch in enumerate(batches)]
        return unit.commit({FLOW: {"done": True}}, manifests)
    finally:
        unit.close()


def rows(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    """What a query answers."""
    return [tuple(row) for row in connection.cursor().execute(sql).fetchall()]


def table(connection: Any) -> list[dict[str, Any]]:
    """The rows of the target, by id."""
    cursor = connection.cursor()
    found = cursor.execute('SELECT * FROM "RAW"."PAGE" ORDER BY "ID"').fetchall()
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def leftovers(connection: Any) -> list[str]:
    """Tables and stages of ours beside the table of positions."""
    database = rows(connection, "SELECT CURRENT_DATABASE()")[0][0]
    found = rows(connection, f"SELECT TABLE_NAME FROM {database}.INFORMATION_SCHEMA.TABLES")
    stages = connection.cursor().execute("SHOW STAGES").fetchall()
    names = [str(name) for (name,) in found] + [str(row[1]) for row in stages if row[2] == database]
    return [name for name in names if name.startswith("_HALOCLINE_") and name != "_HALOCLINE_POSITIONS"]


class Wire:
    """The way from a connection to its server: `before` and `after` see each statement, and may break it."""

    def __init__(self, connection: Any) -> None:
        self.statements: list[str] = []
        self.before: Callable[[str], None] = lambda sql: None
        self.after: Callable[[str], None] = lambda sql: None
        self._plain = connection.cursor
        connection.cursor = self._cursor

    def _cursor(self) -> _Cursor:
        return _Cursor(self, self._plain())


class _Cursor:
    def __init__(self, wire: Wire, plain: Any) -> None:
        self._wire = wire
        self._plain = plain

    def execute(self, sql: str, *words: Any) -> Any:
        self._wire.before(sql)
        self._wire.statements.append(sql)
        done = self._plain.execute(sql, *words)
        self._wire.after(sql)
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)
