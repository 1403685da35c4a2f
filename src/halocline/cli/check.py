"""`halocline check`: every connection tried, and what is wrong."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import typer

from halocline.cli import options
from halocline.cli.answer import error_json, out, say_error, say_json, told
from halocline.cli.system import worst


def check(config: options.Config = None, *, as_json: options.Json = False) -> None:
    """Read halocline.yaml, try every connection of it, and say what is wrong; nothing is changed.

    Variables of the environment that look like ours and that nothing reads are warned of.
    """
    from halocline.consume.examined import examine
    from halocline.events import silent
    from halocline.flows.check import checks
    from halocline.flows.connected import Connected
    from halocline.flows.reading import place, read

    codes = []
    with told(as_json=as_json):
        path = place(config)
        _warn(path, as_json=as_json)
        configuration = read(path)
        around = Connected(configuration.connections, configuration.folder, sink=silent)
        for one in checks(configuration, around, listens=examine):
            codes.append(0 if one.error is None else one.error.exit_code)
            if as_json:
                told_of = {"found": one.found} if one.error is None else error_json(one.error)
                at: dict[str, object] = {} if one.line is None else {"line": one.line}
                at |= {"place": one.place} if one.place else {}
                say_json(
                    {"name": one.name, **at, "state": one.state, "success": one.error is None, **told_of, "exit_code": codes[-1]}
                )
            elif one.error is None:
                out.print(f"{one.state:7} {one.name}: {one.found}", markup=False)
            else:
                where = "" if one.line is None else f" ({path}, line {one.line}{f': {one.place}' if one.place else ''})"
                out.print(f"failed  {one.name}{where}", markup=False)
                say_error(one.error, as_json=False)
    raise typer.Exit(worst(codes))


def _warn(path: Path, *, as_json: bool) -> None:
    """Tell of variables that are set in vain, even where there is no file: one of them may be its name."""
    from halocline.consume.topics.event_settings import VARIABLES
    from halocline.flows.unread import unread

    text = ""
    with suppress(OSError):  # it is told when the file is read
        text = path.read_text(errors="replace")
    for name, told_of in unread(text, also=VARIABLES):
        if as_json:
            say_json({"name": f"variable {name}", "state": "warning", "success": True, "found": told_of, "exit_code": 0})
        else:
            out.print(f"warning variable {name}: {told_of}", markup=False)
