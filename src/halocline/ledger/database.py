"""Database: the SQLite file below a ledger - made privately, opened durably, migrated step by step, read by named statements."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from halocline.errors import FixConfig, StorageFailed
from halocline.private import refuse_planted
from halocline.spool import storage
from halocline.sql_transaction import in_transaction

BUSY_S = 30.0  # seconds to wait for another process's write; ours take milliseconds each, so a longer wait means a stuck one
_WAL_RETRY_S = 0.01  # its busy time-out does not cover the switch to WAL under another's write lock (measured, SQLite 3.40.1)
_SIZES = ("page_count", "freelist_count", "page_size")
_NO_ACCESS = "Give this user write access to the file and its folder, or point {setting} elsewhere."
_DAMAGED = "Move the file away and run again: a new one is made. {lost}"
_HINTS = {
    "SQLITE_READONLY": _NO_ACCESS,
    "SQLITE_CANTOPEN": _NO_ACCESS,
    "SQLITE_PERM": _NO_ACCESS,
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_FULL": "Free some space, or point {setting} at a larger disk.",
    "SQLITE_IOERR": "Look at the disk: it is full or failing.",
    "SQLITE_BUSY": "Another process has been writing to it for long; look for one that hangs.",
}

Migration = tuple[int, str, str]
"""The number, the name and the SQL text of one step."""


class Named(NamedTuple):
    """What errors call the file, the setting that says where it is, what that names, and what a new one does not know."""

    what: str
    setting: str
    kind: str
    lost: str


LEDGER = Named(
    "the ledger",
    "HALOCLINE_HOME (or HALOCLINE_LEDGER)",
    "place",
    "Positions that a destination holds are not lost. But it knows of no push that was cut off, and of no file or message that "
    "was handled: an insert that was cut off is made once more from its first row, so compare both sides first.",
)
STORE = Named(
    "the store",
    "`store` (HALOCLINE_IDEMPOTENCY)",
    "file",
    "It knows of no message that was handled: one that comes again is handled again.",
)


def migrate(db: sqlite3.Connection, steps: Sequence[Migration], *, now: str, named: Named = LEDGER) -> None:
    """Bring a ledger's file up to the last of `steps`, each step and the note that it ran in one transaction.

    Raises: FixConfig when the file holds something else than a ledger, or a later step than we know.
    """
    if _applied(db, named) == steps[-1][0]:
        return
    for number, name, text in steps:
        with transaction(db):
            done = _applied(db, named)  # asked inside the transaction: another process may have just done it
            if done > steps[-1][0]:
                raise _newer(db, done, steps[-1][0], named=named)
            if done < number:
                _run(db, text)
                db.execute("INSERT INTO migrations (number, name, ran) VALUES (?, ?, ?)", (number, name, now))


def _applied(db: sqlite3.Connection, named: Named) -> int:
    """The number of the last step that ran on this file; 0 for an empty one."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return 0
    if "migrations" not in tables or "leases" not in tables:
        hint = f"Point {named.setting} at a {named.kind} of its own."
        raise FixConfig(f"Opening {named.what} {_file(db)}", "the file is another program's database", hint=hint)
    return int(db.execute("SELECT max(number) FROM migrations").fetchone()[0])


def _newer(db: sqlite3.Connection, found: int, known: int, *, named: Named) -> FixConfig:
    cause = f"a newer Halocline wrote it (its version is {found}, this one knows {known})"
    hint = f"Upgrade Halocline here, or point {named.setting} at another {named.kind}."
    return FixConfig(f"Opening {named.what} {_file(db)}", cause, hint=hint)


def _file(db: sqlite3.Connection) -> str:
    return str(db.execute("PRAGMA database_list").fetchone()[2])


def _run(db: sqlite3.Connection, text: str) -> None:
    """Run the statements of `text` inside the open transaction; `executescript` would commit it first."""
    pending = ""
    for line in text.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            db.execute(pending)
            pending = ""


@cache
def migrations() -> tuple[Migration, ...]:
    """The steps that ship, in order."""
    files = sorted(resources.files("halocline.ledger").joinpath("migrations").iterdir(), key=lambda file: file.name)
    return tuple((int(file.name[:4]), file.name[5:-4], file.read_text()) for file in files if file.name.endswith(".sql"))


@cache
def queries() -> Mapping[str, str]:
    """The statements of `queries/*.sql` by the name above each."""
    folder = resources.files("halocline.ledger").joinpath("queries")
    text = "\n".join(file.read_text() for file in folder.iterdir() if file.name.endswith(".sql"))
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def create(path: Path, *, named: Named = LEDGER) -> None:
    """Make the file, and its folder, for the owner alone; one that is there is closed to others.

    Raises: StorageFailed when it cannot be made; as `refuse_planted`.
    """
    hint = f"Let {named.setting} name a {named.kind} that you may write to."
    with storage(f"Making {named.what} {path}", hint=hint, room=f"point {named.setting} at a larger disk"):
        path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        refuse_planted(path)
        try:
            # Made before SQLite sees it, so that it is never readable by others; its -wal and -shm files take its mode.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            return


def connect(path: Path, *, named: Named = LEDGER) -> sqlite3.Connection:
    """A connection for any thread, in autocommit, on which a commit is on disk before it returns.

    Raises: FixConfig when the file is another program's, StorageFailed when its disk cannot carry WAL, sqlite3.Error.
    """
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
    try:
        _applied(db, named)  # before anything is changed: the file may be another program's
        _to_wal(db, deadline=time.monotonic() + BUSY_S, named=named)
        db.execute("PRAGMA synchronous = FULL")  # in WAL mode, NORMAL may lose the last commits when the power fails
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA secure_delete = ON")  # rows that were pruned are not left in the file, where its room is used again
    except BaseException:
        db.close()
        raise
    return db


def opened(path: Path, *, now: str, named: Named = LEDGER) -> sqlite3.Connection:
    """A connection, as `connect` says, to a ledger that is made, and brought up to date, where need be.

    Raises: as `create`, `connect` and `migrate`.
    """
    create(path, named=named)
    with gate(f"Opening {named.what} {path}", named=named):
        db = connect(path, named=named)
        try:
            migrate(db, migrations(), now=now, named=named)
        except BaseException:
            db.close()
            raise
    return db


def shrunk(db: sqlite3.Connection, *, thorough: bool) -> tuple[int, int] | None:
    """Write the file anew without its free pages, `thorough` or where they are half of it: its bytes before and after.

    None where another process keeps it from that, or there is no room for the copy: nothing is lost then, and the free pages are
    used again.
    """
    try:
        pages, free, page_bytes = (int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in _SIZES)
        if thorough or 2 * free > pages:
            db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        left = int(db.execute("PRAGMA page_count").fetchone()[0])
    except sqlite3.OperationalError:
        return None
    return pages * page_bytes, left * page_bytes


def _to_wal(db: sqlite3.Connection, *, deadline: float, named: Named) -> None:
    while True:
        try:
            mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(_WAL_RETRY_S)
            continue
        if mode != "wal":
            hint = f"Point {named.setting} at a local disk."
            raise StorageFailed(
                f"Opening {named.what} {_file(db)}", f"its disk offers no shared memory (journal {mode})", hint=hint
            )
        return


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """A write transaction; IMMEDIATE, so that it waits for other writers at its start and never fails for them later."""
    with in_transaction(db, begin="BEGIN IMMEDIATE", failure=sqlite3.Error):
        yield


@contextmanager
def gate(doing: str, *, named: Named = LEDGER) -> Iterator[None]:
    """Turn a failure of SQLite into StorageFailed; above this nobody sees the driver's errors."""
    try:
        yield
    except sqlite3.Error as error:
        code = _code(error)
        hint = next((hint for start, hint in _HINTS.items() if code.startswith(start)), "")
        raise StorageFailed(
            doing, str(error), hint=hint.format(setting=named.setting, lost=named.lost), code=code or None
        ) from error
    except UnicodeDecodeError as error:  # of a name in its schema, which the driver takes for text
        raise StorageFailed(doing, f"it is damaged ({error})", hint=_DAMAGED.format(lost=named.lost)) from error


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection kept it from its work."""
    return _code(error).startswith("SQLITE_BUSY")


def _code(error: sqlite3.Error) -> str:
    """SQLite's name of a failure; empty where the driver gives none."""
    return str(getattr(error, "sqlite_errorname", None) or "")
