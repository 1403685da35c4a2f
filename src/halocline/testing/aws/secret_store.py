"""AWS Secrets Manager: secrets with their current and previous value.

Source: AWS Secrets Manager API Reference: https://docs.aws.amazon.com/secretsmanager/latest/apireference/Welcome.html
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from halocline.testing.aws.clock import Clock
from halocline.testing.aws.errors import AWSError
from halocline.testing.aws.ids import new_id
from halocline.testing.aws.queues import ACCOUNT

NAMESPACE = "com.amazonaws.secretsmanager"
_VALUES = ("SecretString", "SecretBinary")


@dataclass(frozen=True, slots=True)
class _Value:
    id: str
    content: Mapping[str, str]
    created: float


@dataclass(slots=True)
class _Secret:
    name: str
    arn: str
    stages: dict[str, _Value] = field(default_factory=dict)


class SecretStore:
    """The service, over the secrets of one account."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._secrets: dict[str, _Secret] = {}
        self._operations: Mapping[str, Callable[[Mapping[str, Any], str], dict[str, Any]]] = {
            "CreateSecret": self._create,
            "PutSecretValue": self._put,
            "GetSecretValue": self._get,
            "DeleteSecret": self._delete,
        }

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that there are, as in its API."""
        return tuple(self._operations)

    def call(self, operation: str, params: Mapping[str, Any], *, region: str) -> dict[str, Any]:
        """What an operation answers.
        Raises: AWSError.
        """
        work = self._operations.get(operation)
        if work is None:
            raise AWSError("UnknownOperationException", f"{operation} is not part of this test server.")
        return work(params, region)

    def _create(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        name = str(params.get("Name") or "")
        if not name:
            raise AWSError("ValidationException", "A secret has a name.")
        if name in self._secrets:
            why = f"The operation failed because the secret {name} already exists."
            raise AWSError("ResourceExistsException", why)
        arn = f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{name}-{secrets.token_hex(3)}"
        made = self._secrets[name] = _Secret(name, arn)
        if any(one in params for one in _VALUES):
            return self._store(made, params)
        return {"ARN": arn, "Name": name}

    def _put(self, params: Mapping[str, Any], _region: str) -> dict[str, Any]:
        told = self._store(self._find(params), params)
        return {**told, "VersionStages": ["AWSCURRENT"]}

    def _get(self, params: Mapping[str, Any], _region: str) -> dict[str, Any]:
        secret = self._find(params)
        stage = params.get("VersionStage", "AWSCURRENT")
        wanted = params.get("VersionId")
        found = next((one for name, one in secret.stages.items() if (one.id == wanted if wanted else name == stage)), None)
        if found is None:
            why = f"Secrets Manager can't find the specified secret value for staging label: {stage}"
            raise AWSError("ResourceNotFoundException", why)
        stages = [name for name, one in secret.stages.items() if one is found]
        told = {"ARN": secret.arn, "Name": secret.name, "VersionId": found.id, **found.content}
        return {**told, "VersionStages": stages, "CreatedDate": found.created}

    def _delete(self, params: Mapping[str, Any], _region: str) -> dict[str, Any]:
        """Delete at once: the days in which a secret can be called back are not kept."""
        secret = self._secrets.pop(self._find(params).name)
        return {"ARN": secret.arn, "Name": secret.name, "DeletionDate": self._clock.now()}

    def _store(self, secret: _Secret, params: Mapping[str, Any]) -> dict[str, Any]:
        content = {name: str(params[name]) for name in _VALUES if name in params}
        if "AWSCURRENT" in secret.stages:
            secret.stages["AWSPREVIOUS"] = secret.stages["AWSCURRENT"]
        made = secret.stages["AWSCURRENT"] = _Value(params.get("ClientRequestToken") or new_id(), content, self._clock.now())
        return {"ARN": secret.arn, "Name": secret.name, "VersionId": made.id}

    def _find(self, params: Mapping[str, Any]) -> _Secret:
        wanted = str(params.get("SecretId") or "")
        found = next((one for one in self._secrets.values() if wanted in (one.name, one.arn, one.arn[:-7])), None)
        if found is None:
            raise AWSError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        return found
