"""`halocline runs`: what ran, how, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from halocline.cli import options
from halocline.cli.answer import out, say_json, told
from halocline.cli.quantity import quantity
from halocline.cli.system import the_run

if TYPE_CHECKING:
    from halocline.ledger import Ledger
    from halocline.outcome import Counts, RunRecord

_ENDED_BADLY = ("failed", "abandoned")


def runs(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="One run, by how its name begins, or `last`.")] = None,
    *,
    flow: Annotated[str | None, typer.Option(help="Only runs of this flow.")] = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1)] = 20,
    as_json: options.Json = False,
) -> None:
    """List past runs, newest first; with RUN, show one with its plan and reasons."""
    from halocline.config import Settings
    from halocline.ledger import open_ledger

    with told(as_json=as_json), open_ledger(Settings.from_env().ledger) as ledger:
        if run is not None:
            record = the_run(ledger, run)
            _show_one(record, resumable=_resumable(record, ledger), as_json=as_json)
            return
        found = ledger.runs(flow, limit=limit)
        left = {record.run for record in found if _resumable(record, ledger)}
    if as_json:
        for record in found:
            say_json(_plain(record, resumable=record.run in left))
    else:
        _show_all(found, left)


def _resumable(record: RunRecord, ledger: Ledger) -> bool:
    """Whether `halocline resume` can take the run up: a push that ended before all of its rows were told."""
    if record.plan is None or record.state not in _ENDED_BADLY:
        return False
    from halocline.push.note import Note
    from halocline.push.past import unsettled

    return Note.from_json(record.plan) is not None and unsettled(record.run, ledger)


def _plain(record: RunRecord, *, resumable: bool) -> dict[str, object]:
    values = {name: getattr(record, name) for name in record.__slots__}
    return {**values, "counts": record.counts.to_json(), "resumable": resumable}


def _state(record: RunRecord, *, resumable: bool) -> str:
    return f"{record.state}, resumable" if resumable else record.state


def _show_all(records: list[RunRecord], left: set[str]) -> None:
    if not records:
        out.print("No runs yet. `halocline sync` and `halocline push` make one, `halocline demo` makes eight.")
        return
    from rich.table import Table

    table = Table("run", "flow", "state", "method", "started", "read", "changed", "refused", "calls", box=None, pad_edge=False)
    for r in records:
        refused = r.counts.rejected + r.counts.in_doubt + r.counts.not_sent
        numbers = [f"{number:,}" for number in (r.rows_read, r.counts.changed, refused, r.api_calls)]
        table.add_row(r.run[:8], r.flow, _state(r, resumable=r.run in left), r.method or "", r.started[:19], *numbers)
    out.print(table)
    if left:
        out.print(f"{quantity(len(left), 'run')} can be taken up: `halocline resume`", markup=False)


def _show_one(record: RunRecord, *, resumable: bool, as_json: bool) -> None:
    if as_json:
        say_json(_plain(record, resumable=resumable))
        return
    told = {"state": _state(record, resumable=resumable), "counts": _counted(record.counts)}
    for name in record.__slots__:
        if name != "plan":
            value = told.get(name, getattr(record, name))
            out.print(f"{name:<10} {value if value is not None else ''}", markup=False)
    if resumable:
        out.print(f"resume     `halocline resume {record.run[:8]}`", markup=False)
    plan = record.plan or {}
    for reason in plan.get("reasons", ()):  # type: ignore[attr-defined]  # JSON of our own making
        out.print(f"because    {reason}", markup=False)
    if "query" in plan:
        out.print(f"query      {plan['query']}", markup=False)
    _show_push(record)


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
