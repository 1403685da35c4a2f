"""The emulator as a running server: in a thread of this process for tests and demos, or in the foreground."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import uvicorn

from halocline.emulator.app import Door
from halocline.emulator.auth import Login
from halocline.emulator.clock import Clock
from halocline.emulator.org import EmulatorConfig, Org
from halocline.emulator.schema_files import load_catalog
from halocline.emulator.seed import ensure_org
from halocline.emulator.store import Store

if TYPE_CHECKING:
    from types import FrameType

    from halocline.emulator.calls import CallLog
    from halocline.emulator.faults import Faults

__all__ = ["Emulator", "EmulatorConfig", "Login", "run_forever"]

START_S = 30.0  # the longest that uvicorn may take to listen before we call it broken
LEAVE_S = 1  # seconds that requests under way get when the emulator stops


class Emulator:
    """A Salesforce of its own, from `start` to `stop`; also a context manager.

    Once made it can be seeded through `store`; `url` answers only after `start`. It is started once.
    """

    def __init__(self, config: EmulatorConfig | None = None, *, clock: Clock | None = None) -> None:
        self.config = config or EmulatorConfig()
        self.store = Store(load_catalog(self.config.schemas), self.config.path, clock=clock)
        try:
            ensure_org(self.store)
            self.org = Org(self.store, self.config)
        except BaseException:
            self.store.close()
            raise
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def clock(self) -> Clock:
        """The org's clock: move it, and the server's time moves."""
        return self.org.clock

    @property
    def calls(self) -> CallLog:
        """What clients asked."""
        return self.org.calls

    @property
    def faults(self) -> Faults:
        """What goes wrong on order."""
        return self.org.faults

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end.
        Raises: RuntimeError before `start` and after `stop`.
        """
        if self._socket is None:
            raise RuntimeError("the emulator is not running")
        host, port = self._socket.getsockname()[:2]
        return f"http://{host}:{port}"

    def start(self) -> Emulator:
        """Listen. Returns when the first request can be sent.
        Raises: OSError if the port is taken.
        """
        self._socket = _listening(self.config.host, self.config.port)
        self._server = _Server(uvicorn.Config(Door(self.org), **_SETTINGS))  # type: ignore[arg-type]
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="halocline-emulator", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(START_S):
            raise RuntimeError("the emulator's web server did not start")
        return self

    def stop(self) -> None:
        """Close every connection, stop jobs, close the store. Harmless when repeated."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
        if self._socket is not None:
            self._socket.close()
        self._server = self._thread = self._socket = None
        self.org.close()
        self.store.close()

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(self, *_failure: object) -> None:
        self.stop()


def run_forever(config: EmulatorConfig, *, on_ready: Callable[[Emulator], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then stop cleanly and return. Call it in the main thread.

    `on_ready` gets the listening emulator, to seed it or to print its address.
    Raises: OSError if the port is taken.
    """
    told = threading.Event()

    def tell(_number: int, _frame: FrameType | None) -> None:
        told.set()

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Emulator(config) as emulator:
            if on_ready is not None:
                on_ready(emulator)
            told.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_SETTINGS = {
    "lifespan": "off",
    "ws": "none",
    "log_level": "critical",
    "access_log": False,
    "server_header": False,
    "date_header": False,  # the door sends the org's time
    "proxy_headers": False,
    "timeout_keep_alive": 60,
    "timeout_graceful_shutdown": LEAVE_S,
}


class _Server(uvicorn.Server):
    """uvicorn that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self.ready.set()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
