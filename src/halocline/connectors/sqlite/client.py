"""Database: a file of SQLite, of which each piece of work has a connection of its own; and how names are written into SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from halocline.connectors.sqlite.errors import gate
from halocline.errors import FixConfig
from halocline.place import can_be_made
from halocline.sql_transaction import in_transaction

_SCHEME = "sqlite:"
_BUSY_S = 30.0  # seconds to wait for another's transaction
_LEDGER = frozenset({"migrations", "leases", "runs", "intents", "rejections"})  # tables that no other database has all of
_HINT = "Write sqlite:///lake.sqlite for a file beside you, sqlite:////data/lake.sqlite for an absolute path."


def path_of(session: object) -> Path:
    """The file behind a `sqlite:` URI or a connection.

    Raises: FixConfig where there is none: what is in memory, no other connection can see.
    """
    if isinstance(session, sqlite3.Connection):
        with gate("Asking SQLite for its file"):
            found = [path for _, name, path in session.execute("PRAGMA database_list") if name == "main"]
        if not found or not found[0]:
            raise FixConfig("Opening SQLite", "the connection's database is in memory", hint="Pass a connection to a file.")
        return Path(found[0])
    text = str(session)
    rest = text[len(_SCHEME) :] if text.lower().startswith(_SCHEME) else text
    path = rest[3:] if rest.startswith("///") else rest
    if not path or path.startswith("//") or "?" in path or path == ":memory:":
        raise FixConfig("Opening SQLite", f"{_shown(text)} names no database file", hint=_HINT)
    return Path(path)


def _shown(text: str) -> str:
    """A URI as it was given; one with a login in it, which belongs to another database, by its scheme."""
    return "the URI" if "@" in text else repr(text.partition("?")[0])


@dataclass(frozen=True, slots=True)
class Database:
    """A file. One that is not there is as empty as a new one; the first transaction makes it, but for `read_only`."""

    path: Path
    read_only: bool = False

    @contextmanager
    def connected(self, *, making: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection for one piece of work, in any thread; each statement is a transaction unless one is begun. `making`: the
        file is made where it is not there.
        """
        with gate(f"Opening the SQLite file {self.path}"):
            connection = self.connect(making=making)
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection that nobody else writes beside: committed when the block ends well, else rolled back."""
        made = self.connected(making=True)
        with made as connection, in_transaction(connection, begin="BEGIN IMMEDIATE", failure=sqlite3.Error):
            yield connection

    def connect(self, *, making: bool = False) -> sqlite3.Connection:
        """A connection that the caller closes."""
        place = f"{self.path.absolute().as_uri()}?mode={'ro' if self.read_only else 'rwc'}"
        if not self.path.exists() and (self.read_only or (not making and can_be_made(self.path))):
            place = "file::memory:"
        return sqlite3.connect(place, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


def refuse_ledger(connection: sqlite3.Connection, path: Path) -> None:
    """See that a file that is to be written to is no ledger of ours: a table called `runs` would take the place of its runs.

    Raises: FixConfig.
    """
    names = {str(name).lower() for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if names >= _LEDGER:
        hint = "Name another file, or keep the ledger elsewhere (HALOCLINE_LEDGER, HALOCLINE_HOME)."
        raise FixConfig(f"Opening the SQLite file {path}", "it is a ledger of Halocline, and no place for tables", hint=hint)


def number(connection: sqlite3.Connection, sql: str, *, values: Sequence[object] = ()) -> int:
    """The one number that a question answers."""
    ((found,),) = connection.execute(sql, values).fetchall()
    return int(found)


def touched(connection: sqlite3.Connection, sql: str, *, values: Sequence[object] = ()) -> int:
    """How many rows a statement inserted, updated or deleted."""
    return connection.execute(sql, values).rowcount
