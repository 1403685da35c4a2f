"""Bodies that come packed, as force-wsc sends every one, and how large one may be."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

from halocline.emulator.bulk1.refusals import client_error

if TYPE_CHECKING:
    from halocline.emulator.errors import ApiError
    from halocline.emulator.wire import Ask

MOST_BYTES = 10_000_000  # of a batch, unpacked. Source: Bulk API Developer Guide, "Limits"
_GZIP_OR_ZLIB = 47  # zlib's largest window, with either header


def unpacked(ask: Ask) -> Ask:
    """The request with its body as it was before packing.
    Raises: ApiError ClientInputError for a body that is not packed as it says, or larger than any may be.
    """
    if ask.headers.get("content-encoding", "").lower() not in ("gzip", "deflate"):
        return ask
    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        body = unpacker.decompress(ask.body, MOST_BYTES + 1)
    except zlib.error as reason:
        raise client_error(f"Failed to read request. {reason}") from reason  # words unverified
    if len(body) > MOST_BYTES:
        raise too_large()
    if not unpacker.eof:
        raise client_error("Failed to read request. Unexpected end of input")  # words unverified
    return replace(ask, body=body)


def too_large() -> ApiError:
    """The body holds more than a batch may. Source: the message as observed."""
    return client_error(f"Failed to read request. Exceeded max size limit of {MOST_BYTES}")
