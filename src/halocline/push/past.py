"""The past of a flow: what runs left behind that died, or failed half-way, before every row was told.

What becomes of such a run when the next one starts:

    same rows, order and org     its work is taken up by this run; if another run came between that may have changed its records,
                                 this run sends all rows anew (but never those of an insert)
    anything else                it is asked what became of its rows, nothing is sent; what remains waits for `halocline resume`
    a sieve decides              it is asked what became of its rows; the sieve learns that, and decides anew what remains
    its folder is gone           the rows of which nobody knows are in doubt; an insert stays open, and the same rows are refused,
                                 until a person ends it, for they could be made twice
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from halocline.errors import FixConfig, LeaseHeld, NotFound, RetryLater
from halocline.events import Event, Noticed, Sink, silent
from halocline.outcome import Fate, RowResult, RunRecord
from halocline.push.books import Books, calls_since_now, result_of
from halocline.push.destination import RowDestination, Told
from halocline.push.elsewhere import LOOKED_BACK, WAY_OUT, abandon_dead, place
from halocline.push.folder import RunFolder
from halocline.push.intake import STAGING
from halocline.push.marks import Marks
from halocline.push.note import Note
from halocline.push.order import SyncMode, WriteOrder
from halocline.push.run import PushRun
from halocline.push.sieve import Sieve
from halocline.push.watch import UNWATCHED, Watch
from halocline.push.work import WHOLE, Work, settle_all
from halocline.quantity import quantity
from halocline.spool import arriving, storage, to_disk

if TYPE_CHECKING:
    from collections.abc import Collection

    from halocline.ledger import Ledger

MIRROR = ":mirror"
"""The deletes of a flow are a flow of their own, of this ending: each may die by itself."""

OF_FILE = ": rows of file run "
"""The push of a landed file's rows is a flow of its own: the name of the job, this, and the run that takes care of the file."""

LOST = "LOST"
"""The code of rows in doubt because the folder of their run is gone."""
_PAGE = 1_000  # rows told at once


@dataclass(frozen=True, slots=True)
class Dead:
    """A run that ended before all its rows were told, its folder held."""

    run: str
    note: Note
    folder: RunFolder


def look(flow: str, *, ledger: Ledger, home: Path, held: ExitStack) -> list[Dead]:
    """The dead runs of a flow, oldest first; their folders are held by `held`.

    Raises: LeaseHeld when somebody else takes one up at this moment.
    """
    found = ((run, Note.from_json(ledger.get(run).plan)) for run in abandon_dead(flow, ledger=ledger, home=home))
    dead = [Dead(run, note, place(note, run=run, home=home)) for run, note in found if note is not None]
    mine = []
    for one in dead:
        if unsettled(one.run, ledger):
            held.enter_context(one.folder.held())
            if unsettled(one.run, ledger):  # asked again: whoever held it may have just ended it
                mine.append(one)
    return mine


def unsettled(run: str, ledger: Ledger) -> bool:
    """Whether something of this run may still be to do."""
    return any(chunk == WHOLE for chunk, _, _ in ledger.journal(run).open())


def overtaken(run: str, flow: str, *, ledger: Ledger, but: str | None = None) -> bool:
    """Whether a later run of the flow, `but` left out, may have written the same records; of deletes, also of the flow that they
    are the deletes of; of a landed file's rows, also one that sent those of a later file in its place.
    """
    if OF_FILE in flow and _file_overtaken(run, flow, ledger=ledger):
        return True
    if flow.endswith(MIRROR) and _pushed_since(run, flow.removesuffix(MIRROR), ledger=ledger):
        return True
    for record in ledger.runs(flow, limit=LOOKED_BACK):
        if record.run == run:
            return False
        note = Note.from_json(record.plan)
        if record.run == but or note is None or note.continues == run:
            continue
        if record.state == "running" or was_sent(record, note, ledger=ledger):
            return True
    return True


def _pushed_since(run: str, flow: str, *, ledger: Ledger) -> bool:
    """Whether a run of another flow began after `run`, and came so far that it knew its rows: also one that sent none of them."""
    return any(Note.from_json(record.plan) is not None for record in _begun_since(run, {flow}, ledger=ledger))


def _begun_since(run: str, flows: Collection[str], *, ledger: Ledger) -> list[RunRecord]:
    """The runs of these flows that began after `run`, which is of another.

    The order in which the ledger tells of runs decides: a clock may have been set back between two of them.
    """
    later = list(takewhile(lambda record: record.run != run, ledger.runs(limit=LOOKED_BACK)))
    if len(later) == LOOKED_BACK:  # so many of all flows came since that the instants have to do
        begun = ledger.get(run).started
        later += (record for flow in flows for record in ledger.runs(flow, limit=LOOKED_BACK) if record.started > begun)
    return [record for record in later if record.flow in flows]


def overtaker(flow: str) -> str:
    """What `overtaken` found, as people are told of it."""
    return "a file that landed later under its key" if OF_FILE in flow else f"a later run of {flow}"


def _file_overtaken(run: str, flow: str, *, ledger: Ledger) -> bool:
    """Whether another file under its key was sent since: files are sent in the order in which they landed, however they began."""
    job, _, file = flow.rpartition(OF_FILE)
    try:
        mine = ledger.get(file)
    except NotFound:  # pruned: nobody can say which files landed since
        return True
    others = {f"{job}{OF_FILE}{one.run}" for one in ledger.runs(mine.flow, limit=LOOKED_BACK) if one.run != file}
    noted = ((push, Note.from_json(push.plan)) for push in _begun_since(run, others, ledger=ledger))
    return any(was_sent(push, note, ledger=ledger) for push, note in noted if note is not None and note.retries is None)


def was_sent(record: RunRecord, note: Note, *, ledger: Ledger) -> bool:
    """Whether a run that has ended came so far that something of it may have been sent, or may still be.

    Rows that were refused while they were staged, or found unchanged, say nothing of that.
    """
    counts = record.counts
    heard = counts.changed + counts.rejected + counts.in_doubt
    return record.state == "done" or heard > 0 or unsettled(note.continues or record.run, ledger)


def refuse_twin(note: Note, flow: str, *, ledger: Ledger, but: str) -> None:
    """Raises: LeaseHeld while another run is at the same work, for both would send every row.

    Both have noted their work before they look for the other, so at least one of two sees its twin; it may be both.
    """
    for run, process in ledger.running(flow).items():
        record = ledger.get(run)
        other = Note.from_json(record.plan) if run != but else None
        if other is not None and other.same_work(note):
            cause = f"run {run} is sending the same rows: process {process.pid} of {process.host}, since {record.started}"
            hint = "Wait until it has ended; to send them twice on purpose, give one of the pushes a flow name of its own."
            hint += f" {WAY_OUT}" if process.elsewhere else ""
            raise LeaseHeld(f"Sending rows to {note.order.sobject}", cause, hint=hint, other=run)


def refuse_lost(dead: Dead, order: WriteOrder) -> None:
    """Raises: RetryLater where `order` would make rows of the dead run once more, of which nobody can say what became."""
    if dead.note.order.mode is SyncMode.INSERT and not dead.folder.marks.exists():
        cause = f"run {dead.run}, which inserted the same rows, was {_lost(dead.note)}"
        hint = f"Compare both sides. `{_discard(dead.run)}` ends that run: then the same push sends all of them."
        raise RetryLater(f"Sending rows to {order.sobject}", cause, hint=hint, other=dead.run)


def refuse_unlearnt(dead: Dead, order: WriteOrder, *, org: str) -> None:
    """Raises: FixConfig where an insert of diff mode would be ended by a push that is not: its memory would not learn which rows
    were written, and the next push in diff mode would insert them once more.
    """
    if dead.note.sieved and dead.note.org == org and order.mode is dead.note.order.mode is SyncMode.INSERT:
        cause = f"run {dead.run} of this flow, an insert in diff mode, was interrupted: that memory would not learn its end"
        hint = f"Push in diff mode (--diff), or end that run first: `halocline resume {dead.run}`. Nothing was sent."
        raise FixConfig(f"Sending rows to {order.sobject}", cause, hint=hint, other=dead.run)


def refuse_unknown(run: str, note: Note, *, sieve: Sieve, ledger: Ledger, doing: str) -> None:
    """Raises: FixConfig for a run of diff mode that the memory of another home has to learn of."""
    if not sieve.knows(sifted_in(run, ledger, retries=note.retries)):
        cause = "its rows were sifted with another HALOCLINE_HOME, whose memory would not learn what becomes of them"
        hint = f"Do it with the HALOCLINE_HOME in which the run was made (its folder is {note.folder}); "
        hint += "--anyway does it all the same: after that a mirror or an insert of the flow does not know what was written."
        raise FixConfig(doing, cause, hint=hint)


def sifted_in(run: str, ledger: Ledger, *, retries: str | None) -> str:
    """The run in which the rows of a run of diff mode were sifted: the first of those that tried them.

    `retries` is that of the run's note, which need not be booked yet.
    """
    while retries is not None:
        run = retries
        note = Note.from_json(ledger.get(run).plan)
        assert note is not None, "only a push is tried again"
        retries = note.retries
    return run


def choose(dead: list[Dead], note: Note, *, flow: str, ledger: Ledger, but: str) -> Dead | None:
    """The dead run whose work this one may take up: only an insert, which must not be done twice, if a later run came between."""
    for one in dead:
        same = one.note.same_work(note) and one.folder.marks.exists()
        if same and (note.order.mode is SyncMode.INSERT or not overtaken(one.run, flow, ledger=ledger, but=but)):
            return one
    return None


def reopen(dead: Dead, *, ledger: Ledger, sink: Sink, watch: Watch = UNWATCHED) -> Books:
    """The books of a dead run as they were before anything was sent; `watch` hears again what was refused before that."""
    note = dead.note
    run = PushRun(dead.run, dead.folder.path, note.plan, total=note.total, unchanged=note.unchanged)
    marks = Marks.load(dead.folder.marks)
    stops = note.order.stop_on_error
    books = Books(run, note.order.mode, ledger, sink, marks=marks, watch=watch, reopened=True, stops=stops)
    books.calls_before = ledger.get(dead.run).api_calls
    watch.begun(run.total)
    refused = (result_of(rejection) for rejection in ledger.each_rejection(dead.run) if rejection.part == STAGING)
    piece = 0
    while rows := tuple(islice(refused, _PAGE)):
        books.hear_unstaged(Told(STAGING, piece, others=rows, again=True))
        piece += 1
    return books


def settle(
    dead: Dead,
    *,
    destination: RowDestination,
    ledger: Ledger,
    sink: Sink,
    superseded: bool = False,
    sieve: Sieve | None = None,
) -> None:
    """Ask what became of a dead run whose work is not taken up, so that nothing of it is still on its way.

    `superseded`: what it did not send, another run will. `sieve` hears of its rows. An insert whose folder is gone stays open.
    Raises: RetryLater when that cannot be told now: its old values could overwrite newer ones later.
    """
    if dead.note.org != destination.org:
        there = f"`halocline resume {dead.run}` goes on there."
        sink(Noticed(f"Run {dead.run} was interrupted on its way into {dead.note.org}; {there}"))
    elif not dead.folder.marks.exists():
        if dead.note.order.mode is SyncMode.INSERT:
            until = f"`{_discard(dead.run)}` ends it; before that the same rows are refused."
            sink(Noticed(f"Run {dead.run} was {_lost(dead.note)}. Compare both sides; {until}"))
        else:
            bury(dead, ledger=ledger, sink=sink, superseded=superseded, sieve=sieve)
    elif (remain := _settled(dead.folder)) is not None and not superseded:
        sink(Noticed(_interrupted(dead.run, remain)))
    else:
        books = reopen(dead, ledger=ledger, sink=_only_notices(sink))
        books.sieve = sieve
        work = ask(dead, books, destination=destination, ledger=ledger)
        try:
            _let_wait(work, sink, superseded=superseded)
        finally:
            work.load.close()


def ask(dead: Dead, books: Books, *, destination: RowDestination, ledger: Ledger) -> Work:
    """Hear from the destination what became of a dead run, sending nothing; the load stays open."""
    books.calls = calls_since_now(destination)
    load = destination.open(dead.note.order, dead.folder.load, journal=ledger.journal(dead.run))
    try:
        books.hear_all(load.settle())
    except BaseException:
        load.close()
        raise
    return Work(books, load, dead.folder, dead.run)


def _let_wait(work: Work, sink: Sink, *, superseded: bool) -> None:
    """What is not sent waits for somebody to decide, unless a later run sends it."""
    books, run = work.books, work.maker
    remain = books.marks.untold
    if not remain:
        work.finish()
    elif superseded:
        books.close("failed", f"interrupted; a later run took care of {quantity(remain, 'row')} not sent")
        work.settle()
        work.folder.delete()
    else:
        books.close("failed", f"interrupted; {quantity(remain, 'row was')} never sent")
        with storage(f"Writing {work.folder.settled}"):
            with arriving(work.folder.settled) as partial:
                partial.write_text(str(remain))
                to_disk(partial)
            to_disk(work.folder.path)
        sink(Noticed(_interrupted(run, remain)))


def _settled(folder: RunFolder) -> int | None:
    """How many rows wait, as it was found when the run was asked about; None where it was not, or nobody can read it."""
    try:
        return int(folder.settled.read_text())
    except (FileNotFoundError, ValueError):
        return None


def bury(dead: Dead, *, ledger: Ledger, sink: Sink, superseded: bool = False, sieve: Sieve | None = None) -> PushRun:
    """End a run without its folder: nobody can say which of its rows were sent, so they are in doubt.

    `superseded`: what the source has of them is sent again. `sieve`, which has begun with the run, forgets them.
    """
    note = dead.note
    run = PushRun(dead.run, None, note.plan, total=note.total, unchanged=note.unchanged, in_doubt=note.staged)
    run.not_sent = run.unstaged = note.total - note.unchanged - note.staged
    cause = _lost(note)
    if sieve is not None:
        _forget(dead, sieve, ledger=ledger)
    Books(run, note.order.mode, ledger).close("failed", cause)
    settle_all(ledger.journal(dead.run))
    then = "What the source has of them is sent again." if superseded else "Compare both sides."
    sink(Noticed(f"Run {dead.run} was {cause}. {then}"))
    return run


def _lost(note: Note) -> str:
    rows = "whether its only row was" if note.staged == 1 else f"which of its {note.staged:,} rows were"
    return f"interrupted, and its folder {note.folder} is gone: nobody can say {rows} written"


def _discard(run: str) -> str:
    return f"halocline resume {run} --discard --anyway"


def _forget(dead: Dead, sieve: Sieve, *, ledger: Ledger) -> None:
    """Tell a sieve that the rows of which it heard nothing are in doubt: what it remembers of them may not be so any more."""
    sifted = Note.from_json(ledger.get(sifted_in(dead.run, ledger, retries=dead.note.retries)).plan)
    total = dead.note.total if sifted is None else sifted.total
    for piece, first in enumerate(range(0, total, _PAGE)):
        numbers = range(first, min(first + _PAGE, total))
        sieve.told(Told(LOST, piece, others=tuple(RowResult(number, Fate.IN_DOUBT, code=LOST) for number in numbers)))


def _only_notices(sink: Sink) -> Sink:
    """The events of an earlier run are not those of this one; what a person should know is."""

    def hear(event: Event) -> None:
        (sink if isinstance(event, Noticed) else silent)(event)

    return hear


def _interrupted(run: str, rows: int) -> str:
    return (
        f"Run {run} was interrupted: {quantity(rows, 'row was')} never sent; `halocline resume {run}` sends them, "
        f"`halocline resume {run} --discard` forgets them."
    )
