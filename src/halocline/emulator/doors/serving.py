"""The doors at work: one thread with one event loop that serves all of them from one application."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from halocline.emulator.doors.proxy import Guide, Proxy

START_S = 30.0  # the longest that uvicorn may take to listen before we call it broken
_BACKLOG = 2048  # connections that wait to be taken in; uvicorn's own
LEAVE_S = 1  # seconds that requests under way get when the emulator stops
_NAP_S = 0.002  # between two looks whether they have ended
_SETTINGS: dict[str, Any] = {
    "lifespan": "off",
    "ws": "none",
    "log_level": "critical",
    "access_log": False,
    "server_header": False,
    "date_header": False,  # the application sends the org's time
    "proxy_headers": False,  # login answers name the host that the client used, whatever somebody between forwards
    "timeout_keep_alive": 60,
    "timeout_graceful_shutdown": LEAVE_S,
}

Application = Callable[..., Any]  # an ASGI application; uvicorn's own type of it names messages that we never see

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listeners:
    """The bound sockets of the doors; None is a door that stays shut."""

    http: socket.socket
    https: socket.socket | None = None
    proxy: socket.socket | None = None

    @classmethod
    def bound(cls, host: str, *, http: int, https: int | None, proxy: int | None) -> Listeners:
        """Sockets on these ports; 0 takes a free one.
        Raises: OSError, with the port in its `filename`, if one is taken; then none is open.
        """
        with ExitStack() as undo:
            first, *others = [None if port is None else undo.enter_context(_bound(host, port)) for port in (http, https, proxy)]
            undo.pop_all()
        assert first is not None, "the plain door is always open"
        return cls(first, *others)

    def listen(self) -> None:
        """Take in connections from now on. We do it: uvloop says nothing when another process listens already.
        Raises: OSError, with the port in its `filename`, if somebody was faster.
        """
        for listener in filter(None, (self.http, self.https, self.proxy)):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # for the next one on this port, see `_bound`
            with _naming(listener.getsockname()[1]):
                listener.listen(_BACKLOG)

    def close(self) -> None:
        """Close them; the event loop may have done so before."""
        for listener in filter(None, (self.http, self.https, self.proxy)):
            listener.close()


@dataclass(slots=True)  # not frozen: the thread's failure is written by the thread
class Serving:
    """An application behind its doors, from `start` to `stop`. A TLS `context` is needed for the https door."""

    application: Application
    listeners: Listeners
    context: ssl.SSLContext | None = None
    _thread: threading.Thread | None = None
    _ready: threading.Event = field(default_factory=threading.Event)
    _failure: BaseException | None = None
    _servers: list[_Server] = field(default_factory=list)

    def start(self) -> None:
        """Listen. Returns when the first request can be sent.
        Raises: RuntimeError if the web server does not start.
        """
        self._thread = threading.Thread(target=self._run, name="halocline-emulator", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_S) or self._failure is not None:
            raise RuntimeError("the emulator's web server did not start") from self._failure

    def stop(self) -> None:
        """Close every connection and all doors."""
        for server in self._servers:
            server.leave()
        if self._thread is not None:
            self._thread.join()
        self.listeners.close()

    def _run(self) -> None:
        factory = uvicorn.Config(self.application, **_SETTINGS).get_loop_factory()
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(self._serve())
        except BaseException as failure:
            logger.exception("the emulator's web server broke")
            self._failure = failure
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(_hushed)
        proxy = await self._open_proxy()
        try:
            await asyncio.gather(*(self._web(listener, context) for listener, context in self._webs()))
        finally:
            if proxy is not None:
                await proxy.close()

    def _webs(self) -> list[tuple[socket.socket, ssl.SSLContext | None]]:
        """The listeners that speak HTTP to the application, with the TLS before it."""
        webs: list[tuple[socket.socket, ssl.SSLContext | None]] = [(self.listeners.http, None)]
        return webs if self.listeners.https is None else [*webs, (self.listeners.https, self.context)]

    async def _web(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        factory = None if context is None else lambda _config, _default: context
        server = _Server(uvicorn.Config(self.application, ssl_context_factory=factory, **_SETTINGS), self._listening)
        self._servers.append(server)
        await server.serve(sockets=[listener])

    def _listening(self) -> None:
        if len(self._servers) == len(self._webs()) and all(server.started for server in self._servers):
            self._ready.set()

    async def _open_proxy(self) -> Proxy | None:
        listeners = self.listeners
        if listeners.proxy is None or listeners.https is None:
            return None
        proxy = Proxy(Guide(listeners.http.getsockname()[:2], listeners.https.getsockname()[:2]))
        await proxy.open(listeners.proxy)
        return proxy


class _Server(uvicorn.Server):
    """uvicorn that says when it listens, and leaves at once when it is told to: its own looks after a tenth of a second, twice.

    Source: https://github.com/Kludex/uvicorn/blob/main/uvicorn/server.py (`main_loop` and `shutdown`)
    """

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._told = listening
        self._loop = asyncio.get_running_loop()
        self._left = asyncio.Event()

    def leave(self) -> None:
        """Stop serving, from any thread. Harmless when it has ended."""
        self.should_exit = True
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._left.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._told()

    async def main_loop(self) -> None:
        """Serve until it is told to leave."""
        await self.on_tick(0)  # sets the headers that every answer has
        await self._left.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the doors and every idle connection; requests under way may end, for a while."""
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            await asyncio.wait_for(self._emptied(), timeout=LEAVE_S)
        except TimeoutError:
            for task in self.server_state.tasks:
                task.cancel()

    async def _emptied(self) -> None:
        while self.server_state.connections or self.server_state.tasks:
            await asyncio.sleep(_NAP_S)
        for listener in self.servers:
            await listener.wait_closed()


def _hushed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Keeps quiet about clients that leave in the middle, or that do not trust the certificate: they know."""
    if not isinstance(context.get("exception"), OSError):  # ssl.SSLError is one
        loop.default_exception_handler(context)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that nobody else can bind before it listens.

    With SO_REUSEADDR Linux gives one port to everybody who asks until one of them listens. So it is set only where connections
    that are ending would hold up a restart.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        with _naming(port):
            try:
                listener.bind((host, port))
            except OSError as reason:
                if reason.errno != errno.EADDRINUSE:
                    raise
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((host, port))
    except BaseException:
        listener.close()
        raise
    return listener


@contextmanager
def _naming(port: int) -> Iterator[None]:
    try:
        yield
    except OSError as reason:
        raise OSError(reason.errno, reason.strerror, f"port {port}") from reason
