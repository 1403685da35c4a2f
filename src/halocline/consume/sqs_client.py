"""SQSClient: the queue of a service with the handlers of its events, registered on the class.

    @SQSClient.handler("UserUpdated.user")
    def user_updated(message): ...

    client = await SQSClient.initialize(queue_name="users")
    await client.run_async()

A class is of one queue. For another queue there is another class, or a `Handlers` of its own:

    class Orders(SQSClient):
        queue_name = "orders"
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, overload

from halocline.config import Settings
from halocline.consume.arguments import refuse_other
from halocline.consume.handling.following import followed
from halocline.consume.handling.handlers import Handlers
from halocline.consume.handling.message import Message, delivery_of
from halocline.consume.handling.sqs_message import SQSMessage
from halocline.consume.kept_store import KeptStore
from halocline.consume.known_queues import identity_known
from halocline.consume.letters.dead_letters import identity_of, place_of, refuse_unfit
from halocline.consume.limits import Limits
from halocline.consume.topics.event_settings import EventSettings
from halocline.consume.topics.subscription import Wish, plan
from halocline.consume.watching.counts import Counts
from halocline.consume.watching.logs import Logs
from halocline.consume.watching.observer import Observer
from halocline.consume.work.attempt import Attempts, End
from halocline.consume.work.thread_call import ThreadCall
from halocline.consume.work.worker import Worker
from halocline.errors import FixConfig, RetryLater, SetAside
from halocline.idempotency import IdempotencyStore
from halocline.pointers import Follows
from halocline.queues import Delivery, Queue, is_fifo, name_of
from halocline.registry import open_offload, open_queue, open_subscriptions

Function = TypeVar("Function", bound=Callable[..., Any])


class Registering(Protocol):
    """`Handlers.handler`, as classes and clients offer it."""

    @overload
    def __call__(self, event: Function) -> Function: ...

    @overload
    def __call__(self, event: str | Iterable[str] | None = None) -> Callable[[Function], Function]: ...


class _Registry:
    """The handlers of a class; those of a client, where it is asked."""

    def __get__(self, client: SQSClient | None, owner: type[SQSClient]) -> Handlers:
        return owner._of_class if client is None else client._of_client


class _Handler:
    """The decorator of a class or a client."""

    def __get__(self, client: SQSClient | None, owner: type[SQSClient]) -> Registering:
        return (owner if client is None else client).handlers.handler


class _AddHandler:
    """The decorator's plain form."""

    def __get__(self, client: SQSClient | None, owner: type[SQSClient]) -> Callable[..., None]:
        return (owner if client is None else client).handlers.add_handler


class SQSClient:
    """Receives the messages of a queue and calls the handler of each one's event, once.

    What is not given is what the settings say (INIESTA_*): `queue_name` (a name or a URL), `endpoint_url`, `region_name`,
    `lock_timeout` (seconds for which a claim is held, renewed as long as the handler runs), and what `limits` leave. `handlers`
    are those of the class. `store` remembers what was handled: a store or its address; "" for HALOCLINE_IDEMPOTENCY, else
    INIESTA_CACHES, else the ledger; None for none. `dead_letters` (a queue, its name or URL, or `file:///folder`) is where
    messages that cannot be handled are set aside; without it, where the queue's own policy puts them, else a folder. `queue` is
    one that is open already. `known_as` is what messages are remembered by, and set aside for (None: the queue's name): for the
    newer of two queues of one name, in two regions or accounts. `observer` is told what happens (None: it is logged). `offload`
    is the bucket of large messages, those that are set aside too, or an `Offload`; a `queue` that is open has its own.

    Raises: FixConfig for handlers, a store, dead letters, a queue or a bucket that are something else, and for a `queue` with
    `offload`.

    A store that is opened by its address is kept for all messages, until `aclose`, the end of `async with`, or the stop.
    """

    queue_name: str | None = None
    says: tuple[str, ...] = ()
    """What a client was given beside its handlers and its queue's name: who makes another worker of these leaves it out."""
    handlers = _Registry()
    handler = _Handler()
    add_handler = _AddHandler()
    _of_class = Handlers()
    _taken_by: str | None = None  # the queue that the class's handlers are for, once one of them was started

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._of_class = Handlers()
        cls._taken_by = None

    def __init__(
        self,
        *,
        queue_name: str | None = None,
        endpoint_url: str | None = None,
        region_name: str | None = None,
        lock_timeout: float | None = None,
        handlers: Handlers | None = None,
        store: IdempotencyStore | str | None = "",
        dead_letters: Queue | str | None = None,
        limits: Limits | None = None,
        observer: Observer | None = None,
        queue: Queue | None = None,
        known_as: str | None = None,
        offload: Follows | str | None = None,
    ) -> None:
        given = {"store": store, "dead_letters": dead_letters, "offload": offload} | ({} if queue is None else {"queue": queue})
        others = {name: one for name, one in given.items() if not isinstance(one, str) or name == "queue"}
        refuse_other("Making a client of a queue", handlers=type(self).handlers if handlers is None else handlers, **others)
        if queue is not None and offload is not None:
            hint = "Open the queue with it: halocline.registry.open_queue(name or URL, offload=...)."
            raise FixConfig("Making a client of a queue", "offload is given with a queue that is open already", hint=hint)
        said = EventSettings.from_env()
        self._said = said
        more: dict[str, object] = {
            "endpoint_url": endpoint_url,
            "region_name": region_name,
            "lock_timeout": lock_timeout,
            "limits": limits,
        }
        more |= {"store": "none" if store is None else store or None, "dead_letters": dead_letters}
        more |= {"observer": observer, "queue": queue}
        more |= {"known_as": known_as, "offload": offload}
        self.says = tuple(name for name, value in more.items() if value is not None)
        self._of_client = type(self).handlers if handlers is None else handlers
        self._is_own = handlers is None  # of the class
        self._settings = {"endpoint_url": endpoint_url or said.sqs_endpoint_url, "region_name": region_name or said.region}
        self._lock_timeout = lock_timeout or said.lock_timeout_s
        self._store = KeptStore(partial(_opened, store, said), closes=isinstance(store, str))
        self._dead_letters = dead_letters
        self._limits = limits
        self._observer = Logs() if observer is None else observer
        self._queue = queue
        self._large = getattr(queue, "offload", None) if offload is None else offload
        own = None if queue is None else getattr(queue, "name", None)
        self._place = str(queue_name or own or self.default_queue_name())
        self.queue_name = name_of(self._place)
        self._known = known_as or self.queue_name
        self._worker: Worker | None = None
        self._at_work: ExitStack | None = None
        self._one_by_one: tuple[IdempotencyStore | None, Attempts] | None = None
        self._lock = threading.Lock()

    @classmethod
    async def initialize(
        cls, *, queue_name: str | None = None, endpoint_url: str | None = None, region_name: str | None = None, **more: Any
    ) -> Self:
        """A client whose queue is there; `more` as for the class.

        Raises: NotFound where there is no queue of that name, FixConfig where no setting says the name.
        """
        client = cls(queue_name=queue_name, endpoint_url=endpoint_url, region_name=region_name, **more)
        await asyncio.to_thread(lambda: client.queue)
        return client

    @classmethod
    def default_queue_name(cls) -> str:
        """The queue of this class, or the one that the settings name.

        Raises: FixConfig where neither says it.
        """
        return cls.queue_name or EventSettings.from_env().queue

    @property
    def queue(self) -> Queue:
        """The queue, opened when it is first needed.

        Raises: NotFound where it is not there.
        """
        if self._queue is None:
            self._queue = self._open()
        return self._queue

    @property
    def filters(self) -> dict[str, Any]:
        """The filter policy that delivers just what is handled; empty where everything is."""
        return self.handlers.filters()

    # ---- the worker

    def start_receiving_messages(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin, and return: async handlers are tasks of `loop` (None: the running one), others run in threads.

        Raises: FixConfig where it was begun before and not stopped, and for handlers that are another queue's.
        """
        if self._worker is not None and not self._worker.join(0):
            raise FixConfig(self._doing, "it is receiving already", hint="await client.stop_receiving_messages() first.")
        self._release()  # what one that ended by itself had
        self._check()
        with ExitStack() as stack:
            stack.callback(self._store.close)
            worker = self._made(stack.enter_context(self._store.used()))
            worker.start(loop=loop or _running_loop())
            self._at_work = stack.pop_all()
        self._worker = worker

    async def stop_receiving_messages(self) -> Counts:
        """Let handlers end, hand back what has not begun, and tell what came to pass.

        Raises: why it ended before by itself: the queue is gone, a right was taken away.
        """
        if self._worker is None:
            raise FixConfig(self._doing, "it is not receiving", hint="Call client.start_receiving_messages() first.")
        self._worker.stop()
        await asyncio.to_thread(self._worker.join)
        self._release()
        return self._worker.result()

    async def aclose(self) -> None:
        """Stop receiving, where it does, and close the store that was opened here, when nobody is at work with it any more."""
        if self._worker is not None:
            self._worker.stop()
            await asyncio.to_thread(self._worker.join)
        self._release()
        self._store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    @property
    def counts(self) -> Counts:
        """What came to pass since it began to receive; nothing before."""
        return Counts() if self._worker is None else self._worker.counts

    def run(self) -> Counts:
        """Receive until SIGTERM or SIGINT, and tell what came to pass.

        Raises: as `stop_receiving_messages`.
        """
        with ExitStack() as stack:
            stack.callback(self._store.close)
            self._worker = self._made(stack.enter_context(self._store.used()))
            return self._worker.run()

    async def run_async(self) -> Counts:
        """Likewise, with async handlers as tasks of the running loop. To cancel it is to stop.

        Raises: as `run`.
        """
        with ExitStack() as stack:
            stack.callback(self._store.close)
            self._worker = await asyncio.to_thread(lambda: self._made(stack.enter_context(self._store.used())))
            return await self._worker.run_async()

    # ---- one message

    async def handle_message(self, message: object) -> tuple[Message, Any]:
        """Handle one message that somebody else received, once, and return it with what its handler returned (None where it was
        handled before). To delete it is the caller's: what came back was handled. Async handlers run on the running loop.

        `message` is a `Delivery`, or what boto3 or Lambda make of one. A large one is followed to its body; by the
        `receipt_handle` of what is returned, `queue.delete` deletes its object too. Raises: why it was not handled; SetAside,
        with that as its cause and that handle among its `facts`, where it is kept elsewhere and is to be deleted.
        """
        delivery = message if isinstance(message, Delivery) else delivery_of(message)
        queue = self._known
        self._check()
        attempts, delivery, release = await ThreadCall(lambda _: self._used(delivery), late=lambda used: used[-1]()).done()
        found = await attempts.attempt_async(delivery, after=release)
        self._take()
        if found.end is End.ASIDE:
            doing = f"Handling the message {delivery.id} of {queue}"
            raise SetAside(doing, "it is kept elsewhere", hint="Delete it.", receipt_handle=delivery.handle) from found.error
        if isinstance(found.error, SystemExit):  # it ends a message, and not the event loop of whoever called
            raise RetryLater(f"Handling the message {delivery.id} of {queue}", "its handler raised SystemExit") from found.error
        if found.error is not None and found.end is not End.DONE:
            raise found.error
        return self.handlers.message(delivery, queue), found.result

    def _used(self, delivery: Delivery) -> tuple[Attempts, Delivery, Callable[[], object]]:
        """What handles single messages, this one with its body, and what says that it does so no more: the store is open until
        then.
        """
        with ExitStack() as stack:
            attempts = self._attempts(stack.enter_context(self._store.used()))
            if isinstance(self._large, str):
                self._large = open_offload(self._large, **self._settings)
            return attempts, followed(delivery, self._large), stack.pop_all().close

    def _attempts(self, store: IdempotencyStore | None) -> Attempts:
        """What handles single messages: one for all, for it knows what was set aside."""
        with self._lock:
            if self._one_by_one is None or self._one_by_one[0] is not store:
                aside = None if self._dead_letters is None else self._aside()
                identity = "" if self._queue is None else identity_known(self._queue)
                attempts = Attempts(
                    self.handlers,
                    queue=self._known,
                    store=store,
                    limits=self._filled(store),
                    dead_letters=aside,
                    identity=identity,
                )
                self._one_by_one = store, attempts
            return self._one_by_one[1]

    def create_message(self, message: object, *, event: str | None = None, **more: Any) -> SQSMessage:
        """A message to this queue: `await client.create_message({"id": 17}, event="Order.placed").send()`.

        `more` are `delay_s`, `group`, `dedupe`, and attributes.
        Raises: FixConfig for what cannot be written.
        """
        return SQSMessage.of(self.queue, message, event=event, event_key=self.handlers.event_key, **more)

    async def confirm_subscription(self, topic_arn: str | None = None, *, filter_by: str = "attribute") -> None:
        """Look whether the queue gets from the topic just what is handled, and the topic may send to it; nothing is changed.

        `topic_arn` None: INIESTA_SNS_PRODUCER_GLOBAL_TOPIC_ARN. `filter_by` is that of `Wish`.
        Raises: FixConfig telling what is otherwise; NotFound.
        """
        topic = topic_arn or self._said.topic_arn
        if topic is None:
            raise FixConfig("Looking at a subscription", "no topic is named", hint="Give topic_arn=.")
        wish = Wish.of(self.handlers, queue=self._place, topics=[topic], filter_by=filter_by)
        planned = await asyncio.to_thread(lambda: plan(wish, open_subscriptions(**self._settings)))
        if not planned.is_met:
            hint = "`halocline listen --apply` makes it so."
            raise FixConfig(f"Looking at the subscription of {self.queue_name}", "\n".join(planned.lines()), hint=hint)

    # ---- what it is made of

    @property
    def _doing(self) -> str:
        return f"Receiving from the queue {self.queue_name}"

    def _take(self) -> None:
        """Take the class's handlers for this queue, which is known to be there."""
        if self._is_own:
            type(self)._taken_by = self.queue_name

    def _check(self) -> None:
        """Raises: FixConfig where the class's handlers are another queue's: its events would be handled here as well; and where
        there are none.
        """
        owner = type(self)
        if not self.handlers.events and not self.handlers.has_default:
            hint = "Import the modules that register them before."
            raise FixConfig(self._doing, f"no handler is registered with {owner.__name__}", hint=hint)
        if not self._is_own:
            return
        if owner._taken_by not in (None, self.queue_name):
            cause = f"the handlers of {owner.__name__} are those of the queue {owner._taken_by}"
            hint = f"Make a subclass for each queue, or give handlers=: {owner.__name__}.handlers for the same ones."
            raise FixConfig(self._doing, cause, hint=hint)

    def _made(self, store: IdempotencyStore | None) -> Worker:
        self._check()
        queue, aside = self.queue, self._aside()
        self._take()
        return Worker(
            queue,
            self.handlers,
            store=store,
            limits=self._filled(store),
            dead_letters=aside,
            observer=self._observer,
            rebuild=self._open,
            name=self._known,
        )

    def _filled(self, store: IdempotencyStore | None) -> Limits:
        """The limits: what the settings say where they leave it, and what queue and store are."""
        given = self._limits or Limits()
        fifo = is_fifo(self._place) if self._queue is None else bool(getattr(self._queue, "is_fifo", False))
        lease_s = self._lock_timeout if given.lease_s is None else given.lease_s
        batch = min(given.batch, self._said.max_messages)
        return replace(given, batch=batch, lease_s=lease_s, fifo=fifo, records=store is not None)

    def _open(self) -> Queue:
        return open_queue(self._place, offload=self._large, **self._settings)

    def _aside(self) -> Queue:
        given = self._dead_letters
        if given is not None and not isinstance(given, str):
            known = name_of(self._place)
            refuse_unfit(given, name=known, fifo=is_fifo(known), identity=lambda: identity_of(self.queue))
            return given

        def opened(place: str) -> Queue:
            return open_queue(place, offload=self._large, **self._settings)

        home = Settings.from_env().home
        return place_of(self.queue, given, name=self._known, home=home, open_queue=opened)

    def _release(self) -> None:
        """Nobody receives any more: close the store, when its last user is through."""
        at_work, self._at_work = self._at_work, None
        if at_work is not None:
            at_work.close()


def _opened(given: IdempotencyStore | str | None, said: EventSettings) -> IdempotencyStore | None:
    if not isinstance(given, str):
        return given
    from halocline.consume.stores import open_store  # drivers are loaded when they are needed

    return open_store(given or said.store())


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
