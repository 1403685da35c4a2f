"""Hold: a way around a defect of Arrow's CSV reader, which loses a line end that two blocks share."""

from __future__ import annotations

from typing import Protocol

MAX_READ_BYTES = 1 << 26  # of a read that names no size


class Readable(Protocol):
    """What can be read by bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""


class Hold:
    """A binary file whose reads never end in CR, so that no block of the CSV reader does.

    pyarrow drops the LF of a CRLF inside quotes when a block ends between the two; see issue 51368 of apache/arrow.
    """

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._held = b""
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """About `size` bytes; fewer where the last are held back, more where all of them are CRs."""
        if size < 0:
            size = MAX_READ_BYTES
        data = self._held + self._file.read(max(size - len(self._held), 1))
        while data.endswith(b"\r"):
            more = self._file.read(1)
            if not more:
                break
            data += more
            if len(data) > size and not data.endswith(b"\r"):
                break
        self._held, data = _split_for(data, size)
        return data

    def close(self) -> None:
        """Nothing: the file belongs to whoever opened it."""
        self.closed = True


def _split_for(data: bytes, size: int) -> tuple[bytes, bytes]:
    """What to hold back, and what to hand out: the second never ends in CR unless the file does."""
    if len(data) <= size:
        return b"", data
    cut = data[:size].rstrip(b"\r")
    return (data[len(cut) :], cut) if cut else (b"", data)
