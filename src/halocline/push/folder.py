"""RunFolder: the durable files of one push, and the lock that says that somebody is at work on them."""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from halocline.errors import LeaseHeld
from halocline.private import refuse_planted
from halocline.spool import IN_HOME, storage

KEPT_S = 30 * 86_400.0  # whoever has not looked at the rows of a run for a month does not miss them
_MAKING_S = 60.0  # from making a folder to holding it a push needs some microseconds
_ABORTED_S = 86_400.0  # a folder without marks was left while rows were put aside: nothing of it was ever sent


class RunFolder:
    """The folder of a run: `load` belongs to the destination, `rows` is the Marks, `lock` is held while a process works here.

    The lock is the system's own (flock), so it ends with its process, however that ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, run: str, home: Path) -> RunFolder:
        """The folder of a new run."""
        return cls(home / "runs" / run)

    @property
    def load(self) -> Path:
        """Where the destination keeps what it sends."""
        return self.path / "load"

    @property
    def marks(self) -> Path:
        """Which rows lie staged; there once all do."""
        return self.path / "rows"

    @property
    def settled(self) -> Path:
        """How many rows remained when a later run asked what became of this one; there while that is still true."""
        return self.path / "settled"

    def make(self) -> None:
        """Make the folder, for its owner alone.

        Raises: StorageFailed, also for one that somebody else has put there.
        """
        with storage(f"Making the run's folder {self.path}", room=IN_HOME):
            self.path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            refuse_planted(self.path)
            self.path.mkdir(mode=0o700, exist_ok=True)
            self.load.mkdir(mode=0o700, exist_ok=True)

    def was_locked(self) -> bool:
        """Whether a process has held this folder, and not only just now made it: then a lock that is free tells that it ended."""
        try:
            return (self.path / "lock").exists() and time.time() - self.path.lstat().st_mtime > _MAKING_S
        except OSError:
            return False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only one at work in this folder, if it is there at all.

        Raises: LeaseHeld when another process, or another thread, is at work here.
        """
        lock = hold(self.path / "lock", doing=f"Taking up run {self.path.name}", cause="somebody else is at work on it")
        try:
            yield
        finally:
            if lock is not None:
                os.close(lock)

    def delete(self) -> None:
        """Delete the folder and all in it. Idempotent."""
        shutil.rmtree(self.path, ignore_errors=True)


def hold(path: Path, *, doing: str, cause: str) -> int | None:
    """Lock the file, made if it is not there, until the handle is closed; None where its folder is gone.

    Raises: LeaseHeld, which says `doing` and `cause`, when another process, or another thread, holds it; StorageFailed.
    """
    with storage(f"Locking {path}", room=IN_HOME):
        try:
            lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise LeaseHeld(doing, cause, hint="Wait until it has ended; the lock of one that died frees itself.") from error
    return lock


def sweep(home: Path, *, now_s: float | None = None) -> list[Path]:
    """Delete the folders of runs that nobody has touched for `KEPT_S`, or that died while staging, and return their paths."""
    now = time.time() if now_s is None else now_s
    old = [folder for path in (home / "runs").glob("*") if _outlived(folder := RunFolder(path), now)]
    gone = []
    for folder in old:
        try:
            with folder.held():
                folder.delete()
        except LeaseHeld:  # it lives
            continue
        gone.append(folder.path)
    return gone


def _outlived(folder: RunFolder, now_s: float) -> bool:
    """Whether nothing in the folder changed lately; False for one that is being deleted at this instant."""
    try:
        changed = max((path.lstat().st_mtime for path in (folder.path, folder.load)), default=math.inf)
        return folder.path.is_dir() and now_s - changed > (KEPT_S if folder.marks.exists() else _ABORTED_S)
    except OSError:
        return False
