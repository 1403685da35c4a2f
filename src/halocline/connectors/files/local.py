"""LocalStorage: a folder of this machine, or of a network disk that can make hard links."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from halocline.connectors.files.storage import Entry, checked
from halocline.errors import AccessDenied, FixConfig, NotFound, StorageFailed
from halocline.spool import to_disk

_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_FOLDER = {errno.ENOTDIR, errno.EEXIST}  # of a step on the way; mkdir says the second
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalStorage:
    """Files below `root`, which is made when the first one is written."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def uri(self, name: str) -> str:
        """The file's absolute path."""
        return str(self._path(name))

    def entries(self, folder: str) -> Iterator[Entry]:
        """The files in a folder and below it, hidden ones too."""
        base = self._path(folder)
        with _gate(f"Listing {base}"):
            for where, _, names in os.walk(base, onerror=_raise_unless_missing):
                for name in names:
                    path = Path(where, name)
                    with suppress(FileNotFoundError):  # another run may sweep at this instant
                        yield Entry(path.relative_to(self._root).as_posix(), path.lstat().st_mtime)

    def read(self, name: str) -> bytes | None:
        """What a file holds; None where it does not exist."""
        path = self._path(name)
        with _gate(f"Reading {path}"):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def create(self, name: str, data: bytes) -> bool:
        """Write beside, then link under the name: the one step that fails where the name is taken.

        Source: link(2), "If newpath exists, it will not be overwritten", https://man7.org/linux/man-pages/man2/link.2.html
        """
        path = self._path(name)
        with _gate(f"Writing {path}"), _beside(path, data) as aside:
            try:
                os.link(aside, path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                hint = "Choose a folder on a disk that can make hard links; without them two runs cannot be told apart."
                raise StorageFailed(f"Writing {path}", error.strerror or str(error), hint=hint) from error
            to_disk(path.parent)
        return True

    def write(self, name: str, data: bytes) -> None:
        """Write beside, then rename over the old one."""
        path = self._path(name)
        with _gate(f"Writing {path}"), _beside(path, data) as aside:
            aside.replace(path)
            to_disk(path.parent)

    def bring(self, path: Path, name: str) -> None:
        """Move, or from another disk copy, to a hidden name beside the one that it will have."""
        to = _hidden(self._path(name))
        with _gate(f"Writing {to.parent}"):
            self._make_folder(to.parent)
            try:
                path.rename(to)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                shutil.copyfile(path, to)
            to_disk(to)

    def show(self, names: Iterable[str]) -> None:
        """Rename, which takes microseconds a file, then wait for the disk."""
        paths = [self._path(name) for name in names]
        with _gate("Writing the data files"):
            for path in paths:
                _hidden(path).rename(path)
            for folder in {path.parent for path in paths}:
                to_disk(folder)

    @contextmanager
    def at_hand(self, name: str) -> Iterator[Path]:
        """The file itself."""
        path = self._path(name)
        if not path.is_file():
            hint = "Somebody removed it: run a full sync (--full, force_full_sync=True), which builds the table anew."
            raise NotFound("Reading a data file", f"{path} is missing", hint=hint)
        with _gate(f"Reading {path}"):
            yield path

    def delete(self, names: Iterable[str]) -> None:
        """Delete files, and the folders of partitions that become empty."""
        for name in names:
            path = self._path(name)
            with _gate(f"Deleting {path}"):
                for one in (path, _hidden(path)):
                    with suppress(FileNotFoundError, NotADirectoryError):
                        one.unlink()
                self._remove_if_empty(path.parent)

    def check(self) -> None:
        """Nothing: `create` itself says when links cannot be made."""

    def close(self) -> None:
        """Nothing is open."""

    def _path(self, name: str) -> Path:
        return self._root.joinpath(*checked(name).split("/"))

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, each durable in the one that holds it."""
        if not folder.is_dir():
            self._make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            to_disk(folder.parent)

    def _remove_if_empty(self, folder: Path) -> None:
        while "=" in folder.name and folder != self._root:
            try:
                folder.rmdir()
            except OSError:  # another file is in it, or another run was faster
                return
            folder = folder.parent


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


@contextmanager
def _beside(path: Path, data: bytes) -> Iterator[Path]:
    """A durable file of these bytes beside `path`, gone when the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with aside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield aside
    finally:
        aside.unlink(missing_ok=True)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


@contextmanager
def _gate(doing: str) -> Iterator[None]:
    """Turn an OSError into an error of ours."""
    try:
        yield
    except OSError as error:
        cause = error.strerror or str(error)
        if error.errno in _DENIED:
            raise AccessDenied(doing, cause, hint="Give this user the right to write there.", errno=error.errno) from error
        in_the_way = _file_on(error.filename) if error.errno in _NO_FOLDER else None
        if in_the_way is not None:
            hint = "Name another folder, or move that file away."
            raise FixConfig(doing, f"{in_the_way} is a file, and a folder is wanted there", hint=hint) from error
        hint = "Free some space on that disk." if error.errno in _FULL else ""
        raise StorageFailed(doing, cause, hint=hint, errno=error.errno) from error


def _file_on(way: str | None) -> Path | None:
    """The file that stands where a path wants a folder."""
    steps = [] if way is None else [Path(way), *Path(way).parents]
    return next((step for step in steps if step.exists() and not step.is_dir()), None)
