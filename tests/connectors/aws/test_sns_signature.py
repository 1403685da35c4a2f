"""Laws of SNS's signature: what SNS signed is taken, and nothing else. Keys and certificates are the tests' own."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from halocline.connectors.aws import SignatureCheck, certificates, sns_signature
from halocline.consume.handling.envelope import unwrap
from halocline.consume.topics import sns_endpoint
from halocline.consume.topics.sns_endpoint import SNSEndpoint
from halocline.errors import BadMessage, FixConfig, NetworkFailed

TOPIC = "arn:aws:sns:eu-west-1:123456789012:orders"
NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
CONFIRM = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=x&Token=y"
NOTICE = {
    "Type": "Notification",
    "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    "TopicArn": TOPIC,
    "Subject": "An order",
    "Message": 'Hello\n"world" \u00e4',
    "Timestamp": "2026-11-02T11:59:58.655Z",
    "SignatureVersion": "2",
    "SigningCertURL": URL,
    "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
    "MessageAttributes": {"iniesta_pass": {"Type": "String", "Value": "Order.placed"}},
}
CONFIRMATION = {
    **{name: value for name, value in NOTICE.items() if name not in ("Subject", "MessageAttributes", "UnsubscribeURL")},
    "Type": "SubscriptionConfirmation",
    "Token": "2336412f37",
    "SubscribeURL": CONFIRM,
}
UNSIGNED = ("MessageAttributes", "SignatureVersion", "SigningCertURL", "UnsubscribeURL")
# What is signed of a notification, written out: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html
NOTICE_SIGNED = (
    'Message\nHello\n"world" \u00e4\nMessageId\n22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324\nSubject\nAn order\n'
    f"Timestamp\n2026-11-02T11:59:58.655Z\nTopicArn\n{TOPIC}\nType\nNotification\n"
)


NO_MESSAGES = [
    *(b"", b"\xff\xfe", "hello", "[]", "null", '{"Type": "Other"}', '{"Type": ["Notification"]}', '{"Type": "Notification"}'),
    "[" * 99_999,
    *(json.dumps({**NOTICE, "Signature": "x", name: 1}) for name in ("Message", "Timestamp", "SigningCertURL")),
    *(json.dumps({**NOTICE, "Signature": "AA==", name: "\ud800"}) for name in ("Message", "MessageId", "Signature", "Timestamp")),
    *(json.dumps({**NOTICE, "Signature": "AA==", name: "\ud800"}) for name in ("TopicArn", "SigningCertURL", "SignatureVersion")),
    json.dumps({**NOTICE, "Signature": "AA==", "Subject": "\ud800"}),
    json.dumps({**NOTICE, "Signature": "ä"}),
    json.dumps({**NOTICE, "Signature": "x", "Timestamp": "soon"}),
    json.dumps({**NOTICE, "Signature": "?"}),
]


@lru_cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@lru_cache
def certificate(*, elliptic: bool = False) -> bytes:
    """A certificate of that key (or one of another kind), good for 30 days."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    own: Any = ec.generate_private_key(ec.SECP256R1()) if elliptic else key()
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1).public_key(own.public_key())
    made = made.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=30))
    return made.sign(own, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def signed(message: dict[str, Any], text: str | None = None) -> str:
    """The message with SNS's signature of `text`, or of what SNS signs of it."""
    if text is None:
        names = sorted(name for name in message if name not in UNSIGNED)
        text = "".join(f"{name}\n{message[name]}\n" for name in names)
    algorithm = {"1": hashes.SHA1(), "2": hashes.SHA256()}[message["SignatureVersion"]]
    signature = key().sign(text.encode(), padding.PKCS1v15(), algorithm)
    return json.dumps({**message, "Signature": base64.b64encode(signature).decode()})


class Fetched:
    """What is fetched, and from where."""

    def __init__(self, content: bytes = b"") -> None:
        self.urls: list[str] = []
        self._content = content or certificate()

    def __call__(self, url: str) -> bytes:
        self.urls.append(url)
        return self._content


def checking(fetched: Callable[[str], bytes] | None = None, **more: Any) -> SignatureCheck:
    return SignatureCheck([TOPIC], fetch=fetched or Fetched(), **{"now": NOW.timestamp, **more})


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("as_bytes", [True, False], ids=["bytes", "text"])
def test_what_sns_signed_is_taken(version: str, as_bytes: bool) -> None:
    """Of both versions, and a subject is signed where there is one."""
    body = signed({**NOTICE, "SignatureVersion": version}, NOTICE_SIGNED)
    assert checking().check(body.encode() if as_bytes else body)["Message"] == NOTICE["Message"]
    plain = {name: value for name, value in NOTICE.items() if name != "Subject"}
    assert checking().check(signed({**plain, "SignatureVersion": version}))["MessageId"] == NOTICE["MessageId"]


@pytest.mark.parametrize("name", ["Message", "MessageId", "Subject", "Timestamp", "Signature", "Type"])
def test_what_was_changed_on_its_way_is_refused(name: str) -> None:
    """Every part that is signed."""
    told = json.loads(signed(NOTICE))
    changed = {"Timestamp": "2026-11-02T11:59:59.655Z", "Type": "UnsubscribeConfirmation"}.get(name, "AAAA")
    with pytest.raises(BadMessage):
        checking().check(json.dumps({**told, "Token": "", "SubscribeURL": "", name: changed}))


def test_a_subject_cannot_be_slipped_in() -> None:
    """A message that was signed without one has none."""
    told = json.loads(signed({name: value for name, value in NOTICE.items() if name != "Subject"}))
    with pytest.raises(BadMessage, match="not that of SNS"):
        checking().check(json.dumps({**told, "Subject": "x"}))


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.org/SimpleNotificationService-0.pem",
        "https://evil.org/SimpleNotificationService-0.pem",
        "https://sns.s3-us-west-2.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.s3.amazonaws.com/SimpleNotificationService-0.pem",
        "https://evil.org@sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.org/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com/other.pem",
        "https://sns.eu-west-1.amazonaws.com/a/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem?x=.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem#",
        "https://sns.eu-west-1.amazonaws.com\\@evil.org/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com/\nSimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com\n.evil.org/SimpleNotificationService-0.pem",
        "file:///etc/passwd",
        "https://[/SimpleNotificationService-0.pem",
        "",
    ],
)
def test_a_certificate_from_elsewhere_is_not_even_fetched(url: str) -> None:
    """Whoever can name the certificate's host could sign anything, or have us call anybody."""
    fetched = Fetched()
    with pytest.raises(BadMessage, match="no address of SNS"):
        checking(fetched).check(signed({**NOTICE, "SigningCertURL": url}))
    assert fetched.urls == []


@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1", "ap-southeast-2", "cn-north-1", "us-isob-east-1"])
def test_every_region_may_sign(region: str) -> None:
    """China's ends in .cn."""
    ending = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    url = f"https://sns.{region}.{ending}/SimpleNotificationService-a1.pem"
    assert checking().check(signed({**NOTICE, "SigningCertURL": url}))


def test_a_stranger_s_topic_is_refused_before_anything_is_fetched() -> None:
    """Anybody may have a topic that SNS signs for."""
    fetched = Fetched()
    with pytest.raises(BadMessage, match="none of those that may speak here"):
        checking(fetched).check(signed({**NOTICE, "TopicArn": f"{TOPIC}2"}))
    assert fetched.urls == []


@pytest.mark.parametrize(("age", "is_taken"), [(3_899, True), (3_901, False), (-299, True), (-301, False)])
def test_a_message_is_good_for_as_long_as_sns_tries(age: int, is_taken: bool) -> None:
    """An hour and five minutes, and five minutes before its time; later it is somebody who plays it again."""
    body = signed({**NOTICE, "Timestamp": (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")})
    if is_taken:
        assert checking().check(body)
    else:
        with pytest.raises(BadMessage, match="s old"):
            checking().check(body)


def test_a_certificate_is_fetched_once() -> None:
    """For any number of messages, by any number of threads; another one is fetched too."""
    fetched, second = Fetched(), threading.Event()

    def fetch(url: str) -> bytes:
        content = fetched(url)
        if len(fetched.urls) > 1:
            second.set()
        second.wait(0.1)  # where a second thread fetches too, it does so now
        return content

    check = checking(fetch)
    threads = [threading.Thread(target=check.check, args=(signed({**NOTICE, "Message": str(n)}),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check.check(signed({**NOTICE, "SigningCertURL": URL.replace("eu-west-1", "eu-west-2")}))
    assert fetched.urls == [URL, URL.replace("eu-west-1", "eu-west-2")]


def test_a_certificate_out_of_its_time_or_of_another_kind_signs_nothing() -> None:
    """SNS's have keys of RSA, and are changed before they end."""
    body = signed(NOTICE)
    with pytest.raises(BadMessage, match="its certificate is good from"):
        checking(now=(NOW + timedelta(days=40)).timestamp, max_age_s=1e9).check(body)
    with pytest.raises(BadMessage, match="no key of RSA"):
        checking(Fetched(certificate(elliptic=True))).check(body)


def test_what_cannot_be_fetched_now_comes_again() -> None:
    """A false answer is not kept as the certificate: the next try of SNS, 20 seconds later, may have it, none before is asked."""
    answers, clock = [b"<html>", certificate()], [0.0]
    check = checking(lambda _url: answers.pop(0), clock=lambda: clock[0])
    for clock[0] in (0.0, 14.0):
        with pytest.raises(NetworkFailed, match="no certificate"):
            check.check(signed(NOTICE))
    assert len(answers) == 1
    clock[0] = 20.0
    assert check.check(signed(NOTICE))


def named(number: int) -> str:
    """A message whose certificate is at an address of its own."""
    return signed({**NOTICE, "SigningCertURL": URL.replace("0123", f"{number:04d}")})


def test_made_up_certificates_hold_nobody_up() -> None:
    """Each is asked for once, four at a time, none behind another; what is known already is not kept waiting by them."""
    at_once, ended = threading.Barrier(5), threading.Event()
    fetched = Fetched()

    def fetch(url: str) -> bytes:
        content = fetched(url)
        if url == URL:
            return content
        at_once.wait(10)  # passes only when four are here at the same time, and the test
        ended.wait(10)
        raise NetworkFailed("Fetching", "it answered 404")

    check = checking(fetch)
    assert check.check(signed(NOTICE))

    def refused(number: int) -> None:
        with pytest.raises(NetworkFailed, match="404"):
            check.check(named(number))

    threads = [threading.Thread(target=refused, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    at_once.wait(10)
    with pytest.raises(NetworkFailed, match="4 others are being fetched"):
        check.check(named(4))
    assert check.check(signed(NOTICE))
    ended.set()
    for thread in threads:
        thread.join()
    for number in range(4):
        refused(number)
    assert len(fetched.urls) == 5


def test_addresses_that_failed_are_forgotten_in_the_end() -> None:
    """Strangers fill no memory with them."""
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        raise NetworkFailed("Fetching", "it answered 404")

    known = certificates.Certificates(fetch, lambda: 0.0)
    for number in [*range(certificates._REMEMBERED + 1), certificates._REMEMBERED, 0]:
        with pytest.raises(NetworkFailed, match="404"):
            known.get(str(number))
    assert asked[-2:] == [str(certificates._REMEMBERED), "0"]
    assert len(known._failed) == certificates._REMEMBERED


def test_the_older_signature_can_be_refused() -> None:
    """SHA-1 is what a topic signs with until its SignatureVersion is 2."""
    check = checking(sha256_only=True)
    assert check.check(signed(NOTICE))
    with pytest.raises(BadMessage, match="Set SignatureVersion of the topic to 2"):
        check.check(signed({**NOTICE, "SignatureVersion": "1"}))


@pytest.mark.parametrize("body", NO_MESSAGES)
def test_what_is_no_message_of_sns_is_refused(body: str | bytes) -> None:
    """Whatever a stranger posts is one error."""
    with pytest.raises(BadMessage, match="Checking a message of SNS"):
        checking().check(body)


def test_a_subscription_is_confirmed_where_sns_says() -> None:
    """The address is signed; one that is not SNS's is not called."""
    fetched = Fetched()
    check = checking(fetched)
    check.confirm(check.check(signed(CONFIRMATION)))
    assert fetched.urls == [URL, CONFIRM]
    for url in (CONFIRM.replace("eu-west-1.amazonaws.com", "evil.org"), CONFIRM.replace("Confirm", "Un"), ""):
        with pytest.raises(BadMessage, match="no address of SNS"):
            check.confirm({"SubscribeURL": url})
    assert fetched.urls == [URL, CONFIRM]


def test_without_a_topic_there_is_no_check() -> None:
    """Neither none nor a text, whose letters would be the topics."""
    for topics in ([], TOPIC):
        with pytest.raises(FixConfig, match="which topics"):
            SignatureCheck(topics)


def test_an_endpoint_turns_posts_into_deliveries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notification is a delivery that handlers take, its id that of SNS; a confirmation is answered and is none."""
    fetched = Fetched()
    made = partial(SignatureCheck, fetch=fetched, now=NOW.timestamp)
    monkeypatch.setattr(sns_endpoint, "open_signature_check", made)
    endpoint = SNSEndpoint([TOPIC], sha256_only=True)
    delivery = endpoint.read(signed(NOTICE).encode())
    assert delivery is not None
    assert (delivery.id, delivery.handle) == (NOTICE["MessageId"], "")
    content = unwrap(delivery.body)
    assert (content.body, content.attributes, content.origin) == (NOTICE["Message"], {"iniesta_pass": "Order.placed"}, TOPIC)
    assert endpoint.read(signed(CONFIRMATION)) is None
    assert fetched.urls[-1] == CONFIRM
    assert endpoint.read(signed({**CONFIRMATION, "Type": "UnsubscribeConfirmation"})) is None
    assert fetched.urls[-1] == CONFIRM


def test_an_endpoint_asks_the_installed_aws() -> None:
    """Without AWS's variables or a network: a check needs no login."""
    with pytest.raises(BadMessage, match="no JSON"):
        SNSEndpoint([TOPIC]).read("raw")


@pytest.fixture
def web() -> Iterator[str]:
    """A web server: /file has something, /elsewhere points to it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response({"/file": 200, "/elsewhere": 302}.get(self.path, 404))
            self.send_header("Location", "/file")
            self.end_headers()
            self.wfile.write(b"content")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_is_fetched_is_what_lies_there(web: str) -> None:
    """An address that leads elsewhere is not followed, as its host was not checked."""
    assert sns_signature._fetched(f"{web}/file") == b"content"
    for path in ("elsewhere", "nothing"):
        with pytest.raises(NetworkFailed, match="it answered"):
            sns_signature._fetched(f"{web}/{path}")
    with pytest.raises(NetworkFailed, match="Fetching"):
        sns_signature._fetched("http://127.0.0.1:9/")
