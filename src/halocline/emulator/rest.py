"""REST resources that only read: versions, describes, queries, deleted and updated ids, limits."""

from __future__ import annotations

import re
import secrets
import string
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from halocline.emulator.clock import stamp
from halocline.emulator.columns import column_metadata
from halocline.emulator.describe import global_describe, sobject_describe
from halocline.emulator.errors import ApiError, not_found
from halocline.emulator.ids import to_18
from halocline.emulator.plans import explained
from halocline.emulator.query import prepare
from halocline.emulator.shapes import ChildPages
from halocline.emulator.wire import Answer, Ask, json_answer, json_bytes

if TYPE_CHECKING:
    from halocline.emulator.objects import SObject
    from halocline.emulator.query import PreparedQuery

FIRST_EVER = 7  # versions from here to the oldest that is served are retired: 410 instead of 404
SMALLEST_PAGE, LARGEST_PAGE = 200, 2_000  # rows. Source: REST API Developer Guide, "Query Options Header"
SPOOL_ROWS = 10_000  # records turned into JSON at once while a long answer is kept for its locators
DELETED_DAYS, UPDATED_DAYS = (
    15,
    30,
)  # Source: SOAP API Developer Guide, getDeleted(), getUpdated(); the second is unverified for REST
_BATCH_SIZE = re.compile(r"batchSize\s*=\s*(\d+)", re.IGNORECASE)
_SEASONS = ("Spring", "Summer", "Winter")
_RESOURCES = (
    *("composite", "jobs", "limits", "parameterizedSearch", "query", "queryAll", "recent", "search", "sobjects", "tabs", "theme"),
    "tooling",
)


def versions(ask: Ask) -> Answer:
    """`GET /services/data`: every version served, oldest first; needs no session."""
    served = range(ask.org.config.oldest_version, ask.org.config.newest_version + 1)
    rows = [{"label": _label(n), "url": f"/services/data/v{n}.0", "version": f"{n}.0"} for n in served]
    return json_answer(rows)


def resources(ask: Ask) -> Answer:
    """`GET /services/data/vN`: where the resources are."""
    root = f"/services/data/v{ask.version}"
    return json_answer(
        {name: f"{root}/{name}" for name in _RESOURCES} | {"identity": f"{ask.base_url}/id/{ask.org.org_id}/{ask.user_id}"}
    )


def describe_global(ask: Ask) -> Answer:
    """`GET /sobjects`."""
    return json_answer(global_describe(ask.org.catalog, version=ask.version))


def describe_object(ask: Ask) -> Answer:
    """`GET /sobjects/X/describe`."""
    return json_answer(sobject_describe(ask.org.catalog, ask.org.sobject(ask.params["sobject"]), version=ask.version))


def basic_information(ask: Ask) -> Answer:
    """`GET /sobjects/X`: the object's entry of the global describe; recent items are not kept."""
    sobject = ask.org.sobject(ask.params["sobject"])
    entries = cast("list[dict[str, object]]", global_describe(ask.org.catalog, version=ask.version)["sobjects"])
    entry = next(one for one in entries if one["name"] == sobject.name)
    return json_answer({"objectDescribe": entry, "recentItems": []})


def query(ask: Ask) -> Answer:
    """`GET /query?q=`: live rows.
    Raises: ApiError in Salesforce's words for what is wrong with the SOQL.
    """
    return _first_page(ask, all_rows=False)


def query_all(ask: Ask) -> Answer:
    """`GET /queryAll?q=`: the recycle bin too."""
    return _first_page(ask, all_rows=True)


def query_more(ask: Ask) -> Answer:
    """`GET /query/{locator}`: a further page; a `q` beside the locator is ignored, as tap-salesforce sends it."""
    locator_id, _, start = ask.params["locator"].rpartition("-")
    cursor = ask.org.cursors.get(locator_id)
    if cursor is None or not re.fullmatch("[0-9]{1,12}", start) or int(start) > cursor.size:
        raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return _page(ask, cursor, start=int(start), rows=_page_rows(ask))


def deleted(ask: Ask) -> Answer:
    """`GET /sobjects/X/deleted/?start&end`: ids that went to the recycle bin or vanished in whole minutes of the window.
    Source: REST API Developer Guide, "Get Deleted".
    """
    sobject, start, end = _window(ask, days=DELETED_DAYS)
    rows = ask.org.store.deleted_between(sobject, stamp(start), stamp(end))
    answer = {
        "deletedRecords": [{"id": record_id, "deletedDate": _wire(moment)} for record_id, moment in rows],
        "earliestDateAvailable": _wire(stamp(ask.org.now() - timedelta(days=DELETED_DAYS))),
        "latestDateCovered": _covered(ask, end),
    }
    return json_answer(answer)


def updated(ask: Ask) -> Answer:
    """`GET /sobjects/X/updated/?start&end`: ids added or changed in whole minutes of the window.
    Source: REST API Developer Guide, "Get Updated".
    """
    sobject, start, end = _window(ask, days=UPDATED_DAYS)
    ids = ask.org.store.updated_between(sobject, stamp(start), stamp(end))
    return json_answer({"ids": ids, "latestDateCovered": _covered(ask, end)})


def limits(ask: Ask) -> Answer:
    """`GET /limits`: live counters."""
    return json_answer(ask.org.limits.answer())


def record_count(ask: Ask) -> Answer:
    """`GET /limits/recordCount?sObjects=A,B`: live rows of the named objects, of all without names; unknown ones are left out.
    Source: REST API Developer Guide, "Record Count".
    """
    names = [name.strip() for name in ask.query.get("sObjects", "").split(",") if name.strip()]
    known = [s for s in map(ask.org.catalog.get, names) if s is not None] if names else list(ask.org.catalog)
    rows = [{"count": ask.org.store.count(s), "name": s.name} for s in known]
    return json_answer({"sObjects": sorted(rows, key=lambda row: str(row["name"]))})


def nothing(_ask: Ask) -> Answer:
    """Every other path of a version: Salesforce asks for a session before it says that there is nothing."""
    raise not_found()


class Cursor:
    """The records of one long answer, as they were when it was asked: JSON texts in a file, found by row number."""

    def __init__(self, locator_id: str, path: Path) -> None:
        self.id = locator_id
        self._path = path
        self._offsets = array("Q", (0,))

    @property
    def size(self) -> int:
        """How many records there are."""
        return len(self._offsets) - 1

    def fill(self, records: Iterator[bytes]) -> None:
        """Keep these records. Once, before the first `rows`."""
        with self._path.open("wb") as file:
            for record in records:
                file.write(record)
                self._offsets.append(self._offsets[-1] + len(record))

    def rows(self, start: int, end: int) -> list[bytes]:
        """The JSON texts of the rows from `start` up to `end`."""
        marks = self._offsets[start : end + 1]
        with self._path.open("rb") as file:
            file.seek(marks[0])
            text = file.read(marks[-1] - marks[0])
        return [text[low - marks[0] : high - marks[0]] for low, high in pairwise(marks)]

    def drop(self) -> None:
        """Forget the records."""
        self._path.unlink(missing_ok=True)


class Cursors:
    """The open cursors of one org: a new one beyond `most` closes the oldest.
    Source: SOQL and SOSL Reference, "SOQL and SOSL Limits": ten cursors a user.
    """

    def __init__(self, folder: Path, *, most: int) -> None:
        self._folder = folder
        self._most = most
        self._open: dict[str, Cursor] = {}
        self._lock = Lock()

    def keep(self, records: Iterator[bytes]) -> Cursor:
        """A cursor over these records, all read now."""
        locator_id = to_18("01g" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(12)))
        cursor = Cursor(locator_id, self._folder / f"{locator_id}.json")
        cursor.fill(records)
        with self._lock:
            self._open[locator_id] = cursor
            while len(self._open) > self._most:
                self._open.pop(next(iter(self._open))).drop()
        return cursor

    def get(self, locator_id: str) -> Cursor | None:
        """The open cursor of that id (15 or 18 characters), or None."""
        with self._lock:
            return next((cursor for key, cursor in self._open.items() if locator_id in (key, key[:15])), None)

    def close(self) -> None:
        """Close all cursors."""
        with self._lock:
            for cursor in self._open.values():
                cursor.drop()
            self._open.clear()


@dataclass(frozen=True, slots=True)
class _Spool:
    """Reads all records of a query, a slice at a time."""

    prepared: PreparedQuery
    version: str
    pages: ChildPages

    def __iter__(self) -> Iterator[bytes]:
        for offset in range(0, self.prepared.total_size(), SPOOL_ROWS):
            yield from map(json_bytes, self.prepared.records(self.version, offset, SPOOL_ROWS, pages=self.pages))


def _first_page(ask: Ask, *, all_rows: bool) -> Answer:
    if "explain" in ask.query:
        return json_answer(explained(ask.org.view, ask.query["explain"], version=ask.version, user_id=ask.user_id))
    soql = ask.query.get("q")
    if not soql:
        raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
    prepared = prepare(ask.org.view, soql, all_rows=all_rows, user_id=ask.user_id, version=ask.version)
    if ask.query.get("columns", "").lower() == "true":
        return json_answer(column_metadata(prepared.plan))
    if prepared.is_count:
        return json_answer({"totalSize": prepared.total_size(), "done": True, "records": []})
    rows = _page_rows(ask)
    pages = _child_pages(ask, rows)
    if prepared.total_size() <= rows:
        records = prepared.records(ask.version, 0, rows, pages=pages)
        return json_answer({"totalSize": len(records), "done": True, "records": records})
    cursor = ask.org.cursors.keep(iter(_Spool(prepared, ask.version, pages)))
    return _page(ask, cursor, start=0, rows=rows)


def _child_pages(ask: Ask, rows: int) -> ChildPages:
    """A sub-query's result that is longer than a page gets a cursor of its own, which counts like any other."""
    return ChildPages(rows, lambda records: ask.org.cursors.keep(map(json_bytes, records)).id)


def _page(ask: Ask, cursor: Cursor, *, start: int, rows: int) -> Answer:
    end = min(start + rows, cursor.size)
    head: dict[str, object] = {"totalSize": cursor.size, "done": end == cursor.size}
    if end < cursor.size:
        head["nextRecordsUrl"] = f"/services/data/v{ask.version}/query/{cursor.id}-{end}"
    return Answer(body=json_bytes(head)[:-1] + b',"records":[' + b",".join(cursor.rows(start, end)) + b"]}")


def _page_rows(ask: Ask) -> int:
    asked = _BATCH_SIZE.search(ask.headers.get("sforce-query-options", ""))
    if asked is None:
        return ask.org.config.page_size
    return max(SMALLEST_PAGE, min(LARGEST_PAGE, int(asked[1][:9])))


def _window(ask: Ask, *, days: int) -> tuple[SObject, datetime, datetime]:
    """The object and the whole minutes of a deleted or updated call. The words of its refusals are unverified."""
    sobject = ask.org.sobject(ask.params["sobject"])
    if not sobject.replicateable:
        raise ApiError(400, "INVALID_TYPE", f"object type '{sobject.name}' is not replicateable")
    start, end = (_minute(ask.query.get(name, ""), name) for name in ("start", "end"))
    if end - start < timedelta(minutes=1):
        raise ApiError(400, "INVALID_REPLICATION_DATE", "endDate must be at least one minute greater than startDate")
    if start < ask.org.now() - timedelta(days=days, minutes=1):
        raise ApiError(400, "INVALID_REPLICATION_DATE", f"startDate cannot be more than {days} days ago")
    return sobject, start, end


def _minute(text: str, name: str) -> datetime:
    try:  # a `+` of an offset that nobody encoded arrives as a space
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError as reason:
        raise ApiError(400, "INVALID_REPLICATION_DATE", f"{name} is not a date and time: {quote(text)}") from reason
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(second=0, microsecond=0)


def _covered(ask: Ask, end: datetime) -> str:
    """Up to where the answer is complete: never later than asked for, nor than the oldest change still under way."""
    return _wire(min(stamp(end), ask.org.store.latest_date_covered()))


def _wire(moment: str) -> str:
    return moment.removesuffix("Z") + "+0000"


def _label(number: int) -> str:
    """The release's name: v67 is Summer '26, and there are three a year."""
    return f"{_SEASONS[number % 3]} '{(number + 13) // 3:02d}"
