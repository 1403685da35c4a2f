"""Logins: five ways to a session, and the session that renews itself.

    authenticator.authenticate() -> Session -> token() for every call -> renew(stale) when Salesforce says it has expired

Secrets are kept out of representations and messages. One that is given by reference is looked up where it is used: at each login;
a refresh token, which a login may replace, at the first. `http://` is accepted for this machine only.
"""

from __future__ import annotations

import ipaddress
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import httpx2

from halocline.config import environment, private_key, secret
from halocline.connectors.salesforce.errors import login_refusal
from halocline.connectors.salesforce.transport import http_client, reaching
from halocline.errors import FixConfig, LoginRefused, MissingExtra, RetryLater
from halocline.retry import Policy, always, retry

LOGIN_URL = "https://login.salesforce.com"
JWT_VALID_S = 180  # seconds, as simple-salesforce sends; how far ahead Salesforce lets it lie is unverified
LEGACY_NOTICE = (
    "The username-password flow is a legacy: Salesforce retires it in February 2027, and orgs made since Summer '23 block it. "
    "Move to client credentials or a JWT."
)
_LOGIN_POLICY = Policy(attempts=4, budget_s=120.0)
_DOING = "Logging in to Salesforce"
_SECRET_FIELDS = ("client_secret", "password", "refresh_token", "assertion")
_LOOKED_UP_LATER = {  # by the authenticator
    *("SF_CLIENT_SECRET", "SF_PASSWORD", "SF_SECURITY_TOKEN", "SF_REFRESH_TOKEN", "SF_PRIVATE_KEY_PATH"),
}
_DOMAINS = (
    *(".salesforce.com", ".force.com", ".cloudforce.com", ".database.com", ".salesforce.mil", ".crmforce.mil"),
    *(".sfcrmapps.cn", ".sfcrmproducts.cn"),
)
"""Where orgs are: salesforce.com and force.com by Salesforce Help, "Allow the Required Domains"; the others, of older orgs, of
governments and of China, are unverified."""
_INSIDE = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*|localhost|internal|local)\.?|.*:.*")
"""Numbers of hosts, however they are written, and names that only a network inside has."""
_SHARED_HOSTS = ("login.salesforce.com", "test.salesforce.com")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and the address it is good for.

    Raises: FixConfig when either cannot be one; the message does not hold the token.
    """

    access_token: str = field(repr=False)
    instance_url: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\x21-\x7e]+", self.access_token):
            raise FixConfig("Reading the access token", "it is empty, or holds blanks, line ends or non-ASCII characters")
        object.__setattr__(self, "instance_url", address(self.instance_url, what="instance_url"))


class Session:
    """A login that renews itself. Safe to share between threads.

    `login` fetches a token; it is called when there is none and when the one at hand has gone stale.
    `notices` are things that whoever uses this session should be told once.
    """

    def __init__(self, login: Callable[[], Token], *, token: Token | None = None, notices: tuple[str, ...] = ()) -> None:
        self.notices = notices
        self._login = login
        self._token = token
        self._refused: FixConfig | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Session({self._token.instance_url if self._token else 'not logged in'})"

    @property
    def instance_url(self) -> str:
        """The address that the token is good for, logging in first if need be."""
        return self.token().instance_url

    def token(self) -> Token:
        """The token at hand, logging in first if there is none.

        Raises: LoginRefused, NetworkFailed.
        """
        with self._lock:
            return self._token or self._fetch()

    def renew(self, stale: Token) -> Token:
        """A token other than `stale`: callers who hold the same stale one cause a single login, refused or not.

        Raises: LoginRefused (the same for all of them), NetworkFailed.
        """
        with self._lock:
            current = self._token
            return self._fetch() if current is None or current == stale else current

    def _fetch(self) -> Token:
        if self._refused:  # a second try with the same secrets would only bring the user nearer to being locked out
            raise LoginRefused(self._refused.doing, self._refused.cause, hint=self._refused.hint, code=self._refused.code)
        try:
            self._token = self._login()
        except FixConfig as error:
            if not error.facts.get("permanent"):  # the secrets did not leave this machine, so asking again risks nothing
                self._refused = error
            raise
        except RetryLater as error:
            error.facts["in_doubt"] = False  # it is the login that got lost: the call that needed it was surely not carried out
            raise
        return self._token


class Authenticator(Protocol):
    """A way to log in."""

    def authenticate(self) -> Session:
        """A session, logged in: wrong credentials show here and not later.

        Raises: LoginRefused, FixConfig for a setting that cannot work, NetworkFailed.
        """


@dataclass(frozen=True, slots=True)
class ClientCredentialsAuthenticator:
    """The OAuth client credentials flow: an app logs in as itself. `login_url` must be the org's My Domain.

    Source: Salesforce Help, "OAuth 2.0 Client Credentials Flow for Server-to-Server Integration", read November 2026.
    """

    client_id: str
    client_secret: str = field(repr=False)
    login_url: str = field(default=LOGIN_URL, kw_only=True)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> ClientCredentialsAuthenticator:
        """The flow with SF_CLIENT_ID, SF_CLIENT_SECRET, SF_LOGIN_URL. Raises: FixConfig naming what is missing."""
        env = _Environment(environ, "client credentials")
        client_id, secret, login_url = env.need("SF_CLIENT_ID", "SF_CLIENT_SECRET", "SF_LOGIN_URL")
        return cls(client_id, secret, login_url=login_url)

    def authenticate(self) -> Session:
        """See Authenticator."""
        return _opened(self._login)

    def _login(self) -> Token:
        if urlsplit(address(self.login_url, what="login_url")).hostname in _SHARED_HOSTS:
            cause = f"the client credentials flow does not work at {self.login_url}"
            hint = "It needs the org's My Domain as login_url: https://<name>.my.salesforce.com (Setup > My Domain)."
            raise LoginRefused(_DOING, cause, hint=hint)
        form = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": secret(self.client_secret)}
        return _token_for(self.login_url, form)


@dataclass(frozen=True, slots=True)
class JWTAuthenticator:
    """The OAuth JWT bearer flow: the app signs for `username` with its private key (RSA, PEM), given or in a file.

    `private_key_path` may be a reference too (`aws-sm:name#key`), to the path or to the key itself.
    `audience` is for orgs where it differs from `login_url`.
    Source: Salesforce Help, "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration", read November 2026.
    """

    client_id: str
    username: str
    private_key: str | bytes | None = field(default=None, repr=False, kw_only=True)
    private_key_path: str | os.PathLike[str] | None = field(default=None, repr=False, kw_only=True)
    login_url: str = field(default=LOGIN_URL, kw_only=True)
    audience: str | None = field(default=None, kw_only=True)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> JWTAuthenticator:
        """The flow with SF_CLIENT_ID, SF_USERNAME, SF_PRIVATE_KEY_PATH and, unless production, SF_LOGIN_URL.

        Raises: FixConfig naming what is missing.
        """
        env = _Environment(environ, "JWT")
        client_id, username, path = env.need("SF_CLIENT_ID", "SF_USERNAME", "SF_PRIVATE_KEY_PATH")
        return cls(client_id, username, private_key_path=path, login_url=env.login_url)

    def authenticate(self) -> Session:
        """See Authenticator."""
        return _opened(self._login)

    def _login(self) -> Token:
        return _token_for(self.login_url, self._form)

    def _form(self) -> dict[str, str]:
        """A fresh assertion for every attempt: an old one may have expired while we waited."""
        audience = self.audience or address(self.login_url, what="login_url")
        claims = {"iss": self.client_id, "sub": self.username, "aud": audience, "exp": int(time.time()) + JWT_VALID_S}
        return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": _signed(claims, self._key())}

    def _key(self) -> bytes:
        if self.private_key is not None:
            return secret(self.private_key).encode() if isinstance(self.private_key, str) else self.private_key
        if self.private_key_path is None:
            raise FixConfig(_DOING, "the JWT flow has no private key", hint="Give private_key_path (SF_PRIVATE_KEY_PATH).")
        hint = "Check SF_PRIVATE_KEY_PATH and the file's rights."
        return private_key(self.private_key_path, doing="Reading the private key", hint=hint)


class RefreshTokenAuthenticator:
    """The OAuth refresh token flow: a person authorized the app once.

    Where the app rotates refresh tokens, the newest is kept, and `on_rotate` is called with it before the session is used, so
    that it can be stored: the old one is worth nothing any more, and using it once more would end all sessions. So where
    tokens rotate (`on_rotate` is given, or one has rotated), a login whose answer was lost is not repeated.
    Source: Salesforce Help, "OAuth 2.0 Refresh Token Flow for Renewed Sessions", read November 2026.
    """

    def __init__(
        self,
        client_id: str,
        refresh_token: str,
        *,
        client_secret: str | None = None,
        login_url: str = LOGIN_URL,
        on_rotate: Callable[[str], None] | None = None,
    ) -> None:
        self.client_id = client_id
        self.login_url = login_url
        self._client_secret = client_secret
        self._refresh_token = refresh_token
        self._is_looked_up = False
        self._on_rotate = on_rotate
        self._rotates = on_rotate is not None

    def __repr__(self) -> str:
        return f"RefreshTokenAuthenticator(client_id={self.client_id!r}, login_url={self.login_url!r})"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> RefreshTokenAuthenticator:
        """The flow with SF_CLIENT_ID, SF_REFRESH_TOKEN and, where set, SF_CLIENT_SECRET and SF_LOGIN_URL.

        Raises: FixConfig naming what is missing.
        """
        env = _Environment(environ, "refresh token")
        client_id, refresh_token = env.need("SF_CLIENT_ID", "SF_REFRESH_TOKEN")
        return cls(client_id, refresh_token, client_secret=env.get("SF_CLIENT_SECRET"), login_url=env.login_url)

    def authenticate(self) -> Session:
        """See Authenticator."""
        return _opened(self._login)

    def _login(self) -> Token:
        if not self._is_looked_up:
            self._refresh_token, self._is_looked_up = secret(self._refresh_token), True
        form = {"grant_type": "refresh_token", "client_id": self.client_id, "refresh_token": self._refresh_token}
        if self._client_secret:
            form["client_secret"] = secret(self._client_secret)
        answer = _ask(self.login_url, form, again=self._may_repeat)
        rotated = answer.get("refresh_token")
        if isinstance(rotated, str) and rotated and rotated != self._refresh_token:
            self._refresh_token, self._rotates = rotated, True  # Salesforce made the old one worthless just now
            if self._on_rotate:
                self._on_rotate(rotated)
        return _token_of(answer, self.login_url)

    def _may_repeat(self, error: RetryLater) -> bool:
        return not (self._rotates and error.facts.get("in_doubt"))


@dataclass(frozen=True, slots=True)
class OAuthAuthenticator:
    """The OAuth username-password flow. A legacy: Salesforce retires it in February 2027; orgs made since Summer '23 block it.

    `security_token` is needed outside the trusted addresses of the org. Whoever uses the session is told of the end once.
    Source: Salesforce Help, "OAuth 2.0 Username-Password Flow for Special Scenarios", read November 2026.
    """

    client_id: str
    client_secret: str = field(repr=False)
    username: str
    password: str = field(repr=False)
    security_token: str = field(default="", repr=False)
    login_url: str = field(default=LOGIN_URL, kw_only=True)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> OAuthAuthenticator:
        """The flow with SF_CLIENT_ID, SF_CLIENT_SECRET, SF_USERNAME, SF_PASSWORD; SF_SECURITY_TOKEN and SF_LOGIN_URL where set.

        Raises: FixConfig naming what is missing.
        """
        env = _Environment(environ, "username-password")
        client_id, secret, username, password = env.need("SF_CLIENT_ID", "SF_CLIENT_SECRET", "SF_USERNAME", "SF_PASSWORD")
        return cls(
            client_id, secret, username, password, security_token=env.get("SF_SECURITY_TOKEN") or "", login_url=env.login_url
        )

    def authenticate(self) -> Session:
        """See Authenticator."""
        return _opened(self._login, notices=(LEGACY_NOTICE,))

    def _login(self) -> Token:
        form = {
            "grant_type": "password",
            "client_id": self.client_id,
            "client_secret": secret(self.client_secret),
            "username": self.username,
            "password": secret(self.password) + secret(self.security_token),
        }
        return _token_for(self.login_url, form)


@dataclass(frozen=True, slots=True)
class SessionAuthenticator:
    """A session id as given, with the address it is good for. It cannot be renewed: LoginRefused when it expires."""

    access_token: str = field(repr=False)
    instance_url: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> SessionAuthenticator:
        """The session of SF_ACCESS_TOKEN and SF_INSTANCE_URL. Raises: FixConfig naming what is missing."""
        env = _Environment(environ, "session id")
        return cls(*env.need("SF_ACCESS_TOKEN", "SF_INSTANCE_URL"))

    def authenticate(self) -> Session:
        """See Authenticator; nothing is called, so a dead session id shows at the first use."""
        return Session(self._login, token=Token(self.access_token, self.instance_url))

    def _login(self) -> Token:
        hint = "Get a new one, or log in with client credentials or a JWT, which renew themselves."
        raise LoginRefused(
            "Renewing the Salesforce session", "the access token has expired, and one given as it is cannot be renewed", hint=hint
        )


def from_env(environ: Mapping[str, str] | None = None) -> Authenticator:
    """The way to log in that the `SF_*` variables describe.

    The first of these that is set decides: SF_ACCESS_TOKEN (session id), SF_PRIVATE_KEY_PATH (JWT), SF_REFRESH_TOKEN, SF_PASSWORD
    (username-password; without an app by the SOAP API, at SF_LOGIN_URL or SF_DOMAIN), SF_CLIENT_SECRET (client credentials).
    Raises: FixConfig saying what is missing.
    """
    env = environment(environ)
    for variable, flow in _FLOWS.items():
        if env.get(variable):
            return flow(env)
    hint = (
        "Set SF_CLIENT_ID, SF_CLIENT_SECRET and SF_LOGIN_URL (client credentials), or SF_CLIENT_ID, SF_USERNAME and "
        "SF_PRIVATE_KEY_PATH (JWT), or SF_ACCESS_TOKEN and SF_INSTANCE_URL. "
        "No org at hand? `halocline emulator` starts one, and says what to set."
    )
    raise FixConfig(_DOING, f"none of {', '.join(_FLOWS)} is set", hint=hint)


def _by_password(environ: Mapping[str, str]) -> Authenticator:
    """By the app that is named, else by the SOAP API, which asks for none: what users of Data Loader have."""
    env = _Environment(environ, "username-password")
    if env.get("SF_CLIENT_ID") or env.get("SF_CLIENT_SECRET"):
        return OAuthAuthenticator.from_env(environ)
    from halocline.connectors.salesforce.soap_login import SoapAuthenticator  # it stands on this module

    username, password, token = *env.need("SF_USERNAME", "SF_PASSWORD"), env.get("SF_SECURITY_TOKEN") or ""
    host = env.get("SF_LOGIN_URL") or SoapAuthenticator.login_url_of(env.get("SF_DOMAIN") or "")
    return SoapAuthenticator(username, secret(password), security_token=secret(token), login_url=host)


_FLOWS: Mapping[str, Callable[[Mapping[str, str]], Authenticator]] = {
    "SF_ACCESS_TOKEN": SessionAuthenticator.from_env,
    "SF_PRIVATE_KEY_PATH": JWTAuthenticator.from_env,
    "SF_REFRESH_TOKEN": RefreshTokenAuthenticator.from_env,
    "SF_PASSWORD": _by_password,
    "SF_CLIENT_SECRET": ClientCredentialsAuthenticator.from_env,
}


def later(login: Callable[[], Authenticator]) -> Session:
    """A session that logs in at its first use, by what `login` gives then; its notices are known from then on."""
    opened: Session | None = None
    token: Token | None = None

    def fetch() -> Token:
        nonlocal opened, token
        if opened is None:
            opened = login().authenticate()
            session.notices = opened.notices
        token = opened.token() if token is None else opened.renew(token)
        return token

    session = Session(fetch)
    return session


def session_from(access_info: Mapping[str, object] | Session | Authenticator) -> Session:
    """The session of whatever describes one: a session, an authenticator, or a dict with `access_token` and `instance_url`.

    Raises: FixConfig when the dict lacks one of the two, and for what describes none; what `authenticate` raises.
    """
    if isinstance(access_info, Session):
        return access_info
    if not isinstance(access_info, Mapping):
        if isinstance(access_info, type) or not callable(getattr(access_info, "authenticate", None)):
            hint = "Give an authenticator, a session, or a dict with access_token and instance_url."
            raise FixConfig("Reading access_info", f"what was given, a {type(access_info).__name__}, is no login", hint=hint)
        return access_info.authenticate()
    missing = [name for name in ("access_token", "instance_url") if not access_info.get(name)]
    if missing:
        raise FixConfig("Reading access_info", f"{' and '.join(missing)} missing", hint="It needs access_token and instance_url.")
    return SessionAuthenticator(str(access_info["access_token"]), str(access_info["instance_url"])).authenticate()


def address(text: str, *, what: str) -> str:
    """`text` as an address without a trailing slash; `https://` is added where no scheme is given.

    Raises: FixConfig for an address that cannot be one, that would send secrets in the clear, or that has no API.
    """
    url = (text if "://" in text else f"https://{text}").strip().rstrip("/").removesuffix("/services/oauth2/token").rstrip("/")
    host = _host(url)
    if not host or re.search(r"[\s\x00-\x1f\\?#@]", url):
        raise FixConfig(f"Reading {what}", "it is not an address", hint="It looks like https://<name>.my.salesforce.com.")
    if host.endswith(".lightning.force.com"):
        name = host.removesuffix(".lightning.force.com")
        hint = f"Use https://{name}.my.salesforce.com."
        raise FixConfig(f"Reading {what}", f"{host} is the browser's address and has no API", hint=hint)
    scheme = url.partition("://")[0].lower()
    if scheme != "https" and not (scheme == "http" and _is_loopback(host)):
        cause = f"{scheme}://{host} would carry the access token unencrypted"
        raise FixConfig(f"Reading {what}", cause, hint="Use https://; http:// is accepted for this machine only.")
    return url


def _host(url: str) -> str:
    """The host of an address, or "" where it has none or a port that is no number."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "") if parts.port is None or parts.port else ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class _Environment:
    """The `SF_*` variables as one flow reads them; each may be a reference, and those of secrets stay what they are: what is
    behind a reference is followed no further.
    """

    environ: Mapping[str, str] | None
    flow: str

    def get(self, name: str) -> str | None:
        text = environment(self.environ).get(name) or ""
        return (text if name in _LOOKED_UP_LATER else secret(text)) or None

    @property
    def login_url(self) -> str:
        return self.get("SF_LOGIN_URL") or LOGIN_URL

    def need(self, *names: str) -> list[str]:
        found = {name: self.get(name) for name in names}
        missing = [name for name, value in found.items() if value is None]
        if missing:
            raise FixConfig(_DOING, f"the {self.flow} flow needs {', '.join(missing)}", hint="Set it in the environment.")
        return [value for value in found.values() if value is not None]


def _opened(login: Callable[[], Token], *, notices: tuple[str, ...] = ()) -> Session:
    session = Session(login, notices=notices)
    session.token()
    return session


def _signed(claims: Mapping[str, object], key: bytes) -> str:
    try:
        import jwt
    except ImportError as error:
        hint = "pip install 'PyJWT[crypto]'"
        raise MissingExtra(_DOING, "the JWT flow needs PyJWT and cryptography", hint=hint) from error
    try:
        return jwt.encode(dict(claims), key, algorithm="RS256")
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        hint = "It must be an RSA key in PEM form, without a passphrase."
        raise FixConfig("Signing the login", f"the private key cannot be used ({type(error).__name__})", hint=hint) from None


def _token_for(login_url: str, form: Mapping[str, str] | Callable[[], Mapping[str, str]]) -> Token:
    return _token_of(_ask(login_url, form), login_url)


def _ask(
    login_url: str,
    form: Mapping[str, str] | Callable[[], Mapping[str, str]],
    *,
    again: Callable[[RetryLater], bool] = always,
) -> Mapping[str, object]:
    """The token endpoint's answer, asked again while that may help and `again` agrees."""
    url = address(login_url, what="login_url")
    with http_client(read_timeout_s=30.0) as http:
        return retry(lambda: _post(http, url, form() if callable(form) else form), _LOGIN_POLICY, again=again)


def _post(http: httpx2.Client, url: str, form: Mapping[str, str]) -> Mapping[str, object]:
    """One question to the token endpoint. Source: Salesforce Help, "OAuth Authorization Flows", read November 2026."""
    host = urlsplit(url).netloc
    with reaching(_DOING, host):
        reply = http.post(f"{url}/services/oauth2/token", data=dict(form), headers={"Accept": "application/json"})
    secrets = tuple(value for name, value in form.items() if name in _SECRET_FIELDS)
    if reply.status_code != 200:
        raise login_refusal(_DOING, reply.status_code, headers=reply.headers, content=reply.content, host=host, secrets=secrets)
    try:
        answer = reply.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        hint = "Check login_url: it must be login.salesforce.com, test.salesforce.com or the org's My Domain."
        raise LoginRefused(_DOING, f"{host} did not answer as Salesforce's login does", hint=hint, status=reply.status_code)
    return answer


def _token_of(answer: Mapping[str, object], login_url: str) -> Token:
    token, instance_url = answer.get("access_token"), answer.get("instance_url")
    if not (isinstance(token, str) and isinstance(instance_url, str)):
        raise LoginRefused(_DOING, f"{address(login_url, what='login_url')} answered without access_token and instance_url")
    return token_at(token, instance_url, login_url=login_url)


def token_at(access_token: str, instance_url: str, *, login_url: str) -> Token:
    """The token that a login gave, for the address that it gave with it.

    Raises: LoginRefused for an address that no login of that kind gives: the token, and all that is read, would go there.
    """
    token = Token(access_token, instance_url)
    asked, given = _host(address(login_url, what="login_url")).lower(), _host(token.instance_url).lower()
    if given != asked and not _may_lead(asked, given):
        cause = f"{asked} answered with an instance at {given}, where an org of its own is not"
        raise LoginRefused(_DOING, cause, hint="Check login_url, and who answers in its place.")
    return token


def _may_lead(asked: str, given: str) -> bool:
    """Whether a login at one host may give an instance at another: Salesforce's at Salesforce's, this machine's at this machine,
    any other (a company's own domain, a proxy) at a name, and never at a number, which is how to a machine inside is asked for.
    """
    if given.endswith(_DOMAINS):
        return True
    if asked.endswith(_DOMAINS) or _is_loopback(given):
        return _is_loopback(asked) and _is_loopback(given)
    return _INSIDE.fullmatch(given) is None
