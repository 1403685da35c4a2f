"""SalesforceLoad: the rows of one push in a folder, from staging to the last result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from halocline.connector import Journal
from halocline.connectors.salesforce.bulk import DEADLINE_S
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.connectors.salesforce.collections import WIDTH, Operation, Order
from halocline.connectors.salesforce.ingest_jobs import IngestJobs
from halocline.connectors.salesforce.writing.answers import Answers
from halocline.connectors.salesforce.writing.by_bulk import ByBulk
from halocline.connectors.salesforce.writing.by_collections import ByCollections
from halocline.connectors.salesforce.writing.cargo import Cargo, Prepared
from halocline.connectors.salesforce.writing.intents import Intents
from halocline.connectors.salesforce.writing.left import LEFT_FILE, keep_left
from halocline.connectors.salesforce.writing.passengers import Passengers
from halocline.connectors.salesforce.writing.sending import Sending
from halocline.connectors.salesforce.writing.staging import Staging
from halocline.connectors.salesforce.writing.telling import Telling
from halocline.errors import FixConfig, HaloclineError, Stop
from halocline.outcome import RowResult
from halocline.push.destination import RowBatch, Told, WritePlan
from halocline.push.order import SyncMode, WriteOrder
from halocline.spool import IN_HOME, storage

_OPERATIONS = {
    SyncMode.INSERT: Operation.INSERT,
    SyncMode.UPDATE: Operation.UPDATE,
    SyncMode.UPSERT: Operation.UPSERT,
    SyncMode.DELETE: Operation.DELETE,
    SyncMode.HARD_DELETE: Operation.HARD_DELETE,
}


class SalesforceLoad:
    """A load in `folder`: a new one, or the one that was planned there. Implements `RowLoad`.

    Raises: FixConfig when the folder holds the work of another order; StorageFailed.
    """

    def __init__(
        self,
        client: SalesforceClient,
        order: WriteOrder,
        *,
        folder: Path,
        journal: Journal | None,
        describe: Callable[[], Mapping[str, Any]],
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._client = client
        self._write_order = order
        self._order = Order(_OPERATIONS[order.mode], order.sobject, order.key)
        self._folder = folder
        self._journal = journal
        self._describe = describe
        self._deadline_s = deadline_s
        self._staging: Staging | None = None
        self._sending: Sending | None = None
        with storage(f"Making the folder {folder}", room=IN_HOME):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._prepared = Prepared.open(folder)
        if self._prepared is not None and self._prepared.order != order:
            found = self._prepared.order
            cause = f"its rows were staged to {found.mode} {found.sobject}, with other settings than these"
            raise FixConfig(f"Opening {folder}", cause, hint="Use the order that the run was begun with.")

    def stage(self, batch: RowBatch) -> Sequence[RowResult]:
        """See `RowLoad.stage`. The object is described when the first rows come."""
        if self._prepared is not None:
            raise Stop(f"Staging rows in {self._folder}", "the rows there are planned already", hint="Use a folder of its own.")
        if self._staging is None:
            self._staging = Staging(self._write_order, self._folder, describe=self._describe())
        return self._staging.stage(batch)

    def plan(self) -> WritePlan:
        """See `RowLoad.plan`."""
        if self._prepared is None:
            staging = self._staging or Staging(self._write_order, self._folder, describe=self._describe())
            self._prepared, self._staging = staging.finish(), None
        return self._prepared.plan

    def first(self) -> Sequence[Mapping[str, Any]]:
        """See `RowLoad.first`."""
        return self._planned().first()

    def folded(self) -> Iterator[tuple[int, int]]:
        """See `RowLoad.folded`."""
        return self._planned().folded()

    def outcomes(self, *, sending: Callable[[Sequence[int]], None] | None = None) -> Iterator[Told]:
        """See `RowLoad.outcomes`.

        By collections four calls are in flight (one where the order stops on errors); by Bulk up to eight jobs. A Bulk job that
        fails before its first row ends the push: what runs is told, all else is NOT_SENT in the job's words, then comes
        JobFailed.
        A job that fails later costs only the rows that it did not come to. All errors have `facts["job_ids"]`.
        """
        return self._told(lambda walk: walk.outcomes(sending or _unheard))

    def settle(self) -> Iterator[Told]:
        """See `RowLoad.settle`.

        A chunk that was sent by collections and whose answer nobody heard is in doubt. So is one whose job is gone. Where sending
        twice is harmless, the `outcomes` of a load opened later sends such a chunk again, and then tells what became of it.
        """
        return self._told(Sending.settle)

    def left(self) -> Path:
        """See `RowLoad.left`. Rows that travelled in another are there as it; `read_left` reads the file."""
        path = self._folder / LEFT_FILE
        if self._prepared is None and path.exists():
            return path
        if self._sending is None or not self._sending.is_over:
            for _ in self.settle():
                pass
        assert self._sending is not None
        return keep_left(self._planned(), self._sending.unwritten, doubtful=self._sending.doubtful, folder=self._folder)

    def close(self) -> None:
        """See `RowLoad.close`. Files are open only while something is done with them."""
        self._staging = None

    def _told(self, walk: Callable[[Sending], Iterator[Told]]) -> Iterator[Told]:
        prepared = self._planned()
        if self._journal is None:
            cause = "the load was opened without a journal"
            raise Stop(f"Sending the rows in {self._folder}", cause, hint="It can only be planned.")
        self._sending, by_bulk = self._walk_of(prepared, self._journal)
        try:
            yield from walk(self._sending)
        except HaloclineError as error:
            error.facts.setdefault("job_ids", by_bulk.job_ids)
            raise

    def _walk_of(self, prepared: Prepared, journal: Journal) -> tuple[Sending, ByBulk]:
        """A walk through what was prepared, with all that it needs."""
        order, pace, width = self._order, self._client.pace, 1 if self._write_order.stop_on_error else WIDTH
        jobs, calls = IngestJobs(self._client.transport, pace=pace), self._client.collections(width=width)
        cargo, answers, intents = Cargo(prepared, self._folder), Answers(self._folder), Intents(journal)
        telling = Telling(order, cargo, jobs=jobs, passengers=Passengers(prepared.folded()), folder=self._folder)
        by_collections = ByCollections(calls, order, cargo=cargo, answers=answers, intents=intents, width=width)
        by_bulk = ByBulk(
            jobs,
            order,
            cargo=cargo,
            answers=answers,
            intents=intents,
            telling=telling,
            pace=pace,
            deadline_s=self._deadline_s,
        )
        sending = Sending(
            order,
            cargo=cargo,
            answers=answers,
            intents=intents,
            telling=telling,
            by_collections=by_collections,
            by_bulk=by_bulk,
            stop_on_error=self._write_order.stop_on_error,
            pace=pace,
        )
        return sending, by_bulk

    def _planned(self) -> Prepared:
        if self._prepared is None:
            raise Stop(f"Sending the rows in {self._folder}", "they are not planned yet", hint="Call plan() first.")
        return self._prepared


def _unheard(_: Sequence[int]) -> None:
    """Nobody wants to know what is about to be sent."""
