"""Examined: what listening to a flow's queue wants, each thing asked once and nothing received."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from pathlib import Path

from halocline import registry
from halocline.config import Settings, secret
from halocline.consume.handling.registries import registry_at
from halocline.consume.letters.dead_letters import place_of, shown
from halocline.consume.letters.quarantine import Quarantine
from halocline.consume.listening import Post
from halocline.consume.stores import open_store
from halocline.errors import AccessDenied
from halocline.flows.connected import Connected
from halocline.flows.listen import ListenFlow
from halocline.idempotency import IdempotencyStore
from halocline.queues import Identified
from halocline.spool import prove

_NOBODY = "halocline:is-there"  # no message has this for a key, and no object for the beginning of its name
_SQLITE = "sqlite:///"


def examine(name: str, flow: ListenFlow, *, around: Connected) -> str:
    """What listening to this flow's queue will find, in words: handlers, queue, place of dead letters and store are asked as
    `halocline listen` asks them, the bucket and the topics too. No class of handlers is made, and no store's file.

    Raises: an error of `halocline.errors` that `listen` would end with; NotFound for a bucket or a topic that is not there.
    """
    post = Post(name, flow, registry_at(flow.handlers, folder=around.folder).handlers)
    post.handlers.examine()
    queue = post.open()
    if isinstance(queue, Identified):
        queue.identity()  # asked for whether it is there
    aside = place_of(queue, flow.dead_letters, name=post.queue, home=around.settings.home, open_queue=post.beside)
    _look_into_store(post.store, around.settings)
    if flow.offload is not None:
        with suppress(AccessDenied):  # who only reads large messages need not list them
            list(islice(registry.open_buckets(**flow.access()).each(flow.offload, _NOBODY), 1))
    for topic in flow.topics:
        with suppress(AccessDenied):  # who only receives need not see who else does
            registry.open_subscriptions(**flow.access()).subscription(topic, "")
    kept = flow.dead_letters or ("a folder of this host" if isinstance(aside, Quarantine) else shown(aside))
    return f"the queue {flow.queue} can be reached; what is set aside goes to {kept}"


def _look_into_store(place: str | None, settings: Settings) -> None:
    """Ask a store for nothing. One in a file that is not there yet is not made; its folder is tried."""
    meant = secret(settings.idempotency_at or "" if place is None else place).strip()
    file = Path(meant[len(_SQLITE) :])
    if meant.lower().startswith(_SQLITE) and not file.exists():
        prove(file.parent)
        return
    store: IdempotencyStore | None = open_store(place, settings=settings)
    if store is not None:
        try:
            store.look([_NOBODY])
        finally:
            store.close()
