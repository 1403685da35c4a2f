"""SalesforceClient: what people use to ask an org something, and to change it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict, Unpack
from urllib.parse import quote

import httpx2

from halocline.budget import Spend
from halocline.connectors.salesforce import enclosed, records
from halocline.connectors.salesforce.auth import Authenticator, Session, from_env, later, session_from
from halocline.connectors.salesforce.collections import CALL_ROWS, WIDTH, Collections, Operation, Order
from halocline.connectors.salesforce.soql import MAX_QUERY_BYTES, uri_bytes
from halocline.connectors.salesforce.transport import ORG_OF_TOKEN, VERSION, Transport
from halocline.errors import AccessDenied, BadQuery, FixConfig, NotFound, Truncated
from halocline.events import Sink
from halocline.halt import Halt
from halocline.outcome import RowResult
from halocline.quantity import quantity
from halocline.retry import PACE, Pace, Policy

if TYPE_CHECKING:
    from halocline.connectors.salesforce.ingest import Bulk

PAGE_ROWS = 2000  # the most that a page holds; REST API Developer Guide, "Query Options Header"
_LEAST_PAGE_ROWS = 200  # likewise
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_PAGE = ("totalSize", "done", "records")
_SEVERAL = 300  # the status of a record whose key others have as well
_COUNT = re.compile(r"\s*select\s+count\s*\(", re.IGNORECASE)
_COUNT_ALONE = re.compile(_COUNT.pattern + r"\s*\)", re.IGNORECASE)


class TransportOptions(TypedDict, total=False):
    """The settings of Transport that a client hands on; see there."""

    retry: Policy
    pace: Pace
    connect_timeout_s: float
    read_timeout_s: float
    sink: Sink | None
    quota_share: float
    http: httpx2.Client | None


@dataclass(frozen=True, slots=True)
class _Asking:
    """How one query is asked, page after page."""

    doing: str
    page_rows: int = PAGE_ROWS
    parse_float: Callable[[str], object] = float
    counts: bool = False  # a SELECT COUNT() announces its number, and no record comes

    @classmethod
    def of(cls, soql: str, page_rows: int = PAGE_ROWS, *, parse_float: Callable[[str], object] = float) -> _Asking:
        """That query, asked so."""
        return cls(f"Querying ({_short(soql)})", page_rows, parse_float, bool(_COUNT_ALONE.match(soql)))

    def __post_init__(self) -> None:
        if not _LEAST_PAGE_ROWS <= self.page_rows <= PAGE_ROWS:
            raise FixConfig(self.doing, f"page_rows is {self.page_rows}", hint=f"It may be {_LEAST_PAGE_ROWS} to {PAGE_ROWS:,}.")

    @property
    def headers(self) -> dict[str, str]:
        """Source: REST API Developer Guide, "Query Options Header"."""
        return {"Sforce-Query-Options": f"batchSize={self.page_rows}"}


class SalesforceClient:
    """An org, by its login: a session, an authenticator, or a dict with `access_token` and `instance_url`.

    Every method raises LoginRefused, AccessDenied, NotFound, BadQuery, QuotaExhausted or NetworkFailed as the case may be.
    """

    def __init__(
        self,
        session: Session | Authenticator | Mapping[str, object],
        *,
        version: str = VERSION,
        **options: Unpack[TransportOptions],
    ) -> None:
        self.transport = Transport(session_from(session), version=version, **options)
        self._pace = options.get("pace", PACE)
        self._org_ids: list[str] = []  # at most one; shared with the views

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] | None = None, *, version: str = VERSION, **options: Unpack[TransportOptions]
    ) -> SalesforceClient:
        """A client logged in as the `SF_*` variables say. Raises: FixConfig saying what is missing; LoginRefused."""
        return cls(from_env(environ), version=version, **options)

    @classmethod
    def later(cls, login: Callable[[], Authenticator] | Mapping[str, str]) -> SalesforceClient:
        """A client that logs in when it is first used, by what `login` gives then, or as these `SF_*` variables say.

        Raises: FixConfig saying which variables are missing; what they refer to is looked up at the first use.
        """
        if not isinstance(login, Mapping):
            return cls(later(login))
        environ = dict(login)
        from_env(dict.fromkeys((name for name, value in environ.items() if value), "-"))  # their names, and no secret
        return cls(later(lambda: from_env(environ)))

    def __enter__(self) -> SalesforceClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pace(self) -> Pace:
        """Where its time and chance come from."""
        return self._pace

    def close(self) -> None:
        """Let go of the connections. Idempotent."""
        self.transport.close()

    def view(self, *, spend: Spend | None = None, halt: Halt | None = None, sink: Sink | None = None) -> SalesforceClient:
        """The same login and connection for one of its users; see `Transport.view`."""
        other = copy(self)
        other.transport = self.transport.view(spend=spend, halt=halt, sink=sink)
        if halt is not None:
            other._pace = halt.heard_by(self._pace)
        return other

    def query(self, soql: str, *, include_deleted: bool = False, page_rows: int = PAGE_ROWS) -> Iterator[dict[str, Any]]:
        """The records, page by page as they are taken: plain dicts without Salesforce's `attributes`.

        A parent is a dict or None, a child sub-query a list (None where there is no child), read to its end.
        `page_rows` (200 to 2,000) is a wish: Salesforce makes pages smaller where records are wide. A `SELECT COUNT()` has no
        record: see `count`.
        Raises: Truncated when fewer records come than were announced.
        """
        asking = _Asking.of(soql, page_rows)
        for page in self._pages(soql, asking, include_deleted=include_deleted):
            yield from (self._plain(record) for record in page)

    def query_pages(
        self, soql: str, *, include_deleted: bool = False, page_rows: int = PAGE_ROWS
    ) -> Iterator[list[dict[str, Any]]]:
        """The pages of records as Salesforce sends them, `attributes` and all; numbers with a point are exact Decimals.

        Raises: Truncated when fewer records come than were announced.
        """
        asking = _Asking.of(soql, page_rows, parse_float=Decimal)
        return self._pages(soql, asking, include_deleted=include_deleted)

    def query_one(self, soql: str, *, include_deleted: bool = False) -> dict[str, Any] | None:
        """The first record, or None. Put `LIMIT 1` in the query where many would match."""
        return next(self.query(soql, include_deleted=include_deleted, page_rows=_LEAST_PAGE_ROWS), None)

    def get(self, sobject: str, record_id: str, *, fields: list[str] | None = None) -> dict[str, Any]:
        """One record by its id (15 or 18 characters), all fields or just `fields`.

        Raises: NotFound when there is none, or when it lies in the recycle bin.
        """
        path = f"sobjects/{_name(sobject)}/{quote(record_id, safe='')}"
        params = {"fields": ",".join(fields)} if fields else None
        record: dict[str, Any] = self.transport.send("GET", path, params=params, doing=f"Getting {sobject} {record_id}").json()
        return self._plain(record)

    def record(self, sobject: str, value: str, *, key: str = "Id") -> dict[str, Any]:
        """One record as Salesforce sends it, `attributes` and all: by its id, or by the value of the external id field `key`.

        Raises: NotFound; BadQuery when several records have that value.
        Source: REST API Developer Guide, "sObject Rows by External ID".
        """
        path = [_name(sobject), *([] if key.lower() == "id" else [_name(key)]), quote(value, safe="")]
        doing = f"Getting {sobject} {value}"
        reply = self.transport.send("GET", f"sobjects/{'/'.join(path)}", accept=(200, _SEVERAL), doing=doing)
        if reply.status == _SEVERAL:
            raise BadQuery(doing, f"several records have that {key}", records=reply.json())
        record: dict[str, Any] = reply.json()
        return record

    def page(self, soql: str, *, include_deleted: bool = False) -> dict[str, Any]:
        """The first page of a query as Salesforce sends it: `totalSize`, `done`, `records`, and `nextRecordsUrl` till `done`."""
        return self._first(soql, _Asking.of(soql), include_deleted=include_deleted)

    def page_at(self, link: str) -> dict[str, Any]:
        """The page behind a `nextRecordsUrl`, likewise."""
        return self._page(link, _Asking("Querying"))

    def pages_from(self, page: dict[str, Any], soql: str | None = None) -> Iterator[list[dict[str, Any]]]:
        """The records of a page, and of each one behind it as it is taken; `soql` is the query, for errors and `SELECT COUNT()`.

        Raises: Truncated when fewer records come than were announced.
        """
        return self._follow(page, _Asking("Querying") if soql is None else _Asking.of(soql))

    def count(self, soql_or_sobject: str, where: str | None = None, *, include_deleted: bool = False) -> int:
        """How many records an object has (`where` holds), or the answer to a `SELECT COUNT() ...`.

        Raises: BadQuery for a query that does not count, or that groups.
        """
        soql = soql_or_sobject
        if not re.search(r"\s", soql.strip()):
            soql = f"SELECT COUNT() FROM {_name(soql.strip())}" + (f" WHERE {where}" if where else "")
        if not _COUNT.match(soql):
            raise BadQuery(
                "Counting", "the query does not start with SELECT COUNT(", hint="Give SELECT COUNT() FROM ..., or an object."
            )
        answer = self._first(soql, _Asking(f"Counting ({_short(soql)})"), include_deleted=include_deleted)
        if not answer["records"]:
            return int(answer["totalSize"])
        values = [value for name, value in answer["records"][0].items() if name != "attributes"]
        if len(answer["records"]) > 1 or len(values) != 1:
            raise BadQuery("Counting", "the query gives more than one number", hint="Leave GROUP BY and further columns out.")
        return int(values[0])

    def describe(self, sobject: str) -> dict[str, Any]:
        """The object's describe as Salesforce sends it: fields, types, rights.

        Source: REST API Developer Guide, "sObject Describe".
        """
        path = f"sobjects/{_name(sobject)}/describe"
        return self.transport.send("GET", path, doing=f"Describing {sobject}").object("fields")

    def list_objects(self) -> list[dict[str, Any]]:
        """The objects that this user may see. Source: REST API Developer Guide, "Describe Global"."""
        answer: list[dict[str, Any]] = self.transport.send("GET", "sobjects", doing="Listing objects").object("sobjects")[
            "sobjects"
        ]
        return answer

    def limits(self) -> dict[str, Any]:
        """The org's limits: name -> `{"Max", "Remaining"}`. Source: REST API Developer Guide, "Limits"."""
        answer: dict[str, Any] = self.transport.send("GET", "limits", doing="Reading limits").json()
        return answer

    def record_count(self, sobject: str) -> int:
        """About how many records an object has: Salesforce's cached figure, at once, however large the object.

        Source: REST API Developer Guide, "Record Count".
        """
        params, doing = {"sObjects": _name(sobject)}, f"Reading the record count of {sobject}"
        found = self.transport.send("GET", "limits/recordCount", params=params, doing=doing).json()["sObjects"]
        return int(found[0]["count"]) if found else 0

    def org_id(self) -> str | None:
        """The org that this login is for: 15 characters, starting with 00D. Asked for once, where the token does not show it.

        None where the user may not know.

        Source: Salesforce Help, "OAuth 2.0 Web Server Flow": an opaque access token starts with the org's id and "!".
        """
        if not self._org_ids:
            shown = ORG_OF_TOKEN.match(self.transport.session.token().access_token)
            self._org_ids.append(shown[1] if shown else self._asked_org_id())
        return self._org_ids[0] or None

    def _asked_org_id(self) -> str:
        try:
            return str((self.query_one("SELECT Id FROM Organization LIMIT 1") or {}).get("Id", ""))[:15]
        except (AccessDenied, BadQuery, NotFound):  # a user without the right to see the org may still read its objects
            return ""

    @property
    def bulk(self) -> Bulk:
        """Bulk loads: `client.bulk.upsert("Account", rows, external_id_field="Ext__c")`."""
        from halocline.connectors.salesforce.ingest import Bulk  # it loads pyarrow, which nothing else here needs

        return Bulk(self.transport, pace=self._pace, describe=self.describe)

    def create(self, sobject: str, record: Mapping[str, Any]) -> str:
        """The id of a new record.

        In every record a missing field stays as it is, None and "" clear it; a lookup by another object's key is a name with a
        dot (`Account.Ext__c`). Raises: RejectRecord; RetryLater with `facts["in_doubt"]` when the answer was lost.
        """
        return records.create(self.transport, _name(sobject), record=record)

    def update(self, sobject: str, record_id: str, record: Mapping[str, Any]) -> None:
        """Change one record. Raises: RejectRecord; NotFound."""
        records.update(self.transport, _name(sobject), record_id=record_id, record=record)

    def upsert(self, sobject: str, record: Mapping[str, Any], *, external_id_field: str, value: object = None) -> str:
        """The id of the record with that external id, changed or created. `value` None takes it from the record.

        Raises: RejectRecord, also when several records have that value.
        """
        return records.upsert(self.transport, _name(sobject), record=record, key=_name(external_id_field), value=value)

    def delete(self, sobject: str, record_id: str) -> None:
        """Put one record in the recycle bin. Raises: NotFound when there is none, or when it lies there already."""
        records.delete(self.transport, _name(sobject), record_id=record_id)

    def undelete(self, sobject: str, record_id: str) -> None:
        """Raises: NotSupported, always, saying who can: only the SOAP API of Salesforce undeletes."""
        raise records.no_undelete(sobject, record_id)

    def collections(self, *, width: int = WIDTH, rows_per_call: int = CALL_ROWS) -> Collections:
        """Writer of many records, call by call: for who wants results as they come, or smaller calls."""
        return Collections(self.transport, width=width, rows_per_call=rows_per_call, pace=self._pace)

    def create_many(self, sobject: str, rows: Iterable[Mapping[str, Any]]) -> list[RowResult]:
        """What became of each row, in the order of the rows; 200 a call, several calls in flight.

        Rows that Salesforce refuses are results, not exceptions; locked rows are tried again. When the answer of a call is lost,
        its rows are in doubt, and are not sent again: who knows them looks whether they are there.
        Raises: what Salesforce says of a call as a whole (login, rights, quota); `facts["results"]` holds what is known so far.
        """
        return self.collections().write_all(Order(Operation.INSERT, _name(sobject)), rows)

    def update_many(self, sobject: str, rows: Iterable[Mapping[str, Any]]) -> list[RowResult]:
        """What became of each row; each names its record by `Id`. See `create_many`."""
        return self.collections().write_all(Order(Operation.UPDATE, _name(sobject)), rows)

    def upsert_many(self, sobject: str, rows: Iterable[Mapping[str, Any]], *, external_id_field: str) -> list[RowResult]:
        """What became of each row; each has its external id. See `create_many`.

        Salesforce refuses rows of one call with the same external id; in two calls at once their order is not known.
        """
        return self.collections().write_all(Order(Operation.UPSERT, _name(sobject), _name(external_id_field)), rows)

    def delete_many(self, sobject: str, rows: Iterable[Mapping[str, Any] | str]) -> list[RowResult]:
        """What became of each row; each is an id, or names its record by `Id`. See `create_many`.

        Salesforce deletes whatever the ids are of: nothing holds them against `sobject` here, as a push does.
        """
        return self.collections().write_all(Order(Operation.DELETE, _name(sobject)), rows)

    def deleted(self, sobject: str, start: datetime | str, end: datetime | str) -> tuple[list[tuple[str, str]], str]:
        """The records deleted between two instants: (id, deletedDate) pairs, and `latestDateCovered`, as Salesforce spells them.

        Seconds are ignored. `start` may lie 15 days back; the object must be `replicateable`; at most 600,000 ids.
        Source: REST API Developer Guide, "sObject Get Deleted"; SOAP API Developer Guide, "getDeleted()".
        """
        answer = self._changed(sobject, "deleted", start=start, end=end)
        return [(row["id"], row["deletedDate"]) for row in answer["deletedRecords"]], answer["latestDateCovered"]

    def updated(self, sobject: str, start: datetime | str, end: datetime | str) -> tuple[list[str], str]:
        """The ids of the records made or changed between two instants, and `latestDateCovered` as Salesforce spells it.

        Source: REST API Developer Guide, "sObject Get Updated".
        """
        answer = self._changed(sobject, "updated", start=start, end=end)
        return list(answer["ids"]), answer["latestDateCovered"]

    def _changed(self, sobject: str, kind: str, *, start: datetime | str, end: datetime | str) -> dict[str, Any]:
        path, params = f"sobjects/{_name(sobject)}/{kind}/", {"start": _instant(start), "end": _instant(end)}
        reply = self.transport.send("GET", path, params=params, doing=f"Asking which {sobject} were {kind}")
        return reply.object("latestDateCovered", {"deleted": "deletedRecords", "updated": "ids"}[kind])

    def _first(self, soql: str, asking: _Asking, *, include_deleted: bool) -> dict[str, Any]:
        """The first page; a query that no URI holds goes in a body. Source: REST API Developer Guide, "Query" and "QueryAll"."""
        path, params = "queryAll" if include_deleted else "query", {"q": soql}
        if uri_bytes(soql, base=self.transport.base) <= MAX_QUERY_BYTES:
            return self._page(path, asking, params=params)
        how: dict[str, Any] = {"headers": asking.headers, "doing": asking.doing, "parse_float": asking.parse_float}
        return enclosed.ask(self.transport, path, *_PAGE, params=params, **how)

    def _page(self, path: str, asking: _Asking, *, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        # every page is asked for with its size: whether a cursor remembers the first wish is unverified
        reply = self.transport.send("GET", path, params=params, headers=asking.headers, doing=asking.doing)
        return reply.object(*_PAGE, parse_float=asking.parse_float)

    def _pages(self, soql: str, asking: _Asking, *, include_deleted: bool) -> Iterator[list[dict[str, Any]]]:
        yield from self._follow(self._first(soql, asking, include_deleted=include_deleted), asking)

    def _follow(self, answer: dict[str, Any], asking: _Asking) -> Iterator[list[dict[str, Any]]]:
        """The pages from a first answer to the last, checked against the number announced."""
        announced, rows, seen = int(answer["totalSize"]), 0, set[str]()
        while True:
            rows += len(answer["records"])
            yield answer["records"]
            if answer["done"]:
                break
            link = answer.get("nextRecordsUrl")
            if not isinstance(link, str) or link in seen:  # a link that comes back would go round for ever
                cause = f"no way on after {rows:,} of {quantity(announced, 'record')}"
                raise Truncated(asking.doing, cause, rows=rows, announced=announced, way_lost=True)
            seen.add(link)
            answer = self._page(link, asking)
        if rows < announced and not (asking.counts and rows == 0):
            raise Truncated(asking.doing, f"{rows:,} of {quantity(announced, 'record')} came", rows=rows, announced=announced)

    def _plain(self, record: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._plain_value(value) for name, value in record.items() if name != "attributes"}

    def _plain_value(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if "records" in value and "totalSize" in value:
            pages = self._follow(value, _Asking("Reading child records"))
            return [self._plain(record) for page in pages for record in page]
        return self._plain(value)


def _name(sobject: str) -> str:
    """The object's name, once it is sure that it is nothing but a name."""
    if not _NAME.fullmatch(sobject):
        raise BadQuery(
            "Naming an object", f"{sobject!r} cannot be the API name of an object", hint="It looks like Account or Invoice__c."
        )
    return sobject


def _short(soql: str) -> str:
    words = " ".join(soql.split())
    return words if len(words) <= 80 else f"{words[:77]}..."


def _instant(moment: datetime | str) -> str:
    """`2026-11-21T10:20:30+00:00`, as the vendor's samples write it; a naive datetime would silently mean some local time."""
    if isinstance(moment, str):
        return moment
    if moment.tzinfo is None:
        raise ValueError("a datetime with a time zone is needed")
    return moment.astimezone(UTC).isoformat(timespec="seconds")
