"""Amazon SQS in the query protocol, as clients of before November 2023 speak it (botocore before 1.31.81).

Names in a form are singular and numbered, and so are those of the XML.
Source: Amazon SQS Developer Guide, "Making Query API requests using AWS query protocol".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halocline.testing.aws.query_protocol import listed, mapped, tree
from halocline.testing.aws.request import Request

NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"
_LISTS = {
    "AttributeName": "AttributeNames",
    "MessageAttributeName": "MessageAttributeNames",
    "MessageSystemAttributeName": "MessageSystemAttributeNames",
    "TagKey": "TagKeys",
}
_VALUES = ("MessageAttribute", "MessageSystemAttribute")


def params_of(request: Request) -> dict[str, Any]:
    """The parameters of a call, as the JSON protocol has them; the queue may be named by the path alone."""
    params = _params(tree(request.form))
    if "QueueUrl" not in params and request.path.count("/") >= 2:
        params["QueueUrl"] = request.path
    return params


def _params(node: Mapping[str, Any]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for name, value in node.items():
        if name in _LISTS:
            params[_LISTS[name]] = listed(value)
        elif name == "Attribute":
            params["Attributes"] = mapped(value, key="Name", value="Value")
        elif name in _VALUES:
            params[f"{name}s"] = mapped(value, key="Name", value="Value")
        elif name == "Tag":
            params["Tags"] = params["tags"] = mapped(value, key="Key", value="Value")
        elif name.endswith("RequestEntry"):
            params["Entries"] = [_params(entry) for entry in listed(value)]
        else:
            params[name] = value
    return params


def told(operation: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """A result of the JSON protocol as the elements of the XML."""
    renamed: dict[str, Any] = {}
    for name, value in result.items():
        if name == "Messages":
            renamed["Message"] = [told(operation, message) for message in value]
        elif name in ("Attributes", "MessageAttributes"):
            renamed[name[:-1]] = [{"Name": key, "Value": one} for key, one in value.items()]
        elif name == "Tags":
            renamed["Tag"] = [{"Key": key, "Value": one} for key, one in value.items()]
        elif name in ("QueueUrls", "queueUrls"):
            renamed["QueueUrl"] = value
        elif name == "Successful":
            renamed[f"{operation}ResultEntry"] = value
        elif name == "Failed":
            renamed["BatchResultErrorEntry"] = value
        else:
            renamed[name] = value
    return renamed
