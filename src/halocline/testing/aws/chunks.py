"""Bodies that come in chunks: HTTP's own transfer coding, and `aws-chunked`, whose chunks carry signatures."""

from __future__ import annotations


class Chunks:
    r"""Takes a chunked body apart as it comes in. `done` says that its last chunk was seen; `trailers` came behind it.

    Source: RFC 9112, section 7.1; Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring
    Payload in Multiple Chunks": `size-in-hex;chunk-signature=...\r\n` before each chunk.
    """

    def __init__(self) -> None:
        self.done = False
        self.trailers: dict[str, str] = {}
        self._buffer = bytearray()
        self._left = 0  # bytes of the chunk, and of the line end behind it, that are still to come
        self._in_trailers = False

    def feed(self, data: bytes | bytearray) -> bytes:
        """The payload in these bytes.
        Raises: ValueError for a chunk whose size is no number.
        """
        self._buffer += data
        payload = bytearray()
        while not self.done and self._step(payload):
            pass
        return bytes(payload)

    @property
    def rest(self) -> bytes:
        """What came behind the body: the next request."""
        return bytes(self._buffer) if self.done else b""

    def _step(self, payload: bytearray) -> bool:
        if self._left:
            return self._take(payload)
        line, found, _ = self._buffer.partition(b"\r\n")
        if not found:
            return False
        del self._buffer[: len(line) + 2]
        if self._in_trailers:
            self._trailer(line.decode("latin-1"))
            return True
        size = int(line.partition(b";")[0], 16)
        self._in_trailers = size == 0
        self._left = size + 2 if size else 0
        return True

    def _take(self, payload: bytearray) -> bool:
        if not self._buffer:
            return False
        taken = self._buffer[: self._left]
        of_chunk = max(self._left - 2, 0)
        payload += taken[:of_chunk]
        del self._buffer[: len(taken)]
        self._left -= len(taken)
        return True

    def _trailer(self, line: str) -> None:
        if not line:
            self.done = True
            return
        name, _, value = line.partition(":")
        self.trailers[name.strip().lower()] = value.strip()
