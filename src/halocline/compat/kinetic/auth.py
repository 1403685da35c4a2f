"""`kinetic_core.auth`: its logins, and the sessions that they open, which renew themselves here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from halocline import JWTAuthenticator as _JWT
from halocline import OAuthAuthenticator as _OAuth
from halocline import SessionAuthenticator
from halocline.config import Variable, environment
from halocline.dotenv import dotenv

if TYPE_CHECKING:
    from halocline.connectors.salesforce import Session, Token

__all__ = ["JWTAuthenticator", "OAuthAuthenticator", "SalesforceSession"]

_LOGIN_URL = "https://login.salesforce.com"
_VERSION = "v62.0"  # kinetic-core 2.1.1's default
VARIABLES = (Variable("SF_API_VERSION", "The version of the API that its sessions call, where none is given.", _VERSION),)
"""Beside those of `halocline.connectors.salesforce`."""


@dataclass
class SalesforceSession:
    """A session id as given, with the address it is good for, or one that a login opened; whoever takes a login takes it.

    `api_version` (`v62.0`, or `62.0`) is SF_API_VERSION where it is not given, else v62.0. `username` and `org_id` are for you.
    """

    instance_url: str
    access_token: str = field(repr=False)  # another one after a renewal
    api_version: str = ""
    username: str | None = None
    org_id: str | None = None
    _opened: Session | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.instance_url = self.instance_url.rstrip("/")
        self.api_version = _version(self.api_version)

    @classmethod
    def opened(cls, session: Session, api_version: str, *, username: str) -> Self:
        """The session that a login opened, by the names of this class."""
        token = session.token()
        made = cls(token.instance_url, token.access_token, api_version, username)
        made._opened = session
        return made

    @property
    def base_url(self) -> str:
        """The address of the REST resources."""
        return f"{self.instance_url}/services/data/{self.api_version}"

    @property
    def auth_header(self) -> dict[str, str]:
        """The header that a call carries. It is a secret."""
        return {"Authorization": f"Bearer {self.access_token}"}

    def is_valid(self) -> bool:
        """Whether both parts are there; nobody is asked."""
        return bool(self.instance_url and self.access_token)

    # ---- what makes it a session of ours

    def authenticate(self) -> Self:
        """Itself: it stands for a `halocline.connectors.salesforce.Session`."""
        return self

    @property
    def notices(self) -> tuple[str, ...]:
        """See `Session`."""
        return self._session.notices

    def token(self) -> Token:
        """See `Session.token`."""
        return self._session.token()

    def renew(self, stale: Token) -> Token:
        """See `Session.renew`; from then on the new token is the one to be read here. Raises: LoginRefused for one as given."""
        fresh = self._session.renew(stale)
        self.instance_url, self.access_token = fresh.instance_url, fresh.access_token
        return fresh

    @property
    def _session(self) -> Session:
        return self._opened or SessionAuthenticator(self.access_token, self.instance_url).authenticate()


class JWTAuthenticator(_JWT):
    """`halocline.JWTAuthenticator` by kinetic-core's arguments; `api_version` is that of its sessions."""

    api_version: str

    def __init__(
        self,
        client_id: str,
        username: str,
        private_key_path: str | os.PathLike[str] | None = None,
        login_url: str = _LOGIN_URL,
        api_version: str | None = None,
        *,
        private_key: str | bytes | None = None,
        audience: str | None = None,
    ) -> None:
        super().__init__(
            client_id,
            username,
            private_key=private_key,
            private_key_path=private_key_path,
            login_url=login_url,
            audience=audience,
        )
        object.__setattr__(self, "api_version", _version(api_version))

    @classmethod
    def from_env(cls, api_version: str | None = None, *, environ: Mapping[str, str] | None = None) -> Self:  # type: ignore[override]  # as there
        """The flow with SF_CLIENT_ID, SF_USERNAME, SF_PRIVATE_KEY_PATH, SF_LOGIN_URL and SF_API_VERSION, of the environment,
        else of `.env` in the current folder.

        Raises: FixConfig naming what is missing.
        """
        env = _variables(environ)
        ours = _JWT.from_env(env)
        version = api_version or env.get("SF_API_VERSION")
        return cls(ours.client_id, ours.username, ours.private_key_path, ours.login_url, version)

    def authenticate(self) -> SalesforceSession:  # type: ignore[override]  # it stands for the Session of ours
        """See `halocline.connectors.salesforce.Authenticator`."""
        return SalesforceSession.opened(super().authenticate(), self.api_version, username=self.username)


class OAuthAuthenticator(_OAuth):
    """`halocline.OAuthAuthenticator` by kinetic-core's arguments; `api_version` is that of its sessions."""

    api_version: str

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        username: str,
        password: str,
        security_token: str = "",
        login_url: str = _LOGIN_URL,
        api_version: str | None = None,
    ) -> None:
        super().__init__(client_id, client_secret, username, password, security_token, login_url=login_url)
        object.__setattr__(self, "api_version", _version(api_version))

    @classmethod
    def from_env(cls, api_version: str | None = None, *, environ: Mapping[str, str] | None = None) -> Self:  # type: ignore[override]  # as there
        """The flow with SF_CLIENT_ID, SF_CLIENT_SECRET, SF_USERNAME, SF_PASSWORD, SF_SECURITY_TOKEN, SF_LOGIN_URL and
        SF_API_VERSION, of the environment, else of `.env` in the current folder.

        Raises: FixConfig naming what is missing.
        """
        env = _variables(environ)
        ours = _OAuth.from_env(env)
        version = api_version or env.get("SF_API_VERSION")
        said = (ours.client_id, ours.client_secret, ours.username, ours.password, ours.security_token, ours.login_url)
        return cls(*said, version)

    def authenticate(self) -> SalesforceSession:  # type: ignore[override]  # it stands for the Session of ours
        """See `halocline.connectors.salesforce.Authenticator`."""
        return SalesforceSession.opened(super().authenticate(), self.api_version, username=self.username)


def _variables(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return environ if environ is not None else {**dotenv(Path(".env")), **environment()}


def _version(given: str | None) -> str:
    text = given or environment().get("SF_API_VERSION") or _VERSION
    return text if text.startswith("v") else f"v{text}"
