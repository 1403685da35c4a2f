"""Spool: a run's own folder of files that no reader of a destination sees, gone when the run ends."""

from __future__ import annotations

import errno
import math
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from halocline.errors import StorageFailed
from halocline.private import own_folder

_NAME = "halocline-{}.spool"  # an ending of its own: a sweep must not take a demo, a ledger or an emulator for a spool
SWEEP_AFTER_S = 2 * 86_400.0  # what put nothing aside for two days is dead; pages kept for a next run are fetched again then
IN_SPOOL, IN_HOME = (f"point {name} at a larger disk" for name in ("HALOCLINE_SPOOL", "HALOCLINE_HOME"))
WHERE_NAMED = "write it to another disk"
_OUT_OF_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Spool:
    """A private folder below `root` (None: the system's temporary folder), named by run, readable by its owner only.

    Raises: StorageFailed when the folder cannot be made, or somebody else has made it.
    """

    def __init__(self, run: str, root: Path | None = None) -> None:
        base = root if root is not None else Path(tempfile.gettempdir())
        self.path = base / _NAME.format(run)
        self._beside: set[Path] = set()
        with storage(f"Making the spool folder {self.path}", hint="Let HALOCLINE_SPOOL name a folder that you may write to."):
            own_folder(self.path)

    def file(self, name: str) -> Path:
        """The path of a file of that name; `name` must be a plain file name."""
        if not name or name in (".", "..") or set(name) & {"/", "\\", "\0"}:
            raise ValueError(f"not a plain file name: {name!r}")
        return self.path / name

    def beside(self, name: str) -> Spool:
        """Another spool next to this one, which outlives the run: what is in it, a later run may use."""
        made = Spool(name, self.path.parent)
        self._beside.add(made.path)
        return made

    def close(self, *, everything: bool = False) -> None:
        """Delete the folder and all in it; with `everything` also the spools beside it that this run used. Idempotent."""
        for path in (self.path, *(self._beside if everything else ())):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def storage(doing: str, *, hint: str = "", room: str = IN_SPOOL) -> Iterator[None]:
    """Turn an OSError of local storage into StorageFailed, with what was being done, and what to try where space is not all.

    `room` is where there may be more space: another spool or home, or, for a file that a user has named, another disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _OUT_OF_SPACE:
            hint = f"Free some space, or {room}."
        raise StorageFailed(doing, error.strerror or str(error), hint=hint, errno=error.errno) from error


@contextmanager
def arriving(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to, renamed to `path` when the block ends well, deleted when it does not."""
    partial = path.with_name(f"{path.name}.{os.getpid()}-{time.monotonic_ns()}.part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Delete a file of a spool that is of no more use; one that cannot be deleted goes with its spool, or with a sweep."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def quarantine_of(home: Path, name: str) -> Path:
    """The folder below `home` for messages of a queue whose dead letters have no other place."""
    return home / "quarantine" / name


def prove(folder: Path) -> None:
    """Find out whether files can be kept in a folder: one is written and deleted, and a folder that was not there is not left.

    Raises: StorageFailed.
    """
    with storage(f"Writing into {folder}"):
        is_new = not folder.exists()
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        try:
            probe = folder / f".{os.getpid()}-{time.monotonic_ns()}.probe"
            probe.touch(mode=0o600, exist_ok=False)
            probe.unlink()
        finally:
            if is_new:
                with suppress(OSError):  # somebody keeps something there meanwhile
                    folder.rmdir()


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(root: Path | None = None, *, older_than_s: float = SWEEP_AFTER_S, now_s: float | None = None) -> list[Path]:
    """Delete the spool folders that dead runs left below `root`, and return their paths."""
    base = root if root is not None else Path(tempfile.gettempdir())
    limit = (time.time() if now_s is None else now_s) - older_than_s
    old = [path for path in base.glob(_NAME.format("*")) if _last_changed_s(path) < limit]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return old


def _last_changed_s(path: Path) -> float:
    """When a folder last changed; never, for what is no folder, or is gone: another run may end or sweep at this instant."""
    try:
        found = path.lstat()
    except OSError:
        return math.inf
    return found.st_mtime if stat.S_ISDIR(found.st_mode) else math.inf
