"""`halocline emulator env`: what a client's shell has to know to find a running emulator."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Annotated, Literal

import typer

from halocline.cli import options
from halocline.cli.answer import say_json, told
from halocline.cli.emulator import state
from halocline.errors import FixConfig

Url = Annotated[str | None, typer.Option(help="The emulator's address (default: the one started last on this machine).")]
Host = Annotated[str | None, typer.Option(help="Salesforce host to log in at, by the proxy: mycompany.my.salesforce.com")]
Shell = Annotated[Literal["sh", "fish", "powershell"], typer.Option(help="Whose language to write.")]

LINES: dict[str, Callable[[str, str], str]] = {
    "sh": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": lambda name, value: f"set -gx {name} {shlex.quote(value)};",
    "powershell": lambda name, value: f"$env:{name} = '{value.replace(chr(39), chr(39) * 2)}'",
}


def env(url: Url = None, host: Host = None, *, shell: Shell = "sh", as_json: options.Json = False) -> None:
    """Print the exports that lead any client to a running emulator: eval "$(halocline emulator env)"."""
    with told(as_json=as_json):
        variables = _variables(state.found(url), host)
        if as_json:
            say_json(variables)
            return
        for name, value in variables.items():
            typer.echo(LINES[shell](name, value))


def _variables(addresses: dict[str, str | None], host: str | None) -> dict[str, str]:
    from halocline.emulator.doors.addresses import Addresses

    try:
        return Addresses(**addresses).environment(host)  # type: ignore[arg-type]  # its own words, come back
    except (TypeError, ValueError) as error:
        raise FixConfig("Asking the emulator for its doors", str(error)) from error
