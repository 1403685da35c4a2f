"""The whole command line, for Typer's runner: the console script loads the verb alone that was typed."""

from __future__ import annotations

from halocline.cli.verbs import program

app = program()
