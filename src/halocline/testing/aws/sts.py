"""AWS STS: who one is, and who one becomes by a role; any role may be assumed.

Source: AWS STS API Reference: https://docs.aws.amazon.com/STS/latest/APIReference/welcome.html
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from halocline.testing.aws.clock import Clock
from halocline.testing.aws.errors import AWSError
from halocline.testing.aws.queues import ACCOUNT
from halocline.testing.aws.version import iso

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_USER = {"UserId": "AIDACKCEVSQ6C2EXAMPLE", "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/halocline"}


class STS:
    """The service. Keys that it gave out are told apart from others, and nothing else is done with them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._assumed: dict[str, dict[str, str]] = {}

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that there are, as in its API."""
        return ("GetCallerIdentity", "AssumeRole")

    def call(self, operation: str, params: Mapping[str, str], *, key: str) -> dict[str, Any]:
        """What an operation answers to who signed with `key`.
        Raises: AWSError.
        """
        if operation == "GetCallerIdentity":
            return self._assumed.get(key, _USER)
        if operation not in self.operations:
            raise AWSError("InvalidAction", f"{operation} is not part of this test server.")
        role, session = params.get("RoleArn", ""), params.get("RoleSessionName", "")
        if ":role/" not in role or not session:
            raise AWSError("ValidationError", "RoleArn is the ARN of a role, and RoleSessionName is not empty")
        seconds = int(params.get("DurationSeconds", "3600"))
        if not 900 <= seconds <= 43_200:
            raise AWSError("ValidationError", "DurationSeconds is 900 to 43200")
        access, role_id = f"ASIA{secrets.token_hex(8).upper()}", f"AROA{secrets.token_hex(8).upper()}:{session}"
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.rpartition('/')[2]}/{session}"
        self._assumed[access] = {"UserId": role_id, "Account": ACCOUNT, "Arn": arn}
        granted = {"AccessKeyId": access, "SecretAccessKey": secrets.token_urlsafe(30), "SessionToken": secrets.token_urlsafe(60)}
        granted["Expiration"] = iso(self._clock.now() + seconds)
        return {"Credentials": granted, "AssumedRoleUser": {"AssumedRoleId": role_id, "Arn": arn}}
