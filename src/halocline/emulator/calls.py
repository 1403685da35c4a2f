"""The call log: what clients asked, in order, so that a test can prove which API was used."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from threading import Lock

from halocline.emulator.names import unknown

_ALIKE = 0.8  # of 1: so near a name of ours is one misspelt, not another call of SOAP
KEPT = 100_000  # calls; older ones are forgotten, the total is not

_KINDS: tuple[tuple[str, str, str], ...] = (
    # kind, methods, path below /services/data/vN
    ("query", "GET", r"query"),
    ("queryAll", "GET", r"queryall"),
    ("query.more", "GET", r"query(all)?/[^/]+"),
    ("describe.global", "GET", r"sobjects"),
    ("describe.basic", "GET", r"sobjects/[^/]+"),
    ("describe", "GET", r"sobjects/[^/]+/describe"),
    ("deleted", "GET", r"sobjects/[^/]+/deleted"),
    ("updated", "GET", r"sobjects/[^/]+/updated"),
    ("record.create", "POST", r"sobjects/[^/]+(/id)?"),
    ("record.get", "GET", r"sobjects/[^/]+/[^/]+(/[^/]+)?"),
    ("record.update", "PATCH", r"sobjects/[^/]+/[^/]+"),
    ("record.upsert", "PATCH", r"sobjects/[^/]+/[^/]+/.+"),
    ("record.delete", "DELETE", r"sobjects/[^/]+/.+"),
    ("search", "GET", r"search"),
    ("search", "GET", r"parameterizedsearch"),
    ("search", "POST", r"parameterizedsearch"),
    ("composite", "POST", r"composite"),
    ("composite.batch", "POST", r"composite/batch"),
    ("composite.graph", "POST", r"composite/graph"),
    ("composite.tree", "POST", r"composite/tree/[^/]+"),
    ("collections.create", "POST", r"composite/sobjects"),
    ("collections.update", "PATCH", r"composite/sobjects"),
    ("collections.upsert", "PATCH", r"composite/sobjects/[^/]+/[^/]+"),
    ("collections.delete", "DELETE", r"composite/sobjects"),
    ("collections.get", "GET", r"composite/sobjects/[^/]+"),
    ("collections.get", "POST", r"composite/sobjects/[^/]+"),
    ("tooling", "GET", r"tooling(/.*)?"),
    ("limits", "GET", r"limits"),
    ("recordCount", "GET", r"limits/recordcount"),
    ("ingest.create", "POST", r"jobs/ingest"),
    ("ingest.list", "GET", r"jobs/ingest"),
    ("ingest.upload", "PUT", r"jobs/ingest/[^/]+/batches"),
    ("ingest.status", "GET", r"jobs/ingest/[^/]+"),
    ("ingest.end", "PATCH", r"jobs/ingest/[^/]+"),
    ("ingest.delete", "DELETE", r"jobs/ingest/[^/]+"),
    ("ingest.results", "GET", r"jobs/ingest/[^/]+/(successfulresults|failedresults|unprocessedrecords)"),
    ("bulk.create", "POST", r"jobs/query"),
    ("bulk.list", "GET", r"jobs/query"),
    ("bulk.status", "GET", r"jobs/query/[^/]+"),
    ("bulk.abort", "PATCH", r"jobs/query/[^/]+"),
    ("bulk.delete", "DELETE", r"jobs/query/[^/]+"),
    ("bulk.results", "GET", r"jobs/query/[^/]+/results"),
    ("bulk.pages", "GET", r"jobs/query/[^/]+/resultpages"),
    # below /services/async/N
    ("bulk1.create", "POST", r"job"),
    ("bulk1.job", "GET", r"job/[^/]+"),
    ("bulk1.end", "POST", r"job/[^/]+"),
    ("bulk1.add", "POST", r"job/[^/]+/batch"),
    ("bulk1.list", "GET", r"job/[^/]+/batch"),
    ("bulk1.batch", "GET", r"job/[^/]+/batch/[^/]+"),
    ("bulk1.request", "GET", r"job/[^/]+/batch/[^/]+/request"),
    ("bulk1.result", "GET", r"job/[^/]+/batch/[^/]+/result(/[^/]+)?"),
)
_SOAP_OPERATIONS = (
    *("login", "logout", "getUserInfo", "getServerTimestamp", "query", "queryAll", "queryMore"),
    *("create", "update", "upsert", "delete", "undelete", "emptyRecycleBin"),
)
# All that `classify` says, but that a SOAP call which the emulator does not serve has a kind too.
KINDS: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            *(kind for kind, _, _ in _KINDS),
            *("token", "versions", "resources", "other", "soap"),
            *(f"soap.{name}" for name in _SOAP_OPERATIONS),
        )
    )
)
_TABLE = tuple((kind, method, re.compile(pattern + r"/?\Z", re.IGNORECASE)) for kind, method, pattern in _KINDS)
_SOAP_OPERATION = re.compile(rb"<(?:[\w.-]+:)?Body[^>]*>\s*<(?:[\w.-]+:)?(\w+)")
_VERSIONED = re.compile(r"/services/(data/v|async/)[\d.]+/?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Call:
    """One request and what became of it.

    `status` is 0 when no answer left the door; `bytes` counts the body as sent, compressed if it was;
    `started` is the emulator's clock, `seconds` real time; `kind` is what `classify` says. `fault` names the rules that struck
    it (`f1:lock f3:delay`), and is empty if none did.
    """

    method: str
    path: str
    query: str
    status: int
    started: datetime
    seconds: float
    bytes: int
    kind: str
    fault: str = ""


def classify(method: str, path: str, *, body: bytes = b"") -> str:
    """The kind of call: `query`, `queryAll`, `query.more`, `describe`, `record.*`, `bulk.*` (queries of Bulk 2.0), `ingest.*`,
    `bulk1.*`, `token`, ... or `other`.

    `body` tells SOAP's operations apart (`soap.login`), which share an address.
    """
    if path.lower().startswith("/services/soap/"):
        operation = _SOAP_OPERATION.search(body)
        return f"soap.{operation[1].decode()}" if operation else "soap"
    if path.rstrip("/").lower().endswith("/services/oauth2/token"):
        return "token"
    versioned = _VERSIONED.match(path)
    if versioned is None:
        return "versions" if path.rstrip("/").lower() == "/services/data" else "other"
    rest = path[versioned.end() :]
    if not rest:
        return "resources"
    wanted = "GET" if method == "HEAD" else method
    return next((kind for kind, allowed, pattern in _TABLE if allowed == wanted and pattern.match(rest)), "other")


def check_kind(pattern: str) -> None:
    """Raises: ValueError for a kind that no call can have; a pattern (`record.*`) has to fit one."""
    if any(fnmatchcase(kind, pattern) for kind in KINDS):
        return
    family, _, operation = pattern.partition(".")
    if family == "soap" and re.fullmatch(r"\w+", operation) and not get_close_matches(operation, _SOAP_OPERATIONS, cutoff=_ALIKE):
        return  # a call of SOAP that the emulator refuses, which can be asked for all the same
    raise unknown("kind of call", pattern, known=KINDS)


class CallLog:
    """The calls in the order in which their answers ended. Safe to read while requests run."""

    def __init__(self, kept: int = KEPT) -> None:
        self._calls: deque[Call] = deque(maxlen=kept)
        self._lock = Lock()

    def add(self, call: Call) -> None:
        """Remember one more call."""
        with self._lock:
            self._calls.append(call)

    def clear(self) -> None:
        """Forget all calls."""
        with self._lock:
            self._calls.clear()

    def of(self, *kinds: str) -> list[Call]:
        """The calls of these kinds, in order; `record.*` is several.
        Raises: ValueError for a kind that no call can have.
        """
        for kind in kinds:
            check_kind(kind)
        return [call for call in self if any(fnmatchcase(call.kind, kind) for kind in kinds)]

    def count(self, kind: str) -> int:
        """How many calls of this kind are remembered.
        Raises: ValueError as `of`.
        """
        return len(self.of(kind))

    def __iter__(self) -> Iterator[Call]:
        with self._lock:
            return iter(tuple(self._calls))

    def __len__(self) -> int:
        return len(self._calls)
