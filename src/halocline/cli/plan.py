"""`halocline plan`: the decision and its reasons, without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from halocline.cli import options
from halocline.cli.answer import out, say_error, say_json, told
from halocline.cli.jobs import Asked, relation_lines
from halocline.cli.system import intelligent_sync, worst
from halocline.errors import HaloclineError

if TYPE_CHECKING:
    from halocline.connector import Plan, Survey
    from halocline.several import Looked
    from halocline.sync import IntelligentSync, SobjectSync


def plan(
    objects: options.Objects = None,
    *,
    to: options.To,
    everything: options.Everything = False,
    exclude_object: options.ExcludeObject = None,
    parallel: options.Parallel = 4,
    schema: options.Schema = None,
    table: options.Table = None,
    key: options.Key = "Id",
    full: options.Full = False,
    where: options.Where = None,
    soql: options.Soql = None,
    fields: options.Fields = None,
    exclude: options.Exclude = None,
    rename: options.Rename = None,
    mask: options.Mask = None,
    contract: options.Contract = "evolve",
    deletes: options.Deletes = "soft",
    history: options.History = False,
    lookback: options.Lookback = None,
    formula_refresh: options.FormulaRefresh = "never",
    numbers: options.Numbers = "decimal",
    use_stage: options.UseStage = False,
    stage_name: options.StageName = None,
    bulk_threshold: options.BulkThreshold = None,
    stage_threshold: options.StageThreshold = None,
    quota_share: options.QuotaShare = None,
    api_budget: options.ApiBudget = None,
    as_json: options.Json = False,
) -> None:
    """Say what a sync would do now, and why; nothing is read or changed."""
    from halocline.events import silent

    asked = Asked(
        objects=objects or [],
        everything=everything,
        exclude_objects=exclude_object or [],
        schema=options.schema_in(to, schema),
        table=table,
        soql=soql,
        fields=options.listed(fields),
        exclude=options.listed(exclude) or (),
        rename=rename or [],
        mask=mask or [],
        each={
            "match_field": key,
            "use_stage": use_stage,
            "stage_name": stage_name,
            "force_full_sync": full,
            "where_clause": where,
            "deletes": deletes,
            "history": history,
            "numbers": numbers,
            "lookback_s": lookback,
            "formula_refresh": formula_refresh,
            "contract": contract,
        },
    )
    asked.check()
    given: dict[str, Any] = {"bulk_threshold": bulk_threshold, "stage_threshold": stage_threshold}
    limits: dict[str, Any] = {"quota_share": quota_share, "api_budget": api_budget}
    with told(as_json=as_json), intelligent_sync(to, silent, **given, **limits) as system:
        code = _all(system, asked.jobs(system, as_json=as_json), parallel=parallel, as_json=as_json)
    raise typer.Exit(code)


def _all(system: IntelligentSync, jobs: list[SobjectSync], *, parallel: int, as_json: bool) -> int:
    """Say what would become of each object; the exit code that all of them deserve."""
    from halocline.several import relations

    among = [job.sobject for job in jobs]
    codes, related = [], []
    for looked in system.plan_all(jobs, parallel=parallel):
        found = relations(looked.survey, among)
        related.append((looked.job.sobject, found))
        codes.append(_tell(looked, found, as_json=as_json))
    if len(jobs) > 1 and not as_json:
        out.print("[bold]dependencies[/]")
        for line in relation_lines(related):
            out.print(f"  - {line}", markup=False)
    return worst(codes)


def _tell(looked: Looked, related: dict[str, dict[str, list[str]]], *, as_json: bool) -> int:
    """Show one plan; the exit code that it deserves.

    Raises: an error that is none of ours, which is a defect.
    """
    target = str(looked.job.target)
    if looked.survey is None or looked.plan is None:
        if not isinstance(looked.error, HaloclineError):
            raise looked.error or AssertionError("who could not look says why")
        say_error(looked.error, as_json=as_json)
        return looked.error.exit_code
    if as_json:
        server_time = looked.survey.server_time
        say_json({**looked.plan.to_json(), "success": True, "server_time": server_time, "target": target, **related})
    else:
        _show(looked.survey, looked.plan, target)
    return 0


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
