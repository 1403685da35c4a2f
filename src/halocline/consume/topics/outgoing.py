"""Outgoing: an event as the message that is sent for it, to a topic or a queue, with its name in an attribute."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from math import isfinite
from typing import Any

from halocline.attributes import Listed
from halocline.errors import FixConfig
from halocline.models import codec_of
from halocline.queues import Message, Value

Attribute = Value | Sequence[Any] | None
"""What an attribute may be given as; a list travels as `String.Array`, None is left out."""
_DOING = "Making an event"
_MOST_ATTRIBUTES = 10
"""SQS takes no more, and SNS drops a message with more of them where it delivers raw. Neither takes an empty one.
Source: "Amazon SNS message attributes", https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html;
"Amazon SQS message metadata", read November 2026,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html"""


def outgoing(
    message: object,
    attributes: Mapping[str, object],
    *,
    event: object,
    event_key: str,
    group: str | None = None,
    dedupe: str | None = None,
    delay_s: int | None = None,
) -> Message:
    """A message that says `event` (None: nothing) in the attribute `event_key`: a text as it is, bytes as UTF-8, or what has a
    JSON. The trace that is current goes with it, where OpenTelemetry is in use.

    Raises: FixConfig for what cannot be written, and for an event without a name, or with two.
    """
    said = dict(attributes)
    if event is not None:
        if not isinstance(event, str) or not event:
            raise FixConfig(_DOING, f"{event!r} is no name of an event")
        if event_key in attributes:
            hint = "Give it as event=, or the attribute another name."
            raise FixConfig(_DOING, f"the attribute {event_key!r} names the event, and is given beside it", hint=hint)
        said = {event_key: event, **attributes}
    flat = {name: _attribute(name, value) for name, value in said.items() if value is not None}
    return Message(_written(message), _traced(flat), group, dedupe, delay_s)


def _written(message: object) -> str:
    hint = "Give a text (bytes as base64), or what has a JSON."
    if message is None:
        return "null"  # its JSON
    try:
        return message.decode() if isinstance(message, bytes) else codec_of(type(message)).encode(message)
    except UnicodeDecodeError as error:
        raise FixConfig(_DOING, f"the message is bytes that are no UTF-8 ({error})", hint=hint) from error
    except FixConfig as error:
        cause = f"the message, of type {type(message).__name__}, is no text, dict, list or model, nor None"
        raise FixConfig(_DOING, cause, hint=hint) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise FixConfig(_DOING, f"the message, a {type(message).__name__}, has no JSON ({error})", hint=hint) from error


def _attribute(name: str, value: object) -> Value:
    """An attribute as it travels; what is no text, number, bytes or list of such is for its owner to write as one of them."""
    if isinstance(value, (list, tuple)):
        try:
            return Listed.of(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise FixConfig(_DOING, f"the attribute {name!r} is a list with no JSON ({error})") from error
    hint = "Give a text, a number, bytes, or a list of texts and numbers."
    if not isinstance(value, (str, bytes, int, float)):
        raise FixConfig(_DOING, f"the attribute {name!r} is a {type(value).__name__}, which none can be", hint=hint)
    if value in ("", b"") or (isinstance(value, float) and not isfinite(value)):
        raise FixConfig(_DOING, f"the attribute {name!r} is {value!r}, which none can be", hint="Leave it out: None does so.")
    return value


def _traced(attributes: dict[str, Value]) -> dict[str, Value]:
    """The attributes, with those of the current trace as far as there is room: no message must be dropped for them."""
    if "opentelemetry.trace" not in sys.modules:  # nobody here can have begun a span
        return attributes
    from halocline.consume.watching.telemetry import current_trace

    more = {name: value for name, value in current_trace().items() if name not in attributes}
    room = max(0, _MOST_ATTRIBUTES - len(attributes))
    return {**attributes, **dict(islice(more.items(), room))}
