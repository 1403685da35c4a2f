"""SfClient: `SfClient().Account.create({...})`, `.query_all(soql)`, `.bulk.Account.upsert(rows, key)`."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from halocline.config import Settings, variables
from halocline.errors import FixConfig, Truncated
from halocline.ledger import Ledger
from halocline.sf.sobject import SfType

if TYPE_CHECKING:
    from halocline.connectors.salesforce import SalesforceClient, Session, SoapAuthenticator
    from halocline.sf.bulk import SfBulk

_LOGIN_HOSTS = {"": "login", "na": "login"}
_OTHER_LOGINS = ("ACCESS_TOKEN", "PRIVATE_KEY_PATH", "REFRESH_TOKEN", "CLIENT_ID")


class SfClient:
    """An org. Without arguments it logs in as the `SF_*` variables say; else by user name, password and security token.

    `domain` is the host before `.salesforce.com`: `login` (also "" and `na`), `test` for sandboxes, `<name>.my` for My Domain; or
    a whole address. SF_USERNAME and SF_PASSWORD without SF_CLIENT_ID log in the same way, with SF_SECURITY_TOKEN and SF_DOMAIN.
    `client` is one of ours, in place of a login. Bulk writes are kept in `ledger` (None: that of `settings`, which are the
    environment's otherwise).

    An object is an attribute: `sf.Account`. Whoever takes a login takes an SfClient. Logging in waits until it is needed.
    Raises: FixConfig when something of the login is missing.
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
        if (username is None) != (password is None):
            hint = "Give user name, password, security token and domain, or nothing, for the SF_* variables."
            raise FixConfig("Logging in to Salesforce", "user name and password come together", hint=hint)
        if username is None or password is None:
            self.client: SalesforceClient = client or _from_env()
        else:
            self.client = _client(soap_login(username, password, security_token=security_token, domain=domain))
        # the documents' samples never close it
        self._close = weakref.finalize(self, self.client.close) if client is None else None
        self._settings = settings
        self._ledger = ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections, unless the client was given. Idempotent."""
        if self._close is not None:
            self._close()

    def authenticate(self) -> Session:
        """The session that it uses: see `halocline.connectors.salesforce.Authenticator`."""
        return self.client.transport.session

    def __getattr__(self, name: str) -> SfType:
        # Python asks for its own names too (copying, pickling, notebooks); no object of Salesforce begins with an underscore.
        if name.startswith("_") or name == "client":  # `client` is not there yet where __init__ was not called
            raise AttributeError(name)
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
        from halocline.sf.bulk import SfBulk  # it loads pyarrow, which nothing else here needs

        return SfBulk(self.client, settings=self._settings, ledger=self._ledger)

    def query(self, query: str, include_deleted: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - as its users write it
        """The first page as Salesforce sends it: `totalSize`, `done`, `records`, and `nextRecordsUrl` unless `done`."""
        path = "queryAll" if include_deleted else "query"
        return self._page(path, {"q": query})

    def query_more(self, next_records_identifier: str, identifier_is_url: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002
        """The page behind a `nextRecordsUrl`, or behind the identifier at its end."""
        return self._page(next_records_identifier if identifier_is_url else f"query/{next_records_identifier}", None)

    def query_all(self, query: str, include_deleted: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002
        """All pages in one: `totalSize`, `done`, `records`.

        Raises: Truncated when fewer records come than were announced.
        """
        first = self.query(query, include_deleted)
        records = [record for page in self._pages(first) for record in page["records"]]
        if len(records) < int(first["totalSize"]):
            raise Truncated(f"Querying ({query[:80]})", f"{len(records):,} of {first['totalSize']:,} records came")
        return {"totalSize": first["totalSize"], "done": True, "records": records}

    def query_all_iter(self, query: str, include_deleted: bool = False) -> Iterator[dict[str, Any]]:  # noqa: FBT001, FBT002
        """The records one by one, page by page as they are taken."""
        for page in self._pages(self.query(query, include_deleted)):
            yield from page["records"]

    def describe(self) -> dict[str, Any]:
        """The objects of the org: `sobjects`."""
        return {"sobjects": self.client.list_objects()}

    def limits(self) -> dict[str, Any]:
        """The org's limits."""
        return self.client.limits()

    def _pages(self, first: dict[str, Any]) -> Iterator[dict[str, Any]]:
        page, seen = first, set[str]()
        yield page
        while not page["done"]:
            link = str(page.get("nextRecordsUrl"))
            if link in seen:  # a link that comes back would go round for ever
                raise Truncated("Querying", "the pages have no end", link=link)
            seen.add(link)
            page = self.query_more(link)
            yield page

    def _page(self, path: str, params: Mapping[str, str] | None) -> dict[str, Any]:
        return self.client.transport.send("GET", path, params=params, doing="Querying").object("totalSize", "done", "records")


def _client(login: SoapAuthenticator) -> SalesforceClient:
    from halocline import SalesforceClient  # it loads the HTTP library

    return SalesforceClient(login)


def _from_env() -> SalesforceClient:
    from halocline import SalesforceClient

    env = variables("SF_")
    if any(name in env for name in _OTHER_LOGINS) or not {"USERNAME", "PASSWORD"} <= env.keys():
        return SalesforceClient.from_env()
    domain = env.get("LOGIN_URL") or env.get("DOMAIN")
    return _client(soap_login(env["USERNAME"], env["PASSWORD"], security_token=env.get("SECURITY_TOKEN"), domain=domain))


def soap_login(username: str, password: str, *, security_token: str | None, domain: str | None) -> SoapAuthenticator:
    """The login by user name and password at the host that `domain` stands for."""
    from halocline import SoapAuthenticator

    name = (domain or "").strip()
    host = _LOGIN_HOSTS.get(name.lower(), name)
    url = host if "://" in host else f"https://{host}.salesforce.com"
    return SoapAuthenticator(username, password, security_token=security_token or "", login_url=url)
