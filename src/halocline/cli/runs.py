"""`halocline runs`: what ran, how, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from halocline.cli import options
from halocline.cli.answer import out, say_json, told
from halocline.errors import NotFound

if TYPE_CHECKING:
    from halocline.outcome import RunRecord


def runs(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="One run, by the first characters of its name.")] = None,
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
            _show_one(_the_one(ledger.runs(flow, limit=10_000), run), as_json=as_json)
            return
        found = ledger.runs(flow, limit=limit)
    if as_json:
        for record in found:
            say_json(_plain(record))
    else:
        _show_all(found)


def _the_one(records: list[RunRecord], start: str) -> RunRecord:
    found = [r for r in records if r.run.startswith(start)]
    if len(found) == 1:
        return found[0]
    cause = f"{len(found)} runs begin with {start!r}" if found else f"no run begins with {start!r}"
    raise NotFound("Looking up a run", cause, hint="`halocline runs` lists them.")


def _plain(record: RunRecord) -> dict[str, object]:
    values = {name: getattr(record, name) for name in record.__slots__}
    return {**values, "counts": record.counts.to_json()}


def _show_all(records: list[RunRecord]) -> None:
    if not records:
        out.print("No runs yet. `halocline sync` makes one, `halocline demo` makes six.")
        return
    from rich.table import Table

    table = Table("run", "flow", "state", "method", "started", "read", "changed", "calls", box=None, pad_edge=False)
    for r in records:
        changed = f"{r.counts.changed:,}"
        table.add_row(r.run[:8], r.flow, r.state, r.method or "", r.started[:19], f"{r.rows_read:,}", changed, f"{r.api_calls:,}")
    out.print(table)


def _show_one(record: RunRecord, *, as_json: bool) -> None:
    if as_json:
        say_json(_plain(record))
        return
    for name, value in _plain(record).items():
        if name != "plan":
            out.print(f"{name:<10} {value if value is not None else ''}", markup=False)
    plan = record.plan or {}
    for reason in plan.get("reasons", ()):  # type: ignore[attr-defined]  # JSON of our own making
        out.print(f"because    {reason}", markup=False)
    out.print(f"query      {plan.get('query', '')}", markup=False)
