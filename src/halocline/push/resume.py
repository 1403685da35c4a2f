"""Taking up a run that died or failed half-way, from its folder alone: no source, no mapping."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from halocline.errors import FixConfig, LeaseHeld, NotFound
from halocline.events import RunStarted, Sink, silent
from halocline.outcome import Fate, RowResult
from halocline.push.books import Books, calls_since_now
from halocline.push.destination import RowDestination, Told
from halocline.push.elsewhere import WAY_OUT, abandon_dead, is_there, place
from halocline.push.note import Note
from halocline.push.order import SyncMode
from halocline.push.past import Dead, ask, bury, overtaken, overtaker, refuse_unknown, reopen, sifted_in, unsettled
from halocline.push.run import PushRun
from halocline.push.sieve import Sieve
from halocline.push.watch import UNWATCHED, Watch
from halocline.push.work import Work, announce

if TYPE_CHECKING:
    from halocline.ledger import Ledger

DISCARDED = "DISCARDED"
"""The code of rows that were never sent because somebody gave them up."""
RESUMING, DISCARDING = "Resuming", "Discarding"  # what errors say was being done
_PIECE = 1_000  # rows booked at once


def resume(
    run_id: str,
    *,
    destination: RowDestination,
    ledger: Ledger,
    home: Path,
    sink: Sink = silent,
    watch: Watch = UNWATCHED,
    sieve: Sieve | None = None,
    anyway: bool = False,
) -> PushRun:
    """Send what a dead run did not send. All is booked under that run; `watch` hears all its rows, those known before as `again`.

    Source and mapping are not needed and not asked, so rows that are refused now have no `record`: their numbers count in the
    source, and the folder keeps them as they were sent.
    Raises: LeaseHeld while the run lives or somebody else takes it up; FixConfig where nothing is left to do, in another org, for
    a run of diff mode without the `sieve` of its flow or with that of another home, and where a later run may have written the
    same records (`anyway` does these two all the same, with the older values over newer ones); NotFound for an unknown run, or
    one whose folder is gone; else as `execute`.
    """
    with _opened(run_id, destination, ledger=ledger, home=home, doing=RESUMING, sieve=sieve) as dead:
        if not anyway:
            _refuse_overtaken(dead, ledger=ledger)
            if sieve is not None:
                refuse_unknown(dead.run, dead.note, sieve=sieve, ledger=ledger, doing=f"{RESUMING} run {dead.run}")
        flow = ledger.get(dead.run).flow
        sink(RunStarted(dead.run, flow, flow.partition("->")[0], dead.note.order.sobject))
        books = _reopened(dead, ledger=ledger, sink=sink, watch=watch, sieve=sieve)
        books.calls = calls_since_now(destination)
        load = destination.open(dead.note.order, dead.folder.load, journal=ledger.journal(dead.run))
        work = Work(books, load, dead.folder, dead.run, intended=True)
        try:
            work.send()
        except BaseException as error:
            work.fail(error)
            raise
        finally:
            load.close()
    announce(books, dead.note.order)
    return books.run


def discard(
    run_id: str,
    *,
    destination: RowDestination,
    ledger: Ledger,
    home: Path,
    sink: Sink = silent,
    watch: Watch = UNWATCHED,
    sieve: Sieve | None = None,
    anyway: bool = False,
) -> PushRun:
    """Give up what a dead run did not send: it is asked what became of its rows, and the rest is booked as not sent.

    The folder keeps those rows for another try. `anyway` says that a run of another host or container is dead, which nobody
    can see from here; without its folder all rows of which nobody was told are in doubt.
    Raises: as `resume`; later runs do not matter here.
    """
    if anyway:
        dead = _dead(run_id, ledger=ledger, home=home, doing=DISCARDING, believed_dead=True)
        if not dead.folder.marks.exists():
            _refuse_settled(dead, ledger, doing=f"{DISCARDING} run {dead.run}")
            if sieve is not None:
                sieve.begin(sifted_in(dead.run, ledger, retries=dead.note.retries))
            return bury(dead, ledger=ledger, sink=sink, sieve=sieve)
    with _opened(run_id, destination, ledger=ledger, home=home, doing=DISCARDING, sieve=sieve) as dead:
        if sieve is not None and not anyway:
            refuse_unknown(dead.run, dead.note, sieve=sieve, ledger=ledger, doing=f"{DISCARDING} run {dead.run}")
        books = _reopened(dead, ledger=ledger, sink=sink, watch=watch, sieve=sieve)
        work = ask(dead, books, destination=destination, ledger=ledger)
        try:
            books.hear_all(_given_up(books))
            books.balance()
            work.finish()
        finally:
            work.load.close()
    return books.run


def check(run_id: str, *, ledger: Ledger, home: Path, doing: str, anyway: bool = False) -> None:
    """Whether there is something to take up, as far as it can be said without the org. Raises: as `resume`, and as `discard`."""
    dead = _dead(run_id, ledger=ledger, home=home, doing=doing, believed_dead=anyway and doing == DISCARDING)
    _refuse_settled(dead, ledger, doing=f"{doing} run {dead.run}")


@contextmanager
def _opened(
    run_id: str, destination: RowDestination, *, ledger: Ledger, home: Path, doing: str, sieve: Sieve | None
) -> Iterator[Dead]:
    """The dead run, held, with all that is asked of it checked."""
    dead = _dead(run_id, ledger=ledger, home=home, doing=doing)
    doing = f"{doing} run {dead.run}"
    with ExitStack() as held:
        held.enter_context(dead.folder.held())
        _refuse_settled(dead, ledger, doing=doing)
        if dead.note.org != destination.org:
            cause = f"it was begun in {dead.note.org}, and this is {destination.org}"
            raise FixConfig(doing, cause, hint="Log in to the org that it was begun in.")
        if dead.note.sieved and sieve is None:
            hint = "Run the push again: it finds out what became of this run, and sends what is still due."
            raise FixConfig(doing, "it is one of diff mode, whose memory would not learn of it", hint=hint)
        if not dead.folder.marks.exists():
            hint = "Run the push again: it sends what the source has of its rows once more."
            if dead.note.order.mode is SyncMode.INSERT:
                end = f"`halocline resume {dead.run} --discard --anyway` ends it"
                hint = f"Compare both sides. {end}: then the same push sends all of them."
            raise NotFound(doing, f"its folder {dead.folder.path} is gone", hint=hint, run=dead.run)
        yield dead


def _dead(run_id: str, *, ledger: Ledger, home: Path, doing: str, believed_dead: bool = False) -> Dead:
    """The run whose folder holds the work: for one that had taken up another, that other.

    A run from elsewhere whose folder is not here counts as dead where it is `believed_dead`.

    Raises: LeaseHeld while the run lives.
    """
    record = ledger.get(run_id)
    abandon_dead(record.flow, ledger=ledger, home=home)
    note = Note.from_json(record.plan)
    process = ledger.running(record.flow).get(run_id)
    if process is not None:
        far = process.elsewhere
        here = note is not None and is_there(place(note, run=run_id, home=home))
        if here or note is None or not (far and believed_dead):
            more = WAY_OUT.replace("RUN", run_id) if far and note is not None and not here else ""
            more = "It has noted no rows, so it sent none, and holds up no other run." if note is None else more
            hint = f"Wait until it has ended. {more}".rstrip()
            cause = f"it is still at work: process {process.pid} of {process.host}, since {record.started}"
            raise LeaseHeld(f"{doing} run {run_id}", cause, hint=hint)
        ledger.abandon(run_id, error=f"process {process.pid} of {process.host} is gone, as was said")
    if note is None:
        hint = "Run it again: nothing of it is lost."
        raise FixConfig(f"{doing} run {run_id}", "it is no push, or ended before anything could be sent", hint=hint)
    if note.continues is not None:
        return _dead(note.continues, ledger=ledger, home=home, doing=doing, believed_dead=believed_dead)
    return Dead(run_id, note, place(note, run=run_id, home=home))


def _refuse_settled(dead: Dead, ledger: Ledger, *, doing: str) -> None:
    if not unsettled(dead.run, ledger):
        raise FixConfig(doing, "nothing of it is left to do", hint=f"`halocline runs {dead.run}` tells how it ended.")


def _reopened(dead: Dead, *, ledger: Ledger, sink: Sink, watch: Watch, sieve: Sieve | None) -> Books:
    if sieve is not None:
        sieve.begin(sifted_in(dead.run, ledger, retries=dead.note.retries))
    books = reopen(dead, ledger=ledger, sink=sink, watch=watch)
    books.sieve = sieve
    return books


def _refuse_overtaken(dead: Dead, *, ledger: Ledger) -> None:
    mode, flow = dead.note.order.mode, ledger.get(dead.run).flow
    if mode is not SyncMode.INSERT and overtaken(dead.run, flow, ledger=ledger):
        hint = (
            "Run the push again with what the source holds now. `--anyway` sends the older values all the same; "
            f"`halocline resume {dead.run} --discard` forgets them."
        )
        raise FixConfig(f"Resuming run {dead.run}", f"{overtaker(flow)} may have written the same records", hint=hint)


def _given_up(books: Books) -> Iterator[Told]:
    numbers = iter(list(books.marks.each_untold()))  # a copy: telling changes the marks
    piece = 0
    while page := tuple(islice(numbers, _PIECE)):
        message = "the run was interrupted before this row was sent, and then discarded"
        rows = tuple(RowResult(number, Fate.NOT_SENT, code=DISCARDED, message=message) for number in page)
        yield Told("discarded", piece, others=rows)
        piece += 1
