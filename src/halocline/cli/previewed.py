"""What `halocline push --dry-run` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.cli.answer import cell, out
from halocline.quantity import quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from halocline.batch import JSON
    from halocline.outcome import RowResult
    from halocline.push.destination import WritePlan
    from halocline.push.diff.mirror import Foreseen
    from halocline.push.preview import Preview

_CELL = 60  # characters of a value, or of a message twice as many


def show(found: Preview) -> None:
    """The plan with its reasons, the check, the rows that would be refused, and the first rows as they would be sent."""
    from rich.text import Text

    order, plan = found.order, found.plan
    what = f" of {order.sobject} with {quantity(found.total, 'row')} of {found.name}; nothing is sent"
    out.print(Text.assemble((str(order.mode), "bold"), cell(what)))
    if plan is None:
        out.print("No row would be sent.")
    else:
        _show_plan(plan)
    for one in found.before:
        out.print(f"before     {one}", markup=False, soft_wrap=True)
    if found.unchanged:
        out.print(f"unchanged  {quantity(found.unchanged, 'row')}, not sent", markup=False)
    if found.mirror is not None:
        out.print(f"mirror     {_mirror(found.mirror)}", markup=False, soft_wrap=True)
    if found.findings:
        out.print(f"[bold]the check of the {'mapping' if found.mapped else 'columns'} found[/]")
    for finding in found.findings:
        out.print(f"  - {finding}", markup=False)
    if found.refused:
        they_are = "it is" if found.refused == 1 else "they are"
        out.print(f"[bold]{quantity(found.refused, 'row')} would be refused before {they_are} sent[/]")
        _show_refused(found.first)
    if found.rows:
        out.print("[bold]first rows, as they would be sent[/]")
        _show_first(found.rows)


def _mirror(foreseen: Foreseen) -> str:
    if foreseen.gone is None or foreseen.known is None:
        return f"how many records would be deleted cannot be told: {foreseen.refusal}"
    is_gone = "is gone from it" if foreseen.gone == 1 else "are gone from it"
    told = f"{foreseen.gone:,} of the {quantity(foreseen.known, 'record')} written from it {is_gone}"
    return f"{told}, and would stay: {foreseen.refusal}" if foreseen.refusal else f"{told}, and would be deleted"


def _show_plan(plan: WritePlan) -> None:
    folded = f", {plan.folded:,} more {'travels' if plan.folded == 1 else 'travel'} in them" if plan.folded else ""
    out.print(f"rows       {plan.rows:,} sent by {plan.api} in {quantity(plan.chunks, 'chunk')}{folded}", markup=False)
    out.print(f"API calls  {plan.calls:,}, looks at running jobs not counted", markup=False)
    out.print("[bold]because[/]")
    for reason in plan.reasons:
        out.print(f"  - {reason}", markup=False)


def _show_refused(rows: tuple[RowResult, ...]) -> None:
    from rich.table import Table

    table = Table("row", "code", "message", "fields", box=None, pad_edge=False)
    for one in rows:
        table.add_row(str(one.row), *map(cell, (one.code, _short(one.message, 2 * _CELL), ", ".join(one.fields))))
    out.print(table)


def _show_first(rows: Sequence[Mapping[str, JSON]]) -> None:
    from rich.table import Column, Table

    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(*(Column(cell(name)) for name in names), box=None, pad_edge=False)
    for row in rows:
        table.add_row(
            *(cell(_short("null" if row[name] is None else str(row[name]), _CELL)) if name in row else "" for name in names)
        )
    out.print(table)


def _short(text: str, longest: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else f"{flat[: longest - 3]}..."
