"""Health: whether workers live and are ready, and how they stand, as JSON over HTTP on this machine.

    /live      200 while every worker is at work or waits; 503 when one ended by itself or stands still: start the process anew
    /ready     200 while every worker polls, and its store answers; 503 else
    /metrics   how each stands, `last_success_age_s` among it

Nothing of a message is told. On a loopback address only who calls it by such a name is answered: a web page in a browser that
lets its own name lead here is not.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from halocline.consume.watching.observer import Note, Snapshot
from halocline.errors import FixConfig
from halocline.queues import Delivery

STALE_S = 15.0
"""A worker that is not heard of for so long stands still; it is heard of every second."""
SILENT_S = 60.0
"""A worker whose polls were not answered for so long is not ready: three times the longest poll."""

_ADDRESS = re.compile(r"(?:(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]*)):)?(?P<port>[0-9]{1,5})")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_ENDED = {"stopped", "failed"}
_NOTHING: AbstractContextManager[object] = nullcontext()


class Health:
    """An observer that knows how the workers of `queues` stand.

    Raises: FixConfig for one name twice: it could not tell the two apart.
    """

    def __init__(self, queues: Sequence[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._queues = tuple(queues)
        if len(set(queues)) < len(self._queues):
            hint = "Give each Worker a name of its own."
            raise FixConfig("Watching workers", f"two have one name ({', '.join(self._queues)})", hint=hint)
        self._clock = clock
        self._since = clock()
        self._seen: dict[str, tuple[Snapshot, float]] = {}

    def handling(self, queue: str, delivery: Delivery) -> AbstractContextManager[object]:  # noqa: ARG002 - it looks at none
        """Nothing around it."""
        return _NOTHING

    def noted(self, note: Note) -> None:
        """Snapshots say enough."""

    def seen(self, snapshot: Snapshot) -> None:
        """Remember how a worker stands."""
        self._seen[snapshot.queue] = (snapshot, self._clock())

    def ill(self) -> list[str]:
        """Why the process should be started anew; empty: it lives. A worker has some seconds to be heard of at first."""
        now = self._clock()
        return [told for queue in self._queues if (told := self._ill(queue, now))]

    def unready(self) -> list[str]:
        """Why it should not be counted on; empty: it is ready."""
        now = self._clock()
        return [told for queue in self._queues if (told := self._ill(queue, now) or self._unready(queue, now))]

    def figures(self) -> dict[str, object]:
        """How each worker stands."""
        now = self._clock()
        told = {queue: _figures(snapshot, now - at) for queue, (snapshot, at) in sorted(self._seen.items())}
        return {"up_s": round(now - self._since, 3), "queues": told}

    def _ill(self, queue: str, now: float) -> str:
        snapshot, at = self._seen.get(queue, (None, self._since))
        if snapshot is not None and snapshot.state in _ENDED:
            return f"{queue}: it ended by itself" if snapshot.state == "failed" else ""
        return f"{queue}: not heard of for {now - at:.0f} s" if now - at > STALE_S else ""

    def _unready(self, queue: str, now: float) -> str:
        if queue not in self._seen:
            return f"{queue}: it has not begun"
        snapshot, at = self._seen[queue]
        if snapshot.state != "running":
            return f"{queue}: it is {snapshot.state}"
        if snapshot.waits_for_store:
            return f"{queue}: its idempotency store does not answer"
        if snapshot.polled_age_s is None and snapshot.counts.get("poll_failures"):
            return f"{queue}: no poll was answered yet, and some failed"
        # The first poll of an empty queue takes as long as a poll may.
        age = now - self._since if snapshot.polled_age_s is None else snapshot.polled_age_s + now - at
        return f"{queue}: no poll was answered for {age:.0f} s" if age > SILENT_S else ""


class HealthServer:
    """Answers for a `Health` at `address` (`port`, `host:port` or `[::1]:port`; port 0: any free one) until the block ends.

    Raises: FixConfig for an address that is none, or is taken.
    """

    def __init__(self, health: Health, address: str) -> None:
        match = _ADDRESS.fullmatch(address)
        self._host = (match["six"] or match["host"] or "127.0.0.1") if match else ""
        port = match["port"] if match else ""
        if not port or int(port) > 65_535:
            hint = "Give a port (8080), host:port, or [::1]:port."
            raise FixConfig("Opening the health endpoint", f"{address!r} is no address", hint=hint)
        try:
            self._server = _Server((self._host, int(port)), health, only_loopback=self._host in _LOOPBACK)
        except OSError as error:
            cause = f"{address} cannot be had ({error.strerror or error})"
            raise FixConfig("Opening the health endpoint", cause, hint="Give another port.") from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def url(self) -> str:
        """Where it is."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], health: Health, *, only_loopback: bool) -> None:
        self.health = health
        self.only_loopback = only_loopback
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Answer)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who goes away before the answer is not our affair."""


class _Answer(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5.0  # seconds; a line that says nothing is closed
    server_version = "halocline"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer."""
        if self.server.only_loopback and _name_in(self.headers.get("Host", "")) not in _LOOPBACK:
            self._say(403, {"error": "call it by a loopback name"})
            return
        health = self.server.health
        match urlsplit(self.path).path:
            case "/live":
                self._verdict(health.ill())
            case "/ready":
                self._verdict(health.unready())
            case "/metrics":
                self._say(200, health.figures())
            case _:
                self._say(404, {"error": "there are /live, /ready and /metrics"})

    def do_HEAD(self) -> None:
        """Likewise, without the body."""
        self.do_GET()

    def _verdict(self, wrong: list[str]) -> None:
        self._say(503 if wrong else 200, {"ok": not wrong, "wrong": wrong})

    def _say(self, status: int, told: dict[str, object]) -> None:
        body = json.dumps(told).encode() + b"\n"
        self.send_response(status)
        for name, value in (
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """A probe every second is nothing to log."""


def _name_in(host: str) -> str | None:
    """The name in a header `Host`; None where there is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _figures(snapshot: Snapshot, since_s: float) -> dict[str, object]:
    def age(value: float | None) -> float | None:
        return None if value is None else round(value + since_s, 3)

    return {
        "state": snapshot.state,
        "in_flight": snapshot.in_flight,
        "running": snapshot.running,
        "oldest_s": round(snapshot.oldest_s, 3),
        "last_poll_age_s": age(snapshot.polled_age_s),
        "last_success_age_s": age(snapshot.done_age_s),
        "waits_for_store": snapshot.waits_for_store,
        "seen_age_s": round(since_s, 3),
        **snapshot.counts,
    }
