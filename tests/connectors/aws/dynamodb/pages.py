"""Pages as DynamoDB sends them, and what boto3 makes of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from boto3.dynamodb.types import Binary, TypeDeserializer


def page(items: Sequence[Mapping[str, Any]], **more: Any) -> bytes:
    """The answer to a Scan with these items as they are on the wire."""
    told = {"Count": len(items), "Items": list(items), "ScannedCount": len(items), **more}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def judged(value: Mapping[str, Any]) -> Any:
    """One value as boto3 reads it, bytes in place of its Binary."""
    return _bare(TypeDeserializer().deserialize(_parsed(value)))


def _parsed(value: Mapping[str, Any]) -> dict[str, Any]:
    """What botocore's parser makes of the wire: bytes of base64."""
    ((tag, held),) = value.items()
    if tag == "B":
        return {tag: base64.b64decode(held)}
    if tag == "BS":
        return {tag: [base64.b64decode(one) for one in held]}
    if tag == "M":
        return {tag: {name: _parsed(one) for name, one in held.items()}}
    if tag == "L":
        return {tag: [_parsed(one) for one in held]}
    return {tag: held}


def _bare(value: Any) -> Any:
    if isinstance(value, Binary):
        return value.value
    if isinstance(value, dict):
        return {name: _bare(one) for name, one in value.items()}
    if isinstance(value, (set, list)):
        return type(value)(_bare(one) for one in value)
    return value
