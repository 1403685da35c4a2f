"""Flows of the kind `file`: files that land in a bucket into a Salesforce object, with report, archive and execution record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from pydantic import Field, model_validator

from halocline import filejob
from halocline.errors import FixConfig, HaloclineError, NotFound, RetryLater
from halocline.filejob.journal import steps_of
from halocline.filejob.names import flow_of, push_flow_of
from halocline.filejob.record import fields_of, records_of, refuse_unknown
from halocline.flows.connected import Connected
from halocline.flows.connections import bucket_of, open_bucket_store, open_org
from halocline.flows.model import Model
from halocline.flows.push import Writing
from halocline.landed import Landed
from halocline.ledger import open_ledger
from halocline.several import company

if TYPE_CHECKING:
    from halocline.buckets import Buckets, Stored
    from halocline.config import Settings
    from halocline.filejob import FileJob, FileOutcome
    from halocline.flows.owners import Owners
    from halocline.ledger import Ledger


_LOOKED_AT = 20  # runs of one key, the newest first
_LOOKED_THROUGH = 1_000  # likewise of all flows


class Execution(Model):
    """The record in Salesforce that tells of a file's run."""

    MAY_BE_BLANK = frozenset({"fields"})

    sobject: str = Field(alias="object")
    """The object of the record."""
    key: str | None = None
    """An external id field (a text of 32 characters or more), by which the record is made once, whatever is repeated."""
    fields: dict[str, Any] = Field(default_factory=dict)
    """Field -> value, or a text in which {written}, {errors}, ... stand for what is known at the end."""

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        _as_value_error(self.made)
        return self

    def made(self) -> filejob.Execution:
        """The record as a file job takes it."""
        return filejob.Execution(self.sobject, self.fields, self.key)


class FileFlow(Writing):
    """Files that land below a prefix of a bucket into a Salesforce object."""

    MAY_BE_BLANK = Writing.MAY_BE_BLANK | {"prefix"}

    kind: Literal["file"]
    """Files that land in a bucket, into Salesforce."""
    source: str = Field(alias="from")
    """The connection of the bucket, or s3://bucket."""
    prefix: str = ""
    """Keys that begin so belong to this flow."""
    archive: str = "archive/"
    """Where a file goes when its rows are told."""
    errors: str = "errors/"
    """Where the report of rows that are not written goes."""
    empty_report: bool = False
    """A report for files without such rows too."""
    execution: Execution | None = None
    """A record in Salesforce for each file."""
    queue: str | None = None
    """The ARN of the SQS queue that brings the bucket's events to Lambda; for `halocline iam`."""

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        for name in ("archive", "errors"):
            value = getattr(self, name)
            if not value.endswith("/") or value.startswith("/"):
                raise ValueError(f"{name} is a prefix such as {name}/: it ends with a slash and begins with none")
        _as_value_error(lambda: self._job("flow", "bucket", prefix=self.prefix))
        return self

    def job(self, name: str, around: Connected) -> FileJob:
        """The job of this flow, its mapping read.

        Raises: FixConfig for a mapping or a bucket that cannot be.
        """
        return replace(self.reach(name, around), mapping=self.mapper(around))

    def examine(self, around: Connected, rows: object = ()) -> str:
        """As of every flow that writes, and hold the execution record against its object.

        Raises: as `Writing.examine`, for the record's object as well.
        """
        found = super().examine(around, rows)
        if self.execution is not None:
            client = open_org(around.org(self.to), sink=around.sink)
            try:
                execution = self.execution.made()
                refuse_unknown(execution, fields_of(execution.sobject, records_of(client)))
            finally:
                client.close()
        return found

    def reach(self, name: str, around: Connected) -> FileJob:
        """The job without its mapping: it tells which files are its own.

        Raises: FixConfig for a connection that leads to no bucket.
        """
        bucket, above = bucket_of(around.connection(self.source))
        return self._job(name, bucket, prefix=above + self.prefix)

    def _job(self, name: str, bucket: str, *, prefix: str) -> FileJob:
        return filejob.FileJob(
            name=name,
            bucket=bucket,
            prefix=prefix,
            sobject=self.sobject,
            mode=self.mode,
            key=self.key,
            archive_prefix=self.archive,
            error_prefix=self.errors,
            execution=None if self.execution is None else self.execution.made(),
            encoding=self.encoding,
            delimiter=self.delimiter,
            api=self.api,
            batch_size=self.batch_size,
            strict=self.strict,
            nulls=self.nulls,
            empty_report=self.empty_report,
        )

    def run(self, name: str, around: Connected, *, owners: Owners, files: Iterable[Landed] | None = None) -> Iterator[FileDone]:
        """Take care of files (None: of those that were cut off and lie there no more, then of all that lie there and are this
        flow's), and yield what became of each.

        One stops no other. The first file that there is no time for is yielded with an error that says so, and is the last.
        Raises: an error of `halocline.errors` where nothing could be begun.
        """
        job = self.job(name, around)
        with ExitStack() as stack:
            buckets = open_bucket_store(around.connection(self.source))
            client = open_org(around.org(self.to), sink=around.sink)
            stack.callback(client.close)
            books = stack.enter_context(company(around.ledger, around.settings)).books
            cut_off = _cut_off(job, buckets, books) if files is None else []
            for one in chain(cut_off, _waiting(name, owners, buckets) if files is None else files):
                if around.is_over():
                    yield FileDone(name, one, None, _out_of_time(f"{name}: {one}"))
                    return
                try:
                    owners.check(name, one)
                    where = one if one in cut_off else _as_begun(one, job, buckets=buckets, ledger=books)
                except HaloclineError as error:
                    yield FileDone(name, one, None, error)
                    continue
                yield self._take_care(
                    name, where, job, around, client=client.view(halt=around.halt), buckets=buckets, ledger=books
                )

    def waiting(self, name: str, around: Connected, *, owners: Owners) -> tuple[list[Landed], list[Landed]]:
        """The files that `run` would take care of now: those that were begun and lie there no more, and those that lie there.

        Raises: what asking the bucket or the ledger raises.
        """
        buckets = open_bucket_store(around.connection(self.source))
        with ExitStack() as stack:
            books = around.ledger or _books(around.settings, stack)
            begun = [] if books is None else _cut_off(owners.jobs[name], buckets, books)
        return begun, list(_waiting(name, owners, buckets))

    def _take_care(self, name: str, where: Landed, job: FileJob, around: Connected, **given: Any) -> FileDone:
        try:
            outcome = filejob.run_file(job, where, settings=around.settings, sink=around.sink, deadline=around.ends_at, **given)
        except Exception as error:  # noqa: BLE001 - one file stops no other; whoever runs the flow is told of each
            return FileDone(name, where, None, error)
        return FileDone(name, where, outcome)


def _cut_off(job: FileJob, buckets: Buckets, ledger: Ledger) -> list[Landed]:
    """The files of a job whose runs did not end and that no listing has any more, the oldest run first: they lie in the archive,
    or were written over or taken away when their rows were put aside or sent.
    """
    from halocline.filejob.submit import may_go_on  # with pyarrow, which a configuration is read without

    found: list[Landed] = []
    for record in ledger.runs(limit=_LOOKED_THROUGH):
        about = cast("Mapping[str, Any]", (record.plan or {}).get("file") or {})
        if record.state == "done" or about.get("job") != job.name or "dedupe" not in about:
            continue
        where, steps = _landed(about), steps_of(record)
        is_sent = "submit" in steps or ("fetch" in steps and may_go_on(push_flow_of(job.name, record.run), ledger))
        if "archive" in steps or (is_sent and not _lies_there(where, buckets)):
            found.append(where)
    return found[::-1]


def _books(settings: Settings, stack: ExitStack) -> Ledger | None:
    """The ledger until the stack is closed, for who only looks: one that is not there knows of nothing, and is not made."""
    place = settings.ledger
    if "://" not in str(place) and not Path(place).exists():
        return None
    return stack.enter_context(open_ledger(place))


def _landed(about: Mapping[str, Any]) -> Landed:
    bucket, key, mark, when = json.loads(about["dedupe"])
    sequencer = str(about.get("sequencer") or "")
    at = datetime.fromisoformat(when) if when and not sequencer else None
    return Landed(bucket, key, etag=mark or None, sequencer=sequencer, at=at)


def _lies_there(where: Landed, buckets: Buckets) -> bool:
    """Whether a listing has it; `etag` may be that of a version, as the ledger knows it."""
    found = buckets.head(where.bucket, where.key)
    return found is not None and where.etag in {None, found.version, found.etag}


def _waiting(name: str, owners: Owners, buckets: Buckets) -> Iterator[Landed]:
    """The files of a flow that lie there now, in the order of their keys: what is taken care of lies in the archive."""
    job = owners.jobs[name]
    for one in buckets.each(job.bucket, job.prefix):
        where = Landed(one.bucket, one.key, version=one.version, etag=one.etag, size=one.size, at=one.modified)
        if owners.of(where) == name:
            yield where


def _as_begun(where: Landed, job: FileJob, *, buckets: Buckets, ledger: Ledger) -> Landed:
    """The file as the run knows it that began it and did not end, so that it is gone on with and not begun anew.

    By an event a file has a sequencer, by hand it has none; else it is the same file when version or etag is the same. An event
    goes on with what was begun by hand, a hand with whatever was begun.
    """
    for record in ledger.runs(flow_of(job.name, where), limit=_LOOKED_AT):
        about = cast("Mapping[str, Any]", (record.plan or {}).get("file") or {})
        if record.state == "done" or "dedupe" not in about or about["dedupe"] == where.dedupe:
            continue
        _, _, mark, when = json.loads(about["dedupe"])
        sequencer = str(about.get("sequencer") or "")
        if not sequencer or not where.sequencer:
            found = buckets.head(where.bucket, where.key, version=where.version)
            if found is not None and mark in {found.version, found.etag}:
                version = mark if mark == found.version else None
                if version is None and not steps_of(record) and not _is_newest(found, buckets):
                    continue  # nothing was done, and that run would look for the file at its key
                at = datetime.fromisoformat(when) if when and not sequencer else None
                return replace(where, version=version, etag=found.etag, size=found.size, sequencer=sequencer, at=at)
    return where


def _is_newest(stored: Stored, buckets: Buckets) -> bool:
    there = buckets.head(stored.bucket, stored.key)
    return there is not None and there.version == stored.version


def lying(uri: str, buckets: Buckets) -> Landed:
    """The file at `s3://bucket/key` as it is now.

    Raises: FixConfig for another text; NotFound where there is none.
    """
    bucket, slash, key = uri.removeprefix("s3://").partition("/")
    if not (uri.startswith("s3://") and bucket and slash and key):
        raise FixConfig("Reading --file", f"{uri!r} is no address of a file", hint="Write s3://bucket/key.")
    found = buckets.head(bucket, key)
    if found is None:
        raise NotFound("Looking for the file", f"there is no {uri}", hint="A file that was taken care of is in the archive.")
    return Landed(bucket, key, version=found.version, etag=found.etag, size=found.size, at=found.modified)


def _out_of_time(what: str) -> RetryLater:
    return RetryLater(f"Running {what}", "there was no time left", hint="Delivered again, it goes on where it left off.")


def _as_value_error(make: Any) -> None:
    try:
        make()
    except FixConfig as error:
        raise ValueError(f"{error.cause}. {error.hint}".rstrip(". ")) from error


@dataclass(frozen=True, slots=True)
class FileDone:
    """A file of a flow, taken care of or not; `outcome` is None where it was not."""

    flow: str
    where: Landed
    outcome: FileOutcome | None
    error: Exception | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every row of it is written."""
        return self.error is None and self.outcome is not None and self.outcome.clean

    def to_json(self) -> dict[str, object]:
        """What is told to programs."""
        told: dict[str, object] = {"flow": self.flow, "file": str(self.where), "success": self.is_whole}
        if self.outcome is not None:
            told |= self.outcome.to_json()
        return told if self.error is None else {**told, "error": str(self.error)}
