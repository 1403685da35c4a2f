"""`halocline plan`: the decision and its reasons, without running it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from halocline.cli import options
from halocline.cli.answer import cell, out, refuse, say_error, say_json, told
from halocline.cli.jobs import Asked, tell_each
from halocline.cli.previewed import show
from halocline.cli.system import worst
from halocline.errors import FixConfig, HaloclineError
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.connector import Plan, Survey
    from halocline.flows.configuration import Configuration
    from halocline.flows.connected import Connected
    from halocline.flows.files import FileFlow
    from halocline.flows.owners import Owners
    from halocline.flows.push import PushFlow
    from halocline.flows.sync import SyncFlow
    from halocline.flows.tables import TablesFlow
    from halocline.several import Looked


_OF_FLOWS = {"ctx", "objects", "config", "as_json"}


def plan(
    ctx: typer.Context,
    objects: Annotated[
        list[str] | None, typer.Argument(metavar="OBJECT|FLOW", help="API names or patterns; without --to, names of flows.")
    ] = None,
    *,
    to: Annotated[
        str | None,
        typer.Option("--to", help="Where the table is; without it, OBJECT names flows.", metavar="URI", callback=options.address),
    ] = None,
    config: options.Config = None,
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
    """Say what a sync, or a flow of halocline.yaml, would do now, and why; nothing is read or changed."""
    if to is None:
        _refuse_idle(ctx)
        raise typer.Exit(_flows(objects or [], config, as_json=as_json))
    asked = Asked.of(locals())
    with asked.opened(quiet=True) as (system, _):
        jobs = asked.jobs(system)
        code, relations = tell_each(system.plan_all(jobs, parallel=parallel), jobs, tell=partial(_tell, as_json=as_json))
        if len(jobs) > 1 and not as_json:
            out.print("[bold]dependencies[/]")
            for line in relations:
                out.print(f"  - {line}", markup=False)
    raise typer.Exit(code)


def _refuse_idle(ctx: typer.Context) -> None:
    """Refuse what a flow says itself."""
    for name in ctx.params:
        source = ctx.get_parameter_source(name)
        if name not in _OF_FLOWS and source is not None and source.name == "COMMANDLINE":
            option = name.replace("_", "-")
            refuse(f"without --to, flows are named, and a flow says itself what it does; give --to, or leave --{option} out.")


def _flows(names: Sequence[str], config: str | None, *, as_json: bool) -> int:
    """Say what would become of each flow; the exit code that all of them deserve."""
    from halocline.flows.connected import Connected
    from halocline.flows.owners import Owners
    from halocline.flows.reading import place, read

    if not names:
        refuse("name flows of halocline.yaml, or objects with --to.")
    if config is None and not place().exists():
        refuse(
            f"there is no {place()} here, whose flows could be named; for an object say where it goes, such as --to duckdb:///lake.duckdb."
        )
    with told(as_json=as_json):
        configuration = read(place(config))
        flows = [(name, _planned(name, configuration)) for name in names]
        around = Connected(configuration.connections, configuration.folder)
        owners = Owners.among(configuration, around) if any(flow.kind == "file" for _, flow in flows) else None
        return worst([code for name, flow in flows for code in _flow(name, flow, around, owners, as_json=as_json)])


def _planned(name: str, configuration: Configuration) -> SyncFlow | PushFlow | FileFlow | TablesFlow:
    """The flow of that name. Raises: FixConfig for one of which there is another plan."""
    flow = configuration.flow(name)
    if flow.kind == "listen":
        hint = f"halocline listen {name} --plan tells how its queue is to be subscribed."
        raise FixConfig(f"Planning the flow {name}", "it is of the kind listen, which moves no rows", hint=hint)
    return flow


def _flow(
    name: str, flow: SyncFlow | PushFlow | FileFlow | TablesFlow, around: Connected, owners: Owners | None, *, as_json: bool
) -> Iterator[int]:
    if flow.kind == "tables":
        for table, survey, plan in flow.plan(name, around):
            _tell_plan(survey, plan, str(table.target), {"flow": name}, as_json=as_json)
            yield 0
        return
    if flow.kind == "sync":
        for looked in flow.plan(around):
            yield _tell(looked, {"flow": name}, as_json=as_json)
        return
    if flow.kind == "push":
        with flow.pipeline(name, around) as pipeline, flow.rows(around) as rows:
            found = pipeline.preview(rows)
        if as_json:
            say_json({"flow": name, **found.to_json(), "success": True, "exit_code": 0})
        else:
            show(found)
    else:
        assert owners is not None, "there is a flow of files"
        begun, lying = (list(map(str, found)) for found in flow.waiting(name, around, owners=owners))
        if as_json:
            say_json({"flow": name, "files": [*begun, *lying], "begun": begun, "success": True, "exit_code": 0})
        else:
            out.print(f"{name}: {quantity(len(begun) + len(lying), 'file')} to take care of", markup=False)
            for file in (*(f"{one}, which was begun and not ended" for one in begun), *lying):
                out.print(f"  - {file}", markup=False)
    yield 0


def _tell(looked: Looked, related: Mapping[str, object], *, as_json: bool) -> int:
    """Show one plan; the exit code that it deserves.

    Raises: an error that is none of ours, which is a defect.
    """
    target = str(looked.job.target)
    if looked.survey is None or looked.plan is None:
        if not isinstance(looked.error, HaloclineError):
            raise looked.error or AssertionError("who could not look says why")
        say_error(looked.error, as_json=as_json)
        return looked.error.exit_code
    _tell_plan(looked.survey, looked.plan, target, related, as_json=as_json)
    return 0


def _tell_plan(survey: Survey, plan: Plan, target: str, related: Mapping[str, object], *, as_json: bool) -> None:
    if as_json:
        told = {"success": True, "server_time": survey.server_time, "target": target}
        say_json({**plan.to_json(), **told, **related, "exit_code": 0})
    else:
        _show(survey, plan, target, flow=str(related.get("flow") or ""))


def _show(survey: Survey, plan: Plan, target: str, *, flow: str) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    low, high = plan.window
    for name, value in (
        ("flow", flow),
        ("method", plan.method),
        ("from", f"{survey.object}, about {quantity(survey.estimated_rows, 'row')}, {quantity(len(plan.schema), 'column')}"),
        ("to", f"{target}, {plan.mode}{' by ' if plan.key else ''}{', '.join(plan.key)}, deletes: {plan.deletes}"),
        ("window", "everything" if plan.full else f"{plan.cursor or 'written'} from {low} up to {high}"),
        ("next position", str(plan.next_position.get("stamp") or "")),
    ):
        if value:
            table.add_row(Text(name, "bold"), cell(value))
    out.print(table)
    out.print("[bold]because[/]")
    for reason in plan.reasons:
        out.print(f"  - {reason}", markup=False)
    out.print("[bold]query[/]")
    for line in _readable(plan.query).splitlines():
        out.print(f"  {line}", markup=False)


def _readable(query: str) -> str:
    """A query as people read it: of JSON what it asks for, without what it leaves open."""
    try:
        asked = json.loads(query)
    except ValueError:
        return query
    if not isinstance(asked, dict):
        return query
    said = {name: value for name, value in asked.items() if value not in (None, "", [], {}) and name != "id"}
    return ", ".join(f"{name}: {value if isinstance(value, str) else json.dumps(value)}" for name, value in said.items())
