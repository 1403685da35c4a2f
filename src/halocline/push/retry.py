"""Retry: the rows of a run that were refused or never sent, once more."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from halocline.errors import FixConfig, LeaseHeld, NotFound
from halocline.events import Sink, silent
from halocline.outcome import RunRecord
from halocline.push.destination import RowBatch, RowDestination
from halocline.push.diff.sifting import learning
from halocline.push.elsewhere import abandon_dead, place
from halocline.push.folder import RunFolder
from halocline.push.intake import STAGING
from halocline.push.note import Note
from halocline.push.order import Nulls, SyncMode, WriteOrder
from halocline.push.past import overtaken, overtaker, refuse_unknown, unsettled, was_sent
from halocline.push.push import Push, execute
from halocline.push.run import PushRun
from halocline.push.watch import UNWATCHED, Watch

if TYPE_CHECKING:
    from halocline.ledger import Ledger

_LOOKED_BACK = 1_000  # runs


def retry(
    run_id: str,
    *,
    destination: RowDestination,
    ledger: Ledger,
    home: Path,
    sink: Sink = silent,
    watch: Watch = UNWATCHED,
    in_doubt: bool = False,
    anyway: bool = False,
) -> PushRun | None:
    """Send the rows of a run again, as they were staged, that were refused or not sent; None when there are none.

    It is a new run of the same flow and order, in which rows keep their numbers and their records; the old run's folder goes once
    the new one has its own. `in_doubt` sends the rows in doubt as well: those that were written after all are then written twice.
    Rows that were refused before they were staged, by the mapping or for want of a key, are not in the folder.
    Raises: FixConfig for a run that is to be resumed, that is another org's, of the diff mode of another home, or whose rows a
    later run may have written (`anyway` does these two all the same, with the older values over newer ones), and where no row
    lies staged any more; LeaseHeld while the run lives; else as `execute`.
    """
    record = ledger.get(run_id)
    note = _note_of(record, ledger, home=home)
    doubts = record.counts.in_doubt if in_doubt else 0
    if not record.counts.rejected + record.counts.not_sent + doubts:
        return None
    if note.org != destination.org:
        cause = f"it went into {note.org}, and this is {destination.org}"
        raise FixConfig(f"Retrying run {run_id}", cause, hint="Log in to the org that it went into.")
    folder = place(note, run=run_id, home=home)
    if not folder.path.exists():
        raise _gone(record, ledger)
    if not anyway:
        _refuse_overtaken(record, note, ledger=ledger)
    with ExitStack() as stack:
        stack.enter_context(folder.held())
        if _taken_over(record, ledger) is not None:  # by a retry that died before it could delete the folder
            folder.delete()
            raise _gone(record, ledger)
        _tidy(note.continues or run_id, folder, destination=destination, ledger=ledger)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="halocline-retry-")))
        rows = LeftRows(destination, folder.load, note.order, name=f"retry of {run_id[:8]}", in_doubt=in_doubt)
        if not len(rows):
            raise _none_staged(record)
        left = chain(ledger.each_rejection(run_id), ledger.each_doubt(run_id) if in_doubt else ())
        rows.remember(((one.row, one.record) for one in left), scratch)
        stack.callback(rows.close)
        run = PushRun.new()
        sieve = None
        if note.sieved:
            sieve = stack.enter_context(learning(home, flow=record.flow, org=note.org, order=note.order))
            if not anyway:
                refuse_unknown(run_id, note, sieve=sieve, ledger=ledger, doing=f"Retrying run {run_id}")
        push = Push(note.order, rows, destination, record.flow, sieve=sieve, retries=run_id, results=note.results)
        try:
            execute(push, run, ledger=ledger, home=home, sink=sink, watch=watch)
        finally:
            _hand_over(run, folder, ledger=ledger)
    return run


class LeftRows:
    """The rows that a run left, as Rows: under the numbers that they have in its source."""

    def __init__(self, destination: RowDestination, folder: Path, order: WriteOrder, *, name: str, in_doubt: bool) -> None:
        self._destination = destination
        self._folder = folder
        self._order = order
        self._name = name
        self._in_doubt = in_doubt
        self._records: sqlite3.Connection | None = None
        self._rows = sum(len(batch.numbers) for batch in self.batches())

    @property
    def name(self) -> str:
        """See `Rows`."""
        return self._name

    @property
    def nulls(self) -> Nulls:
        """See `Rows`."""
        return self._order.nulls

    @property
    def clears(self) -> str | None:
        """See `Rows`."""
        return self._order.clears

    def __len__(self) -> int:
        return self._rows

    def batches(self) -> Iterator[RowBatch]:
        """See `Rows`."""
        return self._destination.left(self._folder, in_doubt=self._in_doubt)

    def remember(self, records: Iterable[tuple[int, Mapping[str, object] | None]], scratch: Path) -> None:
        """Keep the source's records, in a file, for those who ask by number."""
        self._records = sqlite3.connect(scratch / "records.sqlite")
        self._records.execute("CREATE TABLE record (row INTEGER PRIMARY KEY, body TEXT)")
        told = ((row, json.dumps(record)) for row, record in records if record is not None)
        with self._records:
            self._records.executemany("INSERT OR REPLACE INTO record VALUES (?, ?)", told)

    def records(self, numbers: Sequence[int]) -> list[Mapping[str, object]]:
        """See `Rows`; what the ledger has no record of is empty."""
        if self._records is None:
            return [{} for _ in numbers]
        with closing(self._records.cursor()) as cursor:
            found = (cursor.execute("SELECT body FROM record WHERE row = ?", (int(number),)).fetchone() for number in numbers)
            return [{} if one is None else json.loads(one[0]) for one in found]

    def close(self) -> None:
        """See `Rows`."""
        if self._records is not None:
            self._records.close()


def _note_of(record: RunRecord, ledger: Ledger, *, home: Path) -> Note:
    """What the ledger keeps of a push that has ended.

    Raises: FixConfig for a run that is none, or has not come to its end; LeaseHeld while it lives.
    """
    doing = f"Retrying run {record.run}"
    note = Note.from_json(record.plan)
    if note is None:
        raise FixConfig(
            doing, "it is no push, or ended before anything could be sent", hint="Run it again: nothing of it is lost."
        )
    abandon_dead(record.flow, ledger=ledger, home=home)
    if ledger.get(record.run).state == "running":
        raise LeaseHeld(doing, "it is still at work", hint="Wait until it has ended.")
    maker = note.continues or record.run
    if unsettled(maker, ledger):
        hint = f"`halocline resume {maker}` takes it up first."
        raise FixConfig(doing, "it did not come to its end, and nobody has asked yet what became of its rows", hint=hint)
    return note


def _tidy(maker: str, folder: RunFolder, *, destination: RowDestination, ledger: Ledger) -> None:
    """See that the rows to be sent again lie apart: the run may have died when all was booked, and before that was done."""
    note = Note.from_json(ledger.get(maker).plan)
    assert note is not None, "the run that made a folder is a push"
    load = destination.open(note.order, folder.load, journal=ledger.journal(maker))
    try:
        load.left()
    finally:
        load.close()


def _refuse_overtaken(record: RunRecord, note: Note, *, ledger: Ledger) -> None:
    inserts = note.order.mode is SyncMode.INSERT
    if inserts and not note.sieved:
        return
    if overtaken(record.run, record.flow, ledger=ledger):  # in diff mode a later run sends what was refused, an insert's too
        cause = f"{overtaker(record.flow)} may have written the same {'rows' if inserts else 'records'}"
        then = "makes those that it wrote a second time" if inserts else "sends the older values all the same"
        raise FixConfig(f"Retrying run {record.run}", cause, hint=f"Push what the source holds now. `--anyway` {then}.")


def _gone(record: RunRecord, ledger: Ledger) -> FixConfig:
    """The error for a run whose folder is gone, as far as the ledger knows why."""
    later = _taken_over(record, ledger)
    if later is not None:
        cause, hint = f"its rows were sent again by run {later}", f"`halocline retry {later[:8]}` sends what that one left."
        return FixConfig(f"Retrying run {record.run}", cause, hint=hint, run=later)
    if all(one.part == STAGING for one in ledger.each_rejection(record.run)) and not record.counts.in_doubt:
        return _none_staged(record)
    hint = f"Rows are kept for 30 days. `halocline errors {record.run[:8]}` has them as they were: push those, or the source."
    return NotFound(f"Retrying run {record.run}", "its folder is gone", hint=hint, run=record.run)


def _taken_over(record: RunRecord, ledger: Ledger) -> str | None:
    """The run that has the rows of this one now, to send them once more."""
    for later in ledger.runs(record.flow, limit=_LOOKED_BACK):
        note = Note.from_json(later.plan)
        if note is not None and note.retries == record.run and was_sent(later, note, ledger=ledger):
            return later.run
    return None


def _none_staged(record: RunRecord) -> FixConfig:
    cause = "its rows were refused before they were staged: by the mapping, or because they cannot be sent at all"
    hint = f"`halocline errors {record.run[:8]}` says why. Mend the source and push it again."
    return FixConfig(f"Retrying run {record.run}", cause, hint=hint, run=record.run)


def _hand_over(run: PushRun, folder: RunFolder, *, ledger: Ledger) -> None:
    """The rows lie in one folder only: the old one goes when something of the new one may be sent."""
    with suppress(NotFound):  # it was never booked
        record = ledger.get(run.id)
        note = Note.from_json(record.plan)
        if note is not None and was_sent(record, note, ledger=ledger):
            folder.delete()
