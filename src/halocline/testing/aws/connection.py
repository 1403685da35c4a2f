"""One connection: HTTP/1.1 as AWS clients speak it, requests read and answered one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import cast

from halocline.testing.aws.body import Body, Spool
from halocline.testing.aws.chunks import Chunks
from halocline.testing.aws.request import Reply, Request

Answer = Reply | asyncio.Future[Reply | None] | None  # None: the line is closed without a reply
_HEAD_BYTES = 1 << 16
_TLS = 0x16  # how a client begins that takes this for https, and waits. Source: RFC 8446, section 5.1
_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_BODILESS = (204, 304)


class Connection(asyncio.Protocol):
    """Reads requests, hands each to `answer`, and writes what it says."""

    def __init__(self, answer: Callable[[Request], Answer], *, folder: Path, open_ones: set[Connection]) -> None:
        self._answer = answer
        self._folder = folder
        self._open_ones = open_ones
        self._buffer = bytearray()
        self._request: Request | None = None  # whose body is on its way
        self._intake: _Intake | None = None
        self._waiting: asyncio.Future[Reply | None] | None = None
        self._outgoing: Iterator[bytes] | None = None
        self._reply: Reply | None = None
        self._is_full = False
        self._is_last = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._open_ones.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._open_ones.discard(self)
        if self._waiting is not None:
            self._waiting.cancel()  # who went away while he waited for a message gets none
        if self._intake is not None:
            self._intake.close()

    def eof_received(self) -> bool:
        """Who asks nothing more gets the answers that are made, and no message from this moment on."""
        self._is_last = True
        is_given_up = self._waiting is None or self._waiting.cancel()
        return not is_given_up or self._reply is not None

    def abort(self) -> None:
        """Close the line at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._advance()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._pump()

    def _advance(self) -> None:
        self._take_in()
        if self._is_last and self._reply is None and self._waiting is None:
            self._transport.close()

    def _take_in(self) -> None:
        while self._buffer and self._reply is None and self._waiting is None and not self._transport.is_closing():
            if self._intake is None and not self._head():
                return
            if not self._body():
                return

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _HEAD_BYTES or self._buffer[0] == _TLS:
                self.abort()
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        method, _, rest = lines[0].partition(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        target, _, version = rest.rpartition(" ")
        headers.setdefault("connection", "close" if version == "HTTP/1.0" else "keep-alive")
        self._request = Request(method, target, headers=headers)
        try:
            self._intake = _Intake(headers, self._folder)
        except ValueError:
            self.abort()
            return False
        if headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _body(self) -> bool:
        assert self._intake is not None
        assert self._request is not None
        try:
            rest = self._intake.feed(self._buffer)
        except ValueError:
            self.abort()
            return False
        if rest is None:
            self._buffer = bytearray()
            return False
        self._buffer = rest
        request, intake = self._request, self._intake
        request.body = intake.spool.done()
        request.headers.update(intake.trailers)
        self._request = self._intake = None
        self._give(request)
        return True

    def _give(self, request: Request) -> None:
        self._is_last |= request.headers["connection"].lower() == "close"
        answer = self._answer(request)
        if isinstance(answer, asyncio.Future):
            self._waiting = answer
            answer.add_done_callback(self._arrived)
        else:
            self._send(answer)

    def _arrived(self, answer: asyncio.Future[Reply | None]) -> None:
        self._waiting = None
        if answer.cancelled() or self._transport.is_closing():
            return
        self._send(answer.result())
        self._advance()

    def _send(self, reply: Reply | None) -> None:
        if reply is None:
            self._transport.close()
            return
        length = reply.length if reply.size is None else reply.size
        head = [_LINES.get(reply.status, f"HTTP/1.1 {reply.status} Unknown\r\n")]
        head += [f"{name}: {value}\r\n" for name, value in reply.headers.items()]
        if reply.status not in _BODILESS:
            head.append(f"Content-Length: {length}\r\n")
        head.append("\r\n")
        start = "".join(head).encode("latin-1")
        if reply.cut is not None:
            self._transport.write(start + _first(reply.body, reply.cut))
            self._transport.close()
        elif isinstance(reply.body, bytes):
            self._transport.write(start + reply.body)
        else:
            self._transport.write(start)
            self._reply, self._outgoing = reply, reply.body.chunks()
            self._pump()

    def _pump(self) -> None:
        """Write a large body as fast as its reader takes it."""
        while self._outgoing is not None and not self._is_full and not self._transport.is_closing():
            chunk = next(self._outgoing, None)
            if chunk is None:
                self._outgoing = self._reply = None
                asyncio.get_running_loop().call_soon(self._advance)
            else:
                self._transport.write(chunk)


class _Intake:
    """The body of one request on its way in, its codings taken off.
    Raises: ValueError for a length that is none.
    """

    def __init__(self, headers: dict[str, str], folder: Path) -> None:
        self.spool = Spool(folder)
        self._http = Chunks() if "chunked" in headers.get("transfer-encoding", "").lower() else None
        coded = "aws-chunked" in headers.get("content-encoding", "") or headers.get("x-amz-content-sha256", "").startswith(
            "STREAMING-"
        )
        self._aws = Chunks() if coded else None
        self._left = 0 if self._http else int(headers.get("content-length") or 0)
        if self._left < 0:
            raise ValueError("a body of less than no bytes")

    @property
    def trailers(self) -> dict[str, str]:
        return self._aws.trailers if self._aws else {}

    def feed(self, data: bytearray) -> bytearray | None:
        """Take in bytes; what belongs to the next request once the body is whole, else None.
        Raises: ValueError for chunks that are none.
        """
        if self._http is not None:
            self._store(self._http.feed(data))
            return bytearray(self._http.rest) if self._http.done else None
        if len(data) < self._left:
            self._left -= len(data)
            self._store(data)
            return None
        if self._left:
            self._store(data[: self._left])
        rest, self._left = data[self._left :], 0
        return rest

    def close(self) -> None:
        self.spool.close()

    def _store(self, data: bytes | bytearray) -> None:
        self.spool.write(data if self._aws is None else self._aws.feed(data))


def _first(body: bytes | Body, size: int) -> bytes:
    return body[:size] if isinstance(body, bytes) else body.slice(0, size).read()
