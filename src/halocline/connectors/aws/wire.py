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
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ClientError, NoCredentialsError

from halocline.connectors.aws.errors import gate
from halocline.connectors.aws.session import Session
from halocline.retry import PACE, Pace, Policy, retry

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
        # Proxies and certificates are set there.
        self._send: Callable[[AWSPreparedRequest], Any] = client._endpoint.http_session.send
        self._events = client.meta.events
        self._event = f"before-send.{model.service_id.hyphenize()}"
        self._url: str = client.meta.endpoint_url.rstrip("/") + "/"
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
        body = json.dumps(wanted, default=_base64).encode()
        digest = hashlib.sha256(body).hexdigest()

        def once() -> dict[str, Any]:
            with gate(doing, rights=rights):
                request = AWSPreparedRequest("POST", self._url, self._headers(operation, digest), body, stream_output=False)
                # As botocore's endpoint asks before it sends: https://github.com/boto/botocore/blob/develop/botocore/endpoint.py
                _, answer = self._events.emit_until_response(f"{self._event}.{operation}", request=request)
                answer = self._send(request) if answer is None else answer
                return _read(operation, answer.status_code, answer.headers, answer.content)

        return retry(once, self._policy, pace=self._pace)

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
        key = _key(credentials.secret_key, stamp[:8], self._region, self._service)
        signature = hmac.digest(key, text.encode(), "sha256").hex()
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


def _base64(value: object) -> str:
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} cannot be sent")
    return base64.b64encode(value).decode()


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
