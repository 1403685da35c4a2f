"""run_file: everything that becomes of one file that landed, step by step, each step once.

    fetch ──> parse ──> submit ──> collect ──> report ──> archive ──> record

    step      what it leaves                           how a later delivery knows that it is done
    fetch     which object it is: version, size        noted
    parse     nothing but files of this process        never: it is done where rows are needed
    submit    rows in Salesforce, fates in the ledger  noted; its push is done; the archive or the report says so
    collect   nothing: it reads those fates            never: it is a part of the report
    report    an object below `error_prefix`           noted; the object is there and says this run
    archive   an object below `archive_prefix`         noted; likewise; the file is gone from its key
    record    a record in Salesforce                   noted; found by its external id, or in doubt by its content

What "says this run" means is in `archive`: the metadata of the objects that a run makes hold its name, and what came of it.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from halocline import registry
from halocline.buckets import Buckets, Stored
from halocline.config import Settings
from halocline.errors import Changed, FixConfig, HaloclineError, NotFound, Stop
from halocline.events import Noticed, Sink, silent
from halocline.filejob import names
from halocline.filejob.archive import LANDED, VERSION, Archive, archived_elsewhere, found_in, metadata_of
from halocline.filejob.intake import Intake, Unreadable
from halocline.filejob.job import FileJob, FileOutcome, FileState
from halocline.filejob.journal import Noted, StepBook, known, steps_of
from halocline.filejob.record import Recorder, Wanted, records_of
from halocline.filejob.report import ALL_HEADERS, CONTENT_TYPE, Failure, append
from halocline.filejob.submit import Deadline, Submit, may_have_sent
from halocline.heartbeat import Turn, held
from halocline.outcome import Rejection, RunRecord
from halocline.push.order import Nulls, SyncMode
from halocline.quantity import quantity
from halocline.report import rejections_of
from halocline.spool import Spool, storage

if TYPE_CHECKING:
    from halocline.landed import Landed
    from halocline.ledger import Ledger

UNREADABLE = "FILE_UNREADABLE"
"""The code of a file that is no file of rows; the report has one line for it."""
_MESSAGE_BYTES = 300  # of a message in metadata, which hold 2 KB: there it is ASCII, with up to twelve bytes a character
_ENDINGS = {FileState.DONE, FileState.UNREADABLE, FileState.SUPERSEDED}  # of files that are reported on, archived and recorded
_PAGE = 1_000  # rows of a report that are looked up at once
_EVERY = 2**31 - 1  # of the runs of one key: however long the history, what was sent is in it


def run_file(
    job: FileJob,
    where: Landed,
    *,
    client: object,
    buckets: Buckets,
    ledger: Ledger,
    settings: Settings,
    sink: Sink = silent,
    deadline: float | None = None,
) -> FileOutcome:
    """Take care of one file, once, however often its event is delivered: what an earlier delivery did is not done again.

    `client` is what a push takes: a SalesforceClient, an authenticator, a session, a dict. `deadline` is an instant of
    `time.monotonic()`: where it comes first, StillRunning is raised and the next delivery goes on. A file that cannot be read is
    no error here but an outcome, with a report.
    Raises: LeaseHeld while another delivery of a file under the same key is at work; FixConfig for a file that is not the job's,
    and before anything is sent for a mapping or an execution record that cannot work; NotFound for a file that is gone and was
    never archived; else what stopped it. After any error the same call goes on.
    """
    if not job.takes(where):
        hint = f"It takes s3://{job.bucket}/{job.prefix}*, not what it puts below {' and '.join(job.own_prefixes)} itself."
        raise FixConfig(f"Running the file job {job.name}", f"{where} is none of its files", hint=hint)
    run, flow = names.run_of(job.name, where), names.flow_of(job.name, where)
    if (before := _before(run, where, ledger)) is not None:
        return before
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"  # of this delivery: another thread may be at the next
    with held(ledger, flow, owner=owner, turn=Turn(settings.lease_s), sink=sink) as lease:
        if (before := _before(run, where, ledger)) is not None:  # whoever held the lease has just ended it
            return before
        about = {"job": job.name, "bucket": where.bucket, "key": where.key, "dedupe": where.dedupe}
        about["sequencer"] = where.sequencer
        book = StepBook.open(run, flow, ledger=ledger, lease=lease, about=about)
        try:
            with storage(f"Taking care of {where}"), ExitStack() as stack:
                return _work(
                    job,
                    where,
                    book,
                    stack=stack,
                    client=client,
                    buckets=buckets,
                    settings=settings,
                    sink=sink,
                    deadline=Deadline(deadline),
                ).carry()
        except BaseException as error:
            _book_failure(book, error)
            raise


def _work(
    job: FileJob,
    where: Landed,
    book: StepBook,
    *,
    stack: ExitStack,
    client: object,
    buckets: Buckets,
    settings: Settings,
    sink: Sink,
    deadline: Deadline,
) -> _Work:
    """The work with all that it needs open until the stack is closed."""
    live = registry.connect("salesforce", client, sink=sink)
    if live is not client:
        stack.callback(live.close)
    spool = Spool(f"file-{book.run}-{uuid.uuid4().hex[:8]}", settings.spool)
    stack.callback(spool.close)
    intake = Intake(job, buckets, spool)
    stack.callback(intake.close)
    submit = Submit(job, book.run, live, book.ledger, settings, sink, deadline)
    return _Work(job, where, book, buckets, intake, submit, Recorder(records_of(live), book, sink), sink, deadline)


def _before(run: str, where: Landed, ledger: Ledger) -> FileOutcome | None:
    """What an earlier delivery made of it; None where nothing did to the end."""
    record = known(run, ledger)
    if record is None or record.state != "done":
        return None
    return outcome_of(FileState.AGAIN, steps_of(record), run=run, where=where)


def _book_failure(book: StepBook, error: BaseException) -> None:
    try:
        book.fail(error)
    except HaloclineError as broken:  # the first failure is the one to tell
        error.add_note(f"Neither could the failure be booked: {broken}")
    if isinstance(error, HaloclineError):
        error.facts.setdefault("file_run", book.run)


def outcome_of(state: FileState, steps: dict[str, Noted], *, run: str, where: Landed) -> FileOutcome:
    """The outcome that the noted steps add up to."""
    found = steps.get("submit", {})
    numbers = ("rows", "written", "created", "updated", "unchanged", "errors", "in_doubt", "not_sent")
    return FileOutcome(
        state,
        run,
        where,
        **{name: int(found.get(name, 0)) for name in numbers},
        error_key=steps.get("report", {}).get("key"),
        archive_key=steps.get("archive", {}).get("key"),
        record_id=steps.get("record", {}).get("id"),
        push_run=found.get("push"),
        message=str(found.get("message", "")),
    )


@dataclass(slots=True)
class _Work:
    """One delivery of one file at work."""

    job: FileJob
    where: Landed
    book: StepBook
    buckets: Buckets
    intake: Intake
    submit: Submit
    recorder: Recorder
    sink: Sink
    deadline: Deadline

    @property
    def archive_key(self) -> str:
        return names.below(self.job.archive_prefix, self.where.key, mark=self.book.run[: names.MARK_DIGITS])

    @property
    def error_key(self) -> str:
        mark = self.book.run[: names.MARK_DIGITS]
        return names.below(self.job.error_prefix, self.where.key, mark=mark, ending="-errors.csv")

    @property
    def stored(self) -> Stored:
        """The object as it was fetched."""
        noted = self.book.steps["fetch"]
        modified = None if noted.get("modified") is None else datetime.fromisoformat(noted["modified"])
        place = (self.where.bucket, self.where.key)
        return Stored(*place, noted["size"], noted["etag"], noted["version"], modified, noted["metadata"])

    def carry(self) -> FileOutcome:
        """Do what is not done."""
        self._restore()
        state = FileState(self._step("fetch", self._fetch)["state"])
        if state is FileState.DONE or self._is_sent:
            if self.job.execution is not None and not self._is_sent:
                self.recorder.examine(self.job.execution)
            state = FileState(self._step("submit", self._submit)["state"])
        if state in _ENDINGS:
            self._step("report", self._report)
            self._step("archive", self._archive)
            if self.job.execution is not None:
                self._step("record", self._record)
        outcome = outcome_of(state, self.book.steps, run=self.book.run, where=self.where)
        self._finish(outcome)
        return outcome

    @property
    def _is_sent(self) -> bool:
        """Whether its rows were told of before this delivery, so that the rest is to be done whatever became of the file."""
        return "submit" in self.book.steps

    def _step(self, name: str, act: Any) -> Noted:
        self.deadline.check(f"Taking care of {self.where}, before the step {name}")
        return self.book.once(name, act)

    def _finish(self, outcome: FileOutcome) -> None:
        self.book.finish(outcome.counts, rows=outcome.rows, error=outcome.message or None)

    def _restore(self) -> None:
        """A ledger that knows of no step of the run says nothing about whether it has begun: the bucket does.

        It is asked until a first step is noted, for a delivery may fail while it asks; what it says is noted as one.
        """
        if self.book.steps:
            return
        steps = dict[str, Noted]()
        archived = self.buckets.head(self.where.bucket, self.archive_key)
        found = found_in(archived, run=self.book.run)
        if found is None:
            found = found_in(self.buckets.head(self.where.bucket, self.error_key), run=self.book.run)
        elif archived is not None:
            told, modified = archived.metadata[VERSION], archived.metadata.get(LANDED)
            etag = self.where.etag or told if self.where.version is None else self.where.etag or ""
            steps["fetch"] = _fetched(archived, etag=etag, version=self.where.version, modified=modified)
        if found is not None:
            self.book.note_all({**steps, "submit": {**found, "restored": True}})

    def _fetch(self) -> Noted:
        """Which object it is. It may be another by now, or archived under the name of another run."""
        stored = self.buckets.head(self.where.bucket, self.where.key, version=self.where.version)
        is_other = stored is not None and self.where.version is None and self.where.etag not in {None, stored.etag}
        if self._is_sent and (stored is None or is_other):  # there is nothing to read any more, and nothing that has to be
            return {"state": FileState.REPLACED.value}
        if stored is None:
            return self._gone()
        if is_other:
            return self._replaced()
        modified = None if stored.modified is None else stored.modified.isoformat()
        return _fetched(stored, etag=stored.etag, version=stored.version, modified=modified)

    def _replaced(self) -> Noted:
        self.sink(Noticed(f"{self.where} was written over before it was read; the newer file has an event of its own."))
        return {"state": FileState.REPLACED.value}

    def _gone(self) -> Noted:
        where = self.where
        near = names.below(self.job.archive_prefix, where.key, mark="", ending="")
        source, version = names.source_mark(where.bucket, where.key), where.version or where.etag
        copy, others = archived_elsewhere(
            self.buckets, where.bucket, near=near, source=source, version=version, job=self.job.name
        )
        if copy is None:
            doing, cause = f"Fetching {where}", "it is not there, and no copy of it is in the archive"
            hint = "Nothing was done with it. If somebody took it away on purpose, drop the event."
            if others is not None:
                cause = f"it is not there, and the copy {others.key} in the archive was made by another job"
                hint = f"Nothing was done with it by {self.job.name}. A file has one job: give the two different prefixes."
            raise NotFound(doing, cause, hint=hint)
        self.sink(Noticed(f"{where} was taken care of before; it is {copy.key} now."))
        return {"state": FileState.AGAIN.value}

    def _submit(self) -> Noted:
        done = self.submit.done()
        if done is not None:
            return done
        if (newer := self._newer()) is not None:
            return self._superseded(newer)
        try:
            rows = self.intake.rows(self.stored)
        except Unreadable as error:
            return {"state": FileState.UNREADABLE.value, "rows": 0, "errors": 1, "message": _cut(str(error))}
        except (Changed, NotFound) as error:  # what an earlier delivery has put aside is all that there is of it
            going_on = self.submit.go_on()
            if going_on is None and isinstance(error, NotFound):
                raise
            return going_on or self._replaced()
        return self.submit.send(rows)

    def _newer(self) -> str | None:
        """The run of a file that landed under the same key after this one, and whose rows were sent, or some of them."""
        if self.job.order(Nulls.KEEP, None).mode not in {SyncMode.UPSERT, SyncMode.UPDATE}:
            return None
        ledger = self.book.ledger
        mine = ledger.get(self.book.run)
        began_later = True  # than this one: runs are told newest first, whatever the clock said when each began
        for record in ledger.runs(names.flow_of(self.job.name, self.where), limit=_EVERY):
            began_later = began_later and record.run != mine.run
            plan: Any = record.plan or {}
            about, sent = plan.get("file") or {}, plan.get("steps", {}).get("submit", {})
            is_here = (about.get("bucket"), about.get("key")) == (self.where.bucket, self.where.key)
            if not is_here or record.run == mine.run or not self._is_older_than(record, mine, began_first=began_later):
                continue
            pushes = names.push_flow_of(self.job.name, record.run)
            if sent.get("state") == FileState.DONE.value or may_have_sent(pushes, ledger) is not None:
                return record.run
        return None

    def _is_older_than(self, record: RunRecord, mine: RunRecord, *, began_first: bool) -> bool:
        """Whether this file landed before that of `record`: by the sequencers of their events; where one of them came by hand by
        the instants that the bucket tells, in whole seconds, and within one by which run began first: `began_first`.
        """
        plan: Any = record.plan or {}
        his_sequencer = plan["file"].get("sequencer")
        if self.where.sequencer and his_sequencer:
            return replace(self.where, sequencer=his_sequencer).order > self.where.order
        (his, own) = (steps_of(one).get("fetch", {}).get("modified") for one in (record, mine))
        if his and own and his != own:
            return datetime.fromisoformat(his) > datetime.fromisoformat(own)
        return began_first

    def _superseded(self, newer: str) -> Noted:
        left = self.submit.left()
        sent = "None of its rows was sent" if left is None else "Some of its rows may have been sent before"
        told = _cut(f"The file of run {newer} landed later under this key, and was sent first. {sent}: its values are older.")
        self.sink(Noticed(f"{self.where}: {told}"))
        return {"rows": 0, "errors": 0, **(left or {}), "state": FileState.SUPERSEDED.value, "message": told}

    def _report(self) -> Noted:
        """The report, uploaded whole; the number of its lines is that of the rows that the push says were not written."""
        found = self.book.steps["submit"]
        if found.get("restored"):
            there = found_in(self.buckets.head(self.where.bucket, self.error_key), run=self.book.run)
            return {"key": None if there is None else self.error_key}
        if not found["errors"] and not self.job.empty_report:
            return {"key": None}
        path = self.intake.spool.file(names.LOCAL_REPORT)
        path.unlink(missing_ok=True)
        lines = append(self._failures(found), path, headers=ALL_HEADERS)
        if lines != found["errors"]:
            cause = f"{quantity(found['errors'], 'row was')} not written, and {lines:,} known"
            raise Stop(f"Reporting on {self.where}", cause, hint="Report this as a defect of Halocline.")
        metadata = metadata_of(self.book.run, self.stored, job=self.job.name, found=found)
        self.buckets.upload(path, self.where.bucket, self.error_key, content_type=CONTENT_TYPE, metadata=metadata)
        return {"key": self.error_key}

    def _failures(self, found: Noted) -> Iterator[Failure]:
        """Collect: the lines of the report, in the order in which the rows became known."""
        about = {"salesforce_object": self.job.sobject, "upsert_key": self.job.key or ""}
        if found["state"] == FileState.UNREADABLE.value:
            yield {**about, "code": UNREADABLE, "message": found["message"], "object_json": {"file": self.where.key}}
        if "push" not in found:
            return
        rejections = rejections_of(self.book.ledger, found["push"])
        while page := list(islice(rejections, _PAGE)):
            records = self.intake.records(self.stored, [one.row for one in page if one.record is None and one.row >= 0])
            for one in page:
                yield {**about, **self._line(one, records.get(one.row) if one.record is None else one.record)}

    def _line(self, one: Rejection, record: Any) -> Failure:
        return {
            "code": one.code,
            "message": one.message,
            "upsert_key_value": self.intake.key_of(record),
            "object_json": "" if record is None else record,
            "row": one.row if one.row >= 0 else "",
            "fields": " ".join(one.fields),
            "fate": one.fate.value,
        }

    def _archive(self) -> Noted:
        found = {name: value for name, value in self.book.steps["submit"].items() if name != "restored"}
        if "size" in self.book.steps["fetch"]:
            metadata = metadata_of(self.book.run, self.stored, job=self.job.name, found=found)
            if Archive(self.buckets, self.stored, self.archive_key, metadata, self.intake.local, self.sink).move():
                return {"key": self.archive_key}
        self.sink(Noticed(f"{self.where} was taken away or written over before it could be archived: there is no copy of it."))
        return {"key": None}

    def _record(self) -> Noted:
        execution = self.job.execution
        assert execution is not None, "the caller has just asked"
        link, url = self._link()
        body = execution.rendered(self._values(link, url))
        wanted = Wanted(execution.sobject, body, execution.external_id_field, link or "", url or "", cuts=True)
        return {"id": self.recorder.make(wanted)}

    def _link(self) -> tuple[str | None, str | None]:
        """The address of the report with a signature, and without one; None where there is no report."""
        key = self.book.steps["report"]["key"]
        if key is None:
            return None, None
        link = self.buckets.link(self.where.bucket, key, seconds=self.job.link_s)
        return link, f"https://{self.where.bucket}.s3.amazonaws.com/{quote(key)}"

    def _values(self, link: str | None, url: str | None) -> dict[str, object]:
        steps, found = self.book.steps, self.book.steps["submit"]
        numbers = ("rows", "written", "created", "updated", "unchanged", "errors", "in_doubt")
        return {
            **{name: found.get(name, 0) for name in numbers},
            "job": self.job.name,
            "run": self.book.run,
            "bucket": self.where.bucket,
            "key": self.where.key,
            "archive_key": steps["archive"]["key"],
            "error_key": steps["report"]["key"],
            "error_report_link": link,
            "error_report_url": url,
            "message": found.get("message"),
            "state": found["state"],
        }


def _fetched(stored: Stored, *, etag: str, version: str | None, modified: str | None) -> Noted:
    metadata = {name: value for name, value in stored.metadata.items() if not name.startswith("halocline-")}
    told = {"size": stored.size, "etag": etag, "version": version, "modified": modified, "metadata": metadata}
    return {"state": FileState.DONE.value, **told}


def _cut(message: str) -> str:
    """As much of a message as has room in metadata."""
    message = message[:_MESSAGE_BYTES]
    while len(json.dumps(message)) > _MESSAGE_BYTES:
        message = message[:-1]
    return message
