"""Options that the verbs of `halocline dlq` share, and the place that they are about."""

from __future__ import annotations

from typing import Annotated

import typer

from halocline.cli.options import address
from halocline.quantity import MOST

Place = Annotated[
    str,
    typer.Argument(
        metavar="QUEUE",
        help="A flow of the kind listen, a queue or its dead letter queue by name or URL, or file:///folder.",
        show_default=False,
    ),
]
Ids = Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="Only this message. Repeatable.")]
Match = Annotated[str, typer.Option("--match", metavar="TEXT", help="Only those whose reason, queue or key has this in it.")]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", help="At most so many.", min=1, max=MOST)]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URI",
        help="The idempotency store of the worker (the flow's, else HALOCLINE_IDEMPOTENCY).",
        callback=address,
    ),
]
Offload = Annotated[
    str | None, typer.Option("--offload", metavar="BUCKET", help="The bucket of large messages, where no flow says it.")
]
AsIs = Annotated[bool, typer.Option("--as-is", help="Take QUEUE for the dead letter queue, although no queue names it as such.")]
