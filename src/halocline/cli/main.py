"""`halocline`: the verbs, put together."""

from __future__ import annotations

import typer

from halocline.cli import demo, emulator, plan, runs, sync, version

app = typer.Typer(
    name="halocline",
    help="Keep Salesforce and your data platform in step, without losing or doubling a row.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="rich",
)
app.command("demo", rich_help_panel="Start here")(demo.demo)
app.command("sync", rich_help_panel="Salesforce to a table")(sync.sync)
app.command("plan", rich_help_panel="Salesforce to a table")(plan.plan)
app.command("runs", rich_help_panel="Salesforce to a table")(runs.runs)
app.add_typer(emulator.app, name="emulator", rich_help_panel="A Salesforce on this laptop")
app.command("version")(version.version)


def run() -> None:
    """The console script."""
    app()
