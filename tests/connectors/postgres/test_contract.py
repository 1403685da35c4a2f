"""PostgreSQL passes the suite of destinations, from a URI and from a connection, in autocommit or not.

By URI always in full; of the same laws a quarter on a connection, another quarter on one in autocommit, all on both with
`--long`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from tests.connectors.postgres.server import Server

from halocline.connector import Destination, Target
from halocline.connectors.postgres import open_destination
from halocline.spool import Spool
from halocline.testing.complete import CompleteLaws
from halocline.testing.destinations import SCHEMA, DestinationSuite
from halocline.testing.histories import HistoryLaws
from halocline.testing.naming import NamingLaws
from halocline.testing.standing import AlteredLaws
from halocline.testing.together import TogetherLaws

_SPELLED = {name.lower(): name for name in (*SCHEMA.names, "New__c")}


class _Suite(DestinationSuite):
    """The suite names columns as the source does; in PostgreSQL they are lower case."""

    @pytest.fixture(autouse=True)
    def _on(self, server: Server) -> None:
        self.server = server

    def connection(self, destination: Destination, **options: Any) -> psycopg.Connection[Any]:
        database = next(name for known, name in self.opened if known is destination)
        host, word = str(self.server.running.folder), "the administrator's own"
        return psycopg.connect(host=host, user="postgres", password=word, dbname=database, autocommit=True, **options)

    def read(self, destination: Destination, target: Target) -> list[dict[str, object]]:
        with self.connection(destination, row_factory=dict_row) as connection:
            name = sql.Identifier((target.schema or "public").lower(), target.table.lower())
            try:
                found = connection.execute(sql.SQL("SELECT * FROM {}").format(name)).fetchall()
            except psycopg.errors.UndefinedTable:
                return []
        return [{_SPELLED.get(column, column): value for column, value in row.items()} for row in found]

    def drop(self, destination: Destination, target: Target) -> None:
        with self.connection(destination) as connection:
            name = sql.Identifier((target.schema or "public").lower(), target.table.lower())
            connection.execute(sql.SQL("DROP TABLE {}").format(name))

    def lose(self, destination: Destination, target: Target, *, column: str) -> None:
        with self.connection(destination) as connection:
            name = sql.Identifier((target.schema or "public").lower(), target.table.lower())
            connection.execute(sql.SQL("ALTER TABLE {} DROP COLUMN {}").format(name, sql.Identifier(column.lower())))

    @property
    def opened(self) -> list[tuple[Destination, str]]:
        return self.__dict__.setdefault("_opened", [])


class TestUri(_Suite, HistoryLaws, AlteredLaws, NamingLaws, TogetherLaws, CompleteLaws):
    def open(self, folder: Path, spool: Spool) -> Destination:
        with self.server.place(folder) as place:
            destination = open_destination(place.uri(), spool=spool)
        self.opened.append((destination, place.database))
        return destination


class _Connection(_Suite):
    autocommit = False

    @pytest.fixture(autouse=True)
    def _closed(self) -> Any:
        self.mine: list[psycopg.Connection[Any]] = []
        yield
        for connection in self.mine:
            connection.close()

    def open(self, folder: Path, spool: Spool) -> Destination:
        with self.server.place(folder) as place:
            connection = psycopg.connect(place.uri(), autocommit=self.autocommit, row_factory=dict_row)
        self.mine.append(connection)
        destination = open_destination(connection, spool=spool)
        self.opened.append((destination, place.database))
        return destination


class TestConnection(_Connection):
    SHARE = (4, 0)


class TestConnectionInAutocommit(_Connection):
    SHARE = (4, 1)
    autocommit = True
