"""Wire: a client that costs next to nothing, so that what is measured is the server."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

BUFFER_BYTES = 1 << 20


def download_s(url: str, targets: Sequence[str], *, token: str = "", encoding: str = "identity") -> tuple[float, int]:
    """Seconds to read all of these paths one after the other on one connection, and how many bytes their bodies had.

    Raises: RuntimeError for an answer that is not 200.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port)
    connection.connect()
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": encoding}
    read, into = 0, memoryview(bytearray(BUFFER_BYTES))
    began = time.perf_counter()
    for target in targets:
        connection.request("GET", target, headers=headers)
        reply = connection.getresponse()
        if reply.status != 200:
            raise RuntimeError(f"GET {target}: {reply.status} {reply.read(300)!r}")
        while got := reply.readinto(into):
            read += got
    took_s = time.perf_counter() - began
    connection.close()
    return took_s, read


class Caller:
    """Sends one request again and again on one connection, and reads each answer to its end."""

    def __init__(self, url: str, target: str, *, token: str = "") -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((str(parts.hostname), parts.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = (f"GET {target} HTTP/1.1", f"Host: {parts.netloc}", f"Authorization: Bearer {token}", "", "")
        self._request = "\r\n".join(head).encode()

    def body(self) -> bytes:
        """The answer's body.
        Raises: RuntimeError for an answer that is not 200.
        """
        self._socket.sendall(self._request)
        got = self._socket.recv(BUFFER_BYTES)
        while b"\r\n\r\n" not in got:
            got += self._socket.recv(BUFFER_BYTES)
        head, _, body = got.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{self._request[:120]!r}: {got[:300]!r}")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += self._socket.recv(BUFFER_BYTES)
        return body

    def per_second(self, seconds: float) -> float:
        """How many answers come back in a second, over so many seconds."""
        done, began = 0, time.perf_counter()
        while (took_s := time.perf_counter() - began) < seconds:
            self.body()
            done += 1
        return done / took_s

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
