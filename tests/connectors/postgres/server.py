"""A database for a test, on a real PostgreSQL, and the ways into it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql
from tests.samples.postgres import _ADMIN_WORD, Postgres


@dataclass(frozen=True, slots=True)
class Place:
    """A database; `admin` is an administrator's connection to it."""

    server: Postgres
    database: str
    admin: psycopg.Connection[Any]

    def uri(self, user: str = "postgres", word: str = _ADMIN_WORD, **settings: str) -> str:
        """The URI of the database for a user; settings are the server's, such as lock_timeout."""
        options = quote(" ".join(f"-c {name}={value}" for name, value in settings.items()))
        who = f"{user}:{quote(word, safe='')}@" if word else ""
        return f"postgresql://{who}/{self.database}?host={quote(str(self.server.folder), safe='')}&options={options}"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query answers."""
        return self.admin.execute(query).fetchall()  # type: ignore[arg-type]  # texts of the tests

    def run(self, statement: str) -> None:
        """Run statements as the administrator."""
        self.admin.execute(statement)  # type: ignore[arg-type]  # likewise

    def user(self, name: str, *grants: str) -> str:
        """Make a user who may connect and what the grants say; the URI for it."""
        name = f"{name}_{self.database}"
        self.run(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'own word'")
        for grant in grants:
            self.run(grant.format(user=f'"{name}"'))
        return self.uri(name, "own word")


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, in which each folder has a database of its own."""

    running: Postgres

    def database(self, folder: Path) -> str:
        """The database of a folder, made when it is first asked for, by copying files: a log costs three times as much."""
        name = "t" + hashlib.sha256(str(folder).encode()).hexdigest()[:20]
        with self.connected("postgres") as admin:
            if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchall():
                admin.execute(sql.SQL("CREATE DATABASE {} STRATEGY FILE_COPY").format(sql.Identifier(name)))
        return name

    @contextmanager
    def connected(self, database: str) -> Iterator[psycopg.Connection[Any]]:
        """An administrator's connection in autocommit."""
        host = str(self.running.folder)
        with psycopg.connect(host=host, user="postgres", password=_ADMIN_WORD, dbname=database, autocommit=True) as connection:
            yield connection

    @contextmanager
    def place(self, folder: Path) -> Iterator[Place]:
        """The database of a folder, with a connection to it."""
        name = self.database(folder)
        with self.connected(name) as admin:
            yield Place(self.running, name, admin)
