"""`halocline`: the verbs, put together."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from halocline.cli import (
    check,
    demo,
    dlq,
    emulator,
    errors,
    iam,
    init,
    listen,
    plan,
    push,
    resume,
    retry,
    runs,
    sync,
    verify,
    version,
)
from halocline.cli import run as run_flows
from halocline.cli.answer import in_json
from halocline.cli.misread import Verbs
from halocline.cli.unneeded import leave_out

_NOBODY_READS = 128 + 13  # as a shell tells of a program that SIGPIPE ended
_UNWRITABLE = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

app = typer.Typer(
    name="halocline",
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="rich",
)
app.command("demo", rich_help_panel="Start here")(demo.demo)
app.command("sync", rich_help_panel="Salesforce to a table")(sync.sync)
app.command("plan", rich_help_panel="Salesforce to a table")(plan.plan)
app.command("verify", rich_help_panel="Salesforce to a table")(verify.verify)
app.command("push", rich_help_panel="Anything to Salesforce")(push.push)
app.command("retry", rich_help_panel="Anything to Salesforce")(retry.retry)
app.command("resume", rich_help_panel="Anything to Salesforce")(resume.resume)
app.command("init", rich_help_panel="Flows of halocline.yaml")(init.init)
app.command("check", rich_help_panel="Flows of halocline.yaml")(check.check)
app.command("run", rich_help_panel="Flows of halocline.yaml")(run_flows.run)
app.command("iam", rich_help_panel="Flows of halocline.yaml")(iam.iam)
app.command("schema", rich_help_panel="Flows of halocline.yaml")(init.schema)
app.add_typer(runs.app, name="runs", rich_help_panel="What happened")
app.command("errors", rich_help_panel="What happened")(errors.errors)
app.command("listen", rich_help_panel="Events")(listen.listen)
app.add_typer(dlq.app, name="dlq", rich_help_panel="Events")
app.add_typer(emulator.app, name="emulator", rich_help_panel="A Salesforce on this laptop")
app.command("version")(version.version)


@app.callback()
def _any_verb(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version of Halocline alone.", is_eager=True, callback=version.alone)
    ] = False,
) -> None:
    """Keep Salesforce and your data platform in step, without losing or doubling a row."""
    in_json(False)  # until the command's own --json says otherwise


def run() -> None:
    """The console script: what cannot be written ends it with one line, and a reader that has gone ends it without a word."""
    leave_out()
    try:
        try:
            app()
        finally:
            if sys.stdout is not None:  # a shell may have closed it
                sys.stdout.flush()
    except SystemExit as end:
        # Rich and Typer end with 1 when nobody reads on; `head` is not to make a pipe fail in a way of our own.
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        _leave(_NOBODY_READS)
    except OSError as error:
        if error.errno not in _UNWRITABLE or error.filename is not None:
            raise
        if error.errno == errno.EPIPE:
            _leave(_NOBODY_READS)
        with suppress(OSError):  # standard error may be as full
            sys.stderr.write(f"Failed: Writing the answer: {error.strerror}. `halocline runs` tells what was done.\n")
            sys.stderr.flush()
        _leave(1)


def _leave(code: int) -> NoReturn:
    """End; what is still in the streams' buffers goes nowhere, for Python would try to write it again and complain.

    Source: Python Library Reference, "signal", Note on SIGPIPE, read November 2026.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    sys.exit(code)
