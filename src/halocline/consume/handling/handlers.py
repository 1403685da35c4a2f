"""Handlers: which function is called for which event, for the messages of one queue.

handlers = Handlers()

@handlers.handler("User.updated")      # that event
@handlers.handler(["A.b", "A.c"])      # any of these
@handlers.handler("Order.*")           # every event that begins so; the longest beginning counts
@handlers.handler                      # every other message: the default handler
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar, overload

from halocline.claims import KEPT_S
from halocline.config import variables
from halocline.consume.flight.orders import Arrival, Then
from halocline.consume.handling.context import Context
from halocline.consume.handling.handler import Handler
from halocline.consume.handling.message import EVENT_KEY, Message
from halocline.consume.handling.methods import Method, in_class_body, is_method
from halocline.consume.work.own_loop import OwnLoop
from halocline.errors import BadMessage, FixConfig, LeaseLost, Unreadable
from halocline.plain import writable
from halocline.queues import Delivery

Function = TypeVar("Function", bound=Callable[..., Any])

UNREADABLE_TRIES = (
    3  # deliveries of a body that cannot be read, before it is set aside: during a rollout a newer worker may know it
)
_DIGEST_DIGITS = 32
_MAKING = "Making handlers"


class Unknown(StrEnum):
    """What becomes of a message whose event nobody handles: set aside, deleted, left to its visibility, or tried as any error."""

    SET_ASIDE = "set_aside"
    IGNORE = "ignore"
    LEAVE = "leave"
    ERROR = "error"
    BURY = SET_ASIDE  # its older name

    @classmethod
    def _missing_(cls, value: object) -> Unknown | None:
        return cls.SET_ASIDE if value == "bury" else None


_OF_UNKNOWN = {Unknown.SET_ASIDE: Then.BURY, Unknown.IGNORE: Then.IGNORE, Unknown.LEAVE: Then.LEAVE, Unknown.ERROR: Then.RETRY}


class UnknownEvent(BadMessage, KeyError):
    """Nobody handles this event, and there is no default handler. `event` is its name."""

    event = ""


@dataclass(frozen=True, slots=True)
class Routes:
    """What is registered, made for looking up."""

    event_key: str
    exact: dict[str, Handler]
    prefixes: tuple[tuple[str, Handler], ...]  # the longest first
    default: Handler | None
    kinds: frozenset[bool]
    """Whether handlers are async: of two kinds only where some are and some are not."""

    def find(self, event: str) -> Handler | None:
        """The handler of an event ("": none)."""
        found = self.exact.get(event)
        if found is None and event:
            found = next((handler for prefix, handler in self.prefixes if event.startswith(prefix)), None)
        return found or self.default


class Handlers:
    """The handlers of one queue. Two of these share nothing.

    `event_key` is the attribute that names a message's event (None: INIESTA_SNS_EVENT_KEY, or `iniesta_pass`). `unknown` is what
    becomes of messages that nobody handles. `key` makes of a message what it is remembered by within its queue, so that it is
    handled once: by default the id that the queue gave it. `across_queues`: one key is one message in all queues and functions
    that share a store. `compare` makes of a message what must be equal under one key.

    Raises: FixConfig for `across_queues` without `key`: an id is a queue's own; for a `key` or `compare` that is no function, or
    an async one, and an `event_key` that is no text: each message would fail by it.
    """

    def __init__(
        self,
        *,
        event_key: str | None = None,
        unknown: Unknown | str = Unknown.SET_ASIDE,
        key: Callable[[Message], str] | None = None,
        across_queues: bool = False,
        compare: Callable[[Message], object] | None = None,
    ) -> None:
        self.unknown = Unknown(unknown)
        refuse_no_function("key", key)
        refuse_no_function("compare", compare)
        named: object = event_key
        if named is not None and not (isinstance(named, str) and named):
            hint = "Give the name of the attribute that names a message's event, or leave it out."
            raise FixConfig(_MAKING, f"event_key is {named!r}, no name of an attribute", hint=hint)
        self.key = key
        self.across_queues = across_queues
        self.compare = compare
        self._event_key = event_key
        if across_queues and key is None:
            hint = "Give key=, which makes of a message what it is remembered by."
            raise FixConfig(_MAKING, "a message's id means nothing in another queue", hint=hint)
        self._handlers: dict[str | None, Handler] = {}
        self._routes: Routes | None = None

    # ---- registering

    @overload
    def handler(self, event: Function) -> Function: ...

    @overload
    def handler(self, event: str | Iterable[str] | None = None) -> Callable[[Function], Function]: ...

    def handler(self, event: Any = None) -> Any:
        """Decorate a function to be called for an event, a list of events, every event with a beginning (`"Order.*"`), or, where
        none is given, for every message that has no other handler. Methods are called on one instance of their class.

        Raises: ValueError for an event that has a handler, and for a function that cannot receive a message; for a method whose
        first parameter is not called `self` or `cls`, `prepare` raises it.
        """
        here = inspect.currentframe()
        in_class = in_class_body(here and here.f_back)
        if callable(event) or isinstance(event, (staticmethod, classmethod)):
            return self._decorated(event, None, in_class=in_class)
        return lambda function: self._decorated(function, event, in_class=in_class)

    def add_handler(self, func: Callable[..., Any], event: str | Iterable[str] | None = None) -> None:
        """Have a function called, as `handler` does: also a method of an instance (`add_handler(obj.method, "A.b")`).

        Raises: as `handler`.
        """
        events = _events(event)
        known = [one for one in events if one in self._handlers]
        if known:
            what = f"the event {known[0]!r}" if known[0] is not None else "all other messages"
            raise ValueError(f"{self._handlers[known[0]].name} handles {what} already")
        found = Handler(func)
        self._handlers.update(dict.fromkeys(events, found))
        self._routes = None

    def _decorated(self, function: Any, event: str | Iterable[str] | None, *, in_class: bool) -> Any:
        registered = Method(function) if in_class or is_method(function) else function
        self.add_handler(registered, event)
        return registered

    def prepare(self) -> None:
        """Make what handlers need before the first message: the instances of classes whose methods are registered.

        Raises: FixConfig for handlers that cannot be called, and for a constructor that raised.
        """
        for handler in dict.fromkeys(self._handlers.values()):
            handler.prepare()

    def examine(self) -> None:
        """Find out whether every handler can be called for messages; no instance of a class is made.

        Raises: FixConfig for one that cannot.
        """
        for handler in dict.fromkeys(self._handlers.values()):
            handler.examine()

    # ---- looking up

    @property
    def event_key(self) -> str:
        """The attribute that names a message's event."""
        return self._table().event_key

    @property
    def events(self) -> tuple[str, ...]:
        """The events that have a handler, as they were registered."""
        return tuple(event for event in self._handlers if event is not None)

    @property
    def aside_s(self) -> float | None:
        """For how long a message that is set aside is remembered as such: one of your own `key` until somebody lets it go (None),
        else no longer than a queue can bring its id again.
        """
        return KEPT_S if self.key is None else None

    @property
    def has_default(self) -> bool:
        """Whether there is a handler for messages that have no other."""
        return None in self._handlers

    def filters(self) -> dict[str, list[str | dict[str, str]]]:
        """The filter policy of a subscription that delivers just what is handled; empty where that is everything.

        Source: https://docs.aws.amazon.com/sns/latest/dg/string-value-matching.html, read November 2026.
        """
        if self.has_default or not self._handlers:
            return {}
        return {self.event_key: [{"prefix": one[:-1]} if one.endswith("*") else one for one in sorted(self.events)]}

    def message(self, delivery: Delivery, queue: str = "") -> Message:
        """The message of a delivery of the named queue."""
        return Message.of(delivery, event_key=self._table().event_key, queue=queue)

    def route(self, message: Message) -> Handler:
        """The handler of a message: that of its event, else the default one.

        Raises: UnknownEvent, a KeyError, where there is none.
        """
        found = self._table().find(message.event)
        if found is None:
            cause = f"nobody handles the event {message.event!r}" if message.event else f"it has no attribute {self.event_key!r}"
            hint = f"Register a handler for it, or a default one; handled are {', '.join(self.events) or 'none'}."
            unknown = UnknownEvent(f"Handling the message {message.id} of {message.queue or 'a queue'}", cause, hint=hint)
            unknown.event = message.event
            raise unknown
        return found

    def arrival(self, delivery: Delivery, queue: str = "", *, within: str | None = None) -> Arrival:
        """A delivery with what it is remembered by, and the group whose order is kept.

        `within` is whose message it is, where the queue's name does not say it (None: it does): of a topic, each function that
        gets its messages is one.
        """
        group, within = delivery.group or "", queue if within is None else within
        if self.key is None and self.compare is None and delivery.id:
            return Arrival(delivery, f"{within}/{delivery.id}", group=group)
        try:
            key, payload = self._key_of(self.message(delivery, queue))
        except _RaisedError as raised:
            return Arrival(delivery, "", group=group, error=raised.error, raised=raised.by)
        except Exception as error:  # noqa: BLE001 - the error goes with the delivery, whatever it is
            return Arrival(delivery, "", group=group, error=error)
        return Arrival(delivery, key if self.across_queues else f"{within}/{key}", payload, group)

    def _key_of(self, message: Message) -> tuple[str, str]:
        message.refuse_missing()
        payload = "" if self.compare is None else payload_of(_answered("compare", self.compare, message))
        if self.key is None:
            if not message.id:
                raise Unreadable("Finding the key of a message", "it has no id")
            return message.id, payload
        key = _answered("key", self.key, message)
        if not isinstance(key, str) or not key:
            raise Unreadable(f"Finding the key of the message {message.id}", f"the key function made {key!r} of it, no text")
        return key, payload

    def _table(self) -> Routes:
        if self._routes is None:
            handlers = dict(self._handlers)
            default = handlers.pop(None, None)
            exact = {event: handler for event, handler in handlers.items() if event is not None and not event.endswith("*")}
            prefixes = [(event[:-1], handler) for event, handler in handlers.items() if event is not None and event.endswith("*")]
            kinds = frozenset(handler.is_async for handler in self._handlers.values())
            event_key = self._event_key or variables("INIESTA_").get("SNS_EVENT_KEY") or EVENT_KEY
            self._routes = Routes(event_key, exact, tuple(sorted(prefixes, key=lambda one: -len(one[0]))), default, kinds)
        return self._routes

    # ---- running

    @property
    def has_async(self) -> bool:
        """Whether any handler is an async function."""
        return True in self._table().kinds

    def is_async(self, delivery: Delivery) -> bool:
        """Whether the handler of a delivery is an async function; no where it has none."""
        table = self._table()
        if len(table.kinds) < 2:  # no message need be read for it
            return self.has_async
        found = table.find(self.message(delivery).event)
        return found is not None and found.is_async

    def call(self, message: Message, context: Context, *, loop: OwnLoop | None = None) -> Any:
        """What the handler of a message returns; an async one is run to its end, on `loop` (None: on one that ends with it).

        Raises: UnknownEvent; Unreadable, also for a large body that could not be fetched; FixConfig for an async handler where an
        event loop is running already; what the handler raised.
        """
        handler = self.handler_of(message)
        answer = handler.call(message, context)
        if not inspect.isawaitable(answer):
            return answer
        if loop is not None:
            return handler.awaited(loop.run(answer))
        with OwnLoop() as one:
            return handler.awaited(one.run(answer))

    def handler_of(self, message: Message) -> Handler:
        """The handler that is called for a message.

        Raises: UnknownEvent; Unreadable for a large body that could not be fetched.
        """
        message.refuse_missing()
        return self.route(message)

    async def call_async(self, message: Message, context: Context) -> Any:
        """Likewise, on the running loop; a handler that is no async function is run in a thread, so that it holds up nobody. A
        thread cannot be cancelled: where this is, the handler is told by its lease.
        """
        handler = self.handler_of(message)
        if handler.is_async:
            answer = handler.call(message, context)
        else:
            try:
                answer = await asyncio.to_thread(handler.call, message, context)
            except asyncio.CancelledError:
                context.lease.lose("who waited for it was cancelled, and gives its message back")
                raise
        return handler.awaited(await answer) if inspect.isawaitable(answer) else answer

    def run(self, delivery: Delivery, context: Context) -> str:
        """Handle a delivery, and return the hash of the result ("": there is none). Where the context has no key, as in tests,
        the handler's has that of the message.

        Raises: as `call`. `then` says what is to become of the message.
        """
        return digest_of(self.call(self.message(delivery, context.queue), self._keyed(delivery, context)))

    async def run_async(self, delivery: Delivery, context: Context) -> str:
        """Likewise, on the running loop."""
        return digest_of(await self.call_async(self.message(delivery, context.queue), self._keyed(delivery, context)))

    def _keyed(self, delivery: Delivery, context: Context) -> Context:
        return context if context.key else replace(context, key=self.arrival(delivery, context.queue).key)

    def then(self, error: BaseException, delivery: Delivery) -> Then:
        """What becomes of a message after an error."""
        if isinstance(error, UnknownEvent):
            return _OF_UNKNOWN[self.unknown]
        if isinstance(error, Unreadable):
            return Then.BURY if delivery.receives >= UNREADABLE_TRIES else Then.RETRY
        if isinstance(error, BadMessage):
            return Then.BURY
        return Then.LEAVE if isinstance(error, LeaseLost) else Then.RETRY


class _RaisedError(Exception):
    """A function of the user's raised; `by` names it."""

    def __init__(self, by: str, error: BaseException) -> None:
        super().__init__(by)
        self.by, self.error = by, error


def _answered(by: str, function: Callable[[Message], object], message: Message) -> object:
    """Raises: _RaisedError; Unreadable, as the message's own, for a body that the function asked for."""
    try:
        return function(message)
    except Unreadable:
        raise
    except (Exception, SystemExit) as error:  # it may raise anything
        raise _RaisedError(by, error) from error


def refuse_no_function(name: str, given: object) -> None:
    """Raises: FixConfig for what cannot be called for a message, and what returns something to await."""
    if given is None:
        return
    hint = f'Give a function of the message: Handlers({name}=lambda message: message.body["id"]).'
    if not callable(given):
        raise FixConfig(_MAKING, f"{name} is {type(given).__name__}, no function", hint=hint)
    if any(map(inspect.iscoroutinefunction, (given, getattr(given, "__call__", None)))):  # noqa: B004 - whether a call returns one
        raise FixConfig(_MAKING, f"the {name} function is async, and nobody waits for it", hint=hint)


def digest_of(result: object) -> str:
    """The hash of a handler's result, equal for equal results of any process; "" for None, and for what cannot be told."""
    if result is None:
        return ""
    try:
        told = json.dumps(result, default=_told, sort_keys=True)
    except (TypeError, ValueError, RecursionError):  # the handler did its work; a result of odd form changes nothing of that
        return ""
    return hashlib.sha256(told.encode()).hexdigest()[:_DIGEST_DIGITS]


def payload_of(value: object) -> str:
    """The hash of what a key stands for, None as well: equal for equal values of any process.

    Raises: Unreadable for what cannot be compared so.
    """
    try:
        told = json.dumps(value, default=_comparable, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        cause = f"what its key stands for cannot be compared ({type(error).__name__}: {error})"
        raise Unreadable("Finding the key of a message", cause) from error
    return hashlib.sha256(told.encode()).hexdigest()[:_DIGEST_DIGITS]


def _comparable(value: Any) -> object:
    if isinstance(value, (set, frozenset)):  # which has no order, nor the same one in another process
        return sorted(json.dumps(one, default=_comparable, sort_keys=True) for one in value)
    return _told(value)


def _told(value: Any) -> object:
    dump = getattr(value, "model_dump", None)  # a pydantic model
    return dump(mode="json") if callable(dump) else writable(value)


def _events(event: Any) -> list[str | None]:
    """The events that are meant; None alone for the default handler.

    Raises: ValueError for what is no event.
    """
    if event is None:
        return [None]
    events = list(event) if isinstance(event, Iterable) and not isinstance(event, str) else [event]
    if not events:
        raise ValueError("a list of no events: leave it out, for a default handler")
    for one in events:
        if not isinstance(one, str) or not one or one == "*" or "*" in one[:-1]:
            raise ValueError(f'{one!r} is no event: give a text such as "User.updated", or "User.*"; none, for a default handler')
    return list(dict.fromkeys(events))
