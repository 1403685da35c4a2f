"""Text files of any encoding, read as UTF-8 bytes."""

from __future__ import annotations

import codecs
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from isal import igzip, isal_zlib

from halocline.errors import AccessDenied, FixConfig, NotFound
from halocline.mapping.near import near

_BOM = codecs.BOM_UTF8
_UTF8 = {"utf-8", "utf-8-sig"}
_NO_MARK = "Stream does not start with BOM"  # from Python 3.13 on a fault of the first byte, before a fault of no byte
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PACKED = {
    b"\x1f\x8b": "It is packed by gzip: end its name in .gz, and it is unpacked.",
    b"PK\x03\x04": "It is a zip, as the .xlsx of Excel is: unpack it, or save the sheet as CSV (UTF-8).",
    b"\xd0\xcf\x11\xe0": "It is an .xls of Excel: save the sheet as CSV (UTF-8).",
    b"PAR1": "It is Parquet: end its name in .parquet.",
}
_CHUNK_BYTES = 1 << 20
_DAMAGED = (zlib.error, cast("type[Exception]", isal_zlib.error), igzip.BadGzipFile)  # isal's stubs call the second a value


@contextmanager
def opened(path: Path, encoding: str) -> Iterator[io.BufferedReader]:
    """The file's text as UTF-8, unpacked if its name ends in .gz, without a byte order mark.

    Bytes of a UTF-8 file are handed out unchecked. Inside the block, what is wrong with the file becomes an error of ours.
    Raises: NotFound, AccessDenied, FixConfig.
    """
    with reading(path, encoding):
        "".encode(encoding)  # a codec that is not of text is found out here
        raw = _bytes_of(path)
        if codecs.lookup(encoding).name not in _UTF8:
            raw = io.BufferedReader(_Recoded(raw, encoding), _CHUNK_BYTES)
        with raw:
            if raw.peek(len(_BOM)).startswith(_BOM):
                raw.read(len(_BOM))
            yield raw


@contextmanager
def reading(path: Path, encoding: str = "utf-8") -> Iterator[None]:
    """Turn what reading a file raises into an error that says what to try.

    Raises: NotFound, AccessDenied, FixConfig.
    """
    doing = f"Reading {path.name}"
    try:
        yield
    except UnicodeError as error:  # not always of bytes: a codec misses its mark, or gives what is no text (lone surrogates)
        raise undecodable(path, encoding) from error
    except LookupError as error:
        if isinstance(error, (KeyError, IndexError)):
            raise
        raise FixConfig(doing, str(error), hint="Name an encoding that Python knows, such as cp1252.") from error
    except FileNotFoundError as error:
        raise missing(path) from error
    except IsADirectoryError as error:
        raise FixConfig(doing, "it is a folder", hint="Name one file in it.") from error
    except PermissionError as error:
        raise AccessDenied(doing, error.strerror or str(error), hint="Give this user the right to read it.") from error
    except (EOFError, *_DAMAGED) as error:
        raise FixConfig(doing, f"its compression is damaged ({error})", hint="Pack the file again.") from error


def missing(path: Path) -> NotFound:
    """The error for a file that is not there, with names of the folder that are close."""
    folder = path.parent
    names = [one.name for one in folder.iterdir()] if folder.is_dir() else []
    cause = f"there is no file {path}" if folder.is_dir() else f"there is no folder {folder}"
    return NotFound(f"Reading {path.name}", cause, suggestions=near(path.name, names))


def undecodable(path: Path, encoding: str) -> FixConfig:
    """The error for a file of another encoding; says where its first wrong byte is."""
    doing = f"Reading {path.name}"
    hint = which_encoding(path, encoding)
    with _bytes_of(path) as file:
        found = _first_wrong(file, encoding)
    if found is None:
        return FixConfig(doing, f"it is not text in {encoding}", hint=hint)
    at, line, byte = found
    return FixConfig(doing, f"byte {at:,} (0x{byte:02x}, in line {line:,}) is not {encoding}", hint=hint, line=line, byte=at)


def which_encoding(path: Path, encoding: str) -> str:
    """What to try with a file that is not in `encoding`, or no text at all."""
    with _bytes_of(path) as file:
        begins = file.peek(64)[:64]
    packed = next((told for mark, told in _PACKED.items() if begins.startswith(mark)), None)
    if packed is not None:
        return packed
    wide = begins.startswith(_WIDE)
    zeros = (begins[::2].count(0), begins[1::2].count(0))  # texts of our letters in two bytes each, without the mark
    if not wide and any(zeros):
        likely = "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
    else:
        likely = "utf-16" if wide else "cp1252" if codecs.lookup(encoding).name in _UTF8 else "utf-8"
    return f'Say which encoding it has, perhaps encoding="{likely}" (--encoding {likely}).'


def _first_wrong(file: io.BufferedReader, encoding: str) -> tuple[int, int, int] | None:
    """The first byte that cannot be decoded: its place from 0, its line from 1, what it is; None where the codec names none."""
    decoder, done, line, more = codecs.getincrementaldecoder(encoding)(), 0, 1, True
    while more:
        data = file.read(_CHUNK_BYTES)
        more = bool(data)
        try:
            line += decoder.decode(data, final=not more).count("\n")
        except UnicodeDecodeError as error:
            if error.reason == _NO_MARK:
                return None
            before = error.object[: error.start]
            start = done - (len(error.object) - len(data))  # the decoder had held some bytes back
            with suppress(UnicodeError):  # idna knows no "replace"
                return start + error.start, line + before.decode(encoding, "replace").count("\n"), error.object[error.start]
            return None
        except UnicodeError:  # of no byte: UTF-16 without its mark
            return None
        done += len(data)
    return None


def _bytes_of(path: Path) -> io.BufferedReader:
    if path.suffix.lower() == ".gz":
        if path.is_file() and not path.stat().st_size:  # the reader takes it for an empty text: gzip of that has a header
            raise EOFError("it has 0 bytes")
        packed: Any = igzip.IGzipFile(path, "rb")  # type: ignore[no-untyped-call]  # isal's own types
        return io.BufferedReader(packed, _CHUNK_BYTES)
    return path.open("rb")


class _Recoded(io.RawIOBase):
    """A file's text as UTF-8 bytes."""

    def __init__(self, file: io.BufferedReader, encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""
        self._more = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and self._more:
            data = self._file.read(_CHUNK_BYTES)
            self._more = bool(data)
            self._ready = self._decoder.decode(data, final=not data).encode()
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def close(self) -> None:
        self._file.close()
        super().close()
