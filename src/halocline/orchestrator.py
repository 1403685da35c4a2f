"""Orchestrator: the file job as a class to inherit from, for those who bring the rows into Salesforce themselves.

class Mine(Orchestrator): ...                        execution_object_name, execution_sfdc_hash, error_report_link, ...
orchestrator = Mine("in/file.csv", "bucket", sf_client=client)      the file is at `downloaded_file`
orchestrator.log_batch(results, rows, "Account", "Ext__c")          once for each batch that was sent
orchestrator.automagically_finish_up()                              error report, archive, execution record: each of it once
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import uuid
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from halocline import registry
from halocline.buckets import Buckets, Stored
from halocline.config import Settings
from halocline.errors import Changed, NotFound
from halocline.events import Noticed, Sink, silent
from halocline.filejob import names
from halocline.filejob.archive import LANDED, RUN, VERSION, Archive, archived_elsewhere, landed_at, metadata_of
from halocline.filejob.job import LINK_S
from halocline.filejob.journal import Noted, StepBook
from halocline.filejob.record import STEP, Recorder, Wanted, plain, records_of
from halocline.filejob.report import CONTENT_TYPE, append
from halocline.filejob.results import told_apart
from halocline.heartbeat import Turn, held
from halocline.landed import Landed
from halocline.ledger import Ledger, open_ledger
from halocline.outcome import Counts
from halocline.spool import Spool, storage

__all__ = ["Orchestrator"]

_STAMP = "%Y%m%dT%H%M%S"


class Orchestrator:
    """One file of a bucket on its way: fetched by the constructor, reported on, archived and recorded at the end.

    What an attribute says before `automagically_finish_up` may be overridden by a property of the subclass; every method may be
    overridden as well. Names of objects are made from the folder and name of the file, the instant at which it landed and which
    run it is: two runs, two folders and two files of one name never meet. `archive_folder` ("archive"), `error_folder`
    ("errors") and `error_report_file_name` are taken as they are given. Without `execution_object_name` no record is made.

    The same file may be taken up again, after a crash or by an event that is delivered twice: what was done is not done again,
    and where the file lies in the archive by then, also where another class has put it there, it is fetched from there. `landed`
    tells which object an event was about (None: the one under the key now). `execution_external_id` names a text field of the
    execution object that then holds the run's name; the record is found by it. `buckets`, `ledger` and `settings` are the
    environment's otherwise, and so is `sf_client` (a SalesforceClient, an SfClient, or a client of simple-salesforce), which is
    only used for the execution record.
    Raises: NotFound for a file that is not there and never was archived; Changed for one that was written over since its event.
    """

    def __init__(
        self,
        s3_object_key: str,
        bucket_name: str,
        sf_client: object = None,
        archive_folder: str | None = None,
        error_report_file_name: str | None = None,
        error_folder: str | None = None,
        execution_object_name: str | None = None,
        *,
        landed: Landed | None = None,
        execution_external_id: str | None = None,
        buckets: Buckets | None = None,
        ledger: Ledger | None = None,
        settings: Settings | None = None,
        sink: Sink = silent,
    ) -> None:
        self.s3_object_key, self.bucket_name = s3_object_key, bucket_name
        self.archive_folder, self.error_folder = archive_folder or "archive", error_folder or "errors"
        self.execution_object_name = execution_object_name
        self.execution_external_id = execution_external_id
        self.error_count = 0
        self.downloaded_file: Path
        self._buckets = buckets or registry.open_buckets()
        self._ledger, self._settings, self._sink = ledger, settings or Settings.from_env(), sink
        self._book: StepBook | None = None
        self._rows = self._written = 0
        self._link: str | None = None
        self._spool = Spool(f"file-{uuid.uuid4().hex}", self._settings.spool)
        weakref.finalize(self, shutil.rmtree, self._spool.path, ignore_errors=True)
        self.error_report_path = self._spool.file(names.LOCAL_REPORT)
        self._where, self._run, self._stored, self._copy = self._found(landed)
        self.timestamp = self._landed_at
        # the older library's order: what a subclass makes names of is there
        self.set_sf_client(sf_client)
        self.download_s3_file()
        self.set_timestamp()
        self.set_error_report_name(error_report_file_name)

    # ---- what a subclass says

    @property
    def execution_sfdc_hash(self) -> Mapping[str, object]:
        """The fields of the execution record, for the subclass to say.

        Raises: NotImplementedError, unless it does.
        """
        hint = f"{type(self).__name__} names {self.execution_object_name} and has no property execution_sfdc_hash with its fields"
        raise NotImplementedError(hint)

    @property
    def error_report_link(self) -> str:
        """An address under which anyone can read the report, for seven days at most, and once it is uploaded.

        In the execution record, where its field is too short for the signature, the plain address of the object takes its place.
        """
        if self._link is None:
            self._link = self._buckets.link(self.bucket_name, self.error_file_s3_key, seconds=LINK_S)
        return self._link

    @property
    def error_file_s3_key(self) -> str:
        """The key of the error report."""
        return f"{self.error_folder.rstrip('/')}/{self.error_report_file_name}"

    @property
    def archive_file_s3_key(self) -> str:
        """The key under which the file is archived: its folders are kept."""
        mark = f"{self.get_timestamp()}-{self._mark}"
        return names.below(f"{self.archive_folder.rstrip('/')}/", self.s3_object_key, mark=mark)

    def set_error_report_name(self, name: str | None = None) -> None:
        """Call the report so; by default the instant at which the file landed and the run are in its name."""
        self.error_report_file_name = name or f"error-report-{self.get_timestamp()}-{self._mark}.csv"

    def set_timestamp(self, timestamp: str | None = None) -> None:
        """Say which instant is in names; None: the one at which the file landed, in UTC.

        The constructor calls it. What is made of the clock differs for each delivery of a file, and so does its report's name.
        """
        self.timestamp = timestamp or self._landed_at

    def get_timestamp(self) -> str:
        """The instant that is in names."""
        return self.timestamp

    def set_sf_client(self, client: object = None) -> None:
        """Use this client for the execution record; None: one with the login of the environment, made when it is needed."""
        self.sf_client = client

    # ---- what is called for each file and each batch

    def download_s3_file(self) -> Path:
        """Bring the file into a folder of this object's own; its name there is a plain one, whatever the key is."""
        path, old = self._spool.file(names.local_name(self.s3_object_key)), self._copy or self._stored
        etag = None if old.version else old.etag or None
        with storage(f"Bringing s3://{old.bucket}/{old.key} into {path.parent}"):
            self._buckets.download(old.bucket, old.key, path, version=old.version, etag=etag)
        self.downloaded_file = path
        return path

    def log_batch(
        self, results: Iterable[Mapping[str, Any]], data: Iterable[Mapping[str, Any]], salesforce_object: str, upsert_key: str
    ) -> None:
        """Take in what became of a batch: each row that was not written is counted, and a line of the error report."""
        told, rows = list(results), list(data)
        successes, errors = self.parse_sfdc_results(told, rows, salesforce_object, upsert_key)
        self._rows += len(rows)
        self._written += len(successes)
        self.error_count += self.create_error_report_file(errors)

    def parse_sfdc_results(
        self, results: Sequence[Any], data: Sequence[Any], salesforce_object: str, upsert_key: str
    ) -> tuple[list[Any], list[dict[str, Any]]]:
        """The results of the rows that were written, and for each other row a line of the error report, by its headers' names."""
        return told_apart(results, data, salesforce_object=salesforce_object, upsert_key=upsert_key)

    def create_error_report_file(self, errors: Iterable[Mapping[str, Any]]) -> int:
        """Write lines behind those of the local report, and say how many they were; without any it has its header line.

        Raises: StorageFailed.
        """
        return append(errors, self.error_report_path)

    # ---- the end

    def automagically_finish_up(self) -> None:
        """Upload the report, archive the file, make the execution record; nothing where an earlier delivery came to this end.

        Raises: LeaseHeld while another delivery of the file is at its end. After any error the same may be called again, also by
        another process.
        """
        with self._at_work() as book:
            if book is not None:
                self.report()
                counts = Counts(updated=self._written, rejected=self._rows - self._written)
                book.finish(counts, rows=self._rows)

    def report(self) -> None:
        """The three steps of the end, in the order in which nothing is lost: the report, then the archive, then the record."""
        with self._at_work() as book:
            if book is None:
                return
            self.upload_error_report()
            for step, hook in (("archive", self.archive_file), (STEP, self.create_execution_object)):
                book.once(step, lambda hook=hook: {"key": hook()})  # type: ignore[misc]  # mypy has no type for such a lambda

    def upload_error_report(self) -> str:
        """Upload the report, if only with its header line, and return its key; one that is there already stays."""
        self.create_error_report_file(())
        found: Noted = {"sum": hashlib.sha256(self.error_report_path.read_bytes()).hexdigest(), "key": self.error_file_s3_key}
        if self._book is not None and self._book.steps.get("report") == found:
            return self.error_file_s3_key
        metadata = metadata_of(self._run, self._stored, job=self._job, found=self._counts)
        self._buckets.upload(
            self.error_report_path, self.bucket_name, self.error_file_s3_key, content_type=CONTENT_TYPE, metadata=metadata
        )
        if self._book is not None:
            self._book.note("report", found)
        return self.error_file_s3_key

    def archive_file(self) -> str | None:
        """Move the file into the archive, and return its key there; None where it was written over, and no copy can be made.

        A newer object under the key of the file stays. May be repeated.
        """
        if self._copy is not None and self._is_own_copy:
            return self._copy.key
        metadata = metadata_of(self._run, self._stored, job=self._job, found=self._counts)
        archive = Archive(self._buckets, self._stored, self.archive_file_s3_key, metadata, self.downloaded_file, self._sink)
        if archive.move():
            return archive.key
        self._sink(Noticed(f"{self._where} was written over before it could be archived."))
        return None

    def create_execution_object(self) -> str | None:
        """Make the record that tells of this run, and return its id; None without `execution_object_name`.

        Raises: RejectRecord when Salesforce refuses it; RetryLater when the answer was lost: called again, it looks first.
        """
        if self.execution_object_name is None:
            return None
        with self._at_work() as book:
            return self._past_record() if book is None else str(book.once(STEP, lambda: {"key": self._recorded(book)})["key"])

    # ---- what nobody overrides

    def _recorded(self, book: StepBook) -> str:
        assert self.execution_object_name is not None, "the caller has just asked"
        instead = f"https://{self.bucket_name}.s3.amazonaws.com/{quote(self.error_file_s3_key)}"
        body = plain(self.execution_sfdc_hash)  # it may ask for the link
        wanted = Wanted(self.execution_object_name, body, self.execution_external_id, self._link or "", instead)
        return Recorder(records_of(self._client()), book, self._sink).make(wanted)

    @property
    def _is_own_copy(self) -> bool:
        """Whether the copy that the file was found as is one that this run has made."""
        return self._copy is not None and self._copy.metadata.get(RUN) == self._run

    @property
    def _mark(self) -> str:
        return self._run[: names.MARK_DIGITS]

    @property
    def _landed_at(self) -> str:
        """The same for every delivery of one file."""
        moment = self._stored.modified or self._where.at or datetime.fromtimestamp(0, UTC)
        return moment.astimezone(UTC).strftime(_STAMP)

    @property
    def _counts(self) -> Noted:
        return {"rows": self._rows, "written": self._written, "errors": self.error_count}

    @property
    def _job(self) -> str:
        return type(self).__name__

    def _client(self) -> object:
        if self.sf_client is None:
            self.set_sf_client(registry.connect("salesforce", registry.login("salesforce")))
        return self.sf_client

    @contextmanager
    def _books(self) -> Iterator[Ledger]:
        if self._ledger is not None:
            yield self._ledger
        else:
            with open_ledger(self._settings.ledger, keep_s=self._settings.keep_s) as ledger:
                yield ledger

    @contextmanager
    def _at_work(self) -> Iterator[StepBook | None]:
        """The book of the run, held; None where the run has ended well before."""
        if self._book is not None:
            yield self._book
            return
        owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
        turn = Turn(self._settings.lease_s)
        with self._books() as ledger, held(ledger, self._flow, owner=owner, turn=turn, sink=self._sink) as lease:
            where, stored = self._where, self._stored
            fetched = {"size": stored.size, "etag": stored.etag, "version": stored.version, "modified": _text(stored.modified)}
            about = {"job": self._job, "bucket": where.bucket, "key": where.key, "dedupe": where.dedupe, "fetched": fetched}
            book = StepBook.open(self._run, self._flow, ledger=ledger, lease=lease, about=about)
            if ledger.get(self._run).state == "done":
                yield None
                return
            self._book = book
            try:
                if not book.steps:  # an archived file was begun under another ledger, which is lost; noted before any step is
                    book.note_all({"begun": {}, **({"submit": {"restored": True}} if self._is_own_copy else {})})
                yield book
            except BaseException as error:
                book.fail(error)
                raise
            finally:
                self._book = None

    @property
    def _flow(self) -> str:
        return names.flow_of(self._job, Landed(self.bucket_name, self.s3_object_key))

    def _past_record(self) -> str | None:
        with self._books() as ledger:
            plan: Any = ledger.get(self._run).plan or {}
        key: str | None = plan.get("steps", {}).get(STEP, {}).get("key")
        return key

    def _found(self, landed: Landed | None) -> tuple[Landed, str, Stored, Stored | None]:
        """Which object it is: landing, run, the object as it landed, and its copy in the archive where it is only there."""
        version = None if landed is None else landed.version
        stored = self._buckets.head(self.bucket_name, self.s3_object_key, version=version)
        if stored is not None and (landed is None or version is not None or landed.etag in {None, stored.etag}):
            where = landed or _landing(stored)
            return where, names.run_of(self._job, where), stored, None
        past = self._noted(landed) or self._archived(landed)
        if past is not None:
            return past
        doing = f"Fetching {landed or Landed(self.bucket_name, self.s3_object_key)}"
        if stored is not None:
            raise Changed(doing, "it was written over since it landed", hint="The newer object has an event of its own.")
        hint = "Nothing was done with it. If somebody took it away on purpose, drop the event."
        raise NotFound(doing, "it is not there, and no copy of it is in the archive", hint=hint)

    def _noted(self, landed: Landed | None) -> tuple[Landed, str, Stored, Stored | None] | None:
        """What the ledger says of a run that has archived the file: the newest, or the one of this landing."""
        with self._books() as ledger:
            records = ledger.runs(self._flow)
        for record in records:
            plan: Any = record.plan or {}
            key = plan.get("steps", {}).get("archive", {}).get("key")
            copy = None if key is None else self._buckets.head(self.bucket_name, key)
            if copy is None or (landed is not None and names.run_of(self._job, landed) != record.run):
                continue
            told = plan["file"]["fetched"]
            modified = _instant(told["modified"])
            stored = Stored(self.bucket_name, self.s3_object_key, told["size"], told["etag"], told["version"], modified)
            return landed or _landing(stored), record.run, stored, copy
        return None

    def _archived(self, landed: Landed | None) -> tuple[Landed, str, Stored, Stored | None] | None:
        """The same without that ledger: what the copies in the archive say of themselves."""
        near = names.below(f"{self.archive_folder.rstrip('/')}/", self.s3_object_key, mark="", ending="")
        source = names.source_mark(self.bucket_name, self.s3_object_key)
        version = None if landed is None else landed.version or landed.etag
        mine, others = archived_elsewhere(
            self._buckets, self.bucket_name, near=near, source=source, version=version, job=self._job
        )
        is_mine = mine is not None and (others is None or landed_at(mine) >= landed_at(others))
        copy = mine if is_mine else others
        if copy is None:
            return None
        etag, modified = copy.metadata[VERSION], _instant(copy.metadata.get(LANDED))
        version = None if landed is None else landed.version
        stored = replace(copy, key=self.s3_object_key, etag=etag, version=version, modified=modified)
        if not is_mine:  # another job has archived what this one has not seen
            where = landed or _landing(stored)
            return where, names.run_of(self._job, where), stored, copy
        return landed or Landed(self.bucket_name, self.s3_object_key), copy.metadata[RUN], stored, copy


def _landing(stored: Stored) -> Landed:
    """The landing of an object that no event told of: the instant at which it was written takes the place of the sequencer."""
    moment = "" if stored.modified is None else stored.modified.astimezone(UTC).strftime(_STAMP)
    return Landed(stored.bucket, stored.key, stored.version, stored.etag, stored.size, moment, stored.modified)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
