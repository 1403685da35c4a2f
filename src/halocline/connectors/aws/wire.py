"""Wire: calls of a JSON service of AWS (SQS) with the login, endpoint, proxies and connections of boto3's client, and no more.

boto3 computes most of a millisecond a call, with its own descriptions of services in hand; a queue's calls are small and many, so
this is what bounds them. A call here is signed, sent and read for a fraction of that (figures: docs/aws.md). Whoever answers in
place of AWS within boto3 (moto's `mock_aws`) answers here too.
Source: "AWS Signature Version 4 for API requests", https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv4.html;
"Making requests using AWS JSON protocol in Amazon SQS",
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html, read November 2026.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ClientError, NoCredentialsError

from halocline.connectors.aws.errors import gate
from halocline.connectors.aws.lines import Lines
from halocline.connectors.aws.session import Session
from halocline.errors import NetworkFailed, RetryLater
from halocline.retry import PACE, Pace, Policy, retry, unheard

T = TypeVar("T")
Waiting = Callable[[RetryLater, float], None]

_TYPE = "application/x-amz-json-1.0"
_SIGNED = "content-type;host;x-amz-date;x-amz-target"
_SIGNED_TOO = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
_AGAIN = Policy(attempts=4, base_s=0.2, cap_s=5.0, budget_s=30.0)


class Wire:
    """The calls of one service. Threads may share it.

    What AWS cannot do just now, and what got no answer, is tried again with jitter.
    """

    def __init__(self, session: Session, service: str, *, policy: Policy = _AGAIN, pace: Pace = PACE) -> None:
        client = session.client(service)
        model = client.meta.service_model
        self._session = session
        session_of_client = client._endpoint.http_session  # proxies and certificates are set there
        self._events = client.meta.events
        self._event = f"before-send.{model.service_id.hyphenize()}"
        self._url: str = client.meta.endpoint_url.rstrip("/") + "/"
        self._lines = Lines(session_of_client, self._url) if Lines.possible(session_of_client, self._url) else None
        self._send: Callable[[AWSPreparedRequest], Any] = session_of_client.send if self._lines is None else self._lines.send
        self._host = urlsplit(self._url).netloc
        self._path = urlsplit(self._url).path
        self._region: str = client.meta.region_name
        self._service: str = model.signing_name
        self._target: str = model.metadata["targetPrefix"]
        self._agent: str = client.meta.config.user_agent or "halocline"
        self._policy = policy
        self._pace = pace

    def call(self, doing: str, operation: str, *, wanted: Mapping[str, Any], rights: str) -> dict[str, Any]:
        """The answer to an operation; bytes are base64 in it, as they are on the wire.

        Raises: as `gate` does, when repeats did not help or would not.
        """
        return self._asked(doing, operation, wanted=wanted, rights=rights, read=_read)

    def content(self, doing: str, operation: str, *, wanted: Mapping[str, Any], rights: str, waiting: Waiting = unheard) -> bytes:
        """The bytes of an answer, as they came; `waiting` is told of every wait before a repeat.

        Where the service says their CRC32 (DynamoDB does), they are seen to be whole.
        Raises: as `call`; NetworkFailed where they came damaged each time.
        """
        return self._asked(doing, operation, wanted=wanted, rights=rights, read=partial(_whole, doing), waiting=waiting)

    def _asked(
        self,
        doing: str,
        operation: str,
        *,
        wanted: Mapping[str, Any],
        rights: str,
        read: Callable[[str, int, Mapping[str, str], bytes], T],
        waiting: Waiting = unheard,
    ) -> T:
        body = json.dumps(wanted, default=_base64).encode()
        digest = hashlib.sha256(body).hexdigest()

        def once() -> T:
            with gate(doing, rights=rights):
                request = AWSPreparedRequest("POST", self._url, self._headers(operation, digest), body, stream_output=False)
                # As botocore's endpoint asks before it sends: https://github.com/boto/botocore/blob/develop/botocore/endpoint.py
                _, answer = self._events.emit_until_response(f"{self._event}.{operation}", request=request)
                answer = self._send(request) if answer is None else answer
                return read(operation, answer.status_code, answer.headers, answer.content)

        lines = self._lines
        if lines is None:
            return retry(once, self._policy, waiting=waiting, pace=self._pace)
        with lines.calling():
            return retry(once, self._policy, again=lambda _: not lines.is_cut, waiting=waiting, pace=self._pace)

    def cut(self, thread: int) -> None:
        """Let the call that this thread is in fail (NetworkFailed), unless its answer is on its way; called again, at once.

        It goes on where boto3 uses a proxy.
        """
        if self._lines is not None:
            self._lines.cut(thread)

    def _headers(self, operation: str, digest: str) -> dict[str, str]:
        credentials = self._session.credentials()
        if credentials is None:
            raise NoCredentialsError
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        target = f"{self._target}.{operation}"
        token = credentials.token
        names = _SIGNED_TOO if token else _SIGNED
        secured = f"x-amz-security-token:{token}\n" if token else ""
        canonical = (
            f"POST\n{self._path}\n\ncontent-type:{_TYPE}\nhost:{self._host}\nx-amz-date:{stamp}\n{secured}"
            f"x-amz-target:{target}\n\n{names}\n{digest}"
        )
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = _signed(_key(credentials.secret_key, stamp[:8], self._region, self._service), text)
        headers = {
            "Content-Type": _TYPE,
            "Host": self._host,
            "User-Agent": self._agent,
            "X-Amz-Date": stamp,
            "X-Amz-Target": target,
            "Authorization": (
                f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
            ),
        }
        return {**headers, "X-Amz-Security-Token": token} if token else headers


@lru_cache(maxsize=16)
def _key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key that signs what a login asks of a service on one day."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _signed(key: bytes, text: str) -> str:
    """The HMAC of a text. Made of two hashes, which for short texts keep the interpreter, where `hmac.digest` hands it to another
    thread each time: with some threads at work, to get it back costs a hundred times the hash.
    Source: "hashlib" (more than 2,047 bytes release the GIL), https://docs.python.org/3/library/hashlib.html; RFC 2104.
    """
    inner, outer = _pads(key)
    inner, outer = inner.copy(), outer.copy()
    inner.update(text.encode())
    outer.update(inner.digest())
    signature: str = outer.hexdigest()
    return signature


@lru_cache(maxsize=16)
def _pads(key: bytes) -> tuple[Any, Any]:
    block = key.ljust(hashlib.sha256().block_size, b"\0")
    return hashlib.sha256(bytes(one ^ 0x36 for one in block)), hashlib.sha256(bytes(one ^ 0x5C for one in block))


def _base64(value: object) -> str:
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} cannot be sent")
    return base64.b64encode(value).decode()


def _whole(doing: str, operation: str, status: int, headers: Mapping[str, str], content: bytes) -> bytes:
    """The bytes of an answer that is one.

    Source: "Response checksum validation" of the AWS SDK for Go,
    https://pkg.go.dev/github.com/aws/aws-sdk-go-v2/service/dynamodb/internal/customizations, read November 2026.
    Raises: ClientError, as boto3 does, for an answer that is none; NetworkFailed for one that is damaged.
    """
    announced = headers.get("x-amz-crc32")
    if announced is not None and announced != str(zlib.crc32(content)):
        cause = f"{len(content):,} bytes came, and their CRC32 is not {announced}, which AWS announced"
        raise NetworkFailed(doing, cause, hint="The answer was damaged on the way; run it again.")
    if status != 200:
        _read(operation, status, headers, content)
    return content


def _read(operation: str, status: int, headers: Mapping[str, str], content: bytes) -> dict[str, Any]:
    """What the service answered.

    Raises: ClientError, as boto3 does, for an answer that is none.
    """
    try:
        answer = json.loads(content) if content else {}
    except ValueError:
        answer = None
    if status == 200 and isinstance(answer, dict):
        return answer
    told = answer if isinstance(answer, dict) else {}
    old = headers.get("x-amzn-query-error", "").partition(";")[0]  # the code of the older protocol, which boto3 gives too
    code = old or str(told.get("__type", "")).rpartition("#")[2] or str(status if status != 200 else "NoJSON")
    message = str(told.get("message") or told.get("Message") or f"HTTP {status}")
    raise ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)
