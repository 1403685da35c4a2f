"""Registries: handlers by where they are, `module:name`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from halocline.consume.handling.handlers import Handlers
from halocline.errors import FixConfig
from halocline.located import located

_USUAL = "handlers"


@dataclass(frozen=True, slots=True)
class Registry:
    """Handlers, and the name of the queue that they are for ("": they do not say). Those of a client (`SQSClient`, a class or an
    instance) go by the INIESTA_* settings, as the client itself does.
    """

    handlers: Handlers
    queue: str = ""
    of_client: bool = False


def registry_at(place: str, *, folder: Path) -> Registry:
    """The registry at `module:name` (`module`: the name is `handlers`), the module looked for in `folder` too. It is a
    `Handlers`, or has one as its `handlers`: an `SQSClient`, or a subclass of it.

    Raises: FixConfig for a module or a name that is not there, and for a module that cannot be imported; with where and why. For
    a client that was given more than its handlers and its queue's name: here they have other places.
    """
    doing = f"Looking for the handlers at {place}"
    found = located(place, doing=doing, folder=folder, example="my_project.events:handlers", usual=_USUAL)
    handlers = found if isinstance(found, Handlers) else getattr(found, "handlers", None)
    if not isinstance(handlers, Handlers):
        raise FixConfig(doing, f"it is of the type {type(found).__name__}, neither Handlers nor an SQSClient")
    if more := getattr(found, "says", ()):
        hint = "Name its handlers, and say the rest in a flow of halocline.yaml; or let client.run() do the work of `listen`."
        raise FixConfig(doing, f"the client there was given {', '.join(more)} too, which would not be used", hint=hint)
    if not handlers.events and not handlers.has_default:
        raise FixConfig(doing, "no handler is registered there", hint="Import the modules that register them in it.")
    return Registry(handlers, str(getattr(found, "queue_name", None) or ""), of_client=found is not handlers)
