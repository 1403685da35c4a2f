"""A web server on this machine that answers as a test says, well or badly, and remembers what it was asked."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tests.ports import free_port

from halocline.connectors.salesforce.auth import Session, Token
from halocline.retry import Pace

CANARY = "00D5g0000012345!AQcanarycanarycanary"


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")


@dataclass(frozen=True)
class Answer:
    """One reply. `sent` is how many body bytes really leave (None: all) before the line is cut; -1 cuts it before the head."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: int | None = None
    hold: threading.Event | None = None


def said(value: object, status: int = 200, **headers: str) -> Answer:
    """A JSON reply; `content_type` for a header `Content-Type`, and so on."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json;charset=UTF-8", **named})


def refused(code: str, message: str, status: int = 400) -> Answer:
    """A refusal in the words of REST."""
    return said([{"message": message, "errorCode": code}], status)


Script = Callable[[Asked], Answer]


class Server:
    """The server at work: `url`, and `asked` in order of arrival."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@contextmanager
def serving(*script: Answer | Script) -> Iterator[Server]:
    """A server that gives these answers in turn (the last one for ever), or asks the functions among them."""
    turns = list(script)

    def answer(asked: Asked) -> Answer:
        turn = turns.pop(0) if len(turns) > 1 else turns[0]
        return turn if isinstance(turn, Answer) else turn(asked)

    server = Server(answer)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def session_for(url: str, *, tokens: int = 10) -> tuple[Session, list[str]]:
    """A session that logs in without a network, with tokens `CANARY0`, `CANARY1`, ...; and the list of those it handed out."""
    issued: list[str] = []

    def login() -> Token:
        assert len(issued) < tokens, "more logins than a test foresaw"
        issued.append(f"{CANARY}{len(issued)}")
        return Token(issued[-1], url)

    return Session(login), issued


class StoppedClock:
    """Time that only sleeping moves; sleeps take none of ours."""

    def __init__(self) -> None:
        self.now = 5000.0
        self.slept: list[float] = []
        self.pace = Pace(clock=lambda: self.now, sleep=self._sleep, chance=lambda: 0.5)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    return free_port()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    owner: Server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body waits until the client has told that the head came

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # a client that hangs up is part of the game
            self.close_connection = True

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, self.path, dict(self.headers.items()), body)
        owner = cast("_Http", self.server).owner
        owner.asked.append(asked)
        self._answer(owner.script(asked))

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET

    def _answer(self, answer: Answer) -> None:
        if answer.hold is not None:
            answer.hold.wait(30.0)
        if answer.sent == -1:
            self._cut()
            return
        self.send_response_only(answer.status)
        for name, text in {"Date": self.date_time_string(), "Content-Length": str(len(answer.body)), **answer.headers}.items():
            if text:
                self.send_header(name, text)
        self.end_headers()
        self.wfile.write(answer.body[: answer.sent])
        if answer.sent is not None:
            self.wfile.flush()
            self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        pass
