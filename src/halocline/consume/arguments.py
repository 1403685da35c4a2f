"""Arguments: what a worker, a client and a function of Lambda are made of, refused at once where it is something else.

A text in the place of a queue would else be found when the first message is there, by a worker that then tries for ever.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from halocline.consume.handling.handlers import Handlers
from halocline.errors import FixConfig


@dataclass(frozen=True, slots=True)
class _Kind:
    """What an argument is to be: by what it must be able to do, and how one comes by it."""

    what: str
    methods: tuple[str, ...]
    hint: str


_OPEN_QUEUE = "Open it: halocline.registry.open_queue(name or URL)"
_KINDS = {
    "queue": _Kind("a queue", ("receive", "delete"), f"{_OPEN_QUEUE}."),
    "dead_letters": _Kind(
        "a queue", ("send",), f"{_OPEN_QUEUE}, or for a folder halocline.consume.letters.quarantine.Quarantine(path)."
    ),
    "offload": _Kind(
        "a bucket's name or an Offload", ("follow",), "Give the name, or halocline.connectors.aws.Offload(...) to say more."
    ),
    "store": _Kind("an idempotency store", ("claim", "done"), "Open it: halocline.consume.stores.open_store(URI)."),
}


def refuse_other(doing: str, *, handlers: object, **given: object) -> None:
    """Refuse handlers that are no `Handlers`, and a `queue`, `store`, `dead_letters` or `offload` that cannot work as such. No
    store, no dead letters and no bucket (None) is a choice, no queue is not.

    Raises: FixConfig, with what it is and how to come by one.
    """
    if not isinstance(handlers, Handlers):
        own = isinstance(getattr(handlers, "handlers", None), Handlers)
        hint = "Give its handlers: name.handlers." if own else "Register functions with Handlers(), and give that."
        raise FixConfig(doing, f"handlers is {_told(handlers)}, no Handlers", hint=hint)
    for name, value in given.items():
        kind, may_lack = _KINDS[name], name != "queue"
        is_one = not isinstance(value, type) and all(_has(value, method) for method in kind.methods)
        if not is_one and not (value is None and may_lack):
            raise FixConfig(doing, f"{name} is {_told(value)}, not {kind.what}", hint=kind.hint)


def _has(value: object, method: str) -> bool:
    """Whether a value has a method, or stands for something that may have it. Nothing is asked of it, which may fail."""
    return hasattr(type(value), "__getattr__") or inspect.getattr_static(value, method, None) is not None


def _told(value: object) -> str:
    """What a value is; not the value, for a URI may hold a password."""
    if value is None:
        return "None"
    if isinstance(value, str):
        return "a text"
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
