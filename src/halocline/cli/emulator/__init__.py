"""`halocline emulator`: a Salesforce on this laptop, and an AWS. One file per verb."""

from __future__ import annotations

import typer

from halocline.cli.emulator.aws import app as aws_app
from halocline.cli.emulator.env import env
from halocline.cli.emulator.importing import import_
from halocline.cli.emulator.run import emulator

app = typer.Typer(name="emulator", rich_markup_mode="rich")
app.callback(invoke_without_command=True)(emulator)
app.command("env")(env)
app.command("import")(import_)
app.add_typer(aws_app, name="aws")
