"""`halocline init` and `halocline schema`: a halocline.yaml to begin with, and what an editor needs to help with it."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated

import typer

from halocline.cli import options
from halocline.cli.answer import out, refuse, say_json, told


def init(
    config: options.Config = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a commented halocline.yaml to begin with."""
    from halocline.flows.reading import place
    from halocline.spool import storage

    path = place(config)
    if path.exists() and not force:
        refuse(f"{path} is there already; --force writes over it, --config FILE names another.")
    with told(as_json=False), storage(f"Writing {path}"):
        path.write_text(files("halocline.flows").joinpath("sample.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    out.print(f"{path} is written; put your connections in, then `halocline check`, then `halocline run --all`.", markup=False)


def schema() -> None:
    """Print the JSON schema of halocline.yaml, by which editors complete and check it."""
    from halocline.flows.json_schema import json_schema

    say_json(json_schema())
