"""SNS's signature: whether what an HTTP endpoint was sent came from Amazon SNS, from a topic that is ours, and lately.

What is signed is the message, its subject, id, time and topic; message attributes are not. Raw deliveries are not signed at all.
That Amazon's authority issued the certificate is what the TLS of its host says: the file has the certificate alone, without those
that would lead to a root.
Source: "Verifying the signatures of Amazon SNS messages", read November 2026,
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html, and
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from halocline.connectors.aws.certificates import Certificates
from halocline.connectors.aws.errors import gate
from halocline.errors import BadMessage, FixConfig, NetworkFailed

MAX_AGE_S = 3_900.0
"""An hour, which is the longest that a delivery policy tries again, and five minutes between clocks.
Source: "Amazon SNS message delivery retries", https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html"""
_AHEAD_S = 300.0
_DOING = "Checking a message of SNS"
_RAW = "Set RawMessageDelivery of the subscription to false: SNS signs nothing that it delivers raw."
_CONFIRMS = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": _CONFIRMS,
    "UnsubscribeConfirmation": _CONFIRMS,
}
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {"1": hashes.SHA1, "2": hashes.SHA256}
_HOST = re.compile(r"sns\.[a-z]{2}(-[a-z]+)+-[0-9]{1,2}\.amazonaws\.com(\.cn)?")
"""Regions only: `sns.s3-us-west-2.amazonaws.com` is a bucket of whoever has the name `sns`."""
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9a-zA-Z]+\.pem")
_TIMEOUT_S = 10


class SignatureCheck:
    """Checks what SNS sends to an HTTP endpoint. Threads may share it; a certificate is fetched once.

    `topics` are the ARNs that may speak here. A message older than `max_age_s` is refused; within that time it can be played
    again by who has seen it, so remember its id. `sha256_only` refuses signatures of version 1, which a topic makes unless its
    `SignatureVersion` is 2. `fetch` gets what is at a URL, `now` is the time in seconds since 1970, `clock` one that nobody sets.
    Raises: FixConfig without a topic.
    """

    def __init__(
        self,
        topics: Collection[str],
        *,
        max_age_s: float = MAX_AGE_S,
        sha256_only: bool = False,
        fetch: Callable[[str], bytes] | None = None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if isinstance(topics, str) or not topics:
            raise FixConfig(_DOING, "it is not said which topics may speak here", hint="Give their ARNs in a list.")
        self._topics = frozenset(topics)
        self._max_age_s = max_age_s
        self._hashes = {"2": hashes.SHA256} if sha256_only else _HASHES
        self._fetch = _fetched if fetch is None else fetch
        self._now = now
        self._certificates = Certificates(self._fetch, clock)

    def check(self, body: str | bytes) -> Mapping[str, Any]:
        """The message that the body of a request is, read.

        Raises: BadMessage for what did not come from SNS, from another topic, or too long ago; NetworkFailed where the
        certificate cannot be fetched just now: to answer 503 has SNS deliver it again.
        """
        told = _read(body)
        kind = told["Type"]
        if told["TopicArn"] not in self._topics:  # before anything is fetched for a stranger
            raise BadMessage(_DOING, f"the topic {told['TopicArn'][:200]!r} is none of those that may speak here")
        self._refuse_old(told["Timestamp"])
        algorithm = self._hashes.get(told["SignatureVersion"])
        if algorithm is None:
            hint = "Set SignatureVersion of the topic to 2."
            raise BadMessage(_DOING, f"its signature is of version {told['SignatureVersion'][:10]!r}", hint=hint)
        signed = "".join(f"{name}\n{told[name]}\n" for name in _SIGNED[kind] if name in told)
        self._verify(told, _encoded(signed), algorithm())
        return told

    def confirm(self, told: Mapping[str, Any]) -> None:
        """Confirm the subscription that a checked `SubscriptionConfirmation` asks for; no login is needed.

        Raises: BadMessage where the address is not SNS's; NetworkFailed.
        """
        url = str(told.get("SubscribeURL", ""))
        if not _is_of_sns(url) or parse_qs(urlsplit(url).query).get("Action") != ["ConfirmSubscription"]:
            raise BadMessage("Confirming a subscription", f"{url[:200]!r} is no address of SNS for it")
        self._fetch(url)

    def _refuse_old(self, stamp: str) -> None:
        try:
            moment = datetime.fromisoformat(stamp)
            age = self._now() - (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError) as error:
            raise BadMessage(_DOING, f"its time {stamp[:40]!r} is none") from error
        if not -_AHEAD_S <= age <= self._max_age_s:
            raise BadMessage(_DOING, f"it is {age:.0f} s old, and may be {self._max_age_s:.0f}", hint="Look at the clock here.")

    def _verify(self, told: Mapping[str, Any], signed: bytes, algorithm: hashes.HashAlgorithm) -> None:
        url = told["SigningCertURL"]
        if not _is_of_sns(url) or not _CERTIFICATE.fullmatch(urlsplit(url).path) or "?" in url or "#" in url:
            raise BadMessage(_DOING, f"its certificate is at {url[:200]!r}, which is no address of SNS")
        certificate = self._certificates.get(url)
        moment = datetime.fromtimestamp(self._now(), UTC)
        first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not first <= moment <= last:
            raise BadMessage(_DOING, f"its certificate is good from {first} to {last}", hint="Look at the clock here.")
        key = certificate.public_key()
        try:
            if not isinstance(key, rsa.RSAPublicKey):
                raise BadMessage(_DOING, "its certificate has no key of RSA")
            key.verify(base64.b64decode(told["Signature"], validate=True), signed, padding.PKCS1v15(), algorithm)
        except (InvalidSignature, ValueError) as error:  # ValueError: no base64, or no ASCII even
            raise BadMessage(_DOING, "its signature is not that of SNS, or the message was changed") from error


def _read(body: str | bytes) -> dict[str, Any]:
    try:
        told = json.loads(body if isinstance(body, str) else body.decode())
    except (ValueError, RecursionError) as error:
        raise BadMessage(_DOING, "the body is no JSON", hint=_RAW) from error
    told = {name: value for name, value in told.items() if value is not None} if isinstance(told, dict) else {}
    kind = told.get("Type")
    if not isinstance(kind, str) or kind not in _SIGNED:
        raise BadMessage(_DOING, f"it is of no kind that SNS sends ({str(kind)[:40]!r})", hint=_RAW)
    for name in (*_SIGNED[kind], "Signature", "SignatureVersion", "SigningCertURL"):
        if not isinstance(told.get(name, "" if name == "Subject" else None), str):
            raise BadMessage(_DOING, f"its {name} is missing, or no text")
    return told


def _encoded(signed: str) -> bytes:
    try:
        return signed.encode()
    except UnicodeEncodeError as error:
        raise BadMessage(_DOING, "it has half of a character, which no text of SNS has") from error


def _is_of_sns(url: str) -> bool:
    """Whether a URL leads to SNS by HTTPS; anything beside host and path in front of the query is a trick."""
    try:
        parts = urlsplit(url)  # which leaves line ends out before it looks
        return (
            url.isprintable()
            and parts.scheme == "https"
            and parts.netloc == parts.hostname
            and _HOST.fullmatch(parts.netloc) is not None
        )
    except ValueError:
        return False


def _fetched(url: str) -> bytes:
    """What is at a URL, not followed elsewhere."""
    with gate(f"Fetching {url.partition('?')[0]}"):
        session = URLLib3Session(timeout=_TIMEOUT_S, proxies=get_environ_proxies(url))
        try:
            answer = session.send(AWSPreparedRequest("GET", url, {}, None, stream_output=False))
            content: bytes = answer.content
        finally:
            session.close()
    if answer.status_code != 200:
        raise NetworkFailed(f"Fetching {url.partition('?')[0]}", f"it answered {answer.status_code}")
    return content
