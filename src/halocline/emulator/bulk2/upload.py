"""The body of an upload on its way to disk: never held in memory, unpacked as it comes, measured against the size limit."""

from __future__ import annotations

import re
import uuid
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

_RESOURCE = re.compile(r"/services/data/v[^/]+/jobs/ingest/[^/]+/batches", re.IGNORECASE)
_GZIP_WINDOW = 31  # zlib's largest window with a gzip header
_PIECE_BYTES = 1 << 20  # unpacked at a time, however much a few packed bytes may hold


@dataclass(frozen=True, slots=True)
class Upload:
    """A body as received: where it lies, whether it is within the limit, and whether what was packed could be unpacked."""

    path: Path
    fits: bool = True
    is_readable: bool = True

    def keep_as(self, path: Path) -> None:
        """Give the file its place; without it the file goes before the request is answered."""
        self.path.replace(path)

    def discard(self) -> None:
        """Remove the file unless somebody kept it. Idempotent."""
        self.path.unlink(missing_ok=True)


def is_upload(method: str, path: str) -> bool:
    """Whether the body of this request goes to disk."""
    return method == "PUT" and _RESOURCE.fullmatch(path) is not None


@asynccontextmanager
async def spooled(chunks: AsyncIterator[bytes], folder: Path, *, encoding: str, most_bytes: int) -> AsyncIterator[Upload]:
    """Take a whole body in, and give it up when the block ends unless somebody kept it.

    What does not fit is read to its end all the same, so that the client gets an answer.

    Salesforce measures the upload after base64, which makes four bytes of three.
    Source: Bulk API 2.0 and Bulk API Developer Guide, "Upload Job Data".
    """
    upload = Upload(folder / f"upload-{uuid.uuid4().hex}")
    sink = _Sink(most_bytes // 4 * 3, _Unpacker() if encoding.lower() == "gzip" else None)
    try:
        with upload.path.open("wb") as file:
            async for chunk in chunks:
                file.writelines(sink.taken(chunk))
        yield replace(upload, fits=sink.room >= 0, is_readable=sink.is_readable)
    finally:
        upload.discard()


class _Sink:
    """What of a body goes to disk: all until it is too much or cannot be unpacked, nothing from then on."""

    def __init__(self, room: int, unpacker: _Unpacker | None) -> None:
        self.room = room
        self._unpacker = unpacker
        self._is_broken = False

    @property
    def is_readable(self) -> bool:
        """Whether what was packed has come to a good end."""
        return self._unpacker is None or (self._unpacker.is_whole and not self._is_broken)

    def taken(self, chunk: bytes) -> Iterator[bytes]:
        """The pieces to write."""
        try:
            for piece in self._unpacker.pieces(chunk) if self._unpacker else (chunk,):
                self.room -= len(piece)
                if self.room < 0 or self._is_broken:
                    return
                yield piece
        except zlib.error:
            self._is_broken = True


class _Unpacker:
    """A gzip stream, piece by piece."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(_GZIP_WINDOW)

    @property
    def is_whole(self) -> bool:
        """Whether the stream has come to its end."""
        return self._unpacker.eof

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """What these packed bytes hold."""
        while chunk:
            yield self._unpacker.decompress(chunk, _PIECE_BYTES)
            chunk = self._unpacker.unconsumed_tail
