"""T26: no answer leads a token to another host, no page of another site is answered, and no small body becomes a large one."""

from __future__ import annotations

import gzip
import http.client
import json
import zlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from tests.connectors.salesforce.loopback import Answer, Asked, Script, said, serving
from tests.security.attacks import Attacks

from halocline.connectors.aws.sns_signature import _fetched
from halocline.connectors.salesforce import SalesforceClient, SessionAuthenticator, auth, transport
from halocline.connectors.salesforce.auth import token_at
from halocline.consume.watching.health import Health, HealthServer
from halocline.emulator.doors.visitors import is_visitor
from halocline.emulator.server import Emulator
from halocline.errors import HaloclineError, Stop
from halocline.retry import Policy
from halocline.testing.aws import FakeAWS

_OURS = "https://acme.my.salesforce.com"
INSTANCES = (
    *("https://evil.example", "https://acme.my.salesforce.com.evil.example", "https://salesforce.com.evil.example"),
    *(
        "https://acme.my.salesforce.com@evil.example",
        "https://evil.example#.salesforce.com",
        "https://evil.example?.salesforce.com",
    ),
    *("https://evil.example/.salesforce.com", "https://evil.example\\.salesforce.com", "https://evil.example\t.salesforce.com"),
    *("http://acme.my.salesforce.com", "ftp://acme.my.salesforce.com", "file:///etc/passwd", "//evil.example", "https://", ""),
    *(
        "https://169.254.169.254",
        "http://169.254.169.254",
        "https://127.0.0.1",
        "http://localhost:6379",
        "https://[::1]",
        "https://10.0.0.1",
    ),
    *(
        "https://2852039166",
        "https://0x7f.1",
        "https://[::ffff:169.254.169.254]",
        "https://metadata.google.internal",
        "https://salesforce.com",
    ),
    *(
        "https://evilsalesforce.com",
        "https://evil-force.com",
        "gopher://acme.my.salesforce.com",
        "https://acme.my.salesforce.com:x",
    ),
)
_LOGINS = ("https://login.salesforce.com", _OURS, "https://login.acme.example")


def test_instances_of_logins(attacks: Attacks) -> None:
    """A login leads to an org: a Salesforce's to one of Salesforce's, any other to no address inside of a network."""
    for login in _LOGINS:
        for instance in INSTANCES:
            if login == "https://login.acme.example" and instance in {"https://evil.example", "https://salesforce.com"}:
                continue  # a company's own login may lead to its own names, and nobody here knows which they are
            if login == "https://login.acme.example" and "evil" in instance and not any(odd in instance for odd in "@#?\\\t"):
                continue
            attacks.refused(
                f"{login}: {instance}", lambda login=login, instance=instance: token_at("token", instance, login_url=login)
            )
    for login, instance in (
        ("https://login.salesforce.com", _OURS),
        (_OURS, _OURS),
        ("https://test.salesforce.com", "https://acme--dev.sandbox.my.salesforce.com"),
        ("https://login.acme.example", _OURS),
        ("https://sf.acme.example:8443", "https://sf.acme.example"),
        ("http://127.0.0.1:8080", "http://localhost:8080"),
        ("https://10.0.0.7", "https://10.0.0.7"),
    ):
        assert token_at("token", instance, login_url=login).instance_url == instance


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_LOGIN_POLICY", Policy(attempts=1))


def test_links_in_answers(attacks: Attacks, once: None) -> None:
    """A link in an answer is followed on the login's own origin, or not at all: no other host hears of the token."""
    heard: list[Asked] = []

    def listen(asked: Asked) -> Answer:
        heard.append(asked)
        return said({"done": True, "records": [], "totalSize": 0})

    with serving(listen) as evil, serving(Answer()) as server:
        port = urlsplit(evil.url).port
        links = (
            *(evil.url, f"{evil.url}/services/data/v67.0/query/x", f"//127.0.0.1:{port}/x", f"http://user@127.0.0.1:{port}/x"),
            *(
                f"http:/\\127.0.0.1:{port}/x",
                f"http:\\\\127.0.0.1:{port}/x",
                f"\\\\127.0.0.1:{port}\\x",
                f"HTTP://127.0.0.1:{port}/x",
            ),
            *(
                f"@127.0.0.1:{port}/x",
                f":@127.0.0.1:{port}/x",
                f".127.0.0.1:{port}/x",
                f"//127.0.0.1:{port}\\@{server.url[7:]}/x",
            ),
            *(
                f"\t//127.0.0.1:{port}/x",
                f"http://[::ffff:127.0.0.1]:{port}/x",
                f"https://127.0.0.1:{port}/x",
                f"ftp://127.0.0.1:{port}",
            ),
        )
        for link in links:
            page = {"done": False, "totalSize": 2, "nextRecordsUrl": link, "records": [{"Id": "1"}]}
            server.script = _paged(page)
            client = SalesforceClient(SessionAuthenticator("token", server.url), retry=Policy(attempts=1))
            with pytest.raises((HaloclineError, ValueError)):
                list(client.query("SELECT Id FROM Account"))
            client.close()
            attacks.blocked(f"{link!r}: {[one.target for one in heard]}", not heard)
            heard.clear()
        for status in (301, 302, 303, 307, 308):
            server.script = _always(Answer(status, b"", {"Location": f"{evil.url}/services/data"}))
            for safe in (True, False):
                client = SalesforceClient(SessionAuthenticator("token", server.url), retry=Policy(attempts=1))
                with pytest.raises(HaloclineError):
                    client.transport.send("GET" if safe else "POST", "x", safe=safe)
                client.close()
                attacks.blocked(f"redirect {status}", not heard)


def test_what_goes_into_headers(attacks: Attacks) -> None:
    """A token or a version that would end a header, or the path, is refused before anything is sent."""
    with serving(said({"done": True, "records": [], "totalSize": 0})) as server:
        for token in ("a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "a b", "a\tb", " a", "a\x85b", "\u2028", "\ud800", "", "\u00fc"):

            def asked(token: str = token) -> object:
                client = SalesforceClient(SessionAuthenticator(token, server.url), retry=Policy(attempts=1))
                return list(client.query("SELECT Id FROM Account"))

            attacks.refused(f"a token {token!r}", asked)
            attacks.refused(
                f"a token of a login {token!r}", lambda token=token: token_at(token, server.url, login_url=server.url)
            )
        for version in ("67.0/../..", "67.0?x=1", "67.0\r\nX-Evil: 1", "../67.0", "67.0#", ""):

            def described(version: str = version) -> object:
                login = SessionAuthenticator("token", server.url)
                return SalesforceClient(login, version=version, retry=Policy(attempts=1)).describe("Account")

            attacks.refused(f"a version {version!r}", described)
        attacks.blocked(f"{[one.target for one in server.asked]}", not server.asked)


def test_certificates_that_lead_elsewhere(attacks: Attacks) -> None:
    """Nor is a redirect followed where a certificate of SNS is fetched, nor one with an address inside of a network."""
    with serving(said({})) as elsewhere, serving(Answer()) as server:
        for status in (301, 302, 303, 307, 308):
            for place in (f"{elsewhere.url}/x.pem", "//169.254.169.254/latest", "file:///etc/passwd"):
                server.script = _always(Answer(status, b"", {"Location": place}))
                attacks.refused(f"{status} to {place}", lambda: _fetched(f"{server.url}/x.pem"))
        attacks.blocked("it was followed", not elsewhere.asked)


def _always(answer: Answer) -> Script:
    return lambda _: answer


def _paged(page: object) -> Script:
    return lambda asked: said(page) if "q=" in asked.target else Answer(404)


_STRANGE_HOSTS = (
    "evil.example",
    "evil.example:80",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "salesforce.com.evil.example",
    "[",
)
_STRANGE_ORIGINS = (
    "https://evil.example",
    "null",
    "http://127.0.0.1.evil.example",
    "https://salesforce.com.evil.example",
    "http://[",
)
_WAYS = (
    ("GET", "/"),
    ("POST", "/"),
    ("POST", "/services/oauth2/token"),
    ("GET", "/__emulator__/faults"),
    ("DELETE", "/bucket/key"),
)


def _doors() -> Iterator[tuple[str, str]]:
    with Emulator() as emulator:
        yield "emulator", emulator.url
    with FakeAWS() as fake:
        yield "FakeAWS", fake.url
    with HealthServer(Health(["orders"]), "0") as health:
        yield "health", health.url


def test_pages_of_other_sites(attacks: Attacks) -> None:
    """A server on this machine answers neither to a name of another site that leads here, nor to a page of another site."""
    for name, url in _doors():
        for method, path in _WAYS if name != "health" else (("GET", "/metrics"), ("GET", "/live")):
            for host in _STRANGE_HOSTS:
                attacks.blocked(f"{name}: {method} {path} at {host}", _status(url, method, path, host) == 403)
            for origin in _STRANGE_ORIGINS if name != "health" else ():
                attacks.blocked(f"{name}: {method} {path} from {origin}", _status(url, method, path, origin=origin) == 403)
        for host in ("127.0.0.1", "localhost:1234", "[::1]:80"):
            assert _status(url, "GET", "/live", host) != 403, (name, host)
    assert is_visitor({"host": "evil.example"}, "0.0.0.0"), "who opens it to a network has it answer everybody there"


def _status(url: str, method: str, path: str, host: str | None = None, *, origin: str | None = None) -> int:
    line = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        line.putrequest(method, path, skip_host=True)
        line.putheader("Host", host or urlsplit(url).netloc)
        line.putheader("Content-Length", "0")
        if origin is not None:
            line.putheader("Origin", origin)
        line.endheaders()
        return line.getresponse().status
    finally:
        line.close()


def test_bodies_without_end(attacks: Attacks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that unpacks to more than an answer can have, is or is nested deeper than a parser goes, is an error of ours."""
    monkeypatch.setattr(transport, "REPLY_BYTES", 4 << 20)
    packed = gzip.compress(b"[" + b" " * (64 << 20) + b"]", 1)
    members = gzip.compress(b" " * (1 << 20)) * 64
    bodies: dict[str, Answer] = {
        "gzip": Answer(200, packed, {"Content-Encoding": "gzip", "Content-Type": "application/json"}),
        "many members of gzip": Answer(200, members, {"Content-Encoding": "gzip", "Content-Type": "application/json"}),
        "deep list": Answer(200, b"[" * 200_000 + b"]" * 200_000, {"Content-Type": "application/json"}),
        "deep object": Answer(200, b'{"a":' * 200_000 + b"1" + b"}" * 200_000, {"Content-Type": "application/json"}),
        "large number": Answer(200, b"9" * 100_000, {"Content-Type": "application/json"}),
        "large number in an object": Answer(
            200, b'{"done": true, "totalSize": ' + b"9" * 100_000 + b"}", {"Content-Type": "application/json"}
        ),
        "deflate": Answer(
            200, zlib.compress(b" " * 1_000_000), {"Content-Encoding": "deflate", "Content-Type": "application/json"}
        ),
        "refusal in gzip": Answer(400, packed, {"Content-Encoding": "gzip", "Content-Type": "application/json"}),
        "deep refusal": Answer(400, b"[" * 100_000, {"Content-Type": "application/json"}),
        "page of tags": Answer(500, b"<" * 1_000_000, {"Content-Type": "text/html"}),
        "page of scripts": Answer(500, b"<script" * 140_000, {"Content-Type": "text/html"}),
        "tokens that never end": Answer(400, json.dumps([{"message": "eyJ" * 300_000, "errorCode": "X"}]).encode()),
    }
    with serving(Answer()) as server:
        for what, body in bodies.items():
            server.script = _always(body)
            client = SalesforceClient(SessionAuthenticator("token", server.url), retry=Policy(attempts=1))
            attacks.refused(what, lambda client=client: client.transport.send("GET", "query").object("done"))
            client.close()
        server.script = _always(bodies["gzip"])
        client = SalesforceClient(SessionAuthenticator("token", server.url), retry=Policy(attempts=1))
        with pytest.raises(Stop, match="larger than"):
            client.transport.send("GET", "query")
        client.close()
