"""Listening: workers for several queues in one process, from flows of the kind listen, until the process is told to end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from halocline import registry
from halocline.config import Settings
from halocline.consume.flight.backoff import Backoff
from halocline.consume.handling.handlers import Handlers
from halocline.consume.handling.registries import Registry
from halocline.consume.known_queues import SAY_KNOWN_AS, may_clash
from halocline.consume.letters.dead_letters import identity_of, place_of
from halocline.consume.letters.quarantine import Quarantine
from halocline.consume.limits import Limits
from halocline.consume.stores import open_store
from halocline.consume.topics.event_settings import EventSettings
from halocline.consume.topics.subscription import Wish
from halocline.consume.watching.counts import Counts
from halocline.consume.watching.guard import guarded
from halocline.consume.watching.observer import Named, Observer
from halocline.consume.work.signals import heard
from halocline.consume.work.worker import Worker
from halocline.errors import FixConfig
from halocline.flows.listen import ListenFlow
from halocline.flows.listening import unnamed
from halocline.idempotency import IdempotencyStore
from halocline.queues import Identified, Queue, beside, is_fifo, name_of

_NO_KEY = "halocline:is-there"


@dataclass(frozen=True, slots=True)
class Post:
    """A flow of the kind listen, by its name, with its handlers; `said` are the settings of the client that has them, and hold
    for what the flow leaves open.
    """

    name: str
    flow: ListenFlow
    handlers: Handlers
    said: EventSettings | None = None

    @classmethod
    def at(cls, place: str, found: Registry, *, queue: str | None, topics: Sequence[str] = (), store: str | None = None) -> Self:
        """The post of handlers that were found at `place`, which no file of flows has. A client's go by the INIESTA_* settings.

        Raises: as `unnamed` of flows, and `EventSettings`.
        """
        known = queue or found.queue
        if not found.of_client:
            return cls(place, unnamed(place, queue=known, topics=topics, store=store), found.handlers)
        said = EventSettings.from_env()
        access = {"endpoint": said.sqs_endpoint_url, "region": said.region}
        return cls(place, unnamed(place, queue=known or said.queue, topics=topics, store=store, **access), found.handlers, said)

    @property
    def queue(self) -> str:
        """What the queue is known by: its name, unless the flow says otherwise."""
        return self.flow.known

    def open(self) -> Queue:
        """The queue. Raises: as `beside`."""
        return self.beside(self.flow.queue)

    def beside(self, place: str) -> Queue:
        """Another queue, in the same account and region, with the same access and the same bucket of large messages.

        Raises: NotFound, FixConfig, MissingExtra; what asking for it raises.
        """
        given: dict[str, Any] = {} if self.flow.offload is None else {"offload": self.flow.offload}
        return registry.open_queue(beside(self.flow.queue, place), **self.flow.access(), **given)

    @property
    def store(self) -> str | None:
        """Where what was handled is remembered, as `open_store` takes it."""
        return self.said.store() if self.flow.store is None and self.said is not None else self.flow.store

    def limits(self, *, records: bool) -> Limits:
        """The worker's limits."""
        limits = self.flow.limits()
        retries = Backoff(**limits.pop("retries"))
        if self.said is not None:
            limits |= {
                "batch": min(Limits().batch, self.said.max_messages),
                "lease_s": limits["lease_s"] or self.said.lock_timeout_s,
            }
        return Limits(**limits, retries=retries, fifo=is_fifo(name_of(self.flow.queue)), records=records)

    def wish(self) -> Wish:
        """What the queue is to get, as its flow says. Raises: FixConfig where the flow names no topic; as `Wish`."""
        flow = self.flow
        topics = flow.topics or ((self.said.topic_arn,) if self.said and self.said.topic_arn else ())
        if not topics:
            hint = "Write `topics:` into the flow, or give --topic."
            raise FixConfig(f"Planning the subscription of {self.name}", "no topic is named", hint=hint)
        dead_letters = flow.dead_letters or ""
        own = "" if "://" in dead_letters else dead_letters
        return Wish.of(
            self.handlers,
            queue=flow.queue,
            topics=topics,
            filter_by=flow.filter_by,
            raw=flow.raw,
            dead_letters=own,
            max_receives=flow.max_receives,
        )


def labels(posts: Sequence[Post]) -> list[str]:
    """What each post's worker is called where it is watched: its queue, and its flow where two queues have that name."""
    names = [post.queue for post in posts]
    return [post.queue if names.count(post.queue) == 1 else post.name for post in posts]


@dataclass(frozen=True, slots=True)
class Ended:
    """How listening to one queue ended: what came to pass, and the error where it ended by itself."""

    name: str
    queue: str
    counts: Counts
    error: BaseException | None = None


@dataclass(slots=True)
class Listening:
    """Workers for posts. One that ends by itself (its queue is gone, a right was taken away) ends no other: health tells of it,
    and so does what `run` returns.

    Posts whose flows name the same store share it.
    """

    posts: Sequence[Post]
    observer: Observer
    settings: Settings
    _workers: dict[str, Worker] = field(default_factory=dict)
    _stores: dict[str | None, IdempotencyStore | None] = field(default_factory=dict)
    _shared: dict[tuple[str, object], str] = field(default_factory=dict)

    def run(self) -> list[Ended]:
        """Listen until SIGTERM or SIGINT, or until no worker is left; SIGTERM again hands everything back at once.

        Raises: what opening and asking queues and stores raises (RetryLater: a store does not answer), before any worker has
        begun; FixConfig for one queue twice.
        """
        with ExitStack() as stack:
            queues = [post.open() for post in self.posts]
            self._refuse_twice(queues)
            observer = guarded(self.observer)
            seen_by = [Named(observer, label) for label in labels(self.posts)]
            made = [
                self._worker(post, queue, stack, observer=named)
                for post, queue, named in zip(self.posts, queues, seen_by, strict=True)
            ]
            self._workers = {post.name: worker for post, worker in zip(self.posts, made, strict=True)}
            with heard(self.stop, self.stop_now):
                self._start(made)
                for worker in made:
                    worker.join()
        return [
            Ended(post.name, post.queue, worker.counts, worker.failure) for post, worker in zip(self.posts, made, strict=True)
        ]

    def stop(self) -> None:
        """Let every worker drain and end."""
        for worker in list(self._workers.values()):
            worker.stop()

    def stop_now(self) -> None:
        """Let every worker hand back what it has, and end."""
        for worker in list(self._workers.values()):
            worker.stop_now()

    def _start(self, workers: Sequence[Worker]) -> None:
        """Start all, or none: where one cannot be, those that were started hand back what they have."""
        for number, worker in enumerate(workers):
            try:
                worker.start()
            except BaseException:
                for started in workers[:number]:
                    started.stop_now()
                    started.join()
                raise

    def _worker(self, post: Post, queue: Queue, stack: ExitStack, *, observer: Observer) -> Worker:
        store = self._store(post.store, stack)
        aside = place_of(queue, post.flow.dead_letters, name=post.queue, home=self.settings.home, open_queue=post.beside)
        if store is not None and may_clash(post.handlers):
            self._refuse_shared(post, id(store), "what was handled is remembered by that name in one idempotency store")
        self._refuse_shared(post, self._place(post, aside), "what is set aside goes to one place, and is told apart by that name")
        return Worker(
            queue,
            post.handlers,
            store=store,
            limits=post.limits(records=store is not None),
            dead_letters=aside,
            observer=observer,
            rebuild=post.open,
            name=post.queue,
        )

    def _store(self, place: str | None, stack: ExitStack) -> IdempotencyStore | None:
        if place not in self._stores:
            store = self._stores[place] = open_store(place, settings=self.settings)
            if store is not None:
                stack.callback(store.close)
                store.look([_NO_KEY])  # one that does not answer is told before any message is received
        return self._stores[place]

    def _place(self, post: Post, aside: Queue) -> object:
        """What tells a place of dead letters from others."""
        return aside.folder.resolve() if isinstance(aside, Quarantine) else (post.flow.endpoint, identity_of(aside))

    def _refuse_shared(self, post: Post, shared: object, why: str) -> None:
        other = self._shared.setdefault((post.queue, shared), post.name)
        if other != post.name:
            cause = f"{other} and {post.name} listen to two queues that are both known as {post.queue}: {why}"
            raise FixConfig("Listening", cause, hint=SAY_KNOWN_AS)

    def _refuse_twice(self, queues: Sequence[Queue]) -> None:
        seen: dict[tuple[str | None, object], str] = {}
        for post, queue in zip(self.posts, queues, strict=True):
            known = queue.identity() if isinstance(queue, Identified) else post.flow.queue  # asked also for whether it is there
            other = seen.setdefault((post.flow.endpoint, known), post.name)
            if other != post.name:
                name = name_of(post.flow.queue)
                cause = f"{other} and {post.name} listen to the same queue {name}: each would get some of its messages"
                raise FixConfig("Listening", cause, hint="Register all handlers of a queue in one place.")
