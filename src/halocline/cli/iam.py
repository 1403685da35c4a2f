"""`halocline iam`: the least-privilege policy of a flow."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from halocline.cli import options
from halocline.cli.answer import told


def iam(
    flow: Annotated[str, typer.Argument(metavar="FLOW", help="A flow of halocline.yaml.")],
    *,
    assumed: Annotated[bool, typer.Option("--assumed", help="That of the role which a connection assumes.")] = False,
    config: options.Config = None,
) -> None:
    """Print the least that AWS must allow to whoever runs a flow, as an IAM policy."""
    from halocline.flows.connected import Connected
    from halocline.flows.policy import policy
    from halocline.flows.reading import place, read

    with told(as_json=False):
        configuration = read(place(config))
        around = Connected(configuration.connections, configuration.folder)
        typer.echo(json.dumps(policy(flow, configuration, around=around, assumed=assumed), indent=2))
