"""An HTTP proxy that knows one place: what is addressed to Salesforce ends at the emulator's doors, the rest is refused.

Tunnels carry bytes as they are: TLS ends in the https door, whose certificate carries Salesforce's names.
Source: RFC 9110, section 9.3.6, "CONNECT"; RFC 9112, section 3.2.2, "absolute-form".
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from halocline.emulator.doors.addresses import LOOPBACK

HEAD_S = 30.0  # a client that opened a connection has to say by then where it wants to go
CHUNK_BYTES = 256 * 1024
_DOMAINS = (".salesforce.com", ".force.com")
_HOP_BY_HOP = ("connection", "proxy-connection", "keep-alive", "proxy-authorization", "host")

Address = tuple[str, int]


class Refused(Exception):
    """What a client asks of the proxy is not its business; the message is for a person."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Passage:
    """Where a connection goes on: the door, what to tell the client first, what to tell the door first."""

    door: Address
    greeting: bytes = b""
    opening: bytes = b""


@dataclass(frozen=True, slots=True)
class Guide:
    """Says where a request leads: `http` and `https` are the emulator's doors."""

    http: Address
    https: Address

    def passage(self, head: bytes) -> Passage:
        """The way of a request, from its request line and headers.
        Raises: Refused.
        """
        line, _, headers = head.decode("latin-1").partition("\r\n")
        words = line.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise Refused(400, "This is not a request of HTTP/1.")
        method, target, version = words
        if method.upper() == "CONNECT":
            return Passage(self._door(*_authority(target)), greeting=b"HTTP/1.1 200 Connection established\r\n\r\n")
        scheme, _, rest = target.partition("://")
        if scheme.lower() != "http":
            raise Refused(400, "This is a proxy: it takes CONNECT, or a request whose target is a whole http:// address.")
        netloc, slash, path = rest.partition("/")
        door = self._door(*_authority(netloc, 80))
        return Passage(door, opening=_rewritten(f"{method} {slash or '/'}{path} {version}", netloc, headers))

    def _door(self, host: str, port: int) -> Address:
        own = {self.http[1]: self.http, self.https[1]: self.https}
        if host in LOOPBACK and port in own:
            return own[port]
        doors: Mapping[int, Address] = {80: self.http, 443: self.https}
        if host.endswith(_DOMAINS) and port in doors:
            return doors[port]
        raise Refused(
            403, f"The emulator's proxy leads to Salesforce hosts only, and never to the network; {host}:{port} is none."
        )


class Proxy:
    """The proxy at work in the running event loop, from `open` to `close`."""

    def __init__(self, guide: Guide) -> None:
        self._guide = guide
        self._visits: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self, listener: socket.socket) -> None:
        """Take connections from a bound socket."""
        self._server = await asyncio.start_server(self._visited, sock=listener, limit=CHUNK_BYTES)

    async def close(self) -> None:
        """Take no more connections, and end those there are."""
        if self._server is not None:
            self._server.close()
        for visit in tuple(self._visits):
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)

    def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.ensure_future(_visit(self._guide, reader, writer))
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)


async def _visit(guide: Guide, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(HEAD_S):
            head = await reader.readuntil(b"\r\n\r\n")
        await _lead(guide.passage(head), reader, writer)
    except Refused as refusal:
        await _refuse(refusal, writer)
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # the client left, or never said what it wanted: there is nobody to tell
    finally:
        writer.close()


async def _lead(passage: Passage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Join client and door until the door, which hears of the client's end, has closed its side."""
    door_reader, door_writer = await asyncio.open_connection(*passage.door, limit=CHUNK_BYTES)
    writer.write(passage.greeting)
    door_writer.write(passage.opening)
    inward = asyncio.ensure_future(_pump(reader, door_writer))
    try:
        await _pump(door_reader, writer)
    finally:
        inward.cancel()
        await asyncio.gather(inward, return_exceptions=True)
        door_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _refuse(refusal: Refused, writer: asyncio.StreamWriter) -> None:
    text = f"{refusal}\n".encode()
    reason = {400: "Bad Request", 403: "Forbidden"}[refusal.status]
    head = f"HTTP/1.1 {refusal.status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(text)}\r\n"
    writer.write(head.encode() + b"Connection: close\r\n\r\n" + text)
    with suppress(OSError):
        await writer.drain()


def _authority(target: str, default_port: int = 443) -> Address:
    try:
        url = urlsplit(f"//{target}")
        return (url.hostname or "").lower(), url.port or default_port
    except ValueError as reason:
        raise Refused(400, f"{target} is not a host and a port.") from reason


def _rewritten(line: str, host: str, headers: str) -> bytes:
    """The request as the door wants it. The connection ends with the answer, because the next request may be for another host."""
    kept = [one for one in headers.split("\r\n") if one and one.partition(":")[0].strip().lower() not in _HOP_BY_HOP]
    return "\r\n".join([line, f"Host: {host}", "Connection: close", *kept, "", ""]).encode("latin-1")
