"""Laws of the connections that queues are asked on: what is an answer, what is none, and how a call is ended from outside."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, HTTPClientError, ReadTimeoutError, SSLError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.connectors.aws.servers import fake, new_queue

from halocline.connectors.aws import Access
from halocline.connectors.aws.lines import Lines
from halocline.connectors.aws.sqs import SQS, open_queue
from halocline.errors import NetworkFailed

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Answer = bytes | Callable[[socket.socket], None] | None


class Server:
    """Answers each request with the next of these: bytes, or what sends an answer; None closes the line, and so does the end."""

    def __init__(self, answers: list[Answer], tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.answers = answers
        self.requests: list[bytes] = []
        self.connections = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.socket.getsockname()[1]}/"

    def _serve(self) -> None:
        while self.answers:
            try:
                line, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            with suppress(OSError), self._secured(line) as talking:  # who reads no further closes while more is on its way
                self._talk(talking)

    def _secured(self, line: socket.socket) -> socket.socket:
        if self.tls is None:
            return line
        try:
            return self.tls.wrap_socket(line, server_side=True)
        except OSError:
            line.close()
            raise

    def _talk(self, line: socket.socket) -> None:
        while self.answers:
            request = b""
            while not request.endswith(b"body"):
                part = line.recv(1 << 16)
                if not part:
                    return
                request += part
            self.requests.append(request)
            answer = self.answers.pop(0)
            if answer is None:
                return
            if isinstance(answer, bytes):
                line.sendall(answer)
            else:
                answer(line)


@contextmanager
def served(*answers: Answer, tls: ssl.SSLContext | None = None, **config: Any) -> Iterator[tuple[Server, Lines]]:
    server = Server(list(answers), tls)
    access: dict[str, Any] = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    client = boto3.client("sqs", endpoint_url=server.url, config=Config(**config), **access)
    lines = Lines(client._endpoint.http_session, server.url)
    try:
        yield server, lines
    finally:
        server.answers.clear()
        server.socket.shutdown(socket.SHUT_RDWR)
        server.socket.close()
        del lines
        client.close()
        server.thread.join(5)


def ask(lines: Lines, **headers: str) -> tuple[int, bytes]:
    answer = lines.send(AWSPreparedRequest("POST", "ignored", {"Host": "h", **headers}, b"body", False))
    return answer.status_code, answer.content


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (OK, (200, b"{}")),
        (b"HTTP/1.1 503 Busy\r\ncontent-LENGTH:  4 \r\nX: y\r\n\r\nbusy", (503, b"busy")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", (200, b"{}")),
        (b"HTTP/1.1 204 None\r\n\r\n", (204, b"")),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: t\r\n\r\n",
            (200, b"abc0123456789"),
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000, (200, b"x" * 200_000)),
    ],
    ids=["plain", "busy", "continue", "no content", "chunks", "long"],
)
def test_an_answer_is_read_to_its_end_and_the_line_is_kept(answer: bytes, told: tuple[int, bytes]) -> None:
    """Asked twice, one connection; names of headers in any case."""
    with served(answer, answer) as (server, lines):
        assert [ask(lines), ask(lines)] == [told, told]
        assert server.connections == 1
        assert server.requests[0] == b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        OK + b"more",
    ],
    ids=["close", "old", "too much"],
)
def test_a_line_that_cannot_be_used_again_is_closed(answer: bytes) -> None:
    """The next call has one of its own."""
    with served(answer, OK) as (server, lines):
        assert ask(lines) == (200, b"{}")
        assert ask(lines) == (200, b"{}")
        assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["closed", "nothing", "other", "no number", "below zero", "endless", "no chunk"],
)
def test_what_is_no_answer_is_an_error_of_botocore(answer: bytes | None) -> None:
    """One that the gate tells as a broken network; the next call begins anew."""
    with served(answer, OK, read_timeout=0.2) as (_, lines), pytest.raises((ConnectionClosedError, ReadTimeoutError)):
        ask(lines)


def test_who_is_not_there_and_what_no_header_may_hold() -> None:
    """Told as botocore tells it."""
    with served(OK) as (server, lines):
        with pytest.raises(HTTPClientError, match="end of line"):
            ask(lines, Token="a\r\nb")
        nobody = Lines(lines._session, "http://127.0.0.1:1/")
        with pytest.raises(EndpointConnectionError):
            ask(nobody)
        assert server.requests == []


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context for 127.0.0.1, and the file that a client has to trust for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    trusted, private = folder / "trusted.pem", folder / "private.pem"
    trusted.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, private)
    return context, trusted


def test_a_certificate_is_checked_as_boto3_checks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody vouches for is refused before anything is sent; with AWS_CA_BUNDLE the line is opened, and kept."""
    tls, trusted = certificate(tmp_path)
    with served(OK, tls=tls) as (server, lines):
        with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(lines)
        assert server.requests == []
    monkeypatch.setenv("AWS_CA_BUNDLE", str(trusted))
    with served(OK, OK, tls=tls) as (server, lines):
        assert [ask(lines), ask(lines)] == [(200, b"{}")] * 2
        assert server.connections == 1


def test_a_call_is_cut_from_another_thread() -> None:
    """At the second time at once, and so is what the thread asks for until it is told; then its calls are sent again."""
    with served(b"", OK) as (server, lines):
        me = threading.get_ident()
        cutter = threading.Timer(0.05, lambda: (lines.cut(me), lines.cut(me)))
        with lines.calling():
            cutter.start()
            with pytest.raises(ConnectionClosedError):
                ask(lines)
            assert lines.is_cut
            with pytest.raises(ConnectionClosedError):
                ask(lines)
        lines.cut(me)
        assert not lines.is_cut
        server.answers[:] = [OK]
        assert ask(lines) == (200, b"{}")
        cutter.join()


@pytest.mark.parametrize("is_secured", [False, True], ids=["plain", "tls"])
def test_an_answer_that_is_on_its_way_is_read_when_the_call_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_secured: bool
) -> None:
    """The server has begun to send: the call is told what it says. Nothing more can be asked there: the next opens a line."""
    tls, trusted = certificate(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(trusted))
    me, cutting = threading.get_ident(), list[Lines]()
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000

    def answer(line: socket.socket) -> None:
        line.sendall(long[:50])
        cutting.pop().cut(me)
        line.sendall(long[50:])

    with served(answer, OK, tls=tls if is_secured else None) as (server, lines):
        cutting.append(lines)
        with lines.calling():
            assert ask(lines) == (200, b"x" * 200_000)
        assert ask(lines) == (200, b"{}")
        assert server.connections == 2


def test_a_poll_that_is_cut_takes_no_message_along() -> None:
    """It fails at once, without another try; what comes then is there for the next, and the queue goes on."""
    with fake() as aws:
        queue = open_queue(new_queue())
        cutter = threading.Timer(0.1, queue.cut, args=(threading.get_ident(),))
        cutter.start()
        with pytest.raises(NetworkFailed):
            queue.receive(1, wait_s=20)
        cutter.join()
        assert aws.calls.count("sqs.ReceiveMessage") == 1
        assert queue.receive(1, wait_s=0) == []


def test_behind_a_proxy_the_clients_own_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its session knows proxies; a poll cannot be cut there."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    queue = SQS(
        "http://sqs.example/1/queue", Access(endpoint="http://sqs.example", key_id="k", secret_key="s", region="us-east-1")
    )
    assert queue._wire._lines is None
    queue.cut(threading.get_ident())
