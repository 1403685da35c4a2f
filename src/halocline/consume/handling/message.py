"""Message: a delivery of a queue as a handler sees it - unwrapped, with its event, its attributes flat, its body decoded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from inspect import formatannotation
from typing import Any, TypeVar

from halocline.attributes import flat, typed
from halocline.consume.handling.decoding import decoder_of
from halocline.consume.handling.envelope import Content, Wrap, unwrap
from halocline.errors import Unreadable
from halocline.pointers import NAMED, is_marked, why_missing
from halocline.queues import Delivery, Value

EVENT_KEY = "iniesta_pass"
"""The attribute that names the event of a message, unless a setting names another one."""

Payload = TypeVar("Payload")
_UNREAD: Any = object()


@dataclass(frozen=True, slots=True)
class Message:
    """A message for a handler.

    `content` is what its publisher said, whether it came raw, from a topic or by EventBridge. `event` is what happened ("": it
    does not say). `queue` is the name of the queue that it came from.
    """

    delivery: Delivery
    content: Content
    event: str = ""
    queue: str = ""
    _body: Any = field(default=_UNREAD, init=False, repr=False, compare=False)  # decoded when it is first asked for

    @classmethod
    def of(cls, delivery: Delivery, *, event_key: str = EVENT_KEY, queue: str = "") -> Message:
        """The message of a delivery; `event_key` is the attribute that names its event."""
        content = unwrap(delivery.body, delivery.attributes)
        named = content.attributes.get(event_key)
        return cls(delivery, content, content.event if named is None else str(named), queue)

    @property
    def id(self) -> str:
        """The id that the queue gave it: the same at each delivery."""
        return self.delivery.id

    @property
    def raw_body(self) -> str:
        """The body as the publisher wrote it, out of its envelope."""
        return self.content.body

    @property
    def body(self) -> Any:
        """The body decoded: what its JSON says, or the text where it is no JSON.

        Raises: Unreadable for a large body that could not be fetched.
        """
        if self._body is _UNREAD:
            self.refuse_missing()
            object.__setattr__(self, "_body", _decoded(self.content.body))
        return self._body

    @property
    def attributes(self) -> Mapping[str, Value]:
        """The attributes, by name, each a text, a number or bytes."""
        return self.content.attributes

    # ---- by the names that iniesta's handlers know

    @property
    def message_id(self) -> str:
        """`id`."""
        return self.id

    @property
    def message_attributes(self) -> dict[str, str | bytes]:
        """`attributes` as they travelled: a number is the text of it."""
        typed = self.delivery.typed if self.content.wrap is Wrap.RAW else {}
        told = {name: typed[name].content if name in typed else value for name, value in self.attributes.items()}
        return {name: value if isinstance(value, (str, bytes)) else str(value) for name, value in told.items()}

    @property
    def receipt_handle(self) -> str:
        """The handle by which the queue knows this delivery; "" where it gave none."""
        return self.delivery.handle

    @property
    def md5_of_body(self) -> str:
        """The MD5 of the body in its envelope, in hexadecimal."""
        return hashlib.md5(self.delivery.body.encode(), usedforsecurity=False).hexdigest()

    def payload(self, model: type[Payload]) -> Payload:
        """The body as a pydantic model, a msgspec Struct, a dataclass, dict, list or str, or as a dict or list of such.

        Raises: Unreadable where it is none; FixConfig for a type that no body has.
        """
        wanted: Any = model  # what lru_cache wants is more than a type says of itself
        decode: Callable[[str], Payload] = _decoder(wanted)
        self.refuse_missing()
        try:
            return decode(self.content.body)
        except (Exception, SystemExit) as error:  # a user's validator may raise anything
            name = wanted.__name__ if isinstance(wanted, type) else formatannotation(wanted)
            raise Unreadable(self._doing, f"its body is no {name} ({type(error).__name__}: {error})") from error

    def refuse_missing(self) -> None:
        """Raises: Unreadable for a large body that was not fetched, whoever received it: what is there in its place is not the
        message.
        """
        content = self.content
        if self.delivery.failure:
            raise Unreadable(self._doing, self.delivery.failure)
        if is_marked(content.attributes) or NAMED.match(content.body):
            raise Unreadable(self._doing, why_missing(content.body, content.attributes))

    @property
    def _doing(self) -> str:
        return f"Reading the message {self.delivery.id} of {self.queue or 'a queue'}"


def delivery_of(found: object) -> Delivery:
    """A delivery out of a message as boto3 returns it, or as Lambda hands it over; attributes may be flat already.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html, read November 2026.
    Raises: Unreadable for what is no message of a queue.
    """
    if not isinstance(found, Mapping) or not isinstance(_either(found, "Body"), str):
        raise Unreadable("Reading a message", "it has no body that is a text")
    system, attributes = _mapping(found, "Attributes"), _mapping(found, "MessageAttributes")
    return Delivery(
        str(_either(found, "ReceiptHandle") or ""),
        _either(found, "Body"),
        str(_either(found, "MessageId") or ""),
        _number(system.get("ApproximateReceiveCount"), 1),
        _number(system.get("SentTimestamp"), 0),
        system.get("MessageGroupId"),
        flat(attributes),
        typed=typed(attributes),
    )


def _either(found: Mapping[str, Any], name: str) -> Any:
    """A member by SQS's name or by Lambda's, which begins with a small letter."""
    return found[name] if name in found else found.get(name[0].lower() + name[1:])


def _mapping(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = _either(found, name)
    return value if isinstance(value, Mapping) else {}


def _number(told: object, otherwise: int) -> int:
    text = str(told)
    return int(text) if text.isdecimal() else otherwise


def _decoded(body: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body


@lru_cache(maxsize=256)
def _decoder(model: Any) -> Callable[[str], Any]:
    return decoder_of(model)
