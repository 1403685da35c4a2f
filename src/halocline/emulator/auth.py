"""OAuth 2.0 tokens: every flow that ends in one, and how it is taken back.

Source: Salesforce Help, "OAuth Authorization Flows"; error words from recorded answers of real orgs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from halocline.emulator.apps import ConnectedApp
from halocline.emulator.errors import OAuthError
from halocline.emulator.sessions import Login, RefreshGrant
from halocline.emulator.wire import Answer, Ask, empty_answer, json_answer

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "api refresh_token full"
LOGIN_HOSTS = ("login.salesforce.com", "test.salesforce.com")
_LATEST_SECONDS = 100_000_000_000  # an `exp` beyond this is in milliseconds: the sf CLI sends them so
_SOAP_SESSION = re.compile(rb"<(?:[\w.-]+:)?sessionId[^>]*>\s*([\x21-\x3b\x3d-\x7e]+)")
_NO_STORE = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))


def bearer(ask: Ask) -> str | None:
    """The token of the `Authorization` header, in either spelling that Salesforce takes."""
    kind, _, token = ask.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() in ("bearer", "oauth") and token else None


def presented(ask: Ask) -> str:
    """The token that a request brings, wherever its API has it: `Authorization`, Bulk 1.0's header, SOAP's SessionHeader."""
    in_soap = _SOAP_SESSION.search(ask.body) if ask.path.lower().startswith("/services/soap/") else None
    return bearer(ask) or ask.headers.get("x-sfdc-session") or (in_soap[1].decode() if in_soap else "")


def form(ask: Ask) -> dict[str, str]:
    """What the query and an urlencoded body say, the body first."""
    return dict(ask.query) | dict(parse_qsl(ask.body.decode("utf-8", "replace"), keep_blank_values=True))


def token(ask: Ask) -> Answer:
    """`POST /services/oauth2/token`.
    Raises: OAuthError for everything that does not end in a token.
    """
    asked = form(ask)
    grant = _GRANTS.get(asked.get("grant_type", ""))
    if grant is None:
        raise OAuthError("unsupported_grant_type", "grant type not supported")
    return json_answer(grant(ask, asked), headers=_NO_STORE)


def revoke(ask: Ask) -> Answer:
    """`/services/oauth2/revoke`: ends a session, or a refresh token with its sessions. The refusal's words are unverified.
    Source: Salesforce Help, "Revoke OAuth Tokens".
    """
    if not ask.org.sessions.end(form(ask).get("token", "")):
        raise OAuthError("unsupported_token_type", "this token type is not supported")
    return empty_answer(200)


def introspect(ask: Ask) -> Answer:
    """`POST /services/oauth2/introspect`, as RFC 7662 shapes it.
    Source: Salesforce Help, "OpenID Connect Token Introspection".
    """
    asked = form(ask)
    authenticated_app(ask, asked)
    sessions = ask.org.sessions
    wanted = asked.get("token", "")
    session = sessions.peek(wanted)
    if session is None:
        grant = sessions.refreshed(wanted)
        return json_answer({"active": False} if grant is None else _refresh_claims(ask, grant))
    issued = int(session.issued.timestamp())
    claims = _claims(ask, session.user_id, session.consumer_key) | {"token_type": "access_token"}
    return json_answer(claims | {"iat": issued, "nbf": issued, "exp": issued + int(sessions.lasts_s)})


def granted(ask: Ask, app: ConnectedApp, *, user_id: str, family: str | None = None) -> dict[str, object]:
    """Open a session and say what every flow answers. `instance_url` is the host that the client used."""
    session = ask.org.sessions.start(user_id, org_id=ask.org.org_id, consumer_key=app.consumer_key, family=family)
    who = identity_url(ask, user_id)
    issued_at = str(int(session.issued.timestamp() * 1000))
    signed = hmac.new(app.consumer_secret.encode(), (who + issued_at).encode(), hashlib.sha256)
    return {
        "access_token": session.token,
        "instance_url": ask.base_url,
        "id": who,
        "token_type": "Bearer",
        "issued_at": issued_at,
        "signature": base64.b64encode(signed.digest()).decode(),
    }


def identity_url(ask: Ask, user_id: str) -> str:
    """The address that identifies a user: on the login host for clients that use Salesforce's names, else where the client is."""
    own = f"https://{LOGIN_HOSTS[0]}" if _host(ask.base_url).endswith(".salesforce.com") else ask.base_url
    base = ask.org.config.identity_host or own
    return f"{base}/id/{ask.org.org_id}/{user_id}"


def authenticated_app(ask: Ask, asked: Mapping[str, str], *, public: bool = False) -> ConnectedApp:
    """The connected app that asks, by key and secret in the form or as Basic authorization.

    `public` flows need the secret only if one is sent or the app requires it.
    Raises: OAuthError for an unknown app or a wrong secret.
    """
    basic_key, basic_secret = _basic(ask.headers.get("authorization", ""))
    app = known_app(ask, asked.get("client_id", basic_key))
    secret = asked.get("client_secret", basic_secret)
    if public and not secret and not app.secret_required:
        return app
    if not same(secret, app.consumer_secret):
        raise OAuthError("invalid_client", "invalid client credentials")
    return app


def known_app(ask: Ask, consumer_key: object) -> ConnectedApp:
    """The connected app of a consumer key.
    Raises: OAuthError(invalid_client_id) if there is none.
    """
    app = ask.org.apps.get(consumer_key)
    if app is None:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    return app


def check_flow(app: ConnectedApp, flow: str) -> None:
    """Raises: OAuthError for a flow that the app may not use; unverified for flows other than client credentials."""
    if flow in app.flows:
        return
    if flow == "client_credentials":
        raise OAuthError("invalid_grant", "client credentials flow not enabled")
    raise OAuthError("invalid_grant", "authentication failure")


def active_user(ask: Ask, username: str) -> str:
    """The id of a user who may log in.
    Raises: OAuthError for an unknown user, or one who was switched off.
    """
    user_id = ask.org.user_id(username)
    if user_id is None:
        raise OAuthError("invalid_grant", "authentication failure")
    if ask.org.user(user_id).get("IsActive") is False:
        raise OAuthError("inactive_user", "user is inactive")
    return user_id


def matching_login(ask: Ask, *, username: str, password: str) -> Login | None:
    """The login with this name and password, or None."""
    login = next((one for one in ask.org.config.users if one.username.lower() == username.lower()), None)
    return login if login is not None and same(password, login.secret) else None


def same(given: str, expected: str) -> bool:
    """Whether two secrets agree, in a time that tells nothing."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _by_password(ask: Ask, asked: Mapping[str, str]) -> dict[str, object]:
    if not ask.org.config.password_flow:
        raise OAuthError("invalid_grant", "authentication failure")
    app = authenticated_app(ask, asked)
    check_flow(app, "password")
    login = matching_login(ask, username=asked.get("username", ""), password=asked.get("password", ""))
    if login is None:
        raise OAuthError("invalid_grant", "authentication failure")
    return granted(ask, app, user_id=active_user(ask, login.username))


def _by_client_credentials(ask: Ask, asked: Mapping[str, str]) -> dict[str, object]:
    if _host(ask.base_url) in LOGIN_HOSTS:  # only My Domain hosts take this flow; the words are unverified
        raise OAuthError("invalid_grant", "request not supported on this domain")
    app = authenticated_app(ask, asked)
    check_flow(app, "client_credentials")
    return granted(ask, app, user_id=ask.org.api_user_id) | {"scope": SCOPE}


def _by_refresh_token(ask: Ask, asked: Mapping[str, str]) -> dict[str, object]:
    sessions = ask.org.sessions
    app = authenticated_app(ask, asked, public=True)
    check_flow(app, "refresh_token")
    grant: RefreshGrant | None = sessions.refreshed(asked.get("refresh_token", ""))
    if grant is not None and grant.consumer_key not in (None, app.consumer_key):
        grant = None
    if grant is not None and app.rotate_refresh_tokens:
        grant = sessions.rotate(grant)
    if grant is None:
        sessions.spent(asked.get("refresh_token", ""))
        raise OAuthError("invalid_grant", "expired access/refresh token")
    answer = granted(ask, app, user_id=grant.user_id, family=grant.family) | {"scope": SCOPE}
    return answer | {"refresh_token": grant.token} if app.rotate_refresh_tokens else answer


def _by_assertion(ask: Ask, asked: Mapping[str, str]) -> dict[str, object]:
    app, claims = _verified(ask, asked.get("assertion", ""))
    check_flow(app, "jwt_bearer")
    if not _audience_accepted(claims.get("aud"), ask.base_url):
        raise OAuthError("invalid_grant", "audience is invalid")
    if _expiry(claims.get("exp")) <= time.time():  # real time: client and emulator share this machine's clock, not the org's
        raise OAuthError("invalid_grant", "invalid assertion")
    username = str(claims.get("sub", ""))
    if ask.org.user_id(username) is None:
        raise OAuthError("invalid_grant", "user hasn't approved this consumer")
    answer = granted(ask, app, user_id=active_user(ask, username))
    return {key: answer[key] for key in ("access_token", "instance_url", "id", "token_type")} | {"scope": SCOPE}


def _by_code(ask: Ask, asked: Mapping[str, str]) -> dict[str, object]:
    from halocline.emulator.authorization import redeemed

    return redeemed(ask, asked)


_GRANTS: dict[str, Callable[[Ask, Mapping[str, str]], dict[str, object]]] = {
    "authorization_code": _by_code,
    "password": _by_password,
    "client_credentials": _by_client_credentials,
    "refresh_token": _by_refresh_token,
    JWT_GRANT: _by_assertion,
}


def _basic(header: str) -> tuple[str, str]:
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        key, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return key, secret


def _refresh_claims(ask: Ask, grant: RefreshGrant) -> dict[str, object]:
    return _claims(ask, grant.user_id, grant.consumer_key) | {"token_type": "refresh_token"}


def _claims(ask: Ask, user_id: str, consumer_key: str | None) -> dict[str, object]:
    return {
        "active": True,
        "scope": SCOPE,
        "client_id": consumer_key,
        "username": ask.org.username(user_id),
        "sub": identity_url(ask, user_id),
    }


def _verified(ask: Ask, assertion: str) -> tuple[ConnectedApp, dict[str, Any]]:
    """The app that an RS256 assertion names, and its claims, signed by one of the app's keys; without a key none is good."""
    import jwt  # with cryptography behind it: loaded by the first login that needs it

    # Expiry and audience are checked by the caller: simple-salesforce sends `exp` as text, the sf CLI in milliseconds.
    lenient: Any = {"verify_exp": False, "verify_aud": False, "verify_iat": False, "verify_nbf": False, "verify_sub": False}
    try:
        claimed = jwt.decode(assertion, options=lenient | {"verify_signature": False})
        app = known_app(ask, claimed.get("iss"))
    except (jwt.PyJWTError, UnicodeError) as reason:
        raise OAuthError("invalid_grant", "invalid assertion") from reason
    for key in app.public_keys():
        try:
            return app, jwt.decode(assertion, key, algorithms=["RS256"], options=lenient)
        except jwt.PyJWTError:
            continue
    raise OAuthError("invalid_grant", "invalid assertion")


def _audience_accepted(audience: object, base_url: str) -> bool:
    """The login hosts, any My Domain, or this emulator by the name that the client used, whatever path follows."""
    named = [str(one) for one in (audience if isinstance(audience, list) else [audience])]
    mine = base_url.partition("://")[2]
    return any(one.partition("://")[2].partition("/")[0] == mine or _is_salesforce(one) for one in named)


def _is_salesforce(url: str) -> bool:
    host = _host(url)
    return url.startswith("https://") and (host in LOGIN_HOSTS or host.endswith(".my.salesforce.com"))


def _host(url: str) -> str:
    """The host name of an address, empty if the client's header made nonsense of it."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _expiry(value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        return 0.0
    if not math.isfinite(seconds):
        return 0.0
    return seconds / 1000 if seconds > _LATEST_SECONDS else seconds
