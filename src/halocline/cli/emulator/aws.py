"""`halocline emulator aws`: an AWS on this laptop, in the foreground; `halocline emulator aws env`: what leads clients to it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from halocline.cli import options
from halocline.cli.answer import out, refuse, say_json, told
from halocline.cli.emulator import state
from halocline.cli.emulator.env import LINES, Shell
from halocline.errors import FixConfig, StorageFailed

FOLDER = "aws"
"""Of the notes, below HALOCLINE_HOME."""

_ENDS = (signal.SIGINT, signal.SIGTERM)

app = typer.Typer(name="aws", rich_markup_mode="rich", help="Run an AWS that real clients accept, until it is interrupted.")


@app.callback(invoke_without_command=True)
def aws(
    context: typer.Context,
    *,
    port: Annotated[int, typer.Option(help="The port on 127.0.0.1; 0: any that is free.", min=0, max=65_535)] = 4566,
    fault: Annotated[
        list[str] | None,
        typer.Option("--fault", metavar="RULE", help="What goes wrong: 'throttle: service=s3 every=10'. Repeatable."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Run an AWS that real clients accept, until it is interrupted: SQS, SNS, S3, DynamoDB, STS, Secrets Manager.

    It is empty at the start, and forgets all when it ends.
    """
    if context.invoked_subcommand is not None:
        return
    from halocline.ledger.process import Process
    from halocline.testing.aws import FakeAWS

    server = FakeAWS(port=port)
    for rule in fault or ():
        try:
            server.faults.add_text(rule)
        except ValueError as reason:
            refuse(f"--fault {rule!r}: {reason}")
    end = threading.Event()
    before = {one: signal.signal(one, lambda *_: end.set()) for one in _ENDS}
    with told(as_json=as_json):
        try:
            server.start()
        except OSError as error:
            doing, cause = f"Starting an AWS on port {port}", error.strerror or str(error)
            raise StorageFailed(doing, cause, hint="Choose another port: --port N, or 0.") from error
        try:
            mine = Process.of(os.getpid(), socket.gethostname())
            known = {"pid": mine.pid, "born": mine.born, "world": mine.world}
            note = {"url": server.url, "environment": server.environment(), **known}
            with state.announced(note, folder=FOLDER):
                _announce(server.url, server.environment(), as_json=as_json)
                end.wait()
        finally:
            server.stop()
            for one, handler in before.items():
                signal.signal(one, handler)


@app.command("env")
def env(
    *,
    port: Annotated[int | None, typer.Option(help="The one on this port (default: the one started last).")] = None,
    shell: Shell = "sh",
    as_json: options.Json = False,
) -> None:
    """Print the exports that lead clients to a running one: eval "$(halocline emulator aws env)".

    AWS CLI 1 heeds none of them for sqs: `aws sqs ... --endpoint-url "$AWS_ENDPOINT_URL"`.
    """
    with told(as_json=as_json):
        variables = _running(port)
        if as_json:
            say_json(variables)
            return
        for name, value in variables.items():
            typer.echo(LINES[shell](name, value))


def _announce(url: str, variables: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        say_json({"url": url, "environment": variables})
        return
    out.print("An AWS is listening. In another terminal:\n")
    for name, value in variables.items():
        out.print(f"  export {name}={shlex.quote(value)}", markup=False)
    out.print()
    out.print('or eval "$(halocline emulator aws env)". Stop it with Ctrl-C.', markup=False)
    out.print('AWS CLI 1 needs --endpoint-url "$AWS_ENDPOINT_URL" for sqs; without it, it asks the real AWS.', markup=False)


def _running(port: int | None) -> dict[str, str]:
    """The variables of the one on that port, or of the one started last that still runs.

    Raises: FixConfig where there is none.
    """
    for note in state.notes(FOLDER):
        noted = _read(note)
        if noted is None:
            note.unlink(missing_ok=True)
        elif port is None or note.stem == str(port):
            found: dict[str, str] = noted["environment"]
            return found
    hint = f"Start one in another terminal with `halocline emulator aws`; {state.ELSEWHERE}"
    on = "" if port is None else f" on port {port}"
    raise FixConfig("Looking for an AWS", f"none that runs{on} has a note in {state.folder_of(FOLDER)}", hint=hint)


def _read(note: Path) -> dict[str, Any] | None:
    """A note whose process lives; None for another."""
    from halocline.ledger.process import Process

    try:
        noted: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
        process = Process(int(noted["pid"]), socket.gethostname(), noted["born"], noted.get("world"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None if process.elsewhere or process.gone() else noted
