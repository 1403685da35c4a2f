"""Shelf: the pages of a scan on disk, so that a run that was killed is gone on with, and pages can be read twice.

Each segment has a file of pages as they came, one behind the other, and a log beside it: a line for each page with its place, its
checksum, and the key behind which the next one begins. A page without its line is not believed, nor is a line whose page is not
whole; what comes behind it is fetched again.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halocline.connectors.aws.dynamodb.reader import Page
from halocline.spool import Spool, storage


@dataclass(frozen=True, slots=True)
class Entry:
    """A page on the shelf: where it is, how many items it holds, and the key behind which the next one begins.

    None is the key of the last page.
    """

    at: int
    size: int
    crc: int
    count: int
    key: Mapping[str, Any] | None


class Segment:
    """The kept pages of one segment. One thread at a time uses it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._pages = folder / f"{name}.pages"
        self._log = folder / f"{name}.log"
        self._entries: list[Entry] | None = None

    @property
    def entries(self) -> list[Entry]:
        """What the log says, up to where it is whole."""
        if self._entries is None:
            self._entries = self._read_log()
        return self._entries

    @property
    def is_whole(self) -> bool:
        """Whether the last page is there."""
        return bool(self.entries) and self.entries[-1].key is None

    def pages(self) -> Iterator[tuple[Entry, bytes]]:
        """The pages that are there; one that is damaged, and all behind it, are forgotten.

        Raises: StorageFailed.
        """
        if not self.entries:
            return
        with storage(f"Reading {self._pages.name}"), self._pages.open("rb") as file:
            for number, entry in enumerate(list(self.entries)):
                data = file.read(entry.size)
                if len(data) != entry.size or zlib.crc32(data) != entry.crc:
                    self._cut(number)
                    return
                yield entry, data

    def keep(self, data: bytes, page: Page) -> Entry:
        """Put the next page there.

        Raises: StorageFailed.
        """
        at = self.entries[-1].at + self.entries[-1].size if self.entries else 0
        entry = Entry(at, len(data), zlib.crc32(data), len(page.items), page.last_key)
        with storage(f"Writing {self._pages.name}"):
            with self._pages.open("ab") as file:
                if file.tell() != at:
                    file.truncate(at)
                file.write(data)
            with self._log.open("ab") as file:
                file.write(_line(entry))
            os.utime(self._log.parent)  # a scan of some days is not to be swept by a run that begins meanwhile
        self.entries.append(entry)
        return entry

    def _read_log(self) -> list[Entry]:
        try:
            text = self._log.read_bytes()
        except FileNotFoundError:
            return []
        found: list[Entry] = []
        good = 0
        for line in text.splitlines(keepends=True):
            entry = _entry(line, at=found[-1].at + found[-1].size if found else 0)
            if entry is None or (found and found[-1].key is None):
                break
            found.append(entry)
            good += len(line)
        if good < len(text):
            self._rewrite(found)
        return found

    def _cut(self, number: int) -> None:
        self._entries = self.entries[:number]
        self._rewrite(self._entries)

    def _rewrite(self, entries: list[Entry]) -> None:
        with storage(f"Writing {self._log.name}"), self._log.open("wb") as file:
            file.write(b"".join(map(_line, entries)))


class Shelf:
    """The kept pages of the scan of that name, in the folder of a spool."""

    def __init__(self, spool: Spool, name: str) -> None:
        self._folder = spool.path
        self._name = name
        self._segments: dict[int, Segment] = {}

    def segment(self, number: int) -> Segment:
        """The pages of one segment."""
        return self._segments.setdefault(number, Segment(self._folder, f"{self._name}-{number:06}"))


def _line(entry: Entry) -> bytes:
    return json.dumps({name: getattr(entry, name) for name in entry.__slots__}).encode() + b"\n"


def _entry(line: bytes, *, at: int) -> Entry | None:
    """The entry of a line; None for one that was torn, or does not follow."""
    try:
        found = Entry(**json.loads(line))
    except (ValueError, TypeError):
        return None
    return found if line.endswith(b"\n") and found.at == at else None
