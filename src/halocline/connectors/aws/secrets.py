"""Secrets: what AWS Secrets Manager keeps, by reference: `aws-sm:name#key`, or `aws-sm:name` for the whole text.

A secret is asked for each time, so that the newest version counts; no message of an error holds anything of it.
Source: "GetSecretValue",
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html, read November 2026.
"""

from __future__ import annotations

import json
from typing import Any

from halocline.connectors.aws.errors import gate
from halocline.connectors.aws.session import Access, session_of
from halocline.errors import FixConfig, NotFound

_RIGHTS = "The login needs secretsmanager:GetSecretValue on the secret, and kms:Decrypt where it has a key of its own."
_WRITE = "Write aws-sm:name#key for one value of a secret that is a JSON object, or aws-sm:name for all of its text."


def secret_of(reference: str, access: Access | None = None) -> str:
    """The secret behind `name#key` or `name`; the name may be an ARN, which says the region too.

    Raises: NotFound for a secret or key that is not there; FixConfig for a secret that is not of that form; AccessDenied.
    """
    name, mark, key = reference.partition("#")
    doing = f"Resolving the secret aws-sm:{reference}"
    if not name or (mark and not key):
        raise FixConfig(doing, "it names no secret", hint=_WRITE)
    access = Access.of({}) if access is None else access
    if name.startswith("arn:"):
        access = access.in_region(f"{name}:::".split(":")[3])
    with gate(doing, rights=_RIGHTS):
        found: dict[str, Any] = session_of(access).client("secretsmanager").get_secret_value(SecretId=name)
    text = found.get("SecretString")
    if not isinstance(text, str):
        raise FixConfig(doing, "the secret holds bytes, no text", hint=_WRITE)
    return _value(doing, text, key=key) if key else text


def _value(doing: str, text: str, *, key: str) -> str:
    try:
        values = json.loads(text)
    except ValueError:
        values = None  # the error would show a piece of the secret
    if not isinstance(values, dict):
        raise FixConfig(doing, "the secret is no JSON object, so it has no keys", hint=_WRITE)
    if key not in values:
        raise NotFound(doing, f"the secret has no key {key!r}", hint="Look at its keys in the console; case counts.")
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise FixConfig(doing, f"the value of {key!r} is no text", hint=_WRITE)
    return str(value)
