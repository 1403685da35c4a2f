"""Session: one login to AWS per process and settings, and the clients that share it.

What is not said is what boto3 finds: `AWS_PROFILE`, `AWS_DEFAULT_REGION`, `AWS_ENDPOINT_URL`, `~/.aws/config`, the role of the
machine, ...
Source: "Configuration", https://docs.aws.amazon.com/boto3/latest/guide/configuration.html
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache, partial
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.loaders import create_loader

from halocline._version import __version__
from halocline.config import secret, variables
from halocline.connectors.aws.errors import LOGIN, gate
from halocline.errors import FixConfig, LoginRefused
from halocline.mapping.near import near

_BOTO_NAMES = {
    "region_name": "region",
    "profile_name": "profile",
    "endpoint_url": "endpoint",
    "aws_access_key_id": "key_id",
    "aws_secret_access_key": "secret_key",
    "aws_session_token": "token",
}
_CONNECTIONS = 32  # as many threads of ours may talk to one service at a time; boto3's own limit is 10
_KEPT = 32  # sessions; a process has one or two


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach AWS. None: as boto3 finds it.

    `role` is the ARN of a role to assume with that login (HALOCLINE_AWS_ROLE), with `external_id` where its owner asks for one
    (HALOCLINE_AWS_EXTERNAL_ID). `endpoint` is a URL in place of Amazon's. `key_id`, `secret_key` and `token` are a login of their
    own, as they are or by reference (`env:NAME`, `file:PATH`, or `aws-sm:NAME#KEY`, which the login found by boto3 is asked for).
    """

    region: str | None = None
    profile: str | None = None
    role: str | None = None
    external_id: str | None = None
    endpoint: str | None = None
    key_id: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Access:
        """The access that settings by our names or by boto3's (`region_name`, `endpoint_url`, ...) and the environment ask for.

        Raises: FixConfig for a setting that is none, or half a login.
        """
        known = {one.name for one in fields(cls)}
        given = {_BOTO_NAMES.get(name, name): value for name, value in settings.items() if value is not None}
        wrong = [name for name, value in given.items() if name not in known or not isinstance(value, str)]
        if wrong:
            meant = [one for name in wrong for one in near(name, known)[:1]]
            hint = f"Did you mean {', '.join(meant)}? " if meant else ""
            hint += f"Known are the texts {', '.join(sorted(known))}."
            told = ", ".join(repr(name[:40]) for name in wrong)
            raise FixConfig("Reading the settings of AWS", f"{told} is no setting, or no text", hint=hint)
        if bool(given.get("key_id")) != bool(given.get("secret_key")):
            raise FixConfig("Reading the settings of AWS", "a login takes both key_id and secret_key")
        ours = variables("HALOCLINE_AWS_")
        defaults = {"role": ours.get("ROLE"), "external_id": ours.get("EXTERNAL_ID")}
        return cls(**{**defaults, **{name: str(value) for name, value in given.items()}})

    def in_region(self, region: str) -> Access:
        """The same, in that region ("": any) where none was said."""
        return self if self.region or not region else replace(self, region=region)


class Session:
    """A login, and one client per service. Threads may share it; clients are made one at a time, as boto3 wants it."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        with gate("Logging in to AWS"):
            self._core = _core(access)
            self._boto: Any = boto3.session.Session(botocore_session=self._core)

    def client(self, service: str) -> Any:
        """The client of that service ("s3", "sqs", ...).

        Raises: FixConfig where there is no region, profile or valid endpoint; LoginRefused where there is no login for the role.
        """
        with self._lock:
            if service not in self._clients:
                with gate(f"Opening {service} of AWS"):
                    config = _config(service)
                    self._clients[service] = self._boto.client(service, endpoint_url=self._access.endpoint, config=config)
            return self._clients[service]

    def credentials(self) -> Any:
        """The keys to sign with just now (`access_key`, `secret_key`, `token`), fetched anew before they end; None: no keys.

        Boto's errors pass through: the caller's gate says what was being done.
        """
        found = self._core.get_credentials()
        return None if found is None else found.get_frozen_credentials()


def session_of(access: Access) -> Session:
    """The session of this process for that access, and for the AWS_* variables as they are now.

    A child process has its own: sockets must not be shared with the parent.
    """
    with _MAKING:
        return _session(access, frozenset(variables("AWS_").items()), os.getpid())


_MAKING = threading.RLock()  # a session whose keys are in Secrets Manager makes the one that it gets them with


@lru_cache(maxsize=_KEPT)
def _session(access: Access, _environment: frozenset[tuple[str, str]], _process: int) -> Session:
    return Session(access)


@lru_cache(maxsize=1)
def _loader() -> Any:
    """What reads boto3's descriptions of services, megabytes of JSON: sessions share what it has read."""
    return create_loader()


def _config(service: str) -> Config:
    """Adaptive: fewer calls while AWS throttles, repeats with jitter; how often is AWS_MAX_ATTEMPTS (3).

    Source: "Retries", https://docs.aws.amazon.com/boto3/latest/guide/retries.html
    """
    return Config(
        connect_timeout=10,  # seconds
        read_timeout=60,  # seconds; longer than the longest poll of a queue (20)
        max_pool_connections=_CONNECTIONS,
        retries={"mode": "adaptive"},
        signature_version="s3v4" if service == "s3" else None,  # links of version 2 are refused in newer regions
        user_agent_extra=f"halocline/{__version__}",
    )


def _core(access: Access) -> Any:
    core = _own(access)
    if access.role is not None:
        own = _signed(_own(access), access)
        if own.get_credentials() is None:
            raise LoginRefused(f"Assuming the role {access.role}", "there is no login to assume it with", hint=LOGIN)
        core.register_component("credential_provider", CredentialResolver([_Assumed(_fetcher(own, access, access.role))]))
        return core
    return _signed(core, access)


def _own(access: Access) -> Any:
    """A session for the profile and region."""
    core: Any = botocore.session.Session(profile=access.profile)
    if not core.get_config_variable("data_path"):
        core.register_component("data_loader", _loader())
    if access.region is not None:
        core.set_config_variable("region", access.region)
    return core


def _signed(core: Any, access: Access) -> Any:
    """The same session, with the keys that were given."""
    if access.key_id is not None and access.secret_key is not None:
        token = None if access.token is None else secret(access.token)
        core.set_credentials(secret(access.key_id), secret(access.secret_key), token)
    return core


def _fetcher(own: Any, access: Access, role: str) -> AssumeRoleCredentialFetcher:
    """What asks STS for the keys of a role, with the own login."""
    wanted = {"RoleSessionName": f"halocline-{os.getpid()}"}
    if access.external_id is not None:
        wanted["ExternalId"] = access.external_id
    region = own.get_config_variable("region") or "us-east-1"  # STS answers in every region
    make = partial(own.create_client, region_name=region, endpoint_url=access.endpoint, config=_config("sts"))
    return AssumeRoleCredentialFetcher(make, own.get_credentials(), role, extra_args=wanted)


class _Assumed(CredentialProvider):  # type: ignore[misc]  # botocore has no types
    """The keys of an assumed role, as botocore's sessions ask for them."""

    METHOD = "assume-role"

    def __init__(self, fetcher: AssumeRoleCredentialFetcher) -> None:
        super().__init__()
        self._fetcher = fetcher

    def load(self) -> DeferredRefreshableCredentials:
        """Keys that are fetched when they are first needed."""
        return DeferredRefreshableCredentials(self._fetcher.fetch_credentials, self.METHOD)
