"""SfClient: `SfClient().Account.create({...})`, `.query_all(soql)`, `.bulk.Account.upsert(rows, key)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from halocline.config import Settings, secret, variables
from halocline.errors import FixConfig
from halocline.ledger import Ledger
from halocline.sf_client.absent import instead_of
from halocline.sf_client.sobject import SfType

if TYPE_CHECKING:
    from halocline.connectors.salesforce import Authenticator, SalesforceClient, Session, SoapAuthenticator
    from halocline.sf_client.bulk import SfBulk

_OTHER_LOGINS = ("ACCESS_TOKEN", "PRIVATE_KEY_PATH", "REFRESH_TOKEN", "CLIENT_ID")
_DOING = "Logging in to Salesforce"
_HINT = "Give user name, password, security token and domain; or at most the domain, for the SF_* variables; or a client."


class SfClient:
    """An org. Without arguments it logs in as the `SF_*` variables say; else by user name, password and security token.

    `domain` is the host before `.salesforce.com`: `login` (also "" and `na`), `test` for sandboxes, `<name>.my` for My Domain; or
    a whole address. SF_USERNAME and SF_PASSWORD without SF_CLIENT_ID log in the same way, with SF_SECURITY_TOKEN and SF_DOMAIN; a
    `domain` that is given goes before SF_DOMAIN and SF_LOGIN_URL. `client` is one of ours, in place of a login. Bulk writes are
    kept in `ledger` (None: that of `settings`, which are the environment's otherwise).

    An object is an attribute: `sf.Account`. Whoever takes a login takes an SfClient. Logging in, and looking up what variables
    refer to (`env:`, `file:`, `aws-sm:`), wait until something is asked of the org; what it raises is raised there.
    Raises: FixConfig when something of the login is missing, or is given beside what it cannot go with.
    """

    def __init__(
        self,
        username: str | None = None,
        password: str | None = None,
        security_token: str | None = None,
        domain: str | None = None,
        *,
        client: SalesforceClient | None = None,
        settings: Settings | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        _expect_one_login(username, password, security_token=security_token, domain=domain, client=client)
        if client is not None:
            self.client = client
        elif username and password:
            login = soap_login(username, password, security_token=security_token, domain=domain)
            self.client = _later(lambda: login)
        else:
            self.client = _from_env(domain)
        self._own = client is None
        if self._own:
            # the documents' samples never close it, and hold no more of it than `SfClient().bulk` or `SfClient().Account`
            self.client.transport.close_when_dropped()
        self._settings = settings
        self._ledger = ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections, unless the client was given. Idempotent."""
        if self._own:
            self.client.close()

    def authenticate(self) -> Session:
        """The session that it uses: see `halocline.connectors.salesforce.Authenticator`."""
        session = self.client.transport.session
        session.token()
        return session

    def __getattr__(self, name: str) -> SfType:
        # Python asks for its own names too (copying, pickling, notebooks); no object of Salesforce begins with an underscore.
        if name.startswith("_") or name == "client":  # `client` is not there yet where __init__ was not called
            raise AttributeError(name)
        if (told := instead_of(name)) is not None:
            raise AttributeError(f"SfClient has no {name}, which is simple-salesforce's: {told}.")
        return SfType(self.client, name)

    @property
    def session_id(self) -> str:
        """The access token. It is a secret."""
        return self.client.transport.session.token().access_token

    @property
    def sf_instance(self) -> str:
        """The host of the org."""
        return self.client.transport.session.token().instance_url.partition("://")[2]

    @property
    def bulk(self) -> SfBulk:
        """Many rows: `sf.bulk.Account.upsert(rows, "Ext__c")`."""
        from halocline.sf_client.bulk import SfBulk  # it loads pyarrow, which nothing else here needs

        return SfBulk(self.client, settings=self._settings, ledger=self._ledger)

    def query(self, query: str, include_deleted: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - as its users write it
        """The first page as Salesforce sends it: `totalSize`, `done`, `records`, and `nextRecordsUrl` unless `done`."""
        return self.client.page(query, include_deleted=include_deleted)

    def query_more(
        self,
        next_records_identifier: str,
        identifier_is_url: bool = False,  # noqa: FBT001, FBT002 - as its users write it
        *,
        include_deleted: bool = False,
    ) -> dict[str, Any]:
        """The page behind the identifier at the end of a `nextRecordsUrl`, or behind the whole of it.

        An identifier has no slash, so that a path is seen to be one without `identifier_is_url`. `include_deleted` counts for
        an identifier alone: a path says it itself.
        Source: simple-salesforce, `Salesforce.query_more`.
        """
        if identifier_is_url or "/" in next_records_identifier:
            return self.client.page_at(next_records_identifier)
        return self.client.page_at(f"{'queryAll' if include_deleted else 'query'}/{next_records_identifier}")

    def query_all(self, query: str, include_deleted: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002
        """All pages in one: `totalSize`, `done`, `records`; of a `SELECT COUNT()` its number and no record.

        Raises: Truncated when fewer records come than were announced.
        """
        first = self.query(query, include_deleted)
        records = [record for page in self.client.pages_from(first, query) for record in page]
        return {"totalSize": first["totalSize"], "done": True, "records": records}

    def query_all_iter(self, query: str, include_deleted: bool = False) -> Iterator[dict[str, Any]]:  # noqa: FBT001, FBT002
        """The records one by one, page by page as they are taken. Raises: as `query_all`."""
        for page in self.client.pages_from(self.query(query, include_deleted), query):
            yield from page

    def describe(self) -> dict[str, Any]:
        """The objects of the org: `sobjects`."""
        return {"sobjects": self.client.list_objects()}

    def limits(self) -> dict[str, Any]:
        """The org's limits."""
        return self.client.limits()

    def is_sandbox(self) -> bool:
        """Whether the org is a sandbox."""
        return bool(self.query("SELECT IsSandbox FROM Organization LIMIT 1")["records"][0]["IsSandbox"])

    @property
    def sf_version(self) -> str:
        """The version of Salesforce's API that is asked: `67.0`."""
        return self.client.transport.version

    @property
    def base_url(self) -> str:
        """The address that the paths of `restful` begin with."""
        return f"https://{self.sf_instance}{self.client.transport.base}/"

    def restful(
        self, path: str, params: Mapping[str, Any] | None = None, method: str = "GET", *, json: object = None, **more: Any
    ) -> Any:
        """The answer of Salesforce to any call, as JSON; None where it is empty. `data` and `headers` may be given too.

        `path` begins behind `base_url` (`limits`), or with a slash at the host. What is no GET is not repeated once it may have
        been done.
        Raises: as SalesforceClient; TypeError for other options of `requests`.
        """
        return self._called(method, path, params=params, json=json, **more)

    def search(self, search: str) -> Any:
        """What a whole SOSL search finds: `sf.search("FIND {Waldo} IN ALL FIELDS RETURNING Contact(Id)")`."""
        return self._called("GET", "search/", params={"q": search})

    def quick_search(self, search: str) -> Any:
        """What is found for some words: `sf.quick_search("Waldo")`."""
        return self.search(f"FIND {{{search}}}")

    def apexecute(self, action: str, method: str = "GET", data: object = None, **more: Any) -> Any:
        """The answer of an Apex REST class: `sf.apexecute("User/Activity", method="POST", data={...})`."""
        return self._called(method, f"/services/apexrest/{action.lstrip('/')}", json=data, **more)

    def toolingexecute(self, action: str, method: str = "GET", data: object = None, **more: Any) -> Any:
        """The answer of the Tooling API: `sf.toolingexecute("query/?q=SELECT+Id+FROM+ApexClass")`."""
        return self._called(method, f"tooling/{action.lstrip('/')}", json=data, **more)

    def _called(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: object = None,
        data: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        content = data.encode() if isinstance(data, str) else data
        asked: dict[str, Any] = {"params": params, "json": json, "content": content, "headers": headers}
        send = self.client.transport.send if method.upper() in {"GET", "HEAD"} else self.client.transport.send_once
        reply = send(method.upper(), path, accept=(200, 201, 202, 204), **asked)
        return reply.json() if reply.content.strip() else None


def _expect_one_login(
    username: str | None,
    password: str | None,
    *,
    security_token: str | None,
    domain: str | None,
    client: SalesforceClient | None,
) -> None:
    """Raises: FixConfig where what is given is no login, or two."""
    if client is not None and any(one is not None for one in (username, password, security_token, domain)):
        raise FixConfig(_DOING, "a client is given, and a login beside it", hint=_HINT)
    if bool(username) != bool(password) or (username is not None and not username):
        raise FixConfig(_DOING, "user name and password come together", hint=_HINT)
    if security_token and not username:
        raise FixConfig(_DOING, "a security token is given without user name and password", hint=_HINT)


def _later(login: Callable[[], Authenticator] | Mapping[str, str]) -> SalesforceClient:
    from halocline import SalesforceClient  # it loads the HTTP library

    return SalesforceClient.later(login)


def _from_env(domain: str | None) -> SalesforceClient:
    env = variables("SF_")
    if {"USERNAME", "PASSWORD"} <= env.keys() and not any(name in env for name in _OTHER_LOGINS):
        return _later(lambda: _by_password(env, domain))
    if domain is not None and "ACCESS_TOKEN" in env:
        hint = "Leave the domain out, or unset SF_ACCESS_TOKEN."
        raise FixConfig(_DOING, f"the domain {domain!r} is given, and SF_ACCESS_TOKEN, which is good for its own only", hint=hint)
    login_url = {} if domain is None else {"SF_LOGIN_URL": _login_url(domain)}
    return _later({f"SF_{name}": value for name, value in env.items()} | login_url)


def _by_password(env: Mapping[str, str], domain: str | None) -> SoapAuthenticator:
    known = {name: secret(env.get(name, "")) for name in ("USERNAME", "PASSWORD", "SECURITY_TOKEN", "LOGIN_URL", "DOMAIN")}
    host = known["LOGIN_URL"] or known["DOMAIN"] if domain is None else domain
    return soap_login(known["USERNAME"], known["PASSWORD"], security_token=known["SECURITY_TOKEN"], domain=host)


def soap_login(username: str, password: str, *, security_token: str | None, domain: str | None) -> SoapAuthenticator:
    """The login by user name and password at the host that `domain` stands for."""
    from halocline import SoapAuthenticator

    return SoapAuthenticator(username, password, security_token=security_token or "", login_url=_login_url(domain or ""))


def _login_url(domain: str) -> str:
    from halocline import SoapAuthenticator  # it loads the HTTP library

    return SoapAuthenticator.login_url_of(domain)
