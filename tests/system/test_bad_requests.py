"""The law of the door: whatever is sent, the answer is one of Salesforce's, soon and in that API's shape; the org stays whole."""

from __future__ import annotations

import base64
import json
import re
import socket
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from urllib.parse import urlsplit
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from halocline.emulator.dispatch import matched
from halocline.emulator.errors import ApiError
from halocline.emulator.objects import SObject
from halocline.emulator.query import prepare
from halocline.emulator.routes import ADMIN_ROUTES, ROUTES, Route
from halocline.emulator.server import Emulator, EmulatorConfig
from tests.emulator.conftest import SCHEMA
from tests.system.request_corpus import APP, PUBLIC_KEY, REFRESH, corpus, request_of
from tests.system.request_damage import damages
from tests.system.request_world import Request, V, World

ANSWER_S = 20.0  # the longest that an answer may take, on a machine that others use too
SHARE_OK = 0.15  # of all bad requests, at least so many are good enough to be worked on; else only the entrance was tested
SHARE_REFUSED = 0.25
SHARE_REACHING = 0.2  # of the bad requests made of one good request: so many get past what every request has to pass
ENTRANCE = frozenset({401, 404, 405, 406, 410, 415, 431})  # no session, no such path, method, version or language
LONGEST_TARGET = 65_535
UPLOAD = "/services/data/v66.0/jobs/ingest/750000000000000AAA/batches"
CORPUS = corpus()


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """One connection that stays open as long as the server lets it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (str(parts.hostname), int(parts.port or 80))
        self._open()

    def ask(self, request: Request) -> Reply:
        """Send a request, framed well, and read the whole answer.
        Raises: ConnectionError if the connection ends before the answer does, TimeoutError if nothing comes.
        """
        self._socket.sendall(head_of(request) + content_of(request))
        reply = self._reply(request.method)
        if reply.headers.get("connection") == "close":
            self.close()
            self._open()
        return reply

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _open(self) -> None:
        self._socket = socket.create_connection(self._address, timeout=ANSWER_S)
        self._file = self._socket.makefile("rb")

    def _reply(self, method: str) -> Reply:
        status = int(self._line().split(b" ")[1])
        headers: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if method == "HEAD" or status in (204, 304):
            return Reply(status, headers, b"")
        return Reply(status, headers, self._body(headers))

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return self._exactly(int(headers["content-length"]))
        pieces = []
        while size := int(self._line(), 16):
            pieces.append(self._exactly(size))
            self._line()
        self._line()
        return b"".join(pieces)

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection was dropped in the middle of an answer")
        return line[:-2]

    def _exactly(self, size: int) -> bytes:
        body = self._file.read(size)
        if len(body) < size:
            raise ConnectionError("the connection was dropped in the middle of an answer")
        return body


def head_of(request: Request) -> bytes:
    """Request line and headers, with those that every request has."""
    usual = {"Host": "127.0.0.1", "Accept-Encoding": "identity"}
    headers = {**usual, **request.headers}
    if headers.get("Transfer-Encoding") != "chunked":
        headers["Content-Length"] = str(len(request.body))
    lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def content_of(request: Request) -> bytes:
    """The body as the headers say that it travels."""
    if request.headers.get("Transfer-Encoding") != "chunked":
        return request.body
    cut = len(request.body) // 2
    pieces = [piece for piece in (request.body[:cut], request.body[cut:]) if piece]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.fixture(scope="module")
def lasting() -> Iterator[Emulator]:
    """One for all requests that change nothing."""
    with Emulator() as running:
        yield running


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    schema = tmp_path / "schema.yaml"
    schema.write_text(SCHEMA, encoding="utf-8")
    config = EmulatorConfig(
        schemas=(schema,),
        apps=(APP,),
        public_keys=(PUBLIC_KEY,),
        refresh_tokens=(REFRESH,),
        daily_api_requests=10_000_000,
        daily_query_jobs=10_000_000,
    )
    with Emulator(config) as running:
        yield running


@pytest.fixture
def world(emulator: Emulator) -> Iterator[World]:
    with closing(World(emulator)) as made:
        made.calm()
        yield made


def test_every_route_has_a_good_request(world: World) -> None:
    """Each path and each method that it knows: what is mutated below reaches every worker there is."""
    wanted = {(route.path, method) for route in (*ROUTES, *ADMIN_ROUTES) for method in _own_methods(route)}
    reached = set()
    for make in CORPUS.values():
        request = make(world)
        world.calm()
        route = route_of(request)
        assert route is not None
        reached.add((route.path, request.method))
    assert wanted - reached == set()


def test_the_good_requests_are_good(world: World) -> None:
    """Else their mutations would test nothing."""
    with closing(Line(world.emulator.url)) as line:
        for name, make in CORPUS.items():
            reply = line.ask(make(world))
            world.calm()
            assert reply.status in ((400, 404) if "nothing" in name else (200, 201, 202, 204, 302)), (name, reply)


def _own_methods(route: Route) -> list[str]:
    """The methods that the route knows; Bulk API 1.0 answers every method itself, most of them with a refusal."""
    if not route.path.startswith("/services/async"):
        return list(route.methods)
    return (
        ["GET"]
        if route.path.endswith(("{batch}", "/request", "/result", "{result}"))
        else ["GET", "POST"][route.path.endswith("/job") :]
    )


def route_of(request: Request) -> Route | None:
    """The route that the request's path leads to."""
    path = request.target.partition("?")[0].rstrip("/") or "/"
    try:
        return matched(ADMIN_ROUTES if path.lower().startswith("/__emulator__") else ROUTES, path)[0]
    except ApiError:
        return None


class Hunt:
    """Sends bad requests, judges each answer, and counts."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.line = Line(world.emulator.url)
        self.statuses: Counter[int] = Counter()
        self.sent: Counter[str] = Counter()
        self.reached: Counter[str] = Counter()

    def send(self, name: str, *, number: int, times: int) -> None:
        """Damage a good request so many times, send it, and judge."""
        dice = Random(number)
        request = CORPUS[name](self.world)
        for _ in range(times):
            request = dice.choice(damages(request))(dice, request)
        if _asks_for_much(request):
            return
        try:
            began = time.monotonic()
            reply = self.line.ask(request)
            assert time.monotonic() - began < ANSWER_S, "it took too long"
            judge(request, reply)
            if request.method == "PUT" and reply.status == 201:
                told = self.world.work_off(request.target)
                assert "InternalServerError" not in told, told
        except BaseException:
            self.line.close()
            self.line = Line(self.world.emulator.url)
            raise
        finally:
            self.world.calm()
        self.statuses[reply.status // 100] += 1
        self.sent[name] += 1
        self.reached[name] += reply.status not in ENTRANCE


def _asks_for_much(request: Request) -> bool:
    """Seeding a billion rows, or waiting for a billion seconds, is what it says and no harm."""
    heavy = request.target.lower().startswith(("/__emulator__/seed", "/__emulator__/faults"))
    return heavy and any(
        len(word) > 3 for word in "".join(c if c.isdigit() else " " for c in request.body.decode(errors="replace")).split()
    )


def judge(request: Request, reply: Reply) -> None:
    """Fails unless the answer is one that Salesforce could give."""
    route = route_of(request)
    is_soap = route is not None and route.path.startswith("/services/soap")
    assert reply.status < 500 or (is_soap and reply.status == 500), (reply.status, reply.body[:500])
    for broken in (b"UNKNOWN_EXCEPTION", b"unexpected error", b"InternalServerError"):
        assert broken not in reply.body, reply.body[:500]
    if reply.status < 400 or request.method == "HEAD":
        return
    if reply.headers.get("content-encoding") == "gzip":
        reply = Reply(reply.status, reply.headers, zlib.decompress(reply.body, 31))
    shape = _shape(request, route, reply)
    assert shape(reply), (reply.status, reply.headers, reply.body[:500])


def _shape(request: Request, route: Route | None, reply: Reply) -> Callable[[Reply], bool]:
    if reply.status == 431:
        return lambda answer: b"Bad Message 431" in answer.body
    if len(request.target) > LONGEST_TARGET:  # the web server itself refuses what no parser of addresses takes
        return lambda answer: answer.status == 400
    if reply.status == 403 and reply.headers["content-type"].startswith("text/plain"):  # a Host or an Origin of somebody else
        return lambda answer: b"no page of another site" in answer.body
    path = "" if route is None else route.path
    if path.startswith("/services/async"):
        return _is_classic
    if path.startswith("/services/soap") and reply.status == 500:
        return _is_fault
    if path.startswith(("/services/oauth2", "/id/")) and reply.status not in (404, 405):
        return _is_oauth
    if path.endswith("/composite/tree/{sobject}"):
        return lambda answer: _is_rest(answer) or json.loads(answer.body).keys() == {"hasErrors", "results"}
    return _is_rest


def _is_rest(reply: Reply) -> bool:
    entries = json.loads(reply.body)
    keys = {"message", "errorCode", "fields", "duplicateResult", "extendedErrorDetails"}
    is_json = reply.headers["content-type"].startswith("application/json")
    return (
        is_json
        and isinstance(entries, list)
        and bool(entries)
        and all({"message", "errorCode"} <= entry.keys() <= keys for entry in entries)
    )


def _is_classic(reply: Reply) -> bool:
    if reply.headers["content-type"] == "application/json":
        return list(json.loads(reply.body)) == ["exceptionCode", "exceptionMessage"]
    names = [child.tag.rpartition("}")[2] for child in fromstring(reply.body)]
    return reply.headers["content-type"] == "application/xml" and names == ["exceptionCode", "exceptionMessage"]


def _is_fault(reply: Reply) -> bool:
    ((fault,),) = fromstring(reply.body)
    return fault.tag == "{http://schemas.xmlsoap.org/soap/envelope/}Fault" and [child.tag for child in fault][:2] == [
        "faultcode",
        "faultstring",
    ]


def _is_oauth(reply: Reply) -> bool:
    if not reply.headers["content-type"].startswith("application/json"):
        return reply.body in (b"Bad_OAuth_Token", b"Missing_OAuth_Token") or b"<html" in reply.body.lower()
    return {"error", "error_description"} == json.loads(reply.body).keys()


def hunt(world: World, *, each: int) -> Hunt:
    """So many bad requests of each good one, from seeds that are always the same."""
    hunter = Hunt(world)
    for name in CORPUS:
        hunt_one(hunter, name, each=each)
    hunter.line.close()
    return hunter


def hunt_one(hunter: Hunt, name: str, *, each: int) -> None:
    @seed(zlib.crc32(name.encode()))
    @settings(max_examples=each, phases=[Phase.generate, Phase.shrink], database=None, suppress_health_check=list(HealthCheck))
    @given(number=st.integers(0, 2**32), times=st.integers(1, 3))
    def one(number: int, times: int) -> None:
        hunter.send(name, number=number, times=times)

    one()


def check_reach(hunter: Hunt, *, least: int) -> None:
    """Enough came through: of all, of what is done, of what is refused; and to each worker something that it could do."""
    total = sum(hunter.statuses.values())
    print(f"{total:,} bad requests: " + ", ".join(f"{count:,} x {status}xx" for status, count in sorted(hunter.statuses.items())))
    assert total >= least
    assert hunter.statuses[2] >= SHARE_OK * total
    assert hunter.statuses[4] >= SHARE_REFUSED * total
    shares = {name: hunter.reached[name] / sent for name, sent in hunter.sent.items() if "nothing" not in name}
    assert {name: share for name, share in shares.items() if share < SHARE_REACHING} == {}


def check_org(world: World) -> None:
    """The org works, no job broke, ids are unique and every reference leads to a record."""
    store = world.emulator.store
    org = world.emulator.org
    told = [job.error for job in org.jobs.all()] + [
        batch.message for job in org.bulk1.all() for batch in org.bulk1.batches(job.id)
    ]
    assert [one for one in told if one and "InternalServerError" in one] == []
    for sobject in store.catalog:
        ids = [row[0] for row in store.read(f'SELECT Id FROM "{sobject.name}"')]
        assert len(set(ids)) == len(ids)
        assert all(str(one).startswith(sobject.key_prefix) and len(one) == 18 for one in ids)
        check_references(world, sobject)
    assert prepare(store, "SELECT COUNT() FROM Account", all_rows=True).total_size() > 0


def check_references(world: World, sobject: SObject) -> None:
    """Every reference of every record leads to a record that is there, in the recycle bin or not."""
    store = world.emulator.store
    for field in sobject.fields.values():
        targets = [store.catalog.get(name) for name in field.reference_to]
        if field.type != "reference" or not all(targets):
            continue
        union = " UNION ALL ".join(f'SELECT Id FROM "{target.name}"' for target in targets if target)
        name = f'"{field.name}"'
        lost = store.read(f'SELECT Id, {name} FROM "{sobject.name}" WHERE {name} IS NOT NULL AND {name} NOT IN ({union})')
        assert lost == [], f"{sobject.name}.{field.name}"


DIGITS = "9" * 5_000  # more than Python turns into a number
LOCATOR = base64.b64encode(DIGITS.encode()).decode()
FROM = f"{V}/query?q=SELECT+Id+FROM+Account"
ROWS = f"{V}/composite/sobjects/Invoice__c/Number__c"
INVOICE = {"attributes": {"type": "Invoice__c"}}
ONCE_BROKEN = {
    "a key that is an object": ("PATCH", ROWS, {"records": [{**INVOICE, "Number__c": {"a": 1}}]}, "JSON_PARSER_ERROR"),
    "a key that is a list": ("PATCH", ROWS, {"records": [{**INVOICE, "Number__c": ["a"]}]}, "JSON_PARSER_ERROR"),
    "a huge LIMIT": ("GET", f"{FROM}+LIMIT+{DIGITS}", None, "MALFORMED_QUERY"),
    "a LIMIT beyond SQLite": ("GET", f"{FROM}+LIMIT+{2**64}", None, "MALFORMED_QUERY"),
    "far too many days": (
        "GET",
        f"{FROM}+WHERE+CreatedDate=LAST_N_DAYS:{DIGITS}",
        None,
        "MALFORMED_QUERY",
    ),
    "a huge LIMIT of a search": ("GET", f"{V}/search?q=FIND+{{abc}}+LIMIT+{DIGITS}", None, "MALFORMED_SEARCH"),
    "a huge locator": (
        "GET",
        f"{V}/jobs/query?queryLocator={LOCATOR}",
        None,
        "INVALID_QUERY_LOCATOR",
    ),
    "a list of odd names": ("POST", "/__emulator__/permissions", {"hide": [1.5]}, "EMULATOR_ADMIN"),
    "a count that is no count": ("POST", "/__emulator__/seed", {"counts": {"Account": 1e308}}, "EMULATOR_ADMIN"),
    "the end of time": ("POST", "/__emulator__/clock", {"advance_s": 1e12}, "EMULATOR_ADMIN"),
    "beyond the end of time": ("POST", "/__emulator__/clock", {"advance_s": "inf"}, "EMULATOR_ADMIN"),
    "before the beginning": ("POST", "/__emulator__/clock", {"freeze": "0001-01-01T00:00:00Z"}, "EMULATOR_ADMIN"),
    "an endless lock": ("POST", "/__emulator__/locks", {"id": "0015g00000000VVAAY", "seconds": "inf"}, "EMULATOR_ADMIN"),
}


@pytest.mark.parametrize("name", ONCE_BROKEN)
def test_what_once_broke_it_is_refused(name: str, world: World) -> None:
    """In Salesforce's words; rows of a collection each for itself."""
    method, target, body, code = ONCE_BROKEN[name]
    with closing(Line(world.emulator.url)) as line:
        reply = line.ask(request_of(world, method, target, body))
    (entry,) = json.loads(reply.body)
    assert (entry["errors"][0]["statusCode"] if "errors" in entry else entry["errorCode"]) == code


def test_a_huge_page_size_is_the_largest_one(world: World) -> None:
    """As any number above it."""
    world.locator()
    request = request_of(world, "GET", FROM)
    with closing(Line(world.emulator.url)) as line:
        reply = line.ask(replace(request, headers={**request.headers, "Sforce-Query-Options": f"batchSize={DIGITS}"}))
    assert json.loads(reply.body)["done"] is True


def test_a_number_that_no_integer_holds_is_compared_as_a_number(world: World) -> None:
    """It equals nothing, and that is no error."""
    world.account()
    for number in (DIGITS, 2**64):
        request = request_of(world, "GET", f"{FROM}+WHERE+NumberOfEmployees={number}")
        with closing(Line(world.emulator.url)) as line:
            assert json.loads(line.ask(request).body)["totalSize"] == 0


GOOD = b"GET /services/data HTTP/1.1\r\nHost: x\r\n\r\n"
CREATE = b"POST /services/oauth2/token HTTP/1.1\r\nHost: x\r\n"
NO_HTTP = {
    "noise": bytes(range(256)) * 8,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 600,
    "HTTP/0.9": b"GET /services/data\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another version": b"GET /services/data HTTP/9.9\r\nHost: x\r\n\r\n",
    "an unknown method": b"FETCH /services/data HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT login.salesforce.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path with a blank": b"GET /services data HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path with a null": b"GET /services/\x00data HTTP/1.1\r\nHost: x\r\n\r\n",
    "no path": b"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "a whole address": b"GET http://x/services/data HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header without a colon": b"GET /services/data HTTP/1.1\r\nHost x\r\n\r\n",
    "a header with a null": b"GET /services/data HTTP/1.1\r\nHost: x\x00\r\n\r\n",
    "a long header": b"GET /services/data HTTP/1.1\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    "many headers": b"GET /services/data HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    "a long path": b"GET /" + b"x" * 300_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a huge length": CREATE + b"Content-Length: 99999999999999999999999\r\n\r\nx",
    "a negative length": CREATE + b"Content-Length: -1\r\n\r\nx",
    "a length in words": CREATE + b"Content-Length: two\r\n\r\nxy",
    "two lengths": CREATE + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
    "length and chunks": CREATE + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no chunks": CREATE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n",
    "a huge chunk": CREATE + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nx",
    "another coding": CREATE + b"Transfer-Encoding: gzip\r\n\r\nx",
    "a websocket": b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\n\r\n",
}
HALVES = {
    "nothing": b"",
    "an empty line": b"\r\n",
    "half a head": b"GET /services/data HTTP/1.1\r\nHo",
    "half a body": CREATE + b"Content-Length: 100\r\n\r\ngrant_type=",
    "half a chunk": CREATE + b"Transfer-Encoding: chunked\r\n\r\n10\r\nx",
    "half an upload": b"PUT " + UPLOAD.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nName\n",
    "a promise": CREATE + b"Expect: 100-continue\r\nContent-Length: 10\r\n\r\n",
}


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_good_http_is_answered_all_the_same(name: str, lasting: Emulator) -> None:
    """With a status below 500; other clients notice nothing."""
    said = _said(lasting, NO_HTTP[name], waits=True)
    assert 200 <= int(said.removeprefix(b"HTTP/1.1 ")[:3]) < 500, said
    assert_alive(lasting)


@pytest.mark.parametrize("name", HALVES)
def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(name: str, lasting: Emulator) -> None:
    """Its connection ends, an upload of which half came is not kept, and other clients notice nothing."""
    assert b" 50" not in _said(lasting, HALVES[name], waits=False)[:20]
    assert_alive(lasting)  # which also means that the server has had time to see the other one leave
    assert [path.name for path in lasting.org.folder.iterdir() if path.name.startswith("upload-")] == []


def test_requests_that_wait_behind_each_other_are_all_answered(lasting: Emulator) -> None:
    """Sent in one go, they are answered in their order, the bad one in the middle too."""
    last = GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with _connected(lasting) as raw:
        raw.sendall(GOOD + GOOD.replace(b"data", b"nothing") + last)
        said = b"".join(_all_of(raw))
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", said) == [b"200", b"404", b"200"]


def assert_alive(emulator: Emulator) -> None:
    with closing(Line(emulator.url)) as line:
        assert line.ask(Request("GET", "/services/data")).status == 200


def _connected(emulator: Emulator) -> socket.socket:
    parts = urlsplit(emulator.url)
    return socket.create_connection((str(parts.hostname), int(parts.port or 80)), timeout=ANSWER_S)


def _said(emulator: Emulator, content: bytes, *, waits: bool) -> bytes:
    """What the server says until it ends the connection; a client that `waits` leaves only after the beginning of an answer."""
    with _connected(emulator) as raw:
        with suppress(ConnectionError):  # the server may have heard enough before the end
            raw.sendall(content)
        first = raw.recv(65_536) if waits else b""
        with suppress(OSError):
            raw.shutdown(socket.SHUT_WR)
        return first + b"".join(_all_of(raw))


def _all_of(raw: socket.socket) -> Iterator[bytes]:
    with suppress(ConnectionError):
        while piece := raw.recv(65_536):
            yield piece


@pytest.mark.timeout(300)
def test_no_request_breaks_the_emulator(world: World) -> None:
    """About seven hundred bad requests, spread over all workers."""
    hunter = hunt(world, each=5)
    check_reach(hunter, least=600)
    check_org(world)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_ten_thousand_requests_do_not_break_the_emulator(world: World) -> None:
    """The same law, ten thousand times."""
    hunter = hunt(world, each=90)
    check_reach(hunter, least=10_000)
    check_org(world)
