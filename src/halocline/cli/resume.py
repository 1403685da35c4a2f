"""`halocline resume`: take up pushes that died."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from halocline.cli import options
from halocline.cli.answer import err, out, say_error, say_json, told
from halocline.cli.pushed import resumable, say, tables_untold
from halocline.cli.system import pushing, the_run, worst
from halocline.errors import HaloclineError
from halocline.push.watch import Unwatched
from halocline.quantity import quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from halocline.batch import JSON
    from halocline.cli.progress import ProgressBar
    from halocline.cli.system import Pushing
    from halocline.push.destination import Told
    from halocline.push.sieve import Sieve

Which = Annotated[str | None, typer.Argument(metavar="[RUN]", help="One run, by how its name begins, or `last`; without: all.")]
Discard = Annotated[bool, typer.Option("--discard", help="Find out what became of the rows, and give up those not sent.")]
Anyway = Annotated[
    bool,
    typer.Option(
        "--anyway",
        help="Send although a later run may have newer values; with --discard: its host is gone.",
    ),
]

_DOUBT = "in doubt"


def resume(
    run: Which = None,
    *,
    discard: Discard = False,
    anyway: Anyway = False,
    quota_share: options.QuotaShare = None,
    api_budget: options.ApiBudget = None,
    as_json: options.Json = False,
) -> None:
    """Take up pushes that were interrupted: ask what became of what was sent, and send the rest. Nothing is sent twice."""
    from halocline.cli.progress import ProgressBar

    with told(as_json=as_json):
        names, running = _meant(run, discard=discard, anyway=anyway)
        if not names:
            _say_none(running or "Nothing is left to do: every push came to its end.", as_json=as_json)
        codes = []
        if names:
            with (
                ProgressBar(err, quiet=as_json) as bar,
                pushing(bar.sink, quota_share=quota_share, api_budget=api_budget) as here,
                resumable(bar),
            ):
                codes = [_one(name, here, bar, discard=discard, anyway=anyway, as_json=as_json) for name in names]
    raise typer.Exit(worst(codes))


def _say_none(notice: str, *, as_json: bool) -> None:
    if as_json:
        say_json({"success": True, "notices": [notice], "exit_code": 0})
    else:
        out.print(notice, markup=False)


def _meant(run: str | None, *, discard: bool, anyway: bool) -> tuple[list[str], str]:
    """The runs to take up, and what there is to say of others that are running; that there are none is said without a login.

    Raises: NotFound for a name that no run has; FixConfig, LeaseHeld for a run that cannot be taken up.
    """
    from halocline.config import Settings
    from halocline.ledger import open_ledger
    from halocline.push import resume as library
    from halocline.push.open_runs import open_runs, still_running

    settings = Settings.from_env()
    with open_ledger(settings.ledger) as ledger:
        if run is None:
            return open_runs(ledger, home=settings.home), still_running(ledger)
        name = the_run(ledger, run).run
        doing = library.DISCARDING if discard else library.RESUMING
        library.check(name, ledger=ledger, home=settings.home, doing=doing, anyway=anyway)
        return [name], ""


def _one(run: str, here: Pushing, bar: ProgressBar, *, discard: bool, anyway: bool, as_json: bool) -> int:
    """Take up one run and say how it went; the exit code that this one deserves."""
    from halocline.push import resume as library

    bar.run = run
    findings = _Findings(here.ledger.journal(run).open())
    take_up = partial(library.discard if discard else library.resume, anyway=anyway)
    try:
        with _sieve(run, here) as sieve:
            done = take_up(
                run,
                destination=here.destination,
                ledger=here.ledger,
                home=here.home,
                sink=bar.sink,
                watch=findings,
                sieve=sieve,
            )
    except HaloclineError as error:
        say_error(error, as_json=as_json)
        return error.exit_code
    if not as_json:
        for line in findings.lines():
            out.print(line, markup=False)
    notices = tables_untold(here.ledger, done.id, as_json=as_json)
    return say(here.ledger, done.id, elapsed_s=done.elapsed_s, as_json=as_json, notices=notices)


@contextmanager
def _sieve(run: str, here: Pushing) -> Iterator[Sieve | None]:
    """What diff mode remembers of the flow, for a run of it."""
    from halocline.push.diff.sifting import learning
    from halocline.push.note import Note

    record = here.ledger.get(run)
    note = Note.from_json(record.plan)
    if note is None or not note.sieved:
        yield None
        return
    with learning(here.home, flow=record.flow, org=note.org, order=note.order) as sieve:
        yield sieve


@dataclass(slots=True)
class _Chunk:
    """What was told of a chunk."""

    fates: Counter[str] = field(default_factory=Counter)
    job: str | None = None
    again: bool = False


class _Findings(Unwatched):
    """What is found out about the chunks that were open, and how many rows the others have."""

    def __init__(self, intents: Sequence[tuple[str, JSON, str | None]]) -> None:
        self._open = {chunk: job for chunk, _, job in intents}
        self._found: dict[str, _Chunk] = {}

    def told(self, told: Told) -> None:
        """See `Watch`."""
        chunk = self._found.setdefault(told.chunk, _Chunk())
        chunk.job, chunk.again = told.job_id, told.again
        chunk.fates.update(one.fate.value.replace("_", " ") for one in told.others)
        chunk.fates["written"] += told.rows - len(told.others)

    def _was_asked(self, name: str, chunk: _Chunk) -> bool:
        """Whether something was to be found out about a chunk; a call that certainly did nothing was simply made again."""
        return name in self._open and (self._open[name] is not None or chunk.fates[_DOUBT] > 0)

    def lines(self) -> Iterator[str]:
        """One line for what was known, one for each chunk that was open, one for what was sent now."""
        known = [chunk for chunk in self._found.values() if chunk.again]
        if known:
            yield f"  known before: {_told(known)}"
        asked = {name: chunk for name, chunk in self._found.items() if not chunk.again and self._was_asked(name, chunk)}
        for name, chunk in asked.items():
            yield f"  chunk {name}: {_fate(self._open[name], chunk)}"
        sent = [chunk for name, chunk in self._found.items() if name not in asked and not chunk.again]
        if sent:
            yield f"  the rest: {_told(sent)}"


def _fate(job: str | None, chunk: _Chunk) -> str:
    if job is not None and chunk.job == job and set(+chunk.fates) == {_DOUBT}:
        return f"job {job} tells nothing of its rows any more: {_told([chunk])}"
    if job is not None and chunk.job == job:
        return f"job {job} was complete: {_told([chunk])}"
    if job is not None:
        return f"job {job} never ran, so its rows were sent anew: {_told([chunk])}"
    return f"no answer had come: {_told([chunk])}"


def _told(chunks: Sequence[_Chunk]) -> str:
    fates: Counter[str] = sum((chunk.fates for chunk in chunks), Counter())
    return ", ".join(f"{quantity(count, 'row')} {fate}" for fate, count in fates.most_common()) or "no rows"
