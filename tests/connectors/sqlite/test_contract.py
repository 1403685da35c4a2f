"""SQLite passes the suite of destinations, from a URI and from a connection.

By URI always in full; of the same laws on a connection every third, all with `--long`.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import ClassVar

from halocline.connector import Destination, Target
from halocline.connectors.sqlite import open_destination
from halocline.connectors.sqlite.tables import name_of
from halocline.connectors.sqlite.types import array_of
from halocline.spool import Spool
from halocline.standard_sql import quoted
from halocline.testing.complete import CompleteLaws
from halocline.testing.destinations import DestinationSuite
from halocline.testing.naming import ROW_NUMBERS, NamingLaws
from halocline.testing.standing import AlteredLaws
from halocline.testing.together import TogetherLaws


class _Suite(DestinationSuite):
    def read(self, destination: Destination, target: Target) -> list[dict[str, object]]:
        schema = destination.columns(target)
        if schema is None:
            return []
        with destination._database.connected() as beside:  # type: ignore[attr-defined]  # a reader beside the destination
            rows = beside.execute(f"SELECT {', '.join(map(quoted, schema.names))} FROM {quoted(name_of(target))}").fetchall()
        columns = [array_of([row[at] for row in rows], column).to_pylist() for at, column in enumerate(schema)]
        return [dict(zip(schema.names, row, strict=True)) for row in zip(*columns, strict=True)]

    def drop(self, destination: Destination, target: Target) -> None:
        with destination._database.connected() as beside:  # type: ignore[attr-defined]  # somebody else's hand
            beside.execute(f"DROP TABLE {quoted(name_of(target))}")

    def lose(self, destination: Destination, target: Target, *, column: str) -> None:
        with destination._database.connected() as beside:  # type: ignore[attr-defined]  # somebody else's hand
            beside.execute(f"ALTER TABLE {quoted(name_of(target))} DROP COLUMN {quoted(column)}")


class TestFile(_Suite, AlteredLaws, NamingLaws, TogetherLaws, CompleteLaws):
    row_numbers: ClassVar = (ROW_NUMBERS, ("_rowid_",), ("_rowid_", "rowid"), ("rowid", "oid"))  # SQLite has three names for one

    def open(self, folder: Path, spool: Spool) -> Destination:
        return open_destination(f"sqlite:///{folder}/lake.sqlite", spool=spool, memory_limit="200MB")


class TestConnection(_Suite):
    SHARE = (3, 0)

    def open(self, folder: Path, spool: Spool) -> Destination:
        connection = sqlite3.connect(folder / "mine.sqlite")
        destination = open_destination(connection, spool=spool)
        connection.close()
        return destination
