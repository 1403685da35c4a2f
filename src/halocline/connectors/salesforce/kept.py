"""Kept: result pages that outlive the run which downloaded them, until the rows of their job are durable.

A page becomes a file, and then its note beside it: address, rows, size, checksum. Without the note it is not believed.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from halocline.connectors.salesforce.pages import Page
from halocline.schema import Schema
from halocline.spool import Spool, arriving, storage

_BLOCK_BYTES = 1 << 20
_DIGEST_CHARS = 24


@dataclass(frozen=True, slots=True)
class Shelf:
    """The kept pages of one flow: a private folder for each job beside the run's own, swept by the age of its last use."""

    flow: str
    spool: Spool

    def file(self, job: str, name: str) -> Path:
        """Where a page of a job goes."""
        return self._folder(job).file(name)

    def keep(self, page: Page, *, url: str) -> None:
        """Note what a page that is whole holds, so that the next run can tell whether it still is.

        Raises: StorageFailed.
        """
        noted = {"url": url, "rows": page.rows, "bytes": page.bytes, "crc": page.crc, "locator": page.locator}
        note = _note_of(page.path)
        with storage(f"Writing {note.name} to the spool folder"), arriving(note) as path:
            path.write_text(json.dumps(noted))

    def find(self, job: str, name: str, *, url: str, schema: Schema, sobject: str) -> Page | None:
        """The page behind `url` as an earlier run left it; None where it is not there, or not as that run noted it."""
        path = self.file(job, name)
        try:
            os.utime(path.parent)  # what is used is not to be swept by a run that begins meanwhile
            noted = json.loads(_note_of(path).read_text())
            page = Page(path, int(noted["rows"]), schema.names, schema, sobject, noted["bytes"], noted["locator"], noted["crc"])
            whole = noted["url"] == url and path.stat().st_size == page.bytes and _crc(path) == page.crc
        except (OSError, KeyError, TypeError, ValueError):  # not there, or torn: then it is fetched
            return None
        return page if whole else None

    def clear(self, job: str) -> None:
        """Delete what is kept of a job. Idempotent."""
        self._folder(job).close()

    def _folder(self, job: str) -> Spool:
        return self.spool.beside(sha256(f"{self.flow}\0{job}".encode()).hexdigest()[:_DIGEST_CHARS])


def _note_of(page: Path) -> Path:
    return page.with_name(f"{page.name}.json")


def _crc(path: Path) -> int:
    """The CRC-32 of a file: against torn writes, not against people, whom the folder's rights keep out."""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            crc = zlib.crc32(block, crc)
    return crc
