"""Storage: where files lie, below one root: a folder of this machine, or a bucket and prefix of S3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from halocline.errors import StorageFailed


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that is there: its name below the root, with slashes, and when it last changed (seconds since 1970)."""

    name: str
    changed_s: float


class Storage(Protocol):
    """Files by name below a root. Every method may raise AccessDenied, NotFound, NetworkFailed, RetryLater or StorageFailed."""

    def uri(self, name: str) -> str:
        """Where a reader finds that file."""

    def entries(self, folder: str) -> Iterator[Entry]:
        """The files in a folder and below it; none where it does not exist."""

    def read(self, name: str) -> bytes | None:
        """What a small file holds; None where it does not exist."""

    def create(self, name: str, data: bytes) -> bool:
        """Make a file that does not exist yet, whole and durable; False, and nothing done, where it does exist."""

    def write(self, name: str, data: bytes) -> None:
        """Make a small file, or replace it, so that readers see the old one or the new one."""

    def bring(self, path: Path, name: str) -> None:
        """Bring a file of the spool to where `show` gives it its name; it may be moved away. Durable afterwards."""

    def show(self, names: Iterable[str]) -> None:
        """Let files that were brought appear under their names. Durable afterwards."""

    def at_hand(self, name: str) -> AbstractContextManager[Path]:
        """A path by which the file can be read until the block ends.

        Raises: NotFound when it does not exist.
        """

    def delete(self, names: Iterable[str]) -> None:
        """Delete files, and those that were brought and not shown. What is gone already is no error."""

    def check(self) -> None:
        """See whether `create` can be relied on here.

        Raises: FixConfig when it cannot.
        """

    def close(self) -> None:
        """Let go of connections."""


def checked(name: str) -> str:
    """A name below the root that leads nowhere else.

    Raises: StorageFailed for one that does: a commit was tampered with, or is none of ours.
    """
    if "\\" in name or "\0" in name or any(step in ("", ".", "..") for step in name.split("/")):
        raise StorageFailed("Finding a file of a table", f"{name[:200]!r} is no name below the root", hint="The log is damaged.")
    return name
