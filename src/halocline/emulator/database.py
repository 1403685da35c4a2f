"""The SQLite file under a store: one connection that writes, one per thread that reads, and when its log is folded in."""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

# Commits between foldings of the write-ahead log; SQLite itself folds after 1,000 pages, a small commit writes two or three.
COMMITS_PER_FOLDING = 1_000
FOLDING_WAIT_MS = 250  # milliseconds that folding waits for readers to finish; ours: small reads take less
LOCK_WAIT_S = 30.0  # seconds a reader waits while another connection repairs or empties the log

Write: TypeAlias = Callable[[], object]


class StoreInUseError(sqlite3.OperationalError):
    """Another emulator, of this process or another, has the file."""


class _RehearsedError(Exception):
    """Ends a block whose writes are not wanted any more."""


class Database:
    """One SQLite file in write-ahead mode, owned by this process alone; `lock` guards every write.

    `path` None means a private temporary file, deleted by `close`.
    Raises: sqlite3.DatabaseError for a file that is damaged, or no database; StoreInUseError for one that another emulator has.
    """

    def __init__(self, path: Path | None) -> None:
        self._temporary = Path(tempfile.mkdtemp(prefix="halocline-emulator-")) if path is None else None
        self.path = path or Path(str(self._temporary)) / "org.sqlite"
        self.lock = threading.RLock()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._frozen = 0
        self._unfolded = 1
        self._owner: int | None = None  # the thread whose block of writes is open
        self._on_undo: list[Callable[[], object]] = []  # of the open block
        self._closed = False
        self._claim = _claimed(path) if path else None
        try:
            self.writer = self._kept(self.connect())
            self.writer.execute("PRAGMA journal_mode = WAL")
            # `lock` already makes writers wait for each other; only folding waits, for readers, and those may be slow.
            self.writer.execute(f"PRAGMA busy_timeout = {FOLDING_WAIT_MS}")
            self.writer.execute(f"PRAGMA synchronous = {'OFF' if self._temporary else 'NORMAL'}")
        except sqlite3.Error:  # the file is damaged, or another program's
            self.close()
            raise

    def connect(self) -> sqlite3.Connection:
        """A connection of the caller's own, which the caller closes."""
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=LOCK_WAIT_S)
        # Only `apply` and `frozen_file` decide when the log goes into the file.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        return connection

    def reader(self) -> sqlite3.Connection:
        """This thread's connection, which cannot write."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._kept(self.connect())
            connection.execute("PRAGMA query_only = 1")
            self._local.connection = connection
        return connection

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a SELECT, seen as one state of the data; inside `together` with what the block has written."""
        own = self._owner == threading.get_ident()
        return (self.writer if own else self.reader()).execute(sql, values).fetchall()

    def apply(self, writes: Sequence[Write]) -> None:
        """Run `writes` in one transaction: all of them or, when one raises, none."""
        with self.together():
            for write in writes:
                write()

    @contextmanager
    def together(self) -> Iterator[None]:
        """All that this thread writes until the block ends is one transaction; an error undoes the block and goes on.

        A block inside a block is undone alone.
        """
        with self.lock:
            if self._owner is not None:
                with self._savepoint():
                    yield
                return
            self.writer.execute("BEGIN IMMEDIATE")
            self._owner = threading.get_ident()
            try:
                yield
                self.writer.execute("COMMIT")
            except BaseException:
                self.writer.execute("ROLLBACK")
                raise
            finally:
                self._owner = None
                self._on_undo.clear()
            self._fold_at_times()

    @contextmanager
    def rehearsed(self) -> Iterator[None]:
        """All that this thread writes until the block ends is there for it alone, and undone at the end."""
        with suppress(_RehearsedError), self.together():
            known = len(self._on_undo)
            try:
                yield
            finally:
                del self._on_undo[known:]  # they are for what is undone by an error, not for the end that every rehearsal has
            raise _RehearsedError

    def on_undo(self, action: Callable[[], object]) -> None:
        """What is to be done if an error undoes a block inside another that this is a part of."""
        self._on_undo.append(action)

    def block(self) -> AbstractContextManager[None]:
        """The same as `together`, but inside another block a part of it: what an error leaves is undone with the whole.

        A hundred thousand single statements need no savepoint each.
        """
        return nullcontext() if self._owner == threading.get_ident() else self.together()

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        self.writer.execute("SAVEPOINT inner_block")
        known = len(self._on_undo)
        try:
            yield
        except BaseException:
            self.writer.execute("ROLLBACK TO inner_block")
            self.writer.execute("RELEASE inner_block")
            while len(self._on_undo) > known:
                self._on_undo.pop()()
            raise
        self.writer.execute("RELEASE inner_block")

    def _fold_at_times(self) -> None:
        self._unfolded += 1
        if self._unfolded > COMMITS_PER_FOLDING and not self._frozen:
            self.writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self._unfolded = 1

    def copied(self) -> sqlite3.Connection:
        """Everything as it is now, in a database in memory, which the caller closes."""
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        with self.lock:
            self.writer.backup(copy)
        return copy

    def put_back(self, copy: sqlite3.Connection) -> None:
        """Replace everything by what `copied` kept; it goes through the log like any other write."""
        with self.lock:
            copy.backup(self.writer)
            self._unfolded += 1

    def fold(self) -> bool:
        """Whether the file itself holds everything now; a reader of an older state and a frozen file hinder it."""
        with self.lock:
            if self._unfolded and not self._frozen:
                busy = self.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                self._unfolded = 1 if busy else 0
            return not self._unfolded

    @contextmanager
    def frozen_file(self) -> Iterator[bool]:
        """Whether the file itself holds every row and stands still until the block ends; later writes wait in the log.

        A second copy of SQLite in one process (ADBC brings its own) neither sees nor respects the first one's locks: it may read
        a file that stands still, and must not touch one that is in use.
        Source: sqlite.org, "How To Corrupt An SQLite Database File", section 2.2.1, and "URI Filenames", `immutable`.
        """
        with self.lock:
            frozen = self.fold()
            self._frozen += frozen
        try:
            yield frozen
        finally:
            with self.lock:
                self._frozen -= frozen

    def close(self) -> None:
        """Close every connection; a temporary file is deleted. May be repeated."""
        with self.lock:
            if not self._closed:
                self._closed = True
                for connection in reversed(self._connections):
                    connection.close()
            if self._claim is not None:
                self._claim.close()
            if self._temporary is not None:
                shutil.rmtree(self._temporary, ignore_errors=True)

    def _kept(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        with self.lock:
            self._connections.append(connection)
        return connection


def _claimed(path: Path) -> BinaryIO | None:
    """The lock of a store, which ends with this process, however that ends; None where there can be no file: SQLite tells why.

    It has a file of its own: to close any handle of SQLite's file would end SQLite's own locks.
    Source: sqlite.org, "How To Corrupt An SQLite Database File", section 2.2.
    """
    if path.is_dir():
        return None
    try:
        lock = path.with_name(f"{path.name}-lock").open("ab")
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StoreInUseError("another emulator has it open") from None
    except OSError:  # a file system without locks
        lock.close()
        return None
    return lock
