"""`halocline dlq`: the messages that were set aside. One file per verb."""

from __future__ import annotations

import typer

from halocline.cli.dlq.export import export
from halocline.cli.dlq.look import ls, show
from halocline.cli.dlq.purge import purge
from halocline.cli.dlq.redrive import redrive

app = typer.Typer(
    name="dlq",
    help="Messages that were set aside: look at them, bring them back, write them out, delete them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.command("ls")(ls)
app.command("show")(show)
app.command("redrive")(redrive)
app.command("export")(export)
app.command("purge")(purge)
