"""A push: rows from anywhere, mapped, sifted, staged as a whole, then sent chunk after chunk, each row's fate in the ledger.

    rows ─> map ─> sift ─> stage ──> plan ──> note, intend ──> past ──> send, told, booked ──> done ──> settle
            └──────┴───────┴─ refused: told and booked before anything is sent

A run that dies before the plan is noted has sent nothing, and nobody need know of it. From then on the intent `whole` is open in
its journal, and whoever pushes into the same flow next, or resumes the run, finds it: nothing is sent twice, nothing forgotten.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from halocline.batch import JSON
from halocline.events import Noticed, RowsStaged, RunStarted, Sink, silent
from halocline.mapping.mapper import FieldMapper
from halocline.push.books import Books, calls_since_now
from halocline.push.destination import RowDestination, RowLoad
from halocline.push.folder import RunFolder, sweep
from halocline.push.intake import Intake
from halocline.push.marks import Marks
from halocline.push.note import Note
from halocline.push.order import SyncMode, WriteOrder
from halocline.push.past import Dead, choose, look, refuse_lost, refuse_twin, refuse_unlearnt, settle, sifted_in
from halocline.push.run import PushRun
from halocline.push.sieve import Sieve
from halocline.push.watch import UNWATCHED, Watch
from halocline.push.work import WHOLE, Work, announce, close_failed
from halocline.rows.rows import Rows
from halocline.spool import storage

if TYPE_CHECKING:
    from halocline.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Push:
    """What to send where. `flow` names it from run to run; `strict` refuses rows that lack a field of the mapping.

    `retries` names the run whose rows these are, where they are sent once more; `results` the schema whose result tables the
    caller fills.
    """

    order: WriteOrder
    rows: Rows
    destination: RowDestination
    flow: str
    mapper: FieldMapper | None = None
    strict: bool = False
    sieve: Sieve | None = None
    retries: str | None = None
    results: str | None = None


def prepare(push: Push, run: PushRun, *, folder: Path, watch: Watch = UNWATCHED) -> Sequence[Mapping[str, JSON]]:
    """Map, sift and stage all rows in `folder`, and plan; nothing is sent, and nothing booked. The caller deletes the folder.

    The plan is the run's; the answer is the first rows as they would be sent.

    Raises: FixConfig for what cannot be sent at all, StorageFailed, and whatever the source raises.
    """
    books = Books(run, push.order.mode, None, watch=watch, records=push.rows.records, calls=calls_since_now(push.destination))
    with ExitStack() as held:
        load = push.destination.open(push.order, folder)
        held.callback(load.close)
        _stage(push, load, books=books, scratch=folder.with_name(f"{folder.name}.trial"))
        if push.sieve is not None:
            push.sieve.sifted()
        books.close("done")
        return load.first()


def execute(push: Push, run: PushRun, *, ledger: Ledger, home: Path, sink: Sink = silent, watch: Watch = UNWATCHED) -> PushRun:
    """Push once; `run` shows how far it came, also when this raises.

    Results carry the source's own records. A dead run of the flow that did the same work is taken up: its rows are told here,
    those known before as `again`, and only what it had not sent is sent.
    Raises: LeaseHeld while another run sends the same rows, or somebody takes up a dead run of this flow; Stopped after the
    first error where the order wants that, when all is booked; else whatever stopped it, as an error of `halocline.errors`,
    with `facts["run"]`.
    """
    books = Books(run, push.order.mode, ledger, sink, watch=watch, sieve=push.sieve, records=push.rows.records)
    books.stops, books.calls = push.order.stop_on_error, calls_since_now(push.destination)
    with ExitStack() as held:
        dead = look(push.flow, ledger=ledger, home=home, held=held)
        sweep(home)  # behind the look: also a folder that goes tells of its run
        ledger.start(push.flow, run=run.id, pid=os.getpid(), host=socket.gethostname())
        folder = RunFolder.of(run.id, home)
        work: Work | None = None
        try:
            sink(RunStarted(run.id, push.flow, push.rows.name, push.order.sobject))
            if push.sieve is not None:
                dead = _sieve_past(push, push.sieve, books=books, dead=dead, home=home, held=held)
            if len(push.rows):
                work = _staged(push, books, folder=folder, held=held)
                work = _intended(push, work, dead=dead, held=held)
                work.send()
            else:
                _nothing(books)
        except BaseException as error:
            _fail(books, work, error=error, folder=folder)
            raise
    announce(books, push.order)
    return run


def _nothing(books: Books) -> None:
    """No rows: nobody is asked for anything."""
    books.watch.begun(0)
    books.close("done")


def _fail(books: Books, work: Work | None, *, error: BaseException, folder: RunFolder) -> None:
    if work is None:
        close_failed(books, error)
        folder.delete()  # nothing of it was sent, and the source has it still
    else:
        work.fail(error)


def _staged(push: Push, books: Books, *, folder: RunFolder, held: ExitStack) -> Work:
    """All rows staged and planned in the run's own folder."""
    run, ledger = books.run, books.ledger
    assert ledger is not None, "an execution has a ledger"
    folder.make()
    held.enter_context(folder.held())
    load = push.destination.open(push.order, folder.load, journal=ledger.journal(run.id))
    held.callback(load.close)
    _stage(push, load, books=books, scratch=folder.path / "trial")
    if push.sieve is not None:
        for told in push.sieve.sifted():
            books.sink(Noticed(told))
    books.marks.save(folder.marks)
    return Work(books, load, folder, run.id)


def _stage(push: Push, load: RowLoad, *, books: Books, scratch: Path) -> None:
    run = books.run
    run.total = len(push.rows)
    books.watch.begun(run.total)
    with _trial(push, scratch) as trial:
        intake = Intake(load, books.hear_unstaged, books.marks, push.mapper, push.strict, push.sieve, trial)
        intake.take_all(push.rows, looked=lambda rows: books.sink(RowsStaged(run.id, rows)))
    run.unchanged = intake.unchanged
    run.plan = load.plan()


@contextmanager
def _trial(push: Push, scratch: Path) -> Iterator[RowLoad | None]:
    """A load that is never sent, to see which rows would be refused: only needed where no row after such a one may be staged."""
    if not push.order.stop_on_error:
        yield None
        return
    with storage(f"Making the folder {scratch}"):
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    load = push.destination.open(push.order, scratch)
    try:
        yield load
    finally:
        load.close()
        shutil.rmtree(scratch, ignore_errors=True)


def _intended(push: Push, work: Work, *, dead: list[Dead], held: ExitStack) -> Work:
    """The work as it will be done: the ledger knows of it, and nothing of the past is on its way any more."""
    books, ledger, run = work.books, work.books.ledger, work.books.run
    assert ledger is not None, "an execution has a ledger"
    note = _note(push, work)
    for one in dead:
        if one.note.same_work(note):
            refuse_lost(one, push.order)
        if push.sieve is None:
            refuse_unlearnt(one, push.order, org=push.destination.org)
    chosen = None if push.sieve is not None else choose(dead, note, flow=push.flow, ledger=ledger, but=run.id)
    if chosen is not None:
        work = _taken_up(push, work, chosen=chosen, held=held)
        note = replace(note, folder=chosen.folder.path, plan=chosen.note.plan, continues=chosen.run)
    ledger.note(run.id, plan=note.to_json())
    refuse_twin(note, push.flow, ledger=ledger, but=run.id)
    if push.sieve is not None:
        push.sieve.refuse_others(ledger, run.id)
    if chosen is None:
        ledger.journal(run.id).intend(WHOLE, {"total": run.total, "staged": books.marks.staged})
    work.intended = True
    for one in dead:
        if one is not chosen:
            superseded = (one.note.same_work(note) or push.sieve is not None) and push.order.mode is not SyncMode.INSERT
            settle(one, destination=push.destination, ledger=ledger, sink=books.sink, superseded=superseded)
    return work


def _sieve_past(push: Push, sieve: Sieve, *, books: Books, dead: list[Dead], home: Path, held: ExitStack) -> list[Dead]:
    """With a sieve nothing is taken up: what dead runs did is learnt first, and what they did not is sifted anew."""
    ledger = books.ledger
    assert ledger is not None, "an execution has a ledger"
    here = push.destination.org
    past = [(one, sieve) for one in dead]
    if sieve.deletes is not None:
        flow, learning = sieve.deletes
        past += [(one, learning) for one in look(flow, ledger=ledger, home=home, held=held)]
    if push.order.mode is SyncMode.INSERT:
        for one, _ in past:
            if one.note.org == here:
                refuse_lost(one, push.order)
    sieve.catch_up(ledger, books.run.id)  # before the end of a run is made known, which the memory of another home has to learn
    others = []
    for one, learning in past:
        sifted = sifted_in(one.run, ledger, retries=one.note.retries)
        if one.note.org != here or not learning.knows(sifted):
            others.append(one)
            continue
        learning.begin(sifted)
        settle(one, destination=push.destination, ledger=ledger, sink=books.sink, superseded=True, sieve=learning)
    for told in sieve.catch_up(ledger, books.run.id):
        books.sink(Noticed(told))
    sieve.begin(sifted_in(books.run.id, ledger, retries=push.retries))
    return others


def _note(push: Push, work: Work) -> Note:
    run = work.books.run
    assert run.plan is not None, "all rows are staged"
    return Note(
        order=push.order,
        org=push.destination.org,
        plan=run.plan,
        folder=work.folder.path,
        total=run.total,
        staged=work.books.marks.staged,
        unchanged=run.unchanged,
        mapping=None if push.mapper is None else type(push.mapper).__name__,
        sieved=push.sieve is not None,
        retries=push.retries,
        results=push.results,
    )


def _taken_up(push: Push, work: Work, *, chosen: Dead, held: ExitStack) -> Work:
    """The work of a dead run in place of this one's own, which is the same: only its folder knows what was sent."""
    books, ledger = work.books, work.books.ledger
    assert ledger is not None, "an execution has a ledger"
    work.load.close()
    work.folder.delete()
    books.marks = Marks.load(chosen.folder.marks)
    books.run.continues, books.run.plan = chosen.run, chosen.note.plan
    books.sink(Noticed(f"Run {chosen.run} was interrupted; this run does the rest of its work."))
    load = push.destination.open(chosen.note.order, chosen.folder.load, journal=ledger.journal(chosen.run))
    held.callback(load.close)
    return Work(books, load, chosen.folder, chosen.run)
