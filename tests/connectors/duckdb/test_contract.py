"""DuckDB passes the suite of destinations, in a file and in memory, from a URI and from a connection.

By URI always in full; of the same laws on a connection every fourth, all with `--long`.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from halocline.connector import Destination, Target
from halocline.connectors.duckdb import open_destination
from halocline.spool import Spool
from halocline.standard_sql import quoted
from halocline.testing.complete import CompleteLaws
from halocline.testing.destinations import DestinationSuite
from halocline.testing.histories import HistoryLaws
from halocline.testing.naming import NamingLaws
from halocline.testing.standing import AlteredLaws
from halocline.testing.together import TogetherLaws


class _Suite(DestinationSuite):
    def read(self, destination: Destination, target: Target) -> list[dict[str, object]]:
        cursor = destination._database.connection.cursor()  # type: ignore[attr-defined]  # a reader beside the destination
        cursor.execute("SET TimeZone = 'UTC'")
        try:
            found = cursor.sql(f"FROM {quoted(target.schema or 'main', target.table)}").to_arrow_table().to_pylist()
        except duckdb.CatalogException:
            return []
        return [dict(row) for row in found]

    def drop(self, destination: Destination, target: Target) -> None:
        cursor = destination._database.connection.cursor()  # type: ignore[attr-defined]  # somebody else's hand
        cursor.execute(f"DROP TABLE {quoted(target.schema or 'main', target.table)}")

    def lose(self, destination: Destination, target: Target, *, column: str) -> None:
        cursor = destination._database.connection.cursor()  # type: ignore[attr-defined]  # somebody else's hand
        cursor.execute(f"ALTER TABLE {quoted(target.schema or 'main', target.table)} DROP COLUMN {quoted(column)}")


class TestFile(_Suite, HistoryLaws, AlteredLaws, NamingLaws, TogetherLaws, CompleteLaws):
    def open(self, folder: Path, spool: Spool) -> Destination:
        return open_destination(f"duckdb:///{folder}/lake.duckdb", spool=spool, memory_limit="200MB", threads=1)


class TestConnection(_Suite):
    SHARE = (4, 0)

    def open(self, folder: Path, spool: Spool) -> Destination:
        return open_destination(duckdb.connect(folder / "mine.duckdb"), spool=spool)
