"""The login of the SOAP API: user name, password and security token, without an app of one's own.

A legacy: Salesforce takes login() away in Summer '27, and from API version 65 on it is gone already; orgs may have it off.

Source: Salesforce Help, "SOAP API login() Retirement"; SOAP API Developer Guide, "login()". Read November 2026.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape, unescape
from urllib.parse import urlsplit

import httpx2

from halocline.connectors.salesforce.auth import LOGIN_URL, Session, Token, address, token_at
from halocline.connectors.salesforce.errors import login_refusal
from halocline.connectors.salesforce.transport import http_client, reaching
from halocline.errors import HaloclineError, LoginRefused, RetryLater
from halocline.hiding import hidden, scrub
from halocline.retry import Policy, retry

SOAP_NOTICE = (
    "The login of the SOAP API is a legacy: Salesforce takes it away in Summer '27. Move to client credentials or a JWT."
)
_LOGIN_HOSTS = {"": "login", "na": "login"}
_LAST_VERSION = "64.0"
_POLICY = Policy(attempts=5, base_s=2.0, cap_s=32.0, budget_s=120.0)
_DOING = "Logging in to Salesforce (SOAP)"
_TRY_LATER = frozenset({"SERVER_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"})
_HINTS = {
    "INVALID_LOGIN": "Check user name, password and security token, and the domain: sandboxes log in at test.",
    "LOGIN_MUST_USE_SECURITY_TOKEN": "Give the security token, which Salesforce mails when it is reset.",
    "INVALID_OPERATION": "The org has this login off. Use client credentials or a JWT.",
}


@dataclass(frozen=True, slots=True)
class SoapAuthenticator:
    """A login by user name and password. `security_token` is needed outside the trusted addresses of the org.

    Whoever uses the session is told once that this way ends.
    """

    username: str
    password: str = field(repr=False)
    security_token: str = field(default="", repr=False, kw_only=True)
    login_url: str = field(default=LOGIN_URL, kw_only=True)

    @staticmethod
    def login_url_of(domain: str) -> str:
        """Where a domain logs in: `login` (also "" and `na`), `test`, `<name>.my`, or a whole address."""
        name = domain.strip()
        host = _LOGIN_HOSTS.get(name.lower(), name)
        return host if "://" in host else f"https://{host}.salesforce.com"

    def authenticate(self) -> Session:
        """See Authenticator; tried again while Salesforce says that it cannot just now."""
        session = Session(self._login, notices=(SOAP_NOTICE,))
        session.token()
        return session

    def _login(self) -> Token:
        return retry(self._ask, _POLICY)

    def _ask(self) -> Token:
        url = address(self.login_url, what="login_url")
        host = urlsplit(url).netloc
        headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": "login"}
        with http_client(read_timeout_s=30.0) as http, reaching(_DOING, host):
            reply = http.post(f"{url}/services/Soap/u/{_LAST_VERSION}", content=self._envelope(), headers=headers)
        if reply.status_code != 200:
            raise self._refusal(reply, host)
        session_id, server = _element(reply.text, "sessionId"), _element(reply.text, "serverUrl")
        if not (session_id and server):
            hint = "Check the domain: login, test, or the org's My Domain (<name>.my)."
            raise LoginRefused(_DOING, f"{host} did not answer as Salesforce's login does", hint=hint)
        parts = urlsplit(server)
        return token_at(session_id, f"{parts.scheme}://{parts.netloc}", login_url=url)

    def _envelope(self) -> bytes:
        name, word = (escape(text, quote=False) for text in (self.username, self.password + self.security_token))
        return (
            '<?xml version="1.0" encoding="utf-8"?><env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/">'
            f'<env:Body><n1:login xmlns:n1="urn:partner.soap.sforce.com"><n1:username>{name}</n1:username>'
            f"<n1:password>{word}</n1:password></n1:login></env:Body></env:Envelope>"
        ).encode()

    def _refusal(self, reply: httpx2.Response, host: str) -> HaloclineError:
        """The error for an answer that is no login: a fault has a code of its own, and always comes with status 500."""
        secrets = (self.password + self.security_token, self.password, self.security_token)
        text = hidden(reply.text, secrets)
        code = scrub((_element(text, "exceptionCode") or _element(text, "faultcode")).rpartition(":")[2], secrets)
        if not code:
            status = reply.status_code
            return login_refusal(_DOING, status, headers=reply.headers, content=reply.content, host=host, secrets=secrets)
        cause = scrub(f"{code}: {_element(text, 'exceptionMessage') or _element(text, 'faultstring')}", secrets)
        if code in _TRY_LATER:
            return RetryLater(_DOING, cause, code=code, host=host)
        return LoginRefused(_DOING, cause, hint=_HINTS.get(code, ""), code=code, host=host)


def _element(text: str, name: str) -> str:
    """The text of the first element of that name, "" where there is none; a login's answer nests nothing in these."""
    found = re.search(rf"<(?:\w+:)?{name}(?:\s[^>]*)?>([^<]*)<", text)
    return unescape(found[1]).strip() if found else ""
