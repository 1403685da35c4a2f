"""The seam for HTTP: counted, renewed, repeated where harmless, checked, and never to a stranger."""

from __future__ import annotations

import gzip
import random
import socket
import ssl
import threading
import traceback
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest
from tests.connectors.salesforce.loopback import (
    CANARY,
    Answer,
    Asked,
    Script,
    Server,
    StoppedClock,
    closed_port,
    refused,
    said,
    serving,
    session_for,
)

from halocline import events
from halocline.connectors.salesforce import transport as module
from halocline.connectors.salesforce.quota import QUOTA_FRESH_S
from halocline.connectors.salesforce.transport import Transport, gunzip, http_client
from halocline.errors import (
    FixConfig,
    HaloclineError,
    LoginRefused,
    NetworkFailed,
    QuotaExhausted,
    RetryLater,
    Stop,
)
from halocline.retry import Policy

OK = said({"ok": True})
EXPIRED = refused("INVALID_SESSION_ID", "Session expired or invalid", 401)
BUSY = refused("SERVER_UNAVAILABLE", "try again", 503)
TEXT = b"".join(b'"%d","a value with some length"\n' % n for n in range(20_000))


class World:
    """A transport to a scripted server, with a stopped clock and a list of events."""

    def __init__(self, server: Server, **options: object) -> None:
        self.server = server
        self.time = StoppedClock()
        self.told: list[events.Event] = []
        self.session, self.issued = session_for(server.url)
        settings: dict[str, object] = {"pace": self.time.pace, "sink": self.told.append, "retry": Policy(attempts=4), **options}
        self.transport = Transport(self.session, **settings)  # type: ignore[arg-type]  # a test's loose options

    def read(self, path: str = "jobs/query/750/results") -> bytes:
        with self.transport.stream(path, doing="Downloading") as stream:
            return b"".join(stream.chunks())


@contextmanager
def world(*script: Answer | Script, **options: object) -> Iterator[World]:
    with serving(*script) as server:
        made = World(server, **options)
        try:
            yield made
        finally:
            made.transport.close()


def zipped(text: bytes, *, level: int = 6, **changes: object) -> Answer:
    answer = Answer(200, gzip.compress(text, level), {"Content-Type": "text/csv", "Content-Encoding": "gzip"})
    return Answer(**{**answer.__dict__, **changes})


# ---- one call


def test_a_call_carries_the_token_and_asks_for_gzip_json() -> None:
    """The login's token, JSON and gzip go with every call; what the caller adds goes too."""
    with world(OK) as at:
        reply = at.transport.send("GET", "limits", headers={"Sforce-Query-Options": "batchSize=200"})
        (asked,) = at.server.asked
    assert reply.json() == {"ok": True}
    assert (asked.method, asked.target, asked.token) == ("GET", "/services/data/v67.0/limits", f"{CANARY}0")
    assert (asked.headers["Accept"], asked.headers["Accept-Encoding"]) == ("application/json", "gzip")
    assert asked.headers["Sforce-Query-Options"] == "batchSize=200"


def test_a_caller_cannot_replace_the_token() -> None:
    """Only the session decides who is calling."""
    with world(OK) as at:
        at.transport.send("GET", "limits", headers={"Authorization": "Bearer other"})
        assert at.server.asked[0].token == f"{CANARY}0"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("jobs/query", "/services/data/v58.0/jobs/query"),
        ("/services/data", "/services/data"),
        ("/services/data/v67.0/query/01g-2000", "/services/data/v67.0/query/01g-2000"),
        ("services/data/v66.0/jobs/ingest/750/batches", "/services/data/v66.0/jobs/ingest/750/batches"),
        ("/services/data/v58.0/jobs/query/750/results?locator=MTA", "/services/data/v58.0/jobs/query/750/results?locator=MTA"),
    ],
)
def test_a_path_is_relative_to_the_base_or_absolute(path: str, target: str) -> None:
    """The links that Salesforce gives, with and without a leading slash, lead where they say."""
    with world(OK, version="v58.0") as at:
        at.transport.send("GET", path)
        assert at.server.asked[0].target == target


def test_parameters_are_percent_encoded_and_join_a_query_that_is_there() -> None:
    """A blank is %20, nothing of a query can become a parameter of its own, None is left out."""
    with world(OK) as at:
        at.transport.send("GET", "query?x=1", params={"q": "SELECT Id FROM A WHERE N='a&b=c+d é'", "none": None, "n": 5})
        target = at.server.asked[0].target
    encoded = "SELECT%20Id%20FROM%20A%20WHERE%20N%3D%27a%26b%3Dc%2Bd%20%C3%A9%27"
    assert target == f"/services/data/v67.0/query?x=1&q={encoded}&n=5"


def test_a_body_travels_as_json_or_as_it_is() -> None:
    """`json` is encoded and labelled; `content` is sent byte for byte."""
    with world(OK) as at:
        at.transport.send("POST", "jobs/query", json={"operation": "query", "query": "Ä"})
        at.transport.send(
            "PUT", "jobs/ingest/750/batches", content=b"a,b\n", headers={"Content-Type": "text/csv"}, accept=(200, 201)
        )
        first, second = at.server.asked
    assert first.body == b'{"operation": "query", "query": "\\u00c4"}'
    assert first.headers["Content-Type"].startswith("application/json")
    assert (second.body, second.headers["Content-Type"]) == (b"a,b\n", "text/csv")


def test_only_accepted_statuses_are_answers() -> None:
    """204 is an answer to a caller who expects it, and an error to one who does not."""
    with world(Answer(204, b"")) as at:
        assert at.transport.send("DELETE", "jobs/query/750", accept=(204,)).content == b""
        with pytest.raises(Stop):
            at.transport.send("DELETE", "jobs/query/750")


def test_numbers_can_be_read_exactly() -> None:
    """`parse_float=Decimal` keeps the digits that a float would lose."""
    with world(Answer(200, b'{"n": 12345678901234567.89}', {"Content-Type": "application/json"})) as at:
        assert at.transport.send("GET", "x").json(parse_float=Decimal)["n"] == Decimal("12345678901234567.89")


def test_an_answer_that_is_not_json_says_so() -> None:
    """A proxy's text is not data; the error names the content type and no bytes of it."""
    with (
        world(Answer(200, b"Welcome!", {"Content-Type": "text/plain"})) as at,
        pytest.raises(NetworkFailed, match=r"^Listing objects: expected JSON, got text/plain"),
    ):
        at.transport.send("GET", "x", doing="Listing objects").json()


# ---- clock, usage, quota


def test_the_servers_clock_is_kept() -> None:
    """`server_time` is the Date header of the last answer, aware and in UTC; None before the first."""
    with world(said({}, Date="Sat, 21 Nov 2026 10:20:30 GMT"), said({}, Date="nonsense")) as at:
        assert at.transport.server_time is None
        at.transport.send("GET", "x")
        assert at.transport.server_time == datetime(2026, 11, 21, 10, 20, 30, tzinfo=UTC)
        at.transport.send("GET", "x")
        assert at.transport.server_time == datetime(2026, 11, 21, 10, 20, 30, tzinfo=UTC)


def test_usage_counts_every_request_and_remembers_the_orgs_count() -> None:
    """Repeats and refusals are calls too; a per-app count is not the org's."""
    extended = said(
        {}, Sforce_Limit_Info="per-app-api-usage=17/250(appName=x); api-usage=18/5000; per-app-api-usage=9/250(appName=y)"
    )
    with world(said({}, Sforce_Limit_Info="api-usage=17/5000"), BUSY, extended, OK) as at:
        at.transport.send("GET", "x")
        assert at.transport.usage == module.Usage(1, 17, 5000)
        at.transport.send("GET", "x")
        at.transport.send("GET", "x")
        assert at.transport.usage == module.Usage(4, 18, 5000)
        assert [event for event in at.told if isinstance(event, events.ApiUsage)][-1] == events.ApiUsage(4, 18, 5000)


def test_no_call_is_counted_twice_or_not_at_all_by_threads() -> None:
    """The count is exact when many threads share a transport."""
    with world(OK) as at, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: at.transport.send("GET", "x"), range(64)))
        assert at.transport.usage.calls == len(at.server.asked) == 64


def test_calls_stop_when_the_share_of_the_daily_quota_is_used() -> None:
    """The rest of the day's calls is left to others; cleaning up is still allowed; later one call looks again."""
    with world(said({}, Sforce_Limit_Info="api-usage=4750/5000"), quota_share=0.95) as at:
        at.transport.send("GET", "x")
        with pytest.raises(QuotaExhausted, match="4,750 of the org's 5,000") as caught:
            at.transport.send("GET", "x")
        assert (len(at.server.asked), at.time.slept) == (1, [])
        assert caught.value.exit_code == 75
        at.transport.send("DELETE", "jobs/query/750")
        at.time.now += QUOTA_FRESH_S
        at.transport.send("GET", "x")
        assert len(at.server.asked) == 3


def test_a_share_of_one_leaves_the_refusal_to_salesforce() -> None:
    """The guard can be switched off."""
    with world(said({}, Sforce_Limit_Info="api-usage=5001/5000"), quota_share=1.0) as at:
        at.transport.send("GET", "x")
        at.transport.send("GET", "x")
        assert len(at.server.asked) == 2


# ---- repeats


def test_a_busy_server_is_asked_again_and_the_wait_is_told() -> None:
    """5xx is repeated with jitter; `Retry-After` is kept; the sink hears of each wait before it."""
    with world(BUSY, said({}, 429, Retry_After="7"), OK) as at:
        assert at.transport.send("GET", "x").status == 200
        waits = [event for event in at.told if isinstance(event, events.Waiting)]
        assert [wait.after_s for wait in waits] == at.time.slept == [0.25, 7.5]
        assert "SERVER_UNAVAILABLE" in waits[0].reason


def test_a_server_that_stays_busy_ends_in_retry_later() -> None:
    """After the last attempt the error says what was done and what came back."""
    with world(BUSY) as at, pytest.raises(RetryLater, match="Describing Account: SERVER_UNAVAILABLE: try again") as caught:
        at.transport.send("GET", "x", doing="Describing Account")
    assert len(at.server.asked) == 4
    assert (caught.value.code, caught.value.facts["status"]) == ("SERVER_UNAVAILABLE", 503)


@pytest.mark.parametrize("sent", [-1, 0, 5])
def test_a_lost_reply_is_asked_for_again_only_where_that_is_harmless(sent: int) -> None:
    """A call that must not be carried out twice is left in doubt, not repeated."""
    lost = Answer(200, b'{"id": "750"}', {"Content-Type": "application/json"}, sent=sent)
    with world(lost, OK) as at:
        assert at.transport.send("GET", "x").status == 200
        assert len(at.server.asked) == 2
    with world(lost, OK) as at, pytest.raises(NetworkFailed) as caught:
        at.transport.send("POST", "jobs/query", json={}, safe=False)
    assert (len(at.server.asked), caught.value.facts["in_doubt"]) == (1, True)


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_refusal_whose_words_are_lost_is_asked_for_again(status: int) -> None:
    """What it refuses stands in its words; a refused call was not carried out, so even an unsafe one is repeated."""
    lost = Answer(status, b'[{"errorCode": "JSON_PARSER_ERROR", "message": "?"}]', {"Content-Type": "application/json"}, sent=9)
    with world(lost, OK) as at:
        assert at.transport.send("POST", "jobs/query", json={}, safe=False).status == 200
        assert len(at.server.asked) == 2
    with world(lost) as at, pytest.raises(NetworkFailed, match=f"HTTP {status}, and the reason was lost") as caught:
        at.transport.send("POST", "jobs/query", json={}, safe=False)
    assert caught.value.facts["in_doubt"] is False


def test_a_server_error_leaves_an_unsafe_call_in_doubt() -> None:
    """A 5xx may come from a proxy after the work was done."""
    with world(BUSY, OK) as at, pytest.raises(RetryLater) as caught:
        at.transport.send("POST", "jobs/query", json={}, safe=False)
    assert (len(at.server.asked), caught.value.facts["in_doubt"]) == (1, True)


def test_what_was_surely_not_carried_out_is_repeated_even_when_unsafe() -> None:
    """A refusal for too many calls at once, or for a stale token, did nothing."""
    crowded = refused("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.", 403)
    with world(crowded, EXPIRED, OK) as at:
        assert at.transport.send("POST", "jobs/query", json={}, safe=False).status == 200
        assert len(at.server.asked) == 3


def test_a_refused_connection_is_tried_again_and_leaves_no_doubt() -> None:
    """Nobody heard the call: even an unsafe one is tried again, and is not in doubt at the end."""
    session, _ = session_for(f"http://127.0.0.1:{closed_port()}")
    time = StoppedClock()
    transport = Transport(session, pace=time.pace, retry=Policy(attempts=3))
    with pytest.raises(NetworkFailed, match=r"127\.0\.0\.1:\d+ refused the connection") as caught:
        transport.send("POST", "jobs/query", json={}, safe=False, doing="Creating a job")
    transport.close()
    assert (len(time.slept), caught.value.facts["in_doubt"]) == (2, False)


def test_a_daily_limit_is_not_waited_for() -> None:
    """An hour's sleep is the caller's decision."""
    with world(refused("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", 403)) as at, pytest.raises(QuotaExhausted):
        at.transport.send("GET", "x")
    assert (len(at.server.asked), at.time.slept) == (1, [])


def test_a_server_that_says_nothing_is_given_up_on() -> None:
    """No call waits for ever."""
    forever = threading.Event()
    with world(Answer(hold=forever), read_timeout_s=0.1, retry=Policy(attempts=1)) as at:
        with pytest.raises(NetworkFailed, match="sent nothing for too long") as caught:
            at.transport.send("GET", "x")
        forever.set()
    assert caught.value.facts["in_doubt"] is True


def test_a_web_page_is_not_data() -> None:
    """A maintenance page with status 200 is repeated, then an error with the page's words."""
    page = Answer(200, b"<html><style>p{}</style><h1>Down for maintenance</h1></html>", {"Content-Type": "text/html"})
    with world(page, OK) as at:
        assert at.transport.send("GET", "x").json() == {"ok": True}
    with world(page) as at, pytest.raises(RetryLater, match="Down for maintenance"):
        at.read()


# ---- renewal


@pytest.mark.parametrize(
    "stale",
    [
        EXPIRED,
        refused("INVALID_JWT_FORMAT", "invalid token", 401),
        Answer(401, b"", {"WWW-Authenticate": "Token"}),
        Answer(403, b"Bad_OAuth_Token", {"Content-Type": "text/html;charset=UTF-8"}),  # /services/oauth2/userinfo
        refused("InvalidSessionId", "Invalid session id", 400),
        Answer(
            400,
            b'<?xml version="1.0"?><error xmlns="http://www.force.com/2009/06/asyncapi/dataload">'
            b"<exceptionCode>InvalidSessionId</exceptionCode><exceptionMessage>Invalid session id</exceptionMessage></error>",
            {"Content-Type": "application/xml"},
        ),
    ],
)
def test_a_stale_token_is_renewed_and_the_call_repeated(stale: Answer) -> None:
    """REST says 401, Bulk 400 with InvalidSessionId; calls and downloads go on with a new token, without a wait."""
    with world(stale, OK) as at:
        assert at.transport.send("POST", "jobs/query", json={}, safe=False).status == 200
        assert [asked.token for asked in at.server.asked] == [f"{CANARY}0", f"{CANARY}1"]
        assert at.time.slept == []
    with world(stale, zipped(TEXT)) as at:
        assert at.read() == TEXT
        assert len(at.issued) == 2


def test_threads_with_the_same_stale_token_cause_one_login() -> None:
    """Eight refusals of one token are one renewal."""
    together = threading.Barrier(8)

    def answer(asked: Asked) -> Answer:
        if asked.token != f"{CANARY}0":
            return OK
        together.wait(30.0)
        return EXPIRED

    with world(answer, quota_share=1.0) as at, ThreadPoolExecutor(8) as pool:  # else one call would look first
        replies = list(pool.map(lambda _: at.transport.send("GET", "x").status, range(8)))
        assert (replies, len(at.issued)) == ([200] * 8, 2)


def test_a_token_refused_again_and_again_ends_in_login_refused() -> None:
    """A renewal that does not help is not repeated for ever."""
    with world(EXPIRED) as at, pytest.raises(LoginRefused, match="Session expired or invalid") as caught:
        at.transport.send("GET", "x")
    assert len(at.server.asked) == len(at.issued) == 4
    assert caught.value.exit_code == 2


# ---- strangers


@pytest.mark.parametrize(
    "path",
    [
        "{other}/services/data",
        "//{host}/x",
        "https://127.0.0.1:1/x",
        "https:{host}",
        "ftp://{host}/x",
        "http://127.0.0.1:x/",
        "//[x",
        "http://u@{own}/x",
    ],
)
def test_a_token_is_never_sent_to_another_origin(path: str) -> None:
    """Other host, other port or other scheme: refused before anything is sent."""
    with serving(OK) as stranger, world(OK) as at:
        address = path.format(other=stranger.url, host=stranger.url[7:], own=at.server.url[7:])
        with pytest.raises(Stop, match="the address given is not on"):
            at.transport.send("GET", address)
        with pytest.raises(Stop), at.transport.stream(address):
            pass
        assert stranger.asked == at.server.asked == []


def test_a_whole_address_of_our_own_org_is_followed() -> None:
    """Only the origin matters."""
    with world(OK) as at:
        at.transport.send("GET", f"{at.server.url}/services/data/v67.0/query/01g")
        assert at.server.asked[0].target == "/services/data/v67.0/query/01g"


def test_redirects_are_not_followed() -> None:
    """A redirect would take the token along; the error names where it pointed."""
    with serving(OK) as stranger, world(Answer(302, b"", {"Location": f"{stranger.url}/login"})) as at:
        with pytest.raises(FixConfig, match=r"redirect to 127\.0\.0\.1"):
            at.transport.send("GET", "x")
        assert stranger.asked == []


def test_this_machine_is_never_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment must not see calls to an emulator on this machine."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{closed_port()}")
    with world(OK) as at:
        assert at.transport.send("GET", "x").status == 200


# ---- bodies


@pytest.fixture(params=["isal", "zlib"])
def _decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both decoders must obey the same laws."""
    if request.param == "zlib":
        monkeypatch.setattr(module, "_inflate", zlib)


@pytest.mark.usefixtures("_decoder")
def test_a_zipped_body_arrives_as_it_was() -> None:
    """One member, several members, nothing at all, or not zipped: the bytes are the same."""
    several = Answer(200, gzip.compress(TEXT[:1000]) + gzip.compress(b"") + gzip.compress(TEXT[1000:]), zipped(b"").headers)
    with world(zipped(TEXT), several, zipped(b""), Answer(200, TEXT, {"Content-Type": "text/csv"})) as at:
        assert [at.read(), at.read(), at.read(), at.read()] == [TEXT, TEXT, b"", TEXT]


@pytest.mark.usefixtures("_decoder")
@pytest.mark.parametrize("size", [1, 7, 1000, 10**9])
def test_members_may_end_anywhere(size: int) -> None:
    """The borders of network pieces mean nothing to the decoder."""
    packed = gzip.compress(TEXT[:5000]) + gzip.compress(TEXT[5000:9000])
    pieces = (packed[start : start + size] for start in range(0, len(packed), size))
    assert b"".join(gunzip(pieces)) == TEXT[:9000]


@pytest.mark.usefixtures("_decoder")
def test_a_small_body_cannot_blow_up_in_memory() -> None:
    """A body of zeros is decoded a mebibyte at a time, though a kilobyte of it holds a million bytes."""
    sizes = [len(piece) for piece in gunzip(iter([gzip.compress(bytes(9 << 20))]))]
    assert (max(sizes), sum(sizes)) == (1 << 20, 9 << 20)


def flipped(body: bytes, at: int) -> bytes:
    return body[:at] + bytes((body[at] ^ 0x55,)) + body[at + 1 :]


PACKED = gzip.compress(TEXT)
DAMAGED: dict[str, Answer] = {
    "the line is cut in a zipped body": zipped(TEXT, sent=len(PACKED) // 2),
    "the line is cut in a plain body": Answer(200, TEXT, {"Content-Type": "text/csv"}, sent=len(TEXT) - 1),
    "a zipped body is short though its length is right": zipped(TEXT, body=PACKED[: len(PACKED) // 2]),
    "the checksum is missing": zipped(TEXT, body=PACKED[:-8]),
    "the checksum is wrong": zipped(TEXT, body=flipped(PACKED, len(PACKED) - 8)),
    "the length is wrong": zipped(TEXT, body=flipped(PACKED, len(PACKED) - 2)),
    "a byte in the middle is wrong": zipped(TEXT, body=flipped(PACKED, len(PACKED) // 2)),
    "it is not gzip": zipped(TEXT, body=b"plain text, not gzip at all"),
    "the encoding was not asked for": Answer(200, b"x", {"Content-Type": "text/csv", "Content-Encoding": "br"}),
    "a chunked body has no end": Answer(
        200, b"5\r\nabcde\r\n", {"Content-Type": "text/csv", "Content-Length": "", "Transfer-Encoding": "chunked"}, sent=10
    ),
}


@pytest.mark.usefixtures("_decoder")
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_body_is_never_taken_for_whole(damage: str) -> None:
    """A stream ends in NetworkFailed; a call is repeated until the body is whole."""
    with world(DAMAGED[damage]) as at, pytest.raises(NetworkFailed, match="Downloading"):
        at.read()
    with world(DAMAGED[damage], zipped(TEXT)) as at:
        assert at.transport.send("GET", "x").content == TEXT
        assert len(at.server.asked) == 2


def test_a_stream_shows_its_head_before_its_body() -> None:
    """Status and headers (in any case) are there before a byte is read."""
    page = zipped(TEXT, headers={"Content-Type": "text/csv", "Content-Encoding": "gzip", "Sforce-Locator": "MTA"})
    with world(page) as at, at.transport.stream("x", params={"maxRecords": 5}, headers={"Accept": "text/csv"}) as stream:
        assert (stream.status, stream.headers["sforce-locator"], stream.headers["SFORCE-LOCATOR"]) == (200, "MTA", "MTA")
        assert b"".join(stream.chunks()) == TEXT
        assert (at.server.asked[0].headers["Accept"], at.server.asked[0].query) == ("text/csv", {"maxRecords": "5"})


def test_a_stream_is_asked_for_again_until_its_head_is_there() -> None:
    """Before the first byte a stream is as patient as a call."""
    with world(Answer(sent=-1), BUSY, zipped(TEXT)) as at:
        assert at.read() == TEXT
        assert len(at.server.asked) == 3


def test_a_stream_left_early_frees_its_connection() -> None:
    """Leaving the block closes what was not read; the next call works."""
    with world(zipped(random.Random(5).randbytes(5_000_000), level=0), OK) as at:
        with at.transport.stream("x") as stream:
            next(stream.chunks())
        assert at.transport.send("GET", "x").status == 200


def test_the_readers_own_error_is_not_taken_for_the_networks() -> None:
    """What the caller raises while reading passes through as it is."""

    def spool(piece: bytes) -> int:
        raise OSError(f"disk full before {len(piece)} bytes")

    with world(zipped(TEXT)) as at, pytest.raises(OSError, match="disk full"), at.transport.stream("x") as stream:
        sum(map(spool, stream.chunks()))


def test_a_client_that_was_given_stays_open() -> None:
    """Whoever made the HTTP client closes it."""
    with serving(OK) as server, http_client() as http:
        session, _ = session_for(server.url)
        Transport(session, http=http).close()
        assert Transport(session, http=http).send("GET", "x").status == 200


# ---- secrets


@pytest.mark.parametrize(
    "script",
    [
        refused("INVALID_SESSION_ID", f"Session {CANARY}0 expired", 401),
        refused("MALFORMED_QUERY", f"near Bearer {CANARY}0"),
        Answer(500, f"<p>{CANARY}0</p>".encode()),
        Answer(sent=-1),
        Answer(200, b"<html></html>", {"Content-Type": "text/html"}),
        Answer(302, b"", {"Location": "https://elsewhere.example/"}),
    ],
)
def test_no_error_tells_the_token(script: Answer) -> None:
    """Not in the message, not in its facts, not in a printed traceback: even when the server says it."""
    with world(script, retry=Policy(attempts=1)) as at, pytest.raises(HaloclineError) as caught:
        at.transport.send("GET", "x")
    printed = "".join(traceback.format_exception(caught.value))
    assert "canary" not in printed + repr(caught.value) + repr(caught.value.facts)
    assert "canary" not in repr(at.transport) + repr(at.session) + repr(at.session.token())


# ---- what cannot be reached


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (lambda: _caused(httpx2.ConnectError("x"), socket.gaierror(-2, "Name or service not known")), "name service"),
        (lambda: httpx2.ConnectTimeout("x"), "did not answer in time"),
        (lambda: httpx2.ProxyError("x"), "through the proxy"),
    ],
)
def test_each_way_of_not_being_reached_is_told_apart(raised: Callable[[], Exception], words: str) -> None:
    """The message names the host and the kind of trouble; nothing was sent, so nothing is in doubt."""

    def handle(_: httpx2.Request) -> httpx2.Response:
        raise raised()

    session, _ = session_for("https://acme.my.salesforce.com")
    with httpx2.Client(transport=httpx2.MockTransport(handle)) as http:
        transport = Transport(session, http=http, retry=Policy(attempts=1))
        with pytest.raises(NetworkFailed, match=f"acme.my.salesforce.com .*{words}") as caught:
            transport.send("GET", "x")
    assert caught.value.facts["in_doubt"] is False
    assert caught.value.hint


def test_an_untrusted_certificate_is_not_tried_again() -> None:
    """It will be the same certificate in a second: a person must see to it, and nothing is in doubt."""
    tried: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        tried.append(str(request.url))
        raise _caused(httpx2.ConnectError("x"), ssl.SSLCertVerificationError("self-signed"))

    session, _ = session_for("https://acme.my.salesforce.com")
    with (
        httpx2.Client(transport=httpx2.MockTransport(handle)) as http,
        pytest.raises(FixConfig, match="TLS certificate") as caught,
    ):
        Transport(session, http=http, pace=StoppedClock().pace).send("GET", "x")
    assert len(tried) == 1
    assert (caught.value.exit_code, caught.value.facts["in_doubt"]) == (2, False)
    assert "SSL_CERT_FILE" in caught.value.hint


def test_certificates_that_cannot_be_read_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that is not there, or holds none: the variable that names it is said."""
    (tmp_path / "empty.pem").touch()
    for name in ("nowhere.pem", "empty.pem"):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
        with pytest.raises(FixConfig, match="certificates to trust") as caught:
            http_client()
        assert "SSL_CERT_FILE" in caught.value.hint


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error
