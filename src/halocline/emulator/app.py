"""The door: an ASGI application that takes a request to its resource and the answer, faults included, back."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace
from email.utils import format_datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from halocline.emulator import auth
from halocline.emulator.bulk2.upload import is_upload, spooled
from halocline.emulator.calls import Call, classify
from halocline.emulator.dispatch import check_version, guarded, matched, worker
from halocline.emulator.doors.visitors import is_visitor
from halocline.emulator.errors import ApiError
from halocline.emulator.faults import orders
from halocline.emulator.faults.strike import Strike
from halocline.emulator.faults.target import Target
from halocline.emulator.media import check_media
from halocline.emulator.records import TRANSACTION_HEADER
from halocline.emulator.routes import ADMIN_ROUTES, ROUTES, Route
from halocline.emulator.unpacking import check_unpacked, is_packed, unpacked
from halocline.emulator.wire import RAW_QUERY, Answer, Ask, error_answer, gzipped, wants_gzip

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from halocline.emulator.org import Org

HEAD_BYTES = 16_384  # of URI and headers. Source: REST API Developer Guide, "Limits": "414/431 URI or headers too long"
_TOO_LONG = Answer(
    431, b"<h1>Bad Message 431</h1><pre>reason: Request Header Fields Too Large</pre>", "text/html;charset=iso-8859-1"
)
_STRANGER = Answer(
    403, b"The emulator answers to names of this machine and of Salesforce, and to no page of another site.\n", "text/plain"
)
_STEPS_PER_S = 20  # pieces of a slow body
# simple-salesforce always appends `.salesforce.com` to its `domain`: `domain="host:port/x"` arrives with such a first segment.
_DOMAIN_SEGMENT = re.compile(r"^/[^/]*\.salesforce\.com(?=/|$)", re.IGNORECASE)


class Door:
    """The ASGI application of one org."""

    def __init__(self, org: Org) -> None:
        self.org = org

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"this door speaks HTTP only, not {scope['type']}")
        path = _normal_path(scope)
        ask = _ask(self.org, scope, path=path)
        if not is_visitor(ask.headers, self.org.config.host):
            await _send(_STRANGER, scope, receive, _dated(self.org, send))
            return
        try:
            if is_upload(ask.method, path):
                await self._serve_upload(ask, scope, receive, send)
                return
            ask = replace(ask, body=await Request(scope, receive).body())
        except ClientDisconnect:
            return
        if is_packed(ask) and not path.lower().startswith("/services/async/"):  # Bulk API 1.0 has a limit and words of its own
            ask = await run_in_threadpool(unpacked, ask)
        if path.lower().startswith("/__emulator__"):
            answer = await run_in_threadpool(self._administer, ask)
            await _send(answer, scope, receive, _dated(self.org, send))
        else:
            await self._serve(ask, scope, receive, send)

    async def _serve_upload(self, ask: Ask, scope: Scope, receive: Receive, send: Send) -> None:
        encoding, most = ask.headers.get("content-encoding", ""), self.org.config.bulk_upload_bytes
        async with spooled(Request(scope, receive).stream(), self.org.folder, encoding=encoding, most_bytes=most) as upload:
            await self._serve(replace(ask, upload=upload), scope, receive, send)

    async def _serve(self, ask: Ask, scope: Scope, receive: Receive, send: Send) -> None:
        strike = Strike(self.org.faults.take(ask.method, ask.path, target=Target(ask)))
        recorder = _Recorder(ask, send, receive, strike)
        try:
            await _pause(strike.delay_s("before"))
            if strike.cuts("before"):
                await recorder.hang_up()
                return
            too_long = _head_bytes(scope) > HEAD_BYTES
            answer = _TOO_LONG if too_long else await run_in_threadpool(self._work, ask, strike)
            if ask.upload is not None:
                ask.upload.discard()  # before the answer leaves: whoever was refused finds nothing left behind
            await _pause(strike.delay_s("after"))
            if recorder.loses(answer):
                await recorder.hang_up()
            else:
                await _send(answer, scope, receive, _dated(self.org, recorder.send))
        finally:
            recorder.record()

    def _work(self, ask: Ask, strike: Strike) -> Answer:
        self.org.late.settle()
        if strike.has("expire_session"):
            self.org.sessions.end(auth.presented(ask))
        answer = strike.told(ask, "before")
        if answer is None:
            with orders.given(strike.faults):
                answer = self._answer_late(ask, strike)
            answer = strike.told(ask, "after") or answer
        answer = strike.reshaped(answer, ask)
        if wants_gzip(ask.headers.get("accept-encoding", "")):
            answer = gzipped(answer)
        return strike.damaged(answer)

    def _answer_late(self, ask: Ask, strike: Strike) -> Answer:
        """The answer; what was written is seen later if a rule wants that."""
        rule = strike.late
        if rule is None or TRANSACTION_HEADER in ask.headers:
            return self._answer(ask)
        transaction = self.org.store.begin()
        self.org.late.keep(transaction, rule=rule.id, after_s=rule.seconds)
        return self._answer(replace(ask, headers={**ask.headers, TRANSACTION_HEADER: transaction}))

    def _answer(self, ask: Ask) -> Answer:
        try:
            route, params = matched(ROUTES, ask.path)
        except ApiError as refusal:
            return error_answer(refusal)
        answer = guarded(partial(self._enter, route, replace(ask, params=params)))
        header = self.org.limits.header(self.org.config.limit_info) if route.limited else None
        return answer.with_headers(("Sforce-Limit-Info", header)) if header else answer

    def _enter(self, route: Route, ask: Ask) -> Answer:
        if "version" in ask.params:
            check_version(ask.params["version"], self.org.config)
        if not route.is_open:
            ask = replace(ask, session=self.org.sessions.use(auth.bearer(ask)))
            self.org.limits.spend_request()
        check_unpacked(ask)
        check_media(ask)
        work, transaction = worker(route, ask), ask.headers.get(TRANSACTION_HEADER)
        if transaction is None:
            return work(ask)
        store = self.org.store
        with self.org.writing, store.database.lock, store.inside(transaction if transaction in store.transactions else None):
            return work(ask)  # a write into a transaction that is not open is refused by the writer

    def _administer(self, ask: Ask) -> Answer:
        def enter() -> Answer:
            self.org.late.settle()
            route, params = matched(ADMIN_ROUTES, ask.path)
            return worker(route, ask)(replace(ask, params=params))

        return guarded(enter)


class _Recorder:
    """Passes an answer on, counts it for the call log, and cuts or slows it where a fault wants that."""

    def __init__(self, ask: Ask, send: Send, receive: Receive, strike: Strike) -> None:
        self._ask = ask
        self._send = send
        self._receive = receive
        self._strike = strike
        self._left: int | None = None
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
            if self._strike.bytes_per_s:
                message = await self._sent_slowly(message, self._strike.bytes_per_s)
        await self._send(message)

    def loses(self, answer: Answer) -> bool:
        """Whether nothing of this answer goes out; one without a body has no middle. Asked once, before the first `send`."""
        self._left = self._strike.bytes_sent(answer)
        return self._strike.cuts("after") or (self._left is not None and answer.body == b"")

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
        kind = classify(ask.method, ask.path, body=ask.body)
        query = ask.headers.get(RAW_QUERY, "")
        fault = self._strike.names
        ask.org.calls.add(Call(ask.method, ask.path, query, self._status, self._started, seconds, self._bytes, kind, fault))

    async def _sent_slowly(self, message: Message, bytes_per_s: int) -> Message:
        """Send a body's bytes but the last, some at a time; the message that is left."""
        body = message.get("body", b"")
        step = max(1, bytes_per_s // _STEPS_PER_S)
        while len(body) > 1:
            piece, body = body[: min(step, len(body) - 1)], body[min(step, len(body) - 1) :]
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(len(piece) / bytes_per_s)
        return {**message, "body": body}

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


def _ask(org: Org, scope: Scope, *, path: str) -> Ask:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    method = str(scope["method"])
    if method == "POST":  # Source: REST API Developer Guide, "Using HTTP Methods": the way of clients that cannot send PATCH
        method = query.get("_HttpMethod", method).upper()
    headers[RAW_QUERY] = scope["query_string"].decode("latin-1")
    host = headers.get("host") or ":".join(map(str, scope["server"]))
    return Ask(org, method, path, query, headers, base_url=f"{scope['scheme']}://{host}")


def _normal_path(scope: Scope) -> str:
    raw = scope.get("raw_path") or scope["path"].encode()
    path = _DOMAIN_SEGMENT.sub("", raw.decode("latin-1"))
    return path.rstrip("/") or "/"


def _head_bytes(scope: Scope) -> int:
    line = len(scope["method"]) + len(scope.get("raw_path") or b"") + len(scope["query_string"]) + len("  HTTP/1.1\r\n")
    return line + sum(len(name) + len(value) + len(": \r\n") for name, value in scope["headers"])


async def _pause(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


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
