"""The query protocol of AWS: the operation and its parameters in a form, the answer in XML.

Source: Smithy specification, "AWS query protocol": https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halocline.testing.aws.errors import AWSError
from halocline.testing.aws.ids import new_id
from halocline.testing.aws.markup import document
from halocline.testing.aws.request import Reply

_XML = {"Content-Type": "text/xml"}


def tree(form: Mapping[str, str]) -> dict[str, Any]:
    """A form as nested dicts: `Entry.1.Id=a` is `{"Entry": {"1": {"Id": "a"}}}`.
    Raises: AWSError (MalformedInput) for a name that is a value and has parts as well.
    """
    root: dict[str, Any] = {}
    for name, value in form.items():
        *above, last = name.split(".")
        at = root
        for part in above:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise AWSError("MalformedInput", f"The parameter {name} is not well formed.")
        at[last] = value
    return root


def listed(node: Any) -> list[Any]:
    """The items of a numbered list, in order; an empty list where there is none."""
    if not isinstance(node, dict):
        return []
    if "member" in node:
        node = node["member"]
    return (
        [node[number] for number in sorted((one for one in node if one.isdecimal()), key=int)] if isinstance(node, dict) else []
    )


def mapped(node: Any, *, key: str, value: str) -> dict[str, Any]:
    """A numbered list of pairs as a dict."""
    found = node.get("entry", node) if isinstance(node, dict) else node
    return {str(one[key]): one.get(value, "") for one in listed(found)}


def result(operation: str, told: Mapping[str, Any], *, namespace: str) -> Reply:
    """What an operation answers; one without a result has metadata only."""
    request_id = new_id()
    body = {f"{operation}Result": told, "ResponseMetadata": {"RequestId": request_id}}
    return Reply(200, document(f"{operation}Response", body, namespace=namespace), {**_XML, "x-amzn-RequestId": request_id})


def refusal(error: AWSError, *, namespace: str) -> Reply:
    """A refusal, as the query protocol words it."""
    request_id = new_id()
    told = {"Type": "Sender" if error.by_sender else "Receiver", "Code": error.code, "Message": error.message}
    body = {"Error": told, "RequestId": request_id}
    return Reply(error.status, document("ErrorResponse", body, namespace=namespace), {**_XML, "x-amzn-RequestId": request_id})
