"""Bodies that come packed.

Source: REST API Developer Guide, "Compression Headers": "Include a Content-Encoding: gzip or Content-Encoding: deflate header to
compress a request"; SOAP API Developer Guide, "Compression".
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

from halocline.emulator.errors import malformed_json

if TYPE_CHECKING:
    from halocline.emulator.wire import Ask

ENCODING = "content-encoding"
MOST_BYTES = 50_000_000  # of a body, unpacked. Source: REST API Developer Guide, "Insert or Update Blob Data", for non-multipart
_GZIP_OR_ZLIB = 47  # zlib's largest window, with either header
_BARE = -15  # the same without a header, as some clients understand `deflate`
_PACKED = ("gzip", "deflate")


class UnpackingError(ValueError):
    """A body is not packed as it says."""


class TooLargeError(UnpackingError):
    """A body holds more than it may."""


def is_packed(ask: Ask) -> bool:
    """Whether a request says that its body is packed."""
    return ask.headers.get(ENCODING, "").strip().lower() in _PACKED and ask.body != b""


def unpacked(ask: Ask) -> Ask:
    """The request with its body as it was before packing; as it came if that cannot be, which `check_unpacked` refuses."""
    try:
        body = inflated(ask.body, most=MOST_BYTES)
    except UnpackingError:
        return ask
    return replace(ask, body=body, headers={name: value for name, value in ask.headers.items() if name != ENCODING})


def check_unpacked(ask: Ask) -> None:
    """Raises: ApiError(400, JSON_PARSER_ERROR) for a body of REST that could not be unpacked; code and words are unverified."""
    if is_packed(ask) and ask.path.lower().startswith("/services/data/"):
        try:
            inflated(ask.body, most=MOST_BYTES)
        except UnpackingError as reason:
            raise malformed_json(f"The request body is not packed as its Content-Encoding says: {reason}") from reason


def inflated(body: bytes, *, most: int) -> bytes:
    """What a body of gzip or deflate holds.
    Raises: TooLargeError if that is more than so many bytes, UnpackingError if it is not whole, or not packed at all.
    """
    try:
        return _inflated(body, most, _GZIP_OR_ZLIB)
    except TooLargeError:
        raise
    except UnpackingError as reason:
        try:
            return _inflated(body, most, _BARE)
        except UnpackingError:
            raise reason from None


def _inflated(body: bytes, most: int, window: int) -> bytes:
    unpacker = zlib.decompressobj(window)
    try:
        found = unpacker.decompress(body, most + 1)
    except zlib.error as reason:
        raise UnpackingError(str(reason)) from reason
    if len(found) > most:
        raise TooLargeError(f"it holds more than {most} bytes")
    if not unpacker.eof:
        raise UnpackingError("Unexpected end of input")
    return found
