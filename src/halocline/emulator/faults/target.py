"""What a request is about, as far as rules ask: kind of call, objects, operation, and what it would do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import unquote

from halocline.emulator.calls import classify
from halocline.emulator.errors import ApiError

if TYPE_CHECKING:
    from halocline.emulator.wire import Ask

_FROM = re.compile(r"\bFROM\s+(\w+)", re.IGNORECASE)
_TYPES = re.compile(rb'"type"\s*:\s*"(\w+)"')  # of `attributes` in the records of a body
_SOAP_TYPES = re.compile(rb'(?:xsi:type="(?:\w+:)?|<(?:\w+:)?type[^>]*>)(\w+)')
_NAMED = re.compile(r"/(?:sobjects|composite/tree)/(\w+)", re.IGNORECASE)
_JOB = re.compile(r"/(?:jobs/(?:query|ingest)|job)/(\w+)", re.IGNORECASE)
_COUNT = re.compile(r"\s*SELECT\s+COUNT\s*\(\s*\)", re.IGNORECASE)
_OBJECT_OF_JOB = re.compile(rb'(?:"object"\s*:\s*"|<object>\s*)(\w+)')
_OPERATION_OF_JOB = re.compile(rb'(?:"operation"\s*:\s*"|<operation>\s*)(\w+)')
OPERATIONS = ("insert", "update", "upsert", "delete", "undelete", "hardDelete", "query", "queryAll")
_LAST_WORDS = {"create": "insert", "update": "update", "upsert": "upsert", "delete": "delete", "undelete": "undelete"}
_WRITING = ("record", "collections", "composite", "soap")
_QUERIES = {"query": "query", "queryAll": "queryAll", "query.more": "query", "soap.query": "query", "soap.queryAll": "queryAll"}


class Target:
    """What one request is about; everything is worked out when a rule first asks."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    @cached_property
    def kind(self) -> str:
        """The kind of call, as the call log names it."""
        return classify(self._ask.method, self._ask.path, body=self._ask.body)

    @cached_property
    def objects(self) -> frozenset[str]:
        """The objects that it names, in small letters; of a job's call, the job's object."""
        return frozenset(name.lower() for name in self._objects())

    @cached_property
    def operation(self) -> str:
        """Insert, update, upsert, delete, undelete, hardDelete, query or queryAll; empty for other calls."""
        if self.kind in _QUERIES:
            return _QUERIES[self.kind]
        family, _, last = self.kind.partition(".")
        if family in _WRITING:
            return "insert" if last == "tree" else _LAST_WORDS.get(last, "")
        found = _OPERATION_OF_JOB.search(self._ask.body) if last == "create" else None
        return found[1].decode() if found else self._of_job[1]

    @property
    def starts_job(self) -> bool:
        """Whether a Bulk job, or a batch of one, begins its work by this."""
        if self.kind == "ingest.create":
            return self._ask.headers.get("content-type", "").lower().startswith("multipart/")
        if self.kind == "ingest.end":
            return b"UploadComplete" in self._ask.body
        return self.kind in ("bulk.create", "bulk1.add")

    @property
    def writes_now(self) -> bool:
        """Whether records are changed before the answer comes."""
        family, _, last = self.kind.partition(".")
        if family == "composite":
            return True
        return family in _WRITING and last in _LAST_WORDS

    @property
    def writes(self) -> bool:
        """Whether records are changed, by a job perhaps."""
        return self.writes_now or (self.starts_job and not self.operation.lower().startswith("query"))

    @property
    def is_page(self) -> bool:
        """Whether it asks for a page of records; the mere number of them is none."""
        if self.kind in ("query", "queryAll"):
            return _COUNT.match(self._ask.query.get("q", "")) is None
        return self.kind in ("query.more", "bulk.results")

    def _objects(self) -> Iterator[str]:
        ask = self._ask
        if named := _NAMED.search(ask.path):
            yield named[1]
        yield from _FROM.findall(ask.query.get("q", ""))
        yield from _FROM.findall(ask.body.decode("utf-8", "replace")) if self._brings_soql() else ()
        if self.kind.partition(".")[0] in ("composite", "collections"):
            yield from (name.decode() for name in _TYPES.findall(ask.body))
            yield from _NAMED.findall(ask.body.decode("utf-8", "replace"))
        elif self.kind.startswith("soap."):
            yield from (name.decode() for name in _SOAP_TYPES.findall(ask.body))
        elif found := _OBJECT_OF_JOB.search(ask.body):
            yield found[1].decode()
        if self._of_job[0]:
            yield self._of_job[0]

    def _brings_soql(self) -> bool:
        return self.kind in ("bulk.create", "bulk1.add", "soap.query", "soap.queryAll")

    @cached_property
    def _of_job(self) -> tuple[str, str]:
        """Object and operation of the job in the path; two empty texts if there is none."""
        found = _JOB.search(self._ask.path)
        if found is None:
            return "", ""
        org, job_id = self._ask.org, unquote(found[1])
        if self.kind.startswith("bulk1."):
            try:
                classic = org.bulk1.get(job_id)
            except ApiError:
                return "", ""
            return classic.sobject, classic.operation
        job = next((one for one in org.jobs.all() if job_id in (one.id, one.id[:15])), None)
        return (job.sobject, job.operation) if job else ("", "")
