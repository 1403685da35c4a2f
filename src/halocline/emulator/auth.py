"""OAuth 2.0: who may come in, and how long a session lasts."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from halocline.emulator.clock import Clock
from halocline.emulator.errors import OAuthError, not_found, session_expired
from halocline.emulator.wire import Answer, Ask, empty_answer, json_answer

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "api refresh_token full"
LOGIN_HOSTS = ("login.salesforce.com", "test.salesforce.com")
_LATEST_SECONDS = 100_000_000_000  # an `exp` beyond this is in milliseconds: the sf CLI sends them so


@dataclass(frozen=True, slots=True)
class Login:
    """A user who may log in with a name and a password, to which a security token is appended if there is one."""

    username: str
    password: str
    security_token: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """An access token at work; `uses` counts the requests that it opened."""

    token: str
    user_id: str
    issued: datetime
    refresh_token: str | None = None
    uses: int = 0


class Sessions:
    """The open sessions and refresh tokens of one org.

    `expire_after` ends a session after so many requests, `expire_after_s` after so many seconds of `clock`.
    """

    def __init__(self, clock: Clock, *, expire_after: int | None = None, expire_after_s: float | None = None) -> None:
        self._clock = clock
        self._expire_after = expire_after
        self._expire_after_s = expire_after_s
        self._open: dict[str, Session] = {}
        self._refresh: dict[str, str] = {}
        self._lock = Lock()

    def start(self, user_id: str, *, org_id: str, refresh_token: str | None = None) -> Session:
        """Open a session. The token looks like Salesforce's, because the sf CLI refuses others."""
        token = f"{org_id[:15]}!{secrets.token_urlsafe(72).replace('-', '.')}"
        session = Session(token, user_id, self._clock.now(), refresh_token)
        with self._lock:
            self._open[token] = session
        return session

    def use(self, token: str | None) -> Session:
        """The session of a token, one request older.
        Raises: ApiError(401, INVALID_SESSION_ID) if it is unknown or has ended.
        """
        with self._lock:
            session = self._open.get(token or "")
            if session is None or self._ended(session):
                self._open.pop(token or "", None)
                raise session_expired()
            self._open[session.token] = replace(session, uses=session.uses + 1)
            return session

    def peek(self, token: str | None) -> Session | None:
        """The open session of a token without using it up, or None."""
        with self._lock:
            session = self._open.get(token or "")
            return None if session is None or self._ended(session) else session

    def end(self, token: str) -> bool:
        """End a session, or a refresh token with all its sessions; whether there was one."""
        with self._lock:
            heirs = [open_token for open_token, session in self._open.items() if session.refresh_token == token]
            found = self._open.pop(token, None) is not None
            found = self._refresh.pop(token, None) is not None or found
            for heir in heirs:
                del self._open[heir]
            return found

    def end_all(self) -> int:
        """End every session now; refresh tokens stay good. How many there were."""
        with self._lock:
            ended = len(self._open)
            self._open.clear()
            return ended

    def grant_refresh(self, user_id: str, token: str | None = None) -> str:
        """A refresh token for a user: the given one or a new one."""
        token = token or f"5Aep861{secrets.token_urlsafe(48)}"
        with self._lock:
            self._refresh[token] = user_id
        return token

    def refreshed(self, token: str) -> str | None:
        """The user of a refresh token, or None."""
        with self._lock:
            return self._refresh.get(token)

    def _ended(self, session: Session) -> bool:
        if self._expire_after is not None and session.uses >= self._expire_after:
            return True
        age_s = (self._clock.now() - session.issued).total_seconds()
        return self._expire_after_s is not None and age_s >= self._expire_after_s


def bearer(ask: Ask) -> str | None:
    """The token of the `Authorization` header, in either spelling that Salesforce takes."""
    kind, _, token = ask.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() in ("bearer", "oauth") and token else None


def token(ask: Ask) -> Answer:
    """`POST /services/oauth2/token`.
    Raises: OAuthError for everything that does not end in a token.
    Source: Salesforce Help, "OAuth Authorization Flows"; error words from recorded answers of real orgs.
    """
    form = _form(ask)
    grant = _GRANTS.get(form.get("grant_type", ""))
    if grant is None:
        raise OAuthError("unsupported_grant_type", "grant type not supported")
    return json_answer(grant(ask, form), headers=(("Cache-Control", "no-store"), ("Pragma", "no-cache")))


def revoke(ask: Ask) -> Answer:
    """`/services/oauth2/revoke`: ends a session or a refresh token. The words for an unknown token are unverified."""
    wanted = _form(ask).get("token", "")
    if not ask.org.sessions.end(wanted):
        raise OAuthError("unsupported_token_type", "this token type is not supported")
    return empty_answer(200)


def introspect(ask: Ask) -> Answer:
    """`POST /services/oauth2/introspect`, as RFC 7662 shapes it."""
    form = _form(ask)
    _check_consumer(ask, form)
    session = ask.org.sessions.peek(form.get("token"))
    if session is None:
        return json_answer({"active": False})
    claims = {
        "active": True,
        "scope": SCOPE,
        "client_id": ask.org.config.consumer_key,
        "username": ask.org.username(session.user_id),
        "sub": _identity_url(ask, session.user_id),
        "token_type": "access_token",
        "iat": int(session.issued.timestamp()),
    }
    return json_answer(claims)


def userinfo(ask: Ask) -> Answer:
    """`/services/oauth2/userinfo`, in the shape of OpenID Connect."""
    session = _visitor(ask)
    if session is None:
        return _BAD_TOKEN
    user = ask.org.user(session.user_id)
    claims = {"sub": _identity_url(ask, session.user_id), **_person(ask, user)}
    return json_answer(claims | {"preferred_username": user.get("Username"), "name": user.get("Name"), "zoneinfo": "GMT"})


def identity(ask: Ask) -> Answer:
    """`/id/{organization}/{user}`: the identity URL of a token answer."""
    session = _visitor(ask)
    if session is None:
        return _BAD_TOKEN
    if ask.params["user"][:15] != session.user_id[:15] or ask.params["organization"][:15] != ask.org.org_id[:15]:
        raise not_found()
    user = ask.org.user(session.user_id)
    claims = {"id": _identity_url(ask, session.user_id), "asserted_user": True, **_person(ask, user)}
    return json_answer(claims | {"username": user.get("Username"), "display_name": user.get("Name")})


_BAD_TOKEN = Answer(403, b"Bad_OAuth_Token", "text/html;charset=UTF-8")


def _form(ask: Ask) -> dict[str, str]:
    return dict(ask.query) | dict(parse_qsl(ask.body.decode("utf-8", "replace"), keep_blank_values=True))


def _visitor(ask: Ask) -> Session | None:
    return ask.org.sessions.peek(bearer(ask) or _form(ask).get("access_token") or ask.query.get("oauth_token"))


def _by_password(ask: Ask, form: Mapping[str, str]) -> dict[str, object]:
    if not ask.org.config.password_flow:
        raise OAuthError("invalid_grant", "authentication failure")
    _check_consumer(ask, form)
    login = next((one for one in ask.org.config.users if one.username == form.get("username")), None)
    if login is None or not _same(form.get("password", ""), login.password + login.security_token):
        raise OAuthError("invalid_grant", "authentication failure")
    return _granted(ask, _active_user(ask, login.username))


def _by_client_credentials(ask: Ask, form: Mapping[str, str]) -> dict[str, object]:
    if (urlsplit(ask.base_url).hostname or "") in LOGIN_HOSTS:  # only My Domain hosts take this flow; the words are unverified
        raise OAuthError("invalid_grant", "request not supported on this domain")
    _check_consumer(ask, form)
    return _granted(ask, ask.org.api_user_id) | {"scope": SCOPE}


def _by_refresh_token(ask: Ask, form: Mapping[str, str]) -> dict[str, object]:
    sessions = ask.org.sessions
    _check_consumer(ask, form, secret_needed="client_secret" in form)
    spent = form.get("refresh_token", "")
    user_id = sessions.refreshed(spent)
    if user_id is None:
        raise OAuthError("invalid_grant", "expired access/refresh token")
    if not ask.org.config.rotate_refresh_tokens:
        return _granted(ask, user_id, refresh_token=spent) | {"scope": SCOPE}
    sessions.end(spent)
    fresh = sessions.grant_refresh(user_id)
    return _granted(ask, user_id, refresh_token=fresh) | {"scope": SCOPE, "refresh_token": fresh}


def _by_assertion(ask: Ask, form: Mapping[str, str]) -> dict[str, object]:
    claims = _verified_claims(ask, form.get("assertion", ""))
    if claims.get("iss") != ask.org.config.consumer_key:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    if not _audience_accepted(claims.get("aud"), ask.base_url):
        raise OAuthError("invalid_grant", "audience is invalid")
    if _expiry(claims.get("exp")) <= time.time():  # real time: client and emulator share this machine's clock, not the org's
        raise OAuthError("invalid_grant", "invalid assertion")
    username = str(claims.get("sub", ""))
    if ask.org.user_id(username) is None:
        raise OAuthError("invalid_grant", "user hasn't approved this consumer")
    answer = _granted(ask, _active_user(ask, username))
    return {key: answer[key] for key in ("access_token", "instance_url", "id", "token_type")} | {"scope": SCOPE}


_GRANTS: dict[str, Callable[[Ask, Mapping[str, str]], dict[str, object]]] = {
    "password": _by_password,
    "client_credentials": _by_client_credentials,
    "refresh_token": _by_refresh_token,
    JWT_GRANT: _by_assertion,
}


def _check_consumer(ask: Ask, form: Mapping[str, str], *, secret_needed: bool = True) -> None:
    basic_key, basic_secret = _basic(ask.headers.get("authorization", ""))
    key, secret = form.get("client_id", basic_key), form.get("client_secret", basic_secret)
    if key != ask.org.config.consumer_key:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    if secret_needed and not _same(secret, ask.org.config.consumer_secret):
        raise OAuthError("invalid_client", "invalid client credentials")


def _basic(header: str) -> tuple[str, str]:
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        key, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return key, secret


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _active_user(ask: Ask, username: str) -> str:
    user_id = ask.org.user_id(username)
    if user_id is None:
        raise OAuthError("invalid_grant", "authentication failure")
    if ask.org.user(user_id).get("IsActive") is False:
        raise OAuthError("inactive_user", "user is inactive")
    return user_id


def _granted(ask: Ask, user_id: str, *, refresh_token: str | None = None) -> dict[str, object]:
    session = ask.org.sessions.start(user_id, org_id=ask.org.org_id, refresh_token=refresh_token)
    identity_url = _identity_url(ask, user_id)
    issued_at = str(int(session.issued.timestamp() * 1000))
    signed = hmac.new(ask.org.config.consumer_secret.encode(), (identity_url + issued_at).encode(), hashlib.sha256)
    return {
        "access_token": session.token,
        "instance_url": ask.base_url,
        "id": identity_url,
        "token_type": "Bearer",
        "issued_at": issued_at,
        "signature": base64.b64encode(signed.digest()).decode(),
    }


def _identity_url(ask: Ask, user_id: str) -> str:
    return f"{ask.org.config.identity_host}/id/{ask.org.org_id}/{user_id}"


def _person(ask: Ask, user: Mapping[str, object]) -> dict[str, object]:
    return {
        "user_id": user.get("Id"),
        "organization_id": ask.org.org_id,
        "email": user.get("Email"),
        "email_verified": True,
        "given_name": user.get("FirstName"),
        "family_name": user.get("LastName"),
        "active": user.get("IsActive", True),
        "user_type": "STANDARD",
        "locale": "en_US",
        "urls": {
            "rest": f"{ask.base_url}/services/data/v{{version}}/",
            "query": f"{ask.base_url}/services/data/v{{version}}/query/",
            "sobjects": f"{ask.base_url}/services/data/v{{version}}/sobjects/",
        },
    }


def _verified_claims(ask: Ask, assertion: str) -> dict[str, Any]:
    """The claims of an RS256 assertion that one of the registered keys signed; with no key registered, none is good."""
    import jwt  # with cryptography behind it: loaded by the first login that needs it

    # Expiry and audience are checked by the caller: simple-salesforce sends `exp` as text, the sf CLI in milliseconds.
    lenient: Any = {"verify_exp": False, "verify_aud": False, "verify_iat": False, "verify_nbf": False, "verify_sub": False}
    for key in ask.org.public_keys:
        try:
            return jwt.decode(assertion, key, algorithms=["RS256"], options=lenient)
        except jwt.PyJWTError:
            continue
    raise OAuthError("invalid_grant", "invalid assertion")


def _audience_accepted(audience: object, base_url: str) -> bool:
    """The login hosts, any My Domain, or this emulator by the name that the client used, whatever path follows."""
    named = [urlsplit(str(one)) for one in (audience if isinstance(audience, list) else [audience])]
    mine = urlsplit(base_url).netloc
    return any(one.netloc == mine or (one.scheme == "https" and _is_salesforce(one.hostname or "")) for one in named)


def _is_salesforce(host: str) -> bool:
    return host in LOGIN_HOSTS or host.endswith(".my.salesforce.com")


def _expiry(value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        return 0.0
    return seconds / 1000 if seconds > _LATEST_SECONDS else seconds
