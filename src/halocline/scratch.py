"""Scratch: a folder for the files of one piece of work, gone when that work is over; keys of a bucket as paths below it.

Work that has none of its own shares one folder of the process, which goes when the process ends.
"""

from __future__ import annotations

import atexit
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from halocline.config import variables
from halocline.errors import FixConfig
from halocline.spool import storage

_SEGMENT_BYTES = 200  # a file's name may have 255 on most systems, with room for an ending of ours
_MARK_DIGITS = 12
_ODD = re.compile(r"[\x00-\x1f\x7f\\]")
_current: ContextVar[Path | None] = ContextVar("halocline-scratch", default=None)


@contextmanager
def scratch() -> Iterator[Path]:
    """A new folder while the block lasts, for whoever asks for `folder` in it. It and all in it are deleted then.

    Raises: StorageFailed.
    """
    path = _made()
    token = _current.set(path)
    try:
        yield path
    finally:
        _current.reset(token)
        shutil.rmtree(path, ignore_errors=True)


def folder() -> Path:
    """The folder of the work at hand; outside of any, a new one that goes with the process.

    Raises: StorageFailed.
    """
    path = _current.get()
    if path is None:
        path = _made()
        atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def place_of(key: str, root: Path) -> Path:
    """The file below `root` for a key: the same path where it is one, else one that means no other place and no other key.

    Raises: FixConfig when a link in `root` leads it out of there.
    """
    segments = [_segment(one) for one in key.split("/")]
    path = root.joinpath(*segments)
    if "/".join(segments) != key:
        mark = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK_DIGITS]
        path = path.with_name(f"{path.stem}-{mark}{path.suffix}")
    if not path.resolve().is_relative_to(root.resolve()):
        raise FixConfig(f"Placing the file {key!r}", f"it would lie outside of {root}", hint="Give another folder.")
    return path


def key_of(path: Path) -> str:
    """The key for a file where none is said: what `place_of` made it of, a relative path as it is, else the file's name."""
    root = _current.get()
    for base in filter(None, (root, *_scratches(path))):
        if path.is_relative_to(base):
            return path.relative_to(base).as_posix()
    return path.name if path.is_absolute() or ".." in path.parts else path.as_posix()


def _made() -> Path:
    root = variables("TEMP").get("")
    with storage(f"Making a folder for files in {root} (TEMP)" if root else "Making a folder for files"):
        if root:
            Path(root).mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="halocline-", suffix=".scratch", dir=root))


def _scratches(path: Path) -> list[Path]:
    """The scratch folder that a file lies in, where its work has none of its own."""
    return [one for one in path.parents if one.name.startswith("halocline-") and one.suffix == ".scratch"]


def _segment(text: str) -> str:
    clean = _ODD.sub("_", text)
    clean = "_" if clean in {"", ".", ".."} else clean
    encoded = clean.encode("utf-8", "replace")
    return encoded[:_SEGMENT_BYTES].decode("utf-8", "ignore")
