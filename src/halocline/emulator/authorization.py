"""The web server and user-agent flows: a browser's way to a token. The user's approval is automatic.

Source: Salesforce Help, "OAuth 2.0 Web Server Flow for Web App Integration", "OAuth 2.0 User-Agent Flow for Desktop or Mobile App
Integration"; RFC 7636 for the proof key. Descriptions of refusals are unverified where the vendor's pages do not quote them.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from urllib.parse import quote, urlencode

from halocline.emulator.apps import ConnectedApp
from halocline.emulator.auth import SCOPE, active_user, authenticated_app, check_flow, form, granted, known_app, same
from halocline.emulator.errors import OAuthError
from halocline.emulator.wire import Answer, Ask

CODE_AGE = timedelta(minutes=15)  # Source: "OAuth 2.0 Web Server Flow": an authorization code expires after 15 minutes
_SCHEME = re.compile(
    r"[a-z][a-z0-9+.-]*:.", re.IGNORECASE
)  # Source: RFC 3986, section 3.1; apps on phones have schemes of their own
_OF_ADDRESSES = "%:/?#[]@!$&'()*+,;=~"
_KEEPS = ("refresh_token", "offline_access")  # the scopes that bring a refresh token


@dataclass(frozen=True, slots=True)
class Code:
    """What an authorization code was given for, and to whom."""

    user_id: str
    consumer_key: str
    redirect_uri: str
    scope: str
    challenge: str | None
    issued: datetime


class Codes:
    """The authorization codes of one org that are not redeemed yet."""

    def __init__(self) -> None:
        self._codes: dict[str, Code] = {}
        self._lock = Lock()

    def give(self, code: Code) -> str:
        """A new code."""
        name = f"aPrx{secrets.token_urlsafe(48)}=="  # Salesforce's end in two signs that a client has to encode
        with self._lock:
            self._codes[name] = code
        return name

    def take(self, name: str) -> Code | None:
        """What a code was given for, once."""
        with self._lock:
            return self._codes.pop(name, None)


def authorize(ask: Ask) -> Answer:
    """`/services/oauth2/authorize`: sends the browser back at once, with a code, a token, or the reason why not.

    The user is the one of `login_hint`, else the API user.
    Raises: OAuthError for an unknown app or a redirect address that is not the app's.
    """
    asked = form(ask)
    app = known_app(ask, asked.get("client_id", ""))
    target = _redirect_uri(app, asked)
    try:
        return _approved(ask, app, asked, target=target)
    except OAuthError as refusal:
        return _redirected(target, refusal.body() | _state(asked))


def redeemed(ask: Ask, asked: Mapping[str, str]) -> dict[str, object]:
    """The answer of grant type `authorization_code`. A code that is tried once is gone.
    Raises: OAuthError.
    """
    app = authenticated_app(ask, asked, public=True)
    check_flow(app, "authorization_code")
    code = ask.org.codes.take(asked.get("code", ""))
    if code is None or code.consumer_key != app.consumer_key:
        raise OAuthError("invalid_grant", "authentication failure")
    if ask.org.now() - code.issued > CODE_AGE:
        raise OAuthError("invalid_grant", "expired authorization code")
    if asked.get("redirect_uri") != code.redirect_uri:
        raise OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
    if code.challenge is not None and not same(_challenge(asked.get("code_verifier", "")), code.challenge):
        raise OAuthError("invalid_grant", "invalid code verifier")
    return _kept(ask, app, code.user_id, code.scope)


def _approved(ask: Ask, app: ConnectedApp, asked: Mapping[str, str], *, target: str) -> Answer:
    check_flow(app, "authorization_code")
    kind = asked.get("response_type")
    if kind == "token":
        return _redirected(target, _with_token(ask, app, asked), fragment=True)
    if kind != "code":
        raise OAuthError("unsupported_response_type", "response type not supported")
    return _redirected(target, _with_code(ask, app, asked, target=target))


def _redirect_uri(app: ConnectedApp, asked: Mapping[str, str]) -> str:
    target = asked.get("redirect_uri", "")
    allowed = target in app.callbacks if app.callbacks else _SCHEME.match(target) is not None
    if not allowed:
        raise OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
    return target


def _with_code(ask: Ask, app: ConnectedApp, asked: Mapping[str, str], *, target: str) -> dict[str, str]:
    code = Code(_user(ask, asked), app.consumer_key, target, _scope(asked), asked.get("code_challenge"), ask.org.now())
    return {"code": ask.org.codes.give(code)} | _state(asked)


def _with_token(ask: Ask, app: ConnectedApp, asked: Mapping[str, str]) -> dict[str, str]:
    answer = _kept(ask, app, _user(ask, asked), _scope(asked))
    return {name: str(value) for name, value in answer.items()} | _state(asked)


def _user(ask: Ask, asked: Mapping[str, str]) -> str:
    hint = asked.get("login_hint")
    return ask.org.api_user_id if not hint else active_user(ask, hint)


def _kept(ask: Ask, app: ConnectedApp, user_id: str, scope: str) -> dict[str, object]:
    """A token answer, with a refresh token if the scope asks for one."""
    if not any(one in scope.split() for one in _KEEPS):
        return granted(ask, app, user_id=user_id) | {"scope": scope}
    grant = ask.org.sessions.grant_refresh(user_id, consumer_key=app.consumer_key)
    return granted(ask, app, user_id=user_id, family=grant.family) | {"scope": scope, "refresh_token": grant.token}


def _scope(asked: Mapping[str, str]) -> str:
    """What was asked for; without a wish, all that the app may have."""
    return asked.get("scope") or SCOPE


def _state(asked: Mapping[str, str]) -> dict[str, str]:
    return {"state": asked["state"]} if "state" in asked else {}


def _challenge(verifier: str) -> str:
    """The S256 challenge of a verifier; Salesforce knows no other method."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _redirected(target: str, values: Mapping[str, str], *, fragment: bool = False) -> Answer:
    target = quote(target, safe=_OF_ADDRESSES)  # what no header can hold is encoded
    joint = "#" if fragment else "&" if "?" in target else "?"
    return Answer(302, b"", None, (("Location", f"{target}{joint}{urlencode(values)}"),))
