"""The JSON protocols of AWS: the operation in a header, parameters and answer as JSON.

Source: Smithy specification, "AWS JSON 1.0 protocol" and "AWS query protocol compatibility": https://smithy.io/2.0/aws/protocols/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from halocline.testing.aws.errors import AWSError
from halocline.testing.aws.ids import new_id
from halocline.testing.aws.request import Reply, Request

_TYPES = {"1.0": "application/x-amz-json-1.0", "1.1": "application/x-amz-json-1.1"}


def params_of(request: Request) -> Mapping[str, Any]:
    """The parameters of a call.
    Raises: AWSError (SerializationException) for a body that is no JSON object.
    """
    try:
        found = json.loads(request.body.read() or b"{}")
    except ValueError as reason:
        raise AWSError("SerializationException", "The request is no JSON.") from reason
    if not isinstance(found, dict):
        raise AWSError("SerializationException", "The request is no JSON object.")
    return found


def result(told: Mapping[str, Any], *, version: str) -> Reply:
    """What an operation answers."""
    return Reply(200, json.dumps(told).encode(), {"Content-Type": _TYPES[version], "x-amzn-RequestId": new_id()})


def refusal(error: AWSError, *, version: str, namespace: str) -> Reply:
    """A refusal; the header tells clients that knew the query protocol the code of those days."""
    told = {"__type": f"{namespace}#{error.shape}", "message": error.message}
    headers = {"Content-Type": _TYPES[version], "x-amzn-RequestId": new_id()}
    if version == "1.0":
        headers["x-amzn-query-error"] = f"{error.code};{'Sender' if error.by_sender else 'Receiver'}"
    status = error.status if error.status >= 500 else 400
    return Reply(status, json.dumps(told).encode(), headers)
