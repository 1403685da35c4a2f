"""The door: an ASGI application that takes a request to its resource and the answer, faults included, back."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import format_datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from halocline.emulator import admin, auth, bulk2, records, rest
from halocline.emulator.calls import Call, classify
from halocline.emulator.errors import ApiError, OAuthError, method_not_allowed, not_found, retired_version
from halocline.emulator.faults import Fault, damaged, reshaped
from halocline.emulator.wire import Answer, Ask, error_answer, gzipped, wants_gzip

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from halocline.emulator.org import Org

HEAD_BYTES = 16_384  # of URI and headers. Source: REST API Developer Guide, "Limits": "414/431 URI or headers too long"
_TOO_LONG = Answer(
    431, b"<h1>Bad Message 431</h1><pre>reason: Request Header Fields Too Large</pre>", "text/html;charset=iso-8859-1"
)
# simple-salesforce always appends `.salesforce.com` to its `domain`: `domain="host:port/x"` arrives with such a first segment.
_DOMAIN_SEGMENT = re.compile(r"^/[^/]*\.salesforce\.com(?=/|$)", re.IGNORECASE)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Route:
    """A resource: its path, who works on which method, and what it costs to come in.

    `is_open` needs no session; `limited` answers carry the limit header and count as API requests.
    """

    pattern: re.Pattern[str]
    methods: Mapping[str, Callable[[Ask], Answer]]
    is_open: bool = False
    limited: bool = True


def _route(path: str, methods: Mapping[str, Callable[[Ask], Answer]], *, is_open: bool = False, limited: bool = True) -> Route:
    """`{name}` in `path` stands for one segment, `{name:rest}` for the rest of the path."""
    pattern = re.sub(r"\{(\w+):rest\}", r"(?P<\1>.+)", path)
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
    return Route(re.compile(pattern + r"\Z", re.IGNORECASE), methods, is_open, limited)


_V = "/services/data/v{version}"
_OAUTH = "/services/oauth2"
ROUTES: tuple[Route, ...] = (
    _route("/services/data", {"GET": rest.versions}, is_open=True, limited=False),
    _route(f"{_OAUTH}/token", {"POST": auth.token}, is_open=True, limited=False),
    _route(f"{_OAUTH}/revoke", {"POST": auth.revoke, "GET": auth.revoke}, is_open=True, limited=False),
    _route(f"{_OAUTH}/introspect", {"POST": auth.introspect}, is_open=True, limited=False),
    _route(f"{_OAUTH}/userinfo", {"GET": auth.userinfo, "POST": auth.userinfo}, is_open=True, limited=False),
    _route("/id/{organization}/{user}", {"GET": auth.identity, "POST": auth.identity}, is_open=True, limited=False),
    _route(_V, {"GET": rest.resources}),
    _route(f"{_V}/query", {"GET": rest.query}),
    _route(f"{_V}/queryall", {"GET": rest.query_all}),
    _route(f"{_V}/query(?:all)?/{{locator}}", {"GET": rest.query_more}),
    _route(f"{_V}/limits", {"GET": rest.limits}),
    _route(f"{_V}/limits/recordcount", {"GET": rest.record_count}),
    _route(f"{_V}/sobjects", {"GET": rest.describe_global}),
    _route(f"{_V}/sobjects/{{sobject}}", {"GET": rest.basic_information, "POST": records.create}),
    _route(f"{_V}/sobjects/{{sobject}}/describe", {"GET": rest.describe_object}),
    _route(f"{_V}/sobjects/{{sobject}}/deleted", {"GET": rest.deleted}),
    _route(f"{_V}/sobjects/{{sobject}}/updated", {"GET": rest.updated}),
    _route(f"{_V}/sobjects/{{sobject}}/id", {"POST": records.create}),
    _route(f"{_V}/sobjects/{{sobject}}/{{id}}", {"GET": records.read, "PATCH": records.change, "DELETE": records.delete}),
    _route(
        f"{_V}/sobjects/{{sobject}}/{{key}}/{{value}}",
        {"GET": records.read_by_key, "PATCH": records.upsert, "DELETE": records.delete_by_key},
    ),
    _route(f"{_V}/jobs/query", {"GET": bulk2.list_jobs, "POST": bulk2.create}),
    _route(f"{_V}/jobs/query/{{job}}", {"GET": bulk2.show, "PATCH": bulk2.abort, "DELETE": bulk2.delete}),
    _route(f"{_V}/jobs/query/{{job}}/results", {"GET": bulk2.results}),
    _route(f"{_V}/jobs/query/{{job}}/resultpages", {"GET": bulk2.result_pages}),
    _route(f"{_V}/{{path:rest}}", dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), rest.nothing)),
)
ADMIN_ROUTES: tuple[Route, ...] = tuple(
    _route(f"/__emulator__/{path}", methods, is_open=True, limited=False) for path, methods in admin.RESOURCES.items()
)


class Door:
    """The ASGI application of one org."""

    def __init__(self, org: Org) -> None:
        self.org = org

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"this door speaks HTTP only, not {scope['type']}")
        path = _normal_path(scope)
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            return
        ask = _ask(self.org, scope, path=path, body=body)
        if path.lower().startswith("/__emulator__"):
            answer = await run_in_threadpool(self._administer, ask)
            await _send(answer, scope, receive, _dated(self.org, send))
        else:
            await self._serve(ask, scope, receive, send)

    async def _serve(self, ask: Ask, scope: Scope, receive: Receive, send: Send) -> None:
        faults = self.org.faults.take(ask.method, ask.path)
        recorder = _Recorder(ask, send, receive, cut_after=_cut_after(faults))
        for fault in faults:
            if fault.action == "delay":
                await asyncio.sleep(fault.seconds)
        if _head_bytes(scope) > HEAD_BYTES:
            answer = _TOO_LONG
        else:
            answer = await run_in_threadpool(self._work, ask, faults)
        try:
            if any(fault.action == "lose_reply" for fault in faults):
                await recorder.hang_up()
            else:
                await _send(answer, scope, receive, _dated(self.org, recorder.send))
        finally:
            recorder.record()

    def _work(self, ask: Ask, faults: tuple[Fault, ...]) -> Answer:
        if any(fault.action == "expire_session" for fault in faults):
            self.org.sessions.end(auth.bearer(ask) or "")
        told = next((fault.answer() for fault in faults if fault.action == "answer"), None)
        answer = reshaped(told or self._answer(ask), faults)
        if wants_gzip(ask.headers.get("accept-encoding", "")):
            answer = damaged(gzipped(answer), faults)
        return answer

    def _answer(self, ask: Ask) -> Answer:
        try:
            route, params = _matched(ROUTES, ask.path)
        except ApiError as refusal:
            return error_answer(refusal)
        answer = _guarded(partial(self._enter, route, replace(ask, params=params)))
        header = self.org.limits.header(self.org.config.limit_info) if route.limited else None
        return answer.with_headers(("Sforce-Limit-Info", header)) if header else answer

    def _enter(self, route: Route, ask: Ask) -> Answer:
        if "version" in ask.params:
            _check_version(ask.params["version"])
        if not route.is_open:
            ask = replace(ask, session=self.org.sessions.use(auth.bearer(ask)))
            self.org.limits.spend_request()
        return _worker(route, ask)(ask)

    def _administer(self, ask: Ask) -> Answer:
        def enter() -> Answer:
            route, params = _matched(ADMIN_ROUTES, ask.path)
            return _worker(route, ask)(replace(ask, params=params))

        return _guarded(enter)


class _Recorder:
    """Passes an answer on, counts it for the call log, and cuts it where a fault wants that."""

    def __init__(self, ask: Ask, send: Send, receive: Receive, *, cut_after: int | None) -> None:
        self._ask = ask
        self._send = send
        self._receive = receive
        self._left = cut_after
        self._started = ask.org.now()
        self._clock = time.perf_counter()
        self._status = 0
        self._bytes = 0
        self._recorded = False

    async def send(self, message: Message) -> None:
        """ASGI's `send`. The call is in the log before its last byte leaves, so that whoever got it finds it there."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif self._left is not None:
            await self._send_until_cut(message)
            return
        else:
            self._bytes += len(message.get("body", b""))
            if not message.get("more_body", False):
                self.record()
        await self._send(message)

    async def hang_up(self) -> None:
        """Close the connection now; what was sent before still arrives."""
        self.record()
        # uvicorn gives an application no way to close a connection, and logs an error for one that just stops answering.
        self._send.__self__.transport.close()  # type: ignore[attr-defined]
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def record(self) -> None:
        """Put the call into the log, once."""
        if self._recorded:
            return
        self._recorded = True
        ask = self._ask
        seconds = time.perf_counter() - self._clock
        kind = classify(ask.method, ask.path)
        query = ask.headers.get(_RAW_QUERY, "")
        ask.org.calls.add(Call(ask.method, ask.path, query, self._status, self._started, seconds, self._bytes, kind))

    async def _send_until_cut(self, message: Message) -> None:
        if self._recorded or self._left is None:
            return
        kept = message.get("body", b"")[: self._left]
        self._left -= len(kept)
        self._bytes += len(kept)
        if self._left and message.get("more_body", False):
            await self._send({**message, "body": kept})
        else:
            await self._send({"type": "http.response.body", "body": kept, "more_body": True})
            await self.hang_up()


_RAW_QUERY = ":query"  # no HTTP header can have this name


def _ask(org: Org, scope: Scope, *, path: str, body: bytes) -> Ask:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    method = str(scope["method"])
    if method == "POST":  # Source: REST API Developer Guide, "Using HTTP Methods": the way of clients that cannot send PATCH
        method = query.get("_HttpMethod", method).upper()
    headers[_RAW_QUERY] = scope["query_string"].decode("latin-1")
    host = headers.get("host") or ":".join(map(str, scope["server"]))
    return Ask(org, method, path, query, headers, body, base_url=f"{scope['scheme']}://{host}")


def _normal_path(scope: Scope) -> str:
    raw = scope.get("raw_path") or scope["path"].encode()
    path = _DOMAIN_SEGMENT.sub("", raw.decode("latin-1"))
    return path.rstrip("/") or "/"


def _head_bytes(scope: Scope) -> int:
    line = len(scope["method"]) + len(scope.get("raw_path") or b"") + len(scope["query_string"]) + len("  HTTP/1.1\r\n")
    return line + sum(len(name) + len(value) + len(": \r\n") for name, value in scope["headers"])


def _matched(routes: tuple[Route, ...], path: str) -> tuple[Route, dict[str, str]]:
    for route in routes:
        match = route.pattern.match(path)
        if match:
            return route, {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
    raise not_found()


def _check_version(version: str) -> None:
    """Raises: ApiError 410 for a retired version, 404 for one that never was."""
    if re.fullmatch(r"[0-9]{1,2}\.0", version) is None:
        raise not_found()
    number = int(version[:-2])
    if rest.FIRST_EVER <= number < rest.OLDEST:
        raise retired_version(version)
    if not rest.OLDEST <= number <= rest.NEWEST:
        raise not_found()


def _worker(route: Route, ask: Ask) -> Callable[[Ask], Answer]:
    worker = route.methods.get("GET" if ask.method == "HEAD" else ask.method)
    if worker is None:
        raise method_not_allowed(ask.method)
    return worker


def _guarded(work: Callable[[], Answer]) -> Answer:
    """The answer of the work, or of what stopped it."""
    try:
        return work()
    except (ApiError, OAuthError) as refusal:
        return error_answer(refusal)
    except Exception:
        logger.exception("a request broke the emulator")  # the client gets Salesforce's words, the developer the traceback
        message = "An unexpected error occurred. Please include this ErrorId if you contact support: emulator"
        return error_answer(ApiError(500, "UNKNOWN_EXCEPTION", message))


def _cut_after(faults: tuple[Fault, ...]) -> int | None:
    return next((fault.after_bytes for fault in faults if fault.action == "cut"), None)


def _dated(org: Org, send: Send) -> Send:
    """Adds `Date` by the org's clock: clients take the server's time from it."""

    async def dated(message: Message) -> None:
        if message["type"] == "http.response.start":
            date = format_datetime(org.now(), usegmt=True).encode()
            message = {**message, "headers": [*message["headers"], (b"date", date)]}
        await send(message)

    return dated


async def _send(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    headers = dict(answer.headers)
    if answer.content_type:
        headers["Content-Type"] = answer.content_type
    response: Any
    if isinstance(answer.body, bytes):
        response = Response(answer.body, answer.status, headers)
    else:
        response = StreamingResponse(answer.body, answer.status, headers)
    await response(scope, receive, send)
