"""Lines: connections to one service that are kept, and on which HTTP/1.1 is spoken without more ado.

What boto3's client opens (certificates, time-outs, socket options are its own) is used as it is; what its libraries do to each
request and answer costs several times the request itself where these are small and many, and a request of theirs that waits for
its answer cannot be ended. Behind a proxy, and where boto3 has changed inside, the client's own way is taken.
Source: "RFC 9112, HTTP/1.1", https://www.rfc-editor.org/rfc/rfc9112, read November 2026.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, HTTPClientError, ReadTimeoutError, SSLError
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.exceptions import SSLError as Urllib3SSLError

_CHUNK = 1 << 16
_HEAD_BYTES = 1 << 16
_FRESH_S = 1.0  # seconds after an answer in which nobody closes a connection that was to be kept; to look is a call of the system
_BODILESS = frozenset({204, 304})
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; names of headers are in lower case."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class Lines:
    """Connections to the host of `url`, opened as that HTTP session of botocore opens them. Threads may share them."""

    def __init__(self, session: Any, url: str) -> None:
        self._session = session
        self._url = url
        self._path = urlsplit(url).path
        self._lock = threading.Lock()
        self._idle: list[tuple[socket.socket, float]] = []  # and since when
        self._asking: dict[int, socket.socket] = {}  # by thread
        self._calling: set[int] = set()
        self._cut: set[int] = set()
        weakref.finalize(self, _close, self._idle)

    @staticmethod
    def possible(session: Any, url: str) -> bool:
        """Whether that session goes to the host itself, and is made as we know it."""
        known = all(hasattr(session, name) for name in ("_proxy_config", "_manager", "_setup_ssl_cert", "_verify"))
        return known and session._proxy_config.proxy_url_for(url) is None

    def send(self, request: AWSPreparedRequest) -> Answer:
        """The answer to a request to `url`.

        Raises: errors of botocore, as its own session does.
        """
        line = self._kept() or self._opened()
        me = threading.get_ident()
        self._asking[me] = line
        try:
            self._check(me)
            line.sendall(self._bytes(request))
            answer, stays = _read(line)
        except TimeoutError as error:
            line.close()
            raise ReadTimeoutError(endpoint_url=self._url, error=error) from error
        except OSError as error:
            line.close()
            raise ConnectionClosedError(endpoint_url=self._url, request=request, error=error) from error
        except BaseException:
            line.close()
            raise
        finally:
            del self._asking[me]
        with self._lock:
            stays = stays and me not in self._cut  # of a line that was cut nothing more can be asked
            if stays:
                self._idle.append((line, time.monotonic()))
        if not stays:
            line.close()
        return answer

    def cut(self, thread: int) -> None:
        """Let what that thread waits for fail, and all that it asks for until its `calling` is over; elsewhere nothing is done.

        At first the other end is told that nobody asks any more: an answer that is on its way is read. Called again: at once.
        """
        with self._lock:
            if thread not in self._calling:
                return
            how = socket.SHUT_RDWR if thread in self._cut else socket.SHUT_WR
            self._cut.add(thread)  # first: whoever has not seen it has its line where the next step finds it
        line = self._asking.get(thread)
        if line is not None:
            with suppress(OSError):  # it ended by itself in this moment
                socket.socket.shutdown(line, how)  # its own would take the TLS off, and the rest be read as it is sent

    @property
    def is_cut(self) -> bool:
        """Whether what this thread asks for fails for `cut`."""
        return bool(self._cut) and threading.get_ident() in self._cut

    @contextmanager
    def calling(self) -> Iterator[None]:
        """While the block lasts, what this thread asks for can be cut."""
        me = threading.get_ident()
        self._calling.add(me)
        try:
            yield
        finally:
            with self._lock:
                self._calling.discard(me)
                self._cut.discard(me)

    def _check(self, thread: int) -> None:
        """Raises: ConnectionError for a thread whose calls are cut."""
        if thread in self._cut:
            raise ConnectionError("the call was cut")

    def _kept(self) -> socket.socket | None:
        """A connection that is open at the other end too, as far as can be known."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                line, since = self._idle.pop()
            if time.monotonic() - since < _FRESH_S or not _is_readable(line):
                return line
            line.close()

    def _opened(self) -> socket.socket:
        """A new connection.

        Raises: errors of botocore.
        """
        try:
            pool = self._session._manager.connection_from_url(self._url)
            self._session._setup_ssl_cert(pool, self._url, self._session._verify)
            made = pool._new_conn()
            made.connect()
        except (ssl.SSLError, Urllib3SSLError) as error:
            raise SSLError(endpoint_url=self._url, error=error) from error
        except (NewConnectionError, ConnectTimeoutError, OSError) as error:
            raise EndpointConnectionError(endpoint_url=self._url, error=error) from error
        except Exception as error:
            raise HTTPClientError(error=error) from error
        line: socket.socket = made.sock
        made.sock = None  # it is ours from now on: urllib3 closes what it lets go of
        timeout = self._session._timeout  # a number, or one for each part of a call
        line.settimeout(getattr(timeout, "read_timeout", timeout))
        return line

    def _bytes(self, request: AWSPreparedRequest) -> bytes:
        body: bytes = request.body
        lines = [f"{request.method} {self._path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        lines.append(f"Content-Length: {len(body)}\r\n\r\n")
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) + 1:
            raise HTTPClientError(error="the login or the settings hold an end of line, which no header may")
        return head.encode("latin-1") + body


def _close(lines: list[tuple[socket.socket, float]]) -> None:
    for line, _ in lines:
        line.close()


def _is_readable(line: socket.socket) -> bool:
    """Whether there is something to read where nothing was asked for: the other end has closed."""
    watch = select.poll()  # select.select cannot watch handles from 1,024 on
    watch.register(line, select.POLLIN)
    return bool(watch.poll(0))


def _read(line: socket.socket) -> tuple[Answer, bool]:
    """An answer, and whether the connection may be used again.

    Raises: OSError where it is none, or not all of it came.
    """
    buffer = _Buffer(line.recv)
    status, headers = _head(buffer)
    while status // 100 == 1:  # "100 Continue" and its like come before the answer
        status, headers = _head(buffer)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        content = _chunks(buffer)
    elif status in _BODILESS:
        content = b""
    elif "content-length" in headers:
        content = buffer.take(_number(headers["content-length"], 10))
    else:
        return Answer(status, headers, buffer.rest()), False
    return Answer(status, headers, content), headers.get("connection", "").lower() != "close" and not buffer.left


class _Buffer:
    """What was read, and not yet looked at."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.left = b""

    def until(self, mark: bytes) -> bytes:
        """What comes before the mark, which is taken off too."""
        while (end := self.left.find(mark)) < 0:
            if len(self.left) > _HEAD_BYTES:
                raise ConnectionError("the answer has no end to its head")
            self._more()
        found, self.left = self.left[:end], self.left[end + len(mark) :]
        return found

    def take(self, size: int) -> bytes:
        """So many bytes."""
        if len(self.left) < size:
            parts, missing = [self.left], size - len(self.left)
            while missing > 0:
                part = self._part()
                parts.append(part)
                missing -= len(part)
            self.left = b"".join(parts)
        found, self.left = self.left[:size], self.left[size:]
        return found

    def rest(self) -> bytes:
        """All until the other end closes."""
        parts = [self.left]
        while part := self._read(_CHUNK):
            parts.append(part)
        return b"".join(parts)

    def _more(self) -> None:
        self.left += self._part()

    def _part(self) -> bytes:
        part = self._read(_CHUNK)
        if not part:
            raise ConnectionError("the connection was closed before the answer was there")
        return part


def _head(buffer: _Buffer) -> tuple[int, dict[str, str]]:
    first, *lines = buffer.until(_HEAD_END).decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1."):
        raise ConnectionError("the answer is not HTTP/1")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if version == "HTTP/1.0":
        headers.setdefault("connection", "close")
    return _number(rest[:3], 10), headers


def _chunks(buffer: _Buffer) -> bytes:
    parts = []
    while size := _number(buffer.until(b"\r\n").partition(b";")[0].decode("latin-1"), 16):
        parts.append(buffer.take(size))
        buffer.until(b"\r\n")
    while buffer.until(b"\r\n"):  # headers that come behind
        pass
    return b"".join(parts)


def _number(text: str, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError as error:
        raise ConnectionError("the answer has no number where one belongs") from error
    if number < 0:
        raise ConnectionError("the answer has a number below nothing")
    return number
