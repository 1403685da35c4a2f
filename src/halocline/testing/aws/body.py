"""Bodies: the bytes of requests and objects, which never change; large ones are in files, and copies share them."""

from __future__ import annotations

import hashlib
import itertools
import weakref
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LARGE_BYTES = 1 << 20  # what is larger goes into a file
CHUNK_BYTES = 1 << 18
_NAMES = itertools.count(1)


class _File:
    """A file that is there as long as somebody refers to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._gone = weakref.finalize(self, _remove, path)


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):  # the whole folder may be gone already
        path.unlink()


@dataclass(frozen=True, slots=True)
class _Piece:
    source: bytes | _File
    start: int
    size: int

    def slice(self, start: int, stop: int) -> _Piece:
        return _Piece(self.source, self.start + start, stop - start)

    def chunks(self) -> Iterator[bytes]:
        if isinstance(self.source, bytes):
            yield self.source[self.start : self.start + self.size]
            return
        with self.source.path.open("rb") as file:
            file.seek(self.start)
            left = self.size
            while left and (chunk := file.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk


class Body:
    """Bytes that never change, in pieces; a slice or a join of bodies copies nothing."""

    __slots__ = ("_crc32", "_md5", "_pieces", "size")

    def __init__(self, pieces: Iterable[_Piece] = (), *, md5: str | None = None, crc32: int | None = None) -> None:
        self._pieces = tuple(pieces)
        self._md5, self._crc32 = md5, crc32
        self.size = sum(piece.size for piece in self._pieces)

    @classmethod
    def of(cls, data: bytes) -> Body:
        return cls((_Piece(data, 0, len(data)),) if data else ())

    @classmethod
    def joined(cls, bodies: Iterable[Body]) -> Body:
        return cls(piece for body in bodies for piece in body._pieces)

    def slice(self, start: int, stop: int) -> Body:
        """The bytes from `start` up to `stop`, which is not in it."""
        pieces, at = [], 0
        for piece in self._pieces:
            first, last = max(start - at, 0), min(stop - at, piece.size)
            if first < last:
                pieces.append(piece.slice(first, last))
            at += piece.size
        return Body(pieces)

    def chunks(self) -> Iterator[bytes]:
        for piece in self._pieces:
            yield from piece.chunks()

    def read(self) -> bytes:
        return b"".join(self.chunks())

    @property
    def md5(self) -> str:
        """The MD5 in hexadecimal digits, as an ETag has it."""
        if self._md5 is None:
            self._md5 = self.hashed("md5").hex()
        return self._md5

    @property
    def crc32(self) -> int:
        if self._crc32 is None:
            value = 0
            for chunk in self.chunks():
                value = zlib.crc32(chunk, value)
            self._crc32 = value
        return self._crc32

    def hashed(self, algorithm: str) -> bytes:
        digest = hashlib.new(algorithm, usedforsecurity=False)
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.digest()


class Spool:
    """A body that is on its way in: in memory while it is small, then in a file of `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._memory = bytearray()
        self._file: _File | None = None
        self._open: BinaryIO | None = None
        self._size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32 = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._open is not None:
            self._append(data)
            return
        self._memory += data
        if len(self._memory) > LARGE_BYTES:
            self._file = _File(self._folder / f"body-{next(_NAMES)}")
            self._open = self._file.path.open("wb")
            self._append(self._memory)
            self._memory = bytearray()

    def done(self) -> Body:
        """What was written. Nothing may be written after it."""
        if self._open is None or self._file is None:
            return Body.of(bytes(self._memory))
        self._open.close()
        return Body((_Piece(self._file, 0, self._size),), md5=self._md5.hexdigest(), crc32=self._crc32)

    def close(self) -> None:
        """Give up what was written."""
        if self._open is not None:
            self._open.close()

    def _append(self, data: bytes | bytearray | memoryview) -> None:
        assert self._open is not None
        self._open.write(data)
        self._md5.update(data)
        self._crc32 = zlib.crc32(data, self._crc32)
        self._size += len(data)
