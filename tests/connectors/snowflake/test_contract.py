"""Snowflake passes the suite of destinations, on an emulation of it. What is handed in has laws of its own: test_sessions.py.

A statement is dear there: where a law has several ways (in full or by merge, with soft or hard deletions), one is taken, another
one for each law. A law that another test of this destination holds as well waits for `--long`, which also takes all ways.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.connectors.snowflake.server import Server

from halocline.connector import Destination, Target
from halocline.connectors.snowflake import open_destination
from halocline.spool import Spool
from halocline.testing.complete import CompleteLaws
from halocline.testing.destinations import SCHEMA, DestinationSuite, Way
from halocline.testing.naming import ROW_NUMBERS, NamingLaws
from halocline.testing.standing import AlteredLaws
from halocline.testing.together import TogetherLaws

_SPELLED = {name.upper(): name for name in (*SCHEMA.names, "New__c", *ROW_NUMBERS)}


class TestSnowflake(DestinationSuite, AlteredLaws, NamingLaws, TogetherLaws, CompleteLaws):
    """The suite names columns as the source does; in Snowflake they are upper case."""

    row_numbers: ClassVar = (
        ("_rowid_", "oid"),
    )  # the emulation is a DuckDB, whose `rowid` its MERGE goes by; Snowflake has none
    LATER: ClassVar = frozenset(
        {
            "test_a_commit_outlives_the_destination",  # test_crash looks by a connection of its own
            "test_a_merge_may_be_repeated",  # as `test_a_merge_inserts_updates_and_leaves_alone` and test_drivers
            "test_a_table_of_somebody_else_is_not_replaced",  # test_destination: `test_a_strange_table_is_not_replaced`
            "test_a_table_that_lost_most_rows_is_not_replaced",  # the guard of `test_an_empty_answer_never_replaces_a_table`
            "test_an_undeleted_record_comes_back",  # to a merge it is a row that differs, or that is not there
            "test_null_stays_null",  # as `test_rows_read_back_as_they_were_loaded` and `test_a_value_may_become_null`
            "test_repeating_a_part_is_harmless",  # test_destination: an attempt that failed is told from the one that counts
        }
    )

    @pytest.fixture(autouse=True)
    def _on(self, server: Server, request: pytest.FixtureRequest) -> Iterator[None]:
        self.server = server
        self.taken = None if request.config.getoption("--long") else zlib.crc32(request.node.name.encode()) >> 2
        self.connections: dict[str, Any] = {}
        self.opened: list[tuple[Destination, str]] = []
        yield
        for connection in self.connections.values():
            connection.close()

    def pick(self, ways: Sequence[Way]) -> Sequence[Way]:
        return ways if self.taken is None else [ways[self.taken % len(ways)]]

    def connection(self, database: str) -> Any:
        """A connection of the test's own: a login costs as much as two statements."""
        if database not in self.connections:
            self.connections[database] = self.server.connect(database)
        return self.connections[database]

    def open(self, folder: Path, spool: Spool) -> Destination:
        database = self.server.database(folder)
        destination = open_destination(self.server.uri(database), spool=spool)
        self.opened.append((destination, database))
        return destination

    def read(self, destination: Destination, target: Target) -> list[dict[str, object]]:
        cursor = self.connection(self.database(destination)).cursor()
        schema, table = (target.schema or "public").upper(), target.table.upper()
        if not cursor.execute(f"SHOW OBJECTS LIKE '{table}' IN SCHEMA \"{schema}\"").fetchall():
            return []
        rows = cursor.execute(f'SELECT * FROM "{schema}"."{table}"').fetchall()
        names = [_SPELLED[column[0]] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def drop(self, destination: Destination, target: Target) -> None:
        schema, table = (target.schema or "public").upper(), target.table.upper()
        self.connection(self.database(destination)).cursor().execute(f'DROP TABLE "{schema}"."{table}"')

    def lose(self, destination: Destination, target: Target, *, column: str) -> None:
        schema, table = (target.schema or "public").upper(), target.table.upper()
        alter = f'ALTER TABLE "{schema}"."{table}" DROP COLUMN "{column.upper()}"'
        self.connection(self.database(destination)).cursor().execute(alter)

    def database(self, destination: Destination) -> str:
        return next(name for known, name in self.opened if known is destination)
