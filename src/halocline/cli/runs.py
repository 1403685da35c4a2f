"""`halocline runs`: what ran, how, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from halocline.cli import options
from halocline.cli.answer import cell, out, say_json, told
from halocline.cli.left import left_of
from halocline.cli.prune import prune
from halocline.cli.system import the_run
from halocline.mapping.near import near
from halocline.quantity import MOST, quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from halocline.cli.left import Left
    from halocline.ledger import Ledger
    from halocline.outcome import Counts, RunRecord

_LIST = "list"
_LOOKED_BACK = 200  # runs of the flow, for the one that took a dead one's work up
_LOOKED_THROUGH = 1_000  # runs, newest first, for the flows whose names may have been meant
_NEXT = "The next run of its flow takes it up."


class _Verbs(TyperGroup):
    """`halocline runs` lists runs, and `halocline runs RUN` shows one: what is no other verb is for the one that lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `click.Group.parse_args`; `ctx` is click's context, or that of the click which typer brings along."""
        asks_for_help = bool(args) and args[0] in self.get_help_option_names(ctx)
        verb = [] if asks_for_help or (args and args[0] in self.commands) else [_LIST]
        return super().parse_args(ctx, [*verb, *args])


_HELP = "List past runs (halocline runs), show one (halocline runs RUN), or forget old ones (halocline runs prune)."
app = typer.Typer(name="runs", cls=_Verbs, help=_HELP, rich_markup_mode="rich")
app.command("prune")(prune)


@app.command(_LIST)
def runs(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="One run, by how its name begins, or `last`.")] = None,
    *,
    flow: Annotated[str | None, typer.Option(help="Only runs of this flow.")] = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1, max=MOST)] = 20,
    as_json: options.Json = False,
) -> None:
    """List past runs, newest first; with RUN, show one with its plan and reasons. The word `list` may be left out."""
    from halocline.config import Settings
    from halocline.ledger import open_ledger

    with told(as_json=as_json), open_ledger(Settings.from_env().ledger) as ledger:
        if run is not None:
            record = the_run(ledger, run)
            heirs = _heirs(ledger.runs(record.flow, limit=_LOOKED_BACK))
            _show_one(record, _left(record, ledger), heirs=heirs, dead=_dead([record], ledger), as_json=as_json)
            return
        found = ledger.runs(flow, limit=limit)
        left = {record.run: there for record in found if (there := _left(record, ledger)) is not None}
        dead = _dead(found, ledger)
        nothing = _nothing(flow, ledger) if not found else ""
    if as_json:
        for record in found:
            say_json(_plain(record, left.get(record.run), heirs=_heirs(found), dead=dead))
    elif nothing:
        out.print(nothing, markup=False, soft_wrap=True)
    else:
        _show_all(found, left, dead)


def _nothing(flow: str | None, ledger: Ledger) -> str:
    """What is said where there is no run to show: of all flows, or of this one."""
    known = sorted({record.flow for record in ledger.runs(limit=_LOOKED_THROUGH)})
    if flow is None or not known:
        return "No runs yet. `halocline sync` and `halocline push` make one, `halocline demo` makes eight."
    meant = near(flow, known)
    hint = f"Did you mean {' or '.join(meant)}?" if meant else "`halocline runs` lists those of all flows."
    return f"No run of the flow {flow!r}. {hint}"


def _left(record: RunRecord, ledger: Ledger) -> Left | None:
    """What is left of this very run; of one that another took up too, it is told there alone."""
    left = left_of(record, ledger)
    return left if left is not None and left.run == record.run else None


def _dead(records: list[RunRecord], ledger: Ledger) -> Mapping[str, str]:
    """Which of the runs that are booked as running have died, and why: nobody books that before the next run of their flow."""
    from halocline.config import Settings
    from halocline.push.elsewhere import death

    running = {record.run: record for record in records if record.state == "running"}
    if not running:
        return {}
    home, at_work = Settings.from_env().home, ledger.running()
    far = {run: death(record, at_work[run], home=home) for run, record in running.items() if run in at_work}
    return {**ledger.dead(), **{run: why for run, why in far.items() if why is not None}}


def _heirs(records: list[RunRecord]) -> dict[str, str]:
    """Each sync whose work another of these has gone on with, and that other one."""
    return {str(plan["continues"]): r.run for r in records if (plan := r.plan or {}).get("continues")}


def _plain(record: RunRecord, left: Left | None, *, heirs: dict[str, str], dead: Mapping[str, str]) -> dict[str, object]:
    values = {name: getattr(record, name) for name in record.__slots__}
    told = {
        "resumable": left is not None,
        "left": 0 if left is None else left.rows,
        "taken_up_by": heirs.get(record.run),
        "dead": dead.get(record.run),
    }
    return {**values, "counts": record.counts.to_json(), **told}


def _state(record: RunRecord, left: Left | None, heirs: dict[str, str], dead: Mapping[str, str]) -> str:
    if record.run in dead:
        return "running, but dead"
    if record.run in heirs:
        return f"{record.state}, taken up by {heirs[record.run][:8]}"
    if record.state == "done" and record.counts.not_sent and record.error is not None:
        return "done, stopped at an error"
    return record.state if left is None else f"{record.state}, resumable"


def _show_all(records: list[RunRecord], left: dict[str, Left], dead: Mapping[str, str]) -> None:
    from rich.table import Table

    headings = ("run", "flow", "state", "method", "started", "read", "changed", "refused", "calls")
    table = Table(*headings, *(("left",) if left else ()), box=None, pad_edge=False)
    heirs = _heirs(records)
    for r in records:
        refused = r.counts.rejected + r.counts.in_doubt + r.counts.not_sent
        numbers = [f"{number:,}" for number in (r.rows_read, r.counts.changed, refused, r.api_calls)]
        there = left.get(r.run)
        texts = (r.run[:8], r.flow, _state(r, there, heirs, dead), r.method or "", r.started[:19])
        table.add_row(*map(cell, texts), *numbers, *(() if there is None else (there.count,)))
    out.print(table)
    if left:
        out.print(f"{quantity(len(left), 'run')} can be taken up: `halocline resume`", markup=False)
    for record in (one for one in records if one.run in dead):
        out.print(f"{record.run[:8]} died: {dead[record.run]}. {_NEXT}", markup=False, soft_wrap=True)


def _show_one(record: RunRecord, left: Left | None, *, heirs: dict[str, str], dead: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        say_json(_plain(record, left, heirs=heirs, dead=dead))
        return
    told = {"state": _state(record, left, heirs, dead), "counts": _counted(record.counts)}
    for name in record.__slots__:
        if name != "plan":
            value = told.get(name, getattr(record, name))
            out.print(f"{name:<10} {value if value is not None else ''}", markup=False)
    if record.run in dead:
        out.print(f"died       {dead[record.run]}. {_NEXT}", markup=False, soft_wrap=True)
    if left is not None:
        out.print(f"left       {left.count}", markup=False)
        out.print(f"resume     `halocline resume {record.run[:8]}`", markup=False)
    plan = record.plan or {}
    for reason in plan.get("reasons", ()):  # type: ignore[attr-defined]  # JSON of our own making
        out.print(f"because    {reason}", markup=False)
    if "query" in plan:
        for number, line in enumerate(str(plan["query"]).splitlines()):
            out.print(f"{'' if number else 'query':<10} {line}", markup=False)
    _show_tables(record)
    _show_push(record)


def _show_tables(record: RunRecord) -> None:
    """What became of each of several tables."""
    from halocline.outcome import Counts

    for table in (record.plan or {}).get("tables", ()):  # type: ignore[attr-defined]  # JSON of our own making
        counts = "not published" if table["counts"] is None else _counted(Counts(**table["counts"]))
        out.print(f"table      {table['target']}: {quantity(table['read'], 'row')} read, {counts}", markup=False)
        for reason in (table["plan"] or {}).get("reasons", ()):
            out.print(f"because    {reason}", markup=False)


def _counted(counts: Counts) -> str:
    """`3 inserted, 1 rejected`; the highest cursor at its end."""
    told = {name.replace("_", " "): value for name, value in counts.to_json().items()}
    highest = told.pop("highest")
    parts = [f"{value:,} {name}" for name, value in told.items() if value] or ["none"]
    return ", ".join([*parts, *([] if highest is None else [f"up to {highest}"])])


def _show_push(record: RunRecord) -> None:
    """What is to be said of a push alone: what it did, whose rows it sent, and where to read on."""
    from halocline.push.note import Note

    note = Note.from_json(record.plan)
    if note is None:
        return
    plan, counts = note.plan, record.counts
    out.print(
        f"order      {note.order.mode} {note.order.sobject}{f' by {note.order.key}' if note.order.key else ''}", markup=False
    )
    out.print(f"chunks     {plan.chunks:,}, {quantity(plan.rows, 'row')}, {plan.folded:,} more folded into them", markup=False)
    for word, run in (("retry of", note.retries), ("continues", note.continues)):
        if run is not None:
            out.print(f"{word:<10} {run}", markup=False)
    if counts.rejected + counts.in_doubt + counts.not_sent:
        out.print(f"errors     `halocline errors {record.run[:8]}`", markup=False)
