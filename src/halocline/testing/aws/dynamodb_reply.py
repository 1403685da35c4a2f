"""Replies of DynamoDB: bytes with their CRC32, and refusals in its words.

Source: "DynamoDB low-level API", https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html;
"Error handling with DynamoDB", https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from halocline.testing.aws.errors import AWSError
from halocline.testing.aws.ids import new_id
from halocline.testing.aws.request import Reply

_NAMESPACE = "com.amazonaws.dynamodb.v20120810"
_ELSEWHERE = {
    "ValidationException": "com.amazon.coral.validate",
    "ThrottlingException": "com.amazon.coral.availability",
    **dict.fromkeys(
        ("SerializationException", "UnknownOperationException", "AccessDeniedException", "UnrecognizedClientException"),
        "com.amazon.coral.service",
    ),
}
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))  # made once: that costs more than an item
_CODES = {"InternalError": "InternalServerError", "MalformedInput": "SerializationException"}  # ours, and DynamoDB's


class Refusal(AWSError):
    """A refusal that tells more than its words: `told` goes into its JSON."""

    def __init__(self, code: str, message: str, *, told: Mapping[str, Any]) -> None:
        super().__init__(code, message)
        self.told = told


def refused(message: str) -> AWSError:
    """A request that cannot be meant."""
    return AWSError("ValidationException", message)


class EmptyKey(AWSError):
    """An empty value for a key: a request that cannot be meant whatever is there, of a transaction too."""

    def __init__(self, reason: str) -> None:
        super().__init__("ValidationException", f"One or more parameter values are not valid. {reason}")


def one_or_more(reason: str) -> AWSError:
    """A request with a parameter that cannot be meant."""
    return refused(f"One or more parameter values were invalid: {reason}")


def encoded(told: Mapping[str, Any]) -> bytes:
    """An answer, or a part of one, as it goes over the wire."""
    return _ENCODER.encode(told).encode()


def reply(body: bytes, *, status: int = 200) -> Reply:
    """What DynamoDB answers, with the CRC32 by which clients see that it came whole.

    Source: "Response checksum validation" of the AWS SDK for Go,
    https://pkg.go.dev/github.com/aws/aws-sdk-go-v2/service/dynamodb/internal/customizations
    """
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "x-amzn-RequestId": new_id(),
        "x-amz-crc32": str(zlib.crc32(body)),
    }
    return Reply(status, body, headers)


def refusal(error: AWSError) -> Reply:
    """A refusal as DynamoDB tells it."""
    code = _CODES.get(error.code, error.code)
    told: dict[str, Any] = {"__type": f"{_ELSEWHERE.get(code, _NAMESPACE)}#{code}", "message": error.message}
    if isinstance(error, Refusal):
        told.update(error.told)
    return reply(encoded(told), status=error.status if error.status >= 500 else 400)
