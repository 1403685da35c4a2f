"""What the verbs of `halocline dlq` open: the dead letters of a queue or a flow."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halocline.cli.answer import err
from halocline.errors import FixConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from halocline.consume.letters.letter_places import LetterPlace
    from halocline.flows.listen import ListenFlow
    from halocline.idempotency import IdempotencyStore
    from halocline.queues import Queue


@dataclass(frozen=True, slots=True)
class Opened:
    """A place of dead letters, how queues beside it are opened, and the flows whose messages may be in it, by name."""

    letters: LetterPlace
    open_queue: Callable[[str], Queue]
    flows: Mapping[str, ListenFlow]

    @property
    def queue(self) -> Queue:
        """Where the letters are."""
        return self.letters.queue

    @property
    def name(self) -> str:
        """What that is called."""
        return self.letters.name

    @contextmanager
    def store(self, given: str | None) -> Iterator[IdempotencyStore | None]:
        """The idempotency store that is given, else that of the flows, else the usual one, until the block ends.

        Raises: FixConfig for flows of different stores; as `open_store`.
        """
        from halocline.consume.stores import open_store

        places = sorted({flow.store or "" for flow in self.flows.values()})
        if given is None and len(places) > 1:
            cause = f"the flows {', '.join(sorted(self.flows))} have different idempotency stores"
            raise FixConfig(f"Opening the store of {self.name}", cause, hint="Name one of the flows, or the store with --store.")
        found = open_store(given or (places[0] if places else None) or None)
        try:
            yield found
        finally:
            if found is not None:
                found.close()


def opened(named: str, *, as_is: bool, config: str | None = None, offload: str | None = None) -> Opened:
    """The dead letters of what is named: a flow of the kind listen, a queue, or a folder. A queue that a flow names as its own or
    for its dead letters is opened as that flow says. `offload` is the bucket of large messages where no flow says it.

    Raises: as `letter_place`, and as `read` where there is a halocline.yaml.
    """
    from halocline import registry
    from halocline.config import Settings
    from halocline.consume.letters.letter_places import letter_place
    from halocline.queues import Redriven, beside

    flows = _flows(config)
    queue, dead_letters, meant = _meant(named, flows)
    listening = {name: flow for name, flow in (meant or flows).items() if _is(flow.queue, queue)}
    known = {flow.known for flow in listening.values()}
    first = next(iter(meant.values()), None)
    given: dict[str, Any] = {} if first is None else first.access()
    bucket = offload or (None if first is None else first.offload)

    def open_queue(place: str) -> Queue:
        return registry.open_queue(beside(queue, place), **given, **({} if bucket is None else {"offload": bucket}))

    said_so = as_is or any(flow.dead_letters is not None and _is(flow.dead_letters, named) for flow in meant.values())
    home = Settings.from_env().home
    letters = letter_place(
        queue,
        home=home,
        open_queue=open_queue,
        known_as=next(iter(known)) if len(known) == 1 else None,
        dead_letters=dead_letters,
        as_is=said_so,
        flows=sorted(listening),
    )
    if not meant and flows and isinstance(letters.kept, Redriven):
        sources = letters.kept.sources()
        meant = {name: flow for name, flow in flows.items() if any(_is(flow.queue, source) for source in sources)}
        buckets = {flow.offload for flow in meant.values() if flow.offload}
        if bucket is None and len(buckets) == 1:
            return opened(named, as_is=as_is, config=config, offload=buckets.pop())
    if letters.also:
        err.print(f"Messages that were set aside in file://{letters.also} are dealt with too.", markup=False)
    return Opened(letters, open_queue, meant)


def _meant(named: str, flows: Mapping[str, ListenFlow]) -> tuple[str, str | None, dict[str, ListenFlow]]:
    """The queue that is named, where its flow puts dead letters, and the flows that have to do with it."""
    if named in flows:
        return flows[named].queue, flows[named].dead_letters, {named: flows[named]}
    known = [name for name, flow in flows.items() if flow.known_as == named]
    if len(known) == 1:
        return _meant(known[0], flows)
    own = {name: flow for name, flow in flows.items() if _is(flow.queue, named)}
    if len(own) == 1:
        return named, next(iter(own.values())).dead_letters, own
    return named, None, {name: flow for name, flow in flows.items() if flow.dead_letters and _is(flow.dead_letters, named)}


def _is(place: str, named: str) -> bool:
    """Whether two names or URLs are those of one queue, as far as they say."""
    from halocline.queues import name_of

    if "://" in place and "://" in named:
        return place.rstrip("/") == named.rstrip("/")
    return not place.startswith("file://") and name_of(place) == name_of(named)


def _flows(config: str | None) -> dict[str, ListenFlow]:
    from halocline.flows.listen import ListenFlow
    from halocline.flows.reading import place, read

    path = place(config)
    if config is None and not path.is_file():
        return {}
    return {name: flow for name, flow in read(path).flows.items() if isinstance(flow, ListenFlow)}
