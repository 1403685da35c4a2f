"""The one seam for HTTP with Salesforce: a call goes out here or not at all.

    send / stream -> retry (full jitter, budget) -> renewal (a stale token is renewed, the call repeated) -> one exchange

Addresses are checked against the login's own origin, so a token never leaves for another host; redirects are not followed.
Bodies are asked for in gzip, read raw and decoded here, because the decoder of the HTTP library accepts a body that ends early.
"""

from __future__ import annotations

import json as json_text
import os
import re
import ssl
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import httpx2

from halocline import events
from halocline._version import __version__
from halocline.budget import Spend
from halocline.connectors.salesforce.errors import EXPIRED, http_date, network, refusal
from halocline.connectors.salesforce.quota import QUOTA_SHARE, Meter, Quota, Usage
from halocline.errors import BadQuery, FixConfig, HaloclineError, NetworkFailed, RetryLater, Stop
from halocline.halt import Halt
from halocline.hiding import scrub
from halocline.retry import PACE, POLICY, Pace, Policy
from halocline.retry import retry as repeated
from halocline.spool import storage

if TYPE_CHECKING:
    from halocline.connectors.salesforce.auth import Session, Token

T = TypeVar("T")

VERSION = "67.0"  # Summer '26
CONNECT_S = 10.0  # seconds to a connection; a healthy host answers in well under one
READ_S = 180.0  # seconds without a byte; a query may execute for 120 (SOQL and SOSL Reference, "SOQL Limits")
QUERY_JOBS = 3  # Bulk query jobs of one connection at a time; how many an org works on at once is not documented (unverified)
_TURN_S = 0.25  # seconds between two looks at whether waiting for a turn makes sense still
_RENEWALS = 3  # per call: with several threads a fresh token may go stale before it is used
_INFLATE_BYTES = 1 << 20  # decoded at a time, so that a body of nothing but zeros cannot fill the memory
_ERROR_BYTES = 1 << 20  # of an error body
REPLY_BYTES = 256 << 20
"""Of an answer that is held in memory, unpacked: a page of 2,000 records of many long texts has some tens of mebibytes."""
_SEND_BYTES = 1 << 20  # of a file at a time
ORG_OF_TOKEN = re.compile(r"(00D[A-Za-z0-9]{12})[A-Za-z0-9]{0,3}!")
_USAGE = re.compile(r"(?:^|[;,\s])api-usage=(\d+)/(\d+)")  # not the `per-app-api-usage=` that may follow
_VERSION = re.compile(r"\d{1,3}\.\d", re.ASCII)
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": f"halocline/{__version__}"}
_NOT_TLS = (
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
)  # OpenSSL before 3.2 and since, when the other side does not speak TLS
_OTHER_NAME = (62, 64)  # OpenSSL, X509_STORE_CTX_get_error(3): mismatch of the host's name, of its number
_LOOK = (
    "Whether it was done is not known, for the answer was lost, and doing it again could do it twice: look in Salesforce first."
    " An upsert by an external id may be repeated."
)
_LOOKED_AT_BYTES = 4_096  # of an answer that is not what was asked for, without secrets
_SHOWN_CHARS = 200  # of these
_DOTS = frozenset({".", ".."})
_GZIP = 31  # zlib's window bits for a gzip wrapper, whose CRC and length are then checked


@dataclass(frozen=True, slots=True)
class Reply:
    """An accepted answer: status, headers (any case), and the decoded body. `doing` opens the error of a bad body, and what it
    shows of the body is without `secrets`.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    doing: str = "Reading an answer"
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def json(self, *, parse_float: Callable[[str], object] = float) -> Any:
        """The body as JSON; `parse_float=Decimal` keeps numbers as they were written.

        Raises: NetworkFailed when it is not JSON: some host in between answered in Salesforce's place.
        """
        try:
            return json_text.loads(self.content, parse_float=parse_float)
        except (ValueError, RecursionError) as error:
            kind = self.headers.get("content-type", "no content type")
            hint = "Check instance_url: a browser's address or a proxy answers with pages, not data."
            # it was accepted, so what was asked for may have been done
            raise NetworkFailed(self.doing, f"expected JSON, got {kind}", hint=hint, status=self.status, in_doubt=True) from error

    def object(self, *names: str, parse_float: Callable[[str], object] = float) -> dict[str, Any]:
        """The body as a JSON object that has these names.

        Raises: NetworkFailed when it is something else: what is asked for with success is never answered with a list of errors.
        """
        told = self.json(parse_float=parse_float)
        if isinstance(told, dict) and all(name in told for name in names):
            return told
        shown = scrub(self.content[:_LOOKED_AT_BYTES].decode("utf-8", "replace"), self.secrets)[:_SHOWN_CHARS]
        hint = "Run it again; if it stays so, the answers are being changed on their way here."
        cause = f"expected {', '.join(names) or 'a JSON object'}, got {shown!r}"
        raise NetworkFailed(self.doing, cause, hint=hint, status=self.status, in_doubt=True)


class Stream:
    """An accepted answer whose body is read piece by piece, once."""

    def __init__(self, response: httpx2.Response, *, doing: str, halt: Halt | None = None) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._doing = doing
        self._halt = halt or Halt()

    def chunks(self) -> Iterator[bytes]:
        """The decoded bytes, in pieces of up to a mebibyte.

        Raises: NetworkFailed when the connection breaks, or the body ends early or fails its checksum. The pieces until then
        were handed out already: the caller throws them away and asks again.
        """
        host = self._response.url.host
        with network(self._doing, host, doubt=True):
            try:
                for piece in _decoded(self._response):
                    self._halt.check(self._doing)
                    yield piece
            except _DAMAGED as error:
                raise NetworkFailed(self._doing, f"{host} sent a damaged body ({error})", host=host, in_doubt=True) from error


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    doing: str
    params: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Path | None = None
    accept: tuple[int, ...] = (200,)
    safe: bool = True

    def may_repeat(self, error: RetryLater) -> bool:
        return not error.facts.get("permanent") and (self.safe or not error.facts.get("in_doubt"))


class Transport:
    """Calls to one org, with the right token, counted, repeated where that is harmless. Safe to share between threads.

    `quota_share` of the org's daily calls may be used up (by anyone) before calls are refused here; 1.0 means until Salesforce
    itself refuses. `sink` is told of waits and usage. An `http` client given stays the caller's to close.
    """

    def __init__(
        self,
        session: Session,
        *,
        version: str = VERSION,
        retry: Policy = POLICY,
        pace: Pace = PACE,
        connect_timeout_s: float = CONNECT_S,
        read_timeout_s: float = READ_S,
        sink: events.Sink | None = None,
        quota_share: float = QUOTA_SHARE,
        http: httpx2.Client | None = None,
    ) -> None:
        self.session = session
        self.version = _checked(version)
        self.base = f"/services/data/v{self.version}"
        self.server_time: datetime | None = None
        self._policy, self._pace = retry, pace
        self._sink = sink or events.silent
        self._quota = Quota(share=quota_share, clock=pace.clock)
        self._whole = self._meter = Meter()
        self._jobs = threading.BoundedSemaphore(QUERY_JOBS)
        self._spend: Spend | None = None
        self._halt = Halt()
        self._owned = http is None
        self._viewed: Transport | None = None  # held, so that it is not dropped while a view is at work
        self._http = http or http_client(connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s)
        for notice in session.notices:
            self._sink(events.Noticed(notice))

    @property
    def usage(self) -> Usage:
        """The calls made here (of a view: by this view), and the org's own count."""
        return Usage(self._meter.calls, *self._quota.told)

    def view(self, *, spend: Spend | None = None, halt: Halt | None = None, sink: events.Sink | None = None) -> Transport:
        """The same connection for one of its users, who counts the own calls: login, quota and turns for jobs are shared.

        `spend` is asked before each call; `halt` ends calls and waits; `sink` is told in the place of the own one. Closing a
        view closes nothing.
        """
        other = copy(self)
        other._owned, other._viewed = False, self
        other._meter = Meter(self._meter)
        other._spend = spend or self._spend
        other._sink = sink or self._sink
        if halt is not None:
            other._halt, other._pace = halt, halt.heard_by(self._pace)
        return other

    @contextmanager
    def turn(self, doing: str) -> Iterator[None]:
        """The right to have a Bulk query job at work, QUERY_JOBS of which there are at a time."""
        while not self._jobs.acquire(timeout=_TURN_S):
            self._halt.check(doing)
        try:
            yield
        finally:
            self._jobs.release()

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
        content: bytes | Path | None = None,
        headers: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (200,),
        doing: str = "",
        safe: bool = True,
        check: Callable[[Reply], Reply] | None = None,
    ) -> Reply:
        """The answer to one call, its body read and checked.

        `path` is absolute (`/services/data/...`), relative to `base`, or a whole address of this org's own origin.
        `safe=False` marks a call that must not be carried out twice: it is repeated only while Salesforce cannot have acted
        on it; else the error has `facts["in_doubt"]` True. `doing` opens error messages ("Describing Account"). A file given
        as `content` is sent piece by piece, from its beginning each time. `check` may refuse an answer that was accepted; what it
        raises is heeded like a refusal of Salesforce's.
        Raises: what the error tree says of the refusal; RetryLater when repeats did not help.
        """
        if json is not None:
            content = json_text.dumps(json).encode()
            headers = {"Content-Type": "application/json; charset=UTF-8", **(headers or {})}
        call = _Call(method, path, doing or f"{method} {path}", params or {}, headers or {}, content, accept, safe)
        return self._repeat(call, lambda: self._reply(call) if check is None else check(self._reply(call)))

    def send_once(self, method: str, path: str, **asked: Any) -> Reply:
        """As `send` with `safe=False`, for what nobody asks after: where the answer was lost, the error says to look first."""
        try:
            return self.send(method, path, safe=False, **asked)
        except RetryLater as error:
            if error.facts.get("in_doubt"):
                error.hint = _LOOK
            raise

    @contextmanager
    def stream(
        self, path: str, *, params: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None, doing: str = ""
    ) -> Iterator[Stream]:
        """The answer to a GET, to be read inside the `with` block; repeated and renewed like `send` until its head is there.

        Raises: as `send`; later, `Stream.chunks` raises NetworkFailed and the caller decides whether to ask again.
        """
        call = _Call("GET", path, doing or f"GET {path}", params or {}, headers or {})
        response = self._repeat(call, lambda: self._open(call))
        try:
            yield Stream(response, doing=call.doing, halt=self._halt)
        finally:
            response.close()

    def close(self) -> None:
        """Let go of the connections, unless the HTTP client was given. Idempotent."""
        if self._owned:
            self._http.close()

    def close_when_dropped(self) -> None:
        """Close also when neither this nor a view of it is held by anybody, or the process ends."""
        if self._owned:
            weakref.finalize(self, self._http.close)

    def _repeat(self, call: _Call, once: Callable[[], T]) -> T:
        def waiting(error: RetryLater, wait_s: float) -> None:
            self._sink(events.Waiting(error.cause, wait_s))

        return repeated(once, self._policy, again=call.may_repeat, waiting=waiting, pace=self._pace)

    def _reply(self, call: _Call) -> Reply:
        """One answer with all of its body."""
        response = self._open(call)
        try:
            content = b"".join(_bounded(Stream(response, doing=call.doing).chunks(), call.doing))
            return Reply(response.status_code, response.headers, content, call.doing, _sent(response))
        finally:
            response.close()

    def _open(self, call: _Call) -> httpx2.Response:
        """One accepted answer with its body unread; a stale token is renewed on the way."""
        if self._http.is_closed:
            raise FixConfig(call.doing, "its client is closed", hint="Ask before it is closed, or make another client.")
        for renewals_left in reversed(range(_RENEWALS + 1)):
            token = self.session.token()
            response = self._exchange(call, token)
            if response.status_code in call.accept:
                return _data(response, call)
            error = _refused(response, call)
            stale = response.status_code == 401 or error.code in EXPIRED or "Bad_OAuth_Token" in error.cause
            if not (stale and renewals_left):
                raise error
            self.session.renew(token)
        raise AssertionError("unreachable: the last round returns or raises")

    def _exchange(self, call: _Call, token: Token) -> httpx2.Response:
        """One request and the head of its answer, counted."""
        url = _address(call, token.instance_url, base=self.base)
        headers = {**_HEADERS, **call.headers, "Authorization": f"Bearer {token.access_token}"}
        number = self._spent(call, token)
        self._meter.count()
        try:
            with reaching(call.doing, urlsplit(token.instance_url).netloc), _body(call) as (content, length):
                request = self._http.build_request(call.method, url, headers={**headers, **length}, content=content)
                response = self._http.send(request, stream=True)
        except BaseException:
            self._quota.end(number, None, answered=False)
            raise
        self._note(number, response.headers)
        return response

    def _spent(self, call: _Call, token: Token) -> int:
        """The number of a call that quota and budget let go out; cleaning up (DELETE) is always within the quota."""
        self._halt.check(call.doing)
        number = self._quota.begin(call.doing, always=call.method == "DELETE")
        try:
            if self._spend is not None:
                self._spend(_org_of(token), call.doing)
        except BaseException:
            self._quota.end(number, None, answered=False)
            raise
        return number

    def _note(self, number: int, headers: Mapping[str, str]) -> None:
        """Remember the server's clock and the org's usage, where the answer tells them."""
        self.server_time = http_date(headers.get("date", "")) or self.server_time
        told = _USAGE.search(headers.get("sforce-limit-info", ""))
        self._quota.end(number, (int(told[1]), int(told[2])) if told else None)
        self._sink(events.ApiUsage(self._whole.calls, *self._quota.told))


def _checked(version: str) -> str:
    """The version as paths have it; `v67.0` is 67.0.

    Raises: FixConfig for a text that is none, which would be another path.
    """
    told = version.lower().removeprefix("v")
    if not _VERSION.fullmatch(told):
        raise FixConfig("Reading the API version", f"{version!r} is none", hint=f"Set version to one such as {VERSION}.")
    return told


def _bounded(pieces: Iterator[bytes], doing: str) -> Iterator[bytes]:
    """The pieces of a body that is held in memory.

    Raises: Stop for one that no answer of Salesforce is as large as: a few packed bytes expand without end.
    """
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > REPLY_BYTES:
            raise Stop(
                doing, f"the answer is larger than {REPLY_BYTES:,} bytes", hint="Check instance_url, and what lies between."
            )
        yield piece


def _sent(response: httpx2.Response) -> tuple[str, ...]:
    """The secrets that the request of an answer carried."""
    said = response.request.headers.get("authorization", "")
    return (said.removeprefix("Bearer "),) if said else ()


def _org_of(token: Token) -> str:
    """The org that a token is for, as far as the token shows it; else the host it is good for.

    Source: Salesforce Help, "OAuth 2.0 Web Server Flow": an opaque access token starts with the org's id and "!".
    """
    shown = ORG_OF_TOKEN.match(token.access_token)
    return shown[1] if shown else urlsplit(token.instance_url).netloc.lower()


def http_client(*, connect_timeout_s: float = CONNECT_S, read_timeout_s: float = READ_S) -> httpx2.Client:
    """An HTTP client with time-outs, without redirects; proxies as the environment says, but never for this machine itself.

    Raises: FixConfig when the certificates to trust cannot be read.
    """
    try:
        return httpx2.Client(
            timeout=httpx2.Timeout(read_timeout_s, connect=connect_timeout_s),
            follow_redirects=False,
            mounts={f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")},
        )
    except OSError as error:  # the library reads SSL_CERT_FILE, else SSL_CERT_DIR, as the client is made
        hint = "Check SSL_CERT_FILE: it must name a file of certificates in PEM form."
        raise FixConfig("Reading the certificates to trust", error.strerror or str(error), hint=hint) from error


@contextmanager
def reaching(doing: str, host: str) -> Iterator[None]:
    """As `network`, for a whole exchange: what no waiting mends is FixConfig, with `facts["permanent"]`.

    Raises: FixConfig for a certificate that is not trusted, and for a host that does not speak https; NetworkFailed.
    """
    try:
        with network(doing, host):
            yield
    except NetworkFailed as error:
        found = None if error.facts["in_doubt"] else _unmendable(host, error.__cause__)
        if found is None:
            raise
        cause, hint = found
        raise FixConfig(doing, cause, hint=hint, host=host, in_doubt=False, permanent=True) from error


def _unmendable(host: str, error: BaseException | None) -> tuple[str, str] | None:
    """What is wrong with a connection that will be just as wrong later, and what to do; None for all else."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(host, error)
    if isinstance(error, ssl.SSLError) and error.reason in _NOT_TLS:
        hint = (
            "Check host and port; if it is an emulator on this machine that speaks http, write http:// in front of the address."
        )
        return f"{host} does not speak https", hint
    return None


def _untrusted(host: str, error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    reason = getattr(error, "verify_message", "")
    cause = f"{host} shows a TLS certificate that this machine does not trust{f' ({reason})' if reason else ''}"
    if getattr(error, "verify_code", 0) in _OTHER_NAME:
        return cause, "Use an address that the certificate is made out to."
    hint = (
        "Let SSL_CERT_FILE name a PEM file with the authority that signed it, a company proxy's or an emulator's; "
        "it takes the place of the system's own."
    )
    return cause, hint


def gunzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The decoded bytes of a gzip body (one or several members), checksum and length checked.

    Raises: EOFError when it ends early; the decoder's own error when it is damaged.
    """
    member, begun = _inflate.decompressobj(wbits=_GZIP), False
    for piece in pieces:
        left = piece
        while left:
            if member.eof:
                member = _inflate.decompressobj(wbits=_GZIP)
            begun = True
            decoded: bytes = member.decompress(left, _INFLATE_BYTES)
            if decoded:
                yield decoded
            left = member.unused_data if member.eof else member.unconsumed_tail
    if begun and not member.eof:
        raise EOFError("it ends early")


def _decoder() -> tuple[ModuleType, tuple[type[Exception], ...]]:
    """The gunzip at hand, and what it raises: isal needs 2-2.7 times less CPU than zlib, and gunzip is what a bulk page costs."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib, (zlib.error,)
    broken: Any = isal_zlib.IsalError  # its stub declares an instance
    return isal_zlib, (broken, zlib.error)


_inflate, _BROKEN_GZIP = _decoder()
_DAMAGED: tuple[type[Exception], ...] = (EOFError, *_BROKEN_GZIP)
_LOST: tuple[type[Exception], ...] = (httpx2.TransportError, *_DAMAGED)


def _decoded(response: httpx2.Response) -> Iterator[bytes]:
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding in ("gzip", "x-gzip"):
        return gunzip(response.iter_raw())
    if encoding == "identity":
        return response.iter_raw()
    raise EOFError(f"it is encoded as {encoding}, which was not asked for")


@contextmanager
def _body(call: _Call) -> Iterator[tuple[bytes | Iterator[bytes] | None, dict[str, str]]]:
    """What is sent, and the header that says how long it is; a file is open while the block runs.

    Raises: StorageFailed when the file cannot be read.
    """
    if not isinstance(call.content, Path):
        yield call.content, {}
        return
    with storage(f"Opening {call.content.name} to send it"):
        file = call.content.open("rb")
    with file:
        yield iter(lambda: file.read(_SEND_BYTES), b""), {"Content-Length": str(os.fstat(file.fileno()).st_size)}


def _data(response: httpx2.Response, call: _Call) -> httpx2.Response:
    """The response, unless it is a web page that answers with a status for data (maintenance, a login page)."""
    if not response.headers.get("content-type", "").lower().startswith("text/html"):
        return response
    error = _refused(response, call)
    hint = "If it stays so, check instance_url: a browser's address or a proxy answers with pages, not data."
    raise RetryLater(call.doing, f"a web page came instead of data ({error.cause[:200]})", hint=hint, in_doubt=True)


def _refused(response: httpx2.Response, call: _Call) -> HaloclineError:
    content, lost = bytearray(), False
    try:
        for piece in _decoded(response):
            content += piece
            if len(content) > _ERROR_BYTES:
                break
    except _LOST:
        lost = True
    finally:
        response.close()
    status, host = response.status_code, response.url.host
    error = refusal(call.doing, status, headers=response.headers, content=bytes(content), host=host, secrets=_sent(response))
    if lost and status != 401 and not isinstance(error, RetryLater):
        # Which refusal it is stands in its words: it is asked for again. Below 500 nothing was carried out.
        cause = f"{host} refused with HTTP {status}, and the reason was lost on the way"
        return NetworkFailed(call.doing, cause, host=host, status=status, in_doubt=status >= 500)
    return error


def _address(call: _Call, instance_url: str, *, base: str) -> str:
    """The whole address of a call.

    Raises: Stop for an address on another origin: a token must not be sent where an answer's link happens to point; BadQuery for
    one with `..` in it, as an id or a key that is none would make it: the call would mean something else.
    """
    if not _DOTS.isdisjoint(call.path.partition("?")[0].split("/")):
        raise BadQuery(call.doing, "a piece of its path is . or .., which is no id and no key")
    if _is_whole(call.path):
        if _origin(call.path) != _origin(instance_url):
            raise Stop(
                call.doing, f"the address given is not on {urlsplit(instance_url).netloc}, and a token is not sent elsewhere"
            )
        url = call.path
    elif call.path.startswith("/"):
        url = instance_url + call.path
    else:  # Bulk's `contentUrl` comes without its leading slash
        url = f"{instance_url}/{call.path}" if call.path.startswith("services/") else f"{instance_url}{base}/{call.path}"
    query = urlencode({name: value for name, value in call.params.items() if value is not None}, quote_via=quote, safe="")
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url


def _is_whole(path: str) -> bool:
    """Whether a path is an address of its own; what cannot be taken apart is held for one, and then found to be foreign."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return True
    return bool(parts.scheme or parts.netloc)


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for an address that has none, or that brings a user name."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname and port and "@" not in parts.netloc else None
