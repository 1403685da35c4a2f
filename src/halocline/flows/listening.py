"""Which flows of the kind listen are meant: by their names, all of them, or one that no file has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from halocline.errors import FixConfig
from halocline.flows.configuration import Configuration
from halocline.flows.listen import ListenFlow
from halocline.flows.reading import place, read


def listening(names: Sequence[str], config: str | None = None) -> Iterator[tuple[str, ListenFlow, Path]]:
    """The flows of these names (none: all of the kind listen), each with the folder of its file.

    Raises: as `read`; NotFound; FixConfig for a flow of another kind, and where there is none.
    """
    configuration = read(place(config))
    wanted = list(dict.fromkeys(names)) or [name for name, flow in configuration.flows.items() if isinstance(flow, ListenFlow)]
    if not wanted:
        raise FixConfig("Listening", "no flow is of the kind listen", hint="Write one, or name handlers as module:name.")
    found = [(name, _listen_flow(configuration, name)) for name in wanted]
    return ((name, flow, configuration.folder) for name, flow in found)


def unnamed(
    handlers: str, *, queue: str, topics: Sequence[str] = (), store: str | None = None, **access: str | None
) -> ListenFlow:
    """The flow that a command line describes; `access` are a flow's keys for where AWS is.

    Raises: FixConfig without a queue, and for what a flow could not say either.
    """
    doing = f"Listening with {handlers}"
    if not queue:
        raise FixConfig(doing, "it does not say which queue it is for", hint="Give --queue.")
    said = {"kind": "listen", "queue": queue, "handlers": handlers, "topics": list(topics), "store": store, **access}
    try:
        return ListenFlow.model_validate(said)
    except ValidationError as error:
        wrong = "; ".join(f"{one['loc'][0] if one['loc'] else 'it'}: {_words(one)}" for one in error.errors(include_input=False))
        raise FixConfig(doing, wrong) from None


def _words(error: Mapping[str, Any]) -> str:
    """A finding of pydantic in the words of ours that were raised, where they were."""
    return str(error["ctx"]["error"] if error["type"] == "value_error" else error["msg"])


def _listen_flow(configuration: Configuration, name: str) -> ListenFlow:
    flow = configuration.flow(name)
    if not isinstance(flow, ListenFlow):
        cause = f"it is of the kind {flow.kind}"
        raise FixConfig(f"Listening for the flow {name}", cause, hint=f"`halocline run {name}` runs it.")
    return flow
