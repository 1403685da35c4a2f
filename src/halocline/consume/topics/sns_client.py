"""SNSClient: events that are published to a topic, each named in an attribute, as handlers and filters look for it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from itertools import islice
from typing import Any, Self, TypeVar, cast

from halocline.consume.topics.event_settings import EventSettings
from halocline.consume.topics.outgoing import Attribute, outgoing
from halocline.errors import FixConfig, Stop
from halocline.queues import Message, Reply
from halocline.registry import open_topic
from halocline.topics import Topic

_VERSION = "version"
_REFUSED = 300  # the first status of HTTP that is no success
_PAGE = 100
_Function = TypeVar("_Function", bound=Callable[..., Any])


class SNSClient:
    """Publishes events to the topic of that ARN: `await client.create_message(event=..., message=...).publish()`.

    Every publish of a process goes through one client of AWS, made at the first. `event_key` is the attribute that names the
    event; `service_name`, where there is one, is added to the event (`UserUpdated` -> `UserUpdated.user`) that does not end with
    it. What is not given is INIESTA_SNS_PRODUCER_GLOBAL_TOPIC_ARN, INIESTA_SNS_EVENT_KEY, INIESTA_SERVICE_NAME. `settings` are
    those of `Access`, by our names (`region`, `role`, ...) or boto3's (`region_name`, `endpoint_url`, ...).
    Raises: FixConfig where no topic is named.
    """

    def __init__(
        self,
        topic_arn: str | None = None,
        *,
        event_key: str | None = None,
        service_name: str | None = None,
        **settings: str | None,
    ) -> None:
        said = EventSettings.from_env()
        topic = topic_arn or said.topic_arn
        if topic is None:
            hint = "Give topic_arn=, or set INIESTA_SNS_PRODUCER_GLOBAL_TOPIC_ARN."
            raise FixConfig("Choosing the topic", "nothing says which", hint=hint)
        self.topic_arn = topic
        self.event_key = said.event_key if event_key is None else event_key
        self.service_name = said.service_name if service_name is None else service_name
        self._settings = _with_endpoint(settings, said.sns_endpoint_url)
        self._opened: Topic | None = None

    @classmethod
    async def initialize(
        cls,
        topic_arn: str | None = None,
        *,
        event_key: str | None = None,
        service_name: str | None = None,
        **settings: str | None,
    ) -> Self:
        """A client whose topic is there.

        Raises: NotFound where it is not, AccessDenied where the login may not look at it.
        """
        client = cls(topic_arn, event_key=event_key, service_name=service_name, **settings)
        await asyncio.to_thread(client.check)
        return client

    def check(self) -> None:
        """Ask for the topic.

        Raises: NotFound where it is not there, AccessDenied where the login may not look at it.
        """
        self.topic.attributes()

    @property
    def topic(self) -> Topic:
        """The topic, opened when it is first needed: to make a client at import asks nothing of anybody."""
        if self._opened is None:
            self._opened = open_topic(self.topic_arn, **self._settings)
        return self._opened

    def create_message(
        self,
        *,
        event: str,
        message: object,
        version: int = 1,
        raw_event: bool = False,
        subject: str | None = None,
        message_group_id: str | None = None,
        message_deduplication_id: str | None = None,
        **attributes: Attribute,
    ) -> SNSMessage:
        """A message that says `event`: a text as it is, bytes as UTF-8, or what has a JSON (dict, list, pydantic model,
        msgspec Struct, dataclass).

        `raw_event` leaves the service's name off. The version and `attributes` go with it, and the trace that is current, where
        OpenTelemetry is in use.
        Raises: FixConfig for what cannot be written, and for an event without a name, or with two.
        """
        named = event if raw_event else self._of_service(event)
        sent = outgoing(
            message,
            {_VERSION: version, **attributes},
            event=named or "",
            event_key=self.event_key,
            group=message_group_id,
            dedupe=message_deduplication_id,
        )
        return SNSMessage(self, named, sent, subject)

    def _of_service(self, event: str) -> str:
        """The event with the service's name at its end, once: subscribers filter by the whole of it."""
        if not event or not self.service_name:
            return event
        ending = f".{self.service_name}"
        return f"{str(event).removesuffix(ending)}{ending}"

    async def publish_all(self, messages: Sequence[SNSMessage]) -> list[Reply]:
        """Publish any number of messages, ten at a time, and return for each whether it was taken: true, or false with `code`
        and `error`.
        """
        return await asyncio.to_thread(self.publish_all_now, messages)

    def publish_all_now(self, messages: Sequence[SNSMessage]) -> list[Reply]:
        """`publish_all` for a program without an event loop."""
        return self.topic.publish_all([one.sent for one in messages], subjects=[one.subject for one in messages])

    def publish_event(
        self,
        *,
        event: str,
        version: int = 1,
        raw_event: bool = False,
        message_group_id: str | None = None,
        message_deduplication_id: Callable[[Any], str] | None = None,
        on_error: Callable[[Exception], None] | None = None,
        **attributes: Attribute,
    ) -> Callable[[_Function], _Function]:
        """Decorate a function, async or not, so that what it returns is published as `event`.

        Nothing is published for None, nor for a response of HTTP (`status` or `status_code`, and `body`) that is no success; of
        one that is, the body. `message_deduplication_id` makes of what is published what tells its repeats in a FIFO topic: one
        text for all of it would have SNS drop every event but the first of five minutes.

        The decorated function raises what publishing raises, as its caller could not know otherwise; with `on_error` that is
        called instead.
        Raises: FixConfig at once, for an event or attributes that cannot be.
        """
        given: dict[str, Any] = {"event": event, "version": version, "raw_event": raw_event, **attributes}
        self.create_message(message="", **given)  # what cannot be sent is told now, not after the function did its work

        def message_of(returned: object) -> SNSMessage | None:
            said = _said(returned)
            if said is None:
                return None
            dedupe = None if message_deduplication_id is None else message_deduplication_id(said)
            return self.create_message(message=said, message_group_id=message_group_id, message_deduplication_id=dedupe, **given)

        def decorate(function: _Function) -> _Function:
            @wraps(function)
            def publishing(*args: Any, **kwargs: Any) -> Any:
                returned = function(*args, **kwargs)
                with _telling(on_error):
                    if (message := message_of(returned)) is not None:
                        message.publish_now()
                return returned

            @wraps(function)
            async def publishing_async(*args: Any, **kwargs: Any) -> Any:
                returned = await function(*args, **kwargs)
                with _telling(on_error):
                    if (message := message_of(returned)) is not None:
                        await message.publish()
                return returned

            return cast("_Function", publishing_async if inspect.iscoroutinefunction(function) else publishing)

        return decorate

    async def list_subscriptions_by_topic(self) -> AsyncIterator[Mapping[str, str]]:
        """Who subscribed to the topic."""
        found = self.topic.subscriptions()
        while page := await asyncio.to_thread(lambda: list(islice(found, _PAGE))):
            for one in page:
                yield one

    async def get_subscription_attributes(self, subscription_arn: str) -> Mapping[str, str]:
        """The settings of a subscription."""
        return await asyncio.to_thread(lambda: self.topic.subscription(subscription_arn))


@dataclass(frozen=True, slots=True)
class SNSMessage:
    """A message to publish: `event` as it is sent, and what is `sent`, with its attributes."""

    client: SNSClient = field(repr=False)
    event: str
    sent: Message
    subject: str | None = None

    @property
    def message(self) -> str:
        """The body."""
        return self.sent.body

    @property
    def size(self) -> int:
        """The bytes of the body; attributes count too where SNS says how much a message may be."""
        return len(self.sent.body.encode())

    async def publish(self) -> str:
        """Publish it, and return the id that SNS gave it; the event loop goes on meanwhile.

        Raises: Stop where SNS refused it.
        """
        return await asyncio.to_thread(self.publish_now)

    def publish_now(self) -> str:
        """`publish` for a program without an event loop."""
        (reply,) = self.client.publish_all_now([self])
        if reply.message_id is None:
            doing = f"Publishing {self.event} to the topic {self.client.topic_arn}"
            raise Stop(doing, f"SNS refused the message: {reply.error}", code=reply.code)
        return reply.message_id


@contextmanager
def _telling(on_error: Callable[[Exception], None] | None) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if on_error is None:
            raise
        on_error(error)


def _with_endpoint(settings: Mapping[str, str | None], endpoint: str | None) -> dict[str, str | None]:
    given = settings.get("endpoint") or settings.get("endpoint_url")
    return {**settings} if given or endpoint is None else {**settings, "endpoint": endpoint}


def _said(returned: object) -> object:
    """What a function's result says to others; None: nothing."""
    status = getattr(returned, "status", None) or getattr(returned, "status_code", None)
    if isinstance(status, int) and hasattr(returned, "body"):
        return (getattr(returned, "body", None) or None) if status < _REFUSED else None
    return returned
