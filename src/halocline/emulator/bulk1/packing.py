"""Bodies that come packed, as force-wsc sends every one, and how large one may be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from halocline.emulator.bulk1.refusals import client_error
from halocline.emulator.unpacking import TooLargeError, UnpackingError, inflated

if TYPE_CHECKING:
    from halocline.emulator.errors import ApiError
    from halocline.emulator.wire import Ask

MOST_BYTES = 10_000_000  # of a batch, unpacked. Source: Bulk API Developer Guide, "Limits"


def unpacked(ask: Ask) -> Ask:
    """The request with its body as it was before packing.
    Raises: ApiError ClientInputError for a body that is not packed as it says, or larger than any may be.
    """
    if ask.headers.get("content-encoding", "").lower() not in ("gzip", "deflate"):
        return ask
    try:
        return replace(ask, body=inflated(ask.body, most=MOST_BYTES))
    except TooLargeError as reason:
        raise too_large() from reason
    except UnpackingError as reason:
        raise client_error(f"Failed to read request. {reason}") from reason  # words unverified


def too_large() -> ApiError:
    """The body holds more than a batch may. Source: the message as observed."""
    return client_error(f"Failed to read request. Exceeded max size limit of {MOST_BYTES}")
