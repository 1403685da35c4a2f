"""`halocline plan`: the decision and its reasons, without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from halocline.cli import options
from halocline.cli.answer import out, say_json, told
from halocline.cli.system import intelligent_sync

if TYPE_CHECKING:
    from halocline.connector import Plan, Survey


def plan(
    sobject: Annotated[str, typer.Argument(metavar="OBJECT", help="API name: Account, My_Thing__c")],
    to: options.To,
    *,
    schema: options.Schema = None,
    table: Annotated[str | None, typer.Option(help="The table, where it is not named like the object.")] = None,
    key: options.Key = "Id",
    full: options.Full = False,
    where: options.Where = None,
    fields: options.Fields = None,
    exclude: options.Exclude = None,
    deletes: options.Deletes = "soft",
    numbers: options.Numbers = "decimal",
    use_stage: options.UseStage = False,
    bulk_threshold: options.BulkThreshold = None,
    stage_threshold: options.StageThreshold = None,
    quota_share: options.QuotaShare = None,
    as_json: options.Json = False,
) -> None:
    """Say what a sync would do now, and why; nothing is read or changed."""
    from halocline.events import silent
    from halocline.sync import SobjectSync

    job = SobjectSync(
        sobject,
        options.schema_in(to, schema),
        table or sobject,
        match_field=key,
        use_stage=use_stage,
        force_full_sync=full,
        where_clause=where,
        fields=options.listed(fields),
        exclude=options.listed(exclude) or (),
        deletes=deletes,
        numbers=numbers,
    )
    given: dict[str, Any] = {"bulk_threshold": bulk_threshold, "stage_threshold": stage_threshold, "quota_share": quota_share}
    with told(as_json=as_json), intelligent_sync(to, silent, **given) as system:
        survey, decided = system.plan(job)
    if as_json:
        say_json({**decided.to_json(), "success": True, "server_time": survey.server_time, "target": str(job.target)})
    else:
        _show(survey, decided, str(job.target))


def _show(survey: Survey, plan: Plan, target: str) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    low, high = plan.window
    for name, value in (
        ("method", plan.method),
        ("from", f"{survey.object}, about {survey.estimated_rows:,} rows, {len(plan.schema)} columns"),
        ("to", f"{target}, {plan.mode} by {', '.join(plan.key)}, deletes: {plan.deletes}"),
        ("window", "everything" if plan.full else f"{plan.cursor} from {low} up to {high}"),
        ("next position", str(plan.next_position.get("stamp"))),
    ):
        table.add_row(Text(name, "bold"), Text(value))
    out.print(table)
    out.print("[bold]because[/]")
    for reason in plan.reasons:
        out.print(f"  - {reason}", markup=False)
    out.print("[bold]query[/]")
    out.print(f"  {plan.query}", markup=False)
